//! The writer is killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deployrun::journal::Reader;

use crate::scene::{Random, acknowledged, assert_sound, open, run_of, writer};

const KILLS: usize = 120;

/// `kill -9` at random points, again and again in the same run: what was acknowledged is there, and
/// at most one entry more, the one in flight.
#[test]
fn a_killed_writer_loses_nothing_that_it_was_told_is_durable() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut run = "new".to_owned();
    let mut known = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(writer())
            .arg(dir.path())
            .args([run.as_str(), "1000000", "700"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // Some are killed while they open the journal, the others a moment after some entry.
        for _ in 0..random.below(40) {
            output.read_line(&mut text).unwrap();
        }
        let moment = Instant::now() + Duration::from_micros(random.below(900) as u64);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        output.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        assert!(!text.contains("failed"), "seed {seed}, kill {kill}: {text}");
        if run == "new" {
            match run_of(&text) {
                Some(id) => run = id,
                None => continue,
            }
        }
        // An output line may be cut by the kill; the whole ones count.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        known = known.max(acknowledged(whole));
        let found = if kill % 2 == 0 {
            Reader::open(dir.path()).unwrap().read(&run).unwrap()
        } else {
            open(dir.path()).read(&run).unwrap()
        };
        let count = found.len() as u64;
        assert!(
            (known..=known + 1).contains(&count),
            "seed {seed}, kill {kill}: {known} acknowledged, {count} found"
        );
        assert_sound(&found, 700);
        known = count;
    }
    assert!(
        known as usize > KILLS,
        "the writers wrote only {known} entries"
    );
}
