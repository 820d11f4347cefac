//! The terminal this process writes to: how large it is, and who tidies it up after `kill -9`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Columns and rows of the terminal at standard output; absent where there is none, or where it
/// does not know.
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// How many bytes were typed that nobody has read; absent where nobody can type.
#[must_use]
pub fn typed_ahead() -> Option<u64> {
    let stdin = std::io::stdin();
    let typed = std::io::IsTerminal::is_terminal(&stdin);
    typed
        .then(|| rustix::io::ioctl_fionread(&stdin).ok())
        .flatten()
}

/// A process that erases what stands below the cursor when this process ends without having done so:
/// when it is killed, a shell would write its prompt into what is left of the live area.
#[derive(Debug)]
pub struct Keeper(Child);

/// It reads until its standard input has no writer any more. A line says that all is tidy.
const KEEP: &str = r"trap '' HUP INT QUIT TERM TSTP TTOU; read -r line || printf '\033[J'";

impl Keeper {
    /// Starts it; without one the terminal is not tidied up, and that is all.
    #[must_use]
    pub fn start() -> Option<Self> {
        let child = Command::new("/bin/sh")
            .args(["-c", KEEP])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            // What kills a whole group is survived.
            .process_group(0)
            .spawn();
        child.ok().map(Self)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut to) = self.0.stdin.take() {
            let _ = to.write_all(b"tidy\n");
        }
        let _ = self.0.wait();
    }
}
