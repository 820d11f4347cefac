//! Ids of runs: `20260321-2200-k7f3` is the minute (UTC) in which the run was created and four
//! random characters. Ids sort by time and any unique beginning names the run.

use std::fmt;

/// Digits and letters without `i`, `l`, `o` and `u`, which are misread (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// So many random characters end an id.
const RANDOM_CHARS: u32 = 4;
/// So many ids fit in one minute.
pub(super) const IDS_PER_MINUTE: u32 = 32_u32.pow(RANDOM_CHARS);

/// The id of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// A text that is not the whole id of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not the id of a run; an id looks like 20260321-2200-k7f3, and `deployrun runs` lists them"
)]
pub struct NotARunId {
    /// The text.
    pub text: String,
}

impl RunId {
    /// Makes an id from the time, in milliseconds since 1970 UTC, and any random number. A time
    /// before 1970 or near the end of the year 9999 is moved to that limit.
    #[must_use]
    pub fn new(now_ms: i64, random: u32) -> Self {
        let second = (now_ms / 1_000).clamp(0, jiff::Timestamp::MAX.as_second());
        let time = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let time = jiff::tz::Offset::UTC.to_datetime(time);
        let mut id = format!(
            "{:04}{:02}{:02}-{:02}{:02}-",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute()
        );
        push_random(&mut id, random);
        Self(id)
    }

    /// Reads a whole id; the inverse of `Display`.
    ///
    /// # Errors
    /// If the text is not the whole id of a run.
    pub fn parse(text: &str) -> Result<Self, NotARunId> {
        let bytes = text.as_bytes();
        let fits = bytes.len() == 18
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 => *byte == b'-',
                0..13 => byte.is_ascii_digit(),
                _ => ALPHABET.contains(byte),
            });
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotARunId {
                text: text.to_owned(),
            })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id to try when this one is taken: the same minute, the next random part.
    pub(super) fn next(&self) -> Self {
        let (minute, random) = self.0.split_at(14);
        let value = random.bytes().fold(0, |value, byte| {
            let digit = ALPHABET
                .iter()
                .position(|known| *known == byte)
                .unwrap_or(0);
            value * 32 + u32::try_from(digit).unwrap_or(0)
        });
        let mut id = minute.to_owned();
        push_random(&mut id, value.wrapping_add(1));
        Self(id)
    }
}

fn push_random(id: &mut String, random: u32) {
    for place in (0..RANDOM_CHARS).rev() {
        let digit = (random >> (place * 5)) & 31;
        id.push(char::from(ALPHABET[digit as usize]));
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RunId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-03-21T22:00:00Z
    const MINUTE: i64 = 1_774_130_400_000;

    #[test]
    fn shows_minute_and_random_part() {
        assert_eq!(RunId::new(MINUTE, 0).as_str(), "20260321-2200-0000");
        assert_eq!(
            RunId::new(MINUTE + 59_999, 31).as_str(),
            "20260321-2200-000z"
        );
        assert_eq!(
            RunId::new(MINUTE + 60_000, u32::MAX).as_str(),
            "20260321-2201-zzzz"
        );
        assert_eq!(RunId::new(i64::MIN, 1).as_str(), "19700101-0000-0001");
        assert_eq!(RunId::new(i64::MAX, 1).as_str(), "99991230-2200-0001");
    }

    #[test]
    fn sorts_by_time() {
        let mut last = RunId::new(0, 7);
        for minute in 1..200_000_i64 {
            let id = RunId::new(minute * 61 * 60_000, u32::try_from(minute % 977).unwrap());
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn parse_accepts_what_new_makes_and_nothing_that_could_be_a_path() {
        for random in 0..5_000 {
            let id = RunId::new(MINUTE, random * 211);
            assert_eq!(RunId::parse(id.as_str()).as_ref(), Ok(&id));
        }
        for text in [
            "",
            "20260321-2200",
            "20260321-2200-k7f",
            "20260321-2200-k7f33",
            "20260321-2200-K7F3",
            "20260321-2200-k7fo",
            "2026032a-2200-k7f3",
            "20260321/2200-k7f3",
            "20260321-2200-../x",
            "é0260321-2200-k7f",
        ] {
            assert!(RunId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn next_walks_through_the_whole_minute() {
        let first = RunId::new(MINUTE, 5);
        let mut id = first.clone();
        let mut seen = 0_u32;
        loop {
            id = id.next();
            seen += 1;
            if id == first {
                break;
            }
        }
        assert_eq!(seen, IDS_PER_MINUTE);
        assert_eq!(
            RunId::new(MINUTE, IDS_PER_MINUTE - 1).next(),
            RunId::new(MINUTE, 0)
        );
    }
}
