//! What can be read of this machine.

use std::io::Read as _;
use std::path::Path;

/// Bytes that [`read_file`] reads at most.
const FILE_MAX: u64 = 1 << 20;

/// The text of a file. Fails when it is not there, not a file, too large, or not UTF-8.
pub fn read_file(path: &Path) -> Result<String, String> {
    let wrong = |problem: String| format!("{} can't be read: {problem}", path.display());
    let facts = std::fs::metadata(path).map_err(|e| wrong(io_words(&e)))?;
    if facts.is_dir() {
        return Err(wrong("it is a directory".into()));
    }
    // A pipe would be waited for.
    if !facts.is_file() {
        return Err(wrong("it is not a regular file".into()));
    }
    let file = std::fs::File::open(path).map_err(|e| wrong(io_words(&e)))?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| wrong(io_words(&e)))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(wrong(format!("it has more than {FILE_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not valid UTF-8".into()))
}

/// Bytes that are free for this user where `path` lies, or where it would lie.
pub fn disk_free(path: &Path) -> Result<u64, String> {
    let there = path
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let facts = rustix::fs::statvfs(there)
        .map_err(|e| format!("the free space of {} can't be read: {e}", path.display()))?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// The name of this machine.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The login name of whoever runs this process.
#[must_use]
pub fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// What went wrong, in words without codes.
#[must_use]
pub fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::StorageFull => "no space left on the device".into(),
        _ => error.to_string(),
    }
}
