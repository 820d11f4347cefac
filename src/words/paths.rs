//! Paths as texts: nothing here looks at a disk.

use std::path::{Component, Path, PathBuf};

/// The path without `.`, and without `..` where what stands before it is a name. Symbolic links are
/// not looked at.
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match normal.components().next_back() {
                Some(Component::Normal(_)) => {
                    normal.pop();
                }
                Some(Component::RootDir) => {}
                _ => normal.push(".."),
            },
            part => normal.push(part),
        }
    }
    if normal.as_os_str().is_empty() {
        normal.push(".");
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out() {
        for (path, wanted) in [
            ("a/../b", "b"),
            ("./a/./b", "a/b"),
            ("../a/../../b", "../../b"),
            ("/../a", "/a"),
            ("a/..", "."),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(wanted), "{path}");
        }
    }
}
