//! A directory tree as a value, so that "as before" can be asserted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Path below the root → what is there.
pub type Tree = BTreeMap<String, String>;

/// Everything below `root`: kind, mode, owner, content; of directories not the time of change.
pub fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    walk(root, root, &mut tree);
    tree
}

fn walk(root: &Path, dir: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(dir).expect("a directory of the tree") {
        let path = entry.expect("an entry").path();
        let name = path
            .strip_prefix(root)
            .expect("below")
            .display()
            .to_string();
        let facts = fs::symlink_metadata(&path).expect("metadata");
        let owner = format!(
            "{:o} {}:{}",
            facts.permissions().mode(),
            facts.uid(),
            facts.gid()
        );
        let what = if facts.is_dir() {
            walk(root, &path, tree);
            format!("{owner} dir")
        } else if facts.is_symlink() {
            format!(
                "link to {}",
                fs::read_link(&path).expect("a link").display()
            )
        } else {
            let content = fs::read(&path).expect("a file");
            format!("{owner} {:?}", String::from_utf8_lossy(&content))
        };
        tree.insert(name, what);
    }
}

/// The lines in which two trees differ.
pub fn difference(before: &Tree, after: &Tree) -> String {
    let mut lines = Vec::new();
    for (name, what) in before {
        match after.get(name) {
            None => lines.push(format!("- {name}: {what}")),
            Some(now) if now != what => lines.push(format!("! {name}: {what} -> {now}")),
            Some(_) => {}
        }
    }
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    lines.extend(new.map(|(name, what)| format!("+ {name}: {what}")));
    lines.join("\n")
}
