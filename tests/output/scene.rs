//! A place to run plans in, what was printed there, and how it is compared.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use regex::Regex;

/// A directory with plans and a state directory.
pub struct Scene {
    dir: tempfile::TempDir,
}

/// What a command that has ended has told.
#[derive(Debug)]
pub struct Told {
    /// Its exit status.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Scene {
    /// A scene with one plan, `plan.rhai`.
    pub fn new(plan: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let scene = Self { dir };
        scene.write("plan.rhai", plan);
        scene
    }

    /// The same in a directory whose name is as long on every machine, for what wraps.
    pub fn in_tmp(plan: &str) -> Self {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let scene = Self { dir };
        scene.write("plan.rhai", plan);
        scene
    }

    /// A file in the scene.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    /// The path of a file in the scene.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command, at nine in the evening of a Saturday in March.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_at("2026-03-21T21:00:00Z", args)
    }

    /// A command at an instant.
    pub fn command_at(&self, now: &str, args: &[&str]) -> Command {
        self.program_at(now, env!("CARGO_BIN_EXE_deployrun"), args)
    }

    /// Another program, in the same surroundings.
    pub fn command_of(&self, program: &str, args: &[&str]) -> Command {
        self.program_at("2026-03-21T21:00:00Z", program, args)
    }

    fn program_at(&self, now: &str, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for name in [
            "DEPLOYRUN_FORMAT",
            "DEPLOYRUN_COLOR",
            "DEPLOYRUN_YES",
            "NO_COLOR",
            "DEPLOYRUN_PLAIN",
            "CI",
            "GITHUB_ACTIONS",
            "GITLAB_CI",
            "GITHUB_WORKSPACE",
            "DEPLOYRUN_LOG",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "TRACEPARENT",
        ] {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("DEPLOYRUN_STATE", self.path("state"))
            .env("DEPLOYRUN_TEST_NOW", now)
            .env("DEPLOYRUN_TEST_RANDOM", "7")
            .env("TZ", "UTC")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Told {
        told(&mut self.command(args))
    }

    /// Starts a command whose lines are awaited.
    pub fn start(&self, command: &mut Command) -> Going {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("deployrun can be started");
        let out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Going {
            child,
            out,
            told: String::new(),
        }
    }

    /// Compares a text with the snapshot of this name; what differs from run to run is normalised.
    #[track_caller]
    pub fn snapshot(&self, name: &str, text: &str) {
        self.exact_snapshot(name, &self.normal(text));
    }

    /// Compares a text with the snapshot of this name.
    #[track_caller]
    pub fn exact_snapshot(&self, name: &str, shown: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/snapshots/output")
            .join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, shown).expect("a snapshot can be written");
            return;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shown == expected,
            "{} differs (UPDATE_SNAPSHOTS=1 rewrites it)\n--- expected\n{expected}\n--- told\n{shown}",
            path.display()
        );
    }

    /// The text without what differs from run to run: the directory, times, durations, processes.
    pub fn normal(&self, text: &str) -> String {
        let dir = self.dir.path().to_str().expect("a path in UTF-8");
        let mut text = text.replace(dir, "DIR");
        const DURATION: &str = r"(?:<1ms|(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)";
        for (pattern, with) in [
            (r"(?m)^\d\d:\d\d:\d\d  ".to_owned(), "HH:MM:SS  "),
            (
                r"fingerprint [0-9a-f]{12}".to_owned(),
                "fingerprint FINGERPRINT",
            ),
            (r"(?m)\b[\w.-]+@[\w-]+( |:|$)".to_owned(), "USER@HOST$1"),
            (r"\d\d:\d\d:\d\d \+00:00".to_owned(), "HH:MM:SS +00:00"),
            (format!("(?m), {DURATION}(, try \\d+)?$"), ", TIME$1"),
            (
                format!("(soaked|took|after|opens in|try \\d+: .* in) {DURATION}\\b"),
                "$1 TIME",
            ),
            (format!("{DURATION} left"), "TIME left"),
            (
                format!("(review|waiting|release|verify|backing-out) (?:<1s|{DURATION})"),
                "$1 TIME",
            ),
            (format!("at most {DURATION}, by"), "at most TIME, by"),
            (format!(", {DURATION} of "), ", TIME of "),
            (r"process \d+".to_owned(), "process PID"),
            (r"pid \d+".to_owned(), "pid PID"),
        ] {
            let regex = Regex::new(&pattern).expect("a pattern");
            text = regex.replace_all(&text, with).into_owned();
        }
        text
    }
}

/// Runs a command to its end.
pub fn told(command: &mut Command) -> Told {
    let output = command.output().expect("deployrun can be started");
    Told {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

impl Told {
    /// Fails the test unless it ended with this status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.out, self.err);
        self
    }
}

/// A command that runs.
pub struct Going {
    child: Child,
    out: BufReader<ChildStdout>,
    told: String,
}

impl Going {
    /// Reads lines until one that holds `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.out.read_line(&mut line).expect("stdout can be read");
            self.told.push_str(&line);
            assert!(read > 0, "it ended without `{text}`:\n{}", self.told);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it can be signalled");
    }

    /// `kill -9`; gives what it has told.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
        self.told
    }

    /// Waits for its end.
    pub fn end(mut self) -> Told {
        self.out
            .read_to_string(&mut self.told)
            .expect("stdout can be read");
        let mut err = String::new();
        let stderr = self.child.stderr.take();
        stderr
            .expect("stderr is a pipe")
            .read_to_string(&mut err)
            .expect("stderr can be read");
        let status = self.child.wait().expect("it can be waited for").code();
        Told {
            status,
            out: self.told,
            err,
        }
    }
}
