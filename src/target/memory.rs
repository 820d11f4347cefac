//! How much memory this process has grown by.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Measures the memory of this process against what it was when the meter was made.
#[derive(Debug)]
pub struct Meter {
    statm: File,
    base: u64,
}

impl Meter {
    /// A meter that begins now. Fails where there is no `/proc`.
    pub fn new() -> std::io::Result<Self> {
        let statm = File::open("/proc/self/statm")?;
        let base = resident(&statm).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Self { statm, base })
    }

    /// Bytes of memory in use beyond those at the begin. Allocates nothing.
    #[must_use]
    pub fn grown(&self) -> u64 {
        resident(&self.statm).map_or(0, |now| now.saturating_sub(self.base))
    }
}

/// The second number of `statm`: resident pages.
fn resident(statm: &File) -> Option<u64> {
    let mut buffer = [0; 128];
    let length = statm.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_seen() {
        let meter = Meter::new().unwrap();
        let bytes = vec![1_u8; 64 << 20];
        assert!(bytes.iter().all(|b| *b == 1));
        assert!(meter.grown() >= 60 << 20, "{}", meter.grown());
    }
}
