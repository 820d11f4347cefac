//! A plan with its surroundings in a directory of its own: what it changes, the log of effects, the
//! state directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::effects::{self, Effects};
use super::live::{Finished, Live};
use super::tree::{self, Tree};

/// `./act do NAME` and `./act undo NAME`: first the log, by one append, then the change. Shells
/// open `>>` with `O_APPEND`, so lines of several processes do not overwrite each other.
const ACT: &str = "#!/bin/sh
printf '%s %s\\n' \"$1\" \"$2\" >> effects
case $1 in
  do) echo \"by $2\" > production/$2 ;;
  undo) rm -f production/$2 ;;
esac
";

/// The directory of one plan.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    state: PathBuf,
}

/// What has to be ended with a site – a server, containers – its program `bin/at-end` ends.
impl Drop for Site {
    fn drop(&mut self) {
        let at_end = self.path("bin/at-end");
        if at_end.exists() {
            let _ = Command::new(at_end).current_dir(self.dir.path()).output();
        }
    }
}

impl Site {
    /// A directory with this plan in it, and a production tree of three entries.
    pub fn new(plan: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Self {
            state: dir.path().join("state"),
            dir,
        };
        fs::create_dir_all(site.production().join("conf")).expect("a directory");
        site.write("plan.rhai", plan);
        site.write("act", ACT);
        fs::set_permissions(site.path("act"), fs::Permissions::from_mode(0o755)).expect("mode");
        site.write("effects", "");
        site.write("production/old.conf", "listen 80\n");
        fs::set_permissions(
            site.path("production/old.conf"),
            fs::Permissions::from_mode(0o640),
        )
        .expect("mode");
        std::os::unix::fs::symlink("old.conf", site.path("production/link")).expect("a link");
        site
    }

    /// A directory with this plan in it, and a production tree that is empty.
    pub fn bare(plan: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Self {
            state: dir.path().join("state"),
            dir,
        };
        fs::create_dir(site.production()).expect("a directory");
        site.write("plan.rhai", plan);
        site.write("effects", "");
        site
    }

    /// Keeps the state somewhere else.
    pub fn with_state(mut self, state: impl Into<PathBuf>) -> Self {
        self.state = state.into();
        self
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file is written");
    }

    /// What the plan changes.
    pub fn production(&self) -> PathBuf {
        self.path("production")
    }

    /// Where the journal is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The production tree as it is now.
    pub fn tree(&self) -> Tree {
        tree::look(&self.production())
    }

    /// What has acted so far.
    pub fn effects(&self) -> Effects {
        effects::lines(&fs::read_to_string(self.path("effects")).expect("the log"))
    }

    /// The events in the journal.
    pub fn journal(&self) -> Vec<serde_json::Value> {
        super::journal::events(&self.state)
    }

    /// deployrun with these arguments, reporting in JSON, in a small environment. Programs in the
    /// site's own `bin`, if it has one, come first; one that is
    /// called `enter`, in the site itself, is what it is run by.
    pub fn command(&self, args: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
        let enter = self.path("enter");
        if enter.exists() {
            let mut all = vec![env!("CARGO_BIN_EXE_deployrun")];
            all.extend(args);
            return self.command_of(&enter, &all);
        }
        self.command_of(program, args)
    }

    /// The same, with a program before it (such as strace) whose last argument is the binary.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let mut dirs = vec![self.path("bin")];
        dirs.retain(|dir| dir.is_dir());
        dirs.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::join_paths(dirs).expect("a path"))
            .env("HOME", self.dir.path())
            .env("DEPLOYRUN_STATE", &self.state)
            .env("DEPLOYRUN_FORMAT", "json")
            .current_dir(self.dir.path());
        command
    }

    /// Runs it to its end.
    pub fn finish(&self, args: &[&str]) -> Finished {
        Live::start(self.command(args)).finish()
    }

    /// Runs it to its end with one more variable.
    pub fn finish_with(&self, args: &[&str], name: &str, value: &str) -> Finished {
        let mut command = self.command(args);
        command.env(name, value);
        Live::start(command).finish()
    }

    /// Everything that matters, for the message of a failed assertion.
    pub fn told(&self) -> String {
        let journal: Vec<String> = self.journal().iter().map(ToString::to_string).collect();
        format!(
            "effects:\n{}\njournal:\n{}",
            self.effects().join("\n"),
            journal.join("\n")
        )
    }
}
