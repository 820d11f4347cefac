//! What is known of one thing in a tree: its kind, and what `stat` says of it.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dir::Dir;
use crate::target::attributes::{self, Attributes};

/// A path or a target of a link, as it is: file systems do not ask for UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::target) struct Name(pub(in crate::target) PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'n> {
    Text(Cow<'n, str>),
    Bytes(Cow<'n, [u8]>),
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => Written::Text(text.into()),
            None => Written::Bytes(self.0.as_os_str().as_bytes().into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into_owned().into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes.into_owned()).into(),
        }))
    }
}

/// What a thing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::target) enum Kind {
    File {
        size: u64,
        /// SHA-256 of its content, if that was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Which file it is, on this machine.
        device: u64,
        inode: u64,
        /// Has it names outside of the tree?
        #[serde(default, skip_serializing_if = "is_false")]
        outside: bool,
        /// Has it holes?
        #[serde(default, skip_serializing_if = "is_false")]
        sparse: bool,
    },
    /// Another name of what stands earlier in the tree.
    SameAs {
        path: Name,
    },
    Directory,
    Link {
        to: Name,
    },
    Pipe,
    Socket,
    Device {
        character: bool,
        number: u64,
    },
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::target) struct Entry {
    /// Where, from the top of the tree, which itself is empty.
    pub(in crate::target) path: Name,
    pub(in crate::target) kind: Kind,
    /// Permission bits.
    pub(in crate::target) mode: u32,
    pub(in crate::target) uid: u32,
    pub(in crate::target) gid: u32,
    /// When it was modified: seconds since 1970, and nanoseconds.
    pub(in crate::target) mtime: (i64, i64),
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(in crate::target) attributes: Attributes,
}

impl Entry {
    /// What is known of `name` in `dir`; `path` is what it is called in the tree.
    pub(in crate::target) fn read(
        dir: &Dir,
        name: &OsStr,
        facts: &Metadata,
        path: &Path,
    ) -> io::Result<Self> {
        let kind = facts.file_type();
        let kind = if kind.is_file() {
            Kind::File {
                size: facts.len(),
                sha256: None,
                device: facts.dev(),
                inode: facts.ino(),
                outside: facts.nlink() > 1,
                sparse: facts.blocks().saturating_mul(512) < facts.len(),
            }
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            let to = fs::read_link(dir.at(name))?;
            Kind::Link { to: Name(to) }
        } else if kind.is_fifo() {
            Kind::Pipe
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            Kind::Device {
                character: kind.is_char_device(),
                number: facts.rdev(),
            }
        };
        Ok(Self {
            path: Name(path.to_owned()),
            kind,
            mode: facts.mode() & 0o7777,
            uid: facts.uid(),
            gid: facts.gid(),
            mtime: (facts.mtime(), facts.mtime_nsec()),
            attributes: attributes::at(&dir.at(name))?,
        })
    }

    pub(in crate::target) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Are owner, mode, time and attributes the same?
    pub(in crate::target) fn is_dressed_like(&self, other: &Self) -> bool {
        (self.mode, self.uid, self.gid, self.mtime)
            == (other.mode, other.uid, other.gid, other.mtime)
            && self.attributes == other.attributes
    }

    /// Gives `name` in `dir` the owner, attributes, mode and time of this entry, in an order in which
    /// none takes away another: a new owner takes capabilities and set-user-id bits away, an access
    /// list decides on the bits of the group.
    pub(in crate::target) fn dress(&self, dir: &Dir, name: &OsStr) -> io::Result<()> {
        let path = dir.at(name);
        let now = fs::symlink_metadata(&path)?;
        if (now.uid(), now.gid()) != (self.uid, self.gid) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        attributes::set_at(&path, &self.attributes)?;
        if !now.is_symlink() {
            set_mode(dir, name, self.mode)?;
        }
        let (tv_sec, tv_nsec) = self.mtime;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec { tv_sec, tv_nsec },
        };
        Ok(rustix::fs::utimensat(
            dir,
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}

/// Sets permission bits of whatever is there, without following it if it is a link.
pub(in crate::target) fn set_mode(dir: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
    let handle = dir.handle(name)?;
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    fs::set_permissions(path, Permissions::from_mode(mode))
}
