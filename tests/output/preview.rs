//! `deployrun preview`, `run --dry-run` and `run --approve-fingerprint`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::scene::{Scene, Told};

/// A release with a bit of everything, in which much depends on what the first step says.
const WHOLE: &str = r#"import "./web" as web;
plan(#{
    name: "shop-web", version: "2.4.0", environment: "production", why: "new checkout (CHG-1042)",
    features: "checkout v2", users: "all", training: "none needed", owner: "web team", support: "wiki",
    window: "Sat 22:00-02:00 Europe/Berlin", expected: "20m", deadline: "1h", back_out_within: "10m",
    approvals: "change board",
});
check("the old version is there", || read_file("version.txt") == "2.3.0\n");
let from = read_file("version.txt").lines()[0];
wait_for_window();
watch("front page", #{ every: "5s", failures: 2 }, || file_exists("up"));
let id = run("start-migration", #{ timeout: "1m", user: "shop", env: #{ PGHOST: "db" }, back_out: || {
    run(`stop-migration --to ${from}`, #{ timeout: "30s" });
} });
step("switch", #{ timeout: "5m", retries: 1 }, || {
    upload("shop.conf", "etc/shop.conf", #{ mode: "0600" });
    web::reload(id.stdout.trimmed());
});
if id.code == 0 && file_exists("old") {
    web::reload("old");
} else {
    for n in 0..3 { run(["never", `${n}`], #{ back_out: () }); }
}
let tries = 0;
while probe("is-ready").stdout != "yes" { tries += 1; sleep("1s"); }
run(`report ${tries}`, #{ back_out: () });
for host in ["a", "b"] { run(["notify", host, id.stdout], #{ retries: 2, idle_timeout: "9s" }); }
write_file("etc/version", id.stdout + "\n");
try { run("cleanup", #{ back_out: () }); } catch { run("cleanup --force", #{ back_out: () }); }
wait_for_approval("looks good", #{ timeout: "30m" });
verify("it answers", #{ within: "1m" }, || file_exists("up"));
point_of_no_return("the old schema is dropped");
soak("2m");
"#;

const WEB: &str = r#"fn reload(name) {
    if name == "none" { return; }
    run(["systemctl", "reload", name], #{ timeout: "10s", back_out: ["systemctl", "reload", name] });
}
"#;

fn whole() -> Scene {
    let scene = Scene::new(WHOLE);
    scene.write("web.rhai", WEB);
    scene.write("version.txt", "2.3.0\n");
    scene.write("shop.conf", "listen 80\n");
    scene
}

fn names(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(scene.path("")).expect("the scene");
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_whole_preview() {
    let scene = whole();
    let before = names(&scene);
    let told = scene.run(&["preview", "plan.rhai"]).expect(0);
    scene.snapshot("preview", &told.out);
    assert_eq!(told.err, "");
    let told = scene.run(&["preview", "-v", "plan.rhai"]).expect(0);
    scene.snapshot("preview_verbose", &told.out);
    let told = scene.run(&["preview", "-q", "plan.rhai"]).expect(0);
    scene.snapshot("preview_quiet", &told.out);
    // No run came to be, and not even a place for one.
    assert_eq!(names(&scene), before);
}

#[test]
fn dry_run_is_preview() {
    let scene = whole();
    let preview = scene.run(&["preview", "plan.rhai", "-e", "a=b"]).expect(0);
    for flag in ["-n", "--dry-run"] {
        let run = scene
            .run(&["run", flag, "plan.rhai", "-e", "a=b"])
            .expect(0);
        assert_eq!(scene.normal(&run.out), scene.normal(&preview.out));
    }
    let bare = scene.run(&["-q", "plan.rhai", "-n", "-e", "a=b"]).expect(0);
    assert!(
        bare.out
            .contains("run plan.rhai -e a=b --approve-fingerprint ")
    );
}

fn json(scene: &Scene, args: &[&str]) -> Value {
    let all: Vec<&str> = ["--format", "json", "preview"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    let told = scene.run(&all);
    serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {}{}", told.out, told.err))
}

fn fingerprint(scene: &Scene, args: &[&str]) -> String {
    let value = json(scene, args);
    value["fingerprint"].as_str().expect("a text").to_owned()
}

#[test]
fn the_same_as_json() {
    let scene = whole();
    let mut value = json(&scene, &["plan.rhai", "-e", "to=it's", "--", "x y"]);
    value["at_ms"] = 0.into();
    let text = serde_json::to_string_pretty(&value).expect("JSON");
    scene.snapshot("preview_json", &format!("{text}\n"));
}

#[test]
fn what_would_be_refused_ends_with_1() {
    let plan = r#"plan(#{ name: "x", environment: "e", window: "2020-01-01T00:00Z/PT1H" });
check("fine", true);
check("wrong", || read_file("nothing") == "");
check("wrong too", false);
run("true", #{ back_out: () });
"#;
    let scene = Scene::new(plan);
    let told = scene.run(&["preview", "plan.rhai"]).expect(1);
    scene.snapshot("preview_refused", &told.out);
    for (text, wanted) in [
        (
            "run(\"true\"); abort(\"no\");",
            "the plan aborts at plan.rhai:1:14: no",
        ),
        ("run(\"true\"); throw \"no\";", "the plan fails: no"),
        (
            "upload(\"nothing\", \"/x\");",
            "nothing can't be read: no such file",
        ),
        ("run(\"true\"); plan(#{});", "`plan` must be the first call"),
    ] {
        let scene = Scene::new(text);
        let told = scene.run(&["preview", "plan.rhai"]).expect(1);
        assert!(
            format!("{}{}", told.out, told.err).contains(wanted),
            "{}{}",
            told.out,
            told.err
        );
    }
}

#[test]
fn who_has_the_lock_is_told() {
    let scene = Scene::new(
        "plan(#{ name: \"x\", environment: \"e\" }); run(\"true\", #{ back_out: () }); wait_for_approval(\"a\");",
    );
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    run.wait_for("approv");
    let told = scene.run(&["preview", "plan.rhai"]).expect(1);
    let lock = told
        .out
        .lines()
        .find(|line| line.starts_with("  lock"))
        .expect("a line");
    assert!(lock.contains("e is locked by run"), "{}", told.out);
    run.kill();
}

#[test]
fn no_state_directory_is_needed() {
    let scene = Scene::new("run(\"true\", #{ back_out: () });");
    let mut command = scene.command(&["preview", "plan.rhai"]);
    command.env("DEPLOYRUN_STATE", "/proc/self/there/is/none");
    let told = crate::scene::told(&mut command).expect(0);
    assert!(told.out.contains("default is free"), "{}", told.out);
}

/// Only the lines behind the gate.
fn release(told: &Told) -> String {
    let lines = told
        .out
        .lines()
        .skip_while(|line| !line.starts_with("release,"));
    let lines = lines.skip(1).take_while(|line| *line != "summary");
    lines.map(|line| format!("{line}\n")).collect()
}

/// What is known and what is not, in small plans: each with the lines that it must give.
#[test]
fn unknown_values_spread_and_end_nothing_that_is_known() {
    let begin = "let o = run(\"x\", #{ back_out: () });\n";
    let cases = [
        (
            "operators",
            "run(`${1 + o.code * 2}`); run(`${o.code == 1 || true}`); run(`${!o.ok}`); let a = 1; a += o.code; run(`${a}`);",
        ),
        (
            "texts",
            "run(`a ${o.stdout} b`); run(\"a\" + o.stdout); run(o.stdout.trimmed().to_upper()); let s = \"a\"; s += o.stdout; run(s);",
        ),
        (
            "collections",
            "let l = [1]; l.push(o); run(`${l.len()}`); run([\"a\", l[1].stdout]); let m = #{ a: o.code }; m.b = 1; run(`${m.b} ${m.a}`); for x in [1, o.code] { run(`${x}`); }",
        ),
        (
            "functions",
            "fn f(x) { if x == 1 { return 2; } 3 } fn g(x) { x + 1 } run(`${f(1)} ${f(o.code)} ${g(o.code)} ${parse_int(o.stdout)}`); run(\"known again\");",
        ),
        (
            "branches",
            "let x = 1; let y = 1; if o.code == 0 { x = 2; run(\"A\"); } else if o.code == 1 { run(\"B\"); } run(`${x} ${y}`); let z = if o.code == 0 { 1 } else { 2 }; run(`${z}`);",
        ),
        (
            "switch",
            "switch o.code { 0 => run(\"A\"), _ => run(\"B\") } switch 1 { 1 if o.code == 0 => run(\"C\"), 1 => run(\"D\"), _ => run(\"E\") } switch \"k\" { \"k\" => run(\"K\"), _ => run(\"L\") }",
        ),
        (
            "loops",
            "let n = 0; while o.code != n { n += 1; run(\"A\"); } run(`${n}`); let k = 0; do { k += 1; run(`do ${k}`); } until o.code == k; for x in o.stdout.split(\",\") { run(x); } for i in 0..2 { run(`known ${i}`); }",
        ),
        (
            "endless",
            "loop { let r = run(\"try\"); if r.code == 0 { break; } sleep(1); } run(\"behind\"); let t = 0; loop { t += 1; if t == 3 { break; } } run(`${t}`);",
        ),
        (
            "returns",
            "fn f() { if probe(\"p\").code == 0 { return; } run(\"in f\"); } f(); run(\"behind f\"); if o.code == 1 { return; } run(\"at the end\");",
        ),
        (
            "guards",
            "fn f(x) { if x == 1 { return 1; } return 2; } if f(o.code) == 2 { run(\"A\"); } else { run(\"B\"); } fn g(x) { if x == 1 { return x; } throw \"no\"; } g(o.code); run(\"behind g\");",
        ),
        ("thrown", "throw #{ why: o.stdout, codes: [1, \"a\"] };"),
        (
            "closures",
            "let c = 1; step(\"g\", || { if o.code == 0 { return; } c = 2; run(\"in g\"); }); run(`${c}`);",
        ),
        (
            "asked",
            "run(\"before\"); let l = [1, 2].filter(|x| x == o.code); run(`${l.len()}`); fn f() { run(\"in f\"); } f();",
        ),
        (
            "lists",
            "let l = [o.code]; if l.contains(1) { run(\"A\"); } if [1].contains(o.code) { run(\"B\"); } run(\"C\");",
        ),
        (
            "indices",
            "fn f(m, o) { run(\"in f\"); let x = m[o.stdout]; run(\"rest of f\"); } f(#{ a: 1 }, o); run(\"rest\"); step(\"s\", || { run(\"deep\"); });",
        ),
        (
            "failures",
            "try { run(\"A\"); throw \"x\"; } catch { run(\"B\"); } try { run(\"C\"); if o.code == 1 { throw \"y\"; } run(\"D\"); } catch { run(\"E\"); } [][0]; run(\"F\");",
        ),
        (
            "options",
            "run(\"A\", #{ timeout: o.stdout, retries: o.code, cwd: o.stdout, back_out: [\"u\", o.stdout] }); run(\"B\", o); soak(o.code); watch(\"w\", o, || true); write_file(o.stdout, o.stdout);",
        ),
        (
            "looks",
            "check(\"c\", || false); check(\"d\", o.code == 0); verify(\"v\", || false); info(`says ${o.stdout}`); if file_exists(\"x\") { run(\"A\"); } run(env(\"NOT_SET\", \"default\"));",
        ),
    ];
    let mut all = String::new();
    for (name, text) in cases {
        let scene = Scene::new(&format!("{begin}{}\n", text.replace("; ", ";\n")));
        let told = scene.run(&["preview", "plan.rhai"]);
        assert!(
            matches!(told.status, Some(0 | 1)),
            "{name}: {}{}",
            told.out,
            told.err
        );
        all.push_str(&format!("== {name}\n{}{}", release(&told), told.err));
    }
    Scene::new("").exact_snapshot("preview_unknown", &all);
}

/// A plan in which something is uploaded, and what approves it now.
fn to_approve() -> (Scene, String) {
    let scene = Scene::new(
        "plan(#{ name: \"x\" });\nif args.change == \"yes\" { run(\"echo two > a.txt\", #{ back_out: () }); }\nupload(\"a.txt\", \"b.txt\");\n",
    );
    scene.write("a.txt", "one\n");
    let approved = fingerprint(&scene, &["plan.rhai", "-e", "change=no"]);
    assert_eq!(approved.len(), 64);
    (scene, approved)
}

#[test]
fn what_was_approved_is_run() {
    let (scene, approved) = to_approve();
    let start = &approved[..12];
    let told = scene
        .run(&[
            "run",
            "plan.rhai",
            "-e",
            "change=no",
            "--approve-fingerprint",
            start,
        ])
        .expect(0);
    let line = format!("  approved   fingerprint {start} of the preview, and nothing else");
    assert!(told.out.lines().any(|l| l == line), "{}", told.out);
    assert!(scene.path("b.txt").exists());
}

#[test]
fn what_was_not_approved_is_refused() {
    let (scene, approved) = to_approve();
    let refused = |args: &[&str]| {
        let all = ["run", "plan.rhai", "--approve-fingerprint", &approved];
        let told = scene.run(&[&all, args].concat()).expect(1);
        assert!(!scene.path("b.txt").exists() && !scene.path("state").exists());
        told
    };
    let told = refused(&["-e", "change=yes"]);
    let now = fingerprint(&scene, &["plan.rhai", "-e", "change=yes"]);
    assert_eq!(
        told.err,
        format!(
            "error: the plan is not what was approved: approved was {approved}, its fingerprint is \
             {now} now; the plan, a module, an argument or a file that it uploads has changed; look at \
             what it would do now with `deployrun preview`; nothing was done\n"
        )
    );
    refused(&["-e", "change=no", "--override-window", "now"]);
    refused(&["-e", "change=no", "--", "more"]);
    scene.write("a.txt", "two\n");
    refused(&["-e", "change=no"]);
    scene.write("a.txt", "one\n");
    let text = std::fs::read_to_string(scene.path("plan.rhai")).expect("the plan");
    scene.write("plan.rhai", &format!("{text} "));
    refused(&["-e", "change=no"]);
    // Too short, or none at all.
    for wrong in ["0123456789a", "x123456789ab", ""] {
        let args = ["run", "plan.rhai", "--approve-fingerprint", wrong];
        scene.run(&args).expect(2);
    }
}

#[test]
fn a_file_that_changes_behind_the_approval_is_not_put() {
    let (scene, _) = to_approve();
    let approved = fingerprint(&scene, &["plan.rhai", "-e", "change=yes"]);
    let args = [
        "run",
        "plan.rhai",
        "-e",
        "change=yes",
        "--approve-fingerprint",
        &approved,
    ];
    let told = scene.run(&args).expect(3);
    assert!(
        told.out
            .contains("`a.txt` is not the file that was approved"),
        "{}",
        told.out
    );
    assert!(!scene.path("b.txt").exists());
    // One that is not there yet is made by the plan.
    std::fs::remove_file(scene.path("a.txt")).expect("removed");
    let approved = fingerprint(&scene, &["plan.rhai", "-e", "change=yes"]);
    let args = [
        "run",
        "plan.rhai",
        "-e",
        "change=yes",
        "--approve-fingerprint",
        &approved,
    ];
    scene.run(&args).expect(0);
    assert_eq!(
        std::fs::read_to_string(scene.path("b.txt")).expect("put"),
        "two\n"
    );
}

#[test]
fn functions_of_a_program_that_act_are_not_called() {
    let scene = Scene::new("if flag(1) { act(2, #{ title: \"does it\" }); }\nact(flag(3));\n");
    let (reads, acts) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (read, act) = (reads.clone(), acts.clone());
    let plan = deployrun::Plan::read(&scene.path("plan.rhai")).expect("a plan");
    let preview = deployrun::Runner::new(scene.path("state"))
        .reads("flag", &["n"], "Reads.", move |_| {
            read.fetch_add(1, Ordering::SeqCst);
            Ok(Value::Bool(true))
        })
        .acts("act", &["n"], "Acts.", move |_| {
            act.fetch_add(1, Ordering::SeqCst);
            Ok(Value::Null)
        })
        .preview(plan)
        .expect("a preview");
    assert_eq!(
        reads.load(Ordering::SeqCst),
        1,
        "only the one before the first step"
    );
    assert_eq!(acts.load(Ordering::SeqCst), 0);
    assert_eq!(preview.steps().count(), 2);
    assert_eq!(preview.exit_status(), 0);
    assert!(!scene.path("state").exists());
}

/// The deadline and the window, each less what is reserved, bound a step as they do in a run.
#[test]
fn a_step_is_told_no_more_than_there_is() {
    let limits = |header: &str, timeout: &str| -> String {
        let scene = Scene::new(&format!(
            "plan(#{{ name: \"x\", version: \"1\", environment: \"test\", back_out_within: \"20s\", {header} }});\n\
             run(\"true\", #{{ timeout: \"{timeout}\", back_out: () }});\n"
        ));
        let told = scene.run(&["preview", "plan.rhai"]).expect(0);
        let line = told.out.lines().find(|line| line.contains("at most"));
        line.expect("a limit").trim().to_owned()
    };
    assert_eq!(
        limits("deadline: \"1m\"", "2m"),
        "plan.rhai:2:1: at most 40s, by the deadline (its own limit is 2m)"
    );
    assert_eq!(
        limits("deadline: \"1m\"", "40s"),
        "plan.rhai:2:1: at most 40s"
    );
    // It is 22:00 there, and the window is open for four hours.
    let window = "window: \"Sat 22:00-02:00 Europe/Berlin\"";
    assert_eq!(
        limits(window, "5h"),
        "plan.rhai:2:1: at most 3h59m, by the window's end (its own limit is 5h)"
    );
    // A window without end bounds nothing.
    assert_eq!(
        limits("window: \"daily 00:00-24:00 UTC\"", "5h"),
        "plan.rhai:2:1: at most 5h"
    );
}
