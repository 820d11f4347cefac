//! `std/http`, with a web server of the test and with one that speaks TLS, whose certificates are made by
//! `openssl`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::support::live::Finished;
use super::support::need;
use super::support::site::Site;

/// A server on a port of its own; it ends with the test. Returns its URL.
///
/// - `/health` is well,
/// - `/busy` is not,
/// - `/ready` is busy for three requests and then well,
/// - `/moved` leads to `/health`.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, asked) = (stream.expect("a client"), asked.clone());
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => request.extend_from_slice(&buffer[..n]),
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let well =
                    r#"{"status": "ok", "build": {"version": "2.4.0"}, "nodes": [{"up": true}]}"#;
                let (status, body) = match path {
                    "/health" => ("200 OK", well),
                    "/ready" if asked.fetch_add(1, Ordering::SeqCst) >= 3 => ("204 No Content", ""),
                    "/moved" => ("302 Found\r\nLocation: /health", ""),
                    _ => ("503 Busy", "{\"status\": \"starting\"}"),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    url
}

/// A plan with this behind its header, run.
fn run(site: &Site, plan: &str) -> Finished {
    let plan = format!(
        "import \"std/http\" as http;\n\
         plan(#{{ name: \"looks\", version: \"1\", environment: \"test\" }});\n{plan}"
    );
    site.write("plan.rhai", &plan);
    site.finish(&["run", "plan.rhai"])
}

fn notes(finished: &Finished) -> Vec<String> {
    let notes = finished
        .events
        .iter()
        .filter(|e| e["call"]["function"] == "note");
    notes
        .filter_map(|e| Some(e["call"]["text"].as_str()?.to_owned()))
        .collect()
}

/// What a run has found, as name and text.
fn findings(finished: &Finished) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = finished.events.iter().filter(|e| e["event"] == "finding");
    found
        .map(|e| (text(&e["name"]), text(&e["detail"])))
        .collect()
}

#[test]
fn its_functions_look_in_checks_watches_and_verifies() {
    let (url, site) = (server(), Site::bare(""));
    let finished = run(
        &site,
        &format!(
            r#"
let health = #{{ json: #{{ "status": "ok", "build.version": "2.4.0", "nodes.0.up": true }}, limit: "5s" }};
check("get", || http::get("{url}/health").body.contains("ok"));
check("status", || http::status("{url}/moved") == 302);
check("json", || http::json("{url}/moved", #{{ redirects: 1 }}).build.version == "2.4.0");
check("wait_ok", || http::wait_ok("{url}/health"));
check("expect", || http::expect("{url}/health", health));
watch("expect", #{{ every: "100ms" }}, || http::expect("{url}/health", health));
run(["true"], #{{ timeout: "5s", back_out: () }});
info(`${{http::wait_ok("{url}/ready", #{{ every: "50ms" }})}}`);
verify("expect", || http::expect("{url}/health", health));
verify("it turns true", #{{ every: "50ms" }}, || http::wait_ok("{url}/ready"));
soak("300ms");
"#
        ),
    );
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert_eq!(notes(&finished), ["true"]);
}

#[test]
fn what_is_not_as_expected_is_told_whole() {
    let (url, site) = (server(), Site::bare(""));
    let finished = run(
        &site,
        &format!(
            r#"
check("expect", || http::expect("{url}/busy", #{{
    status: 200, body: "o[k]", json: #{{ status: "ok", "build.version": "2.4.0" }},
}}));
check("moved", || http::expect("{url}/moved"));
check("json", || http::json("{url}/moved").status == "ok");
check("wait_ok", || http::wait_ok("{url}/busy"));
check("nobody", || http::expect("http://127.0.0.1:1/"));
wait_for_window();
"#
        ),
    );
    assert_eq!(finished.code, Some(1), "{}", finished.told());
    let told = finished.told();
    let found: Vec<String> = findings(&finished)
        .into_iter()
        .map(|(name, text)| format!("{name}: {}", text.replace(&url, "URL")))
        .collect();
    assert_eq!(
        found,
        [
            "expect: GET URL/busy: the status is 503, not 200; nothing in the body matches /o[k]/; it is \
             \"{\"status\": \"starting\"}\"; build.version is not there; status is \"starting\", not \"ok\"",
            "moved: GET URL/moved: the status is 302, not 2xx",
            "json: GET URL/moved: the status is 302, and the body is empty",
            "wait_ok: GET URL/busy: the status is 503, and the body is \"{\"status\": \"starting\"}\"",
            "nobody: GET http://127.0.0.1:1/: connection refused",
        ],
        "{told}"
    );
}

#[test]
fn waiting_ends_in_time() {
    let (url, site) = (server(), Site::bare(""));
    let plan = format!(
        "try {{ http::wait_ok(\"{url}/busy\", #{{ within: \"300ms\", every: \"50ms\" }}); }}\n\
         catch (e) {{ info(e); }}"
    );
    let finished = run(&site, &plan);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let said = notes(&finished).join("\n");
    assert!(
        said.contains("the status is 503") && said.ends_with("; it has been waited for 300ms"),
        "{said}"
    );
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of TLS, whose certificate is valid for 20 days from now; `ca.pem` is who has made it.
fn tls_server(dir: &Path) -> (Server, String) {
    let script = "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem \
    -subj '/O=Shop/CN=Our CA' -days 30 2> made
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request.pem \
    -subj /CN=localhost 2>> made
echo 'subjectAltName=DNS:localhost' > extensions
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile extensions \
    -out certificate.pem 2>> made
echo well > health
";
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .status()
        .expect("sh");
    assert!(made.success(), "the certificates can't be made");
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-WWW"])
        .args(["-cert", "certificate.pem", "-key", "key.pem"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let server = Server(child);
    for line in out.lines().map_while(Result::ok) {
        if let Some(at) = line.strip_prefix("ACCEPT 127.0.0.1:") {
            return (server, format!("https://localhost:{at}"));
        }
    }
    panic!("the server does not start");
}

#[test]
fn certificates_are_looked_at() {
    need("openssl", "openssl");
    let site = Site::bare("");
    let (_server, url) = tls_server(&site.path(""));
    let finished = run(
        &site,
        &format!(
            r#"
let trusted = #{{ ca: "ca.pem", body: "^well" }};
check("trusted", || http::expect("{url}/health", trusted));
check("for 19 days", || http::expect("{url}/health", trusted + #{{ certificate: "19d" }}));
check("its names", || {{
    let seen = http::certificate("{url}");
    seen.subject == "CN=localhost" && seen.issuer == "CN=Our CA,O=Shop" && seen.left > 19 * 86400
        && seen.left < 21 * 86400 && seen.ends - seen.begins == 20 * 86400
}});
run(["true"], #{{ timeout: "5s", back_out: () }});
"#
        ),
    );
    assert_eq!(finished.code, Some(0), "{}", finished.told());

    let finished = run(
        &site,
        &format!(
            r#"
check("for 21 days", || http::expect("{url}/health", #{{ ca: "ca.pem", certificate: "21d" }}));
check("not trusted", || http::expect("{url}/health"));
check("no such file", || http::expect("{url}/health", #{{ ca: "none.pem" }}));
check("no TLS", || http::certificate("{}", #{{ timeout: "1s" }}).left > 0);
check("nobody", || http::certificate("localhost:1").left > 0);
wait_for_window();
"#,
            server().replace("http://", "")
        ),
    );
    assert_eq!(finished.code, Some(1), "{}", finished.told());
    let found = findings(&finished);
    let expected = [
        // Within its first second it has 20 whole days.
        " days, and must be valid for 21d",
        "UnknownIssuer",
        "none.pem can't be trusted: no such file",
        " shows no certificate: ",
        "localhost:1 shows no certificate: connection refused",
    ];
    for ((name, text), part) in found.iter().zip(expected) {
        assert!(text.contains(part), "{name}: `{part}`: {text}");
    }
    assert_eq!(found.len(), expected.len(), "{}", finished.told());
}
