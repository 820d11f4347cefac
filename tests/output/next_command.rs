//! What a run is called, and the commands it suggests: they work when they are pasted.

use super::scene::{Scene, told};

const SEES: &str = r#"plan(#{ name: "a", environment: "one" });
info(`sees ${args}`);
check("there is a go", || file_exists("go"));
run("true", #{ back_out: () });
"#;

/// The lines that say what the plan sees.
fn seen(out: &str) -> Vec<&str> {
    let lines = out.lines().filter_map(|line| line.split_once("sees "));
    lines.map(|(_, args)| args).collect()
}

/// The command behind `again`.
fn again(out: &str) -> &str {
    let mut lines = out.lines();
    lines
        .find_map(|line| line.strip_prefix("  again      "))
        .unwrap_or_else(|| panic!("no command is suggested:\n{out}"))
}

#[test]
fn the_command_to_run_again_works_when_it_is_pasted() {
    let scene = Scene::new("");
    scene.write("it's a plan.rhai", SEES);
    let state = scene.path("a state");
    let state = state.to_str().expect("a path in UTF-8");
    let args = [
        "run",
        "--state",
        state,
        "-e",
        "who=it's me; $HOME",
        "-e",
        "version=2.4.0",
        "--set=-k=v=w",
        "it's a plan.rhai",
        "--",
        "--flag",
        "a b",
        "",
    ];
    let refused = scene.run(&args).expect(1);
    scene.write("go", "");
    let pasted = scene.path("pasted");
    let pasted = pasted.to_str().expect("a path in UTF-8");
    let script = format!(
        "deployrun() {{ \"$BIN\" \"$@\"; }}\n{}",
        again(&refused.out)
    );
    scene.write("pasted", &script);
    // Wherever it is pasted.
    let mut shell = scene.command_of("/bin/sh", &[pasted]);
    shell
        .current_dir("/")
        .env("BIN", env!("CARGO_BIN_EXE_deployrun"));
    let released = told(&mut shell).expect(0);
    assert_eq!(seen(&refused.out).len(), 1, "{}", refused.out);
    assert_eq!(seen(&refused.out), seen(&released.out));
    let runs = scene.run(&["runs", "--state", state]).expect(0);
    assert_eq!(runs.out.lines().count(), 3, "{}", runs.out);
}

#[test]
fn what_cannot_be_pasted_is_said() {
    let scene = Scene::new(SEES);
    let refused = scene
        .run(&["run", "-e", "two=lines\nof it", "plan.rhai"])
        .expect(1);
    let command = scene.normal(again(&refused.out));
    assert_eq!(
        command,
        "deployrun run DIR/plan.rhai (with what was set and given before)"
    );
}

#[test]
fn a_plan_without_a_name_has_that_of_its_file() {
    let scene = Scene::new("");
    scene.write(
        "odd.rhai.rhai",
        r#"run("echo first $DEPLOYRUN_NAME; : > ready; while ! test -e go; do sleep 0.05; done",
    #{ back_out: () });
run("echo then $DEPLOYRUN_NAME", #{ back_out: () });
"#,
    );
    let mut going = scene.start(&mut scene.command(&["run", "odd.rhai.rhai"]));
    going.wait_for("| first odd.rhai\n");
    let head = going.kill();
    assert!(
        head.starts_with("run 20260321-2100-0007: odd.rhai\n"),
        "{head}"
    );
    scene.write("go", "");
    let resumed = scene.run(&["resume", "2026"]).expect(0);
    for words in ["| then odd.rhai\n", "released: odd.rhai\n"] {
        assert!(resumed.out.contains(words), "{}", resumed.out);
    }
    let runs = scene.run(&["runs", "--format", "json"]).expect(0);
    let row: serde_json::Value = serde_json::from_str(&runs.out).expect("one run");
    assert_eq!(row["plan"], "odd.rhai");
}

/// What the recap names is typed as it stands there.
#[test]
fn a_file_that_could_not_be_put_back_is_put_back_by_the_command_of_the_recap() {
    let scene = Scene::new(
        r#"plan(#{ name: "a", environment: "one" });
write_file("conf/shop", "new\n");
write_file("conf/more", "new\n");
write_file("other", "new\n");
run("rm -r conf && touch conf", #{ title: "break it", back_out: () });
abort("enough");
"#,
    );
    std::fs::create_dir(scene.path("conf")).expect("a directory");
    scene.write("conf/shop", "old\n");
    let stuck = scene.run(&["run", "plan.rhai"]).expect(4);
    let lines: Vec<&str> = stuck.out.lines().map(str::trim).collect();
    let says = lines
        .iter()
        .rposition(|line| *line == "to undo it, as often as it takes:")
        .unwrap_or_else(|| panic!("nothing is said of it:\n{}", stuck.out));
    let dir = lines[says + 2].rsplit(' ').next().expect("a directory");
    let kept = std::path::Path::new(dir).join("former");
    assert_eq!(std::fs::read_to_string(kept).expect("it is there"), "old\n");
    // As long as its cause is there, it fails again.
    let words: Vec<&str> = lines[says + 1].split(' ').skip(1).collect();
    let at = words
        .iter()
        .position(|word| *word == "put-back")
        .expect("the command");
    let command = &words[at..];
    let asked = scene.run(command).expect(1);
    assert!(
        asked.err.contains("there is no terminal to ask at"),
        "{}",
        asked.err
    );
    let with_yes = [command, &["--yes"]].concat();
    let again = scene.run(&with_yes).expect(4);
    assert!(again.out.starts_with("FAILED [2] "), "{}", again.out);
    std::fs::remove_file(scene.path("conf")).expect("removed");
    std::fs::create_dir(scene.path("conf")).expect("made");
    let done = scene.run(&with_yes).expect(0);
    assert!(done.out.starts_with("ok     [2] "), "{}", done.out);
    let now = std::fs::read_to_string(scene.path("conf/shop")).expect("it is there");
    assert_eq!(now, "old\n");
    // All of them, once more; a later run may have changed the same.
    told(&mut scene.command_at("2026-03-22T21:00:00Z", &["run", "plan.rhai"])).expect(4);
    let run = command[1];
    let all = scene.run(&["put-back", run, "--yes", "--format", "json"]);
    assert!(
        all.err.contains("later runs in the same environment"),
        "{}",
        all.err
    );
    assert_eq!(all.out.lines().count(), 1, "{}", all.out);
    for (args, problem) in [
        (
            &[run, "9"][..],
            "no file of call 9 is to be put back; there are: 2",
        ),
        (&["2099"][..], "no run begins with"),
    ] {
        let told = scene
            .run(&[&["put-back", "--yes"], args].concat())
            .expect(1);
        assert!(told.err.contains(problem), "{}", told.err);
    }
    scene.write(
        "plan.rhai",
        "plan(#{ name: \"a\", environment: \"two\" });\n",
    );
    scene.run(&["run", "plan.rhai"]).expect(0);
    let runs = scene
        .run(&["runs", "--format", "json", "--environment", "two"])
        .expect(0);
    let row: serde_json::Value =
        serde_json::from_str(runs.out.lines().next().expect("a run")).expect("json");
    let released = row["id"].as_str().or(row["run"].as_str()).expect("its id");
    let told = scene.run(&["put-back", "--yes", released]).expect(1);
    assert!(told.err.contains("it has ended: released"), "{}", told.err);
}
