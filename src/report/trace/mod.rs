//! A run as an OpenTelemetry trace.
//!
//! A reading of events like every other report: nothing is measured for it. It stands beside the
//! report that people or tools are shown, and whatever becomes of it, the run does not notice.

mod ids;
pub mod otlp;
mod send;
mod settings;
mod spans;
mod tell;
mod whole;

#[cfg(test)]
mod tests;

use crate::words::event::Stamped;
use crate::words::report::Report;

use super::out;
use otlp::attribute;
use send::{Lost, Sending};
pub use settings::Settings;
pub use spans::Spans;

/// Spans that ended so long before an earlier process was last heard of are sent again: it may have
/// died with them.
const AGAIN_MS: i64 = 15_000;

/// Sends a run's spans while it goes on.
pub struct TraceReport {
    settings: Settings,
    spans: Spans,
    sending: Option<Sending>,
    /// Could the thread not be started?
    failed: bool,
    quiet: bool,
}

impl TraceReport {
    /// A report of a run; `before` is what happened in earlier processes. With `quiet` it never says
    /// that spans could not be sent.
    #[must_use]
    pub fn new(settings: Settings, before: &[Stamped], quiet: bool) -> Self {
        let mut spans = Spans::default();
        spans.recall(before, AGAIN_MS);
        Self {
            settings,
            spans,
            sending: None,
            failed: false,
            quiet,
        }
    }

    fn send(&mut self, run: &str) {
        let spans = self.spans.take();
        if spans.is_empty() || self.failed {
            return;
        }
        if self.sending.is_none() {
            if let Some(ids) = self.spans.ids() {
                let (trace, to) = (ids::hex(&ids.trace), self.settings.shown_url());
                tracing::info!("trace: {trace} goes to {to}");
            }
            let about = vec![attribute("cicd.pipeline.run.id", run)];
            self.sending = Sending::start(self.settings.clone(), about);
            self.failed = self.sending.is_none();
        }
        if let Some(sending) = &mut self.sending {
            sending.send(spans);
        }
    }
}

impl Report for TraceReport {
    fn event(&mut self, event: &Stamped) {
        self.spans.tell(event);
        self.send(&event.run);
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.spans.tell_unwritten(event);
        self.send(&event.run);
    }
}

impl Drop for TraceReport {
    fn drop(&mut self) {
        let lost = match self.sending.take() {
            Some(sending) => sending.end(),
            None if self.failed => Lost {
                spans: 0,
                is_cut_short: true,
                why: "no thread could be started".into(),
            },
            None => return,
        };
        let is_whole = lost.spans == 0 && !lost.is_cut_short;
        if !is_whole && !self.quiet {
            let url = self.settings.shown_url();
            let why = lost.why;
            let missing = match lost.spans {
                _ if lost.is_cut_short => "its end may be missing".to_owned(),
                1 => "1 span is missing".to_owned(),
                n => format!("{n} spans are missing"),
            };
            out::error_line(&format!(
                "warning: the trace could not be sent whole to {url}: {why}; {missing}. \
                 The run is not affected"
            ));
        }
    }
}
