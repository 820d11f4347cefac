//! A collector of traces: takes what is posted to it, and answers as it is told to.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

const REQUEST: &str = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest";

/// How a collector answers.
#[derive(Clone, Copy)]
pub enum Answers {
    /// It takes everything.
    Takes,
    /// It takes everything after so many requests that it could not.
    TakesAfter(usize),
    /// Always with this status.
    Status(u16),
    /// It takes all but one span.
    TakesAllButOne,
    /// Never.
    Hangs,
    /// It closes the connection.
    HangsUp,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// A collector on a port of its own.
pub struct Collector {
    pub url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    news: Receiver<()>,
}

impl Collector {
    pub fn new(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let (tell, news) = channel();
        let kept = posted.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                serve(stream, answers, &kept, &tell, &mut open);
            }
        });
        Self { url, posted, news }
    }

    /// All that was posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("a lock").clone()
    }

    /// All spans that were posted so far, in order.
    pub fn spans(&self) -> Vec<Value> {
        let mut spans = Vec::new();
        for posted in self.posted() {
            let request = posted.decoded();
            for resource in list(&request["resourceSpans"]) {
                for scope in list(&resource["scopeSpans"]) {
                    spans.extend(list(&scope["spans"]).iter().cloned());
                }
            }
        }
        spans
    }

    /// Waits until a span of this name was posted.
    #[track_caller]
    pub fn wait_for(&self, name: &str) {
        while !self.spans().iter().any(|span| span["name"] == name) {
            let news = self.news.recv_timeout(Duration::from_secs(20));
            assert!(news.is_ok(), "no span `{name}` came");
        }
    }
}

fn serve(
    mut stream: TcpStream,
    answers: Answers,
    kept: &Mutex<Vec<Posted>>,
    tell: &Sender<()>,
    open: &mut Vec<TcpStream>,
) {
    let Some(posted) = read(&mut stream) else {
        return;
    };
    let is_json = posted.headers["content-type"] == "application/json";
    let count = {
        let mut kept = kept.lock().expect("a lock");
        kept.push(posted);
        kept.len()
    };
    let nothing: &[u8] = if is_json { b"{}" } else { b"" };
    let some: &[u8] = if is_json {
        br#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too long"}}"#
    } else {
        b"\x0a\x0c\x08\x01\x12\x08too long"
    };
    match answers {
        Answers::Takes => reply(&mut stream, 200, nothing),
        Answers::TakesAfter(n) if count > n => reply(&mut stream, 200, nothing),
        Answers::TakesAfter(_) => {
            // What was not taken was not posted.
            kept.lock().expect("a lock").pop();
            kept.lock().expect("a lock").push(Posted {
                path: String::new(),
                headers: HashMap::new(),
                body: Vec::new(),
            });
            reply(&mut stream, 503, b"");
        }
        Answers::Status(status) => reply(&mut stream, status, b"no"),
        Answers::TakesAllButOne => reply(&mut stream, 200, some),
        Answers::Hangs => open.push(stream),
        Answers::HangsUp => {}
    }
    let _ = tell.send(());
}

fn reply(stream: &mut TcpStream, status: u16, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}

fn read(stream: &mut TcpStream) -> Option<Posted> {
    let mut all = Vec::new();
    let mut buffer = [0; 8192];
    let head_end = loop {
        if let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            n => all.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8(all[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = all.split_off(head_end + 4);
    while body.len() < length {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            n => body.extend_from_slice(&buffer[..n]),
        }
    }
    Some(Posted {
        path,
        headers,
        body,
    })
}

impl Posted {
    /// The request as JSON, whatever it was posted as; it is held to the field names, numbers and
    /// forms of the protocol.
    #[track_caller]
    pub fn decoded(&self) -> Value {
        match self.headers.get("content-type").map(String::as_str) {
            Some("application/json") => {
                let value = serde_json::from_slice(&self.body).expect("JSON");
                hold(&value, REQUEST);
                value
            }
            Some("application/x-protobuf") => {
                let value = message(&self.body, REQUEST);
                hold(&value, REQUEST);
                value
            }
            // It was not taken.
            None => json!({}),
            other => panic!("the content is of type {other:?}"),
        }
    }
}

/// The fields of the official messages, by number: made from the descriptors of the Python package
/// `opentelemetry-proto` 1.45.2.
fn fields(of: &str) -> Map<String, Value> {
    let all: Value =
        serde_json::from_str(include_str!("../fixtures/otlp_fields.json")).expect("JSON");
    all[of].as_object().expect("a known message").clone()
}

/// Fails unless `value` is the JSON form of this message.
#[track_caller]
fn hold(value: &Value, of: &str) {
    let known = fields(of);
    for (name, value) in value.as_object().expect("an object") {
        let field = known.values().find(|f| f["json"] == name.as_str());
        let field = field.unwrap_or_else(|| panic!("{of} has no field {name}"));
        let is_list = field["repeated"] == true;
        let values = if is_list {
            value.as_array().expect("a list").clone()
        } else {
            vec![value.clone()]
        };
        for value in values {
            let text = value.as_str();
            let is_right = match field["type"].as_str().expect("a type") {
                "message" => {
                    hold(&value, field["message"].as_str().expect("a message"));
                    true
                }
                "string" => text.is_some(),
                "bool" => value.is_boolean(),
                "enum" | "uint32" | "int32" | "fixed32" => value.is_u64(),
                "int64" => text.is_some_and(|t| t.parse::<i64>().is_ok()),
                "fixed64" => text.is_some_and(|t| t.parse::<u64>().is_ok()),
                "bytes" => text.is_some_and(|t| [16, 32].contains(&t.len()) && is_hex(t)),
                other => panic!("{of}.{name} has the type {other}"),
            };
            assert!(is_right, "{of}.{name}: {value}");
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A protobuf message as JSON.
#[track_caller]
fn message(mut bytes: &[u8], of: &str) -> Value {
    let known = fields(of);
    let mut found = Map::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (number, wire) = (key >> 3, key & 7);
        let field = known.get(&number.to_string());
        let field = field.unwrap_or_else(|| panic!("{of} has no field number {number}"));
        let kind = field["type"].as_str().expect("a type");
        let value = match (wire, kind) {
            (0, "int64") => json!(i64::from_ne_bytes(varint(&mut bytes).to_ne_bytes()).to_string()),
            (0, "bool") => json!(varint(&mut bytes) == 1),
            (0, "enum" | "uint32" | "int32") => json!(varint(&mut bytes)),
            (1, "fixed64") => {
                let all: [u8; 8] = cut(&mut bytes, 8).try_into().expect("8 bytes");
                json!(u64::from_le_bytes(all).to_string())
            }
            (5, "fixed32") => {
                let all: [u8; 4] = cut(&mut bytes, 4).try_into().expect("4 bytes");
                json!(u32::from_le_bytes(all))
            }
            (2, kind) => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let part = cut(&mut bytes, length);
                match kind {
                    "string" => json!(std::str::from_utf8(part).expect("UTF-8")),
                    "bytes" => {
                        let hex = part.iter().map(|b| format!("{b:02x}"));
                        json!(hex.collect::<String>())
                    }
                    "message" => message(part, field["message"].as_str().expect("a message")),
                    other => panic!("{of}: {other} is not of this form"),
                }
            }
            (wire, kind) => panic!("{of}: {kind} has not the form {wire}"),
        };
        let name = field["json"].as_str().expect("a name").to_owned();
        if field["repeated"] == true {
            let list = found.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut().expect("a list").push(value);
        } else {
            found.insert(name, value);
        }
    }
    Value::Object(found)
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = cut(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn cut<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (part, rest) = bytes.split_at(length);
    *bytes = rest;
    part
}

/// The elements of a list that may not be there.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
