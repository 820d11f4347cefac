//! From rules to openings: occurrences are joined where they touch, and exceptions cut out.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::Offset};

use super::{
    opening::{Edge, Note, Opening},
    rule::{Item, Weekly, local_edge, show_offset},
    zone::{How, Place, Zone},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How far ahead an opening is looked for.
const TEN_YEARS: i64 = 3653 * DAY;

/// Weekly occurrences that follow one another without a hole for longer than this go on for ever.
/// What could make a hole, a clock change, comes every year or not at all; exceptions are cut out
/// afterwards.
const ENDLESS: i64 = 800 * DAY;

/// How far back the search begins. No occurrence that began earlier than [`REACH`] before an
/// instant is still open at it: a day, a clock change of up to a day, and room to spare.
const LOOK_BACK: i64 = 5 * DAY;
const REACH: i64 = 3 * DAY;

/// Clock changes in longer openings are no news.
const NOTED: i64 = 32 * DAY;

/// What a window opens and excepts, ready for questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline<'a> {
    pub(super) items: &'a [Item],
    /// Sorted and disjoint.
    pub(super) excepted: &'a [(Timestamp, Timestamp)],
}

/// Where a piece comes from: which item, and for weekly ones which date.
#[derive(Debug, Clone, Copy)]
struct Source {
    item: usize,
    date: Option<Date>,
}

/// One occurrence of one item.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: Timestamp,
    end: Timestamp,
    source: Source,
}

/// Occurrences that overlap or touch, joined; exceptions not yet cut out.
#[derive(Debug, Clone)]
struct Stretch {
    start: Timestamp,
    end: Timestamp,
    /// What made the edges; `None` for an edge that is endless.
    first: Option<Source>,
    last: Option<Source>,
}

impl Stretch {
    fn begin(piece: &Piece) -> Self {
        Self {
            start: piece.start,
            end: piece.end,
            first: Some(piece.source),
            last: Some(piece.source),
        }
    }

    fn absorb(&mut self, piece: &Piece) {
        if piece.end > self.end {
            self.end = piece.end;
            self.last = Some(piece.source);
        }
    }

    /// Puts the earlier beginning of the same stretch in front.
    fn prepend(&mut self, earlier: &Self) {
        self.start = earlier.start;
        self.first = earlier.first;
    }
}

/// The occurrences of one item, in the order of their starts.
enum Feed<'a> {
    Once(Option<Piece>),
    Weekly {
        item: usize,
        weekly: &'a Weekly,
        date: Option<Date>,
        next: Option<Piece>,
    },
}

impl<'a> Feed<'a> {
    /// Weekly occurrences from the local date of `base` on; what comes once in any case.
    fn new(item: usize, what: &'a Item, base: Timestamp) -> Self {
        let source = Source { item, date: None };
        match what {
            Item::Weekly(weekly) if weekly.always() => Self::Once(Some(Piece {
                start: Timestamp::MIN,
                end: Timestamp::MAX,
                source,
            })),
            Item::Weekly(weekly) => {
                let date = Some(weekly.zone.local(base).date());
                let mut feed = Self::Weekly {
                    item,
                    weekly,
                    date,
                    next: None,
                };
                feed.advance();
                feed
            }
            Item::Absolute(absolute) => {
                let (start, end) = (absolute.places.0.at, absolute.places.1.at);
                Self::Once(Some(Piece { start, end, source }))
            }
        }
    }

    fn peek(&self) -> Option<&Piece> {
        match self {
            Self::Once(piece) | Self::Weekly { next: piece, .. } => piece.as_ref(),
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Once(piece) => *piece = None,
            Self::Weekly {
                item,
                weekly,
                date,
                next,
            } => {
                *next = None;
                // Ends with the calendar at the latest, at the end of the year 9999.
                while let Some(day) = *date {
                    *date = day.tomorrow().ok();
                    if let Some(found) = weekly.occurrence(day) {
                        let source = Source {
                            item: *item,
                            date: Some(day),
                        };
                        *next = Some(Piece {
                            start: found.start.at,
                            end: found.end.at,
                            source,
                        });
                        break;
                    }
                }
            }
        }
    }
}

fn shift(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(if seconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
}

impl Timeline<'_> {
    /// The first opening whose end is later than `after` and whose start is not more than ten
    /// years later.
    pub(super) fn next(&self, after: Timestamp) -> Option<Opening> {
        self.next_until(after, shift(after, TEN_YEARS))
    }

    /// The opening that `instant` lies in.
    pub(super) fn at(&self, instant: Timestamp) -> Option<Opening> {
        self.next_until(instant, instant)
    }

    fn next_until(&self, after: Timestamp, latest: Timestamp) -> Option<Opening> {
        let mut at = after;
        loop {
            let stretch = self.stretch(at)?;
            if stretch.start > latest {
                return None;
            }
            if let Some((start, end)) = self.cut(&stretch, after) {
                return (start <= latest).then(|| self.opening(&stretch, start, end));
            }
            // What an exception swallows whole needs no look.
            let excepted = self
                .excepted
                .iter()
                .find(|(a, b)| *a <= stretch.end && stretch.end < *b);
            at = excepted.map_or(stretch.end, |(_, b)| *b);
            if at == Timestamp::MAX {
                return None;
            }
        }
    }

    /// The first part of a stretch that no exception takes away and that ends later than `after`.
    fn cut(&self, stretch: &Stretch, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let mut start = stretch.start;
        for &(closes, opens) in self.excepted {
            if opens <= start {
                continue;
            }
            if closes >= stretch.end {
                break;
            }
            if closes > start && closes > after {
                return Some((start, closes));
            }
            start = opens;
        }
        (start < stretch.end && stretch.end > after).then_some((start, stretch.end))
    }

    /// The first stretch that ends later than `after`.
    fn stretch(&self, after: Timestamp) -> Option<Stretch> {
        let mut base = shift(after, -LOOK_BACK);
        let mut stretch = self.grow(base, after, Timestamp::MAX)?;
        // Something that began before `base` may reach up to its start: look further back.
        let mut step = LOOK_BACK;
        while stretch.start > Timestamp::MIN && stretch.start <= shift(base, REACH) {
            if step >= ENDLESS {
                stretch.start = Timestamp::MIN;
                stretch.first = None;
                break;
            }
            step = (step * 8).min(ENDLESS);
            base = shift(base.min(stretch.start), -step);
            let Some(earlier) = self.grow(base, stretch.start, stretch.start) else {
                break;
            };
            stretch.prepend(&earlier);
        }
        Some(stretch)
    }

    /// Joins occurrences, weekly ones from `base` on, to the first stretch that ends later than
    /// `after`. It stops growing beyond `enough`.
    fn grow(&self, base: Timestamp, after: Timestamp, enough: Timestamp) -> Option<Stretch> {
        let mut feeds: Vec<Feed<'_>> = self
            .items
            .iter()
            .enumerate()
            .map(|(item, what)| Feed::new(item, what, base))
            .collect();
        let mut grown: Option<Stretch> = None;
        // An endless one is told by weekly occurrences in a row from here on.
        let mut since = after;
        loop {
            let piece = feeds
                .iter_mut()
                .filter_map(|feed| feed.peek().copied().map(|piece| (piece, feed)))
                .min_by_key(|(piece, _)| piece.start)
                .map(|(piece, feed)| {
                    feed.advance();
                    piece
                });
            let Some(piece) = piece else {
                return grown.filter(|stretch| stretch.end > after);
            };
            let stretch = match &mut grown {
                Some(stretch) if piece.start <= stretch.end => {
                    stretch.absorb(&piece);
                    stretch
                }
                Some(stretch) if stretch.end > after => return grown,
                _ => grown.insert(Stretch::begin(&piece)),
            };
            if piece.source.date.is_none() {
                since = since.max(piece.end);
            }
            if stretch.end > enough || stretch.end == Timestamp::MAX {
                return grown;
            }
            if stretch.end > shift(since.max(stretch.start), ENDLESS) {
                stretch.end = Timestamp::MAX;
                stretch.last = None;
                return grown;
            }
        }
    }

    fn opening(&self, stretch: &Stretch, start: Timestamp, end: Timestamp) -> Opening {
        let mut notes = Vec::new();
        if start > stretch.start {
            notes.push(Note::Excepted { edge: Edge::Start });
        } else if let Some(source) = stretch.first {
            notes.extend(self.edge_note(Edge::Start, source));
        }
        if start.duration_until(end) <= SignedDuration::from_secs(NOTED) {
            notes.extend(self.change_notes(start, end));
        }
        if end < stretch.end {
            notes.push(Note::Excepted { edge: Edge::End });
        } else if let Some(source) = stretch.last {
            notes.extend(self.edge_note(Edge::End, source));
        }
        Opening::new(start, end).with_notes(notes)
    }

    /// What the clock does between `start` and `end` in the zones that have part in it.
    fn change_notes(&self, start: Timestamp, end: Timestamp) -> Vec<Note> {
        let mut changes = Vec::new();
        let mut seen: Vec<&Zone> = Vec::new();
        for zone in self.parts(start, end).filter_map(Item::zone) {
            if !seen.contains(&zone) {
                seen.push(zone);
                let of_zone = zone.changes(start, end).into_iter();
                changes.extend(of_zone.map(|(at, before, after)| (at, &zone.name, before, after)));
            }
        }
        // In the order of time, however the opening was found.
        changes.sort_unstable();
        let note = |(at, zone, before, after): (Timestamp, &String, Offset, Offset)| {
            let seconds = after.seconds().abs_diff(before.seconds());
            let zone = zone.clone();
            if after > before {
                Note::Forward { seconds, at, zone }
            } else {
                Note::Back { seconds, at, zone }
            }
        };
        changes.into_iter().map(note).collect()
    }

    /// The items that have an occurrence between `start` and `end`.
    fn parts(&self, start: Timestamp, end: Timestamp) -> impl Iterator<Item = &Item> {
        self.items
            .iter()
            .enumerate()
            .filter_map(move |(item, what)| {
                let mut feed = Feed::new(item, what, shift(start, -LOOK_BACK));
                while feed.peek()?.end <= start {
                    feed.advance();
                }
                (feed.peek()?.start < end).then_some(what)
            })
    }

    /// What the clock did to the edge that `source` made.
    fn edge_note(&self, edge: Edge, source: Source) -> Option<Note> {
        let (place, local, zone) = match &self.items[source.item] {
            Item::Weekly(weekly) => {
                let date = source.date?;
                let found = weekly.occurrence(date)?;
                let (place, minutes) = match edge {
                    Edge::Start => (found.start, weekly.start),
                    Edge::End => (found.end, weekly.end),
                };
                (place, local_edge(date, minutes)?, &weekly.zone)
            }
            Item::Absolute(absolute) => {
                let (place, moment) = match edge {
                    Edge::Start => (absolute.places.0, &absolute.start),
                    Edge::End => (absolute.places.1, &absolute.end),
                };
                let super::rule::Moment::Local { local, zone } = moment else {
                    return None;
                };
                (place, *local, zone)
            }
        };
        place_note(edge, place, local, zone)
    }
}

fn place_note(edge: Edge, place: Place, local: jiff::civil::DateTime, zone: &Zone) -> Option<Note> {
    let (time, date, name) = (local.time(), local.date(), zone.name.clone());
    match place.how {
        How::Once => None,
        How::Gap => {
            // An end is told in the clock that runs up to it, a start in the one that follows.
            let shown = match edge {
                Edge::Start => zone.local(place.at).time(),
                Edge::End => {
                    let before = shift(place.at, -1);
                    zone.tz.to_offset(before).to_datetime(place.at).time()
                }
            };
            Some(Note::Skipped {
                edge,
                time,
                date,
                zone: name,
                shown,
            })
        }
        How::Fold => {
            let offset = show_offset(zone.tz.to_offset(place.at));
            Some(Note::Twice {
                edge,
                time,
                date,
                zone: name,
                offset,
            })
        }
    }
}
