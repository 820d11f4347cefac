//! Are the files that are written to still those that will be found?

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The database and its log, by device and inode, since they were first looked at. SQLite goes on
/// writing into a file that was removed, and says nothing.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: [Option<(u64, u64)>; 2],
}

impl Files {
    /// Looks at the files of the database at `path`.
    ///
    /// # Errors
    /// What has happened to them, in words.
    pub(super) fn are_still_there(&mut self, path: &Path) -> Result<(), String> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let files = [path.to_owned(), PathBuf::from(log)];
        for (file, known) in files.iter().zip(&mut self.known) {
            let now = match fs::metadata(file) {
                Ok(facts) => Some((facts.dev(), facts.ino())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                // What cannot be looked at may well be there; a write will tell.
                Err(_) => continue,
            };
            let what = match (*known, now) {
                (Some(before), Some(now)) if before != now => "was replaced",
                (Some(_), None) => "was removed",
                (None, now) => {
                    *known = now;
                    continue;
                }
                _ => continue,
            };
            return Err(format!("{} {what} while it was in use", file.display()));
        }
        Ok(())
    }
}
