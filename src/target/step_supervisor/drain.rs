//! Reads on for a daemon that a step left behind with the step's output pipes.
//!
//! Were the pipes closed, the freshly deployed daemon would die of SIGPIPE at its next line. The
//! supervisor itself must end, because its end is what an adopter waits for, so the pipes are
//! handed to this process: stdin is a file in memory with what it has to know, stdout and stderr are
//! the read ends.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use super::output::{Spool, SpoolState};
use super::{BLOCK, DRAIN, SILENCE, child};
use crate::words::mask::Masker;

/// What a drainer must know. It may hold secrets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handover {
    pub dir: PathBuf,
    pub spool: SpoolState,
    pub secrets: Vec<String>,
    /// Bytes of stdout and stderr that are held back by masking.
    pub held: [Vec<u8>; 2],
}

/// Starts a drainer for the streams that are still open.
pub(crate) fn start(handover: &Handover, streams: [Option<OwnedFd>; 2]) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(handover)?;
    let mut expression = duct::cmd("/proc/self/exe", [DRAIN])
        .stdin_file(child::memory_file("drain", &bytes)?)
        .full_env(std::iter::empty::<(String, String)>())
        .dir("/");
    let [stdout, stderr] = streams;
    expression = match stdout {
        Some(fd) => expression.stdout_file(fd),
        None => expression.stdout_null(),
    };
    expression = match stderr {
        Some(fd) => expression.stderr_file(fd),
        None => expression.stderr_null(),
    };
    expression.start().map(drop)
}

/// The drainer: runs until nobody holds the pipes any more.
pub(crate) fn run() -> i32 {
    let Ok(handover) = serde_json::from_reader::<_, Handover>(std::io::stdin().lock()) else {
        return super::REFUSED;
    };
    let Ok(masker) = Masker::new(&handover.secrets) else {
        return super::REFUSED;
    };
    let mut spool = Spool::resume(Path::new(&handover.dir), handover.spool);
    let mut maskers = [masker.fresh(), masker];
    let mut out = Vec::new();
    for (masker, held) in maskers.iter_mut().zip(&handover.held) {
        masker.push(held, &mut out);
    }
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let streams = [stdout.as_fd(), stderr.as_fd()];
    let mut open = [true, true];
    let mut block = vec![0; BLOCK];
    while open != [false, false] {
        spool.write(&out);
        out.clear();
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        for (stream, _) in streams.iter().zip(open).filter(|(_, open)| *open) {
            fds.push(PollFd::new(stream, PollFlags::IN));
        }
        let silence = Timespec::try_from(SILENCE).ok();
        let holds = maskers.iter().any(Masker::holds);
        match rustix::event::poll(&mut fds, silence.as_ref().filter(|_| holds)) {
            Ok(0) => maskers.iter_mut().for_each(|m| m.flush_idle(&mut out)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return super::REFUSED,
        }
        for i in 0..2 {
            if !open[i] {
                continue;
            }
            match rustix::io::read(streams[i], &mut block) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                // Also /dev/null in the place of a stream that had ended.
                Ok(0) | Err(_) => {
                    open[i] = false;
                    maskers[i].finish(&mut out);
                }
                Ok(n) => maskers[i].push(&block[..n], &mut out),
            }
        }
    }
    spool.write(&out);
    0
}
