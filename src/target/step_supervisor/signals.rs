//! Signals of the supervisor and what it inherited.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::SigSet;
use rustix::process::Signal;
use signal_hook::consts as sig;

/// A process that does not handle these dies of them. SIGXFSZ: a file that may not grow is like a full disk.
const HARMLESS: [i32; 11] = [
    sig::SIGHUP,
    sig::SIGQUIT,
    sig::SIGUSR1,
    sig::SIGUSR2,
    sig::SIGALRM,
    sig::SIGVTALRM,
    sig::SIGPROF,
    sig::SIGIO,
    sig::SIGXCPU,
    sig::SIGXFSZ,
    Signal::POWER.as_raw(),
];

/// Signals that arrive wake the poll loop through a socket.
pub(crate) struct Signals {
    wake: UnixStream,
    term: Arc<AtomicBool>,
    int: Arc<AtomicBool>,
}

impl Signals {
    /// Installs handlers and then lets every signal in. Whatever was ignored before is handled
    /// without effect instead, because children inherit what is ignored, but not a handler.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signals = Self {
            wake,
            term: Arc::default(),
            int: Arc::default(),
        };
        // The flag must be set before the wake-up, and actions run in order of registration.
        signal_hook::flag::register(sig::SIGTERM, signals.term.clone())?;
        signal_hook::flag::register(sig::SIGINT, signals.int.clone())?;
        for signal in [sig::SIGTERM, sig::SIGINT, sig::SIGCHLD] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        let nothing = Arc::new(AtomicBool::new(false));
        for signal in HARMLESS {
            signal_hook::flag::register(signal, nothing.clone())?;
        }
        // SIGPIPE is ignored by Rust itself and given back to children.
        let known = [
            sig::SIGPIPE,
            sig::SIGTERM,
            sig::SIGINT,
            sig::SIGCHLD,
            sig::SIGHUP,
        ];
        for signal in ignored()?.filter(|s| !known.contains(s)) {
            // Some can have no handler; then they are not inherited as ignored either.
            let _ = signal_hook::flag::register(signal, nothing.clone());
        }
        SigSet::empty().thread_set_mask()?;
        Ok(signals)
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Forgets the wake-ups so far; the flags stay.
    pub fn drain(&mut self) {
        let mut buf = [0; 64];
        while self.wake.read(&mut buf).is_ok_and(|n| n == buf.len()) {}
    }

    /// Whether TERM came since the last call.
    pub fn take_term(&self) -> bool {
        self.term.swap(false, Ordering::SeqCst)
    }

    /// Whether INT came since the last call.
    pub fn take_int(&self) -> bool {
        self.int.swap(false, Ordering::SeqCst)
    }
}

/// Signals this process was started with as ignored.
fn ignored() -> io::Result<impl Iterator<Item = i32>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status
        .lines()
        .find_map(|l| l.strip_prefix("SigIgn:"))
        .map_or("0", str::trim);
    let mask = u64::from_str_radix(mask, 16).unwrap_or(0);
    Ok((1..=64).filter(move |signal| mask >> (signal - 1) & 1 == 1))
}

/// Closes every descriptor above 2 that this process inherited: a lock or a pipe of whoever started
/// deployrun would else be held open for as long as a daemon of the step lives. To be called before
/// anything is opened.
pub(crate) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let fds: Vec<i32> = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    for fd in fds.into_iter().filter(|&fd| fd > 2) {
        // The one of the listing itself is closed already.
        let _ = nix::unistd::close(fd);
    }
}
