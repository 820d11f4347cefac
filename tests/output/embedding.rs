//! What is told of the functions of a program that embeds deployrun.

use std::sync::{Arc, Mutex};

use deployrun::report::lines::{Lines, Look};
use deployrun::words::outcome::RunOutcome;
use deployrun::{Event, Plan, Report, Runner, Stamped};

/// Keeps the events.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Stamped>>>);

impl Report for Kept {
    fn event(&mut self, event: &Stamped) {
        self.0.lock().expect("no panic").push(event.clone());
    }

    fn unwritten(&mut self, event: &Stamped) {
        panic!("not in the journal: {event:?}");
    }
}

/// Runs a plan that may call `announce`, which fails like this.
fn run(plan: &str, problem: &'static str) -> (RunOutcome, Vec<Event>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("plan.rhai");
    std::fs::write(&path, plan).expect("a plan");
    std::fs::write(dir.path().join("token"), "tr0ub4dor\n").expect("a secret");
    let kept = Kept::default();
    let summary = Runner::new(dir.path().join("state"))
        .report(Box::new(kept.clone()))
        .acts("announce", &["text"], "Tells people.", move |_| {
            Err(problem.to_owned())
        })
        .run(Plan::read(&path).expect("a plan"))
        .expect("it runs");
    let events = kept.0.lock().expect("no panic").clone();
    let mut lines = Lines::new(Look {
        verbosity: 0,
        zone: jiff::tz::TimeZone::UTC.into(),
        program: "deployrun".into(),
        state_dir: "state".into(),
        tails: true,
    });
    let told = events.iter().flat_map(|event| lines.tell(event));
    let told: Vec<String> = told.map(|line| line.plain()).collect();
    let events = events.into_iter().map(|stamped| stamped.event).collect();
    (summary.outcome, events, told.join("\n"))
}

const HEAD: &str = "plan(#{ name: \"a\", environment: \"one\" });\n";

#[test]
fn what_a_function_says_when_it_fails_stands_in_the_error_and_in_the_recap() {
    let plan = format!("{HEAD}announce(\"soon\");");
    let (outcome, events, told) = run(&plan, "the ticket system says no");
    assert_eq!(outcome, RunOutcome::BackedOut);
    let reason = events.iter().find_map(|event| match event {
        Event::RunEnded { end } => Some(end.reason.clone()),
        _ => None,
    });
    let reason = reason.expect("an end");
    assert!(
        reason.starts_with("`announce` failed after ")
            && reason.ends_with(": the ticket system says no"),
        "{reason}"
    );
    let why = told.lines().rfind(|line| line.starts_with("  why"));
    let expected = format!("  why        failed step: {reason}");
    assert_eq!(why, Some(expected.as_str()), "{told}");
}

#[test]
fn a_plan_sees_what_a_function_says_and_nobody_sees_a_secret() {
    let plan = format!(
        r#"{HEAD}let token = secret("token", #{{ file: "token" }});
try {{ announce("soon"); }} catch (e) {{
    info(`caught: ${{e.message}}`);
    info(`code ${{e.code}}, output ${{e.output}}`);
}}"#
    );
    let (outcome, events, told) = run(&plan, "no: tr0ub4dor\nis not known");
    assert_eq!(outcome, RunOutcome::Released);
    let notes: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Called {
                call: deployrun::words::call::Call::Note { text, .. },
                ..
            } => Some(text.clone()),
            _ => None,
        })
        .collect();
    let [caught, rest] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    assert!(
        caught.starts_with("caught: `announce` failed after ") && caught.ends_with(": no: ***"),
        "{caught}"
    );
    assert_eq!(rest, "code , output no: ***\nis not known");
    let all = format!("{events:?}{told}");
    assert!(!all.contains("tr0ub4dor"), "{all}");
}
