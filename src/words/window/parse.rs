//! Reads the text of a window: days, times, zones and what joins them. Dates and absolute
//! intervals are read in [`super::moment`]; zones are settled in [`super::settle`].

use super::{
    error::{WindowError, WindowProblem as Problem},
    moment::{RawInterval, RawMoment},
    rule::{DAY, DAYS, Days, show_minutes},
    zone::Zone,
};

const LONG_DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Words that people write for days, and what to write instead.
const DAY_WORDS: [(&str, &str); 12] = [
    ("weekday", "Mon-Fri"),
    ("weekdays", "Mon-Fri"),
    ("workdays", "Mon-Fri"),
    ("weekend", "Sat,Sun"),
    ("weekends", "Sat,Sun"),
    ("everyday", "daily"),
    ("every", "daily"),
    ("always", "daily 00:00-24:00"),
    ("nightly", "daily"),
    ("tues", "Tue"),
    ("thur", "Thu"),
    ("thurs", "Thu"),
];

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
    fn dash(&mut self) -> bool {
        self.symbol('-') || self.symbol('–') || self.symbol('—')
    }

    /// The word that comes next, without reading it.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len())]
    }

    /// Skips `word` if it comes next, as a whole word.
    fn keyword(&mut self, word: &str) -> bool {
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

    /// `daily`, `Sat`, `Mon-Fri`, `Mon,Wed and Fri`. A comma belongs to the days when a day
    /// follows: a window is complete only with its times.
    fn days(&mut self) -> Result<Days, WindowError> {
        let mut days = Days::default();
        loop {
            let start = self.at;
            let added = self.day_range()?;
            if let Some(again) = (0..7).find(|day| days.has(*day) && added.has(*day)) {
                let problem = Problem::RepeatedDay { day: DAYS[again] };
                return Err(WindowError::new((start, self.at), problem).hint("name each day once"));
            }
            (0..7)
                .filter(|day| added.has(*day))
                .for_each(|day| days.add(day));
            let before = self.at;
            self.space();
            let joined = self.symbol(',') || self.keyword("and");
            self.space();
            let alphabetic = self.rest().starts_with(char::is_alphabetic);
            if !(joined && alphabetic) || self.word().eq_ignore_ascii_case("and") {
                self.at = before;
                return Ok(days);
            }
        }
    }

    fn day_range(&mut self) -> Result<Days, WindowError> {
        let start = self.at;
        if self.keyword("daily") {
            return Ok(Days::ALL);
        }
        let first = self.day()?;
        let before = self.at;
        self.space();
        let mut days = Days::default();
        days.add(first);
        if !self.dash() {
            self.at = before;
            return Ok(days);
        }
        self.space();
        let last = self.day()?;
        if first == last {
            let day = DAYS[first];
            return Err(
                WindowError::new((start, self.at), Problem::DayRange { day })
                    .hint(format!("write {day} for that day, or daily for all")),
            );
        }
        let length = (last + 7 - first) % 7;
        (first..=first + length).for_each(|day| days.add(day));
        Ok(days)
    }

    /// One day, counted from Monday = 0.
    fn day(&mut self) -> Result<usize, WindowError> {
        let word = self.word();
        let lower = word.to_lowercase();
        let known = DAYS
            .iter()
            .zip(LONG_DAYS)
            .position(|(short, long)| short.eq_ignore_ascii_case(word) || long == lower);
        if let Some(day) = known {
            self.at += word.len();
            return Ok(day);
        }
        if word.is_empty() {
            return Err(self.stray("a day such as `Mon`"));
        }
        let (token, token_span) = self.next_token();
        if token.contains('/') || Zone::find(token).is_ok() {
            let day = token.to_owned();
            return Err(WindowError::new(token_span, Problem::UnknownDay { day })
                .hint("a zone stands behind the times: Sat 22:00-02:00 Europe/Berlin"));
        }
        let span = (self.at, self.at + word.len());
        if lower == "except" {
            return Err(WindowError::new(
                span,
                Problem::Missing {
                    expected: "a window",
                },
            )
            .hint("write when it is open before you say when it is not"));
        }
        let error = WindowError::new(
            span,
            Problem::UnknownDay {
                day: word.to_owned(),
            },
        );
        Err(match nearest_day(&lower) {
            Some(day) => error.hint(format!("did you mean {day}?")),
            None => error.hint("known are Mon, Tue, Wed, Thu, Fri, Sat, Sun and daily"),
        })
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
        self.zone_named(name, span).map(Some)
    }

    pub(super) fn zone_named(&self, name: &str, span: Span) -> Result<Zone, WindowError> {
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
            if DAYS
                .iter()
                .zip(LONG_DAYS)
                .any(|(s, l)| s.eq_ignore_ascii_case(&word) || l == word)
                || word == "daily"
            {
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

/// What a zone name consists of.
pub(super) fn zone_letter(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '_' | '+' | '-')
}

fn near(word: &str, wanted: &str) -> bool {
    strsim::damerau_levenshtein(word, wanted) <= 2
}

fn nearest_day(word: &str) -> Option<&'static str> {
    if let Some((_, meant)) = DAY_WORDS.iter().find(|(known, _)| *known == word) {
        return Some(meant);
    }
    let mut starting = (0..7).filter(|day| word.len() > 1 && LONG_DAYS[*day].starts_with(word));
    if let Some(day) = starting.next() {
        return Some(DAYS[day]);
    }
    if near(word, "daily") {
        return Some("daily");
    }
    let distance = |day: usize| {
        strsim::damerau_levenshtein(LONG_DAYS[day], word)
            .min(strsim::damerau_levenshtein(&DAYS[day].to_lowercase(), word))
    };
    (0..7)
        .map(|day| (distance(day), day))
        .min()
        .filter(|(distance, _)| *distance * 2 <= word.chars().count())
        .map(|(_, day)| DAYS[day])
}
