//! Where traces go: the variables of the OpenTelemetry specification.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::TraceParent;
use super::otlp::{KeyValue, attribute};
use super::tell::plain_url;

/// How long a request may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of certificates that are read.
const CERTIFICATE_MAX: u64 = 1 << 20;

/// Where and how traces are sent. It holds what is needed to be let in, and has no `Debug`.
#[derive(Clone)]
pub struct Settings {
    pub(super) url: String,
    pub(super) encoding: Encoding,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    /// Whom to trust, in PEM, where it is not the usual authorities.
    pub(super) certificates: Option<Vec<u8>>,
    pub(super) resource: Vec<KeyValue>,
    trace_parent: Option<String>,
}

/// How spans are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Settings {
    /// What the environment says; nothing when no trace is wanted.
    ///
    /// # Errors
    /// When one is wanted in a way that is not understood.
    pub fn from_env() -> Result<Option<Self>, String> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The same, from any source of variables. An empty one is as good as none.
    ///
    /// # Errors
    /// When a trace is wanted in a way that is not understood.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let of = |name: &str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        // What is said of traces alone goes before what is said of everything.
        let option = |name: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let general = format!("OTEL_EXPORTER_OTLP_{name}");
            of(&own)
                .map(|value| (own, value))
                .or_else(|| Some((general.clone(), of(&general)?)))
        };
        let Some((variable, endpoint)) = option("ENDPOINT") else {
            return Ok(None);
        };
        let off = of("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let elsewhere = of("OTEL_TRACES_EXPORTER")
            .is_some_and(|list| !list.split(',').any(|name| name.trim() == "otlp"));
        let parent = of("TRACEPARENT");
        let read = parent.as_deref().and_then(TraceParent::parse);
        // Whoever began the trace has decided that it is not kept.
        let dropped = read.as_ref().is_some_and(|parent| !parent.sampled);
        if off || elsewhere || dropped {
            return Ok(None);
        }
        let encoding = match option("PROTOCOL") {
            None => Encoding::Protobuf,
            Some((name, protocol)) => match protocol.as_str() {
                "http/protobuf" => Encoding::Protobuf,
                "http/json" => Encoding::Json,
                other => {
                    return Err(format!(
                        "{name} is {other}; deployrun speaks http/protobuf and http/json"
                    ));
                }
            },
        };
        let timeout = match option("TIMEOUT") {
            None => TIMEOUT,
            Some((name, text)) => match text.parse() {
                Ok(ms) if ms > 0 => Duration::from_millis(ms),
                _ => return Err(format!("{name} is no number of milliseconds: {text}")),
            },
        };
        let headers = match option("HEADERS") {
            None => BTreeMap::new(),
            // Its value is not told: it is a password more often than not.
            Some((name, text)) => pairs(&text)
                .filter(|pairs| pairs.iter().all(is_header))
                .ok_or_else(|| format!("{name} is no list of NAME=VALUE,…"))?
                .into_iter()
                .collect(),
        };
        let certificates = match option("CERTIFICATE") {
            None => None,
            Some((name, path)) => Some(certificates(&path).map_err(|e| format!("{name}: {e}"))?),
        };
        Ok(Some(Self {
            url: url(&variable, &endpoint)?,
            encoding,
            headers,
            timeout,
            certificates,
            resource: resource(&of),
            trace_parent: read.and(parent),
        }))
    }

    /// The span that a run's trace continues, in the form of a `traceparent`.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.trace_parent.as_deref()
    }

    /// Where spans go, without what is nobody's business.
    pub(super) fn shown_url(&self) -> String {
        plain_url(&self.url)
    }
}

fn url(variable: &str, endpoint: &str) -> Result<String, String> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| endpoint.strip_prefix(scheme));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        let shown = plain_url(endpoint);
        return Err(format!("{variable} is no http:// or https:// URL: {shown}"));
    }
    Ok(if variable.contains("_TRACES_") {
        endpoint.to_owned()
    } else {
        format!("{}/v1/traces", endpoint.trim_end_matches('/'))
    })
}

fn certificates(path: &str) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| format!("{path}: {e}"))?;
    file.take(CERTIFICATE_MAX)
        .read_to_end(&mut pem)
        .map_err(|e| format!("{path}: {e}"))?;
    Ok(pem)
}

/// What is known of this process.
fn resource(of: &impl Fn(&str) -> Option<String>) -> Vec<KeyValue> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
    add("service.name", "deployrun");
    add("service.version", env!("CARGO_PKG_VERSION"));
    add("host.name", &crate::target::facts::hostname());
    add("os.type", std::env::consts::OS);
    add("process.executable.name", "deployrun");
    add("telemetry.sdk.name", "deployrun");
    add("telemetry.sdk.language", "rust");
    add("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    if let Some(text) = of("OTEL_RESOURCE_ATTRIBUTES") {
        match pairs(&text) {
            Some(pairs) => all.extend(pairs),
            None => tracing::warn!("OTEL_RESOURCE_ATTRIBUTES is no list of KEY=VALUE,…: left out"),
        }
    }
    if let Some(name) = of("OTEL_SERVICE_NAME") {
        all.insert("service.name".into(), name);
    }
    let mut attributes: Vec<KeyValue> = all
        .iter()
        .map(|(key, value)| attribute(key, value.as_str()))
        .collect();
    attributes.push(attribute("process.pid", std::process::id()));
    attributes
}

/// `a=1,b=2`, the values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let (key, value) = (key.trim(), decoded(value.trim())?);
            (!key.is_empty()).then(|| (key.to_owned(), value))
        })
        .collect()
}

fn is_header((name, value): &(String, String)) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    name.bytes().all(token) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::otlp::Value;
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let all: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::read(|name| all.get(name).cloned())
    }

    fn with(more: &[(&str, &str)]) -> Settings {
        let all: Vec<_> = std::iter::once(ENDPOINT)
            .chain(more.iter().copied())
            .collect();
        read(&all).unwrap().unwrap()
    }

    #[test]
    fn without_an_endpoint_there_is_no_trace() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_SERVICE_NAME", "x"), ("TRACEPARENT", "x")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "True")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "console, zipkin")],
            &[
                ENDPOINT,
                (
                    "TRACEPARENT",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                ),
            ],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
        assert!(
            read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "console,otlp")])
                .unwrap()
                .is_some()
        );
        assert!(
            read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "1")])
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn the_url_is_made_as_the_specification_says() {
        let url = |name, value| read(&[(name, value)]).unwrap().unwrap().url;
        let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(url(general, "http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(url(general, "https://c/otel/"), "https://c/otel/v1/traces");
        let own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        assert_eq!(url(own, "http://c:4318/in"), "http://c:4318/in");
        assert_eq!(with(&[(own, "http://other/in")]).url, "http://other/in");
        for wrong in ["collector:4318", "grpc://c", "http://", "http:///x", "/x"] {
            let error = read(&[(general, wrong)]).err().unwrap();
            assert!(
                error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is no http"),
                "{error}"
            );
        }
        let error = read(&[(general, "ftp://anna:geheim@c/x?key=geheim")])
            .err()
            .unwrap();
        assert!(error.ends_with("ftp://c/x"), "{error}");
    }

    #[test]
    fn options_of_traces_go_before_those_of_everything() {
        let settings = with(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%2Cc, x=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ]);
        let headers: Vec<_> = settings.headers.iter().collect();
        assert_eq!(settings.headers["api-key"], "a b,c", "{headers:?}");
        assert_eq!(settings.headers["x"], "1");
        assert_eq!(settings.timeout, Duration::from_millis(250));
        assert_eq!(settings.encoding, Encoding::Json);
        assert_eq!(with(&[]).encoding, Encoding::Protobuf);
        assert_eq!(with(&[]).timeout, TIMEOUT);
    }

    #[test]
    fn what_is_not_understood_is_said_without_its_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "geheim"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=geheim"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=geheim%0d%0ab"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ] {
            let error = read(&[ENDPOINT, (name, value)]).err().unwrap();
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn the_process_is_described_as_its_operator_wants() {
        let settings = with(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=web%20team"),
            ("OTEL_SERVICE_NAME", "shop"),
        ]);
        let of = |key: &str| {
            let found = settings.resource.iter().find(|a| a.key == key)?;
            found.value.clone()?.value
        };
        assert_eq!(of("service.name"), Some(Value::from("shop")));
        assert_eq!(of("team"), Some(Value::from("web team")));
        let service = with(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")]).resource;
        assert!(service.contains(&attribute("service.name", "deployrun")));
        assert!(!service.iter().any(|a| a.key == "a"));
    }
}
