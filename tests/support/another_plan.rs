//! A run whose plan has changed under it, which a frozen plan cannot do unless it is not deterministic.

use std::process::Command;

use deployrun::journal::{Entry, Journal, NewRun, RunId, RunUpdate};

use super::journal;
use super::site::Site;

/// The run as it stands, with another text of its plan: as if the plan were not deterministic. No
/// process may have it, and nothing of it may be in flight.
pub fn with_another_plan(site: Site, change: impl Fn(&str) -> String) -> Site {
    let (old, run) = (
        site.state().to_owned(),
        journal::unfinished(site.state()).remove(0),
    );
    let journal = Journal::open(&old).expect("the journal");
    let mut frozen = journal.frozen(&run).expect("what was frozen");
    let text = frozen["sources"]["plan.rhai"].as_str().expect("the plan");
    let changed = change(text);
    assert_ne!(text, changed, "nothing was changed");
    frozen["sources"]["plan.rhai"] = changed.into();
    let entries: Vec<Entry> = journal
        .read(&run)
        .expect("its events")
        .into_iter()
        .map(|stored| stored.entry)
        .collect();
    let new = old.with_file_name("changed");
    let mut other = Journal::open(&new).expect("another journal");
    let facts = NewRun {
        id: RunId::parse(&run).expect("an id"),
        plan: "back".into(),
        version: "1".into(),
        environment: "test".into(),
        fingerprint: String::new(),
        frozen,
        created_ms: entries[0].at_ms,
    };
    other
        .create_run_with(&facts, &entries, &RunUpdate::default())
        .expect("the changed run");
    let status = Command::new("cp")
        .arg("-a")
        .arg(old.join("runs"))
        .arg(&new)
        .status();
    assert!(status.expect("cp").success());
    site.with_state(new)
}
