//! What the header's `notify` lets the host do: it tells people beside the run, whatever happens to the
//! plan, and nothing that comes of it changes the run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::hook::Hook;
use super::support::journal;
use super::support::live::{Finished, Live};
use super::support::site::Site;

/// Writes what it is given to `mail-N`, and its arguments.
const SENDMAIL: &str = "#!/bin/sh
n=$(ls mail-* 2> /dev/null | wc -l)
{ echo \"args: $*\"; cat; } > mail-$n
";

fn script(site: &Site, name: &str, text: &str) {
    site.write(name, text);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(site.path(name), mode).expect("mode");
}

/// A site whose plan is told of in these ways.
fn site(notify: &str, body: &str) -> Site {
    let site = Site::bare(&format!(
        "plan(#{{ name: \"shop\", version: \"2.4\", environment: \"test\", why: \"new checkout\",\n    \
         notify: [{notify}] }});\n{body}\n"
    ));
    script(&site, "sendmail", SENDMAIL);
    site
}

const CHANGE: &str = "write_file(\"production/f\", \"new\");";

/// `on: to`, and `!` where it went wrong.
fn told(events: &[Value]) -> Vec<String> {
    let events = journal::of_kind(events, "notified");
    let word = |event: &&Value| {
        let mark = if event.get("problem").is_some() {
            "!"
        } else {
            ""
        };
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        format!("{mark}{}: {}", text("on"), text("to"))
    };
    events.iter().map(word).collect()
}

fn problem(events: &[Value]) -> String {
    let events = journal::of_kind(events, "notified");
    let problems = events.iter().filter_map(|event| event["problem"].as_str());
    problems.collect::<Vec<_>>().join("\n")
}

/// The end comes from the journal alone: what comes of notices stands behind it.
fn outcome(site: &Site) -> String {
    let events = site.journal();
    let end = journal::end(&events).expect("an end");
    end["outcome"].as_str().expect("a word").to_owned()
}

fn run(site: &Site, url: &str) -> Finished {
    site.finish_with(&["run", "plan.rhai"], "HOOK_URL", url)
}

#[test]
fn people_are_told_of_the_start_and_of_each_end() {
    for (body, word, code) in [
        (CHANGE.to_owned(), "released", 0),
        (format!("{CHANGE}\nthrow \"no\";"), "backed-out", 3),
        (
            "run(\"true\", #{ back_out: \"echo stays; exit 7\" }); throw \"no\";".to_owned(),
            "stuck",
            4,
        ),
    ] {
        let hook = Hook::answering(200);
        let site = site("#{ slack: #{ secret: \"HOOK_URL\" } }", &body);
        let finished = run(&site, &hook.url("services/T0/B0/token"));
        let all = || format!("{}\n{}", finished.told(), site.told());
        assert_eq!(finished.code, Some(code), "{}", all());
        let told = told(&site.journal());
        let mut wanted = vec!["start: slack HOOK_URL".to_owned()];
        wanted.push(format!("{word}: slack HOOK_URL"));
        assert_eq!(told, wanted, "{}", all());
        let texts: Vec<String> = [hook.next(), hook.next()]
            .into_iter()
            .map(|posted| {
                assert_eq!(posted.path, "/services/T0/B0/token");
                let body: Value = serde_json::from_str(&posted.body).expect("JSON");
                body["text"].as_str().expect("a text").to_owned()
            })
            .collect();
        assert!(
            texts[0].starts_with("shop 2.4 to test: the release begins"),
            "{texts:?}"
        );
        assert!(texts[0].contains("why: new checkout"), "{texts:?}");
        let says = match word {
            "released" => "shop 2.4 to test: released",
            "stuck" => "STUCK, a person is needed",
            _ => "backed out",
        };
        assert!(texts[1].contains(says), "{texts:?}");
        if word == "stuck" {
            assert!(texts[1].contains("still changed: true"), "{texts:?}");
        }
        assert!(hook.rest().is_empty());
        // The events reach whoever listens, too, and the address nobody.
        assert!(
            finished.told().contains("\"event\":\"notified\""),
            "{}",
            all()
        );
        assert!(!all().contains("token"), "{}", all());
        let shown = site.finish(&["show", "2", "--format", "html"]);
        assert!(!shown.told().contains("token"), "{}", shown.told());
        assert!(shown.told().contains("slack HOOK_URL"), "{}", shown.told());
    }
}

#[test]
fn each_way_brings_what_there_is_to_say() {
    let hook = Hook::answering(204);
    let notify = format!(
        "#{{ webhook: \"{}\", on: \"released\", headers: #{{ Authorization: #{{ secret: \"t\", file: \"token\" }} }} }},
         #{{ email: [\"a@example.org\", \"b@example.org\"], from: \"d@example.org\", on: \"released\",
             sendmail: [\"./sendmail\", \"-t\", \"-i\"] }},
         #{{ command: \"cat > told; echo $DEPLOYRUN_EVENT $DEPLOYRUN_NAME $DEPLOYRUN_VERSION >> told\", on: [\"released\"] }}",
        hook.url("hook?x=1")
    );
    let site = site(&notify, CHANGE);
    site.write("token", "Bearer opensesame\n");
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let mut all = told(&site.journal());
    all.sort();
    assert_eq!(
        all,
        [
            "released: command cat",
            "released: email a@example.org, b@example.org",
            &format!(
                "released: webhook {}",
                hook.url("")
                    .trim_start_matches("http://")
                    .trim_end_matches('/')
            ),
        ],
        "{}",
        site.told()
    );
    let posted = hook.next();
    assert_eq!(posted.path, "/hook?x=1");
    assert!(
        posted.head.contains("authorization: bearer opensesame"),
        "{}",
        posted.head
    );
    let body: Value = serde_json::from_str(&posted.body).expect("JSON");
    assert_eq!(body["event"], "released");
    assert_eq!(body["name"], "shop");
    assert_eq!(body["exit_status"], 0);
    let mail = fs::read_to_string(site.path("mail-0")).expect("a mail");
    assert!(
        mail.starts_with(
            "args: -t -i\nFrom: d@example.org\nTo: a@example.org, b@example.org\n\
             Subject: [deployrun] shop 2.4 to test: released\n"
        ),
        "{mail}"
    );
    let given = fs::read_to_string(site.path("told")).expect("what the command was given");
    let (json, env) = given.split_once('\n').expect("two lines");
    assert_eq!(
        serde_json::from_str::<Value>(json).expect("JSON")["event"],
        "released"
    );
    assert_eq!(env, "released shop 2.4\n");
    assert!(!site.told().contains("opensesame"), "{}", site.told());
}

#[test]
fn who_cannot_be_told_changes_nothing() {
    let (silent, refusing) = (Hook::answering(0), Hook::answering(500));
    for (url, why) in [
        (refusing.url("x"), "the server answered 500: no_service"),
        (silent.url("x"), "no answer in time"),
        ("http://127.0.0.1:1/x".to_owned(), "connection refused"),
        (
            "file:///etc/passwd".to_owned(),
            "does not begin with http://",
        ),
        ("abc".to_owned(), "cannot be masked"),
    ] {
        let site = site(
            "#{ slack: #{ secret: \"HOOK_URL\" }, on: [\"start\", \"released\"], timeout: \"1s\" }",
            CHANGE,
        );
        let finished = run(&site, &url);
        assert_eq!(finished.code, Some(0), "{}", finished.told());
        assert_eq!(outcome(&site), "released");
        let problem = problem(&site.journal());
        assert!(problem.contains(why), "`{why}`: {problem}");
        assert_eq!(told(&site.journal()).len(), 2, "{}", site.told());
    }
    let site = site(
        "#{ slack: #{ secret: \"NOT_SET\" } }, #{ command: [\"./none\"] }",
        CHANGE,
    );
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let problem = problem(&site.journal());
    assert!(
        problem.contains("the environment variable NOT_SET is not set"),
        "{problem}"
    );
    assert!(problem.contains("none"), "{problem}");
}

/// What is cut to be shown has been masked before: no part of a secret stands at the edge.
#[test]
fn an_answer_that_repeats_the_address_gives_no_part_of_it_away() {
    let hook = Hook::saying(404, |posted| {
        let host = posted
            .head
            .lines()
            .find_map(|line| line.strip_prefix("host: "));
        let url = format!("http://{}{}", host.expect("a host"), posted.path);
        format!("{}{url}\n", "-".repeat(200 - url.len() + 3))
    });
    let site = site("#{ slack: #{ secret: \"HOOK_URL\" } }", CHANGE);
    let url = hook.url("T0001-secret");
    let finished = run(&site, &url);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let problem = problem(&site.journal());
    assert!(
        problem.contains("the server answered 404: ---"),
        "{problem}"
    );
    assert!(!problem.contains("T0001"), "{problem}");
}

#[test]
fn a_run_does_not_wait_for_who_is_told() {
    let silent = Hook::answering(0);
    let site = site(
        "#{ slack: #{ secret: \"HOOK_URL\" }, timeout: \"1m\" }",
        CHANGE,
    );
    let mut command = site.command(&["run", "plan.rhai"]);
    command.env("HOOK_URL", silent.url("x"));
    let mut live = Live::start(command);
    let since = Instant::now();
    live.wait_for_kind("run-ended");
    assert!(
        since.elapsed() < Duration::from_secs(40),
        "it waited for the start to be told"
    );
    // The end is in the journal before anybody is told of it, and the lock is free.
    assert_eq!(outcome(&site), "released");
    live.signal(Signal::INT);
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert!(
        since.elapsed() < Duration::from_secs(50),
        "a signal did not end the wait"
    );
    assert!(
        problem(&site.journal()).contains("SIGINT came"),
        "{}",
        site.told()
    );
}

#[test]
fn a_run_that_was_killed_tells_its_end_from_where_it_is_backed_out() {
    let notify = "#{ command: \"echo $DEPLOYRUN_EVENT >> told\" }";
    for command in ["back-out", "resume"] {
        let site = site(
            notify,
            &format!("{CHANGE}\nif !file_exists(\"go\") {{ sleep(\"1h\"); }}"),
        );
        let mut live = Live::start(site.command(&["run", "plan.rhai"]));
        let (mut told, mut sleeps) = (false, false);
        live.wait_for("the start being told, and the sleep", |event| {
            told |= event["event"] == "notified";
            sleeps |= event["event"] == "call-began";
            told && sleeps
        });
        live.kill();
        let args: &[&str] = match command {
            "back-out" => &["back-out", "--yes", "2"],
            _ => &["resume", "2"],
        };
        let mut again = Live::start(site.command(args));
        if command == "resume" {
            again.wait_for_kind("run-resumed");
            again.signal(Signal::INT);
        }
        let finished = again.finish();
        assert_eq!(finished.code, Some(3), "{}", finished.told());
        let lines = fs::read_to_string(site.path("told")).expect("what was told");
        assert_eq!(lines, "start\nbacked-out\n", "{command}: {}", site.told());
        let over = site.finish(&["back-out", "--yes", "2"]);
        assert_ne!(over.code, Some(3), "{}", over.told());
        let lines = fs::read_to_string(site.path("told")).expect("what was told");
        assert_eq!(lines, "start\nbacked-out\n", "told again: {}", site.told());
    }
}

#[test]
fn a_release_that_comes_to_nothing_is_told_to_those_who_heard_of_its_begin() {
    let notify = "#{ command: \"echo $DEPLOYRUN_EVENT >> told\" },
                  #{ command: \"echo second $DEPLOYRUN_EVENT >> told\", on: [\"refused\"] }";
    for (body, lines) in [
        (
            "check(\"no\", false); wait_for_window();",
            "second refused\n",
        ),
        (
            "wait_for_window(); sleep(1); throw \"no\";",
            "start\nrefused\nsecond refused\n",
        ),
    ] {
        let site = site(notify, body);
        let finished = site.finish(&["run", "plan.rhai"]);
        assert_eq!(finished.code, Some(1), "{}", finished.told());
        let told = fs::read_to_string(site.path("told")).expect("what was told");
        let mut told: Vec<&str> = told.lines().collect();
        told.sort_unstable();
        let mut lines: Vec<&str> = lines.lines().collect();
        lines.sort_unstable();
        assert_eq!(told, lines, "{}", site.told());
    }
}

#[test]
fn nobody_is_told_of_what_does_not_run() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let marker = elsewhere.path().join("told");
    let notify = format!("#{{ command: [\"touch\", {marker:?}] }}");
    let site = site(&notify, CHANGE);
    let previewed = site.finish(&["preview", "plan.rhai"]);
    assert_eq!(previewed.code, Some(0), "{}", previewed.told());
    let mut command = site.command(&["preview", "plan.rhai", "--format", "human"]);
    command.env_remove("DEPLOYRUN_FORMAT");
    let shown = Live::start(command).finish().told();
    assert!(
        shown.contains("command touch (start, released, backed-out, stuck)"),
        "{shown}"
    );
    site.finish(&["check", "plan.rhai"]);
    site.write(
        "plan_test.rhai",
        "fn test_who_is_told() {\n    \
             given_directory(\"production\");\n    \
             let run = run_plan(\"plan.rhai\");\n    \
             assert_eq(run.outcome, \"released\");\n    \
             assert_eq(run.notices, [\"start: command touch\", \"released: command touch\"]);\n}\n",
    );
    let tested = site.finish(&["test"]);
    assert_eq!(tested.code, Some(0), "{}", tested.told());
    site.write(
        "acts_test.rhai",
        "//! real\nfn test_it() {\n    \
             given_directory(\"production\");\n    \
             assert_eq(run_plan(\"plan.rhai\").notices, [\"start: command touch\", \"released: command touch\"]);\n}\n",
    );
    let tested = site.finish(&["test", "--real", "acts_test.rhai"]);
    assert_eq!(tested.code, Some(0), "{}", tested.told());
    assert!(!marker.exists(), "somebody was told");
}

#[test]
fn what_is_wrong_with_it_is_said_before_the_run() {
    for (notify, why) in [
        (
            "#{ slack: secret(\"HOOK_URL\") }",
            "write #{ secret: \\\"NAME\\\" }",
        ),
        (
            "#{ slack: \"https://hooks.slack.com/x\" }",
            "name it as a secret",
        ),
        ("#{ emial: \"a@x\" }", "did you mean `email`?"),
        ("#{ emial: args.to }", "did you mean `email`?"),
        (
            "#{ email: \"a@x\", on: \"end\" }",
            "there are: start, released",
        ),
        (
            "#{ email: args.to, slack: secret(\"X\") }",
            "write #{ secret: \\\"NAME\\\" }",
        ),
    ] {
        let site = site(notify, CHANGE);
        for command in ["check", "run"] {
            let finished = site.finish(&[command, "plan.rhai"]);
            assert_eq!(finished.code, Some(1), "{notify}: {}", finished.told());
            assert!(
                finished.told().contains(why),
                "`{why}`: {}",
                finished.told()
            );
        }
        assert!(!site.path("production/f").exists());
    }
}

#[test]
fn an_end_that_could_not_be_written_is_told_as_what_it_is() {
    let mut ends = Vec::new();
    for n in 2.. {
        let site = site("#{ command: \"echo $DEPLOYRUN_EVENT >> told\" }", CHANGE);
        let fault = format!("fail-writes-from:{n}");
        let finished = site.finish_with(&["run", "plan.rhai"], "DEPLOYRUN_FAULT", &fault);
        let told = fs::read_to_string(site.path("told")).expect("what was told");
        let last = told.lines().last().expect("a line");
        assert_eq!(told.matches(last).count(), 1, "{told}");
        ends.push((finished.code, last.to_owned()));
        // That nobody can write down whom it has told is no reason to say something else.
        if finished.code == Some(0) {
            break;
        }
    }
    let (last, before) = ends.split_last().expect("an end");
    assert_eq!(*last, (Some(0), "released".to_owned()), "{ends:?}");
    assert!(before.len() > 1, "{ends:?}");
    for end in before {
        assert_eq!(*end, (Some(4), "stuck".to_owned()), "{ends:?}");
    }
}

#[test]
fn an_end_of_which_nobody_could_be_told_any_more_is_told_by_who_comes_back() {
    let tell = "test -e go || sleep 60; echo $DEPLOYRUN_EVENT >> told";
    let site = site(
        &format!("#{{ command: {tell:?}, on: \"released\", timeout: \"1m\" }}"),
        CHANGE,
    );
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for_kind("run-ended");
    live.kill();
    site.write("go", "");
    for command in [&["back-out", "--yes", "2"][..], &["resume", "2"]] {
        let finished = site.finish(command);
        let said = finished.told();
        assert!(said.contains("has ended: released"), "{said}");
        assert_eq!(journal::disorder(&site.journal()), None, "{}", site.told());
        assert_eq!(outcome(&site), "released");
        let told = fs::read_to_string(site.path("told")).expect("what was told");
        assert_eq!(told, "released\n", "{}", site.told());
    }
}
