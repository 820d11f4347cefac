//! A pseudo terminal with a program in it, and what stands on it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program in a terminal. Its screen is what `avt` makes of the bytes, which wraps lines anew when
/// it is resized, as most terminals do; beside it stands one that does not.
pub struct Pty {
    child: Child,
    master: Option<OwnedFd>,
    bytes: Option<Receiver<Vec<u8>>>,
    screen: avt::Terminal,
    stiff: vt100::Parser,
    /// The name of the terminal.
    pub name: String,
    /// All that was written.
    pub written: Vec<u8>,
    /// How much of it the screen has seen: characters may be cut in two.
    seen: usize,
}

/// How long something may take that is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

impl Pty {
    /// Starts a command on a terminal of so many columns and rows; it is its controlling terminal.
    pub fn start(command: &Command, size: (u16, u16)) -> Self {
        let (mut pty, master) = Self::start_unread(command, size);
        let mut reader = File::from(master.try_clone().expect("a descriptor"));
        let (to, bytes) = channel();
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            // An error is the end: nobody has the other side open any more.
            while let Ok(read @ 1..) = reader.read(&mut block) {
                if to.send(block[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        pty.bytes = Some(bytes);
        pty.master = Some(master);
        pty
    }

    /// The same, and nobody reads what is written.
    pub fn start_unread(command: &Command, size: (u16, u16)) -> (Self, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo terminal");
        grantpt(&master).expect("a pseudo terminal");
        unlockpt(&master).expect("a pseudo terminal");
        resize(&master, size);
        let name = ptsname(&master, Vec::new()).expect("a name");
        let name = name.into_string().expect("a name in UTF-8");
        let side = || {
            let mut options = File::options();
            Stdio::from(
                options
                    .read(true)
                    .write(true)
                    .open(&name)
                    .expect("a terminal"),
            )
        };
        // A session of its own, whose terminal this is: Ctrl-C reaches it as a signal.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program());
        session.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            session.current_dir(dir);
        }
        session.env("LANG", "C.UTF-8");
        session.stdin(side()).stdout(side()).stderr(side());
        let child = session.spawn().expect("setsid can be started");
        let (columns, rows) = size;
        let number = |n: u16| n.try_into().expect("a size");
        let pty = Self {
            child,
            master: None,
            bytes: None,
            screen: avt::Terminal::with_scrollback(columns.into(), rows.into(), None)
                .expect("a size"),
            stiff: vt100::Parser::new(number(rows), number(columns), 10_000),
            name,
            written: Vec::new(),
            seen: 0,
        };
        (pty, master)
    }

    /// What stands on the screen, without blank rows at its end.
    pub fn screen(&self) -> String {
        text(self.screen.screen().visible_lines().map(avt::Line::text))
    }

    /// All lines that were written, those that have scrolled away too; each is one, however many
    /// rows it takes.
    pub fn all(&self) -> String {
        text(self.screen.primary_screen().text().into_iter())
    }

    /// What stands on a screen whose rows are cut when it is resized.
    pub fn stiff_screen(&self) -> String {
        let columns = self.stiff.screen().size().1;
        text(self.stiff.screen().rows(0, columns.get()))
    }

    /// Is the terminal as a shell expects it: its cursor to be seen, on its usual screen?
    pub fn is_tidy(&self) -> bool {
        let screen = self.stiff.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
    }

    /// The row and the column of the cursor.
    pub fn cursor(&self) -> (u16, u16) {
        self.stiff.screen().cursor_position()
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn wait(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if self.is_whole() && is(&screen) {
                return screen;
            }
            let left = PATIENCE.saturating_sub(since.elapsed());
            let bytes = self.bytes.as_ref().expect("it is read");
            match bytes.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("there is no {what}:\n{screen}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without {what}:\n{}", self.all())
                }
            }
        }
    }

    /// Reads until this stands on the screen, where nobody else reads.
    pub fn read_until(&mut self, master: &OwnedFd, text: &str) {
        let mut block = [0; 4096];
        while !self.screen().contains(text) {
            let read = rustix::io::read(master, &mut block).expect("it can be read");
            self.take(&block[..read]);
        }
    }

    /// Waits until this stands on the screen.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Is all there that was to be shown at once?
    fn is_whole(&self) -> bool {
        let last = |mark: &[u8]| {
            let mut windows = self.written.windows(mark.len());
            windows.rposition(|window| window == mark)
        };
        last(b"\x1b[?2026h") <= last(b"\x1b[?2026l")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.stiff.process(bytes);
        let new = &self.written[self.seen..];
        let whole = match std::str::from_utf8(new) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&new[..error.valid_up_to()]).expect("valid"),
        };
        self.screen.feed(whole);
        self.seen += whole.len();
    }

    /// Types this.
    pub fn type_in(&self, text: &str) {
        let master = self.master.as_ref().expect("it is there");
        rustix::io::write(master, text.as_bytes()).expect("it can be typed");
    }

    /// Changes the size of the terminal.
    pub fn resize(&mut self, size: (u16, u16)) {
        let (columns, rows) = size;
        self.screen.resize(columns.into(), rows.into());
        let number = |n: u16| n.try_into().expect("a size");
        self.stiff.set_size(number(rows), number(columns));
        resize(self.master.as_ref().expect("it is there"), size);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
    }

    /// Waits for its end, and reads what it wrote; gives the exit status.
    pub fn end(&mut self) -> Option<i32> {
        if let Some(bytes) = self.bytes.take() {
            while let Ok(bytes) = bytes.recv_timeout(PATIENCE) {
                self.take(&bytes);
            }
        }
        self.child.wait().expect("it can be waited for").code()
    }
}

fn resize(master: &OwnedFd, (columns, rows): (u16, u16)) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).expect("a terminal can be resized");
}

fn text(rows: impl Iterator<Item = String>) -> String {
    let rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
    let text = rows.join("\n");
    text.trim_end().to_owned() + "\n"
}
