//! A property of all readings of a journal: whatever part of whatever story is told, in whatever
//! order, no reading falls over, and none contradicts the end that the story has, or has not.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::html::{self, Surroundings};
use crate::report::junit;
use crate::report::lines::Look;
use crate::report::story::{Standing, Story};
use crate::supervisor::core::simulation;
use crate::words::event::{Event, Stamped};
use crate::words::outcome::RunOutcome;

const SEEDS: u64 = 40;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end.max(1) as u64).unwrap()
    }

    fn shuffle(&mut self, events: &mut [Stamped]) {
        for n in (1..events.len()).rev() {
            events.swap(n, self.below(n + 1));
        }
    }
}

fn surroundings(owner: Option<&str>) -> Surroundings {
    Surroundings {
        look: Look {
            verbosity: 0,
            zone: jiff::tz::TimeZone::UTC.into(),
            program: "deployrun".into(),
            state_dir: "/nowhere".into(),
            tails: true,
        },
        owner: owner.map(str::to_owned),
        sources: vec![("plan.rhai".into(), "run(\"true\");\n".repeat(30))],
    }
}

/// The end that the events have.
fn end(events: &[Stamped]) -> Option<RunOutcome> {
    events.iter().rev().find_map(|e| match &e.event {
        Event::RunEnded { end } => Some(end.outcome),
        _ => None,
    })
}

/// What is between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

fn check_junit(story: &Story, expected: Option<RunOutcome>) {
    let document = junit::document(story, "deployrun");
    let mut reader = quick_xml::Reader::from_str(&document);
    let (mut bad, mut cases) = (0, 0);
    loop {
        use quick_xml::events::Event as Xml;
        match reader.read_event().unwrap() {
            Xml::Eof => break,
            Xml::Start(tag) | Xml::Empty(tag) => match tag.name().as_ref() {
                "failure" | "error" => bad += 1,
                "testcase" => cases += 1,
                _ => {}
            },
            _ => {}
        }
    }
    assert!(cases > 0);
    let is_green = bad == 0;
    assert_eq!(
        is_green,
        expected == Some(RunOutcome::Released),
        "{document}"
    );
    let head = document.split_once("<testsuite ").unwrap().0;
    assert!(head.contains(&format!("tests=\"{cases}\"")), "{document}");
}

fn check_html(story: &Story, expected: Option<RunOutcome>, owner: Option<&str>) {
    let document = html::document(story, &surroundings(owner));
    let word = between(&document, "<title>", ":");
    let words: &[&str] = match expected {
        Some(RunOutcome::Released) => &["Released"],
        Some(RunOutcome::Refused) => &["Refused"],
        Some(RunOutcome::BackedOut) => &["Backed out"],
        Some(RunOutcome::Stuck) => &["Stuck"],
        None if owner.is_some() => &["Going on"],
        None => &["Left", "Not ended"],
    };
    assert!(words.contains(&word), "{word}, not {words:?}");
    let outcome = between(&document, "name=\"deployrun:outcome\" content=\"", "\"");
    let head = between(&document, "<h1>", "</h1>");
    assert!(head.contains(word), "{head}");
    match expected {
        Some(expected) => assert_eq!(outcome, expected.word()),
        None => assert!(["left", "not-ended"].contains(&outcome), "{outcome}"),
    }
    if expected != Some(RunOutcome::Released) {
        assert!(!document.contains("Released"), "{word}");
    }
}

/// Reads the events in every way; the dear ways only sometimes.
fn read(events: &[Stamped], story: &Story, dear: bool) {
    let expected = end(events);
    let told = match story.standing() {
        Standing::Ended(end) => Some(end.outcome),
        Standing::Left(_) | Standing::Open => None,
    };
    assert_eq!(told, expected);
    assert_eq!(story.is_released(), expected == Some(RunOutcome::Released));
    if dear {
        check_junit(story, expected);
        for owner in [None, Some("root on web1, process 4711")] {
            check_html(story, expected, owner);
        }
    }
}

fn read_all(seed: u64) {
    let mut random = Random(seed);
    let events = simulation::journal(seed);
    // Every part from the begin on, as the journal had it at some time.
    let mut story = Story::default();
    read(&[], &story, true);
    let count = events.len();
    let dear: Vec<usize> = (0..4).map(|_| random.below(count)).collect();
    for (n, event) in events.iter().enumerate() {
        story.tell(event);
        let is_last = n + 3 > count;
        read(&events[..=n], &story, is_last || dear.contains(&n));
    }
    // Parts, orders and mixtures that no journal has.
    let mut rest = events[random.below(count)..].to_vec();
    read(&rest, &Story::of(&rest), true);
    rest.reverse();
    read(&rest, &Story::of(&rest), true);
    let mut mixed = events;
    mixed.extend(simulation::journal(seed.wrapping_add(1)));
    mixed.retain(|_| random.below(10) > 0);
    random.shuffle(&mut mixed);
    for part in [&mixed[..], &mixed[..mixed.len() / 2]] {
        read(part, &Story::of(part), true);
    }
}

/// Reads lines, and says which of them the schema does not allow.
const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator, count = Draft202012Validator(schema), 0
for line in sys.stdin:
    count += 1
    for problem in validator.iter_errors(json.loads(line)):
        sys.exit(f"{line}: {problem.message}")
print(count)
"#;

#[test]
fn every_event_is_what_the_schema_allows() {
    use std::io::Write as _;
    let schema = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json");
    let mut lines = std::collections::BTreeSet::new();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..150 {
        for event in simulation::journal(seed) {
            // One of each kind and length is enough.
            let text = crate::words::event::json_text(&event);
            if kinds.insert((event.event.kind(), text.len())) {
                lines.insert(text);
            }
        }
    }
    let mut python = std::process::Command::new("python3")
        .args(["-c", VALIDATE])
        .arg(schema)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut stdin = python.stdin.take().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    // One who has found something reads no further.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "needs python3-jsonschema, which .ci/test installs: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let count = String::from_utf8_lossy(&output.stdout);
    assert_eq!(count.trim().parse(), Ok(lines.len()));
    assert!(lines.len() > 300, "{}", lines.len());
}

#[test]
fn no_part_of_a_story_is_read_against_its_end() {
    let seeds = std::env::var("DEPLOYRUN_SEEDS").map_or(SEEDS, |n| n.parse().unwrap());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds {
                        break;
                    }
                    read_all(seed);
                }
            });
        }
    });
}
