//! `deployrun fmt`: the one style.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::scene::Scene;

const UGLY: &str =
    "plan(#{name:\"a\",environment:\"b\"});\nif true\n{\nrun(\"x\",#{back_out:()})   // go\n}\n";
const FINE: &str = "plan(#{ name: \"a\", environment: \"b\" });\nif true {\n    run(\"x\", #{ back_out: () })  // go\n}\n";

#[test]
fn files_are_put_in_style_once_and_keep_their_mode() {
    let scene = Scene::new(UGLY);
    fs::create_dir_all(scene.path("vendor/x")).expect("a directory");
    scene.write("vendor/x/y.rhai", UGLY);
    scene.write("notes.txt", UGLY);
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(scene.path("plan.rhai"), mode).expect("a mode");
    let told = scene.run(&["fmt"]).expect(0);
    assert_eq!(told.out, "plan.rhai\n1 file: 1 changed\n");
    let read = |name: &str| fs::read_to_string(scene.path(name)).expect("a file");
    assert_eq!(read("plan.rhai"), FINE);
    assert_eq!(
        (read("vendor/x/y.rhai").as_str(), read("notes.txt").as_str()),
        (UGLY, UGLY)
    );
    let facts = fs::metadata(scene.path("plan.rhai")).expect("a file");
    assert_eq!(facts.permissions().mode() & 0o777, 0o750);
    let told = scene.run(&["fmt"]).expect(0);
    assert_eq!(told.out, "1 file: all in style\n");
    scene.run(&["fmt", "--check", "plan.rhai"]).expect(0);
}

#[test]
fn a_look_changes_nothing_and_shows_the_difference() {
    let scene = Scene::new(UGLY);
    let told = scene.run(&["fmt", "--check"]).expect(1);
    scene.exact_snapshot("fmt_check", &told.out);
    assert_eq!(
        fs::read_to_string(scene.path("plan.rhai")).expect("a file"),
        UGLY
    );
    let told = scene.run(&["fmt", "--check", "--format", "json"]).expect(1);
    assert_eq!(told.out, "{\"file\":\"plan.rhai\",\"in style\":false}\n");
}

#[test]
fn what_cannot_be_parsed_is_told_and_left_alone() {
    let scene = Scene::new("let = 1;\n");
    scene.write("good.rhai", UGLY);
    let told = scene.run(&["fmt"]).expect(1);
    scene.exact_snapshot("fmt_broken", &format!("{}{}", told.err, told.out));
    assert_eq!(
        fs::read_to_string(scene.path("plan.rhai")).expect("a file"),
        "let = 1;\n"
    );
    assert_eq!(
        fs::read_to_string(scene.path("good.rhai")).expect("a file"),
        FINE
    );
    let told = scene.run(&["fmt", "nowhere"]).expect(1);
    assert_eq!(
        told.err,
        "error: nowhere: No such file or directory (os error 2)\n"
    );
}

#[test]
fn standard_input_goes_to_standard_output() {
    let scene = Scene::new("");
    let mut command = scene.command(&["fmt", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("deployrun can be started");
    let mut to = child.stdin.take().expect("a pipe");
    to.write_all(UGLY.as_bytes()).expect("it reads");
    drop(to);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), FINE);
}

#[test]
fn the_stdlib_and_the_examples_are_in_style() {
    let scene = Scene::new("");
    let here = env!("CARGO_MANIFEST_DIR");
    let dirs = ["stdlib", "examples"].map(|dir| format!("{here}/{dir}"));
    let told = scene.run(&["fmt", "--check", &dirs[0], &dirs[1]]).expect(0);
    assert!(told.out.ends_with(" files: all in style\n"), "{}", told.out);
}
