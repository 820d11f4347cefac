//! `std/notify`: messages are sent once, are not backed out, and hold up nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use super::hook::Hook;
use super::support::live::{Finished, Live};
use super::support::need;
use super::support::site::Site;

fn site(body: &str) -> Site {
    let site = Site::bare(&format!(
        "import \"std/notify\" as notify;\n\
         plan(#{{ name: \"n\", version: \"1\", environment: \"test\" }});\n{body}\n"
    ));
    site.write(
        "sendmail",
        "#!/bin/sh\n{ echo \"args: $*\"; cat; } > mail\n",
    );
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(site.path("sendmail"), mode).expect("mode");
    site
}

fn notes(events: &[Value]) -> Vec<&str> {
    let notes = events.iter().filter(|e| e["call"]["function"] == "note");
    notes.filter_map(|e| e["call"]["text"].as_str()).collect()
}

/// A plan with the address in a secret, run to its end.
fn run(site: &Site, url: &str) -> Finished {
    let mut command = site.command(&["run", "plan.rhai"]);
    command.env("HOOK_URL", url).env("TOKEN", "opensesame");
    Live::start(command).finish()
}

#[test]
fn messages_arrive_as_they_are_and_no_secret_is_told() {
    need("curl", "curl");
    let hook = Hook::answering(200);
    let site = site(
        r##"let url = secret("HOOK_URL");
info(`${notify::slack(url, "half \"way\"\n\tü \x1b\\ 🚀")}`);
info(`${notify::webhook(url, #{ a: [1, (), #{ b: true }], "k\"": "ü" }, #{
    headers: #{ Authorization: "Bearer " + secret("TOKEN"), "X-A": "1" },
})}`);
info(`${notify::webhook(url, "as it is")}`);
"##,
    );
    let finished = run(&site, &hook.url("T0/sesame?x=$(touch${IFS}y)&z=`{1,2}`"));
    let all = || format!("{}\n{}", finished.told(), site.told());
    assert_eq!(finished.code, Some(0), "{}", all());
    assert_eq!(
        notes(&finished.events),
        ["true", "true", "true"],
        "{}",
        all()
    );
    let first = hook.next();
    assert_eq!(first.path, "/T0/sesame?x=$(touch${IFS}y)&z=`{1,2}`");
    assert!(
        first.head.contains("content-type: application/json"),
        "{}",
        first.head
    );
    let body: Value = serde_json::from_str(&first.body).expect("JSON");
    assert_eq!(body["text"], "half \"way\"\n\tü \u{1b}\\ 🚀");
    let second = hook.next();
    assert!(
        second.head.contains("authorization: bearer opensesame\r\n"),
        "{}",
        second.head
    );
    assert!(second.head.contains("x-a: 1"), "{}", second.head);
    let body: Value = serde_json::from_str(&second.body).expect("JSON");
    assert_eq!(
        body,
        serde_json::json!({ "a": [1, null, { "b": true }], "k\"": "ü" })
    );
    assert_eq!(hook.next().body, "as it is");
    assert!(hook.rest().is_empty() && !site.path("y").exists());
    for secret in ["sesame", "opensesame"] {
        assert!(!all().contains(secret), "{}", all());
    }
}

#[test]
fn a_message_is_not_backed_out_and_its_failure_is_no_reason_to() {
    need("curl", "curl");
    let (hook, refusing) = (Hook::answering(200), Hook::answering(500));
    let sent = site("notify::slack(secret(\"HOOK_URL\"), \"x\"); throw \"no\";");
    let finished = run(&sent, &hook.url("x"));
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    let end = finished
        .events
        .iter()
        .find(|e| e["event"] == "run-ended")
        .expect("an end");
    assert_eq!(end["end"].get("without_back_out"), None, "{end}");
    let twice = site(
        "info(`${notify::slack(secret(\"HOOK_URL\"), \"x\")}`);\n\
         info(`${notify::command([\"./none\"], \"x\")}`);\n\
         info(`${notify::command([\"false\"], \"x\")}`);",
    );
    let finished = run(&twice, &refusing.url("x"));
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let notes = notes(&finished.events);
    assert_eq!(
        notes.iter().filter(|note| **note == "false").count(),
        3,
        "{notes:?}"
    );
    assert!(
        notes[0].starts_with("a message was not sent: "),
        "{notes:?}"
    );
    let needed = site("notify::slack(secret(\"HOOK_URL\"), \"x\", #{ required: true });");
    // Where an address leads to another, nobody has taken the message.
    for answer in [500, 302] {
        let hook = Hook::answering(answer);
        let finished = run(&needed, &hook.url("x"));
        assert_eq!(finished.code, Some(3), "{answer}: {}", finished.told());
    }
    for url in ["file:///etc/passwd", "http://127.0.0.1:1/\"\noutput = x"] {
        let finished = run(&needed, url);
        assert!(
            finished.told().contains("the address"),
            "{}",
            finished.told()
        );
        assert_eq!(finished.code, Some(3), "{}", finished.told());
    }
}

#[test]
fn a_message_is_not_sent_again_when_the_run_is_taken_up() {
    let site =
        site("notify::command([\"sh\", \"-c\", \"cat >> told\"], \"x\\n\");\nsleep(\"1h\");");
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for_kind("call-began");
    live.kill();
    let mut again = Live::start(site.command(&["resume", "2"]));
    again.wait_for_kind("run-resumed");
    again.signal(Signal::INT);
    let finished = again.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(fs::read_to_string(site.path("told")).expect("it"), "x\n");
}

#[test]
fn a_mail_is_handed_to_the_program() {
    let site = site(
        r##"info(`${notify::email(["a@example.org", "b@example.org"], "Grüße", "Hallo ü\n", #{
    from: "d@example.org", sendmail: ["./sendmail", "-t"],
})}`);"##,
    );
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert_eq!(notes(&finished.events), ["true"]);
    let mail = fs::read_to_string(site.path("mail")).expect("a mail");
    assert_eq!(
        mail,
        "args: -t\nFrom: d@example.org\nTo: a@example.org, b@example.org\n\
         Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\
         Auto-Submitted: auto-generated\n\nHallo ü\n"
    );
}
