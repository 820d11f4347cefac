//! The plan's header: where it stands, what it says, and what it leaves out.

use std::time::Duration;

use rhai::{Expr, Position, Stmt};

use crate::script::api;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::duration;
use crate::words::header::{DEFAULT_BACK_OUT_WITHIN_MS, Header};
use crate::words::window::Window;

use super::Notes;
use super::outline::{Call, Source};

/// The questions that a good deployment plan answers, and the field for each.
const CHECKLIST: &[(&str, &str)] = &[
    ("version", "What is deployed?"),
    ("features", "What is new?"),
    ("users", "Who uses it?"),
    ("training", "Who needs training, and did they get it?"),
    ("environment", "Where is it released?"),
    ("why", "Why is it released: a fix, a new function?"),
    ("window", "When may it be released?"),
    ("expected", "How long does it take?"),
    ("deadline", "When must it be done, a back-out included?"),
    ("owner", "Who answers for it?"),
    ("support", "Who helps afterwards, and where do they look?"),
];

/// Fields that name things, and name nothing.
fn empty(header: &Call<'_>, notes: &mut Notes) {
    let Some(aligned) = header.host.as_ref().and_then(|h| h.aligned.as_ref()) else {
        return;
    };
    for field in ["name", "version", "environment"] {
        if let Some(Expr::StringConstant(text, pos)) = aligned.option(field)
            && text.trim().is_empty()
        {
            let place = notes.place(*pos);
            let text = format!("the field `{field}` of `plan` is empty");
            let hint = "write what it is, or leave the field away";
            notes.push(Diagnostic::new(Code::BadLiteral, place, text).with_hint(hint));
        }
    }
}

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    let headers: Vec<&Call<'_>> = source
        .calls
        .iter()
        .filter(|call| {
            call.host
                .as_ref()
                .is_some_and(|host| host.function.name == "plan")
        })
        .collect();
    if !source.is_main {
        for call in headers {
            let text = "`plan` may only be called by the plan's own file";
            let found = Diagnostic::new(Code::HeaderPlace, notes.place(call.pos), text);
            notes.push(
                found.with_hint("take it away here; the plan that imports this has a header"),
            );
        }
        return;
    }
    let Some(first) = headers.first() else {
        if source.is_library() {
            return;
        }
        let acts = source.calls.iter().find(|call| call.host.is_some());
        let place = notes.place(acts.map_or(Position::NONE, |call| call.pos));
        let text = "the plan has no header";
        let hint = format!(
            "begin with plan(#{{ name: \"…\", … }}); its fields are: name, {}, back_out_within, approvals, notify",
            CHECKLIST
                .iter()
                .map(|(field, _)| *field)
                .collect::<Vec<_>>()
                .join(", ")
        );
        notes.push(Diagnostic::new(Code::NoHeader, place, text).with_hint(hint));
        return;
    };
    place(source, first, notes);
    empty(first, notes);
    for again in headers.iter().skip(1) {
        let text = "`plan` is called a second time";
        let found = Diagnostic::new(Code::HeaderPlace, notes.place(again.pos), text)
            .with_hint("there is one header: write all its fields into the first")
            .with_note("the first is here", notes.place(first.pos));
        notes.push(found);
    }
    fields(first, notes);
}

/// It is the first call of all.
fn place(source: &Source<'_>, header: &Call<'_>, notes: &mut Notes) {
    let is_statement = source.top.iter().any(|statement| match statement {
        Stmt::FnCall(_, pos) => *pos == header.pos,
        Stmt::Expr(expr) => matches!(&**expr, Expr::FnCall(_, pos) if *pos == header.pos),
        _ => false,
    });
    let earlier = source
        .calls
        .iter()
        .find(|call| call.host.is_some() && call.body == 0 && call.pos < header.pos);
    let text = match (is_statement, earlier) {
        (_, Some(earlier)) => {
            let name = earlier.name;
            format!("`plan` must be the first call; `{name}` is called before it")
        }
        (false, None) => "`plan` must be a statement of its own at the top of the plan".to_owned(),
        (true, None) => return,
    };
    let mut found = Diagnostic::new(Code::HeaderPlace, notes.place(header.pos), text)
        .with_hint("move it to the top, after the imports");
    if let Some(earlier) = earlier {
        found = found.with_note("it is called here", notes.place(earlier.pos));
    }
    notes.push(found);
}

fn fields(header: &Call<'_>, notes: &mut Notes) {
    let [Expr::Map(parts, _)] = header.args else {
        return;
    };
    let field = |name: &str| parts.0.iter().find(|(key, _)| key.name == name);
    let ms = |name: &str| field(name).map(|(_, value)| milliseconds(value));
    let (expected, deadline, reserved) = (ms("expected"), ms("deadline"), ms("back_out_within"));
    if let (Some((_, at)), Some(Some(deadline_ms))) = (field("deadline"), deadline)
        && reserved != Some(None)
        && expected != Some(None)
    {
        let header = Header {
            deadline_ms: Some(deadline_ms),
            expected_ms: expected.flatten(),
            back_out_within_ms: reserved.flatten(),
            ..Header::default()
        };
        if let Some(text) = api::header::problem(&header) {
            let place = notes.place(at.start_position());
            let hint = "raise the deadline, or lower expected or back_out_within (5m without it)";
            notes.push(Diagnostic::new(Code::HeaderTimes, place, text).with_hint(hint));
        }
    }
    if let Some((_, Expr::StringConstant(text, at))) = field("window")
        && let (Some(expected), Some(reserved)) = (
            expected.unwrap_or(Some(0)),
            reserved.unwrap_or(Some(DEFAULT_BACK_OUT_WITHIN_MS)),
        )
        && let Ok(window) = Window::parse(text)
    {
        let needed = Duration::from_millis(expected.saturating_add(reserved));
        if let Some(longest) = too_short(&window, needed) {
            let text = format!(
                "expected and back_out_within are {} together, and no opening of the window is \
                 longer than {}: a run would be refused",
                duration::show(needed),
                duration::show(longest),
            );
            let hint = "widen the window, or lower expected or back_out_within (5m without it)";
            notes.push(Diagnostic::new(Code::ShortWindow, notes.place(*at), text).with_hint(hint));
        }
    }
    let missing: Vec<&(&str, &str)> = CHECKLIST
        .iter()
        .filter(|(name, _)| field(name).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    let questions: Vec<String> = missing
        .iter()
        .map(|(field, question)| format!("{field}: {question}"))
        .collect();
    let text = match missing.as_slice() {
        [_] => "the header leaves a question of the checklist open".to_owned(),
        all => format!(
            "the header leaves {} questions of the checklist open",
            all.len()
        ),
    };
    let hint = questions.join("\n           ");
    notes.push(Diagnostic::new(Code::Checklist, notes.place(header.pos), text).with_hint(hint));
}

/// The years whose openings are looked at. The check reads no clock.
const YEARS: std::ops::Range<i16> = 2020..2050;
/// Openings of a year that are looked at.
const OPENINGS: usize = 400;

/// The longest opening, if there is one and none is as long as is needed.
fn too_short(window: &Window, needed: Duration) -> Option<Duration> {
    let begin = |year| jiff::civil::date(year, 1, 1).to_zoned(jiff::tz::TimeZone::UTC);
    let mut longest = None;
    for year in YEARS {
        let (from, to) = (
            begin(year).ok()?.timestamp(),
            begin(year + 1).ok()?.timestamp(),
        );
        let openings = window.openings(from).take(OPENINGS);
        for opening in openings.take_while(|opening| opening.start < to) {
            let length = opening.length();
            if length >= needed {
                return None;
            }
            longest = longest.max(Some(length));
        }
    }
    longest
}

/// A duration that is written there; `None` for one that is computed or wrong.
fn milliseconds(value: &Expr) -> Option<u64> {
    match value {
        Expr::IntegerConstant(seconds, _) => u64::try_from(*seconds).ok()?.checked_mul(1000),
        Expr::StringConstant(text, _) => {
            u64::try_from(duration::parse(text).ok()?.as_millis()).ok()
        }
        _ => None,
    }
}
