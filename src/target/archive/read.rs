//! Reading archives: their format by its first bytes, their members one after the other.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// KiB of memory that decoding xz may take.
const XZ_MEMORY_KIB: u32 = 512 * 1024;
/// Bytes of a tar block; two of zeros end an archive.
const BLOCK: usize = 512;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    File,
    Directory,
    /// A symbolic link to this.
    Link(Vec<u8>),
    /// Another name of this member.
    SameAs(Vec<u8>),
    /// Something that is not unpacked.
    Other(&'static str),
}

/// A member as it stands in the archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) thing: Thing,
    /// Permission bits, where the archive has them.
    pub(super) mode: Option<u32>,
    /// When it was modified, in seconds since 1970.
    pub(super) mtime: Option<i64>,
}

/// What is done with each member: the reader gives the content of a file.
pub(super) type Visit<'v> = dyn FnMut(Member, &mut dyn Read) -> Result<(), String> + 'v;

/// Visits all members of an archive, in their order.
pub(super) fn members(mut file: &File, visit: &mut Visit<'_>) -> Result<(), String> {
    let io = |e: io::Error| e.to_string();
    let mut magic = [0; 6];
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let length = read_most(&mut file, &mut magic).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let buffered = BufReader::with_capacity(64 * 1024, file);
    match magic.get(..length).unwrap_or_default() {
        [] => Err("it is empty".into()),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip_members(file, visit),
        [0x1f, 0x8b, ..] => tar_members(flate2::read::MultiGzDecoder::new(buffered), visit),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => tar_members(Frames::new(buffered), visit),
        [_, 0x2a, 0x4d, 0x18, ..] => tar_members(Frames::new(buffered), visit),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let xz = lzma_rust2::XzReader::new_mem_limit(buffered, true, XZ_MEMORY_KIB);
            tar_members(xz, visit)
        }
        [b'B', b'Z', b'h', ..] => {
            Err("it is packed with bzip2; pack it with zstd, xz or gzip".into())
        }
        _ => tar_members(buffered, visit),
    }
}

fn read_most(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The frames of a zstd stream, one after the other, with their checksums.
struct Frames<R> {
    from: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: Read> Frames<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            decoder: FrameDecoder::new(),
            within: false,
        }
    }

    /// Begins the next frame; says whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let mut first = [0];
            if read_most(&mut self.from, &mut first)? == 0 {
                return Ok(false);
            }
            match self.decoder.init((&first[..]).chain(&mut self.from)) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.from).take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within {
                self.within = self.begin()?;
                if !self.within {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let more = BlockDecodingStrategy::UptoBytes(buffer.len());
                let decoded = self.decoder.decode_blocks(&mut self.from, more);
                decoded.map_err(|e| io::Error::other(e.to_string()))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let written = self.decoder.get_checksum_from_data();
            if written.is_some() && written != self.decoder.get_calculated_checksum() {
                return Err(io::Error::other("its checksum is wrong"));
            }
            self.within = false;
        }
    }
}

/// Remembers whether what was read last is the end mark of a tar archive.
struct Marked<R> {
    from: R,
    read: u64,
    zeros: usize,
}

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let got = buffer.get(..read).unwrap_or_default();
        let at_end = got.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if at_end == read {
            self.zeros.saturating_add(read)
        } else {
            at_end
        };
        self.read += read as u64;
        Ok(read)
    }
}

fn tar_members(from: impl Read, visit: &mut Visit<'_>) -> Result<(), String> {
    let marked = Marked {
        from,
        read: 0,
        zeros: 0,
    };
    let mut archive = tar::Archive::new(marked);
    let entries = archive.entries().map_err(|e| e.to_string())?;
    let mut first = true;
    for entry in entries {
        let mut entry = entry.map_err(|e| match first {
            true => format!("it is neither a tar archive, packed or not, nor a zip archive: {e}"),
            false => e.to_string(),
        })?;
        first = false;
        let header = entry.header();
        let kind = header.entry_type();
        let mode = header.mode().ok();
        let mtime = header.mtime().ok().and_then(|t| i64::try_from(t).ok());
        let name = entry.path_bytes().into_owned();
        let to = || {
            let target = entry.link_name_bytes();
            target.map(|to| to.into_owned()).unwrap_or_default()
        };
        let thing = match kind {
            tar::EntryType::XGlobalHeader => continue,
            kind if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                // Old archives have directories that are files with a slash at the end.
                match name.ends_with(b"/") {
                    true => Thing::Directory,
                    false => Thing::File,
                }
            }
            tar::EntryType::Directory => Thing::Directory,
            tar::EntryType::Symlink => Thing::Link(to()),
            tar::EntryType::Link => Thing::SameAs(to()),
            tar::EntryType::Char | tar::EntryType::Block => Thing::Other("a device"),
            tar::EntryType::Fifo => Thing::Other("a pipe"),
            _ => Thing::Other("of a kind that is not known"),
        };
        let member = Member {
            name,
            thing,
            mode,
            mtime,
        };
        visit(member, &mut entry)?;
    }
    // What follows the last member has the end mark in it, and the checksum of what was packed.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|e| e.to_string())?;
    if rest.read == 0 {
        return Err("it is empty".into());
    }
    if rest.zeros < BLOCK {
        return Err("it is cut off: it has no end mark".into());
    }
    Ok(())
}

fn zip_members(file: &File, visit: &mut Visit<'_>) -> Result<(), String> {
    let shown = |e: zip::result::ZipError| e.to_string();
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(shown)?;
    if archive.has_duplicate_names() {
        return Err("a name is in there twice".into());
    }
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(shown)?;
        let name = entry.name().map_err(shown)?.as_bytes().to_vec();
        if name.contains(&b'\\') {
            let name = super::shown(&name);
            return Err(format!("{name}: its name has a backslash in it"));
        }
        if entry.encrypted() {
            let name = super::shown(&name);
            return Err(format!("{name}: it is encrypted"));
        }
        let mode = entry.unix_mode();
        let thing = match mode.map(|mode| mode & 0o170_000) {
            _ if entry.is_dir() => Thing::Directory,
            Some(0o120_000) => {
                let mut target = Vec::new();
                // No path is longer.
                let read = (&mut entry).take(1 << 16).read_to_end(&mut target);
                read.map_err(|e| e.to_string())?;
                Thing::Link(target)
            }
            Some(0o100_000 | 0) | None => Thing::File,
            Some(0o040_000) => Thing::Directory,
            _ => Thing::Other("neither a file, a directory nor a link"),
        };
        let extended = entry.extra_data_fields().find_map(|field| match field {
            zip::extra_fields::ExtraField::ExtendedTimestamp(times) => times.mod_time(),
            _ => None,
        });
        let member = Member {
            name,
            thing,
            mode: mode.map(|mode| mode & 0o7777),
            mtime: extended.map(i64::from),
        };
        visit(member, &mut entry)?;
    }
    Ok(())
}
