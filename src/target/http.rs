//! HTTP: GET requests that plans make, and what reports send.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::facts::io_words;

/// Bytes of a body that are read.
const BODY_MAX: u64 = 1 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Milliseconds for all of it.
    pub timeout_ms: u64,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// Redirects that are followed.
    pub redirects: u32,
    /// A file of certificates, in PEM, that are trusted instead of the usual authorities.
    pub ca: Option<PathBuf>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text, up to 1 MiB.
    pub body: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .user_agent(concat!("deployrun/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
});

/// Makes a request. Fails when there is no answer: no connection, no name, no time.
pub fn get(request: &Request) -> Result<Answer, String> {
    let since = Instant::now();
    let wrong = |problem: String| format!("GET {}: {problem}", request.url);
    let mut config = AGENT
        .get(&request.url)
        .config()
        .max_redirects(request.redirects)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_millis(request.timeout_ms)));
    if let Some(ca) = &request.ca {
        let wrong = |problem: String| format!("{} can't be trusted: {problem}", ca.display());
        let pem = std::fs::read(ca).map_err(|e| wrong(io_words(&e)))?;
        config = config.tls_config(trusting(&pem).map_err(wrong)?);
    }
    let mut builder = config.build();
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let response = builder.call().map_err(|e| wrong(words(&e)))?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut bytes = Vec::new();
    let mut body = response.into_body();
    body.as_reader()
        .take(BODY_MAX)
        .read_to_end(&mut bytes)
        // What the library says of its own time is one of its errors.
        .map_err(|e| wrong(words(&e.into())))?;
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        headers,
        duration_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Something that is sent. It may hold what is needed to be let in, and has no `Debug`.
pub struct Post<'p> {
    /// `http://…` or `https://…`.
    pub url: &'p str,
    /// Headers to send.
    pub headers: &'p BTreeMap<String, String>,
    /// What the body is.
    pub content_type: &'p str,
    /// The body.
    pub body: &'p [u8],
    /// The time for all of it.
    pub timeout: Duration,
    /// Whom to trust, in PEM, instead of the usual authorities.
    pub certificates: Option<&'p [u8]>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The status code.
    pub status: u16,
    /// The body, up to 1 MiB.
    pub body: Vec<u8>,
    /// Seconds after which it may be tried again, if the server says so.
    pub retry_after: Option<u64>,
}

/// Sends something. Fails when there is no answer: no connection, no name, no time. Redirects are
/// answers; the error does not name the URL.
pub fn post(post: &Post<'_>) -> Result<Posted, String> {
    let mut config = AGENT
        .post(post.url)
        .config()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(post.timeout));
    if let Some(pem) = post.certificates {
        config = config.tls_config(trusting(pem)?);
    }
    let mut builder = config.build().header("Content-Type", post.content_type);
    for (name, value) in post.headers {
        builder = builder.header(name, value);
    }
    let response = builder.send(post.body).map_err(|e| words(&e))?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    // What it says beyond its status is worth little: an answer that breaks off is one all the same.
    let _ = response
        .into_body()
        .as_reader()
        .take(BODY_MAX)
        .read_to_end(&mut body);
    Ok(Posted {
        status,
        body,
        retry_after,
    })
}

fn trusting(pem: &[u8]) -> Result<TlsConfig, String> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| e.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err("there is no certificate in the file".into());
    }
    let roots = RootCerts::from(certificates);
    Ok(TlsConfig::builder().root_certs(roots).build())
}

fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".into()
        }
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            format!("it is no URL; write one such as \"https://localhost/health\" ({error})")
        }
        ureq::Error::Io(error) if error.to_string().contains("InvalidContentType") => {
            format!("the server does not speak TLS ({error})")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn request(url: String) -> Request {
        Request {
            url,
            timeout_ms: 5_000,
            headers: BTreeMap::new(),
            redirects: 0,
            ca: None,
        }
    }

    /// A server that gives one answer, and returns what it was asked.
    fn server(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/x", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.ends_with(b"\r\n\r\n") {
                let n = stream.read(&mut buffer).expect("a request");
                asked.extend_from_slice(&buffer[..n]);
            }
            stream.write_all(answer.as_bytes()).expect("an answer");
            String::from_utf8_lossy(&asked).into_owned()
        });
        (url, thread)
    }

    #[test]
    fn any_status_is_an_answer() {
        let (url, server) =
            server("HTTP/1.1 503 Busy\r\nX-Who: me\r\nContent-Length: 4\r\n\r\nwait");
        let mut asked = request(url);
        asked.headers.insert("X-Probe".into(), "yes".into());
        let answer = get(&asked).expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (503, "wait"));
        assert_eq!(answer.headers.get("x-who").map(String::as_str), Some("me"));
        assert!(
            server
                .join()
                .expect("served")
                .to_lowercase()
                .contains("x-probe: yes")
        );
    }

    #[test]
    fn redirects_are_answers_unless_they_are_followed() {
        let (url, server) =
            server("HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(get(&request(url)).expect("an answer").status, 302);
        server.join().expect("served");
    }

    #[test]
    fn no_answer_is_an_error_that_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let mut silent = request(url.clone());
        silent.timeout_ms = 50;
        let error = get(&silent).expect_err("nobody answers");
        assert!(error.ends_with("no answer in time"), "{error}");
        drop(listener);
        let error = get(&request(url)).expect_err("nobody listens");
        assert!(error.ends_with("connection refused"), "{error}");
    }
}
