//! All that can be seen of a tree, so that "as before" means what it says: kinds, content, holes left
//! out, owners, modes, modification times, extended attributes, and which names are the same file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::support::tree::Tree;

/// Everything below `root`. The time of `root` itself is not in it: what is made in a directory and
/// removed again changes the directory's time.
pub fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut first = BTreeMap::new();
    walk(root, root, &mut tree, &mut first);
    tree
}

fn walk(root: &Path, dir: &Path, tree: &mut Tree, first: &mut BTreeMap<(u64, u64), String>) {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let below = path.strip_prefix(root).expect("below");
        let name = String::from_utf8_lossy(below.as_os_str().as_bytes()).into_owned();
        let facts = fs::symlink_metadata(&path).expect("metadata");
        let kind = facts.file_type();
        let what = if kind.is_dir() {
            walk(root, &path, tree, first);
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!(
                "link to {}",
                fs::read_link(&path).expect("a link").display()
            )
        } else if kind.is_file() {
            let content = fs::read(&path).expect("a file");
            format!("file {:?}", String::from_utf8_lossy(&content))
        } else if kind.is_fifo() {
            "pipe".to_owned()
        } else if kind.is_socket() {
            "socket".to_owned()
        } else {
            format!("device {:x}", facts.rdev())
        };
        let same = match first.get(&(facts.dev(), facts.ino())) {
            Some(other) => format!(" same as {other}"),
            None => {
                first.insert((facts.dev(), facts.ino()), name.clone());
                String::new()
            }
        };
        let dress = format!(
            "{:o} {}:{} {}.{:09}",
            facts.mode(),
            facts.uid(),
            facts.gid(),
            facts.mtime(),
            facts.mtime_nsec()
        );
        tree.insert(name, format!("{what} {dress}{}{same}", attributes(&path)));
    }
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0; 64 * 1024];
    let length = rustix::fs::llistxattr(path, &mut names).expect("names of attributes");
    let mut found = String::new();
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::lgetxattr(path, name, &mut value).expect("an attribute");
        let name = String::from_utf8_lossy(name);
        found += &format!(" {name}={:?}", &value[..length]);
    }
    found
}
