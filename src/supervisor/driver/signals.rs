//! The signals that are for the run.

use std::future::poll_fn;
use std::task::Poll;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// All by which a process dies that does not handle them, but for those that tell of a defect: a run that
/// died would leave production as it is.
const TAKEN: [(&str, Number); 14] = [
    ("SIGINT", Number::INT),
    ("SIGTERM", Number::TERM),
    ("SIGQUIT", Number::QUIT),
    ("SIGPWR", Number::POWER),
    ("SIGXCPU", Number::XCPU),
    ("SIGHUP", Number::HUP),
    ("SIGTSTP", Number::TSTP),
    ("SIGXFSZ", Number::XFSZ),
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGVTALRM", Number::VTALARM),
    ("SIGPROF", Number::PROF),
    ("SIGIO", Number::IO),
];

pub(super) struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Takes them, or none.
    pub(super) fn new(handled: bool) -> std::io::Result<Self> {
        let taken = TAKEN.iter().filter(|_| handled);
        let taken = taken.map(|(name, number)| {
            let kind = SignalKind::from_raw(number.as_raw());
            Ok((*name, signal(kind)?))
        });
        Ok(Self(taken.collect::<std::io::Result<_>>()?))
    }

    /// The name of the next that comes.
    pub(super) async fn next(&mut self) -> &'static str {
        poll_fn(|context| {
            for (name, signal) in &mut self.0 {
                if signal.poll_recv(context) == Poll::Ready(Some(())) {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
    }
}
