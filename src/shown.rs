//! What is shown of a run is never more than its events say: tried on simulated runs, whole, cut
//! short, with holes and in wrong orders.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

use crate::report::Style;
use crate::report::lines::{Lines, Look};
use crate::report::live::board::Board;
use crate::report::live::panel::{Output, Sight, panel};
use crate::supervisor::core::{ArmedStatus, Core, Settings, simulation};
use crate::words::call::CallId;
use crate::words::clock::Now;
use crate::words::event::{Event, Stamped};
use crate::words::outcome::RunOutcome;

/// Runs that are shown at every size after every event; that takes its time.
const SEEDS: u64 = 30;
/// Runs of which only the core is asked.
const MANY_SEEDS: u64 = 500;
const SIZES: [(usize, usize); 9] = [
    (80, 24),
    (120, 40),
    (40, 20),
    (20, 10),
    (12, 4),
    (10, 1),
    (300, 100),
    (1, 1),
    (0, 0),
];

fn lines() -> Lines {
    Lines::new(Look {
        verbosity: 2,
        zone: TimeZone::UTC.into(),
        program: "deployrun".into(),
        state_dir: "state".into(),
        tails: true,
    })
}

/// Renders it at every size, and gives what stands there at 80 columns.
#[track_caller]
fn rendered(board: &Board, now_ms: i64) -> String {
    let output = Output {
        lines: vec![
            "10%".into(),
            "日本語 \u{1f469}\u{200d}\u{1f52c} \tx".repeat(50),
        ],
        grew_ms: Some(now_ms - 60_000),
    };
    let directories = board.doing.iter().filter_map(|d| d.directory.clone());
    let outputs: BTreeMap<String, Output> = directories.map(|d| (d, output.clone())).collect();
    let sight = Sight {
        outputs: &outputs,
        now_ms,
        zone: &TimeZone::UTC,
        program: "deployrun",
    };
    let mut text = String::new();
    for (columns, rows) in SIZES {
        let shown = panel(board, &sight, columns, rows);
        assert!(
            shown.len() <= (rows / 2).max(1),
            "{columns}x{rows}: {shown:?}"
        );
        for row in &shown {
            let plain = row.plain();
            assert!(plain.width() < columns, "{columns}x{rows}: {plain}");
            assert!(plain.width_cjk() < columns, "{columns}x{rows}: {plain}");
            assert!(!plain.contains(char::is_control), "{plain:?}");
            let painted = row.painted(Style {
                color: true,
                columns: None,
            });
            assert_eq!(without_colours(&painted).trim_end(), plain);
            if (columns, rows) == (80, 24) {
                text.push_str(&plain);
                text.push('\n');
            }
        }
    }
    text
}

fn without_colours(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("\x1b[");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    out
}

/// How the run ended, as the recap says it.
fn claimed(line: &str) -> Option<RunOutcome> {
    let begins = [
        ("released: ", RunOutcome::Released),
        ("refused, ", RunOutcome::Refused),
        ("backed out, ", RunOutcome::BackedOut),
        ("STUCK, ", RunOutcome::Stuck),
    ];
    let claims = |begin: &str| line.starts_with(begin);
    let found = begins.into_iter().find(|(begin, _)| claims(begin));
    found.map(|(_, outcome)| outcome)
}

/// Tells a story, true or not, and looks at what is shown after every event of it.
#[track_caller]
fn tell<'e>(story: impl IntoIterator<Item = &'e Stamped>) -> (Board, Vec<RunOutcome>) {
    let (mut board, mut lines) = (Board::default(), lines());
    let mut claims = Vec::new();
    let mut ended = None;
    for event in story {
        board.tell(event);
        if let Event::RunEnded { end } = &event.event {
            ended = Some(end.outcome);
        }
        for line in lines.tell(event) {
            claims.extend(claimed(&line.plain()));
        }
        assert!(
            claims.iter().all(|claim| Some(*claim) == ended),
            "{claims:?}"
        );
        let text = rendered(&board, event.at_ms + 1_234);
        assert!(ended.is_none() || text.is_empty(), "{text}");
        // Titles of the simulated plans hold none of these words.
        for word in [
            "released",
            "nothing was changed",
            "backed out, ",
            "STUCK",
            "stuck",
        ] {
            assert!(!text.contains(word), "{word}:\n{text}");
        }
    }
    (board, claims)
}

/// What the core would undo.
fn armed(events: &[Stamped]) -> Vec<CallId> {
    let now = |at_ms| Now {
        boot_ms: at_ms,
        wall_ms: at_ms,
    };
    let events = events.iter().map(|e| (&e.event, now(e.at_ms)));
    let core = Core::restore(Settings::default(), events);
    let open = |status: &ArmedStatus| matches!(status, ArmedStatus::Armed | ArmedStatus::Running);
    let armed = core.armed().iter().filter(|a| open(&a.status));
    armed.map(|a| a.id.clone()).collect()
}

#[test]
fn the_recap_says_what_the_exit_status_says_and_the_live_area_nothing_of_it() {
    let mut seen = BTreeMap::new();
    for seed in 0..SEEDS {
        let events = simulation::journal(seed);
        let (_, claims) = tell(&events);
        let end = events.iter().find_map(|e| match &e.event {
            Event::RunEnded { end } => Some(end.outcome),
            _ => None,
        });
        assert_eq!(claims.last().copied(), end, "seed {seed}");
        if let Some(outcome) = end {
            *seen.entry(outcome.exit_status()).or_insert(0) += 1;
        }
    }
    let statuses: Vec<u8> = seen.keys().copied().collect();
    assert_eq!(statuses, [0, 1, 3, 4], "{seen:?}");
}

#[test]
fn the_live_area_counts_what_the_core_would_undo() {
    let mut most = 0;
    for seed in 0..MANY_SEEDS {
        let events = simulation::journal(seed);
        let mut board = Board::default();
        for (n, event) in events.iter().enumerate() {
            board.tell(event);
            let shown: Vec<CallId> = board.armed().cloned().collect();
            let expected = armed(&events[..=n]);
            most = most.max(expected.len());
            assert_eq!(shown, expected, "seed {seed}, event {n}: {event:?}");
        }
    }
    assert!(most > 3, "nothing was ever armed");
}

#[test]
fn stories_with_holes_and_in_wrong_orders_are_survived() {
    for seed in 0..SEEDS / 5 {
        let events = simulation::journal(seed);
        tell(events.iter().rev());
        tell(events.iter().flat_map(|event| [event, event]));
        for n in (0..events.len().min(60)).step_by(12) {
            tell(events.iter().skip(n));
            tell(
                events
                    .iter()
                    .enumerate()
                    .filter(|(m, _)| *m != n)
                    .map(|(_, e)| e),
            );
            let (before, behind) = events.split_at(n);
            tell(behind.iter().chain(before));
        }
    }
}
