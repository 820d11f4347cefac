//! A step supervisor that dies in any of its system calls: no step acts twice, what nobody saw the end
//! of is backed out, and nothing is left behind.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use support::site::Site;
use support::sweep::{each, is_full};
use support::tree::{Tree, difference};
use support::{effects, journal, need, processes};

/// Steps that act at their begin and at their end; one that leaves nothing behind and one that fails
/// with a child left; files; a step that is ended.
const PLAN: &str = r#"
plan(#{ name: "kills", version: "1", environment: "test" });
run("./act do a1; ./act do a2", #{ back_out: "./act undo a2; ./act undo a1" });
write_file("production/conf/new", "new\n");
run(["./act", "do", "b"], #{ back_out: ["./act", "undo", "b"] });
let handled = false;
try { run("sleep 60 & exit 3", #{ back_out: (), grace: "1s" }); } catch { handled = true; }
if !handled { abort("a failure was not thrown"); }
try { run("sleep 60", #{ back_out: (), timeout: "1s", grace: "1s" }); } catch { }
run("./act do c", #{ back_out: "./act undo c" });
"#;

/// A program that stands in for deployrun where a step supervisor is started: under strace.
fn wrapped(site: &Site, options: &str) -> String {
    let path = site.path("supervisor");
    let script = format!(
        "#!/bin/sh\nexec strace -D -q -q {options} '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_deployrun")
    );
    fs::write(&path, script).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    path.display().to_string()
}

/// The system calls of the supervisors of an undisturbed run, and how many of each.
fn calls(site: &Site) -> Vec<(String, u64)> {
    let table = site.path("calls");
    let options = format!("-c -U name,calls -o '{}'", table.display());
    let wrapper = wrapped(site, &options);
    let finished = site.finish_with(
        &["run", "plan.rhai"],
        "DEPLOYRUN_FAULT_SUPERVISOR",
        &wrapper,
    );
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let until = std::time::Instant::now() + support::live::PATIENCE;
    let text = loop {
        let text = fs::read_to_string(&table).unwrap_or_default();
        if text.contains("total") {
            break text;
        }
        assert!(std::time::Instant::now() < until, "strace has no table");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, count) = (words.next()?, words.next()?.parse().ok()?);
        (name != "total").then(|| (name.to_owned(), count))
    });
    rows.collect()
}

/// What came of a run whose supervisors die in their n-th call of this name.
fn killed(before: &Tree, after: &Tree, call: &str, n: u64) -> &'static str {
    let site = Site::new(PLAN);
    let options = format!("-o /dev/null --trace={call} --inject={call}:signal=SIGKILL:when={n}");
    let wrapper = wrapped(&site, &options);
    let finished = site.finish_with(
        &["run", "plan.rhai"],
        "DEPLOYRUN_FAULT_SUPERVISOR",
        &wrapper,
    );
    let told = || format!("{call} {n}\n{}\n{}", finished.told(), site.told());
    for name in ["a1", "a2", "b", "c"] {
        let times = effects::count(&site.effects(), &format!("do {name}"));
        assert!(times <= 1, "{name} acted {times} times: {}", told());
    }
    let supervisors = processes::supervisors(site.state());
    assert!(supervisors.is_empty(), "{supervisors:?} {}", told());
    let journal = site.journal();
    // A file is put in place again where nobody saw whether it was; a command is not run again.
    let is_command = |id: &Value| {
        let started = journal::of_kind(&journal, "step-started");
        let mut its = started.iter().filter(|e| e["id"] == *id);
        its.any(|e| {
            e["step"]["deed"]["command"].is_string() || e["step"]["deed"]["command"].is_array()
        })
    };
    let unknown = journal
        .iter()
        .any(|e| e["event"] == "step-ended" && e["outcome"] == "unknown" && is_command(&e["id"]));
    match finished.code {
        Some(0) => {
            assert!(!unknown, "released over an unknown step: {}", told());
            assert_eq!(difference(after, &site.tree()), "", "{}", told());
            "released"
        }
        // Back-outs run under supervisors too, and these are killed as well: then a person is told,
        // and with whole supervisors the run is brought to its end.
        Some(3) => {
            assert_eq!(difference(before, &site.tree()), "", "{}", told());
            if unknown {
                "unknown, backed out"
            } else {
                "backed out"
            }
        }
        Some(4) => {
            let end = journal::end(&journal).unwrap_or_else(|| panic!("no end: {}", told()));
            let listed = end["still_changed"]
                .as_array()
                .is_some_and(|l| !l.is_empty());
            assert!(listed, "stuck without a list: {}", told());
            "stuck, with its list"
        }
        other => panic!("{other:?} {}", told()),
    }
}

#[test]
fn a_supervisor_is_killed_in_a_system_call() {
    need("strace", "strace");
    let site = Site::new(PLAN);
    let before = site.tree();
    let calls = calls(&site);
    let after = site.tree();
    let total: u64 = calls.iter().map(|(_, count)| count).sum();
    let most = 2;
    let mut points = Vec::new();
    for (call, count) in &calls {
        let stride = if is_full() { 1 } else { count.div_ceil(most) };
        let stride = usize::try_from(stride).expect("small");
        points.extend(
            (1..=*count)
                .rev()
                .step_by(stride)
                .map(|n| (call.as_str(), n)),
        );
    }
    let counts = [
        "released",
        "backed out",
        "unknown, backed out",
        "stuck, with its list",
    ]
    .map(|what| (what, AtomicU64::new(0)));
    let what = format!("a supervisor killed in one of {total} system calls");
    each(&what, &points, |(call, n)| {
        let became = killed(&before, &after, call, *n);
        let count = counts.iter().find(|(what, _)| *what == became);
        count.expect("a known end").1.fetch_add(1, Ordering::SeqCst);
    });
    for (what, count) in &counts {
        println!("  {}: {what}", count.load(Ordering::SeqCst));
    }
    assert!(
        points.len() >= 60,
        "only {} points: were the calls found?",
        points.len()
    );
    let unknown = counts[2].1.load(Ordering::SeqCst) + counts[3].1.load(Ordering::SeqCst);
    assert!(unknown > 0, "no kill met a step");
}
