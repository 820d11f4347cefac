//! What `check` and `explain` print, in every form; levels; several plans.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scene::{Scene, told};

const HEADER: &str = "plan(#{ name: \"shop\", environment: \"production\" });\n";

/// Two plans that share a module, all with faults, and a project file above them.
fn shop() -> Scene {
    let scene = Scene::new("info(1);\n");
    std::fs::create_dir_all(scene.path("deploy/lib")).expect("a directory");
    std::fs::create_dir_all(scene.path("deploy/.old")).expect("a directory");
    let import = "import \"./lib/web\" as web;\n";
    scene.write(
        "deploy/shop.rhai",
        &format!("{import}{HEADER}web::reload(\"nginx\", 1);\nwebb::hidden();\nabort(\"ä\"); info(`a ${{args}}`);\n"),
    );
    scene.write(
        "deploy/start.rhai",
        &format!("{import}{HEADER}plan(#{{ }});\nweb::hidden();\n"),
    );
    scene.write(
        "deploy/lib/web.rhai",
        "fn reload(unit) {\n    run([\"systemctl\", \"reload\", unit]);\n}\nprivate fn hidden() { 1 }\n",
    );
    scene.write("deploy/.old/plan.rhai", "plan(#{ nam: 1 });\n");
    scene.write(
        "deployrun.toml",
        "[check]\nchecklist = \"allow\"\nno-timeout = \"deny\"\n",
    );
    scene
}

#[test]
fn a_directory_is_checked_and_shared_modules_are_told_once() {
    let scene = shop();
    let found = scene.run(&["check", "deploy"]).expect(1);
    scene.exact_snapshot("check_directory", &found.out);
    let twice = scene
        .run(&["check", "deploy/shop.rhai", "deploy/start.rhai", "./deploy"])
        .expect(1);
    assert_eq!(twice.out, found.out);
    let quiet = scene.run(&["check", "-q", "deploy"]).expect(1);
    assert!(!quiet.out.contains("warning["), "{}", quiet.out);
    assert!(quiet.out.ends_with(" in 2 plans\n"), "{}", quiet.out);
    // From elsewhere, paths are as they lie from there.
    let mut elsewhere = scene.command(&["check", "../shop.rhai"]);
    let elsewhere = told(elsewhere.current_dir(scene.path("deploy/lib"))).expect(1);
    assert!(
        elsewhere.out.contains("--> ../shop.rhai:4:1"),
        "{}",
        elsewhere.out
    );
    assert!(
        elsewhere.out.contains("--> ../lib/web.rhai:2:5"),
        "{}",
        elsewhere.out
    );
    assert!(
        elsewhere
            .out
            .contains("denied here: ../../deployrun.toml:3")
    );
}

#[test]
fn what_cannot_be_read_is_told_beside_the_rest() {
    let scene = Scene::new(HEADER);
    std::fs::create_dir(scene.path("empty")).expect("a directory");
    let found = scene
        .run(&["check", "empty", "gone.rhai", "plan.rhai"])
        .expect(1);
    scene.exact_snapshot("check_unreadable", &found.out);
}

#[test]
fn a_module_is_asked_for_back_outs_too() {
    let scene = Scene::new(&format!(
        "import \"./helpers\" as helpers;\n{HEADER}helpers::act();\nverify(\"a\", || true);\n"
    ));
    let codes = |helper: &str| -> Vec<String> {
        scene.write("helpers.rhai", helper);
        let found = scene
            .run(&["check", "--format", "json", "plan.rhai"])
            .expect(0);
        let found = found
            .out
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        found
            .filter(|one: &Value| one["place"]["file"] == "helpers.rhai")
            .map(|one| one["code"].as_str().expect("a word").to_owned())
            .collect()
    };
    let step = "run(\"a\", #{ timeout: 1 });";
    assert_eq!(codes(&format!("fn act() {{ {step} }}")), ["no-back-out"]);
    assert!(codes(&format!("fn act() {{ back_out(\"b\"); {step} }}")).is_empty());
    assert!(codes("fn act() { run(\"a\", #{ timeout: 1, back_out: \"b\" }); }").is_empty());
}

#[test]
fn json_has_a_finding_a_line() {
    let scene = shop();
    let found = scene
        .run(&["check", "--format", "json", "deploy"])
        .expect(1);
    scene.exact_snapshot("check_json", &found.out);
    let none = scene.run(&[
        "check",
        "--allow",
        "warnings",
        "--format",
        "json",
        "plan.rhai",
    ]);
    assert_eq!(none.expect(0).out, "");
}

#[test]
fn github_is_told_at_the_lines() {
    let scene = shop();
    let found = scene
        .run(&["check", "--format", "github", "deploy"])
        .expect(1);
    scene.exact_snapshot("check_github", &found.out);
    // Annotations count from the root of the checkout, wherever the command runs.
    let mut inside = scene.command(&["check", "--format", "github", "."]);
    inside
        .current_dir(scene.path("deploy"))
        .env("GITHUB_WORKSPACE", scene.path(""));
    let inside = told(&mut inside).expect(1).out;
    assert!(
        inside.starts_with("::error file=deploy/shop.rhai,line=3,"),
        "{inside}"
    );
}

/// Validates documents by the schema, with the validator of Debian's `python3-jsonschema`.
const VALIDATE: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
errors = list(jsonschema.Draft7Validator(schema).iter_errors(json.load(sys.stdin)))
for error in errors:
    print(list(error.absolute_path), error.message)
sys.exit(1 if errors else 0)
";

fn violations(document: &str) -> (bool, String) {
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/sarif-schema-2.1.0.json"
    );
    let mut python = Command::new("python3")
        .args(["-c", VALIDATE, schema])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 can be started; .ci/test installs it and python3-jsonschema");
    let mut stdin = python.stdin.take().expect("stdin is a pipe");
    stdin
        .write_all(document.as_bytes())
        .expect("it reads the document");
    drop(stdin);
    let output = python.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(err, "", "the validator did not run");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn sarif_is_valid_by_its_schema() {
    let scene = shop();
    for (args, status) in [
        (&["deploy"][..], 1),
        (&["deploy/gone.rhai", "--deny", "warnings"], 1),
        (&["plan.rhai", "--allow", "warnings"], 0),
    ] {
        let args = [&["check", "--format", "sarif"], args].concat();
        let document = scene.run(&args).expect(status).out;
        let (is_valid, errors) = violations(&document);
        assert!(is_valid, "{errors}\n{document}");
    }
    let document = scene
        .run(&["check", "--format", "sarif", "deploy"])
        .expect(1)
        .out;
    let version = format!("\"semanticVersion\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let shown = document.replace(&version, "\"semanticVersion\": \"VERSION\"");
    assert!(shown != document);
    scene.snapshot("check_sarif", &shown);
    let (is_valid, _) = violations(&document.replace("\"startLine\": ", "\"startLine\": -"));
    assert!(!is_valid, "a line below 1 must not pass");
}

#[test]
fn levels_are_set_by_the_project_and_over_it_by_options() {
    let scene = Scene::new(&format!("{HEADER}write_file(\"done\", \"1\");\n"));
    let verdict = |args: &[&str]| {
        let told = scene.run(&[&["check", "plan.rhai"], args].concat());
        let last = told.out.lines().last().unwrap_or_default().to_owned();
        (
            told.status.expect("a status"),
            last.replace(" in plan.rhai", ""),
        )
    };
    let says = |status, text: &str| (status, text.to_owned());
    assert_eq!(verdict(&[]), says(0, "2 warnings"));
    assert_eq!(verdict(&["--deny", "warnings"]), says(1, "2 errors"));
    assert_eq!(
        verdict(&["--allow", "warnings"]),
        says(0, "plan.rhai: no findings")
    );
    assert_eq!(
        verdict(&["--deny", "no-verify", "--allow", "checklist"]),
        says(1, "1 error")
    );
    assert_eq!(
        verdict(&["--deny", "no-verify", "--warn", "no-verify"]),
        says(0, "2 warnings")
    );
    assert_eq!(
        verdict(&["--warn", "no-verify", "--deny", "no-verify"]),
        says(1, "1 error, 1 warning")
    );

    let project = "[check]\nwarnings = \"deny\"\nchecklist = \"allow\"\n";
    scene.write("deployrun.toml", project);
    assert_eq!(verdict(&[]), says(1, "1 error"));
    assert_eq!(verdict(&["--warn", "warnings"]), says(0, "1 warning"));
    assert_eq!(
        verdict(&["--allow", "no-verify"]),
        says(0, "plan.rhai: no findings")
    );
    let found = scene.run(&["check", "plan.rhai"]).expect(1);
    scene.exact_snapshot("check_denied", &found.out);
    let refused = scene.run(&["run", "-y", "plan.rhai"]).expect(1);
    scene.exact_snapshot("run_denied", &refused.err);
    assert!(!scene.path("done").exists(), "nothing was started");

    scene.write("deployrun.toml", "[check]\nunknown-function = \"allow\"\n");
    let found = scene.run(&["check", "-q", "plan.rhai"]).expect(1);
    scene.exact_snapshot("check_certain", &found.out);
    let wrong = scene
        .run(&["check", "--allow", "syntax", "plan.rhai"])
        .expect(2);
    assert!(
        wrong.err.contains("a plan with it could not run"),
        "{}",
        wrong.err
    );
    let wrong = scene
        .run(&["check", "--deny", "no-timeot", "plan.rhai"])
        .expect(2);
    assert!(
        wrong.err.contains("did you mean `no-timeout`?"),
        "{}",
        wrong.err
    );
}

#[test]
fn explain() {
    let scene = Scene::new("");
    let list = scene.run(&["explain"]).expect(0);
    scene.exact_snapshot("explain", &list.out);
    let one = scene.run(&["explain", "no-timeout"]).expect(0);
    scene.exact_snapshot("explain_no_timeout", &one.out);
    for copied in ["warning[no-timeout]", "[no-timeout]"] {
        assert_eq!(scene.run(&["explain", copied]).expect(0).out, one.out);
    }
    let several = scene.run(&["explain", "import-cycle"]).expect(0);
    assert!(
        several.out.contains("\nWrong, web.rhai:\n"),
        "{}",
        several.out
    );
    let json = scene
        .run(&["explain", "no-timeout", "--format", "json"])
        .expect(0);
    let object: Value = serde_json::from_str(&json.out).expect("an object");
    assert_eq!(object["settable"], true);
    assert_eq!(object["explanation"]["wrong"][0]["name"], "plan.rhai");
    let all = scene.run(&["explain", "--format", "json"]).expect(0).out;
    assert_eq!(all.lines().count() + 4, list.out.lines().count() + 1);
    let unknown = scene.run(&["explain", "no-timeot"]).expect(2);
    assert_eq!(
        unknown.err,
        "error: there is no finding `no-timeot`; did you mean no-timeout?\n"
    );
}
