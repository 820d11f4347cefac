//! The process around a step.
//!
//! The controller starts its own binary again as `deployrun __supervise`, with one end of a link (see
//! `orders`) for stdin, and gives it a step. The process owns the step from then on, so that a step
//! neither dies with the controller nor outlives its timeout: it is in a session of its own, the
//! subreaper of all that the step starts, reads the output, keeps the deadlines, ends the whole tree
//! when it must end, and publishes how the step ended. It has no threads, no async runtime and syncs
//! nothing.
//!
//! When the step has ended and left nothing behind, no process and no open pipe, the supervisor is as
//! it was at first, and takes on another step; else it exits. One whose controller is gone brings its
//! step to the end and exits.
//!
//! TERM asks it to stop the step in flight with its grace, INT to kill it now: that is how a process
//! speaks to it that has adopted the step of a dead controller. The controller itself sends orders,
//! which cannot meet the step after the one that was meant.

mod abort;
mod child;
mod control;
mod drain;
mod ending;
pub(crate) mod orders;
mod output;
pub(crate) mod publish;
mod signals;
pub(crate) mod tree;
mod watch;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use child::{find_program, memory_file, output_pipe};
pub(crate) use output::{OUT, segment_name, visible};
pub use publish::boot_id;
use publish::{ChildFact, Started};

use crate::words::mask::Masker;
use crate::words::step::{Captured, CutOff, End, StepEnd, StepSpec};

/// First argument that makes this binary a supervisor.
pub const SUPERVISE: &str = "__supervise";
/// First argument of the stage that changes the user.
pub(crate) const AS_USER: &str = "__as_user";
/// First argument of the process that reads on for a daemon.
pub(crate) const DRAIN: &str = "__drain";
/// Variable in the environment of a step by which its processes are found again.
pub const MARK: &str = "DEPLOYRUN_STEP";

/// Bytes that are read at once: what a pipe holds.
const BLOCK: usize = 64 * 1024;
/// After this silence an unfinished line is shown and searched.
const SILENCE: Duration = Duration::from_millis(200);
/// Largest description of a step, in bytes.
const LARGEST_SPEC: u64 = 64 << 20;
/// How long the lack of something may keep the end of a step from being published.
const NO_SPACE: Duration = Duration::from_secs(60);

/// Exit statuses of a supervisor; 0 means that `exit` is there.
pub(crate) const REFUSED: i32 = 70;
pub(crate) const BAD_SPEC: i32 = 71;
pub(crate) const NO_SETUP: i32 = 72;
pub(crate) const TAKEN: i32 = 73;
pub(crate) const NOT_STARTED: i32 = 74;
pub(crate) const NOT_PUBLISHED: i32 = 75;

/// Runs the part of a step supervisor that `args` (without the program) name, and returns the status
/// to exit with; `None` if they name none. It must be the first thing `main` does: it closes every
/// descriptor above 2.
#[must_use]
pub fn dispatch(args: &[OsString]) -> Option<i32> {
    let (first, rest) = args.split_first()?;
    match first.to_str()? {
        SUPERVISE => {
            signals::close_inherited();
            if !rest.is_empty() {
                return Some(REFUSED);
            }
            Some(supervise())
        }
        AS_USER => Some(child::become_user(rest)),
        DRAIN => {
            signals::close_inherited();
            Some(drain::run())
        }
        _ => None,
    }
}

/// Runs the steps that the controller at the other end of stdin gives it. It changes the whole
/// process (session, signals, working directory) and is therefore called by [`dispatch`] only.
/// Returns 0 once the end of its last step has been published; with another status that step was not
/// taken on, except for 75: it ran, and nobody will know how it ended.
#[must_use]
pub fn supervise() -> i32 {
    let Ok(mut control) = control::Control::install() else {
        return NO_SETUP;
    };
    let own = rustix::process::getpid();
    let alone = rustix::process::setsid().is_ok()
        && rustix::process::set_child_subreaper(Some(own)).is_ok()
        // No file system is kept busy by this process.
        && std::env::set_current_dir("/").is_ok();
    if !alone {
        return NO_SETUP;
    }
    let mut last = 0;
    while let Some((dir, spec)) = control.next_step() {
        let (status, clean) = serve(&dir, spec, &mut control);
        last = status;
        let ready = clean && control.has_controller();
        control.answer(orders::Answer {
            status: u8::try_from(status).unwrap_or(u8::MAX),
            ready,
        });
        if !ready {
            break;
        }
    }
    last
}

/// Runs one step, with its files in `dir`. Returns the status of [`supervise`], and whether nothing is
/// left of the step.
fn serve(dir: &Path, spec: File, control: &mut control::Control) -> (i32, bool) {
    note_panics(dir);
    let Some(spec) = read_spec(spec) else {
        return (BAD_SPEC, true);
    };
    let Ok(lock) = publish::lock_file(dir) else {
        return (NOT_STARTED, true);
    };
    if lock.try_lock().is_err() {
        return (TAKEN, true);
    }
    match publish::is_written(&lock) {
        Ok(false) => {}
        Ok(true) => return (TAKEN, true),
        Err(_) => return (NOT_STARTED, true),
    }
    let Some(started) = started(&spec) else {
        return (NO_SETUP, true);
    };
    let ready = publish::reserve(dir).and_then(|()| publish::say_started(&lock, &started));
    if ready.is_err() {
        return (NOT_STARTED, true);
    }
    let over = run(&spec, dir, (&lock, &started.mark), control);
    let clean = over.clean;
    let status = publish_end(dir, over, &spec);
    // The lock is held to the very end.
    drop(lock);
    (status, clean && status == 0)
}

fn read_spec(mut file: File) -> Option<StepSpec> {
    let length = file.metadata().ok()?.len();
    if length > LARGEST_SPEC {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn started(spec: &StepSpec) -> Option<Started> {
    let pid = tree::own_pid();
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    Some(Started {
        void: false,
        pid,
        starttime: tree::stat(pid)?.starttime,
        boot_id: boot_id().ok()?,
        mark: format!("{}/{}/{nanos:x}-{pid}", spec.run, spec.step),
        grace_ms: spec.grace_ms,
    })
}

/// Runs the step. Whatever is wrong before its command exists becomes [`End::NotStarted`].
fn run(
    spec: &StepSpec,
    dir: &Path,
    (lock, mark): (&File, &str),
    control: &mut control::Control,
) -> watch::Over {
    let spool = output::Spool::new(dir, spec.max_output);
    let masker = match Masker::new(&spec.secrets) {
        Ok(masker) => masker,
        Err(e) => return not_started(spool, e.to_string(), None),
    };
    let patterns = match spec.abort_on.as_slice() {
        [] => None,
        list => match abort::Patterns::new(list) {
            Ok(patterns) => Some(patterns),
            Err(error) => return not_started(spool, masker.mask_str(&error), None),
        },
    };
    control.listen();
    if control.take_end() | control.take_end_now() {
        let error = "it was stopped before it had begun".to_owned();
        return not_started(spool, error, Some(CutOff::Stopped));
    }
    match child::start(spec, mark) {
        Err(error) => not_started(spool, masker.mask_str(&error), None),
        Ok((child, pipes)) => {
            if let Some(stat) = tree::stat(child.pid) {
                // Only the search for left-over processes uses it, and has the mark besides.
                let fact = ChildFact {
                    pid: stat.pid,
                    starttime: stat.starttime,
                };
                let _ = publish::say_child(lock, &fact);
            }
            watch::Watch::new(spec, mark, spool, (child, pipes), control, masker, patterns).run()
        }
    }
}

fn not_started(spool: output::Spool, error: String, cut_off: Option<CutOff>) -> watch::Over {
    let end = StepEnd {
        end: End::NotStarted { error },
        cut_off,
        duration_ms: 0,
        stdout: Captured::default(),
        stderr: Captured::default(),
        tail: String::new(),
        output_bytes: 0,
        dropped_bytes: 0,
        left_running: Vec::new(),
        killed: Vec::new(),
        survivors: Vec::new(),
    };
    watch::Over {
        end,
        spool,
        open: None,
        clean: true,
    }
}

/// Publishes the end, on a full disk in short, and hands pipes that are still held to a drainer.
fn publish_end(dir: &Path, mut over: watch::Over, spec: &StepSpec) -> i32 {
    let mut published = publish::publish_end(dir, &over.end);
    if published.is_err() {
        shorten(&mut over.end);
        published = publish::publish_end(dir, &over.end);
    }
    let until = Instant::now() + NO_SPACE;
    while published.as_ref().is_err_and(waiting_helps) && Instant::now() < until {
        std::thread::sleep(SILENCE);
        published = publish::publish_end(dir, &over.end);
    }
    if let Some(open) = over.open.take() {
        let _ = drain::start(&over.handover(dir, spec, open.held), open.streams);
    }
    if published.is_ok() { 0 } else { NOT_PUBLISHED }
}

/// May the same succeed in a moment? Not where the directory is gone or may not be written to any more, as
/// on a file system that the system has made read-only.
fn waiting_helps(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lacks = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
    ];
    lacks
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Makes an end small enough for the space that was reserved for it. How the step ended and who
/// survived comes first.
fn shorten(end: &mut StepEnd) {
    for copy in [&mut end.stdout, &mut end.stderr] {
        *copy = Captured {
            text: String::new(),
            cut: true,
        };
    }
    end.tail.clear();
    let first = |text: &mut String, n: usize| *text = text.chars().take(n).collect();
    for list in [&mut end.survivors, &mut end.left_running, &mut end.killed] {
        list.truncate(4);
        list.iter_mut()
            .for_each(|fact| first(&mut fact.command, 24));
    }
    if let Some(CutOff::AbortOn { pattern, line }) = &mut end.cut_off {
        first(pattern, 80);
        first(line, 80);
    }
    if let End::NotStarted { error } = &mut end.end {
        first(error, 200);
    }
}

/// A defect of the supervisor must not vanish in `/dev/null`.
fn note_panics(dir: &Path) {
    let file = dir.join(publish::PANIC);
    std::panic::set_hook(Box::new(move |info| {
        let _ = std::fs::write(&file, format!("{info}\n"));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::step::ProcessFact;

    #[test]
    fn only_a_lack_is_waited_for() {
        let told = |errno: rustix::io::Errno| waiting_helps(&errno.into());
        assert!(told(rustix::io::Errno::NOSPC));
        assert!(!told(rustix::io::Errno::ROFS));
        assert!(!told(rustix::io::Errno::NOENT));
    }

    #[test]
    fn the_end_can_always_be_made_to_fit() {
        let dir = tempfile::tempdir().unwrap();
        let spool = output::Spool::new(dir.path(), 0);
        let cut_off = CutOff::AbortOn {
            pattern: "ä".repeat(5000),
            line: "\u{1}".repeat(1000),
        };
        let mut end = not_started(spool, "\u{1F980}".repeat(9000), Some(cut_off)).end;
        let fact = ProcessFact {
            pid: 1,
            state: 'D',
            command: "\"".repeat(256),
            holds_output: true,
        };
        end.killed = vec![fact.clone(); 256];
        end.survivors = vec![fact.clone(); 256];
        end.left_running = vec![fact; 256];
        end.stdout.text = "y".repeat(300_000);
        shorten(&mut end);
        assert!(serde_json::to_vec(&end).unwrap().len() <= publish::RESERVE);
        assert_eq!(end.survivors.len(), 4);
    }
}
