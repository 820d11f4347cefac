//! What becomes of a run when that changes in which it runs: links, directories, file systems, limits,
//! signals, supervisors, time.

use std::process::Command;

use rustix::process::Signal;

use super::support::live::Live;
use super::support::site::Site;
use super::support::tree::difference;
use super::support::{effects, journal, need_root, processes};
use super::{plan, wait_for};

/// The link on the way to what was changed leads elsewhere when it is undone, for its own switch is not.
#[test]
fn a_link_that_was_switched_leads_no_back_out_astray() {
    let site = Site::bare(&plan(
        r#"
write_file("current/conf", "new\n");
write_file("current/more", "new\n");
remove_file("current/old");
make_directory("current/data/deep");
set_mode("current/tool", "0700");
copy_file("plan.rhai", "current/copy");
move_file("current/from", "current/to");
make_link("current/link", "tool");
run(["ln", "-sfn", "releases/2", "current"], #{ back_out: () });
abort("enough");
"#,
    ));
    for release in ["production/1", "production/2"] {
        std::fs::create_dir_all(site.path(release)).expect("made");
        for name in ["conf", "old", "tool", "from"] {
            site.write(&format!("{release}/{name}"), &format!("{release} {name}\n"));
        }
    }
    std::os::unix::fs::symlink("production", site.path("releases")).expect("a link");
    std::os::unix::fs::symlink("releases/1", site.path("current")).expect("a link");
    let before = site.tree();
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert_eq!(difference(&before, &site.tree()), "", "{told}");
    let real = site
        .path("production/1/conf")
        .canonicalize()
        .expect("there");
    let said = format!("{} is as before; ", real.display());
    assert!(told.contains(&said), "{told}");
}

/// A site whose plan lies in `workspace`, changes a file of production and goes on like this.
fn in_workspace(rest: &str) -> Site {
    let site = Site::bare("");
    std::fs::create_dir(site.path("workspace")).expect("made");
    let file = site.production().join("old.conf");
    let text = format!(
        "write_file(\"{}\", \"changed\\n\");\n{rest}\n",
        file.display()
    );
    site.write("workspace/plan.rhai", &plan(&text));
    site
}

/// Whoever runs plans in a workspace cleans it up, whatever became of the run.
#[test]
fn files_are_put_back_though_the_directory_of_the_plan_is_gone() {
    let site = in_workspace(
        "run(\": > ../ready; sleep 600\", #{ back_out: \"echo undone\", grace: \"1s\" });",
    );
    let before = site.tree();
    let mut live = Live::start(site.command(&["run", "workspace/plan.rhai"]));
    let run = live.wait_for_kind("run-started")["run"].clone();
    wait_for(&site.path("ready"));
    assert!(live.kill().was_killed());
    std::fs::remove_dir_all(site.path("workspace")).expect("removed");
    // Its commands can't be undone without it, and nothing is done in part.
    let back_out = ["back-out", "--yes", run.as_str().expect("an id")];
    let finished = site.finish(&back_out);
    let told = finished.told();
    assert_eq!(finished.code, Some(1), "{told}");
    assert!(told.contains("the directory of the plan, "), "{told}");
    assert!(
        told.contains("was not taken up, and nothing was done"),
        "{told}"
    );
    std::fs::create_dir(site.path("workspace")).expect("made");
    let finished = site.finish(&back_out);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(difference(&before, &site.tree()), "", "{}", finished.told());
}

/// In a run that lives, only what needs the directory fails.
#[test]
fn what_needs_the_directory_of_the_plan_is_all_that_fails_without_it() {
    let site = in_workspace(
        "run(\"rm -r ../workspace\", #{ back_out: \"echo undone\" });\nabort(\"enough\");",
    );
    let before = site.tree();
    let finished = site.finish(&["run", "workspace/plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(4), "{told}");
    assert_eq!(difference(&before, &site.tree()), "", "{told}");
    let end = journal::end(&site.journal()).expect("an end").clone();
    let left = end["still_changed"].as_array().map(Vec::len);
    assert_eq!(left, Some(1), "{told}");
}

/// As a system does with a file system that has errors.
#[test]
fn a_state_directory_that_becomes_read_only_leaves_a_list_of_what_is_changed() {
    need_root("it mounts");
    let site = Site::bare("");
    let state = site.state().display().to_string();
    site.write(
        "plan.rhai",
        &plan(&format!(
            "write_file(\"production/old.conf\", \"changed\\n\");\n\
             run(\"mount --bind {state} {state} && mount -o remount,bind,ro {state}\", #{{ back_out: () }});\n"
        )),
    );
    site.write(
        "enter",
        "#!/bin/sh\nexec unshare --mount --propagation private \"$@\"\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(site.path("enter"), mode).expect("mode");
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(4), "{told}");
    assert!(told.contains("Read-only file system"), "{told}");
    let end = finished.events.iter().find(|e| e["event"] == "run-ended");
    let changed = end.expect("an end")["end"]["still_changed"].to_string();
    assert!(changed.contains("write production/old.conf"), "{told}");
}

/// A supervisor that is stopped hears nothing.
fn stopped_supervisor(body: &str) -> (Site, Live) {
    let site = Site::new(&plan(body));
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    for pid in processes::supervisors(site.state()) {
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, Signal::STOP).expect("it is there");
    }
    (site, live)
}

#[test]
fn a_supervisor_that_was_stopped_ends_its_step_when_the_run_stops() {
    let body = "run(\": > ready; sleep 600\", #{ back_out: \"./act undo a\", grace: \"1s\" });\n";
    let (site, live) = stopped_supervisor(body);
    live.signal(Signal::TERM);
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("undo a"));
}

#[test]
fn a_supervisor_that_was_stopped_is_woken_after_the_time_of_its_step() {
    let body = "run(\": > ready; sleep 600\", #{ back_out: \"./act undo a\", grace: \"1s\", timeout: \"1s\" });\n";
    let (site, live) = stopped_supervisor(body);
    let finished = live.finish();
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert_eq!(site.effects(), effects::lines("undo a"));
    assert!(
        told.contains("the supervisor of step [2] has not ended it in time"),
        "{told}"
    );
}

#[test]
fn a_deadline_that_was_missed_is_told() {
    let site = Site::new(
        r#"
plan(#{ name: "late", version: "1", environment: "test", deadline: "1s", back_out_within: "0s" });
run("sleep 600", #{ grace: "1s", back_out: "sleep 1.2; setsid sleep 7.77 > left 2>&1 &" });
"#,
    );
    let finished = site.finish(&["--format", "human", "run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert!(told.contains("the deadline of 1s was missed by "), "{told}");
    // What the back-out has left running is told too.
    assert!(
        told.contains("left running, as the back-out succeeded"),
        "{told}"
    );
    assert!(told.contains("left       pid "), "{told}");
}

/// A restart takes away what lies in memory.
#[test]
fn a_journal_in_memory_is_warned_of() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has a tmpfs there");
    let site = Site::bare(&plan("run(\"true\", #{ back_out: () });\n"))
        .with_state(memory.path().join("state"));
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    let warned = format!(
        "the journal in {}/state lies on tmpfs: a restart of this machine takes it away, and with it the way back",
        memory.path().display()
    );
    assert!(told.contains(&warned), "{told}");
}

/// The plan waits in a step, in the back-out of which `undo a` acts.
const IN_A_STEP: &str = "run(\": > ready; while ! test -e go; do sleep 0.05; done\", #{ back_out: \"./act undo a\", grace: \"1s\" });\n";

fn in_a_step() -> (Site, Live) {
    let site = Site::new(&plan(IN_A_STEP));
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    (site, live)
}

#[test]
fn signals_that_would_end_deployrun_stop_the_run() {
    for signal in [Signal::QUIT, Signal::POWER, Signal::XCPU] {
        let (site, live) = in_a_step();
        live.signal(signal);
        let finished = live.finish();
        assert_eq!(finished.code, Some(3), "{signal:?}: {}", finished.told());
        assert_eq!(site.effects(), effects::lines("undo a"), "{signal:?}");
    }
}

#[test]
fn signals_that_mean_nothing_change_nothing() {
    let (site, mut live) = in_a_step();
    let supervisors = processes::supervisors(site.state());
    for (signal, name) in [
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
    ] {
        live.signal(signal);
        live.wait_for(name, |event| {
            let text = event["text"].as_str().unwrap_or_default();
            text.starts_with(&format!("{name} came, and means nothing"))
        });
        for pid in &supervisors {
            let pid = rustix::process::Pid::from_raw(*pid).expect("a pid");
            rustix::process::kill_process(pid, signal).expect("it is there");
        }
    }
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
}

/// A site whose programs may write no file of more than so many KiB.
fn with_small_files(body: &str, kib: u32) -> Site {
    let site = Site::new(&plan(body));
    site.write(
        "enter",
        &format!("#!/bin/bash\nulimit -f {kib}\nexec \"$@\"\n"),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(site.path("enter"), mode).expect("mode");
    site
}

#[test]
fn output_that_may_not_be_written_is_not_kept() {
    let body = "run(\"head -c 3000000 /dev/zero | tr '\\\\0' x\", #{ back_out: () });\nrun(\"./act do a\", #{ back_out: () });\n";
    let site = with_small_files(body, 1100);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert_eq!(site.effects(), effects::lines("do a"), "{told}");
    let ended = journal::of_kind(&site.journal(), "step-ended")[0].clone();
    assert_eq!(ended["end"]["output_bytes"], 3_000_000, "{ended}");
    assert!(
        ended["end"]["dropped_bytes"]
            .as_u64()
            .is_some_and(|n| n > 0),
        "{ended}"
    );
}

#[test]
fn a_journal_that_may_not_grow_is_a_journal_that_failed() {
    let body = "run(\"./act do a\", #{ back_out: \"./act undo a\" });\n\
        let long = \"\";\nlong.pad(20000, \"x\");\n\
        for n in 0..100 { run([\"true\"], #{ title: long, back_out: () }); }\n";
    let site = with_small_files(body, 1100);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.signal, None, "{told}");
    assert!(matches!(finished.code, Some(3 | 4)), "{told}");
    assert_eq!(site.effects(), effects::lines("do a\nundo a"), "{told}");
}

/// What was there before may be a secret, and is kept as long as it is needed.
#[test]
fn former_content_goes_when_nothing_is_left_to_undo() {
    for (last, code) in [("", 0), ("abort(\"enough\");", 3)] {
        let site = Site::bare(&plan(&format!(
            "write_file(\"production/old.conf\", \"new\\n\");\n\
             remove_file(\"production/tree\");\nmove_file(\"production/from\", \"production/to\");\n{last}\n"
        )));
        std::fs::create_dir_all(site.path("production/tree/deep")).expect("made");
        site.write("production/tree/deep/file", "former\n");
        site.write("production/old.conf", "former\n");
        site.write("production/from", "former\n");
        let finished = site.finish(&["run", "plan.rhai"]);
        assert_eq!(finished.code, Some(code), "{}", finished.told());
        let found = Command::new("grep")
            .args(["-rl", "^former"])
            .arg(site.state().join("runs"))
            .output()
            .expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{last}");
    }
}

/// A plan is started through a link that it switches.
#[test]
fn the_directory_of_the_plan_stays_what_it_was() {
    let site = Site::bare("");
    for release in ["1", "2"] {
        std::fs::create_dir(site.path(release)).expect("made");
        site.write(&format!("{release}/source"), release);
    }
    site.write(
        "1/plan.rhai",
        &plan("run([\"ln\", \"-sfn\", \"2\", \"../current\"], #{ back_out: () });\nupload(\"source\", \"../production/copy\");\n"),
    );
    std::os::unix::fs::symlink("1", site.path("current")).expect("a link");
    let finished = site.finish(&["run", "current/plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let copy = std::fs::read_to_string(site.production().join("copy"));
    assert_eq!(copy.expect("it is there"), "1");
}

#[test]
fn a_step_can_approve_nothing() {
    let site = Site::bare(&plan(&format!(
        "run(\"{} approve $DEPLOYRUN_RUN board 2>&1 || echo refused\", #{{ title: \"approve\", back_out: () }});\n\
         wait_for_approval(\"board\", #{{ timeout: \"1s\" }});\n",
        env!("CARGO_BIN_EXE_deployrun")
    )));
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert!(told.contains("an approval is given by a person"), "{told}");
}
