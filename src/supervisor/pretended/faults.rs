//! What goes wrong on purpose.

use crate::target::pretended::glob;
use crate::words::call::Step;

/// At which step something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultAt {
    /// At the step with this number, from 1, of those that are started from now on.
    Number(u32),
    /// At the next step with this title or command, `*` for anything.
    Named(String),
}

impl std::fmt::Display for FaultAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "step {number}"),
            Self::Named(name) => write!(f, "the step `{name}`"),
        }
    }
}

/// What goes wrong with a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfortune {
    /// It fails with this exit status and output.
    Fails {
        /// The exit status.
        code: i32,
        /// On standard output.
        stdout: String,
        /// On standard error.
        stderr: String,
    },
    /// Nobody sees its end.
    Unknown,
    /// It is cut off by its timeout.
    TimesOut,
    /// A SIGINT comes while it runs.
    Interrupted,
    /// deployrun is killed while it runs.
    Killed,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which step.
    pub at: FaultAt,
    /// What.
    pub what: Misfortune,
    /// Has the step done all that it does, rather than nothing?
    pub done: bool,
    /// Steps that were started since this was said.
    seen: u32,
    /// Has it come to pass?
    hit: bool,
}

impl Fault {
    /// Something that is yet to go wrong.
    #[must_use]
    pub fn new(at: FaultAt, what: Misfortune, done: bool) -> Self {
        Self {
            at,
            what,
            done,
            seen: 0,
            hit: false,
        }
    }
}

/// All that goes wrong in a test.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Nothing more goes wrong.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those that have not come to pass, and how many steps they have seen.
    #[must_use]
    pub fn missed(&self) -> Vec<(FaultAt, u32)> {
        let missed = self.0.iter().filter(|fault| !fault.hit);
        missed.map(|fault| (fault.at.clone(), fault.seen)).collect()
    }

    /// What goes wrong with a step that is started now.
    pub(super) fn strike(&mut self, step: &Step, command: &str) -> Option<Fault> {
        let mut struck = None;
        for fault in self.0.iter_mut().filter(|fault| !fault.hit) {
            fault.seen += 1;
            let is_it = match &fault.at {
                FaultAt::Number(number) => *number == fault.seen,
                FaultAt::Named(name) => glob(name, &step.title) || glob(name, command),
            };
            if is_it && struck.is_none() {
                fault.hit = true;
                struck = Some(fault.clone());
            }
        }
        struck
    }
}
