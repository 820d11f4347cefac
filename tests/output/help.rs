//! Help texts and manual pages, whole, for every command there is.

use super::scene::{Scene, told};

/// The names of all commands, as the program tells them.
fn commands(scene: &Scene) -> Vec<String> {
    within(&scene.run(&["--help"]).expect(0).out)
}

/// The names of the commands that a help text lists.
fn within(help: &str) -> Vec<String> {
    let (_, list) = help.split_once("\nCommands:\n").unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_once(' '));
    let names = names
        .map(|(name, _)| name)
        .filter(|n| !n.is_empty() && *n != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_command_has_short_and_whole_help_with_examples() {
    let scene = Scene::new("");
    let commands = commands(&scene);
    assert!(commands.len() >= 12, "{commands:?}");
    for name in &commands {
        let short = scene.run(&[name, "-h"]).expect(0).out;
        let whole = scene.run(&[name, "--help"]).expect(0).out;
        assert!(!short.contains("Examples:"), "`{name} -h` is not short");
        assert!(
            whole.contains("\nExamples:\n  "),
            "`{name} --help` has no examples: give its Args an after_long_help"
        );
        let asked = scene.run(&["help", name]).expect(0).out;
        assert_eq!(asked, whole, "{name}");
    }
}

#[test]
fn nothing_typed_is_answered_with_help() {
    let scene = Scene::new("");
    let nothing = scene.run(&[]).expect(2);
    assert_eq!(nothing.out, "");
    assert_eq!(nothing.err, scene.run(&["-h"]).expect(0).out);
}

#[test]
fn a_plan_without_its_ending_is_recognised() {
    let scene = Scene::new("");
    let error = scene.run(&["plan"]).expect(2).err;
    assert!(
        error.contains("tip: there is a plan `plan.rhai` here: deployrun plan.rhai"),
        "{error}"
    );
}

#[test]
fn variables_set_options() {
    let scene = Scene::new("plan(#{ name: \"a\", environment: \"one\" });\n");
    let run = |name: &str, value: &str| {
        let mut command = scene.command(&["run", "plan.rhai", "-q"]);
        told(command.env(name, value))
    };
    for (name, value) in [
        ("DEPLOYRUN_YES", "1"),
        ("DEPLOYRUN_YES", "no"),
        ("DEPLOYRUN_YES", ""),
        ("DEPLOYRUN_LOCK_WAIT", "5m"),
        ("DEPLOYRUN_LOCK_WAIT", ""),
        ("DEPLOYRUN_FORMAT", ""),
        ("DEPLOYRUN_COLOR", "never"),
    ] {
        run(name, value).expect(0);
    }
    let json = run("DEPLOYRUN_FORMAT", "json").expect(0).out;
    assert!(json.starts_with('{'), "{json}");
    for (name, value, expected) in [
        (
            "DEPLOYRUN_YES",
            "maybe",
            "'--yes': write 1 or 0, yes or no, true or false",
        ),
        (
            "DEPLOYRUN_LOCK_WAIT",
            "soon",
            "'--lock-wait <DURATION>': \"soon\"",
        ),
        ("DEPLOYRUN_COLOR", "red", "'--color <COLOR>'"),
    ] {
        let error = run(name, value).expect(2).err;
        assert!(error.contains(expected), "{error}");
    }
}

/// Needs mandoc.
#[test]
fn manual_pages_are_sound() {
    let scene = Scene::new("");
    let dir = scene.path("man1");
    let dir = dir.to_str().expect("a path");
    scene.run(&["man", "--dir", dir]).expect(0);
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    let mut expected = vec!["deployrun.1".to_owned()];
    for name in commands(&scene) {
        let below = within(&scene.run(&[&name, "--help"]).expect(0).out);
        expected.extend(below.iter().map(|b| format!("deployrun-{name}-{b}.1")));
        expected.push(format!("deployrun-{name}.1"));
    }
    expected.sort();
    assert_eq!(names, expected);
    for name in &names {
        let page = format!("{dir}/{name}");
        let lint = told(&mut scene.command_of("mandoc", &["-T", "lint", "-W", "warning", &page]));
        let found: Vec<&str> = lint
            .out
            .lines()
            .chain(lint.err.lines())
            // A date would be another one with each build.
            .filter(|line| !line.contains("missing date"))
            .collect();
        assert!(found.is_empty(), "{found:#?}");
        let text = told(&mut scene.command_of("mandoc", &["-T", "utf8", &page]))
            .expect(0)
            .out;
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"] {
            assert!(text.contains(&plain(section)), "{name} has no {section}");
        }
    }
    let main = format!("{dir}/deployrun.1");
    let text = told(&mut scene.command_of("mandoc", &["-T", "utf8", &main]))
        .expect(0)
        .out;
    for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "COMMANDS"] {
        assert!(
            text.contains(&plain(section)),
            "deployrun.1 has no {section}"
        );
    }
    for variable in [
        "DEPLOYRUN_STATE",
        "DEPLOYRUN_YES",
        "DEPLOYRUN_LOCK_WAIT",
        "NO_COLOR",
    ] {
        let roff = std::fs::read_to_string(&main).expect("a page");
        assert!(roff.contains(variable), "{variable}");
    }
    let one = scene.run(&["man", "runs"]).expect(0).out;
    let stored = std::fs::read_to_string(format!("{dir}/deployrun-runs.1")).expect("a page");
    assert_eq!(one, stored);
    let wrong = scene.run(&["man", "logz"]).expect(2).err;
    assert_eq!(
        wrong,
        "error: there is no command `logz`; did you mean `logs`?\n"
    );
}

/// A heading as a typewriter makes it bold.
fn plain(heading: &str) -> String {
    let bold = |c: char| match c {
        ' ' => " ".to_owned(),
        c => format!("{c}\x08{c}"),
    };
    heading.chars().map(bold).collect()
}
