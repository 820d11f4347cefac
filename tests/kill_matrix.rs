//! Whatever ends a step, and however its processes try to live on: none does, within the grace and
//! one second, and the back-out begins only when all are gone.

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use support::live::{Live, PATIENCE};
use support::site::Site;
use support::sweep::each;
use support::{effects, need, processes};

/// Between TERM and KILL, in milliseconds.
const GRACE_MS: i64 = 1_000;
/// How late the last process may be gone, after decision and grace.
const LATE_MS: i64 = 1_000;
/// After this time the limits of the plans are reached, in milliseconds: 200 processes must have
/// been started by then, on a busy machine.
const LIMIT_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Timeout,
    IdleTimeout,
    AbortOn,
    Watch,
    Deadline,
    Interrupt,
    Terminate,
}

const CAUSES: &[Cause] = &[
    Cause::Timeout,
    Cause::IdleTimeout,
    Cause::AbortOn,
    Cause::Watch,
    Cause::Deadline,
    Cause::Interrupt,
    Cause::Terminate,
];

impl Cause {
    /// What the journal calls it: why the step was cut off, and why the run stopped.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Timeout => ("timeout", "failed-step"),
            Self::IdleTimeout => ("idle_timeout", "failed-step"),
            Self::AbortOn => ("abort_on", "failed-step"),
            Self::Watch => ("stopped", "tripped-watch"),
            // Who is first, the step's supervisor or the deadline of the run, is open.
            Self::Deadline => ("", "deadline"),
            Self::Interrupt | Self::Terminate => ("stopped", "operator"),
        }
    }
}

/// Processes beside the first one, and how they are started.
const TREES: &[(&str, &str)] = &[
    ("a plain child", ""),
    ("a background grandchild", "(sleep 600 & sleep 600) &"),
    ("one in a session of its own", "setsid sleep 600 &"),
    (
        "a double-forked daemon",
        "(setsid sh -c 'sleep 600 < /dev/null > /dev/null 2>&1 &' &)",
    ),
    (
        "ignores TERM",
        "trap '' TERM; sleep 600 & setsid sleep 600 &",
    ),
    ("holds the pipe", "(setsid sh -c 'sleep 600 & sleep 600' &)"),
    (
        "a fork storm of 200",
        "i=0; while [ $i -lt 200 ]; do \
           if [ $((i % 10)) = 0 ]; then setsid sleep 600 & else sleep 600 & fi; i=$((i + 1)); done",
    ),
];

/// The plan of one cell. The step's processes are known by a variable that only their shell is given,
/// so that the back-out, which has the step's environment, does not have it. The back-out first looks
/// who of them lives.
fn plan(cause: Cause, mark: &str) -> String {
    let (header, option) = match cause {
        Cause::Deadline => ("deadline: \"15s\", back_out_within: \"10s\",", ""),
        Cause::Timeout => ("", "timeout: \"5s\","),
        Cause::IdleTimeout => ("", "idle_timeout: \"5s\","),
        Cause::AbortOn => ("", "abort_on: \"^fatal\","),
        Cause::Watch | Cause::Interrupt | Cause::Terminate => ("", ""),
    };
    let watch = match cause {
        Cause::Watch => {
            "watch(\"go\", #{ every: \"100ms\", failures: 1 }, || !file_exists(\"go\"));"
        }
        _ => "",
    };
    format!(
        r#"plan(#{{ name: "matrix", version: "1", environment: "test", {header} }});
{watch}
run("{mark} exec sh ./tree", #{{
    {option} grace: "1s",
    back_out: "grep -lszx {mark} /proc/[0-9]*/environ > lived; ./act undo it",
}});
"#
    )
}

/// What the step runs.
fn script(cause: Cause, tree: &str) -> String {
    let last = match cause {
        Cause::AbortOn => {
            "while ! test -e go; do sleep 0.1; done; : > told; echo 'fatal: now'; sleep 600"
        }
        _ => "sleep 600",
    };
    format!("./act do it\n{tree}\n: > ready\n{last}\n")
}

fn at_ms(event: &Value) -> i64 {
    event["at_ms"].as_i64().expect("a time")
}

/// When a file was made, in milliseconds since 1970.
fn made_ms(path: &Path) -> i64 {
    let facts = fs::metadata(path).expect("the file is there");
    let time: SystemTime = facts.modified().expect("a time");
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("not so late")
}

fn wait_for(path: &Path) {
    let until = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < until, "{} does not come", path.display());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Returns how long after the decision the step's end was recorded, in milliseconds.
fn cell(cause: Cause, tree: &(&str, &str)) -> i64 {
    let tag = format!("{}-{cause:?}-{}", std::process::id(), tree.1.len());
    let site = Site::new("");
    let mark = format!("MATRIX={tag}");
    site.write("plan.rhai", &plan(cause, &mark));
    site.write("tree", &script(cause, tree.1));
    let before = site.tree();

    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    let started = live.wait_for_kind("step-started");
    wait_for(&site.path("ready"));
    let there = processes::with_environment(&mark).len();
    assert!(
        there > usize::from(!tree.1.is_empty()),
        "the tree does not stand"
    );
    match cause {
        Cause::Interrupt => live.signal(Signal::INT),
        Cause::Terminate => live.signal(Signal::TERM),
        Cause::AbortOn | Cause::Watch => site.write("go", ""),
        Cause::Timeout | Cause::IdleTimeout | Cause::Deadline => {}
    }
    let mut stopping = None;
    let ended = live.wait_for("the end of the step", |e| {
        if e["event"] == "stopping" {
            stopping = Some(e.clone());
        }
        e["event"] == "step-ended"
    });
    let left = processes::with_environment(&mark);
    let finished = live.finish();
    let told = || format!("{cause:?} × {}\n{}", tree.0, finished.told());

    assert_eq!(left, [], "{}", told());
    assert_eq!(
        ended["end"]["survivors"].as_array().map(Vec::len),
        Some(0),
        "{}",
        told()
    );
    let limit = at_ms(&started) + LIMIT_MS;
    let decided = match cause {
        Cause::Timeout | Cause::IdleTimeout | Cause::Deadline => limit,
        Cause::AbortOn => made_ms(&site.path("told")),
        Cause::Watch | Cause::Interrupt | Cause::Terminate => {
            at_ms(stopping.as_ref().expect("it stopped first"))
        }
    };
    let took = at_ms(&ended) - decided;
    assert!(took <= GRACE_MS + LATE_MS, "it took {took} ms: {}", told());
    if matches!(cause, Cause::Timeout | Cause::IdleTimeout) {
        assert!(took >= 0, "it was ended {} ms too early: {}", -took, told());
    }

    let (cut_off, stop) = cause.words();
    let why = ended["end"]["cut_off"]["why"].as_str().unwrap_or_default();
    assert!(cut_off.is_empty() || cut_off == why, "{why}: {}", told());
    assert_eq!(ended["outcome"], "cut-off", "{}", told());
    let journal = site.journal();
    let end = support::journal::end(&journal).expect("an end");
    assert_eq!(end["cause"], stop, "{}", told());
    assert_eq!(finished.code, Some(3), "{}", told());
    let lived = fs::read_to_string(site.path("lived")).expect("the back-out looked");
    assert_eq!(lived, "", "alive when the back-out began: {}", told());
    assert_eq!(
        effects::lines("do it\nundo it"),
        site.effects(),
        "{}",
        told()
    );
    assert_eq!(before, site.tree(), "{}", told());
    took
}

#[test]
fn no_process_of_a_step_lives_on() {
    need("setsid", "util-linux");
    need("grep", "grep");
    let cells: Vec<(Cause, &(&str, &str))> = TREES
        .iter()
        .flat_map(|tree| CAUSES.iter().map(move |cause| (*cause, tree)))
        .collect();
    assert_eq!(cells.len(), 49);
    let longest = AtomicI64::new(0);
    each("kill matrix", &cells, |(cause, tree)| {
        longest.fetch_max(cell(*cause, tree), Ordering::SeqCst);
    });
    println!(
        "kill matrix: the last process was gone {} ms after the decision, with a grace of {GRACE_MS} ms",
        longest.into_inner()
    );
}
