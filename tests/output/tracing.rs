//! A run as an OpenTelemetry trace, as a collector gets it.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::collector::{Answers, Collector, list};
use super::scene::{Scene, Told, told};
use super::trace_tree::{draw, text};

/// One that has everything a release has.
const RELEASED: &str = r#"
plan(#{ name: "shop", version: "2.4.0", environment: "test", owner: "web team",
        approvals: ["a look"], back_out_within: "10s" });
check("the sky is blue", true);
probe(["echo", "facts"]);
watch("front page", #{ every: "1h", failures: 2 }, || true);
step("switch", #{ timeout: "2m" }, || {
    write_file(args.dir + "/shop.conf", "port 80\n");
    step("inner", || { run("true", #{ title: "reload", back_out: () }); });
});
let tried = [0];
run("test -e again || { touch again; exit 7; }",
    #{ title: "flaky", retries: 1, retry_delay: "1ms", idempotent: true, back_out: "rm again" });
info("half way");
point_of_no_return("the old one is gone");
verify("checkout answers", #{ within: "5s" }, || true);
soak("1ms");
"#;

const BACKED_OUT: &str = r#"
plan(#{ name: "shop", environment: "test" });
run("true", #{ title: "migrate", back_out: || { run("true", #{ title: "down" }); } });
step("both", #{ retries: 1 }, || {
    run("true", #{ title: "one", back_out: "true" });
    run("exit 3", #{ title: "two", back_out: () });
});
"#;

const STUCK: &str = r#"
plan(#{ name: "shop", environment: "test" });
run("true", #{ title: "switch", back_out: "echo no way back; exit 4" });
run("sleep 60", #{ title: "slow", timeout: "100ms", grace: "1s" });
"#;

/// A command whose trace goes to a collector.
fn traced(scene: &Scene, collector: &Collector, protocol: &str, args: &[&str]) -> Command {
    let mut command = scene.command(args);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_RESOURCE_ATTRIBUTES", "host.name=machine");
    command
}

/// Runs a plan to its end, and draws its trace.
#[track_caller]
fn tree(plan: &str, protocol: &str, status: i32) -> (Scene, String) {
    let (scene, collector) = (Scene::new(plan), Collector::new(Answers::Takes));
    let dir = format!("dir={}", scene.path("").display());
    let mut args = vec!["run", "plan.rhai", "-e", &dir];
    let told = if plan == RELEASED {
        args.extend(["--format", "json"]);
        let mut going = scene.start(&mut traced(&scene, &collector, protocol, &args));
        going.wait_for("approval-asked");
        scene.run(&["approve", "2026", "a look"]).expect(0);
        going.end()
    } else {
        told(&mut traced(&scene, &collector, protocol, &args))
    };
    let told = told.expect(status);
    assert_eq!(told.err, "");
    let shown = draw(&collector.spans());
    (scene, shown)
}

/// Times and paths that a trace has and other texts have not.
fn normal(scene: &Scene, shown: &str) -> String {
    let mut shown = scene.normal(shown);
    for (pattern, with) in [
        (r"limit_ms=\d+", "limit_ms=MS"),
        (r"=[\w.-]+@[\w.-]+", "=USER@HOST"),
        (r"after \d[\d.]*m?s", "after TIME"),
        (r"DIR/+", "DIR/"),
    ] {
        let regex = regex::Regex::new(pattern).expect("a pattern");
        shown = regex.replace_all(&shown, with).into_owned();
    }
    shown
}

#[test]
fn a_release_is_a_trace() {
    let (scene, shown) = tree(RELEASED, "http/protobuf", 0);
    scene.exact_snapshot("trace_released", &normal(&scene, &shown));
}

#[test]
fn both_encodings_say_the_same() {
    let (scene, shown) = tree(RELEASED, "http/json", 0);
    scene.exact_snapshot("trace_released", &normal(&scene, &shown));
}

#[test]
fn a_back_out_is_linked_to_what_it_undoes() {
    let (scene, shown) = tree(BACKED_OUT, "http/json", 3);
    scene.exact_snapshot("trace_backed_out", &normal(&scene, &shown));
}

#[test]
fn a_run_that_is_stuck_says_so() {
    let (scene, shown) = tree(STUCK, "http/protobuf", 4);
    scene.exact_snapshot("trace_stuck", &normal(&scene, &shown));
}

#[test]
fn a_refused_run_is_a_trace_too() {
    let plan =
        r#"plan(#{ name: "shop" }); check("room", false); check("air", || 1 > 2); run("true");"#;
    let (scene, shown) = tree(plan, "http/json", 1);
    scene.exact_snapshot("trace_refused", &normal(&scene, &shown));
}

#[test]
fn another_process_goes_on_in_the_same_trace() {
    let scene = Scene::new(
        r#"
        plan(#{ name: "shop", environment: "test" });
        watch("page", #{ every: "1h" }, || true);
        step("switch", || {
            run("true", #{ title: "first", back_out: "true" });
            run("touch begun; until test -e go; do sleep 0.01; done", #{ title: "second", back_out: "true" });
        });
        run("true", #{ title: "third", back_out: () });
        "#,
    );
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (one, two) = (
        Collector::new(Answers::Takes),
        Collector::new(Answers::Takes),
    );
    let mut command = traced(
        &scene,
        &one,
        "http/json",
        &["plan.rhai", "--format", "json"],
    );
    let mut going = scene.start(command.env("TRACEPARENT", parent));
    going.wait_for("\"title\":\"second\"");
    one.wait_for("first");
    going.kill();
    let sent = one.spans();
    scene.write("go", "");
    let args = ["resume", "2026", "--format", "json"];
    told(&mut traced(&scene, &two, "http/protobuf", &args)).expect(0);

    let names = |spans: &[Value]| -> Vec<String> {
        spans
            .iter()
            .map(|span| text(&span["name"]).to_owned())
            .collect()
    };
    assert!(!names(&sent).contains(&"second".to_owned()), "{sent:#?}");
    let mut all = sent;
    let again = two.spans();
    // The first process may have died before it had sent it.
    assert!(names(&again).contains(&"first".to_owned()), "{again:#?}");
    all.extend(again);
    for span in &all {
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
    // The parent is not ours to send: the root's is left out of the tree.
    let root = all
        .iter_mut()
        .find(|span| span["name"] == "RUN shop")
        .expect("a root");
    assert_eq!(root["parentSpanId"], "00f067aa0ba902b7");
    let shown = draw(&all);
    scene.exact_snapshot("trace_resumed", &normal(&scene, &shown));
}

#[test]
fn a_run_that_goes_on_is_seen_already() {
    let scene = Scene::new(
        r#"
        plan(#{ name: "shop" });
        run("true", #{ title: "first", back_out: () });
        run("until test -e go; do sleep 0.01; done", #{ title: "long", back_out: () });
        "#,
    );
    let collector = Collector::new(Answers::Takes);
    let going = scene.start(&mut traced(&scene, &collector, "http/json", &["plan.rhai"]));
    collector.wait_for("first");
    collector.wait_for("review");
    scene.write("go", "");
    going.end().expect(0);
    collector.wait_for("RUN shop");
}

/// What a run tells, and how long it took.
fn with(variables: &[(&str, &str)]) -> (Told, Duration) {
    let scene = Scene::new(BACKED_OUT);
    let mut command = scene.command(&["plan.rhai"]);
    command.envs(variables.iter().copied());
    let since = Instant::now();
    let told = told(&mut command);
    let told = Told {
        out: scene.normal(&told.out),
        ..told
    };
    (told, since.elapsed())
}

#[test]
fn whatever_the_collector_does_the_run_is_the_same() {
    let (plain, took) = with(&[]);
    assert_eq!((plain.status, plain.err.as_str()), (Some(3), ""));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refuses = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let cases = [
        (
            Answers::Status(500),
            "HTTP status 500; 16 spans are missing",
        ),
        (
            Answers::Status(503),
            "HTTP status 503; 16 spans are missing",
        ),
        (
            Answers::Status(302),
            "HTTP status 302; 16 spans are missing",
        ),
        (Answers::TakesAllButOne, "rejected: too long; "),
        (Answers::Hangs, "no answer in time; "),
        (Answers::HangsUp, "; 16 spans are missing"),
    ];
    let mut urls: Vec<(String, &str)> = Vec::new();
    let collectors: Vec<Collector> = cases.iter().map(|(a, _)| Collector::new(*a)).collect();
    for (collector, (_, what)) in collectors.iter().zip(cases) {
        urls.push((collector.url.clone(), what));
    }
    urls.push((refuses, "connection refused; 16 spans are missing"));
    // TEST-NET-1: nobody is there.
    urls.push(("http://192.0.2.1:4318".into(), " 16 spans are missing"));
    urls.push(("http://nobody.invalid".into(), " 16 spans are missing"));
    for (url, what) in urls {
        let secret = url.replace("http://", "http://anna:geheim@");
        let (told, took_longer) = with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &secret)]);
        assert_eq!((told.status, &told.out), (Some(3), &plain.out), "{url}");
        assert_eq!(told.err.lines().count(), 1, "{url}: {}", told.err);
        let begin = format!("warning: the trace could not be sent whole to {url}/v1/traces: ");
        assert!(told.err.starts_with(&begin), "{}", told.err);
        assert!(told.err.contains(what), "{}", told.err);
        assert!(!told.err.contains("geheim"), "{}", told.err);
        let most = took + Duration::from_secs(2) + Duration::from_millis(500);
        assert!(
            took_longer < most,
            "{url}: {took_longer:?}, {took:?} without"
        );
    }
    // It is quiet when that is wanted.
    let quiet = Scene::new(BACKED_OUT);
    let mut command = quiet.command(&["-q", "plan.rhai"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    assert_eq!(told(&mut command).expect(3).err, "");
}

#[test]
fn settings_that_are_not_understood_are_a_warning() {
    for (name, value, what) in [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            "is no http:// or https:// URL",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "is grpc; deployrun speaks http/protobuf and http/json",
        ),
    ] {
        let (told, _) = with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            (name, value),
        ]);
        assert_eq!(told.status, Some(3));
        assert_eq!(told.err.lines().count(), 1, "{}", told.err);
        assert!(
            told.err
                .starts_with(&format!("warning: there is no trace: {name} {what}")),
            "{}",
            told.err
        );
    }
}

#[test]
fn a_collector_that_comes_late_gets_everything() {
    let scene = Scene::new(
        r#"
        plan(#{ name: "shop" });
        run("true", #{ title: "first", back_out: () });
        run("until test -e go; do sleep 0.01; done", #{ title: "long", back_out: () });
        "#,
    );
    let collector = Collector::new(Answers::TakesAfter(1));
    let going = scene.start(&mut traced(&scene, &collector, "http/json", &["plan.rhai"]));
    collector.wait_for("first");
    scene.write("go", "");
    assert_eq!(going.end().expect(0).err, "");
    draw(&collector.spans());
}

#[test]
fn headers_and_names_are_those_of_the_operator() {
    let scene = Scene::new(r#"plan(#{ name: "shop" }); run("true", #{ back_out: () });"#);
    let collector = Collector::new(Answers::Takes);
    let mut command = scene.command(&["plan.rhai"]);
    command
        .env(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/in/here", collector.url),
        )
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "api-key=geheim%3D,x-scope=shop",
        )
        .env("OTEL_SERVICE_NAME", "shop releases");
    told(&mut command).expect(0);
    let posted = collector.posted();
    assert!(!posted.is_empty());
    for post in &posted {
        assert_eq!(post.path, "/in/here");
        assert_eq!(post.headers["api-key"], "geheim=");
        assert_eq!(post.headers["x-scope"], "shop");
        assert_eq!(post.headers["content-type"], "application/x-protobuf");
        let request = post.decoded();
        let resource = list(&request["resourceSpans"][0]["resource"]["attributes"]);
        let of = |key: &str| {
            let found = resource.iter().find(|a| a["key"] == key);
            found.map_or("", |a| text(&a["value"]["stringValue"]))
        };
        assert_eq!(of("service.name"), "shop releases");
        assert_eq!(of("cicd.pipeline.run.id"), "20260321-2100-0007");
    }
}

#[test]
fn secrets_are_in_no_trace() {
    let scene = Scene::new(
        r#"
        plan(#{ name: "shop" });
        let word = secret("PASSWORD");
        check("the word " + word, true);
        info("it is " + word);
        probe("echo " + word);
        run("echo " + word + "; exit 1", #{ title: "say " + word, env: #{ WORD: word }, back_out: "echo " + word });
        "#,
    );
    let collector = Collector::new(Answers::Takes);
    let mut command = traced(&scene, &collector, "http/json", &["plan.rhai"]);
    command
        .env("PASSWORD", "correct horse")
        .env("DEPLOYRUN_LOG", "trace");
    let told = told(&mut command).expect(3);
    assert!(told.err.contains("input: call"), "{}", told.err);
    let mut all = told.err;
    for posted in collector.posted() {
        all.push_str(&String::from_utf8(posted.body).expect("UTF-8"));
    }
    assert!(all.contains("say ***"), "{all}");
    assert!(!all.contains("correct"), "{all}");
}
