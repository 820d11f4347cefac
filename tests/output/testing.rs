//! `deployrun test`, whole.

use std::path::Path;

use super::scene::Scene;

/// A scene with these files, in their directories.
fn scene(files: &[(&str, &str)]) -> Scene {
    let scene = Scene::new("");
    std::fs::remove_file(scene.path("plan.rhai")).expect("it is there");
    for (name, text) in files {
        let path = scene.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }
    scene
}

/// What differs from run to run.
fn normal(scene: &Scene, text: &str) -> String {
    let text = scene.normal(text);
    let normal = |text: &str, pattern: &str, with: &str| {
        let pattern = regex::Regex::new(pattern).expect("a pattern");
        pattern.replace_all(text, with).into_owned()
    };
    const TIME: &str = r"(?:<1ms|(?:\d+(?:\.\d+)?(?:ms|s|m))+)";
    let text = normal(&text, &format!(r"(?m) in {TIME}$"), " in TIME");
    // Tests that were slow say so.
    let text = normal(&text, &format!(r"(?m)(\(\d+ cases?), {TIME}\)$"), "$1)");
    normal(&text, &format!(r"(?m)  \({TIME}\)$"), "")
}

const WEB: &str = r#"//! Helpers for the web server.

/// Installs a configuration and reloads.
fn configure(text) {
    write_file("/etc/web.conf", text);
    run(["web", "--check"], #{ timeout: "10s", back_out: () });
    run(["web", "reload"], #{ timeout: "10s", back_out: ["web", "reload"] });
}

/// Forgets to undo.
fn careless(dir) {
    run(["mkdir", "-p", dir], #{ timeout: "10s" });
}

fn never_called() {
    let a = 1;
    if a == 1 {
        run("true", #{ timeout: "10s" });
    }
    a
}
"#;

const FAILING: &str = r#"import "../lib/web" as web;

given_file("/etc/web.conf", "port 80\nhost a\n", #{ owner: "web" });
given_command("web --check");
given_command("web reload");

fn test_assert() { assert(1 > 2, "numbers are as they were"); }
fn test_eq_of_values() {
    assert_eq(#{ a: [1, 2, 3], b: "x" }, #{ a: [1, 3], b: "x" });
}
fn test_eq_of_texts() {
    assert_eq("one\ntwo\nthree\n", "one\n2\nthree\n");
}
fn test_eq_of_types() { assert_eq(1, "1"); }
fn test_ne() { assert_ne([1], [1]); }
fn test_contains() { assert_contains("a b c", "d"); }
fn test_throws_nothing() { assert_throws(|| 42); }
fn test_throws_another() {
    assert_throws(|| throw "no such port", "no such host");
}
fn test_throws_is_not_fooled_by_asserts() {
    assert_throws(|| assert_eq(1, 2));
}
fn test_steps() {
    web::configure("port 1\n");
    assert_steps(["write /etc/web.conf", #{ command: ["web", "--test"] }, "web reload", "web stop"]);
}
fn test_backed_out() {
    web::configure("port 1\n");
    assert_backed_out(["put back /etc/web.conf"]);
}
fn test_armed() {
    web::configure("port 1\n");
    assert_armed([]);
}
fn test_file() {
    web::configure("port 1\nhost a\n");
    assert_file("/etc/web.conf", "port 2\nhost a\n");
}
fn test_file_mode() { assert_file("/etc/web.conf", #{ mode: "0600" }); }
fn test_file_missing() { assert_file("/etc/wep.conf"); }
fn test_no_file() { assert_no_file("/etc/web.conf"); }
fn test_as_before() {
    web::configure("port 1\nhost a\n");
    assert_as_before();
}
fn test_every_step() {
    assert_backed_out_at_every_step(|| web::careless("/srv/web/a"));
}
fn test_changes_nothing() {
    assert_changes_nothing(|| web::configure("port 1\n"));
}
fn test_caught_asserts_fail_all_the_same() {
    try { assert(false); } catch { }
}
fn test_of_nothing() { let x = 1; x + 1; }
fn test_uncaught() {
    given_command("web --check", #{ code: 2, stdout: "checking\n", stderr: "line 1: bad\n" });
    web::configure("port x\n");
}
fn test_stopped() { abort("enough"); }
fn test_fault_that_never_comes() {
    fail_step("web stop");
    web::configure("port 1\n");
}
fn test_killed() {
    kill_at_step(2);
    web::configure("port 1\n");
}
fn test_wrong_key() {
    web::configure("port 1\n");
    assert_steps([#{ comand: "x" }]);
}
fn test_waits_for_ever() { wait_for_approval("the boss"); }
"#;

#[test]
fn each_assert_shows_what_differs() {
    let scene = scene(&[("lib/web.rhai", WEB), ("tests/web_test.rhai", FAILING)]);
    let told = scene.run(&["test", "--jobs", "1"]).expect(1);
    assert_eq!(told.err, "");
    scene.exact_snapshot("test_failing", &normal(&scene, &told.out));
}

#[test]
fn what_nobody_gave_is_told_with_what_is_near() {
    let tests = r#"import "../lib/web" as web;
fn test_of_a_step() {
    given_command("web --chek");
    given_command("weblogic --check");
    given_command("nginx");
    web::configure("port 1\n");
}
fn test_of_a_probe_whose_error_is_caught() {
    check("it is there", || probe("uname -a").code == 0);
    try { probe(["id"]); } catch { }
    assert(true);
}
fn test_used_up() {
    given_command("web *", #{ times: 1 });
    web::configure("port 1\n");
}
fn test_http() { given_http("http://a/x", #{}); http_get("http://a/y"); }
fn test_installed() { check_installed("nginx"); }
fn test_secret() { given_secret("db-password", "hunter22"); secret("db-pasword"); }
fn test_answer_that_throws() {
    given_command("x", #{ answer: |asked| asked.nothing });
    run("x", #{ timeout: 1 });
}
fn test_answer_with_a_wrong_key() {
    given_command("x", #{ answer: |asked| #{ status: 1 } });
    run("x", #{ timeout: 1 });
}
"#;
    let scene = scene(&[("lib/web.rhai", WEB), ("tests/given_test.rhai", tests)]);
    let told = scene.run(&["test", "--jobs", "2"]).expect(1);
    scene.exact_snapshot("test_not_given", &normal(&scene, &told.out));
}

const PASSING: &str = r#"import "../lib/web" as web;

fn test_steps() {
    given_command("web *");
    web::configure("port 1\n");
    assert_steps(["write *", "web --check", #{ command: "web reload", back_out: "web reload", outcome: "succeeded" }]);
}
fn test_undo() {
    given_file("/etc/web.conf", "port 80\n");
    given_command("web *");
    assert_eq(assert_backed_out_at_every_step(|| web::configure("port 1\n")), 19);
}
"#;

#[test]
fn what_passes_is_told_in_every_form() {
    let scene = scene(&[("lib/web.rhai", WEB), ("tests/web_test.rhai", PASSING)]);
    let told = scene.run(&["test", "tests"]).expect(0);
    let expected = "ok    tests/web_test.rhai  test_steps\n\
                    ok    tests/web_test.rhai  test_undo  (19 cases)\n\
                    2 tests (19 cases of tables): 2 passed in TIME\n";
    assert_eq!(normal(&scene, &told.out), expected);
    let quiet = scene.run(&["test", "-q"]).expect(0);
    let expected = "2 tests (19 cases of tables): 2 passed in TIME\n";
    assert_eq!(normal(&scene, &quiet.out), expected);
    let listed = scene.run(&["test", "--list"]).expect(0);
    let expected = "tests/web_test.rhai  test_steps\ntests/web_test.rhai  test_undo\n";
    assert_eq!(listed.out, expected);
    let one = scene.run(&["test", "--filter", "undo"]).expect(0);
    assert!(
        one.out.starts_with("ok    tests/web_test.rhai  test_undo"),
        "{}",
        one.out
    );
    let json = scene.run(&["test", "--format", "json"]).expect(0);
    let lines: Vec<serde_json::Value> = json
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{}", json.out);
    assert_eq!(lines[1]["test"], "test_undo");
    assert_eq!(lines[1]["outcome"], "passed");
    assert_eq!(lines[1]["cases"], 19);
    assert_eq!(
        (&lines[2]["passed"], &lines[2]["failed"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn junit_holds_what_went_wrong() {
    let tests = "fn test_good() { assert(true); }\nfn test_bad() { assert_eq(\"<a> & \\u001b\", \"b\"); }\n";
    let scene = scene(&[
        ("a_test.rhai", tests),
        ("b_test.rhai", "fn test_x() { asert(true); }\n"),
    ]);
    let told = scene.run(&["test", "--format", "junit"]).expect(1);
    super::show::validate_with_places(&told.out);
    // Without them it is what the schema has, and nothing else.
    let places =
        regex::Regex::new(r#"(<testcase[^>]*?) file="[^"]*"( line="\d+")?"#).expect("a pattern");
    super::show::validate(&places.replace_all(&told.out, "$1"));
    let time = regex::Regex::new(r#"time="[0-9.]+""#).expect("a pattern");
    let shown = time.replace_all(&told.out, "time=\"TIME\"").into_owned();
    scene.exact_snapshot("test_junit", &shown);
}

#[test]
fn lines_that_were_run_are_told() {
    let scene = scene(&[("lib/web.rhai", WEB), ("tests/web_test.rhai", PASSING)]);
    let told = scene
        .run(&["test", "--coverage", "--lcov", "out.lcov"])
        .expect(0);
    scene.exact_snapshot("test_coverage", &normal(&scene, &told.out));
    let lcov = std::fs::read_to_string(scene.path("out.lcov")).expect("it was written");
    let counts = regex::Regex::new(r"(?m)^(DA:\d+),[1-9]\d*$").expect("a pattern");
    let lcov = counts
        .replace_all(&scene.normal(&lcov), "$1,N")
        .into_owned();
    scene.exact_snapshot("test_lcov", &lcov);
}

#[test]
fn where_there_is_no_test_it_says_where_it_looked() {
    let scene = scene(&[
        ("lib/web.rhai", WEB),
        ("none/a_test.rhai", "fn helper() { 1 }\n"),
        ("tests/web_test.rhai", PASSING),
    ]);
    for (args, status, expected) in [
        (
            &["test", "lib"][..],
            1,
            "no test file in lib: their names end in _test.rhai",
        ),
        (
            &["test", "none"],
            1,
            "no test in none: 1 test file(s), but no function",
        ),
        (
            &["test", "tests", "--filter", "zzz"],
            1,
            "no test in tests (1 test file(s)) has `zzz`",
        ),
        (&["test", "nowhere"], 1, "nowhere: no such file"),
        (
            &["test", "lib/web.rhai"],
            1,
            "lib/web.rhai: it is no test file",
        ),
        (&["test", "--jobs", "0"], 2, "invalid value '0' for '--jobs"),
        (
            &["test", "--format", "html"],
            2,
            "`test` has no format `html`",
        ),
    ] {
        let told = scene.run(args).expect(status);
        assert!(
            told.err.starts_with(&format!("error: {expected}")),
            "{}",
            told.err
        );
    }
}

/// Functions for tests are there in test files only: neither the check nor a run lets a plan or a
/// module have them.
#[test]
fn functions_for_tests_are_not_there_for_plans_and_modules() {
    let sneaky = "fn sneak() { let name = \"given_\" + \"file\"; Fn(name).call(\"/x\", \"y\"); }\n\
                  fn through(closure) { closure.call() }\n\
                  fn each(items, closure) { items.map(|item| closure.call(item)) }\n";
    let scene = scene(&[
        ("lib/open.rhai", "fn f() { given_file(\"/x\", \"y\"); }\n"),
        ("lib/sneaky.rhai", sneaky),
        ("plan.rhai", "plan(#{ name: \"p\" });\nassert_steps([]);\n"),
        (
            "sneaky.rhai",
            "plan(#{ name: \"p\" });\nlet f = Fn(\"assert_\" + \"steps\");\nf.call([]);\n",
        ),
        (
            "open_test.rhai",
            "import \"./lib/open\" as open;\nfn test_x() { open::f(); }\n",
        ),
        (
            "sneaky_test.rhai",
            "import \"./lib/sneaky\" as sneaky;\n\
             fn test_of_a_module() { sneaky::sneak(); }\n\
             fn test_of_a_plan() { let r = run_plan(\"sneaky.rhai\"); assert_eq(r.outcome, \"refused\"); assert_contains(r.reason, \"there is no function\"); }\n\
             fn test_of_a_closure() { sneaky::through(|| assert(true)); }\n\
             fn test_of_a_closure_that_fails() { sneaky::each([1, 2], |n| assert_eq(n, 1)); }\n",
        ),
    ]);
    let check = scene.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        check.out.contains("there is no function `assert_steps`"),
        "{}",
        check.out
    );
    assert!(
        check.out.contains("it is there for tests only"),
        "{}",
        check.out
    );
    let run = scene.run(&["run", "sneaky.rhai"]).expect(1);
    assert!(
        run.out.contains("there is no function assert_steps"),
        "{}",
        run.out
    );
    let told = scene.run(&["test", "open_test.rhai"]).expect(1);
    assert!(
        told.out.contains("there is no function `given_file`"),
        "{}",
        told.out
    );
    let told = scene.run(&["test", "sneaky_test.rhai"]).expect(1);
    scene.exact_snapshot("test_only_in_tests", &normal(&scene, &told.out));
}

/// The example of the manual does what the manual says.
#[test]
fn the_example_of_the_manual() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let files: Vec<(&str, &str)> = page
        .split("<!-- file: ")
        .skip(1)
        .map(|part| {
            let (name, rest) = part.split_once(" -->\n```rhai\n").expect("a block");
            (name, rest.split_once("```").expect("its end").0)
        })
        .collect();
    assert_eq!(files.len(), 5);
    let scene = scene(&files);
    let told = scene.run(&["test", "tests/web_test.rhai"]).expect(0);
    let shown = page.split_once("$ deployrun test\n").expect("an output").1;
    let shown = shown.split_once("```").expect("its end").0;
    assert_eq!(normal(&scene, &told.out), normal(&scene, shown));
    let told = scene.run(&["test"]).expect(0);
    assert!(
        told.out.contains("8 tests (19 cases of tables): 8 passed"),
        "{}",
        told.out
    );
}

/// Whatever a test does, no process is started and nothing is written.
#[test]
fn nothing_real_is_done() {
    let tests = r#"fn test_all() {
    given_command("touch *", #{ times: 0 });
    write_file("new.txt", "x");
    run(["touch", "touched.txt"], #{ timeout: 1, back_out: ["rm", "touched.txt"] });
    run(["rm", "lib/web.rhai"], #{ timeout: 1, back_out: () });
    run(["mkdir", "-p", "a/b"], #{ timeout: 1, back_out: () });
    sleep("10d");
    assert_file("new.txt", "x");
    assert_file("touched.txt");
    assert_no_file("lib/web.rhai");
    assert_throws(|| read_file("lib/web.rhai"), "no such file");
    back_out_now();
    assert_no_file("touched.txt");
}
"#;
    let scene = scene(&[("lib/web.rhai", WEB), ("all_test.rhai", tests)]);
    let trace = scene.path("trace");
    let program = env!("CARGO_BIN_EXE_deployrun");
    let trace = trace.to_str().expect("a path in UTF-8");
    let mut strace = scene.command_of(
        "strace",
        &[
            "-f", "-qq", "-o", trace, "-e",
            "trace=execve,openat,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,connect,fork,vfork",
            program, "test", "all_test.rhai",
        ],
    );
    super::scene::told(&mut strace).expect(0);
    let trace = std::fs::read_to_string(trace).expect("a trace: this test needs strace");
    let started = trace
        .lines()
        .filter(|line| line.contains("execve("))
        .count();
    assert_eq!(started, 1, "{trace}");
    let wrote = trace.lines().filter(|line| {
        let harmless = line.contains("/dev/null") || line.contains("/proc/self");
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| line.contains(flag));
        let changes = ["mkdir", "unlink", "rename", "creat(", "connect(", "fork("]
            .iter()
            .any(|call| line.contains(call));
        (writes || changes) && !harmless
    });
    let wrote: Vec<&str> = wrote.collect();
    assert!(wrote.is_empty(), "{wrote:#?}");
}

/// Tests that act on this machine run only when they are asked for, in a directory of their own.
#[test]
fn tests_that_act_say_so_and_are_asked_for() {
    let real = r#"//! Helpers, tried on this machine.
//! real
import "../lib/web" as web;

fn switch_over(version) {
    write_file("version", version);
    run(["ln", "-sfn", version, "current"], #{ timeout: 10, back_out: ["rm", "current"] });
}
fn test_undone() {
    given_file("version", "1", #{ mode: "0600" });
    let run = run_helper(|| switch_over("2"), #{ back_out: true });
    assert_eq(run.outcome, "backed-out");
    assert_eq(run.backed_out, ["rm current", "put back " + run.backed_out[1].sub_string(9)]);
    assert_as_before();
    assert_file("version", #{ text: "1", mode: "0600" });
    assert_eq(probe("cat version").stdout, "1");
}
fn test_done() {
    let run = run_helper(|| switch_over("2"));
    assert_eq(run.outcome, "released");
    assert_file("current", #{ link: "2" });
    assert_file("version", "2");
    assert_steps(["write *version", "ln -sfn 2 current"]);
}
fn test_plan() {
    let run = run_plan("../plan.rhai", #{ args: #{ text: "hello" } });
    assert_eq(run.outcome, "released");
    assert_file("made.txt", "hello\n");
}
fn test_helper_called_directly() { switch_over("2"); }
fn test_given_command() { given_command("x"); }
fn test_file_elsewhere() { given_file("/etc/x", ""); }
fn test_fails() { run_helper(|| switch_over("3")); assert_no_file("current"); }
"#;
    let plan = r#"plan(#{ name: "p", environment: "test" });
run(["sh", "-c", `echo ${args.text} > made.txt`], #{ timeout: 10, back_out: () });
"#;
    let scene = scene(&[
        ("lib/web.rhai", WEB),
        ("plan.rhai", plan),
        ("tests/real_test.rhai", real),
    ]);
    let told = scene.run(&["test"]).expect(0);
    assert!(
        told.out.contains("skip  tests/real_test.rhai  test_done\n"),
        "{}",
        told.out
    );
    assert!(
        told.out.ends_with("7 tests: 0 passed, 7 skipped in <1ms\n")
            || told.out.contains("0 passed, 7 skipped in "),
        "{}",
        told.out
    );
    let temporary = scene.path("tmp");
    std::fs::create_dir(&temporary).expect("it can be made");
    let mut command = scene.command(&["test", "--real"]);
    let told = super::scene::told(command.env("TMPDIR", &temporary)).expect(1);
    let shown = normal(&scene, &told.out);
    let kept = regex::Regex::new(r"deployrun-test-\d+-\d+").expect("a pattern");
    scene.exact_snapshot("test_real", &kept.replace_all(&shown, "deployrun-test-N"));
    // What has failed is kept, and nothing else; the project is as it was.
    let kept = std::fs::read_dir(&temporary).expect("it is there").count();
    assert_eq!(kept, 4);
    for name in ["version", "current", "made.txt", "tests/version", "state"] {
        assert!(!scene.path(name).exists(), "{name}");
    }
}

#[test]
fn what_says_that_it_is_real_is_not_pretended() {
    let text = |head: &str| format!("{head}fn test_a() {{ run(\"true\"); assert(true); }}\n");
    let (blank, close) = (text("\n//! real\n"), text("// x\n\n//!Real\n"));
    let scene = scene(&[("a_test.rhai", &blank), ("b_test.rhai", &close)]);
    let told = scene.run(&["test"]).expect(0).out;
    for name in ["a", "b"] {
        let skipped = format!("skip  {name}_test.rhai  test_a\n");
        assert!(told.contains(&skipped), "{told}");
    }
}

#[test]
fn a_link_leads_no_test_out_of_its_directory() {
    let scene = scene(&[("victim", "here"), ("tmp/x", "")]);
    let outside = scene.path("");
    let text = format!(
        "//! real\nfn test_a() {{ given_link(\"l\", \"{}\"); given_no_file(\"l/victim\"); assert(true); }}\n",
        outside.display()
    );
    std::fs::write(scene.path("a_test.rhai"), text).expect("written");
    let mut command = scene.command(&["test", "--real"]);
    let told = super::scene::told(command.env("TMPDIR", scene.path("tmp"))).expect(1);
    assert!(
        told.out
            .contains("l/victim lies outside of the working directory"),
        "{}",
        told.out
    );
    assert!(scene.path("victim").exists());
}

#[test]
fn a_back_out_that_fails_is_not_backed_out() {
    let text = r#"
fn test_a() {
    given_command("on");
    given_command("off", #{ code: 1 });
    run("on", #{ timeout: "1s", back_out: "off" });
    assert_backed_out(["off"]);
}
"#;
    let scene = scene(&[("a_test.rhai", text)]);
    let told = scene.run(&["test"]).expect(1).out;
    assert!(
        told.contains("a back-out failed: the run would be stuck"),
        "{told}"
    );
    assert!(told.contains("off: failed"), "{told}");
}

#[test]
fn a_report_that_does_not_fit_on_the_disk_is_an_error() {
    let scene = scene(&[("a_test.rhai", "fn test_a() { assert(true); }\n")]);
    for args in [
        &["test", "--format", "junit"] as &[_],
        &["fmt", "--check", "a_test.rhai"],
        &["explain", "syntax"],
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("it is there");
        let output = scene
            .command(args)
            .stdout(full)
            .output()
            .expect("deployrun");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        assert!(
            told.contains("standard output can't be written"),
            "{args:?}: {told}"
        );
    }
}
