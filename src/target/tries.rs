//! The directories of the tries of a run's steps and back-outs.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::words::call::CallId;

/// Says in the directory of a try that it is a call of the embedding program: such a try has no
/// supervisor that would leave a trace.
const OWN: &str = "own";

/// The tries that have a directory in the run's: of which call, which one, and whether it is the
/// back-out.
///
/// # Errors
/// When the directory cannot be read; one that is not there has no tries.
pub fn of_run(run_dir: &Path) -> io::Result<Vec<(CallId, u32, bool)>> {
    let entries = match std::fs::read_dir(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(CallId::of_directory));
    }
    found.sort();
    Ok(found)
}

/// Leaves a trace of a call of the embedding program.
///
/// # Errors
/// When the directory or the file cannot be made.
pub fn note_own(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    File::create(dir.join(OWN)).map(drop)
}

/// Is it the directory of a call of the embedding program?
#[must_use]
pub fn is_own(dir: &Path) -> bool {
    dir.join(OWN).exists()
}
