//! What stands on a terminal while a run goes on, and what is left on it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;

use super::pty::Pty;
use super::scene::{Scene, told};

const RUN: &str = "20260321-2100-0007";
/// A clock that stands still. Nothing comes by time then: no second try, no second sample.
const NOW: &str = "2026-03-21T21:00:00Z stopped";
/// The first row of the live area.
const TITLE: &str = "-- shop-web";

const PLAN: &str = r#"plan(#{
    name: "shop-web", version: "2.4.0", environment: "production",
    why: "new checkout (CHG-1042)", owner: "web team", support: "call 4711",
    window: "Sat 20:00-24:00 UTC", deadline: "1h", back_out_within: "10m",
    approvals: ["the DBA's go"],
});
fn await_file(name) { "until [ -e " + name + " ]; do sleep 0.02; done" }
check("there is room", || probe("echo; " + await_file("reviewed")).code == 0);
wait_for_window();
run("echo new", #{ title: "conf", back_out: "echo old" });
step("switch", #{ timeout: "2m" }, || {
    run("echo one; printf '50%%\r'; printf '100%%\nlast'; " + await_file("switched"),
        #{ title: "link", back_out: "echo back" });
});
run("echo migrating; " + await_file("migrated"), #{ title: "migrate", back_out: "echo down" });
verify("checkout answers", #{ within: "1m" }, || probe(await_file("verified")).code == 0);
"#;

fn command(scene: &Scene, args: &[&str]) -> Command {
    let args = [&["run", "plan.rhai"], args].concat();
    scene.command_at(NOW, &args)
}

fn show(scene: &Scene, args: &[&str]) -> String {
    let args = [&["show", RUN], args].concat();
    told(&mut scene.command_at(NOW, &args)).expect(0).out
}

/// How long steps took, which no clock of ours decides.
fn steady(text: &str) -> String {
    let took = Regex::new(r"(\] .*|switch|undone|answers), (?:<1ms|[\d.]+m?s)(, try \d+)?")
        .expect("a pattern");
    let after = Regex::new(r"after (?:<1ms|[\d.]+m?s)").expect("a pattern");
    let print = Regex::new(r"fingerprint [0-9a-f]{12}").expect("a pattern");
    let by = Regex::new(r"[\w.-]+@[\w.-]+").expect("a pattern");
    let text = took.replace_all(text, "$1, TIME");
    let text = after.replace_all(&text, "after TIME");
    let text = print.replace_all(&text, "fingerprint FINGERPRINT");
    by.replace_all(&text, "USER@HOST").into_owned()
}

/// The text without the scene's directory, which may be wrapped.
fn placeless(scene: &Scene, text: &str) -> String {
    let dir = scene.path("").display().to_string();
    let parts: Vec<String> = dir
        .trim_end_matches('/')
        .chars()
        .map(|c| regex::escape(&c.to_string()))
        .collect();
    let dir = Regex::new(&parts.join("(\n?)")).expect("a pattern");
    let with_breaks = |found: &regex::Captures<'_>| {
        let breaks = found.iter().skip(1).flatten().map(|part| part.as_str());
        format!("DIR{}", breaks.collect::<String>())
    };
    dir.replace_all(text, with_breaks).into_owned()
}

/// What is left on the terminal is what `show` says, each line once.
#[track_caller]
fn is_what_show_says(scene: &Scene, left: &str, args: &[&str]) {
    let shown = show(scene, args);
    assert_eq!(left.trim_end(), shown.trim_end());
}

/// A whole run at a terminal: its screen at each moment, and what is left.
#[track_caller]
fn recorded(name: &str, size: (u16, u16), no_color: bool) {
    let scene = Scene::in_tmp(PLAN);
    let mut command = command(&scene, &[]);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let mut pty = Pty::start(&command, size);
    let mut all = format!("{}x{}\n", size.0, size.1);
    let mut moment = |what: &str, screen: String| {
        let rule = "=".repeat(size.0.into());
        all.push_str(&format!("{rule}\n{what}\n{rule}\n{screen}"));
    };
    moment("in the review", pty.wait_for("it reads and checks"));
    scene.write("reviewed", "");
    let is_asked = |screen: &str| screen.contains("[y/N]") && screen.contains("go` is waited for");
    moment("asked for an approval", pty.wait("question", is_asked));
    let (row, column) = pty.cursor();
    assert!(
        row > 0 && column > 0,
        "the cursor stands behind the question"
    );
    pty.type_in("y\n");
    let switching = |screen: &str| screen.contains("| last") && screen.contains(TITLE);
    moment("a step runs", pty.wait("output", switching));
    scene.write("switched", "");
    moment("another step runs", pty.wait_for("| migrating"));
    scene.write("migrated", "");
    moment("verifying", pty.wait_for("verify  checkout answers "));
    scene.write("verified", "");
    assert_eq!(pty.end(), Some(0));
    moment("released", pty.screen());
    let all = placeless(&scene, &all);
    scene.exact_snapshot(name, &steady(&all));
    assert!(pty.is_tidy());
    let colours = Regex::new("\x1b\\[[0-9;]*m").expect("a pattern");
    let written = String::from_utf8_lossy(&pty.written).into_owned();
    assert_eq!(colours.is_match(&written), !no_color);
    // The question and its answer are not part of the run's story.
    let left: Vec<String> = pty
        .all()
        .lines()
        .filter(|line| !line.starts_with("Approve `"))
        .map(str::to_owned)
        .collect();
    is_what_show_says(&scene, &left.join("\n"), &[]);
}

#[test]
fn a_run_at_80_columns() {
    recorded("terminal_80x24", (80, 24), false);
}

#[test]
fn a_run_at_120_columns() {
    recorded("terminal_120x40", (120, 40), false);
}

#[test]
fn a_run_at_40_columns() {
    recorded("terminal_40x20", (40, 20), false);
}

#[test]
fn a_run_without_colours() {
    recorded("terminal_no_color", (80, 24), true);
}

/// A plan whose step waits for a file, and prints what it is told.
fn waiting(more: &str) -> String {
    format!(
        r#"plan(#{{ name: "shop-web", environment: "test", owner: "web team", support: "call 4711" }});
run("true", #{{ title: "first", back_out: "echo first is back" }});
run("echo begun; {more} until [ -e go ]; do sleep 0.02; done", #{{ title: "wait", back_out: "echo waited" }});
"#
    )
}

fn once(screen: &str) -> bool {
    screen.matches(TITLE).count() == 1
}

/// Does the live area stand there once, with all its rows?
fn whole(screen: &str) -> bool {
    let rows = [
        "\n-- shop-web",
        "\nreview > ",
        "\nstep    [3]",
        "\n        | ",
        "\nCtrl-C ",
    ];
    once(screen) && rows.iter().all(|row| screen.contains(row))
}

#[test]
fn a_terminal_that_is_resized_is_not_garbled() {
    let scene = Scene::new(&waiting(""));
    let mut pty = Pty::start(&command(&scene, &[]), (100, 30));
    pty.wait_for("| begun");
    for size in [(60, 30), (40, 12), (120, 40), (50, 10), (80, 24)] {
        pty.resize(size);
        let dashes = usize::from(size.0) - 1;
        let is_drawn = |screen: &str| {
            let row = screen.lines().find(|row| row.starts_with(TITLE));
            // The arrow may take two columns.
            row.is_some_and(|row| row.chars().count() + 1 == dashes) && screen.contains("\nstep ")
        };
        let screen = pty.wait("new width", is_drawn);
        assert!(once(&screen), "{size:?}\n{screen}");
        let stiff = pty.stiff_screen();
        assert!(once(&stiff), "{size:?}\n{stiff}");
    }
    scene.write("go", "");
    assert_eq!(pty.end(), Some(0));
    is_what_show_says(&scene, &pty.all(), &[]);
    assert!(!pty.stiff_screen().contains(TITLE));
}

#[test]
fn what_is_typed_or_written_by_others_breaks_no_more_than_its_own_lines() {
    let more = "until [ -e tty ]; do sleep 0.02; done; echo written > $(cat tty);";
    let scene = Scene::new(&waiting(more));
    // Here time passes: what others write is noticed when the area changes.
    let args = ["run", "plan.rhai"];
    let mut pty = Pty::start(&scene.command(&args), (80, 24));
    pty.wait_for("| begun");
    scene.write("tty", &pty.name);
    pty.wait("area", |screen| {
        screen.contains("\nwritten\n\n--") && whole(screen)
    });
    pty.type_in("\n");
    pty.wait("area", |screen| {
        screen.contains("\nwritten\n\n\n--") && whole(screen)
    });
    pty.type_in("typed\n");
    pty.wait("area", |screen| {
        screen.contains("\ntyped\n\n--") && whole(screen)
    });
    scene.write("go", "");
    assert_eq!(pty.end(), Some(0));
    let all = pty.all();
    assert!(!all.contains(TITLE), "{all}");
    for line in show(&scene, &[]).lines() {
        assert!(all.contains(line), "{line}\n{all}");
    }
}

#[test]
fn ctrl_c_is_typed_at_the_terminal() {
    let scene = Scene::in_tmp(&waiting(""));
    let mut pty = Pty::start(&command(&scene, &[]), (80, 24));
    pty.wait_for("| begun");
    pty.type_in("\x03");
    assert_eq!(pty.end(), Some(3));
    assert!(pty.is_tidy());
    is_what_show_says(&scene, &pty.all(), &[]);
    let left = placeless(&scene, &steady(&pty.screen()));
    scene.exact_snapshot("terminal_ctrl_c", &left);
}

#[test]
fn a_back_out_that_fails_is_seen_as_it_goes_on() {
    let plan = r#"plan(#{ name: "shop-web", environment: "test", owner: "web team", support: "call 4711" });
run("true", #{ title: "upload", back_out: "echo deleting; until [ -e deleted ]; do sleep 0.02; done" });
run("true", #{ title: "switch", back_out: "echo no such link >&2; exit 1" });
run("echo migrating; echo 'ERROR: it exists' >&2; exit 3", #{ title: "migrate", back_out: "echo down" });
"#;
    let scene = Scene::in_tmp(plan);
    let mut pty = Pty::start(&command(&scene, &[]), (80, 24));
    let backing_out = pty.wait("back-out", |s| {
        s.contains("| deleting") && s.contains(TITLE)
    });
    scene.write("deleted", "");
    assert_eq!(pty.end(), Some(4));
    is_what_show_says(&scene, &pty.all(), &[]);
    let all = format!("{backing_out}{}\n{}", "=".repeat(80), pty.screen());
    scene.exact_snapshot("terminal_stuck", &placeless(&scene, &steady(&all)));
}

#[test]
fn a_killed_run_leaves_the_terminal_tidy() {
    let scene = Scene::new(&waiting(""));
    let mut pty = Pty::start(&command(&scene, &[]), (80, 24));
    pty.wait_for("| begun");
    pty.kill();
    assert_eq!(pty.end(), None);
    let screen = pty.screen();
    assert!(
        !screen.contains(TITLE) && !screen.contains("Ctrl-C"),
        "{screen}"
    );
    assert!(screen.contains("[3] wait"), "{screen}");
    assert!(pty.is_tidy());
    scene.write("go", "");
    let back = told(&mut scene.command_at(NOW, &["back-out", RUN, "--yes"]));
    back.expect(3);
}

#[test]
fn a_run_outlives_its_terminal() {
    let scene = Scene::new(&waiting(""));
    let (mut pty, master) = Pty::start_unread(&command(&scene, &[]), (80, 24));
    pty.read_until(&master, "| begun");
    drop(master);
    // It goes on, and is taken note of, before the step may end.
    let hung_up = |scene: &Scene| show(scene, &[]).contains("the terminal went away");
    let since = Instant::now();
    while !hung_up(&scene) {
        assert!(since.elapsed() < Duration::from_secs(60), "nobody noticed");
        std::thread::yield_now();
    }
    scene.write("go", "");
    assert_eq!(pty.end(), Some(0));
    assert!(show(&scene, &[]).contains("\nreleased: shop-web"));
}

/// More lines than a terminal or a pipe takes that nobody reads.
const MUCH: &str = r#"plan(#{ name: "shop-web", environment: "test" });
for n in 0..3000 { info("line " + n + " of what nobody reads: ........................................"); }
run("touch done", #{ title: "act", back_out: () });
"#;

#[test]
fn a_terminal_that_nobody_reads_does_not_hold_a_run_up() {
    let scene = Scene::new(MUCH);
    let (mut pty, master) = Pty::start_unread(&command(&scene, &[]), (80, 24));
    assert_eq!(pty.end(), Some(0));
    drop(master);
    assert!(scene.path("done").exists());
    assert!(show(&scene, &[]).contains("\nreleased: shop-web"));
}

#[test]
fn a_pipe_that_nobody_reads_does_not_hold_a_run_up() {
    let scene = Scene::new(MUCH);
    let mut child = command(&scene, &[])
        .stdout(Stdio::piped())
        .spawn()
        .expect("deployrun");
    let status = child.wait().expect("it can be waited for");
    assert_eq!(status.code(), Some(0));
    assert!(show(&scene, &[]).contains("\nreleased: shop-web"));
}

#[test]
fn only_a_terminal_that_can_show_it_has_a_live_area() {
    let shows = |size, args: &[&str], set: &[(&str, &str)]| {
        let scene = Scene::new(&waiting(""));
        scene.write("go", "");
        let mut command = command(&scene, args);
        command.envs(set.iter().copied());
        let mut pty = Pty::start(&command, size);
        assert_eq!(pty.end(), Some(0));
        let written = String::from_utf8_lossy(&pty.written).into_owned();
        (written.contains("\x1b[?2026h"), pty.all())
    };
    for size in [(80, 24), (20, 10)] {
        let scene = Scene::new(&waiting(""));
        let mut pty = Pty::start(&command(&scene, &[]), size);
        pty.wait_for("-- shop-w");
        scene.write("go", "");
        assert_eq!(pty.end(), Some(0));
    }
    for (size, args, set) in [
        ((80, 9), &[][..], &[][..]),
        ((19, 24), &[], &[]),
        ((80, 24), &["--plain"], &[]),
        ((80, 24), &[], &[("DEPLOYRUN_PLAIN", "true")]),
        ((80, 24), &[], &[("TERM", "dumb")]),
        ((80, 24), &[], &[("CI", "true")]),
        ((80, 24), &[], &[("GITHUB_ACTIONS", "true")]),
    ] {
        let (area, all) = shows(size, args, set);
        assert!(!area, "{size:?} {args:?} {set:?}");
        assert!(all.contains("| begun"), "{all}");
    }
    let (area, all) = shows((80, 24), &["-q"], &[]);
    assert!(!area && all.starts_with("released: shop-web"), "{all}");
    let (area, all) = shows((80, 24), &["--format", "json"], &[]);
    assert!(!area && all.starts_with("{"), "{all}");
}

#[test]
fn more_is_said_when_more_is_asked_for() {
    let plan = r#"plan(#{ name: "shop-web", environment: "test" });
let there = file_exists("plan.rhai");
run("seq 30", #{ title: "count", back_out: () });
"#;
    let facts = Regex::new(r"true, (?:<1ms|\d+ms)").expect("a pattern");
    let program = Regex::new(r"(deployrun  )\d\S+").expect("a pattern");
    for (name, args) in [
        ("quiet", &["-q"][..]),
        ("verbose", &["-v"]),
        ("very_verbose", &["-vv"]),
    ] {
        let scene = Scene::in_tmp(plan);
        let mut pty = Pty::start(&command(&scene, args), (100, 60));
        assert_eq!(pty.end(), Some(0));
        is_what_show_says(&scene, &pty.all(), args);
        let told = placeless(&scene, &steady(&pty.all()));
        let told = facts.replace_all(&told, "true, TIME").into_owned();
        let told = program.replace_all(&told, "${1}VERSION").into_owned();
        scene.exact_snapshot(&format!("terminal_{name}"), &told);
    }
}

/// A failing run, as a log has it.
fn logged(name: &str, set: &[(&str, &str)]) {
    let plan = r#"plan(#{ name: "shop-web", environment: "test" });
run("echo one", #{ title: "100 % good", back_out: "echo back" });
run("echo two; exit 1", #{ title: "bad", back_out: () });
"#;
    let scene = Scene::in_tmp(plan);
    let mut command = command(&scene, &[]);
    let told = told(command.envs(set.iter().copied())).expect(3);
    assert_eq!(told.err, "");
    let log = placeless(&scene, &steady(&told.out));
    let log = log.replace('\x1b', "^[").replace('\r', "^M");
    scene.exact_snapshot(name, &log);
}

#[test]
fn logs_of_ci_are_folded() {
    logged("piped", &[]);
    logged("piped_ci", &[("CI", "true")]);
    logged(
        "piped_github",
        &[("CI", "true"), ("GITHUB_ACTIONS", "true")],
    );
    logged("piped_gitlab", &[("CI", "true"), ("GITLAB_CI", "true")]);
}
