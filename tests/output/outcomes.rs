//! What is printed of runs that end in each of the ways a run can end.

use deployrun::Stamped;
use deployrun::report::Style;
use deployrun::report::lines::{Lines, Look};
use rustix::process::Signal;

use super::scene::{Scene, Told, told};

const RUN: &str = "20260321-2100-0007";

/// Runs the plan, compares what it says, and what is said of it afterwards.
#[track_caller]
fn outcome(name: &str, status: i32, plan: &str, args: &[&str]) -> (Scene, Told) {
    let scene = Scene::new(plan);
    let args = [&["run", "plan.rhai"], args].concat();
    let live = scene.run(&args).expect(status);
    scene.snapshot(name, &live.out);
    assert_eq!(live.err, "", "{name}");
    same_afterwards(&scene, &live.out);
    (scene, live)
}

/// `show` says what was said while the run went on, and no part of its story makes it fall over.
#[track_caller]
fn same_afterwards(scene: &Scene, live: &str) {
    let show = scene.run(&["show", RUN]).expect(0);
    let (shown, live) = (scene.normal(&show.out), scene.normal(live));
    assert_eq!(without_output(&shown), without_output(&live));
    // What a step prints is shown as it comes, and afterwards at its end.
    assert_eq!(sorted(&shown), sorted(&live));
    parts_are_told(scene);
    super::show::reports_agree(scene, RUN);
}

fn without_output(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter(|line| !line.starts_with("            | "))
        .collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[track_caller]
fn parts_are_told(scene: &Scene) {
    let events: Vec<Stamped> = scene
        .run(&["show", RUN, "--format", "json"])
        .expect(0)
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let tell = |verbosity, events: &mut dyn Iterator<Item = &Stamped>| {
        let mut lines = Lines::new(Look {
            verbosity,
            zone: jiff::tz::TimeZone::UTC.into(),
            program: "deployrun".into(),
            state_dir: "state".into(),
            tails: true,
        });
        let mut shown = Vec::new();
        for event in events {
            shown.extend(lines.tell(event));
            let life = lines.activities().iter();
            let life: Vec<String> = life.map(|a| a.sign_of_life(event.at_ms + 5000)).collect();
            assert!(life.iter().all(|text| !text.is_empty()));
        }
        shown.extend(lines.standing(Some("someone")));
        for line in shown {
            let text = line.painted(Style {
                color: true,
                columns: None,
            });
            assert!(!text.contains('\n'), "{text}");
        }
    };
    for verbosity in [-1, 0, 1] {
        for n in 0..=events.len() {
            tell(verbosity, &mut events.iter().take(n));
            tell(verbosity, &mut events.iter().skip(n));
            // A story with a hole.
            tell(
                verbosity,
                &mut events
                    .iter()
                    .enumerate()
                    .filter(|(m, _)| *m != n)
                    .map(|(_, e)| e),
            );
            // A story in a wrong order.
            tell(verbosity, &mut events.iter().take(n).rev());
        }
    }
}

const HEAD: &str = r#"
plan(#{
    name: "shop-web", version: "2.4.0", environment: "production",
    why: "new checkout (CHG-1042)", features: ["checkout v2", "dark mode"],
    users: "shop customers", owner: "web team", support: "call 4711",
});
"#;

fn plan(body: &str) -> String {
    format!("{}{body}", HEAD.trim_start())
}

#[test]
fn released() {
    let body = r#"
check("there is a shell", || file_exists("/bin/sh"));
info("the office is told");
watch("nobody broke it", #{ every: "1h", failures: 3, grace: "10s" }, || !file_exists("broken"));
step("switch", #{ timeout: "2m" }, || {
    write_file("shop.conf", "new\n");
    run(["sh", "-c", "echo one; echo two >&2"], #{ title: "tell", back_out: () });
});
run("printf 'no newline'", #{ title: "say", timeout: "30s", back_out: "echo unsay" });
verify("it is new", #{ within: "1m" }, || read_file("shop.conf") == "new\n");
soak("10ms");
"#;
    let (scene, _) = outcome("released", 0, &plan(body), &[]);
    let logs = scene.run(&["logs", RUN]).expect(0);
    scene.snapshot("released_logs", &logs.out);
    let logs = scene.run(&["logs", RUN, "tell"]).expect(0);
    assert_eq!(logs.out, "one\ntwo\n");
    let logs = scene
        .run(&["logs", RUN, "say", "--format", "json"])
        .expect(0);
    scene.snapshot("released_logs_json", &logs.out);
    let verbose = scene.run(&["show", RUN, "-v"]).expect(0);
    // When the first sample is taken is another matter each time.
    let (samples, rest): (Vec<&str>, Vec<&str>) = verbose
        .out
        .lines()
        .partition(|line| line.contains("  sample  "));
    assert!(samples.iter().all(|s| s.ends_with("nobody broke it: pass")) && !samples.is_empty());
    scene.snapshot("released_verbose", &rest.join("\n"));
    let quiet = scene.run(&["show", RUN, "-q"]).expect(0);
    scene.snapshot("released_quiet", &quiet.out);
}

#[test]
fn refused_with_every_failed_finding() {
    let body = r#"
check("there is a shell", || file_exists("/bin/sh"));
check("there is a moon", false);
check("the answer is found", || read_file("nowhere") == "42");
run("echo never");
"#;
    let (scene, _) = outcome("refused", 1, &plan(body), &[]);
    let logs = scene.run(&["logs", RUN]).expect(0);
    assert_eq!(
        (logs.out.as_str(), logs.err.trim()),
        ("", "run 20260321-2100-0007 has no steps")
    );
    let quiet = scene.run(&["show", RUN, "-q"]).expect(0);
    scene.snapshot("refused_quiet", &quiet.out);
}

#[test]
fn backed_out_for_a_failed_step() {
    let body = r#"
fn migrate() {
    run("echo migrating; echo 'ERROR: it exists' >&2; exit 3", #{ title: "migrate", back_out: "echo down" });
}
run("echo a > a", #{ title: "make a", back_out: "rm a" });
run("echo b > b", #{ title: "make b" });
try { run("exit 7", #{ title: "may fail", back_out: () }); } catch (e) { warn("it failed: " + e); }
step("switch", || { migrate(); });
"#;
    let (scene, _) = outcome("failed_step", 3, &plan(body), &[]);
    let quiet = scene.run(&["show", RUN, "-q"]).expect(0);
    scene.snapshot("failed_step_quiet", &quiet.out);
}

#[test]
fn backed_out_for_a_script_error() {
    let body = r#"
run("echo a > a", #{ title: "make a", back_out: "rm a" });
let n = [1, 2];
n[5] += 1;
"#;
    outcome("script_error", 3, &plan(body), &[]);
}

#[test]
fn backed_out_for_a_tripped_watch() {
    let body = r#"
run("touch good", #{ title: "be good", back_out: "rm good" });
watch("good", #{ every: "1ms", failures: 2 }, || file_exists("good"));
run("rm good; sleep 600", #{ title: "break", back_out: "touch good" });
"#;
    outcome("tripped_watch", 3, &plan(body), &[]);
}

#[test]
fn backed_out_at_the_deadline() {
    let body = r#"
plan(#{ name: "shop", environment: "test", deadline: "3s", back_out_within: "2s" });
run("echo begun; sleep 600", #{ title: "take long", back_out: "echo undone" });
"#;
    outcome("deadline", 3, body.trim_start(), &[]);
}

#[test]
fn backed_out_for_ctrl_c() {
    let scene = Scene::new(&plan(
        r#"
run("echo a > a", #{ title: "make a", back_out: "rm a" });
run("echo begun; sleep 600", #{ title: "take long", back_out: () });
"#,
    ));
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("| begun");
    going.signal(Signal::INT);
    let live = going.end().expect(3);
    scene.snapshot("ctrl_c", &live.out);
    same_afterwards(&scene, &live.out);
}

#[test]
fn left_after_three_signals_and_backed_out_from_elsewhere() {
    let scene = Scene::new(&plan(
        r#"
run("echo a > a", #{ title: "make a", back_out: "echo undoing; while [ ! -e go ]; do sleep 0.05; done" });
run("trap '' TERM; echo begun; while :; do sleep 1; done", #{ title: "take long", back_out: () });
"#,
    ));
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("| begun");
    going.signal(Signal::INT);
    going.wait_for("STOP");
    // Closer together they would count as one.
    std::thread::sleep(std::time::Duration::from_millis(300));
    going.signal(Signal::TERM);
    going.wait_for("| undoing");
    std::thread::sleep(std::time::Duration::from_millis(300));
    going.signal(Signal::TERM);
    let live = going.end().expect(4);
    scene.snapshot("left", &live.out);
    let runs = scene.run(&["runs"]).expect(0);
    scene.snapshot("left_runs", &runs.out);
    let refused = scene.run(&["back-out", RUN]).expect(1);
    assert_eq!(
        refused.err,
        format!(
            "error: run {RUN} was not backed out: there is no terminal to ask at; \
             say --yes to back out without being asked\n"
        )
    );
    scene.write("go", "");
    let back = told(&mut scene.command_at("2026-03-21T22:00:00Z", &["back-out", RUN, "--yes"]));
    let back = back.expect(3);
    scene.snapshot("left_and_backed_out", &back.out);
    parts_are_told(&scene);
}

#[test]
fn stuck() {
    let body = r#"
run("echo a > a", #{ title: "make a", back_out: "echo cannot; exit 1" });
run("echo b > b", #{ title: "make b", back_out: || { throw "no way back" } });
run("echo c > c", #{ title: "make c", back_out: "rm c" });
abort("the boss said so");
"#;
    outcome("stuck", 4, &plan(body), &[]);
}

#[test]
fn stuck_behind_the_point_of_no_return() {
    let body = r#"
run("echo a > a", #{ title: "make a", back_out: "rm a" });
point_of_no_return("the old data are gone");
run("echo b > b", #{ title: "make b", back_out: "rm b" });
verify("it works", #{ within: "10ms", every: "5ms" }, || false);
"#;
    outcome("no_return", 4, &plan(body), &[]);
}

#[test]
fn the_window_is_set_aside() {
    let body = r#"
plan(#{ name: "shop", environment: "test", window: "Mon 22:00-23:00 Europe/Berlin" });
run("true", #{ title: "act", back_out: () });
"#;
    let args = ["--override-window", "the site is down"];
    outcome("override_window", 0, body.trim_start(), &args);
}

#[test]
fn a_run_that_waits_for_the_window_is_taken_up_in_it() {
    let scene = Scene::new(
        r#"plan(#{ name: "shop", environment: "test", window: "Sat 23:00-01:00 Europe/Berlin" });
run("echo acting", #{ title: "act", back_out: () });
"#,
    );
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("closes");
    let owned = scene.run(&["resume", RUN]).expect(5);
    let text = format!("error: run {RUN} is already controlled by ");
    assert!(owned.err.starts_with(&text), "{}", owned.err);
    let waiting = scene.run(&["show", RUN]).expect(0);
    scene.snapshot("window_show", &hostless(&waiting.out));
    let live = going.kill();
    scene.snapshot("window_wait", &live);
    let again = told(&mut scene.command_at("2026-03-21T22:30:00Z", &["resume", RUN]));
    scene.snapshot("window_resume", &again.expect(0).out);
    parts_are_told(&scene);
}

/// Without the name of the machine.
fn hostless(text: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    text.replace(&format!(" on {},", host.trim()), " on HOST,")
        .replace("root on HOST", "USER on HOST")
}

#[test]
fn approvals_come_from_elsewhere() {
    let scene = Scene::new(
        r#"plan(#{ name: "shop", environment: "test", approvals: ["the DBA's go"] });
run("true", #{ title: "act", back_out: () });
wait_for_approval("look at it", #{ timeout: "1h" });
"#,
    );
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    let typed = going.wait_for("deployrun approve");
    assert_eq!(
        typed.trim(),
        format!(r"deployrun approve {RUN} 'the DBA'\''s go'")
    );
    let wrong = scene.run(&["approve", RUN, "the DBA's do"]).expect(1);
    assert_eq!(
        wrong.err,
        format!(
            "error: run {RUN} does not ask for the approval of `the DBA's do`, but of \
             `the DBA's go`; did you mean `the DBA's go`?; nothing was approved\n"
        )
    );
    let given = scene.run(&["approve", RUN, "the DBA's go", "--comment", "be careful"]);
    assert_eq!(
        given.expect(0).out,
        format!("run {RUN}: `the DBA's go` approved\n")
    );
    going.wait_for("deployrun approve");
    scene.run(&["approve", RUN, "look at it"]).expect(0);
    let live = going.end().expect(0);
    scene.snapshot("approvals", &live.out);
    same_afterwards(&scene, &live.out);
    let late = scene.run(&["approve", RUN, "look at it"]).expect(1);
    assert_eq!(
        late.err,
        format!("error: run {RUN} has ended (released); nothing was approved\n")
    );
}

#[test]
fn secrets_are_masked() {
    let scene = Scene::new(&plan(
        r#"
let password = secret("SHOP_PASSWORD");
info(`it is ${password}`);
run("echo login with $PASSWORD; exit 1", #{ title: `log in with ${password}`, env: #{ PASSWORD: password }, back_out: () });
"#,
    ));
    let mut command = scene.command(&["run", "plan.rhai", "-v"]);
    let live = told(command.env("SHOP_PASSWORD", "hunter2hunter2")).expect(3);
    scene.snapshot("secrets", &live.out);
    for args in [
        &["show", RUN, "-v"][..],
        &["logs", RUN],
        &["show", RUN, "--format", "json"],
        &["show", RUN, "--format", "junit"],
        &["show", RUN, "--format", "html"],
    ] {
        let shown = scene.run(args).expect(0);
        assert!(!shown.out.contains("hunter2"), "{}", shown.out);
        assert!(shown.out.contains("***"), "{}", shown.out);
    }
}

#[test]
fn retries() {
    let body = r#"
run("echo try >> tries; test $(wc -l < tries) -ge 3", #{ title: "flaky", retries: 3, retry_delay: "1ms", back_out: "rm tries" });
step("group", #{ retries: 1 }, || {
    run("touch made", #{ title: "make", back_out: "rm made" });
    run("echo x >> marks; test $(wc -l < marks) -ge 2", #{ title: "second time lucky", back_out: () });
});
"#;
    outcome("retries", 0, &plan(body), &[]);
}

#[test]
fn a_daemon_is_named() {
    let body = r#"
run("sleep 60 > /dev/null 2>&1 & echo $! > pid; echo up", #{ title: "start", back_out: () });
run("kill $(cat pid)", #{ title: "stop it again", back_out: () });
"#;
    outcome("daemon", 0, &plan(body), &[]);
}

#[test]
fn an_approval_that_waited_for_the_run_has_its_own_time() {
    let scene = Scene::new(
        "plan(#{ name: \"shop\", environment: \"test\", approvals: [\"go\"] });\n\
         run(\"true\", #{ title: \"act\", back_out: () });\n",
    );
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("deployrun approve");
    going.kill();
    let mut approve = scene.command_at("2026-03-21T21:30:00Z", &["approve", RUN, "go"]);
    told(&mut approve).expect(0);
    let mut resume = scene.command_at("2026-03-21T23:00:00Z", &["resume", RUN]);
    let resumed = told(&mut resume).expect(0);
    let line = resumed
        .out
        .lines()
        .find(|line| line.contains("is approved"));
    let line = scene.normal(line.expect("it is said"));
    assert_eq!(
        line,
        "HH:MM:SS  ok      `go` is approved by USER@HOST at Sat 2026-03-21 HH:MM:SS +00:00"
    );
    assert!(
        resumed.out.contains("at Sat 2026-03-21 21:30:0"),
        "{}",
        resumed.out
    );
}
