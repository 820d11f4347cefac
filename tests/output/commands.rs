//! What the commands print that do not run anything.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::scene::{Scene, told};

#[test]
fn check() {
    let scene = Scene::new("plan(#{ name: \"a\", environment: \"b\" });\nrnu(\"true\");\n");
    let found = scene.run(&["check", "plan.rhai"]).expect(1);
    scene.snapshot("check", &found.out);
    let found = scene
        .run(&["check", "plan.rhai", "--format", "json"])
        .expect(1);
    assert!(
        found
            .out
            .lines()
            .all(|line| line.starts_with("{\"level\":")),
        "{}",
        found.out
    );
    let refused = scene.run(&["run", "plan.rhai"]).expect(1);
    assert_eq!(refused.out, "");
    scene.snapshot("check_refused", &refused.err);
    let refused = scene
        .run(&["run", "plan.rhai", "--format", "json"])
        .expect(1);
    let line: serde_json::Value = serde_json::from_str(&refused.err).expect("one line of JSON");
    assert_eq!(line["error"], "the plan has errors");
    assert!(line["findings"].is_array(), "{line}");
}

#[test]
fn errors_are_said_once() {
    let scene = Scene::new("");
    for (args, status, expected) in [
        (
            &["run", "nowhere.rhai"][..],
            1,
            "nowhere.rhai: no such file",
        ),
        (&["show", "2026"], 1, "there is no journal in DIR/state"),
        (&["logs", "2026"], 1, "there is no journal in DIR/state"),
        (&["resume", "2026"], 1, "there is no journal in DIR/state"),
        (&["window", "Sun 25:00-26:00 UTC"], 2, "window"),
        (
            &["window", "daily 01:00-02:00 UTC", "--from", "noon"],
            2,
            "`noon` is no instant",
        ),
    ] {
        let human = scene.run(args).expect(status);
        let text = scene.normal(&human.err);
        assert!(text.starts_with(&format!("error: {expected}")), "{text}");
        assert_eq!(
            (text.matches("error").count(), text.lines().count()),
            (1, 1),
            "{text}"
        );
        let args = [args, &["--format", "json"]].concat();
        let json = scene.run(&args).expect(status);
        let line: serde_json::Value = serde_json::from_str(&json.err).expect("one line of JSON");
        let error = line["error"].as_str().expect("it is a text");
        assert_eq!(text.trim(), format!("error: {}", scene.normal(error)));
    }
}

#[test]
fn runs() {
    let scene = Scene::new("plan(#{ name: \"a\", version: \"1\", environment: \"one\" });\n");
    let none = scene.run(&["runs"]).expect(0);
    assert_eq!(scene.normal(&none.out), "no runs in DIR/state\n");
    scene.write(
        "other.rhai",
        "plan(#{ name: \"b\", environment: \"two\" });\ncheck(\"no\", false);\n",
    );
    scene.run(&["run", "plan.rhai"]).expect(0);
    scene.run(&["run", "other.rhai"]).expect(1);
    let both = scene.run(&["runs"]).expect(0);
    scene.snapshot("runs", &both.out);
    let one = scene
        .run(&["runs", "--environment", "one", "--format", "json"])
        .expect(0);
    let line: serde_json::Value = serde_json::from_str(&one.out).expect("one line of JSON");
    assert_eq!(
        (&line["outcome"], &line["plan"]),
        (&"released".into(), &"a".into())
    );
    let first = scene.run(&["runs", "--limit", "1"]).expect(0);
    assert!(
        first.out.ends_with("there are more: --limit N\n"),
        "{}",
        first.out
    );
    let open = scene.run(&["runs", "--unfinished"]).expect(0);
    assert_eq!(scene.normal(&open.out), "no unfinished runs in DIR/state\n");
}

#[test]
fn runs_are_filtered() {
    let scene = Scene::new("plan(#{ name: \"shop\", environment: \"production\" });\n");
    scene.write(
        "other.rhai",
        "plan(#{ name: \"wiki\", environment: \"staging\" });\ncheck(\"no\", false);\n",
    );
    for (now, plan, status) in [
        ("2026-03-19T20:00:00Z", "plan.rhai", 0),
        ("2026-03-20T20:00:00Z", "other.rhai", 1),
        ("2026-03-21T20:00:00Z", "plan.rhai", 0),
    ] {
        told(&mut scene.command_at(now, &["run", plan])).expect(status);
    }
    let (a, b, c) = (
        "20260319-2000-0007",
        "20260320-2000-0007",
        "20260321-2000-0007",
    );
    for (args, expected) in [
        (&[][..], &[c, b, a][..]),
        (&["--since", "2d"], &[c, b]),
        (&["--since", "2026-03-20"], &[c, b]),
        (&["--since", "2026-03-20T21:30"], &[c]),
        (&["--since", "2026-03-20T23:00:00+01:00"], &[c]),
        (&["--outcome", "released"], &[c, a]),
        (&["--outcome", "refused,stuck"], &[b]),
        (&["--plan", "shop", "--since", "1d"], &[c]),
        (&["--environment", "staging"], &[b]),
        (&["--limit", "2"], &[c, b]),
    ] {
        let args = [&["runs", "--format", "json"], args].concat();
        let told = scene.run(&args).expect(0);
        let runs: Vec<String> = told
            .out
            .lines()
            .map(|line| serde_json::from_str(line).expect("one line of JSON"))
            .map(|line: serde_json::Value| line["run"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(runs, expected, "{args:?}");
    }
    let mut all = String::new();
    for (args, status) in [
        (&["--environment", "prodution"][..], 0),
        (&["--plan", "shop", "--outcome", "backed-out,stuck"], 0),
        (&["--since", "30m"], 0),
        (&["--since", "yesterday"], 2),
        (&["--since", "2026-02-30"], 2),
        (&["--outcome", "releasd"], 2),
        (&["--limit", "0"], 2),
        (&["--limit", "many"], 2),
        (&["--unfinished", "--outcome", "stuck"], 2),
    ] {
        let told = scene.run(&[&["runs"], args].concat()).expect(status);
        all.push_str(&format!(
            "$ runs {}\n{}{}",
            args.join(" "),
            told.out,
            told.err
        ));
    }
    let all = scene.normal(&all);
    scene.exact_snapshot("runs_none_or_wrong", &all);
}

#[test]
fn windows() {
    let scene = Scene::new("");
    let spec = "Sun 01:00-04:00 Europe/Berlin";
    // Half a minute before a whole hour, so that the time it takes to start does not show.
    let args = ["window", spec, "--count", "3", "--needed", "3h"];
    let shown = told(&mut scene.command_at("2026-03-21T20:59:30Z", &args)).expect(0);
    scene.exact_snapshot("window", &shown.out);
    let args = [
        "window",
        spec,
        "-n",
        "1",
        "--from",
        "2026-03-29T03:30",
        "--format",
        "json",
    ];
    let shown = scene.run(&args).expect(0);
    assert_eq!(
        shown.out,
        "{\"start\":\"2026-03-29T00:00:00Z\",\"end\":\"2026-03-29T02:00:00Z\",\"length_ms\":7200000,\
         \"open\":true,\"fits\":null,\
         \"notes\":[\"clock goes forward by 1h inside, in Europe/Berlin\"]}\n"
    );
    let never = scene.run(&["window", "2020-01-01T00:00Z/PT1H"]).expect(0);
    assert!(
        never
            .out
            .ends_with("it does not open within the next ten years\n"),
        "{}",
        never.out
    );
}

#[test]
fn commands_to_type_find_the_same_journal() {
    let scene = Scene::new(
        "plan(#{ name: \"a\", environment: \"one\" });\nrun(\"true\", #{ back_out: () });\n",
    );
    let state = scene.path("elsewhere");
    let state = state.to_str().expect("a path in UTF-8");
    let told = scene.run(&["run", "plan.rhai", "--state", state]).expect(0);
    let logs = format!("deployrun --state {state} logs 20260321-2100-0007");
    assert!(told.out.contains(&logs), "{}", told.out);
}

#[test]
fn logs_are_followed_to_the_end_of_the_run() {
    let scene = Scene::new(
        r#"plan(#{ name: "a", environment: "one" });
run("echo one; while [ ! -e go ]; do sleep 0.05; done; echo two", #{ title: "wait", back_out: () });
run("echo three", #{ title: "end", back_out: () });
"#,
    );
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    run.wait_for("| one");
    let mut logs = scene.start(&mut scene.command(&["logs", "2026", "-f"]));
    logs.wait_for("one");
    scene.write("go", "");
    let logs = logs.end().expect(0);
    assert_eq!(logs.out, "== [2] wait ==\none\ntwo\n== [3] end ==\nthree\n");
    run.end().expect(0);
}

#[test]
fn logs_are_followed_past_the_death_of_the_process() {
    let plan = |end: &str| {
        format!(
            "plan(#{{ name: \"a\", environment: \"one\" }});\n\
             run(\"echo one; while [ ! -e go ]; do sleep 0.05; done; echo two\", \
             #{{ title: \"wait\", timeout: \"1m\", back_out: () }});\n{end}"
        )
    };
    // Nobody takes it up.
    let scene = Scene::new(&plan(""));
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    run.wait_for("| one");
    let mut logs = scene.start(&mut scene.command(&["logs", "2026", "-f"]));
    logs.wait_for("one");
    run.kill();
    scene.write("go", "");
    let logs = logs.end().expect(4);
    assert_eq!(logs.out, "== [2] wait ==\none\ntwo\n");
    let err = logs.err.lines().last().unwrap_or_default();
    assert_eq!(
        err,
        "error: run 20260321-2100-0007 has not ended, and no process has it; take it up with \
         `deployrun resume 20260321-2100-0007` or `deployrun back-out 20260321-2100-0007`"
    );
    // Somebody does, and it fails.
    let scene = Scene::new(&plan(
        "run(\"echo three; exit 1\", #{ title: \"end\", back_out: () });",
    ));
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    run.wait_for("| one");
    let mut logs = scene.start(&mut scene.command(&["logs", "2026", "-f"]));
    logs.wait_for("one");
    run.kill();
    let mut resumed = scene.start(&mut scene.command(&["resume", "2026"]));
    resumed.wait_for("taken up again");
    scene.write("go", "");
    resumed.end().expect(3);
    let logs = logs.end().expect(3);
    assert_eq!(logs.out, "== [2] wait ==\none\ntwo\n== [3] end ==\nthree\n");
    assert!(
        logs.err
            .ends_with("run 20260321-2100-0007 has ended: backed-out\n"),
        "{}",
        logs.err
    );
}

#[test]
fn the_last_lines_of_an_output() {
    let scene = Scene::new(
        r#"plan(#{ name: "a", environment: "one" });
run("seq 1 40000", #{ title: "much", back_out: () });
run("printf 'a\nb'", #{ title: "two", back_out: () });
run("seq 1 40000", #{ title: "cut", back_out: (), max_output: 2000 });
run("true", #{ title: "silent", back_out: () });
"#,
    );
    scene.run(&["run", "plan.rhai", "-q"]).expect(0);
    let last = |args: &[&str]| scene.run(&[&["logs", "2026"], args].concat()).expect(0).out;
    assert_eq!(last(&["much", "-n", "2"]), "39999\n40000\n");
    assert_eq!(last(&["much", "-n", "0"]), "");
    // More than is read at once.
    let many = last(&["much", "-n", "30000"]);
    assert_eq!(many.lines().count(), 30_000);
    assert!(many.starts_with("10001\n"), "{}", &many[..20]);
    assert_eq!(last(&["much", "-n", "99999"]), last(&["much"]));
    assert_eq!(last(&["two", "-n", "1"]), "b");
    assert_eq!(last(&["two", "-n", "2"]), "a\nb");
    // What was not kept ends them, too.
    let cut = last(&["cut", "-n", "99999"]);
    assert!(
        cut.ends_with("39999\n40000\n") && cut.len() < 2_000,
        "{cut}"
    );
    assert_eq!(
        last(&["-n", "1"]),
        "== [2] much ==\n40000\n== [3] two ==\nb\n== [4] cut ==\n40000\n== [5] silent ==\n"
    );
    assert_eq!(last(&["-f", "-n", "1"]), last(&["-n", "1"]));
}

const TALKS: &str = r#"plan(#{ name: "a", environment: "one" });
for n in 0..20 {
    run("seq -f '%2000.0f' 1 150", #{ title: "talk", back_out: () });
}
run("touch done", #{ title: "end", back_out: () });
"#;

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    for format in ["human", "json"] {
        let scene = Scene::new(TALKS);
        let mut command = scene.command(&["run", "plan.rhai", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{format}");
        assert!(scene.path("done").exists(), "{format}");
    }
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_up_the_run() {
    for format in ["human", "json"] {
        let scene = Scene::new(TALKS);
        let mut command = scene.command(&["run", "plan.rhai", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let since = Instant::now();
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{format}");
        assert!(scene.path("done").exists(), "{format}");
        // It waits for its reader for a while, but not for ever.
        assert!(since.elapsed() < Duration::from_secs(90), "{format}");
        drop(child.stdout.take());
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    let scene = Scene::new("plan(#{ name: \"a\", environment: \"one\" });\n");
    let plain = scene.run(&["run", "plan.rhai"]).expect(0);
    assert!(!plain.out.contains('\x1b'), "{}", plain.out);
    let painted = scene.run(&["show", "2026", "--color", "always"]).expect(0);
    let codes = regex::Regex::new("\x1b\\[[0-9;]*m").expect("a pattern");
    assert!(codes.is_match(&painted.out), "{}", painted.out);
    assert_eq!(codes.replace_all(&painted.out, ""), plain.out);
    let mut command = scene.command(&["show", "2026"]);
    let unset = told(command.env("DEPLOYRUN_COLOR", "always")).expect(0);
    assert_eq!(unset.out, painted.out);
}
