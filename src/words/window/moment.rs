//! Reads dates, date-times and absolute intervals in the form of ISO 8601.

use jiff::{
    Span as Period,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

use super::{
    error::{WindowError, WindowProblem as Problem},
    parse::{Reader, Span, zone_letter, zone_named},
    zone::Zone,
};

/// A date, or a date and time, as written.
#[derive(Debug, Clone)]
pub(super) enum RawMoment {
    Date { date: Date, span: Span },
    Time(RawTime),
}

/// A date and time as written, its zone perhaps still open.
#[derive(Debug, Clone)]
pub(super) struct RawTime {
    pub(super) local: DateTime,
    pub(super) offset: Option<Offset>,
    pub(super) zone: Option<Zone>,
    pub(super) span: Span,
}

/// What stands behind the slash.
#[derive(Debug, Clone)]
pub(super) enum RawEnd {
    Time(RawTime),
    Length(Period, Span),
}

/// An absolute interval as written.
#[derive(Debug, Clone)]
pub(super) struct RawInterval {
    pub(super) start: RawTime,
    pub(super) end: RawEnd,
    pub(super) span: Span,
}

impl Reader<'_> {
    /// Does a date come next? It has four digits in front and two hyphens.
    pub(super) fn at_date(&self) -> bool {
        let rest = self.rest();
        let date = &rest[..rest.find(['/', 'T', 't', ' ', ',']).unwrap_or(rest.len())];
        let year = date.split('-').next().unwrap_or_default();
        let four = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
        four && date.matches('-').count() >= 2
    }

    /// `2026-12-01T22:00+01:00/2026-12-02T02:00+01:00`, or with a length behind the slash.
    pub(super) fn interval(&mut self) -> Result<RawInterval, WindowError> {
        let start_at = self.at;
        let start = self
            .moment()?
            .time("write when it opens and closes: 2026-12-01T22:00/2026-12-02T02:00")?;
        if !self.symbol('/') {
            return Err(self.stray("`/` and an end"));
        }
        let end_at = self.at;
        let end = if self.rest().starts_with(['P', 'p']) {
            let period = self.length()?;
            RawEnd::Length(period, (end_at, self.at))
        } else if self.at_date() {
            RawEnd::Time(self.moment()?.time("write the time too, such as T02:00")?)
        } else {
            let error = self.stray("an end such as `2026-12-02T02:00` or `PT4H`");
            return Err(if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
                error.hint("write the whole date and time")
            } else {
                error
            });
        };
        Ok(RawInterval {
            start,
            end,
            span: (start_at, self.at),
        })
    }

    /// `PT4H`, `P1DT2H`.
    fn length(&mut self) -> Result<Period, WindowError> {
        let start = self.at;
        let text = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        // Seconds are the smallest unit of a window.
        let whole = |period: &Period| {
            period.get_milliseconds() == 0
                && period.get_microseconds() == 0
                && period.get_nanoseconds() == 0
        };
        let period = text.parse::<Period>().ok();
        let period = period.filter(|period| period.is_positive() && whole(period));
        period.ok_or_else(|| {
            let problem = Problem::Length {
                text: text.to_owned(),
            };
            WindowError::new((start, self.at), problem)
                .hint("write one such as PT4H, PT1H30M or P1D")
        })
    }

    /// `2026-12-24`, `2026-12-24T22:00`, with seconds, an offset and a zone in brackets.
    pub(super) fn moment(&mut self) -> Result<RawMoment, WindowError> {
        let start = self.at;
        let text = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+'));
        let span = (start, self.at);
        let wrong = |hint: &str| {
            let problem = Problem::Moment {
                text: text.to_owned(),
            };
            Err(WindowError::new(span, problem).hint(hint))
        };
        let Some((date, behind)) = text.split_at_checked(10) else {
            return wrong("write the date as 2026-12-24");
        };
        let Some(date) = read_date(date) else {
            return wrong("there is no such date, or it is not written as 2026-12-24");
        };
        if behind.is_empty() {
            return self.no_moment_behind(date, span);
        }
        let Some(behind) = behind.strip_prefix(['T', 't']) else {
            return wrong("write it as 2026-12-24T22:00");
        };
        let clock_end = behind.find(|c: char| !(c.is_ascii_digit() || c == ':'));
        let (clock, offset) = behind.split_at(clock_end.unwrap_or(behind.len()));
        let Some((time, next_day)) = read_clock(clock) else {
            return wrong("write the time as 22:00 or 22:00:00, on the 24-hour clock");
        };
        let offset = match offset {
            "" => None,
            written => match read_offset(written) {
                Some(offset) => Some(offset),
                None => return wrong("write the offset as Z or +01:00, or a zone in brackets"),
            },
        };
        let date = if next_day {
            date.tomorrow().ok()
        } else {
            Some(date)
        };
        let Some(date) = date else {
            return wrong("it is beyond the years that can be counted");
        };
        let zone = self.bracket()?;
        let local = date.to_datetime(time);
        Ok(RawMoment::Time(RawTime {
            local,
            offset,
            zone,
            span: (start, self.at),
        }))
    }

    /// A date alone; a time behind a space is a frequent slip.
    fn no_moment_behind(&self, date: Date, span: Span) -> Result<RawMoment, WindowError> {
        let rest = self.rest().trim_start();
        let spaced = rest.len() < self.rest().len();
        let clock = rest.as_bytes().get(..3);
        if spaced && clock.is_some_and(|b| b[0].is_ascii_digit() && (b[1] == b':' || b[2] == b':'))
        {
            let problem = Problem::Moment {
                text: date.to_string(),
            };
            return Err(WindowError::new(span, problem)
                .hint("put a T between date and time: 2026-12-24T22:00"));
        }
        Ok(RawMoment::Date { date, span })
    }

    /// `[Europe/Berlin]` behind a date-time.
    fn bracket(&mut self) -> Result<Option<Zone>, WindowError> {
        if !self.symbol('[') {
            return Ok(None);
        }
        let start = self.at;
        let name = self.take(zone_letter);
        let span = (start, self.at);
        if name.is_empty() {
            return Err(self.stray("a time zone"));
        }
        let zone = zone_named(name, span)?;
        if !self.symbol(']') {
            return Err(self.stray("`]`"));
        }
        Ok(Some(zone))
    }
}

impl RawMoment {
    fn time(self, hint: &str) -> Result<RawTime, WindowError> {
        match self {
            Self::Time(time) => Ok(time),
            Self::Date { date, span } => {
                let problem = Problem::DateAlone {
                    text: date.to_string(),
                };
                Err(WindowError::new(span, problem).hint(hint))
            }
        }
    }
}

fn digits<T: std::str::FromStr>(text: &str, length: usize) -> Option<T> {
    let all = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, month, day).ok()
}

/// The time, and whether it is the midnight of the next day, written 24:00.
fn read_clock(text: &str) -> Option<(Time, bool)> {
    let mut parts = text.split(':');
    let hour: i8 = digits(parts.next()?, 2)?;
    let minute: i8 = digits(parts.next()?, 2)?;
    let second: i8 = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    if parts.next().is_some() || minute > 59 || second > 59 {
        return None;
    }
    if (hour, minute, second) == (24, 0, 0) {
        return Some((Time::midnight(), true));
    }
    Time::new(hour, minute, second, 0)
        .ok()
        .map(|time| (time, false))
}

/// `Z`, `+01:00`, `-03:30`, `+00:53:28`.
fn read_offset(text: &str) -> Option<Offset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let (sign, behind) = match text.split_at_checked(1)? {
        ("+", behind) => (1, behind),
        ("-", behind) => (-1, behind),
        _ => return None,
    };
    let mut parts = behind.split(':');
    let hours: i32 = digits(parts.next()?, 2)?;
    let minutes: i32 = digits(parts.next()?, 2)?;
    let seconds: i32 = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok()
}
