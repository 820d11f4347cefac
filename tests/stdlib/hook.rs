//! A web server that takes what is posted to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What was posted.
#[derive(Debug)]
pub struct Posted {
    /// The path and what stands behind it.
    pub path: String,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

/// The server.
pub struct Hook {
    port: u16,
    posted: Receiver<Posted>,
}

impl Hook {
    /// One that answers with this status; 0 never answers.
    pub fn answering(status: u16) -> Self {
        Self::saying(status, |_| "no_service\n".to_owned())
    }

    /// One that says this to what is posted.
    pub fn saying(status: u16, says: fn(&Posted) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, posted) = channel();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(one) = read(&stream) else { continue };
                let body = says(&one);
                let _ = tell.send(one);
                if status == 0 {
                    kept.push(stream);
                    continue;
                }
                let length = body.len();
                let _ = write!(
                    &stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { port, posted }
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What was posted next.
    pub fn next(&self) -> Posted {
        let patience = Duration::from_secs(60);
        self.posted.recv_timeout(patience).expect("nothing came")
    }

    /// All that was posted and not yet looked at.
    pub fn rest(&self) -> Vec<Posted> {
        self.posted.try_iter().collect()
    }
}

fn read(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        head += &line.to_lowercase();
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length?.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Posted {
        path: first.split(' ').nth(1)?.to_owned(),
        head,
        body: String::from_utf8(body).ok()?,
    })
}
