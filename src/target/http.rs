//! GET requests that plans make.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ureq::Agent;

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
    let mut builder = AGENT
        .get(&request.url)
        .config()
        .max_redirects(request.redirects)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_millis(request.timeout_ms)))
        .build();
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
        .map_err(|e| wrong(e.to_string()))?;
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        headers,
        duration_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".into()
        }
        ureq::Error::Timeout(_) => "no answer in time".into(),
        other => other.to_string(),
    }
}
