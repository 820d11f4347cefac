use proptest::prelude::*;

use super::*;

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "UTC",
    "America/Havana",
    "Pacific/Apia",
];

fn any_days() -> impl Strategy<Value = String> {
    let day = prop::sample::select(rule::DAYS.to_vec());
    prop_oneof![
        Just("daily".to_owned()),
        day.clone().prop_map(str::to_owned),
        (day.clone(), 1_usize..7).prop_map(|(first, more)| {
            let at = rule::DAYS.iter().position(|day| *day == first).unwrap_or(0);
            format!("{first} - {}", rule::DAYS[(at + more) % 7])
        }),
        prop::sample::subsequence(rule::DAYS.to_vec(), 1..7).prop_map(|days| days.join(", ")),
    ]
}

fn any_item() -> impl Strategy<Value = String> {
    let zone = prop::sample::select(ZONES.to_vec());
    let quarter =
        || (0_u32..96).prop_map(|quarter| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15));
    let weekly = (any_days(), quarter(), 1_u32..=96, zone.clone()).prop_map(
        |(days, start, length, zone)| {
            let from: u32 =
                start[..2].parse::<u32>().unwrap() * 4 + start[3..].parse::<u32>().unwrap() / 15;
            // A whole day is one only from midnight on.
            let to = if length == 96 && from > 0 {
                from + 95
            } else {
                from + length
            };
            let to = if to > 96 { to - 96 } else { to };
            format!("{days} {start}-{:02}:{:02} {zone}", to / 4, to % 4 * 15)
        },
    );
    let date = || {
        (0_i64..60).prop_map(|day| {
            let start = jiff::civil::date(2026, 3, 1);
            start
                .checked_add(jiff::Span::new().days(day))
                .unwrap()
                .to_string()
        })
    };
    let absolute = (date(), quarter(), 1_u32..100, zone.clone(), 0_usize..3).prop_map(
        |(date, time, hours, zone, how)| match how {
            0 => format!("{date}T{time}[{zone}]/PT{hours}H"),
            1 => format!("{date}T{time}:07+05:45/PT{hours}H {zone}"),
            _ => format!("{date}T{time}/2026-05-03T00:00 {zone}"),
        },
    );
    prop_oneof![4 => weekly, 1 => absolute]
}

fn any_window() -> impl Strategy<Value = String> {
    let zone = || prop::sample::select(ZONES.to_vec());
    let exception = (0_i64..60, 0_i64..4, 0_usize..3, zone()).prop_map(|(day, more, how, zone)| {
        let start = jiff::civil::date(2026, 3, 1);
        let date = |day| start.checked_add(jiff::Span::new().days(day)).unwrap();
        match how {
            0 => format!("{} {zone}", date(day)),
            1 => format!("{}/{} {zone}", date(day), date(day + more)),
            _ => format!("{}T02:30/{}T02:45 {zone}", date(day), date(day + more)),
        }
    });
    let items = prop::collection::vec(any_item(), 1..4).prop_map(|items| items.join("; "));
    let exceptions = prop::collection::vec(exception, 0..3);
    (items, exceptions).prop_map(|(items, exceptions)| match exceptions.as_slice() {
        [] => items,
        some => format!("{items} except {}", some.join(", ")),
    })
}

/// Is it open? Told from its parts one by one, without joining, cutting or searching.
fn is_open(w: &Window, instant: Timestamp) -> bool {
    let open = w.items.iter().any(|item| match item {
        Item::Weekly(weekly) => {
            let date = weekly.zone.local(instant).date();
            (-3_i64..=3)
                .filter_map(|days| date.checked_add(jiff::Span::new().days(days)).ok())
                .filter_map(|date| weekly.occurrence(date))
                .any(|o| o.start.at <= instant && instant < o.end.at)
        }
        Item::Absolute(absolute) => {
            absolute.places.0.at <= instant && instant < absolute.places.1.at
        }
    });
    let excepted = w.exceptions.iter().filter_map(Exception::span);
    open && !excepted
        .into_iter()
        .any(|(start, end)| start <= instant && instant < end)
}

proptest! {
    #[test]
    fn canonical_text_reads_back(spec in any_window()) {
        if let Some(w) = parsed(&spec)? {
            let text = w.normalised();
            let again = Window::parse(&text);
            prop_assert_eq!(again.as_ref(), Ok(&w), "{} is {}", spec, text);
            prop_assert_eq!(again.unwrap().normalised(), text);
        }
    }

    #[test]
    fn openings_are_in_order_and_whole(spec in any_window(), minute in 0_i64..90_000) {
        if let Some(w) = parsed(&spec)? {
            let start = Timestamp::from_second(1_772_323_200 + minute * 60).unwrap();
            let openings: Vec<Opening> = w.openings(start).take(6).collect();
            for opening in &openings {
                prop_assert!(opening.start < opening.end && opening.end > start);
                let last = opening.end.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
                for inside in [opening.start, last, start.clamp(opening.start, last)] {
                    if inside == Timestamp::MIN || inside > at("9000-01-01T00:00:00Z") {
                        continue; // Endless, and at the edge of what can be counted.
                    }
                    let found = w.opening_at(inside);
                    prop_assert_eq!(found.as_ref(), Some(opening), "{}", spec);
                }
                if opening.end < Timestamp::MAX {
                    prop_assert!(w.opening_at(opening.end).is_none(), "{} at its end", spec);
                }
            }
            prop_assert!(openings.windows(2).all(|pair| pair[0].end < pair[1].start), "{}", spec);
            prop_assert_eq!(w.opening_at(start).is_some(), is_open(&w, start), "{}", spec);
        }
    }

    #[test]
    fn open_where_its_parts_are(spec in any_window(), from in 0_i64..80_000) {
        if let Some(w) = parsed(&spec)? {
            for step in 0..40 {
                let instant = Timestamp::from_second(1_772_323_200 + (from + step * 97) * 60).unwrap();
                prop_assert_eq!(w.opening_at(instant).is_some(), is_open(&w, instant), "{} at {}", spec, instant);
            }
        }
    }

    /// Whatever is written is answered, and what is pointed at lies in it.
    #[test]
    fn any_text_is_answered(text in any_text()) {
        if let Err(error) = Window::parse(&text) {
            prop_assert!(error.start <= error.end && error.end <= text.len());
            prop_assert!(text.get(error.start..error.end).is_some(), "{:?}: {}", text, error);
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// A window, or none where a clock change leaves nothing of an absolute one.
fn parsed(spec: &str) -> Result<Option<Window>, TestCaseError> {
    match Window::parse(spec) {
        Ok(w) => Ok(Some(w)),
        Err(error) if error.problem == WindowProblem::NeverOpens => Ok(None),
        // The strategy writes some ends that come before their starts.
        Err(error) if error.problem == WindowProblem::Backwards => Ok(None),
        Err(error) => Err(TestCaseError::fail(format!("{spec}: {error}"))),
    }
}

/// Windows with pieces put in, taken out and turned round, and plain noise.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "Sat",
        "Mon-Fri",
        "daily",
        "except",
        "and",
        ",",
        ";",
        "-",
        "–",
        "/",
        "22:00",
        "24:00",
        "2026-12-24",
        "T",
        "Z",
        "+01:00",
        "[",
        "]",
        "Europe/Berlin",
        "UTC",
        "P",
        "PT4H",
        " ",
        "é",
        "😀",
        "0",
        "9999-12-31",
        "0000-01-01",
        ":",
        "Mo",
        "\u{a0}",
        "P9999Y",
        "PT999999999999H",
    ];
    let noise = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..14)
        .prop_map(|pieces| pieces.concat());
    let spaced = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..14)
        .prop_map(|pieces| pieces.join(" "));
    let cut = (
        any_window(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::sample::select(pieces.to_vec()),
    )
        .prop_map(|(spec, from, to, piece)| {
            let (from, to) = (from.index(spec.len() + 1), to.index(spec.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            format!("{}{piece}{}", &spec[..from], &spec[to..])
        });
    prop_oneof![noise, spaced, cut, "\\PC{0,30}"]
}
