//! This machine as a target: starts a step, ends it, finds it again, reads its output.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags};

use super::step_supervisor::publish::{self, Started};
use super::step_supervisor::{OUT, boot_id, segment_name, tree};
use crate::words::step::{ProcessFact, StepEnd, StepSpec};

mod left_over;
mod running;
mod standby;

pub use running::{Running, Standing};
pub use standby::Standby;

/// A lock is held before its first line is there for less than a millisecond, by a supervisor that begins or by
/// somebody who looks; longer than this something is wrong.
const BEGINNING: Duration = Duration::from_secs(5);

/// Why a supervisor could not be started. The step has not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The description of the step has no program.
    #[error("the step has no command: its argument list is empty")]
    NoProgram,
    /// The directory could not be made.
    #[error("cannot make the step directory {dir:?}: {error}")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The process could not be started.
    #[error("cannot start the supervisor of the step in {dir:?}: {error}")]
    Spawn {
        /// The step directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Why it cannot be told how a step stands. It must be treated as one that may have run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A file could not be read or written.
    #[error("cannot tell how the step in {dir:?} stands: {error}")]
    Io {
        /// The step directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The lock is held, but nobody says who holds it.
    #[error(
        "cannot tell how the step in {dir:?} stands: its lock has been held for {}s without a supervisor; \
         see who has the file \"lock\" there open",
        BEGINNING.as_secs()
    )]
    Held {
        /// The step directory.
        dir: PathBuf,
    },
}

/// How a step stands.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one exists at a time, and only briefly"
)]
pub enum Found {
    /// It is over.
    Ended(Box<StepEnd>),
    /// Its supervisor runs.
    Running(Running),
    /// It never began, and never will in this directory.
    NeverStarted,
    /// It began, and nobody saw its end: its outcome is unknown.
    Lost {
        /// What happened to its supervisor.
        why: Lost,
        /// Processes of it that were still there and have been ended now.
        killed: Vec<ProcessFact>,
        /// Processes of it that could not be ended.
        survivors: Vec<ProcessFact>,
    },
}

/// What happened to the supervisor of a step that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The machine was started anew.
    Reboot,
    /// It was killed or had a defect.
    SupervisorDied,
    /// Nobody knows: somebody removed the directory of the step.
    Removed,
}

impl Lost {
    /// In words, as a reason.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reboot => "the machine was started anew",
            Self::SupervisorDied => "its supervisor was killed",
            Self::Removed => "its directory was removed from the state directory",
        }
    }
}

/// How fast to end a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// TERM, the step's grace, then KILL.
    WithGrace,
    /// KILL now.
    Now,
}

/// The directory of one attempt of a step.
#[derive(Clone, Debug)]
pub struct StepDir {
    path: PathBuf,
    exe: PathBuf,
}

impl StepDir {
    /// A step directory; it need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            exe: "/proc/self/exe".into(),
        }
    }

    /// Takes another program than this one for the supervisor; its `main` must call
    /// [`dispatch`](super::step_supervisor::dispatch).
    #[must_use]
    pub fn with_exe(mut self, exe: impl Into<PathBuf>) -> Self {
        self.exe = exe.into();
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the step under a supervisor that will not have another; see [`Standby::start`].
    ///
    /// # Errors
    /// When there is no supervisor; the step has not run then.
    pub fn start(&self, spec: &StepSpec) -> Result<Running, StartError> {
        Standby::with_exe(&self.exe).start(&self.path, spec)
    }

    /// Makes the directory. To be called before the intent of the step is journalled: a step that
    /// is in the journal and has no directory later did not fail to begin, but lost its files.
    ///
    /// # Errors
    /// When the system refuses; nothing can be started in it then.
    pub fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
    }

    /// Removes the directory if there is nothing in it. The step was not begun then, and cannot be
    /// any more. False if there is something.
    #[must_use]
    pub fn remove_empty(&self) -> bool {
        std::fs::remove_dir(&self.path).is_ok()
    }

    /// Finds out how the step stands. `begun_in` is the [`boot_id`] under which its intent was
    /// journalled: files that were not synced may be gone after a power cut, and a step without
    /// files is then lost, not one that never began.
    ///
    /// The directory must have been [made](StepDir::make) before. A step that never began is made
    /// impossible, so that a late supervisor cannot run it. What a
    /// lost step has left running is ended, with the step's grace; this call then takes as long.
    /// Found are: processes with the step's mark in their environment, their descendants, and the
    /// sessions and process groups of these. A daemon that has both cut its ancestry and cleared its
    /// environment is not found without its supervisor; nor are, unless root asks, those of other
    /// users.
    ///
    /// # Errors
    /// When it cannot be told. The step may have run.
    pub fn find(&self, begun_in: &str) -> Result<Found, FindError> {
        let until = Instant::now() + BEGINNING;
        loop {
            if let Some(found) = self.look(begun_in).map_err(|e| self.io(e))? {
                return Ok(found);
            }
            if Instant::now() >= until {
                return Err(FindError::Held {
                    dir: self.path.clone(),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Does the step run now? Unlike [`StepDir::find`] it only looks.
    #[must_use]
    pub fn acts(&self) -> bool {
        matches!(self.ended(), Ok(None)) && matches!(self.running(), Ok(Some(_)))
    }

    fn io(&self, error: io::Error) -> FindError {
        FindError::Io {
            dir: self.path.clone(),
            error,
        }
    }

    /// `None` if a supervisor or another controller is just about to change things.
    fn look(&self, begun_in: &str) -> io::Result<Option<Found>> {
        if let Some(end) = self.ended()? {
            return Ok(Some(end));
        }
        let now = boot_id()?;
        if !self.path.is_dir() {
            // It is made before the intent is journalled.
            return Ok(Some(lost(if begun_in == now {
                Lost::Removed
            } else {
                Lost::Reboot
            })));
        }
        let lock = publish::lock_file(&self.path)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return self.running(),
            Err(TryLockError::Error(e)) => return Err(e),
            Ok(()) => {}
        }
        // Under the lock nothing changes any more; the end may have come just before.
        if let Some(end) = self.ended()? {
            return Ok(Some(end));
        }
        let lines = match publish::read_lines(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                // Only a power cut damages a line that is whole.
                return Ok(Some(lost(if begun_in == now {
                    Lost::SupervisorDied
                } else {
                    Lost::Reboot
                })));
            }
            other => other?,
        };
        Ok(Some(match lines.started {
            None if begun_in != now => lost(Lost::Reboot),
            None => {
                forbid(&lock, now)?;
                Found::NeverStarted
            }
            Some(s) if s.void => Found::NeverStarted,
            Some(s) if s.boot_id != now => lost(Lost::Reboot),
            Some(s) => {
                let (killed, survivors) = left_over::end(&s, lines.child.as_ref());
                Found::Lost {
                    why: Lost::SupervisorDied,
                    killed,
                    survivors,
                }
            }
        }))
    }

    fn ended(&self) -> io::Result<Option<Found>> {
        match publish::read::<StepEnd>(&self.path, publish::EXIT) {
            Ok(end) => Ok(end.map(|end| Found::Ended(Box::new(end)))),
            // Torn by a power cut: as if it were not there.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn running(&self) -> io::Result<Option<Found>> {
        let started = publish::read_lines(&self.path).ok().and_then(|l| l.started);
        let Some(started) = started.filter(|s| !s.void) else {
            return Ok(None);
        };
        let Some(pid) = Pid::from_raw(started.pid) else {
            return Ok(None);
        };
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) else {
            return Ok(None);
        };
        // Looked at after it was pinned: it is the supervisor, or that is gone.
        // One that is dead but not yet waited for does not run; its lock is then held, for a moment,
        // by the command's process, which has not come to execute the command.
        let same = tree::stat(started.pid)
            .is_some_and(|s| s.starttime == started.starttime && s.is_live());
        Ok(same.then_some(Found::Running(Running::adopted(pidfd))))
    }

    /// Reads at most `most` bytes of the output (masked, both streams in order of arrival) at or
    /// behind `offset`. Less than all may have been kept, so what comes back says where it begins.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn read_output(&self, offset: u64, most: usize) -> io::Result<OutputPart> {
        // A segment may be removed between looking and opening; the next look no longer shows it.
        for _ in 0..10 {
            let Some((start, len)) = self.segment_at(offset)? else {
                return Ok(OutputPart {
                    offset,
                    bytes: Vec::new(),
                });
            };
            let name = if start == 0 {
                OUT.to_owned()
            } else {
                segment_name(start)
            };
            let file = match File::open(self.path.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let from = offset.max(start);
            let want = usize::try_from(start + len - from)
                .unwrap_or(usize::MAX)
                .min(most);
            let mut bytes = vec![0; want];
            let mut read = 0;
            while read < want {
                match file.read_at(&mut bytes[read..], from - start + read as u64) {
                    Ok(0) => break,
                    Ok(n) => read += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            bytes.truncate(read);
            return Ok(OutputPart {
                offset: from,
                bytes,
            });
        }
        Ok(OutputPart {
            offset,
            bytes: Vec::new(),
        })
    }

    /// How many bytes of output there were so far, kept or not.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn output_len(&self) -> io::Result<u64> {
        Ok(self
            .segments()?
            .last()
            .map_or(0, |(start, len)| start + len))
    }

    /// The first segment that has bytes at or behind `offset`.
    fn segment_at(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        Ok(self
            .segments()?
            .into_iter()
            .find(|(start, len)| start + len > offset))
    }

    /// Offset and length of the files of the spool, in order.
    fn segments(&self) -> io::Result<Vec<(u64, u64)>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let start = match name.to_str().and_then(|n| n.strip_prefix(OUT)) {
                Some("") => Some(0),
                Some(rest) => rest.strip_prefix('.').and_then(|n| n.parse().ok()),
                None => None,
            };
            // One that has just been removed is as good as not listed.
            if let (Some(start), Ok(meta)) = (start, entry.metadata()) {
                found.push((start, meta.len()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Makes it impossible to begin the step. To be called under the lock.
fn forbid(lock: &File, boot_id: String) -> io::Result<()> {
    let void = Started {
        void: true,
        pid: 0,
        starttime: 0,
        boot_id,
        mark: String::new(),
        grace_ms: 0,
    };
    publish::say_void(lock, &void)
}

fn lost(why: Lost) -> Found {
    Found::Lost {
        why,
        killed: Vec::new(),
        survivors: Vec::new(),
    }
}

/// A part of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPart {
    /// Where it begins. Behind the offset that was asked for if the bytes between were not kept.
    pub offset: u64,
    /// The bytes; none if there are no more now.
    pub bytes: Vec<u8>,
}
