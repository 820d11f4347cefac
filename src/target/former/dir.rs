//! Directories that are held open: what is in them is reached by name, whatever becomes meanwhile of
//! the path that led to them. Nobody who may write in a tree can then lead this program out of it
//! with a symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// A directory.
#[derive(Debug)]
pub(in crate::target) struct Dir(OwnedFd);

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory at `path`; symbolic links on the way are followed.
    pub(in crate::target) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FLAGS, Mode::empty())?))
    }

    /// Opens a directory in this one, which may not be a symbolic link.
    pub(super) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FLAGS.union(OFlags::NOFOLLOW);
        Ok(Self(rustix::fs::openat(self, name, flags, Mode::empty())?))
    }

    /// A path that leads to `name` in this directory, for calls that want one.
    pub(in crate::target) fn at(&self, name: &OsStr) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        path.push(name);
        path
    }

    /// What is there under this name; links are not followed.
    pub(in crate::target) fn look(&self, name: &OsStr) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(self.at(name)) {
            Ok(facts) => Ok(Some(facts)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The names in it, sorted.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(self.at(OsStr::new(".")))?;
        let mut names = entries
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Opens a file in it for reading: not through a link, and without waiting for a pipe.
    pub(super) fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, name, flags, Mode::empty())?;
        Ok(File::from(fd))
    }

    /// A handle of whatever is there under this name, good for naming it in calls.
    pub(in crate::target) fn handle(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(self, name, flags, Mode::empty())?)
    }

    /// The same directory, held open once more.
    pub(in crate::target) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Names that came or went are durable.
    pub(in crate::target) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self)?)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The directory that `path` lies in, opened, and its name there.
pub(in crate::target) fn parent_of(path: &Path) -> io::Result<(Dir, OsString)> {
    let name = path.file_name().ok_or_else(|| {
        let text = "it has no name of its own";
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    Ok((Dir::open(parent)?, name.to_owned()))
}

/// A way through a tree whose paths come in the order of the tree.
#[derive(Debug)]
pub(in crate::target) struct Descent {
    parent: Dir,
    top: OsString,
    below: Vec<(OsString, Dir)>,
}

impl Descent {
    /// Through the tree that is called `top` in `parent`.
    pub(in crate::target) fn new(parent: Dir, top: OsString) -> Self {
        Self {
            parent,
            top,
            below: Vec::new(),
        }
    }

    /// The directory in which `path` lies, which counts from the top of the tree, and its name there.
    /// An empty path is the top itself.
    pub(in crate::target) fn place(&mut self, path: &Path) -> io::Result<(&Dir, OsString)> {
        let mut parts = vec![self.top.as_os_str()];
        parts.extend(path.iter());
        let name = parts.pop().unwrap_or_default().to_owned();
        let known = self.below.iter().zip(&parts);
        let same = known.take_while(|((name, _), part)| name == *part).count();
        self.below.truncate(same);
        for part in parts.iter().skip(same) {
            let here = self.below.last().map_or(&self.parent, |(_, dir)| dir);
            let next = here.enter(part)?;
            self.below.push(((*part).to_owned(), next));
        }
        let here = self.below.last().map_or(&self.parent, |(_, dir)| dir);
        Ok((here, name))
    }

    /// The SHA-256 of a file in the tree.
    pub(in crate::target) fn digest(&mut self, path: &Path) -> io::Result<String> {
        let (dir, name) = self.place(path)?;
        super::store::digest(&mut dir.file(&name)?)
    }

    /// Forgets the directories that it holds open: what is in the tree has been replaced.
    pub(super) fn forget(&mut self) {
        self.below.clear();
    }
}
