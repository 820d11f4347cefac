//! What is true after a crash, whatever caused it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::effects::{self, Effects};
use super::journal;
use super::live::Finished;
use super::site::Site;
use super::tree::{Tree, difference};

/// The undisturbed run of a plan.
pub struct Reference {
    pub plan: String,
    pub code: Option<i32>,
    pub effects: Effects,
    pub before: Tree,
    pub after: Tree,
    pub end: Value,
}

pub fn plan(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans/crash")
        .join(name)
        .with_extension("rhai");
    fs::read_to_string(path).expect("the plan")
}

pub fn site(plan: &str) -> Site {
    let site = Site::new(plan);
    site.write("new.conf", "listen 82\n");
    site.write(
        "next.rhai",
        "plan(#{ name: \"next\", version: \"1\", environment: \"test\" }); run([\"true\"]);",
    );
    site
}

pub fn reference(name: &str, code: i32) -> Reference {
    let plan = plan(name);
    let site = site(&plan);
    let before = site.tree();
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(code), "{}", finished.told());
    let journal = site.journal();
    let calls = journal::of_kind(&journal, "called").len()
        + journal::of_kind(&journal, "call-began").len()
        + journal::of_kind(&journal, "step-started").len();
    assert!(calls >= 15, "the plan has only {calls} calls");
    Reference {
        plan,
        code: finished.code,
        effects: site.effects(),
        before,
        after: site.tree(),
        end: journal::end(&journal).expect("an end").clone(),
    }
}

/// What is true of every journal after a crash that only the controller suffered.
pub fn assert_sound(site: &Site, told: &[&Finished]) {
    let journal = site.journal();
    let wrong = journal::disorder(&journal);
    assert_eq!(wrong, None, "{}", site.told());
    let unknown = journal.iter().find(|e| e["outcome"] == "unknown");
    assert_eq!(unknown, None, "{}", site.told());
    // Nothing was told that is not in the journal.
    for finished in told {
        for event in &finished.events {
            let at = usize::try_from(event["seq"].as_u64().expect("a number")).expect("small");
            assert_eq!(
                event["event"],
                journal
                    .get(at - 1)
                    .map_or(Value::Null, |e| e["event"].clone()),
                "{}",
                site.told()
            );
        }
    }
}

/// The environment is free again.
pub fn assert_free(site: &Site) {
    let next = site.finish(&["run", "next.rhai"]);
    assert_eq!(next.code, Some(0), "the next run: {}", next.told());
}

/// Takes up what the crash left. `None` if there was nothing to take up.
pub fn take_up(site: &Site, args: &[&str], told: &Finished) -> Option<Finished> {
    let journal = site.journal();
    let finished = site.finish(args);
    if journal.is_empty() {
        assert_eq!(finished.code, Some(1), "{}", finished.told());
        assert_eq!(told.events.len(), 0, "{}", told.told());
        assert_eq!(site.effects(), Effects::new());
        return None;
    }
    if journal::end(&journal).is_some() {
        assert_eq!(finished.code, Some(1), "{}", finished.told());
        assert!(finished.stderr.contains("has ended"), "{}", finished.told());
        return None;
    }
    Some(finished)
}

pub fn assert_like_undisturbed(site: &Site, reference: &Reference) {
    let told = || site.told();
    assert_eq!(site.effects(), reference.effects, "{}", told());
    let wrong = difference(&reference.after, &site.tree());
    assert_eq!(wrong, "", "{}", told());
    let journal = site.journal();
    let end = journal::end(&journal).expect("an end");
    assert_eq!(end["outcome"], reference.end["outcome"], "{}", told());
    let changed = |end: &Value| {
        let list = end["still_changed"].as_array().cloned().unwrap_or_default();
        list.iter().map(|c| c["title"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(changed(end), changed(&reference.end), "{}", told());
}

pub fn assert_as_before(site: &Site, reference: &Reference) {
    let wrong = difference(&reference.before, &site.tree());
    assert_eq!(wrong, "", "{}", site.told());
    let wrong = effects::backed_out(&site.effects(), &reference.effects);
    assert_eq!(wrong, Ok(()), "{}", site.told());
}

/// Nothing acted that had not been announced in the journal, and nothing after the stop.
pub fn assert_announced(site: &Site, finished: &Finished) {
    let announced: Vec<String> = journal::of_kind(&site.journal(), "step-started")
        .iter()
        .map(|e| e["step"]["title"].as_str().unwrap_or_default().to_owned())
        .collect();
    for line in site.effects() {
        let known = announced.iter().any(|title| title.contains(&line));
        assert!(
            line.starts_with("undo") || known,
            "`{line}` acted unannounced: {}\n{}",
            finished.told(),
            site.told()
        );
    }
}

/// The tries that began to act and that the journal does not have, by their directories.
pub fn unwritten(site: &Site) -> Vec<String> {
    let journal = site.journal();
    let known: Vec<String> = journal
        .iter()
        .filter_map(|event| {
            let kind = match event["event"].as_str()? {
                "step-started" => "step",
                "back-out-started" => "back-out",
                _ => return None,
            };
            let id = event["id"].as_str()?.replace('/', "_");
            Some(format!("{kind}-{id}-{}", event["attempt"]))
        })
        .collect();
    let mut unknown = Vec::new();
    for run in fs::read_dir(site.state().join("runs"))
        .into_iter()
        .flatten()
    {
        for dir in fs::read_dir(run.expect("an entry").path()).expect("a directory") {
            let dir = dir.expect("an entry");
            let name = dir.file_name().into_string().expect("a name");
            let lock = fs::read_to_string(dir.path().join("lock")).unwrap_or_default();
            let began = lock.contains('\n') && !lock.contains("\"void\":true");
            if began && !known.contains(&name) {
                unknown.push(name);
            }
        }
    }
    unknown.sort();
    unknown
}

/// Takes up the run of a process whose journal failed, and returns how that ended. What the process
/// did without the journal is told and not done again; without any of that the run is as any other.
pub fn take_up_after_failure(site: &Site, run: &str, command: &str) -> Finished {
    let (unknown, effects) = (unwritten(site), site.effects());
    let args = match command {
        "back-out" => vec!["back-out", "--yes", run],
        other => vec![other, run],
    };
    let finished = site.finish(&args);
    let told = format!("{}\n{}", finished.told(), site.told());
    if unknown.is_empty() {
        return finished;
    }
    assert_eq!(finished.code, Some(4), "{told}");
    assert_eq!(site.effects(), effects, "{told}");
    let journal = site.journal();
    let ended = journal::of_kind(&journal, "run-ended");
    let end = ended.iter().find(|e| e["end"]["unwritten"].is_array());
    let end = &end.unwrap_or_else(|| panic!("{told}"))["end"];
    let mut listed: Vec<String> = end["unwritten"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| {
            let kind = if item["backs_out"] == true {
                "back-out"
            } else {
                "step"
            };
            let id = item["call"].as_str().expect("an id").replace('/', "_");
            format!("{kind}-{id}-{}", item["attempt"])
        })
        .collect();
    listed.sort();
    assert_eq!(listed, unknown, "{told}");
    finished
}

/// The tree that a run must leave whose writes failed: that of before, unless only the very last write
/// is missing: then all is done, and nobody finds it in the journal.
pub fn left_by<'r>(reference: &'r Reference, finished: &Finished) -> &'r Tree {
    let unwritten = "it was released, but that could not be written";
    if finished.stderr.contains(unwritten) {
        &reference.after
    } else {
        &reference.before
    }
}
