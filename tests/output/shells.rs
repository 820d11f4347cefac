//! Completions, typed into the shells themselves. Needs bash, zsh and fish.

use std::path::Path;
use std::process::Command;

use super::scene::{Scene, told};

/// A scene with runs, and plans of several names.
fn scene() -> Scene {
    let scene = Scene::new("plan(#{ name: \"shop\", environment: \"production\" });\n");
    scene.write("my plan.rhai", "");
    scene.write("notes.txt", "");
    scene.run(&["run", "plan.rhai"]).expect(0);
    scene
}

/// The same command, with this program as `deployrun`.
fn with_program(mut command: Command) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
    let mut paths = vec![program.parent().expect("a directory").to_owned()];
    let known = std::env::var_os("PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&known));
    command.env("PATH", std::env::join_paths(paths).expect("paths"));
    command
}

const RUN: &str = "20260321-2100-0007";

/// What is typed before Tab, and what stands there then.
const TYPED: &[(&str, &str)] = &[
    ("deployrun resu", "deployrun resume "),
    ("deployrun runs --unf", "deployrun runs --unfinished "),
    (
        "deployrun runs --outcome rel",
        "deployrun runs --outcome released ",
    ),
    ("deployrun check pl", "deployrun check plan.rhai "),
    ("deployrun check no", "deployrun check no"),
    ("deployrun pl", "deployrun plan.rhai "),
    ("deployrun show 2026", "deployrun show 20260321-2100-0007 "),
    ("deployrun resume 2026", "deployrun resume 2026"),
    (
        "deployrun --state nowhere show 2026",
        "deployrun --state nowhere show 2026",
    ),
    (
        "deployrun runs --environment pr",
        "deployrun runs --environment production ",
    ),
    ("deployrun runs --plan s", "deployrun runs --plan shop "),
    ("deployrun check my", "deployrun check my\\ plan.rhai "),
];

fn type_into(shell: &str) {
    let scene = scene();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shells/type.zsh");
    let mut args = vec!["-f", driver.to_str().expect("a path"), shell];
    args.extend(TYPED.iter().map(|(typed, _)| *typed));
    let told = told(&mut with_program(scene.command_of("zsh", &args))).expect(0);
    let lines: Vec<&str> = told.out.lines().collect();
    let expected: Vec<&str> = TYPED.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(lines, expected, "{}", told.err);
}

#[test]
fn bash_completes() {
    type_into("bash");
}

#[test]
fn zsh_completes() {
    type_into("zsh");
}

#[test]
fn fish_completes() {
    let scene = scene();
    let complete = |line: &str| {
        let script = format!("deployrun completions fish | source; complete -C '{line}'");
        let fish = scene.command_of("fish", &["--no-config", "-c", &script]);
        told(&mut with_program(fish)).expect(0).out
    };
    assert_eq!(
        complete("deployrun show 2026"),
        format!("{RUN}\tshop → production, released\n")
    );
    for (line, expected) in [
        (
            "deployrun resu",
            "resume\tTakes up a run where it was left\n",
        ),
        ("deployrun resume 2026", ""),
        ("deployrun check ", "my plan.rhai\nplan.rhai\nstate/\n"),
        ("deployrun pl", "plan.rhai\n"),
        ("deployrun runs --environment p", "production\n"),
    ] {
        let found = complete(line);
        assert!(found.starts_with(expected), "{line}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{line}: {found}");
    }
}

#[test]
fn each_shell_has_a_text_of_its_own() {
    let scene = Scene::new("");
    for shell in ["bash", "zsh", "fish"] {
        let text = scene.run(&["completions", shell]).expect(0).out;
        let name = format!("check.{shell}");
        scene.write(&name, &text);
        let syntax = told(&mut scene.command_of(shell, &["-n", &name]));
        assert_eq!(syntax.expect(0).err, "");
    }
    let wrong = scene.run(&["completions", "tcsh"]).expect(2);
    assert!(
        wrong.err.contains("[possible values: bash, zsh, fish]"),
        "{}",
        wrong.err
    );
}
