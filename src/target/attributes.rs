//! Extended attributes of files: access lists, capabilities, labels, notes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{
    XattrFlags, fgetxattr, fsetxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr,
};
use rustix::io::Errno;

/// Bytes that Linux allows for the list of names, and for one value.
const MOST: usize = 64 * 1024;

/// The access list of POSIX.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// The attributes of a file, by name.
pub(super) type Attributes = BTreeMap<String, Vec<u8>>;

/// All attributes of what is at `path` that this user may see; a link is not followed.
pub(super) fn at(path: &Path) -> io::Result<Attributes> {
    let mut names = vec![0; MOST];
    let length = match llistxattr(path, &mut names) {
        // A file system without attributes.
        Err(Errno::NOTSUP) => 0,
        other => other?,
    };
    let mut found = Attributes::new();
    let names = names.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; MOST];
        match lgetxattr(path, name, &mut value) {
            Ok(length) => {
                let name = String::from_utf8_lossy(name).into_owned();
                value.truncate(length);
                found.insert(name, value);
            }
            // Gone since the list was made, or not for this user.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(found)
}

/// Gives what is at `path` these attributes and no others; a link is not followed.
pub(super) fn set_at(path: &Path, wanted: &Attributes) -> io::Result<()> {
    let now = at(path)?;
    let wrong = |name: &str, e: Errno| {
        let kind = io::Error::from(e).kind();
        io::Error::new(
            kind,
            format!("its attribute `{name}`: {}", io::Error::from(e)),
        )
    };
    for name in now.keys().filter(|name| !wanted.contains_key(*name)) {
        lremovexattr(path, name.as_str()).map_err(|e| wrong(name, e))?;
    }
    for (name, value) in wanted
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(*value))
    {
        lsetxattr(path, name.as_str(), value, XattrFlags::empty()).map_err(|e| wrong(name, e))?;
    }
    Ok(())
}

/// Gives an open file the access list of a former one. Permission bits alone would say something
/// else: beside a list, those of the group are what the list may grant at most.
pub(super) fn carry_access_list(former: &File, file: &File) -> io::Result<()> {
    let mut list = vec![0; MOST];
    match fgetxattr(former, ACCESS_LIST, &mut list) {
        Ok(length) => {
            let list = list.get(..length).unwrap_or_default();
            Ok(fsetxattr(file, ACCESS_LIST, list, XattrFlags::empty())?)
        }
        // It has none, or the file system knows none.
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
