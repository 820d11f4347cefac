//! `plan`: the header.

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::notify;
use crate::supervisor::fiber::Halt;
use crate::words::call::{Call, Failure};
use crate::words::header::{DEFAULT_ENVIRONMENT, Header};
use crate::words::window::Window;

const FIELDS: &[Param] = &[
    param(
        "name",
        Kind::Text,
        "What is deployed. Without it, the name of the plan's file.",
    ),
    param("version", Kind::Text, "In which version."),
    param(
        "environment",
        Kind::Text,
        "Where. Runs of one environment exclude each other.",
    ),
    param(
        "why",
        Kind::Text,
        "Why it is released: a fix, a new function, a change's number.",
    ),
    param("features", Kind::TextList, "What is new for users."),
    param("users", Kind::Text, "Who uses it."),
    param(
        "training",
        Kind::Text,
        "Who needs training, and how they got it.",
    ),
    param("owner", Kind::Text, "Who answers for the plan."),
    param(
        "support",
        Kind::Text,
        "Who or what helps afterwards: a runbook, a number to call.",
    ),
    param("window", Kind::Window, "When it may be released."),
    param(
        "expected",
        Kind::Duration,
        "How long the release is expected to take.",
    ),
    param(
        "deadline",
        Kind::Limit,
        "How long it may take, its back-out included.",
    ),
    param(
        "back_out_within",
        Kind::Duration,
        "The time reserved for the back-out; 5m without it.",
    ),
    param(
        "approvals",
        Kind::TextList,
        "Approvals that must be given before the release begins.",
    ),
    param(
        "notify",
        Kind::Notify,
        "Who is told of the start and of the end, by the host itself; see [notices](notices.md).",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    vec![Function {
        name: "plan",
        params: &[],
        optional: &[],
        options: FIELDS,
        closure: None,
        when: When::First,
        doc: "Says what is deployed, why, when, and who answers for it. The first call of a plan.",
        handler: Handler::Api(plan),
    }]
}

fn plan(args: &Args) -> Result<Dynamic, Halt> {
    let window = args
        .text("window")
        .and_then(|text| Window::parse(&text).ok());
    if args
        .text("environment")
        .is_some_and(|name| name.trim().is_empty())
    {
        let text = "the header's environment is empty: name it, or leave it out for `default`; a variable \
                    that was not set may have given it";
        return Err(Halt::Throw(Failure::new(text)));
    }
    let header = Header {
        name: args
            .text("name")
            .unwrap_or_else(|| args.fiber.shared().name.clone()),
        version: args.need("version"),
        environment: args
            .text("environment")
            .unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned()),
        why: args.need("why"),
        features: args.texts("features"),
        users: args.need("users"),
        training: args.need("training"),
        owner: args.need("owner"),
        support: args.need("support"),
        window: window.map(|w| w.normalised()),
        expected_ms: args.ms("expected"),
        deadline_ms: args.ms("deadline"),
        back_out_within_ms: args.ms("back_out_within"),
        approvals: args.texts("approvals"),
        notify: match args.given("notify") {
            Some(value) => notify::read(value).map_err(Failure::new)?,
            None => Vec::new(),
        },
    };
    if let Some(problem) = problem(&header) {
        return Err(Halt::Throw(Failure::new(problem)));
    }
    args.fiber
        .perform("plan", Call::Plan { header }, args.place.clone())?;
    Ok(Dynamic::UNIT)
}

/// What the fields of a header contradict each other in.
pub(crate) fn problem(header: &Header) -> Option<String> {
    let deadline = header.deadline_ms?;
    let needed = header.needed_ms();
    let show = |ms| crate::words::duration::show(std::time::Duration::from_millis(ms));
    if header.reserved_ms() >= deadline {
        return Some(format!(
            "the deadline of {} leaves no time to release: {} of it are reserved for the back-out",
            show(deadline),
            show(header.reserved_ms()),
        ));
    }
    (needed > deadline).then(|| {
        format!(
            "expected and back_out_within are {} together, which the deadline of {} does not hold",
            show(needed),
            show(deadline),
        )
    })
}
