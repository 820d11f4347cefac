//! The commands for files that every host has, in their plainest forms. They act on the pretended
//! tree, so that a helper that makes a directory need not be told what `mkdir` does. A form that is
//! not listed here was not given.

use std::path::{Path, PathBuf};

use crate::words::call::Command;

use super::super::changes::entries_at;
use super::super::tree::whole_owner;
use super::super::{Entry, Kind, Scene};
use super::{CommandAnswer, CommandCall};

type Result<T = ()> = std::result::Result<T, String>;

/// What a command for files answers; `None` for any other, and for forms that are not known here.
pub(in super::super) fn of_every_host(
    call: &CommandCall,
    scene: &mut Scene,
    now_ms: i64,
) -> Option<CommandAnswer> {
    let words = words(&call.command)?;
    let (name, args) = words.split_first()?;
    let name = name.rsplit('/').next().unwrap_or(name);
    if !call.acts && !READS.contains(&name) {
        return None;
    }
    let (flags, args) = flags(args);
    let mut host = Files {
        scene,
        cwd: &call.cwd,
        now_ms,
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = host.call(name, &flags, &args)?;
    Some(match said {
        Ok(Said::Text(stdout)) => CommandAnswer {
            stdout,
            ..CommandAnswer::default()
        },
        Ok(Said::Status(code)) => CommandAnswer {
            code,
            ..CommandAnswer::default()
        },
        Err(problem) => CommandAnswer {
            stderr: format!("{name}: {problem}\n"),
            code: 1,
            ..CommandAnswer::default()
        },
    })
}

/// Those that a probe may run: they only read.
const READS: &[&str] = &["true", "false", "cat", "readlink", "test"];

enum Said {
    Text(String),
    Status(i32),
}

/// The words of a command; of a text for the shell only one that needs no shell.
fn words(command: &Command) -> Option<Vec<String>> {
    match command {
        Command::Argv(argv) => Some(argv.clone()),
        Command::Shell(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || " _-./:=@%+,".contains(c);
            text.chars()
                .all(plain)
                .then(|| text.split_whitespace().map(str::to_owned).collect())
        }
    }
}

/// Flags, each letter on its own, and what they stand before.
fn flags(args: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut flags, mut rest) = (Vec::new(), Vec::new());
    let mut ended = false;
    for arg in args {
        if ended || !arg.starts_with('-') || arg == "-" {
            rest.push(arg.clone());
        } else if arg == "--" {
            ended = true;
        } else if arg.starts_with("--") {
            flags.push(arg.clone());
        } else {
            flags.extend(arg.chars().skip(1).map(|c| format!("-{c}")));
        }
    }
    (flags, rest)
}

struct Files<'s> {
    scene: &'s mut Scene,
    cwd: &'s Path,
    now_ms: i64,
}

impl Files<'_> {
    fn call(&mut self, name: &str, flags: &[&str], args: &[&str]) -> Option<Result<Said>> {
        let done = |result: Result| result.map(|()| Said::Text(String::new()));
        let only = |known: &[&str]| flags.iter().all(|flag| known.contains(flag));
        let has = |flag: &str| flags.contains(&flag);
        Some(match (name, args) {
            ("true", []) => Ok(Said::Status(0)),
            ("false", []) => Ok(Said::Status(1)),
            ("sleep", [_]) => return None,
            ("mkdir", [_, ..]) if only(&["-p", "--parents"]) => {
                let parents = has("-p") || has("--parents");
                done(
                    args.iter()
                        .try_for_each(|dir| self.mkdir(dir, parents, 0o755)),
                )
            }
            // `-m` takes the mode that follows it.
            ("mkdir", [mode, dirs @ ..]) if only(&["-p", "-m"]) && !dirs.is_empty() => {
                let mode = u32::from_str_radix(mode, 8).ok()?;
                done(
                    dirs.iter()
                        .try_for_each(|dir| self.mkdir(dir, has("-p"), mode)),
                )
            }
            ("rmdir", [_, ..]) if flags.is_empty() => {
                done(args.iter().try_for_each(|dir| self.rmdir(dir)))
            }
            ("rm", [_, ..]) if only(&["-f", "-r", "-R"]) => {
                let all = has("-r") || has("-R");
                done(
                    args.iter()
                        .try_for_each(|path| self.rm(path, all, has("-f"))),
                )
            }
            ("unlink", [path]) if flags.is_empty() => done(self.rm(path, false, false)),
            ("mv", [from, to]) if only(&["-f", "-T"]) => done(self.mv(from, to, has("-T"))),
            ("cp", [from, to]) if only(&["-a", "-p", "-f", "-T", "-P", "-d", "-r", "-R"]) => {
                let deep = has("-a") || has("-r") || has("-R");
                done(self.cp(from, to, deep, has("-a") || has("-p"), has("-T")))
            }
            ("ln", [to, path]) if has("-s") && only(&["-s", "-f", "-n", "-T"]) => {
                done(self.ln(to, path, has("-f"), has("-n") || has("-T")))
            }
            ("chmod", [mode, paths @ ..]) if only(&["-R"]) && !paths.is_empty() => {
                let mode = u32::from_str_radix(mode, 8).ok()?;
                let set = |entry: &mut Entry| entry.mode = mode;
                done(
                    paths
                        .iter()
                        .try_for_each(|path| self.alter(path, has("-R"), &set)),
                )
            }
            ("chown", [owner, paths @ ..])
                if only(&["-R", "-h"]) && !paths.is_empty() && !owner.starts_with(':') =>
            {
                let owner = whole_owner(Some(owner));
                let set = |entry: &mut Entry| entry.owner.clone_from(&owner);
                done(
                    paths
                        .iter()
                        .try_for_each(|path| self.alter(path, has("-R"), &set)),
                )
            }
            ("touch", [_, ..]) if flags.is_empty() => {
                done(args.iter().try_for_each(|path| self.touch(path)))
            }
            ("cat", [_, ..]) if flags.is_empty() => self.cat(args),
            ("readlink", [path]) if flags.is_empty() => match self.kind(path) {
                Some(Kind::Link(to)) => Ok(Said::Text(format!("{to}\n"))),
                _ => Ok(Said::Status(1)),
            },
            ("test", [path]) => {
                let tree = &self.scene.files;
                let (at, followed) = (self.kind(path), tree.followed(&self.path(path)));
                let followed = followed.map(|entry| entry.kind);
                let holds = match flags {
                    ["-e"] => followed.is_some(),
                    ["-f"] => matches!(followed, Some(Kind::File(_))),
                    ["-d"] => followed == Some(Kind::Directory),
                    ["-L" | "-h"] => matches!(at, Some(Kind::Link(_))),
                    ["-s"] => matches!(followed, Some(Kind::File(content)) if !content.is_empty()),
                    _ => return None,
                };
                Ok(Said::Status(i32::from(!holds)))
            }
            _ => return None,
        })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.cwd.join(path.trim_end_matches('/'))
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let entry = self.scene.files.entry(&self.path(path));
        entry.map(|entry| entry.kind)
    }

    fn set(&mut self, path: &Path, entry: Option<Entry>) {
        self.scene.files.set(path, entry);
    }

    fn needs_parent(&self, path: &Path, word: &str) -> Result {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.scene.files.is_dir(parent) {
            Ok(())
        } else {
            let path = path.display();
            Err(format!("{word} '{path}': No such file or directory"))
        }
    }

    fn mkdir(&mut self, dir: &str, parents: bool, mode: u32) -> Result {
        let path = self.path(dir);
        match self.scene.files.followed(&path).map(|entry| entry.kind) {
            Some(Kind::Directory) if parents => return Ok(()),
            Some(_) => return Err(format!("cannot create directory '{dir}': File exists")),
            None => {}
        }
        if parents {
            let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
            for parent in above.iter().rev() {
                if !self.scene.files.is_dir(parent) {
                    let entry = Entry::directory(0o755, None, self.now_ms);
                    self.set(parent, Some(entry));
                }
            }
        }
        self.needs_parent(&path, "cannot create directory")?;
        let entry = Entry::directory(mode, None, self.now_ms);
        self.set(&path, Some(entry));
        Ok(())
    }

    fn rmdir(&mut self, dir: &str) -> Result {
        let path = self.path(dir);
        match self.kind(dir) {
            None => Err(format!(
                "failed to remove '{dir}': No such file or directory"
            )),
            Some(Kind::Directory) if self.scene.files.list(&path).is_empty() => {
                self.set(&path, None);
                Ok(())
            }
            Some(Kind::Directory) => Err(format!("failed to remove '{dir}': Directory not empty")),
            Some(_) => Err(format!("failed to remove '{dir}': Not a directory")),
        }
    }

    fn rm(&mut self, name: &str, all: bool, force: bool) -> Result {
        let path = self.path(name);
        match self.kind(name) {
            None if force => Ok(()),
            None => Err(format!("cannot remove '{name}': No such file or directory")),
            Some(Kind::Directory) if !all => Err(format!("cannot remove '{name}': Is a directory")),
            Some(_) => {
                for path in self.scene.files.below(&path) {
                    self.set(&path, None);
                }
                Ok(())
            }
        }
    }

    /// Where something goes: into a directory that is there, or in its place.
    fn target(&self, from: &Path, to: &str, as_file: bool) -> PathBuf {
        let path = self.path(to);
        match from.file_name() {
            Some(name) if !as_file && self.scene.files.is_dir(&path) => path.join(name),
            _ => path,
        }
    }

    fn mv(&mut self, from: &str, to: &str, as_file: bool) -> Result {
        let (source, word) = (self.path(from), "cannot move");
        if self.kind(from).is_none() {
            return Err(format!("cannot stat '{from}': No such file or directory"));
        }
        let target = self.target(&source, to, as_file);
        if target == source {
            return Err(format!("'{from}' and '{to}' are the same file"));
        }
        self.needs_parent(&target, word)?;
        let moved = self.copies(&source, &target);
        for path in self.scene.files.below(&source) {
            self.set(&path, None);
        }
        for (path, entry) in moved {
            self.set(&path, Some(entry));
        }
        Ok(())
    }

    fn copies(&self, source: &Path, target: &Path) -> Vec<(PathBuf, Entry)> {
        entries_at(&self.scene.files, source, target)
    }

    fn cp(&mut self, from: &str, to: &str, deep: bool, keep: bool, as_file: bool) -> Result {
        let source = self.path(from);
        match self.kind(from) {
            None => return Err(format!("cannot stat '{from}': No such file or directory")),
            Some(Kind::Directory) if !deep => {
                return Err(format!("-r not specified; omitting directory '{from}'"));
            }
            Some(_) => {}
        }
        let target = self.target(&source, to, as_file);
        self.needs_parent(&target, "cannot create")?;
        for (path, mut entry) in self.copies(&source, &target) {
            if !deep && let Some(followed) = self.scene.files.followed(&source) {
                entry = followed;
            }
            if !keep {
                entry.mtime_ms = self.now_ms;
                entry.owner = whole_owner(None);
                if let Some(former) = self.scene.files.entry(&path) {
                    (entry.mode, entry.owner) = (former.mode, former.owner);
                }
            }
            self.set(&path, Some(entry));
        }
        Ok(())
    }

    fn ln(&mut self, to: &str, path: &str, force: bool, as_file: bool) -> Result {
        let mut at = self.path(path);
        let is_dir =
            self.kind(path) == Some(Kind::Directory) || (!as_file && self.scene.files.is_dir(&at));
        if is_dir && let Some(name) = Path::new(to).file_name() {
            at = at.join(name);
        }
        self.needs_parent(&at, "failed to create symbolic link")?;
        if self.scene.files.entry(&at).is_some() && !force {
            let at = at.display();
            return Err(format!(
                "failed to create symbolic link '{at}': File exists"
            ));
        }
        let entry = Entry::link(to.to_owned(), self.now_ms);
        self.set(&at, Some(entry));
        Ok(())
    }

    fn alter(&mut self, name: &str, all: bool, set: &dyn Fn(&mut Entry)) -> Result {
        let path = self.path(name);
        if self.kind(name).is_none() {
            return Err(format!("cannot access '{name}': No such file or directory"));
        }
        let paths = if all {
            self.scene.files.below(&path)
        } else {
            vec![path]
        };
        for path in paths {
            if let Some(mut entry) = self.scene.files.entry(&path) {
                set(&mut entry);
                self.set(&path, Some(entry));
            }
        }
        Ok(())
    }

    fn touch(&mut self, name: &str) -> Result {
        let path = self.path(name);
        self.needs_parent(&path, "cannot touch")?;
        let entry = match self.scene.files.entry(&path) {
            Some(entry) => Entry {
                mtime_ms: self.now_ms,
                ..entry
            },
            None => Entry::file(Vec::new(), 0o644, None, self.now_ms),
        };
        self.set(&path, Some(entry));
        Ok(())
    }

    fn cat(&self, names: &[&str]) -> Result<Said> {
        let mut text = String::new();
        for name in names {
            let content = self.scene.files.read(&self.path(name));
            let content = content.map_err(|_| format!("{name}: No such file or directory"))?;
            text.push_str(&String::from_utf8_lossy(&content));
        }
        Ok(Said::Text(text))
    }
}
