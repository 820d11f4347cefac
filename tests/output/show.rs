//! Runs as documents: JUnit XML and HTML, on standard output, in files, in a browser.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use super::scene::{Scene, told};

const RUN: &str = "20260321-2100-0007";

/// Fails the test unless the document is what the schema of JUnit XML allows.
#[track_caller]
pub fn validate(document: &str) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/junit-10.xsd");
    validate_by(&schema, document);
}

/// The same with what the schema does not have: the file and the line of a test case, as pytest and
/// others write them and as forges read them.
#[track_caller]
pub fn validate_with_places(document: &str) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/junit-10.xsd");
    let text = std::fs::read_to_string(schema).expect("the schema");
    let (head, case) = text
        .split_once("<xs:element name=\"testcase\">")
        .expect("the test case");
    let class = "<xs:attribute name=\"classname\" type=\"xs:string\"/>";
    let places = "<xs:attribute name=\"file\" type=\"xs:string\"/>\
                  <xs:attribute name=\"line\" type=\"xs:positiveInteger\"/>";
    assert!(case.contains(class));
    let case = case.replacen(class, &format!("{class}{places}"), 1);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("junit.xsd");
    std::fs::write(&path, format!("{head}<xs:element name=\"testcase\">{case}"))
        .expect("it can be written");
    validate_by(&path, document);
}

#[track_caller]
fn validate_by(schema: &Path, document: &str) {
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is there (Debian: libxml2-utils; .ci/test installs it)");
    let mut stdin = xmllint.stdin.take().expect("stdin is a pipe");
    stdin.write_all(document.as_bytes()).expect("it reads");
    drop(stdin);
    let output = xmllint.wait_with_output().expect("it ends");
    let problems = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{problems}\n{document}");
}

/// Both documents of a run are whole, and say of its end what `show --format json` says.
#[track_caller]
pub fn reports_agree(scene: &Scene, run: &str) {
    let events = scene.run(&["show", run, "--format", "json"]).expect(0).out;
    let last: serde_json::Value = events
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .expect("an event");
    let outcome = match last["event"].as_str() {
        Some("run-ended") => last["end"]["outcome"].as_str().expect("an outcome"),
        Some("left") => "left",
        _ => "not-ended",
    };
    let junit = scene.run(&["show", run, "--format", "junit"]).expect(0).out;
    validate(&junit);
    let property = format!("<property name=\"outcome\" value=\"{outcome}\"/>");
    assert!(junit.contains(&property), "{junit}");
    let is_green = !junit.contains("<failure ") && !junit.contains("<error ");
    assert_eq!(is_green, outcome == "released", "{junit}");
    let html = scene.run(&["show", run, "--format", "html"]).expect(0).out;
    let meta = format!("<meta name=\"deployrun:outcome\" content=\"{outcome}\">");
    assert!(html.contains(&meta), "{outcome}");
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.ends_with("</html>"));
    // Each link within the page leads somewhere.
    let links = Regex::new("href=\"#([^\"]*)\"").expect("a pattern");
    for (_, [id]) in links.captures_iter(&html).map(|found| found.extract()) {
        assert!(html.contains(&format!("id=\"{id}\"")), "no #{id}");
    }
    let ids = Regex::new(" id=\"([^\"]*)\"").expect("a pattern");
    let mut seen = std::collections::BTreeSet::new();
    for (_, [id]) in ids.captures_iter(&html).map(|found| found.extract()) {
        assert!(seen.insert(id.to_owned()), "#{id} is there twice");
    }
}

/// A JUnit document without what differs from run to run.
fn normal(scene: &Scene, text: &str) -> String {
    let mut text = scene.normal(text);
    for (pattern, with) in [
        (r#"time="[0-9.]+""#, r#"time="TIME""#),
        (r#"timestamp="2026-03-21T21:[0-9:]+Z""#, r#"timestamp="AT""#),
        (r#"hostname="[^"]*""#, r#"hostname="HOST""#),
        (r#"value="[0-9a-f]{64}""#, r#"value="FINGERPRINT""#),
        (r#"value="[^"@]+@[^"]+""#, r#"value="USER@HOST""#),
        (r"after (?:&lt;1ms|[0-9.]+m?s)", "after TIME"),
        (r"samples: \d+", "samples: N"),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

const HEAD: &str = r#"
plan(#{ name: "shop-web", version: "2.4.0", environment: "production", why: "new checkout",
        owner: "web team", support: "call 4711", deadline: "1h" });
check("there is a shell", || file_exists("/bin/sh"));
"#;

/// Runs the plan with `--format junit`; its standard output is what `show` gives afterwards.
#[track_caller]
fn junit(name: &str, status: i32, body: &str) -> Scene {
    let scene = Scene::new(&format!("{}{body}", HEAD.trim_start()));
    let args = ["run", "plan.rhai", "--format", "junit"];
    let live = scene.run(&args).expect(status);
    let shown = scene.run(&["show", RUN, "--format", "junit"]).expect(0);
    assert_eq!(live.out, shown.out);
    // People are told everything meanwhile, beside the document.
    let human = scene.run(&["show", RUN]).expect(0);
    let told = |text: &str| text.lines().filter(|l| !l.contains("  | ")).count();
    assert_eq!(told(&live.err), told(&human.out), "{}", live.err);
    reports_agree(&scene, RUN);
    scene.exact_snapshot(name, &normal(&scene, &live.out));
    scene
}

#[test]
fn junit_of_a_released_run() {
    let body = r#"
watch("nobody broke it", #{ every: "1h" }, || !file_exists("broken"));
run("echo try >> tries; echo once more >&2; test $(wc -l < tries) -ge 2", #{ title: "flaky", retries: 1, retry_delay: "1ms", back_out: () });
try { run("exit 7", #{ title: "may fail", back_out: () }); } catch {}
step("switch", || { write_file("shop.conf", "new\n"); });
verify("it is new", || read_file("shop.conf") == "new\n");
"#;
    junit("junit_released", 0, body);
}

#[test]
fn junit_of_a_refused_run() {
    let body = "check(\"there is a moon\", || read_file(\"nowhere\") == \"\");\nrun(\"true\", #{ back_out: () });\n";
    junit("junit_refused", 1, body);
}

#[test]
fn junit_of_a_run_that_was_backed_out() {
    let body = r#"
run("touch made", #{ title: "make", back_out: "rm made; echo unmade" });
run("echo 'no <such> & table' >&2; exit 3", #{ title: "migrate", back_out: () });
"#;
    junit("junit_backed_out", 3, body);
}

#[test]
fn junit_of_a_run_that_is_stuck() {
    let body = r#"
run("touch made", #{ title: "make", back_out: "echo cannot; exit 2" });
abort("no more");
"#;
    junit("junit_stuck", 4, body);
}

#[test]
fn junit_of_a_plan_that_is_not_started() {
    let scene = Scene::new("rnu(\"true\");\n");
    let args = ["run", "plan.rhai", "--format", "junit"];
    let refused = scene.run(&args).expect(1);
    validate(&refused.out);
    scene.exact_snapshot("junit_not_started", &scene.normal(&refused.out));
    assert!(
        refused.err.contains("nothing was started"),
        "{}",
        refused.err
    );
    let absent = scene
        .run(&["run", "nowhere.rhai", "--format", "junit"])
        .expect(1);
    validate(&absent.out);
    assert!(absent.out.contains("failures=\"1\""), "{}", absent.out);
    let absent = scene
        .run(&["resume", "2026", "--format", "junit"])
        .expect(1);
    validate(&absent.out);
}

#[test]
fn a_run_that_was_killed_and_taken_up_is_told_whole() {
    let scene = Scene::new(&format!(
        "{}{}",
        HEAD.trim_start(),
        "run(\"touch made\", #{ back_out: \"rm made\" });\nrun(\"echo begun; cat fifo\", #{ title: \"wait\", back_out: () });\n"
    ));
    let made = Command::new("mkfifo").arg(scene.path("fifo")).status();
    assert!(made.expect("mkfifo").success());
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("begun");
    let html = scene.run(&["show", RUN, "--format", "html"]).expect(0).out;
    assert!(html.contains("<title>Going on: "), "live");
    assert!(html.contains("begun"), "the output so far");
    reports_agree(&scene, RUN);
    going.kill();
    reports_agree(&scene, RUN);
    let html = scene.run(&["show", RUN, "--format", "html"]).expect(0).out;
    assert!(html.contains("<title>Not ended: "), "dead");
    assert!(html.contains("deployrun back-out "), "what to type");
    let junit = scene.run(&["show", RUN, "--format", "junit"]).expect(0).out;
    assert!(junit.contains("type=\"not-ended\""), "{junit}");
    let args = ["back-out", RUN, "--yes", "--format", "junit"];
    let done = scene.run(&args).expect(3);
    validate(&done.out);
    let shown = scene.run(&["show", RUN, "--format", "junit"]).expect(0);
    assert_eq!(done.out, shown.out);
    reports_agree(&scene, RUN);
}

#[test]
fn hostile_names_stay_text() {
    let evil = r#"</title></script><img src=x onerror=alert(1)>"'&]]>"#;
    let literal = evil.replace('"', "\\\"");
    let hidden = r"\x1b[2J\u202e\ufeff\x00\u0085";
    let text = format!("{literal}{hidden}");
    let scene = Scene::new(&format!(
        r#"
plan(#{{ name: "{literal}", version: "{literal}", environment: "{literal}", why: "{text}",
        owner: "{text}", support: "{text}", features: ["{text}"] }});
check("{text}", true);
info("{text}");
watch("{text}", #{{ every: "1h" }}, || ());
run(["printf", "%s\\033[31m\\000", "{literal}"], #{{ title: "{text}", back_out: ["false", "{literal}"], env: #{{ X: "{literal}" }} }});
abort("{text}");
"#
    ));
    scene.run(&["run", "plan.rhai"]).expect(4);
    reports_agree(&scene, RUN);
    let html = scene.run(&["show", RUN, "--format", "html"]).expect(0).out;
    let junit = scene.run(&["show", RUN, "--format", "junit"]).expect(0).out;
    for (name, document) in [("html", &html), ("junit", &junit)] {
        for never in [
            "<img",
            "alert(1)>",
            "\u{1b}",
            "\u{202e}",
            "\u{feff}",
            "\0",
            "\u{85}",
        ] {
            assert!(!document.contains(never), "{name} has {never:?}");
        }
        assert!(document.contains("\\u{1b}[2J\\u{202e}"), "{name}");
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;"));
    // The one script and the one style are those that the policy names.
    let policy = Regex::new(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'\">",
    );
    assert!(policy.expect("a pattern").is_match(&html));
    assert_eq!(html.matches("</script>").count(), 1);
    for never in [
        " style=",
        " onclick=",
        "javascript:",
        "http-equiv=\"refresh\"",
    ] {
        assert!(!html.contains(never), "{never}");
    }
}

#[test]
fn documents_go_to_files() {
    let scene = Scene::new("plan(#{ name: \"a\", environment: \"b\" });\n");
    scene.run(&["run", "plan.rhai"]).expect(0);
    for (name, format) in [
        ("report.html", "html"),
        ("report.xml", "junit"),
        ("report.json", "json"),
        ("report.txt", "human"),
    ] {
        let said = scene.run(&["show", RUN, "--output", name]).expect(0);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
        let written = std::fs::read_to_string(scene.path(name)).expect(name);
        let shown = scene.run(&["show", RUN, "--format", format]).expect(0);
        assert_eq!(written, shown.out, "{name}");
    }
    // What was there is replaced, and a format that is said counts more than an ending.
    let args = ["show", RUN, "-o", "report.html", "--format", "json"];
    scene.run(&args).expect(0);
    let written = std::fs::read_to_string(scene.path("report.html")).expect("a file");
    assert!(written.starts_with('{'), "{written}");
    let failed = scene
        .run(&["show", RUN, "-o", "nowhere/report.html"])
        .expect(1);
    assert!(
        failed
            .err
            .starts_with("error: nowhere/report.html can't be written: "),
        "{}",
        failed.err
    );
    let piped = scene.run(&["show", RUN, "-o", "/dev/stdout"]).expect(0);
    assert_eq!(piped.out, scene.run(&["show", RUN]).expect(0).out);
    let names: Vec<_> = std::fs::read_dir(scene.path("."))
        .expect("the scene")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".new"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn open_hands_a_private_file_to_the_browser() {
    let scene = Scene::new("plan(#{ name: \"a\", environment: \"b\" });\n");
    scene.run(&["run", "plan.rhai"]).expect(0);
    scene.write("browse", "#!/bin/sh\nprintf '%s\\n' \"$@\" > opened\n");
    let program = scene.path("browse");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a mode");
    let open = |args: &[&str], browser: &str| {
        let mut command = scene.command(&[&["show", RUN, "--open"], args].concat());
        command
            .env("XDG_CACHE_HOME", scene.path("cache"))
            .env("PATH", "/nowhere")
            .env("BROWSER", browser);
        command
    };
    let browser = format!("no-such-browser:{} --new", program.display());
    let said = told(&mut open(&[], &browser)).expect(0);
    let file = scene.path(&format!("cache/deployrun/{RUN}.html"));
    let line = format!("the report of {RUN}: {}\n", file.display());
    assert_eq!(said.out, line);
    let opened = std::fs::read_to_string(scene.path("opened")).expect("it was opened");
    assert_eq!(opened, format!("--new\n{}\n", file.display()));
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
    };
    assert_eq!(mode(&file) & 0o777, 0o600);
    assert_eq!(mode(&scene.path("cache/deployrun")) & 0o777, 0o700);
    let html = std::fs::read_to_string(&file).expect("a report");
    assert_eq!(
        html,
        scene.run(&["show", RUN, "--format", "html"]).expect(0).out
    );
    // Without a browser it says where the file lies.
    let said = told(&mut open(&[], "")).expect(0);
    assert!(said.out.starts_with(&line), "{}", said.out);
    assert!(said.out.contains("open it yourself"), "{}", said.out);
    // A browser that fails is not passed over.
    let said = told(&mut open(&[], "/bin/false")).expect(1);
    assert!(
        said.err.contains("/bin/false could not open it"),
        "{}",
        said.err
    );
    let said = told(&mut open(&["-o", "mine.html"], &browser)).expect(0);
    assert!(said.out.ends_with("/mine.html\n"), "{}", said.out);
    // Where others could put another file in its place, it does not lie.
    let dir = scene.path("cache/deployrun");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("a mode");
    let said = told(&mut open(&[], &browser)).expect(1);
    assert!(
        said.err.contains("others can write into it"),
        "{}",
        said.err
    );
    let said = told(&mut open(&["--format", "junit"], &browser)).expect(2);
    assert!(said.err.contains("it has no other format"), "{}", said.err);
}
