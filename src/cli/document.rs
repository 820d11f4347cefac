//! Documents that are written to files, and opened.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the report of a run lies that is only made to be looked at: it can be made again at any
/// time, so it is no part of the state. The directory is made, for its owner alone.
///
/// # Errors
/// When there is no such directory, or others could write into it.
pub(super) fn place(run: &str) -> Result<PathBuf, String> {
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let Some(dir) = cache.map(|cache| cache.join("deployrun")) else {
        return Err(
            "neither XDG_CACHE_HOME nor HOME says where a report could lie; \
                    say --output FILE"
                .to_owned(),
        );
    };
    let unusable = |problem: String| {
        format!(
            "the report can't lie in {}: {problem}; say --output FILE",
            dir.display()
        )
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&dir).map_err(|e| unusable(e.to_string()))?;
    let found = fs::metadata(&dir).map_err(|e| unusable(e.to_string()))?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(unusable("others can write into it".to_owned()));
    }
    Ok(dir.join(format!("{run}.html")))
}

/// Writes a file whole or not at all; what is no regular file, such as a pipe, is written to.
///
/// # Errors
/// When it could not be written.
pub(super) fn write(path: &Path, text: &str, private: bool) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return fs::write(&path, text);
    }
    let name = path.file_name().unwrap_or(OsStr::new("report"));
    let mut new = OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(new);
    let mode = if private { 0o600 } else { 0o666 };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(&new);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Opens a file in a browser: the first of `$BROWSER` that can be started, else with `xdg-open`.
/// Says whether there was one.
///
/// # Errors
/// When it failed.
pub(super) fn open(path: &Path) -> Result<bool, String> {
    let browsers = std::env::var("BROWSER").unwrap_or_default();
    let mut commands: Vec<Vec<OsString>> = browsers
        .split(':')
        .filter(|command| !command.trim().is_empty())
        .map(|command| with_path(command, path))
        .collect();
    commands.push(vec!["xdg-open".into(), path.into()]);
    for words in commands {
        let Some((program, args)) = words.split_first() else {
            continue;
        };
        let mut command = Command::new(program);
        match command.args(args).stdin(Stdio::inherit()).status() {
            Ok(status) if status.success() => return Ok(true),
            Ok(status) => {
                return Err(format!(
                    "{} could not open it: {status}",
                    program.to_string_lossy()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "{} can't be started: {error}",
                    program.to_string_lossy()
                ));
            }
        }
    }
    Ok(false)
}

/// The words of an entry of `$BROWSER`; `%s` in it stands for the file, which else comes last.
fn with_path(command: &str, path: &Path) -> Vec<OsString> {
    let has_place = command.contains("%s");
    let mut words: Vec<OsString> = command
        .split_whitespace()
        .map(|word| match word.split_once("%s") {
            Some((before, after)) => {
                let mut whole = OsString::from(before);
                whole.push(path);
                whole.push(after);
                whole
            }
            None => word.into(),
        })
        .collect();
    if !has_place {
        words.push(path.into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stands_where_the_browser_wants_it() {
        let words = |command: &str| {
            let words = with_path(command, Path::new("/a b.html"));
            words
                .iter()
                .map(|w| w.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(words("firefox"), ["firefox", "/a b.html"]);
        assert_eq!(
            words("lynx -x file://%s -y"),
            ["lynx", "-x", "file:///a b.html", "-y"]
        );
    }
}
