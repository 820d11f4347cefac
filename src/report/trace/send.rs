//! The thread that sends spans. Whatever the collector does, nobody waits for it but this thread,
//! and its end is waited for only so long.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use prost::Message as _;

use crate::target::http::{self, Post};
use crate::words::event::json_text;

use super::otlp::{KeyValue, Request, Resource, ResourceSpans, Response, Scope, ScopeSpans, Span};
use super::settings::{Encoding, Settings};

/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// Spans that are sent at once.
const BATCH: usize = 512;
/// Spans that wait for a collector that is away.
const WAITING: usize = 4096;
/// Parts of the run that wait for the thread.
const UNREAD: usize = 4096;
/// How long the end of the program waits for the last spans to be sent.
const PATIENCE: Duration = Duration::from_millis(1800);
/// How long the thread takes for its last requests, so that it can still say how they went.
const LAST: Duration = Duration::from_millis(1500);
/// The longest pause after requests that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What did not arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) spans: u64,
    /// Was the thread left before it could say what it has lost?
    pub(super) is_cut_short: bool,
    /// What went wrong last.
    pub(super) why: String,
}

/// The way to the thread.
pub(super) struct Sending {
    to: SyncSender<Vec<Span>>,
    unsent: u64,
    said: Receiver<Lost>,
}

impl Sending {
    /// Starts the thread; nothing when the system has none left.
    pub(super) fn start(settings: Settings, about: Vec<KeyValue>) -> Option<Self> {
        let (to, from) = sync_channel(UNREAD);
        let (say, said) = sync_channel(1);
        let thread = std::thread::Builder::new().name("trace".into());
        let started = thread.spawn(move || {
            let lost = Sender::new(settings, about).serve(&from);
            let _ = say.send(lost);
        });
        started.ok()?;
        Some(Self {
            to,
            unsent: 0,
            said,
        })
    }

    /// Spans that have ended.
    pub(super) fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        if self.to.try_send(spans).is_err() {
            self.unsent += count;
        }
    }

    /// Sends the rest, and tells what did not arrive.
    pub(super) fn end(self) -> Lost {
        drop(self.to);
        let mut lost = match self.said.recv_timeout(PATIENCE) {
            Ok(lost) => lost,
            // It hangs in a request, and ends with the process.
            Err(_) => Lost {
                spans: 0,
                is_cut_short: true,
                why: "no answer in time".into(),
            },
        };
        if self.unsent > 0 {
            lost.spans += self.unsent;
            if lost.why.is_empty() {
                lost.why = "it was too slow".into();
            }
        }
        lost
    }
}

struct Sender {
    settings: Settings,
    about: Vec<KeyValue>,
    waiting: VecDeque<Span>,
    lost: Lost,
    failures: u32,
    /// When the next request is due.
    next: Option<Instant>,
}

enum Went {
    Well,
    /// The collector may take them later.
    Later(String, Option<Duration>),
    /// It will not take them.
    Never(String),
}

impl Sender {
    fn new(settings: Settings, about: Vec<KeyValue>) -> Self {
        Self {
            settings,
            about,
            waiting: VecDeque::new(),
            lost: Lost::default(),
            failures: 0,
            next: None,
        }
    }

    fn serve(mut self, from: &Receiver<Vec<Span>>) -> Lost {
        loop {
            let told = match self.next {
                None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => from.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match told {
                Ok(spans) => {
                    self.keep(spans);
                    let is_due = self.next.is_some_and(|at| at <= Instant::now());
                    if is_due || (self.failures == 0 && self.waiting.len() >= BATCH) {
                        self.send(self.settings.timeout);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.send(self.settings.timeout),
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    fn keep(&mut self, spans: Vec<Span>) {
        for span in spans {
            if self.waiting.len() < WAITING {
                self.waiting.push_back(span);
            } else {
                self.lost.spans += 1;
            }
        }
        self.next.get_or_insert_with(|| Instant::now() + GATHER);
    }

    /// The last requests.
    fn finish(mut self) -> Lost {
        let until = Instant::now() + LAST;
        self.failures = 0;
        while !self.waiting.is_empty() && self.failures == 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                "no answer in time".clone_into(&mut self.lost.why);
                break;
            }
            self.send(left.min(self.settings.timeout));
        }
        self.lost.spans += self.waiting.len() as u64;
        self.lost
    }

    /// One request.
    fn send(&mut self, timeout: Duration) {
        let count = self.waiting.len().min(BATCH);
        let batch: Vec<Span> = self.waiting.drain(..count).collect();
        self.next = None;
        if batch.is_empty() {
            return;
        }
        let request = self.request(batch);
        let since = Instant::now();
        let went = self.post(&request, timeout);
        tracing::debug!(
            "trace: {count} spans sent, {} in {:?}",
            went.words(),
            since.elapsed()
        );
        let mut pause = GATHER;
        match went {
            Went::Well => self.failures = 0,
            Went::Never(why) => {
                self.failures = 0;
                self.lost.spans += count as u64;
                self.lost.why = why;
            }
            Went::Later(why, after) => {
                self.lost.why = why;
                for span in spans_of(request).into_iter().rev() {
                    self.waiting.push_front(span);
                }
                self.failures = self.failures.saturating_add(1);
                pause = after
                    .unwrap_or_else(|| pause_after(self.failures))
                    .min(LONGEST_PAUSE);
            }
        }
        if !self.waiting.is_empty() {
            self.next = Some(Instant::now() + pause);
        }
    }

    fn request(&self, spans: Vec<Span>) -> Request {
        let mut attributes = self.settings.resource.clone();
        attributes.extend(self.about.iter().cloned());
        Request {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(Scope {
                        name: "deployrun".into(),
                        version: env!("CARGO_PKG_VERSION").into(),
                    }),
                    spans,
                }],
            }],
        }
    }

    fn post(&mut self, request: &Request, timeout: Duration) -> Went {
        let (content_type, body) = match self.settings.encoding {
            Encoding::Protobuf => ("application/x-protobuf", request.encode_to_vec()),
            Encoding::Json => ("application/json", json_text(request).into_bytes()),
        };
        let answer = http::post(&Post {
            url: &self.settings.url,
            headers: &self.settings.headers,
            content_type,
            body: &body,
            timeout,
            certificates: self.settings.certificates.as_deref(),
        });
        match answer {
            Err(problem) => Went::Later(problem, None),
            Ok(answer) => match answer.status {
                200..=299 => {
                    self.hear(&answer.body);
                    Went::Well
                }
                status @ (429 | 502..=504) => Went::Later(
                    format!("HTTP status {status}"),
                    answer.retry_after.map(Duration::from_secs),
                ),
                status => Went::Never(format!("HTTP status {status}")),
            },
        }
    }

    /// The collector may have taken only some of the spans.
    fn hear(&mut self, body: &[u8]) {
        let response: Option<Response> = match self.settings.encoding {
            Encoding::Protobuf => Response::decode(body).ok(),
            Encoding::Json => serde_json::from_slice(body).ok(),
        };
        let partial = response.and_then(|response| response.partial_success);
        if let Some(partial) = partial
            && let Ok(rejected @ 1..) = u64::try_from(partial.rejected_spans)
        {
            self.lost.spans += rejected;
            let said = super::spans::cut(&partial.error_message, 200);
            self.lost.why = format!("rejected: {said}");
        }
    }
}

impl Went {
    fn words(&self) -> &str {
        match self {
            Self::Well => "well",
            Self::Later(why, _) | Self::Never(why) => why,
        }
    }
}

fn spans_of(request: Request) -> Vec<Span> {
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// Twice as long after each failure, and not the same for all who lost the same collector.
fn pause_after(failures: u32) -> Duration {
    let ms = 1_000_u64 << failures.saturating_sub(1).min(5);
    Duration::from_millis(ms + u64::from(std::process::id()) % (ms / 2))
}
