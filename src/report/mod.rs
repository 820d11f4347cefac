//! What people and tools are shown: events in, text out.
//!
//! Nothing is shown that is not an event, with two exceptions: how long something has been going on,
//! and the output of steps, which lies in their directories. [`lines`] decides what is said;
//! everything else here only brings it out.

mod area;
mod beside;
pub mod diagnostics;
pub mod explain;
pub mod github;
pub mod groups;
pub mod html;
pub mod human;
pub mod json;
pub mod junit;
pub mod line;
pub mod lines;
pub mod live;
pub mod manual;
pub mod out;
pub mod output;
pub mod preview;
pub mod sarif;
pub mod status;
pub mod story;
pub mod tested;
mod thread;
pub mod trace;

pub use beside::Beside;

use line::Tone;

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Are there colours?
    pub color: bool,
    /// How many columns there are, where that is known.
    pub columns: Option<usize>,
}

impl Style {
    /// `text` in a tone.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Dim => "2",
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
        };
        if !self.color || code.is_empty() || text.is_empty() {
            text.to_owned()
        } else {
            format!("\x1b[{code}m{text}\x1b[0m")
        }
    }
}
