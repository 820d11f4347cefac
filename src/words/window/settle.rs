//! Settles which zone each local time means, and turns what was read into rules.
//!
//! A local time means the zone written with it. Where none is written and the whole text names
//! exactly one zone, that one is meant. Where it names several, it is an error: nothing is guessed.

use jiff::{Span as Period, Timestamp, tz::Offset};

use super::{
    error::{WindowError, WindowProblem as Problem},
    moment::{RawEnd, RawInterval, RawTime},
    parse::{Raw, RawExcepted, RawException, RawItem, Span},
    rule::{Absolute, Exception, Item, Moment, Weekly},
    zone::{Choose, Zone},
};

const NAME_A_ZONE: &str = "write an IANA zone behind the times, such as Europe/Berlin or UTC";

/// Items and exceptions with every zone settled, and the spans of the exceptions in time.
pub(super) type Settled = (Vec<Item>, Vec<Exception>, Vec<(Timestamp, Timestamp)>);

pub(super) fn settle(raw: Raw) -> Result<Settled, WindowError> {
    let named = Named::collect(&raw);
    let items: Vec<Item> = raw
        .items
        .into_iter()
        .map(|item| named.item(item))
        .collect::<Result<_, _>>()?;
    let mut exceptions = Vec::new();
    let mut spans = Vec::new();
    for raw in raw.exceptions {
        let at = raw.span;
        let exception = named.exception(raw)?;
        spans.push(
            exception
                .span()
                .ok_or_else(|| beyond(&exception.to_string(), at))?,
        );
        exceptions.push(exception);
    }
    Ok((items, exceptions, joined(spans)))
}

/// Sorts and joins what overlaps or touches; what is empty goes.
fn joined(mut spans: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    spans.retain(|(start, end)| start < end);
    spans.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

fn beyond(text: &str, span: Span) -> WindowError {
    WindowError::new(
        span,
        Problem::Beyond {
            text: text.to_owned(),
        },
    )
    .hint("check the year")
}

/// Every zone that the text names, each once.
struct Named(Vec<Zone>);

impl Named {
    fn collect(raw: &Raw) -> Self {
        let mut named = Self(Vec::new());
        for item in &raw.items {
            match item {
                RawItem::Weekly { zone, .. } => named.note(zone.as_ref()),
                RawItem::Absolute { interval, zone } => {
                    named.note_interval(interval);
                    named.note(zone.as_ref());
                }
            }
        }
        for exception in &raw.exceptions {
            if let RawExcepted::Between(interval) = &exception.what {
                named.note_interval(interval);
            }
            named.note(exception.zone.as_ref());
        }
        named
    }

    fn note_interval(&mut self, interval: &RawInterval) {
        self.note(interval.start.zone.as_ref());
        if let RawEnd::Time(end) = &interval.end {
            self.note(end.zone.as_ref());
        }
    }

    fn note(&mut self, zone: Option<&Zone>) {
        if let Some(zone) = zone
            && !self.0.contains(zone)
        {
            self.0.push(zone.clone());
        }
    }

    /// The one zone that is meant where none is written.
    fn only(&self, span: Span) -> Result<Zone, WindowError> {
        match self.0.as_slice() {
            [] => Err(WindowError::new(span, Problem::NoZone).hint(NAME_A_ZONE)),
            [zone] => Ok(zone.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(|zone| zone.name.as_str()).collect();
                let zones = names.join(", ");
                Err(WindowError::new(span, Problem::UnclearZone { zones })
                    .hint("write the zone here too"))
            }
        }
    }

    fn item(&self, item: RawItem) -> Result<Item, WindowError> {
        match item {
            RawItem::Weekly {
                days,
                start,
                end,
                zone,
                span,
            } => {
                let zone = zone.map_or_else(|| self.only(span), Ok)?;
                Ok(Item::Weekly(Weekly {
                    days,
                    start,
                    end,
                    zone,
                }))
            }
            RawItem::Absolute { interval, zone } => {
                self.absolute(interval, zone).map(Item::Absolute)
            }
        }
    }

    fn absolute(&self, raw: RawInterval, zone: Option<Zone>) -> Result<Absolute, WindowError> {
        let span = raw.span;
        let (start, end) = self.moments(raw, zone.as_ref(), Choose::Later)?;
        let (Some(opens), Some(closes)) = (start.place(Choose::Later), end.place(Choose::Earlier))
        else {
            return Err(beyond(&format!("{start}/{end}"), span));
        };
        if opens.at < closes.at {
            // A zone that the ends name themselves need not stand behind them.
            let zone = zone.filter(|zone| Some(zone) != start.zone().or(end.zone()));
            return Ok(Absolute {
                start,
                end,
                places: (opens, closes),
                zone,
            });
        }
        Err(if written_forward(&start, &end) {
            WindowError::new(span, Problem::NeverOpens)
                .hint("move its ends away from the hour of the clock change, or write offsets")
        } else {
            WindowError::new(span, Problem::Backwards).hint("the start comes first")
        })
    }

    fn exception(&self, raw: RawException) -> Result<Exception, WindowError> {
        let zone = raw.zone;
        match raw.what {
            RawExcepted::Dates { first, last } => {
                let zone = zone.map_or_else(|| self.only(raw.span), Ok)?;
                Ok(Exception::Dates { first, last, zone })
            }
            RawExcepted::Between(interval) => {
                let choose = Choose::Earlier;
                let (start, end) = self.moments(interval, zone.as_ref(), choose)?;
                let forward = written_forward(&start, &end);
                let exception = Exception::Between { start, end };
                match exception.span() {
                    None => Err(beyond(&exception.to_string(), raw.span)),
                    // An exception that the clock skips excepts nothing, and does no harm.
                    Some((start, end)) if forward || start < end => Ok(exception),
                    Some(_) => Err(WindowError::new(raw.span, Problem::Backwards)
                        .hint("the start comes first")),
                }
            }
        }
    }

    /// Both ends of an interval. A zone or offset written at one end holds for the other end too,
    /// unless that has its own. `choose` is for a start that comes twice and has a length behind it.
    fn moments(
        &self,
        raw: RawInterval,
        zone: Option<&Zone>,
        choose: Choose,
    ) -> Result<(Moment, Moment), WindowError> {
        let start_zone = raw.start.zone.clone();
        let end_zone = match &raw.end {
            RawEnd::Time(end) => end.zone.clone(),
            RawEnd::Length(..) => None,
        };
        let other = zone.cloned().or_else(|| end_zone.clone());
        let start = self.moment(&raw.start, start_zone.clone(), other, None)?;
        let end = match raw.end {
            RawEnd::Time(time) => {
                let other = zone.cloned().or(start_zone);
                self.moment(&time, end_zone, other, raw.start.offset)?
            }
            RawEnd::Length(period, span) => after(&start, period, zone, choose)
                .ok_or_else(|| beyond(&format!("{start}/{period}"), span))?,
        };
        Ok((start, end))
    }

    /// `own` is the zone in brackets; `other` and `offset` are what holds where none is written.
    fn moment(
        &self,
        raw: &RawTime,
        own: Option<Zone>,
        other: Option<Zone>,
        offset: Option<Offset>,
    ) -> Result<Moment, WindowError> {
        let inherited = if own.is_none() && other.is_none() {
            offset
        } else {
            None
        };
        if let Some(offset) = raw.offset.or(inherited) {
            let at = offset
                .to_timestamp(raw.local)
                .map_err(|_| beyond(&raw.local.to_string(), raw.span))?;
            if let Some(zone) = &own {
                agrees(zone, offset, at, raw)?;
            }
            return Ok(Moment::Fixed {
                at,
                offset,
                zone: own,
            });
        }
        let zone = own.or(other).map_or_else(|| self.only(raw.span), Ok)?;
        Ok(Moment::Local {
            local: raw.local,
            zone,
        })
    }
}

/// Is the end later than the start as they are written, whatever a clock change makes of them?
fn written_forward(start: &Moment, end: &Moment) -> bool {
    match (start, end) {
        (
            Moment::Local { local: first, zone },
            Moment::Local {
                local: last,
                zone: other,
            },
        ) if zone == other => first < last,
        _ => {
            let most = start.place(Choose::Earlier).zip(end.place(Choose::Later));
            most.is_some_and(|(first, last)| first.at < last.at)
        }
    }
}

/// The end of what begins at `start` and takes `period`. Days are days of the calendar, hours are
/// real ones. `None` when it is beyond the range of instants.
fn after(start: &Moment, period: Period, zone: Option<&Zone>, choose: Choose) -> Option<Moment> {
    let zone = start.zone().or(zone).cloned();
    let tz = match (&zone, start) {
        (Some(zone), _) | (None, Moment::Local { zone, .. }) => zone.tz.clone(),
        (None, Moment::Fixed { offset, .. }) => offset.to_time_zone(),
    };
    let end = start
        .place(choose)?
        .at
        .to_zoned(tz)
        .checked_add(period)
        .ok()?;
    Some(Moment::Fixed {
        at: end.timestamp(),
        offset: end.offset(),
        zone,
    })
}

/// Does the zone have the offset that is written beside it?
fn agrees(zone: &Zone, offset: Offset, at: Timestamp, raw: &RawTime) -> Result<(), WindowError> {
    let actual = zone.tz.to_offset(at);
    if actual == offset {
        return Ok(());
    }
    let problem = Problem::Offset {
        zone: zone.name.clone(),
        written: super::rule::show_offset(offset),
        actual: super::rule::show_offset(actual),
    };
    Err(WindowError::new(raw.span, problem).hint("leave one of the two out"))
}
