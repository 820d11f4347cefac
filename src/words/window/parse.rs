//! Reads the text of a window: days, times, zones and what joins them. Dates and absolute
//! intervals are read in [`super::moment`]; zones are settled in [`super::settle`].

use super::{
    days::day_named,
    error::{WindowError, WindowProblem as Problem},
    moment::{RawInterval, RawMoment},
    rule::{DAY, Days, show_minutes},
    zone::Zone,
};

/// Words that people write for `except`.
const EXCEPT_WORDS: [&str; 6] = ["excluding", "without", "but", "not", "unless", "exceptions"];

/// Bytes from and to.
pub(super) type Span = (usize, usize);

/// A window as written, its zone perhaps still open.
#[derive(Debug)]
pub(super) enum RawItem {
    Weekly {
        days: Days,
        start: u16,
        end: u16,
        zone: Option<Zone>,
        span: Span,
    },
    Absolute {
        interval: RawInterval,
        zone: Option<Zone>,
    },
}

/// An exception as written, its zone perhaps still open.
#[derive(Debug)]
pub(super) struct RawException {
    pub(super) what: RawExcepted,
    pub(super) zone: Option<Zone>,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum RawExcepted {
    Dates {
        first: jiff::civil::Date,
        last: jiff::civil::Date,
    },
    Between(RawInterval),
}

/// Everything that is written.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) items: Vec<RawItem>,
    pub(super) exceptions: Vec<RawException>,
}

/// A text and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// Reads the whole text.
pub(super) fn read(text: &str) -> Result<Raw, WindowError> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    if reader.rest().is_empty() {
        return Err(WindowError::new((0, text.len()), Problem::Empty)
            .hint("write one such as \"Sat 22:00-02:00 Europe/Berlin\""));
    }
    let mut items = vec![reader.item()?];
    let mut exceptions = Vec::new();
    loop {
        reader.space();
        if reader.rest().is_empty() {
            break;
        }
        if reader.keyword("except") {
            exceptions = reader.exceptions()?;
            break;
        }
        if !(reader.symbol(';') || reader.symbol(',') || reader.keyword("and")) {
            return Err(reader.stray("`;`, `and` or `except`"));
        }
        items.push(reader.item()?);
    }
    Ok(Raw { items, exceptions })
}

impl<'a> Reader<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Reads as long as `belongs` holds.
    pub(super) fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Skips `symbol` if it comes next.
    pub(super) fn symbol(&mut self, symbol: char) -> bool {
        let next = self.rest().starts_with(symbol);
        if next {
            self.at += symbol.len_utf8();
        }
        next
    }

    /// The hyphen of a range, or one of the dashes that word processors put in its place.
    pub(super) fn dash(&mut self) -> bool {
        self.symbol('-') || self.symbol('–') || self.symbol('—')
    }

    /// The word that comes next, without reading it.
    pub(super) fn word(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len())]
    }

    /// Skips `word` if it comes next, as a whole word.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let found = self.word().eq_ignore_ascii_case(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// What stands next up to a white space or separator; for messages.
    pub(super) fn next_token(&self) -> (&'a str, Span) {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == ',');
        let end = match end {
            // A separator that stands alone is a token too.
            Some(0) => rest.chars().next().map_or(0, char::len_utf8),
            Some(end) => end,
            None => rest.len(),
        };
        (&rest[..end], (self.at, self.at + end))
    }

    /// An error that says what is expected here.
    pub(super) fn stray(&self, expected: &'static str) -> WindowError {
        let (found, span) = self.next_token();
        if found.is_empty() {
            return WindowError::new(span, Problem::Missing { expected });
        }
        let error = WindowError::new(
            span,
            Problem::Unexpected {
                found: found.to_owned(),
                expected,
            },
        );
        let lower = found.to_lowercase();
        if EXCEPT_WORDS.contains(&lower.as_str()) || near(&lower, "except") {
            return error.hint("did you mean `except`?");
        }
        if Zone::find(found).is_ok() {
            return error.hint("a window has one time zone, behind its times");
        }
        if lower.starts_with(|c: char| c.is_ascii_digit()) && lower.contains(':') {
            return error.hint("separate windows with `;` and repeat the days");
        }
        error
    }

    fn item(&mut self) -> Result<RawItem, WindowError> {
        self.space();
        if self.at_date() {
            let interval = self.interval()?;
            let zone = self.zone()?;
            return Ok(RawItem::Absolute { interval, zone });
        }
        let start_at = self.at;
        let first = self.rest().chars().next();
        if first.is_some_and(|c| c.is_ascii_digit()) {
            let (_, span) = self.next_token();
            return Err(WindowError::new(span, Problem::NoDays)
                .hint("put days in front, such as `daily`, `Sat` or `Mon-Fri`"));
        }
        if !first.is_some_and(char::is_alphabetic) {
            return Err(self.stray("a window such as `Sat 22:00-02:00`"));
        }
        let days = self.days()?;
        let days_end = self.at;
        self.space();
        if !self.rest().starts_with(|c: char| c.is_ascii_digit()) || self.at_date() {
            return Err(self.no_times((start_at, days_end)));
        }
        let (start, end) = self.times()?;
        let span = (start_at, self.at);
        let zone = self.zone()?;
        Ok(RawItem::Weekly {
            days,
            start,
            end,
            zone,
            span,
        })
    }

    fn no_times(&self, span: Span) -> WindowError {
        let days = self.text.get(span.0..span.1).unwrap_or_default();
        let error = WindowError::new(
            span,
            Problem::NoTimes {
                days: days.to_owned(),
            },
        );
        let word = self.word();
        if !word.is_empty() && Zone::find(self.next_token().0).is_ok() {
            return error.hint(format!(
                "write the times before the zone: {days} 22:00-02:00 {}",
                self.next_token().0
            ));
        }
        if self.rest().starts_with(';') || !word.is_empty() {
            return error.hint("separate days with `,` or `-`: Mon,Wed or Mon-Fri");
        }
        error.hint(format!("write them behind: {days} 22:00-02:00"))
    }

    /// `22:00-02:00` in minutes from the midnight before; an end that is not later than the start
    /// lies on the next day.
    fn times(&mut self) -> Result<(u16, u16), WindowError> {
        let start_at = self.at;
        let start = self.time()?;
        if start == DAY {
            return Err(
                WindowError::new((start_at, self.at), Problem::StartAtMidnight)
                    .hint("write 00:00 on the next day"),
            );
        }
        self.space();
        if !self.dash() {
            return Err(self.stray("`-` and an end"));
        }
        self.space();
        let end = self.time()?;
        if start == end {
            let problem = Problem::NoLength {
                at: show_minutes(start),
            };
            return Err(WindowError::new((start_at, self.at), problem)
                .hint("write 00:00-24:00 for whole days"));
        }
        Ok((start, if end < start { end + DAY } else { end }))
    }

    /// One time of day in minutes, 24:00 included.
    fn time(&mut self) -> Result<u16, WindowError> {
        let start = self.at;
        let text = self.take(|c| c.is_alphanumeric() || matches!(c, ':' | '.' | '+'));
        let wrong = |hint: &str| {
            let problem = Problem::Time {
                text: text.to_owned(),
            };
            Err(WindowError::new((start, start + text.len()), problem).hint(hint))
        };
        if text.is_empty() {
            return Err(self.stray("a time such as `22:00`"));
        }
        let lower = text.to_ascii_lowercase();
        if lower.ends_with("am") || lower.ends_with("pm") {
            return wrong("write it on the 24-hour clock, such as 22:00");
        }
        if lower.ends_with('z') || lower.contains('+') {
            return wrong("a zone stands behind the times: 22:00-02:00 UTC");
        }
        let mut parts = text.split(':');
        let (Some(hour), Some(minute), None) = (parts.next(), parts.next(), parts.next()) else {
            return wrong("write hours and minutes, such as 22:00");
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hour) || !digits(minute) || !(1..=2).contains(&hour.len()) || minute.len() != 2 {
            return wrong("write hours and minutes, such as 22:00");
        }
        let (Ok(hour), Ok(minute)) = (hour.parse::<u16>(), minute.parse::<u16>()) else {
            return wrong("write hours and minutes, such as 22:00");
        };
        if minute > 59 || hour * 60 + minute > DAY {
            return wrong("a day goes from 00:00 to 24:00");
        }
        Ok(hour * 60 + minute)
    }

    /// The zone behind a window or an exception, if there is one.
    pub(super) fn zone(&mut self) -> Result<Option<Zone>, WindowError> {
        let before = self.at;
        self.space();
        let word = self.word();
        let none = self.rest().is_empty()
            || self.rest().starts_with([';', ','])
            || word.eq_ignore_ascii_case("and")
            || word.eq_ignore_ascii_case("except");
        if none {
            self.at = before;
            return Ok(None);
        }
        let start = self.at;
        let name = self.take(zone_letter);
        let span = (start, self.at);
        if name.is_empty() {
            return Err(self.stray("a time zone, `;`, `and` or `except`"));
        }
        if name.starts_with(['+', '-']) {
            let problem = Problem::UnknownZone {
                zone: name.to_owned(),
            };
            return Err(WindowError::new(span, problem).hint(
                "an offset does not follow the clock changes; name a zone such as Europe/Berlin, or UTC",
            ));
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) || !name.is_ascii() {
            self.at = start;
            return Err(self.stray("a time zone, `;`, `and` or `except`"));
        }
        zone_named(name, span).map(Some)
    }

    fn exceptions(&mut self) -> Result<Vec<RawException>, WindowError> {
        let mut exceptions = Vec::new();
        loop {
            self.space();
            exceptions.push(self.exception()?);
            self.space();
            if self.rest().is_empty() {
                return Ok(exceptions);
            }
            if self.symbol(',') || self.keyword("and") {
                continue;
            }
            let (_, span) = self.next_token();
            if self.rest().starts_with(';') {
                return Err(WindowError::new(span, Problem::ExceptNotLast)
                    .hint("exceptions hold for every window and come last, separated by commas"));
            }
            return Err(self.stray("`,` and another exception"));
        }
    }

    fn exception(&mut self) -> Result<RawException, WindowError> {
        let start = self.at;
        if !self.at_date() {
            let word = self.word().to_lowercase();
            if day_named(&word).is_some() || word == "daily" {
                let (_, span) = self.next_token();
                return Err(WindowError::new(span, Problem::ExceptNotLast)
                    .hint("write every window before `except`; exceptions are dates"));
            }
            return Err(self.stray("a date such as `2026-12-24`"));
        }
        let what = self.excepted()?;
        let span = (start, self.at);
        let zone = self.zone()?;
        Ok(RawException { what, zone, span })
    }

    fn excepted(&mut self) -> Result<RawExcepted, WindowError> {
        let start = self.at;
        let first = self.moment()?;
        let RawMoment::Date { date, .. } = first else {
            self.at = start;
            return Ok(RawExcepted::Between(self.interval()?));
        };
        if !self.symbol('/') {
            return Ok(RawExcepted::Dates {
                first: date,
                last: date,
            });
        }
        let behind = self.at;
        if self.rest().starts_with(['P', 'p']) {
            let (text, span) = self.next_token();
            return Err(WindowError::new(
                span,
                Problem::Moment {
                    text: text.to_owned(),
                },
            )
            .hint("write the last date, which is excepted too"));
        }
        let RawMoment::Date { date: last, .. } = self.moment()? else {
            return Err(WindowError::new((start, self.at), Problem::Mixed)
                .hint("write two dates, or two date-times such as 2026-12-24T12:00"));
        };
        if last < date {
            return Err(WindowError::new((behind, self.at), Problem::Backwards)
                .hint(format!("write {last}/{date}")));
        }
        Ok(RawExcepted::Dates { first: date, last })
    }
}

/// The zone of a name, or what is probably meant by it.
pub(super) fn zone_named(name: &str, span: Span) -> Result<Zone, WindowError> {
    let nearest = match Zone::find(name) {
        Ok(zone) => return Ok(zone),
        Err(nearest) => nearest,
    };
    let error = WindowError::new(
        span,
        Problem::UnknownZone {
            zone: name.to_owned(),
        },
    );
    let lower = name.to_lowercase();
    Err(
        if EXCEPT_WORDS.contains(&lower.as_str()) || near(&lower, "except") {
            error.hint("did you mean `except`?")
        } else if let Some(zone) = nearest {
            error.hint(format!("did you mean {zone}?"))
        } else {
            error.hint("write an IANA name such as Europe/Berlin, or UTC")
        },
    )
}

/// What a zone name consists of.
pub(super) fn zone_letter(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '_' | '+' | '-')
}

pub(super) fn near(word: &str, wanted: &str) -> bool {
    strsim::damerau_levenshtein(word, wanted) <= 2
}
