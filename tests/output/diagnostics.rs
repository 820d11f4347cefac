//! `DEPLOYRUN_LOG`: diagnostics that change nothing.

use std::process::Stdio;

use super::scene::{Scene, told};

const PLAN: &str = r#"
plan(#{ name: "shop" });
for n in 0..600 { info("note"); }
run("true", #{ back_out: () });
"#;

#[test]
fn diagnostics_say_what_goes_on_and_change_nothing() {
    let scene = Scene::new(PLAN);
    let plain = scene.run(&["plan.rhai"]).expect(0);
    assert_eq!(plain.err, "");
    let out = scene.normal(&plain.out);
    let scene = Scene::new(PLAN);
    let mut command = scene.command(&["plan.rhai"]);
    let logged = told(command.env("DEPLOYRUN_LOG", "debug")).expect(0);
    assert_eq!(scene.normal(&logged.out), out);
    for line in [
        "DEBUG deployrun::supervisor::driver: input: call 602 step at plan.rhai:4:1",
        "DEBUG deployrun::supervisor::driver: action: record step-started 602",
        "DEBUG deployrun::supervisor::driver: action: start-step 602 try 1, limit 600000 ms",
        "DEBUG deployrun::supervisor::driver::steps: process: 602 try 1 in ",
        "DEBUG deployrun::supervisor::driver: action: record run-ended",
        "DEBUG deployrun::supervisor::driver::record: journal: ",
    ] {
        assert!(logged.err.contains(line), "{line}\n{}", logged.err);
    }
}

#[test]
fn a_filter_that_is_none_is_told() {
    let scene = Scene::new(PLAN);
    let mut command = scene.command(&["plan.rhai"]);
    let told = told(command.env("DEPLOYRUN_LOG", "deployrun=loud")).expect(2);
    let begin = "error: DEPLOYRUN_LOG: error parsing level filter";
    assert!(told.err.starts_with(begin), "{}", told.err);
    assert_eq!(told.out, "");
    assert!(!scene.path("state").exists());
}

#[test]
fn a_reader_of_diagnostics_that_is_gone_or_asleep_stops_nothing() {
    let scene = Scene::new(PLAN);
    for reads in [false, true] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = scene.command(&["plan.rhai"]);
        command.env("DEPLOYRUN_LOG", "trace").stderr(writer);
        // Either nobody holds the other end, or nobody reads there: a pipe holds 64 KiB.
        let _asleep = reads.then_some(reader);
        let output = command.stdout(Stdio::piped()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("released"));
    }
}
