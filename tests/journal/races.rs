//! Several processes want the same thing.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout};

use deployrun::journal::{Alive, Holder, Journal, LockError, OwnerError, OwnerLock, RunUpdate};

use crate::scene::{child, child_state, entry, new_run, open, small, wish};

const RUN: &str = "20260321-2200-0001";
const ROUNDS: usize = 12;
const RIVALS: usize = 6;

struct Rival {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Rival {
    fn start(test: &str, state: &Path, name: usize) -> Self {
        let mut child = child(test, state)
            .env("NAME", name.to_string())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut rival = Self { child, lines };
        rival.hear("ready");
        rival
    }

    fn go(&mut self) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"go\n")
            .unwrap();
    }

    /// What follows this word in the first line that holds it.
    fn hear(&mut self, word: &str) -> String {
        for line in self.lines.by_ref() {
            // The test harness writes its own words before ours in the line.
            if let Some((_, said)) = line.unwrap().split_once(&format!("@{word} ")) {
                return said.to_owned();
            }
        }
        panic!("the rival ended without saying {word}");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rivals(test: &str, state: &Path) -> Vec<Rival> {
    let mut rivals: Vec<Rival> = (0..RIVALS)
        .map(|name| Rival::start(test, state, name))
        .collect();
    rivals.iter_mut().for_each(Rival::go);
    rivals
}

fn said(word: &str, text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "@{word} {text}").unwrap();
    out.flush().unwrap();
}

fn wait_for_go() {
    said("ready", "");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "go\n");
}

/// Keeps what was won until the other side closes its end.
fn stay() {
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
}

#[test]
fn one_process_controls_a_run_and_its_death_frees_it() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let mut rivals = rivals("races::child_takes_the_run", dir.path());
        let heard: Vec<String> = rivals.iter_mut().map(|rival| rival.hear("owner")).collect();
        let won: Vec<usize> = (0..RIVALS).filter(|name| heard[*name] == "won").collect();
        let &[winner] = won.as_slice() else {
            panic!("{heard:?}")
        };
        let pid = rivals[winner].child.id();
        // A loser that looked before the winner had written its name learns nothing, else the truth.
        for words in heard.iter().filter(|words| *words != "won") {
            assert!(
                words == "lost to nobody known" || *words == format!("lost to {pid}"),
                "{words}"
            );
        }
        let owned = OwnerLock::current(dir.path(), RUN).unwrap();
        assert_eq!(owned.holder.unwrap().pid, pid);
        rivals[winner].kill();
        OwnerLock::take(dir.path(), RUN, &Holder::this_process("me")).unwrap();
    }
}

#[test]
fn a_run_is_made_and_has_its_lock_in_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let me = Holder::this_process("me");
    let wish = wish("production", &me, "release", 5);
    let update = RunUpdate::default();
    let (first, held) = journal
        .create_run_locked(
            &new_run(1, "production"),
            &[entry(1, 0)],
            &update,
            Some(&wish),
        )
        .unwrap();
    assert_eq!(held, None);
    let lock = journal.lock("production").unwrap().unwrap();
    assert_eq!((lock.run.as_str(), lock.since_ms), (first.as_str(), 5));
    // The second is made all the same: that it could not begin is told in its journal.
    let (second, held) = journal
        .create_run_locked(
            &new_run(2, "production"),
            &[entry(1, 0)],
            &update,
            Some(&wish),
        )
        .unwrap();
    assert_eq!(held.map(|held| held.run), Some(first.as_str().to_owned()));
    assert_eq!(journal.read(second.as_str()).unwrap().len(), 1);
}

#[test]
#[ignore = "run by others in a process of its own"]
fn child_takes_the_run() {
    let state = child_state();
    wait_for_go();
    let holder = Holder::this_process("rival");
    match OwnerLock::take(&state, RUN, &holder) {
        Ok(_lock) => {
            said("owner", "won");
            stay();
        }
        Err(OwnerError::Owned(owned)) => {
            let who = owned
                .holder
                .map_or("nobody known".to_owned(), |holder| holder.pid.to_string());
            said("owner", &format!("lost to {who}"));
            stay();
        }
        Err(error) => panic!("{error}"),
    }
}

/// All of them make the journal, too: the state directory is empty when they begin.
#[test]
fn one_run_gets_the_lock_and_keeps_it_beyond_its_process() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let mut rivals = rivals("races::child_takes_the_lock", dir.path());
        let heard: Vec<String> = rivals.iter_mut().map(|rival| rival.hear("lock")).collect();
        let won: Vec<usize> = (0..RIVALS)
            .filter(|name| heard[*name].starts_with("won"))
            .collect();
        let &[winner] = won.as_slice() else {
            panic!("{heard:?}")
        };
        let run = heard[winner].strip_prefix("won ").unwrap();
        let pid = rivals[winner].child.id();
        for words in heard.iter().filter(|words| !words.starts_with("won")) {
            assert_eq!(*words, format!("lost to {run} {pid} Alive"));
        }
        rivals[winner].kill();

        let mut journal = open(dir.path());
        let held = journal.lock("production").unwrap().unwrap();
        assert_eq!(
            (held.run.as_str(), held.holder.pid, held.alive),
            (run, pid, Alive::Dead)
        );
        let me = Holder::this_process("me");
        let other = journal
            .create_run(&new_run(999, "production"), &[])
            .unwrap();
        let error = journal
            .take_lock(other.as_str(), &wish("production", &me, "release", 5))
            .unwrap_err();
        let LockError::Held(held) = error else {
            panic!("{error}")
        };
        assert_eq!(held.alive, Alive::Dead);
        assert!(
            held.to_string()
                .contains(&format!("deployrun resume {run}")),
            "{held}"
        );
        // Another run cannot release it; its own takes it over and releases it.
        journal.release_lock("production", other.as_str()).unwrap();
        assert!(journal.lock("production").unwrap().is_some());
        journal
            .take_lock(run, &wish("production", &me, "recovery", 9))
            .unwrap();
        let held = journal.lock("production").unwrap().unwrap();
        assert_eq!((held.alive, held.since_ms), (Alive::Alive, 1));
        journal.release_lock("production", run).unwrap();
        journal
            .take_lock(other.as_str(), &wish("production", &me, "release", 10))
            .unwrap();
        journal
            .take_lock(run, &wish("staging", &me, "release", 11))
            .unwrap();
    }
}

#[test]
#[ignore = "run by others in a process of its own"]
fn child_takes_the_lock() {
    let state = child_state();
    let name: u32 = std::env::var("NAME").unwrap().parse().unwrap();
    wait_for_go();
    let mut journal = Journal::open_with(&state, small()).unwrap();
    // All want the same id and get different ones.
    let run = journal
        .create_run(&new_run(77, "production"), &[entry(1, 0)])
        .unwrap();
    let holder = Holder::this_process(format!("rival {name}"));
    match journal.take_lock(run.as_str(), &wish("production", &holder, "release", 1)) {
        Ok(()) => said("lock", &format!("won {run}")),
        Err(LockError::Held(held)) => {
            said(
                "lock",
                &format!("lost to {} {} {:?}", held.run, held.holder.pid, held.alive),
            );
        }
        Err(error) => panic!("{error}"),
    }
    stay();
}
