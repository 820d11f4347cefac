//! The last lines of a step's output, read as it grows, however fast that is.

use std::collections::VecDeque;

use crate::report::output::{Cutter, Piece};
use crate::target::local::StepDir;

/// Bytes at the end of an output that are read in one look; what came before them is left out.
const LOOK: usize = 16 * 1024;
/// Lines that are kept.
const KEPT: usize = 8;

/// The end of one output.
#[derive(Debug)]
pub struct Tail {
    dir: StepDir,
    offset: u64,
    cutter: Cutter,
    lines: VecDeque<String>,
    grew_ms: Option<i64>,
}

impl Tail {
    /// The end of an output that has not been looked at.
    #[must_use]
    pub fn new(dir: StepDir) -> Self {
        Self {
            dir,
            offset: 0,
            cutter: Cutter::default(),
            lines: VecDeque::new(),
            grew_ms: None,
        }
    }

    /// Looks whether there is more; says so.
    pub fn look(&mut self, now_ms: i64) -> bool {
        let Ok(len) = self.dir.output_len() else {
            return false;
        };
        if len <= self.offset {
            return false;
        }
        let from = len.saturating_sub(LOOK as u64);
        if from > self.offset {
            self.offset = from;
            self.cutter.skip();
            self.lines.clear();
        }
        let mut pieces = VecDeque::new();
        // An output that grows meanwhile has another look coming.
        while self.offset < len {
            let part = match self.dir.read_output(self.offset, LOOK) {
                Ok(part) if !part.bytes.is_empty() => part,
                _ => break,
            };
            if part.offset > self.offset {
                self.cutter.skip();
            }
            self.offset = part.offset + part.bytes.len() as u64;
            self.cutter.push(&part.bytes, &mut pieces);
        }
        for piece in pieces {
            if let Piece::Line(text) = piece {
                self.lines.push_back(text);
            }
        }
        while self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        self.grew_ms = Some(now_ms);
        true
    }

    /// Its last lines, the oldest first; the last one may have no end yet.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines.iter().cloned().collect();
        lines.extend(self.cutter.unfinished());
        lines
    }

    /// When it was last seen to have grown, milliseconds since 1970.
    #[must_use]
    pub fn grew_ms(&self) -> Option<i64> {
        self.grew_ms
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_end_is_followed_and_little_of_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(dir.path().join("out")).unwrap();
        let mut tail = Tail::new(StepDir::new(dir.path()));
        assert!(!tail.look(1));
        assert_eq!((tail.lines(), tail.grew_ms()), (Vec::new(), None));
        write!(file, "one\n 10%\r 20%").unwrap();
        assert!(tail.look(2));
        assert_eq!(tail.lines(), ["one", "20%"]);
        assert!(!tail.look(3));
        assert_eq!(tail.grew_ms(), Some(2));
        let many: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        file.write_all(many.as_bytes()).unwrap();
        assert!(tail.look(4));
        assert_eq!(tail.lines().len(), KEPT);
        assert_eq!(tail.lines().last().unwrap(), "line 99999");
        assert_eq!(tail.lines().first().unwrap(), "line 99992");
    }
}
