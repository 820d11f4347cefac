//! The spans of a run: which are open, whose children they are, and which are done.

use std::collections::{BTreeMap, HashMap};

use crate::words::call::{Call, CallId};
use crate::words::event::{LimitBy, Stamped};
use crate::words::header::Header;
use crate::words::hidden::visible;

use super::ids::Ids;
use super::otlp::attribute;
use super::otlp::{ERROR, Happened, INTERNAL, KeyValue, Link, SAMPLED, Span, Status, Value};

/// Characters of a name or a message that are sent.
const LONGEST_NAME: usize = 200;
const LONGEST_MESSAGE: usize = 1000;
/// Events of a span that are sent; others are counted. The number that all SDKs begin with.
const MOST_EVENTS: usize = 128;

/// Events in, spans out.
///
/// A span is given away when it has ended. What a run that is taken up did before is told with
/// [`Spans::recall`].
#[derive(Debug, Default)]
pub struct Spans {
    /// From the first event on.
    pub(super) ids: Option<Ids>,
    pub(super) run: String,
    pub(super) open: BTreeMap<Key, Span>,
    /// The groups that are open in each fiber, the innermost last.
    pub(super) groups: HashMap<String, Vec<CallId>>,
    /// How often the steps and the groups of calls have been tried.
    pub(super) tries: HashMap<CallId, u32>,
    /// Under which limit steps stand.
    pub(super) limits: HashMap<CallId, LimitBy>,
    /// Calls that take time and have no span until they end.
    pub(super) began: HashMap<CallId, Call>,
    /// How often watches were sampled, and how often that was bad.
    pub(super) samples: HashMap<CallId, (u64, u64)>,
    pub(super) header: Header,
    pub(super) phases: u32,
    pub(super) now_ms: i64,
    /// Is what is told now not in the journal?
    pub(super) unwritten: bool,
    pub(super) done: Vec<Span>,
}

/// What is going on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Run,
    Phase,
    Lock,
    Window,
    Approval(String),
    Watch(CallId),
    Group(CallId),
    Call(CallId),
    Step(CallId, u32),
    BackOut(CallId, u32),
}

/// Whose child a span is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Under<'c> {
    /// The phase's.
    Phase,
    /// The run's.
    Run,
    /// That of the group or the back-out in which the call stands, or else the phase's.
    Call(&'c CallId),
}

impl Spans {
    /// What happened in an earlier process. Of what ended then, those spans are given again that it
    /// may not have sent any more: those of the last `again_ms` milliseconds, unless it left the run
    /// by itself.
    pub fn recall(&mut self, before: &[Stamped], again_ms: i64) {
        for event in before {
            self.tell(event);
        }
        let left = before
            .last()
            .is_some_and(|last| last.event.kind() == "left");
        let from = nanos(self.now_ms.saturating_sub(again_ms));
        self.done
            .retain(|span| !left && span.end_time_unix_nano >= from);
    }

    /// Something happened.
    pub fn tell(&mut self, stamped: &Stamped) {
        // Whatever a clock did, the trace goes forward.
        self.now_ms = self.now_ms.max(stamped.at_ms);
        self.on(stamped);
    }

    /// The same, for what could not be written to the journal.
    pub fn tell_unwritten(&mut self, stamped: &Stamped) {
        self.unwritten = true;
        self.tell(stamped);
    }

    /// The spans that have ended since they were asked for last.
    pub fn take(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.done)
    }

    /// The trace.
    #[must_use]
    pub fn ids(&self) -> Option<&Ids> {
        self.ids.as_ref()
    }

    /// Begins a span. `id` names it among all of the run's.
    pub(super) fn begin(
        &mut self,
        key: Key,
        id: &str,
        name: &str,
        under: Under<'_>,
    ) -> Option<&mut Span> {
        let span = self.make(id, name, under)?;
        Some(self.open.entry(key).insert_entry(span).into_mut())
    }

    /// A span that begins now.
    pub(super) fn make(&self, id: &str, name: &str, under: Under<'_>) -> Option<Span> {
        let ids = self.ids.as_ref()?;
        let now = nanos(self.now_ms);
        Some(Span {
            trace_id: ids.trace.to_vec(),
            span_id: ids.span(id).to_vec(),
            parent_span_id: self.parent(under),
            name: cut(name, LONGEST_NAME),
            kind: INTERNAL,
            start_time_unix_nano: now,
            end_time_unix_nano: now,
            attributes: Vec::new(),
            events: Vec::new(),
            dropped_events_count: 0,
            links: Vec::new(),
            status: None,
            flags: SAMPLED,
        })
    }

    fn parent(&self, under: Under<'_>) -> Vec<u8> {
        let of = |key: &Key| self.open.get(key).map(|span| span.span_id.clone());
        let phase = || of(&Key::Phase).or_else(|| of(&Key::Run));
        let parent = match under {
            Under::Run => of(&Key::Run),
            Under::Phase => phase(),
            Under::Call(id) => self
                .groups
                .get(&id.fiber)
                .and_then(|groups| groups.last())
                .and_then(|group| of(&Key::Group(group.clone())))
                .or_else(|| self.back_out_of_fiber(&id.fiber))
                .or_else(phase),
        };
        parent.unwrap_or_default()
    }

    fn back_out_of_fiber(&self, fiber: &str) -> Option<Vec<u8>> {
        if fiber.is_empty() {
            return None;
        }
        self.open.iter().find_map(|(key, span)| match key {
            Key::BackOut(id, _) if id.back_out_fiber() == fiber => Some(span.span_id.clone()),
            _ => None,
        })
    }

    /// Ends a span, if it is open; `last` is what there is to say about its end.
    pub(super) fn end(&mut self, key: &Key, last: impl FnOnce(&mut Span)) {
        if let Some(mut span) = self.open.remove(key) {
            last(&mut span);
            self.finish(span);
        }
    }

    /// A span that ends now.
    pub(super) fn finish(&mut self, mut span: Span) {
        span.end_time_unix_nano = nanos(self.now_ms).max(span.start_time_unix_nano);
        if self.unwritten {
            span.set("deployrun.unwritten", true);
        }
        self.done.push(span);
    }

    /// Ends what the plan was in the midst of.
    pub(super) fn stop(&mut self, is_meant: impl Fn(&Key) -> bool) {
        let keys: Vec<Key> = self
            .open
            .keys()
            .filter(|key| is_meant(key))
            .cloned()
            .collect();
        for key in keys {
            if let Key::Group(id) = &key {
                self.groups.remove(&id.fiber);
            }
            if let Key::Watch(id) = &key {
                let (all, bad) = self.samples.remove(id).unwrap_or_default();
                self.end(&key, |span| {
                    span.set("deployrun.watch.samples", all);
                    span.set("deployrun.watch.bad_samples", bad);
                });
            } else {
                self.end(&key, |span| span.set("deployrun.outcome", "stopped"));
            }
        }
    }

    /// Something that happened in the run as a whole.
    pub(super) fn happened(&mut self, name: &str, attributes: Vec<KeyValue>) {
        let now_ms = self.now_ms;
        if let Some(run) = self.open.get_mut(&Key::Run) {
            run.happened(now_ms, name, attributes);
        }
    }

    /// The span of the last try of a step, to be linked with.
    pub(super) fn link_to_step(&self, id: &CallId) -> Option<Link> {
        let ids = self.ids.as_ref()?;
        let attempt = self.tries.get(id)?;
        Some(Link {
            trace_id: ids.trace.to_vec(),
            span_id: ids.span(&step_name(id, *attempt)).to_vec(),
            attributes: vec![attribute("deployrun.link", "undoes")],
        })
    }
}

/// What the span of a step is named by.
pub(super) fn step_name(id: &CallId, attempt: u32) -> String {
    format!("step {id} {attempt}")
}

impl Span {
    /// Adds an attribute.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.attributes.push(attribute(key, value));
    }

    /// Adds an attribute, if the text says anything.
    pub(super) fn set_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.set(key, cut(text, LONGEST_MESSAGE));
        }
    }

    /// It went wrong.
    pub(super) fn fail(&mut self, kind: &str, message: &str) {
        self.set("error.type", kind);
        self.status = Some(Status {
            message: cut(message, LONGEST_MESSAGE),
            code: ERROR,
        });
    }

    /// Something happened meanwhile.
    pub(super) fn happened(&mut self, at_ms: i64, name: &str, attributes: Vec<KeyValue>) {
        if self.events.len() >= MOST_EVENTS {
            self.dropped_events_count += 1;
            return;
        }
        self.events.push(Happened {
            time_unix_nano: nanos(at_ms),
            name: name.to_owned(),
            attributes,
        });
    }
}

/// Milliseconds since 1970 in nanoseconds.
pub(super) fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}

/// One line of a text, not longer than `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let mut shown: String = visible(line).chars().take(most + 1).collect();
    if shown.chars().count() > most {
        shown.pop();
        shown.pop();
        shown.push('…');
    }
    shown
}
