//! Habits of good plans: what is done can be undone, takes no longer than it may, and is verified.

use std::collections::HashSet;

use crate::script::functions::{Handler, When};
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::outline::{Call, Role, Source};
use super::reach::{functions_in_use, is_in_use};
use super::{Known, Notes};

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    let only_undo = functions_that_only_undo(source);
    let no_return = source.calls.iter().find(|call| {
        call.body == 0
            && call
                .host
                .as_ref()
                .is_some_and(|h| h.function.name == "point_of_no_return")
    });
    for call in &source.calls {
        let Some(host) = call
            .host
            .as_ref()
            .filter(|host| host.function.name == "run")
        else {
            continue;
        };
        let Some(aligned) = &host.aligned else {
            continue;
        };
        let undoes = source.within(call.body, |body| {
            body.role == Role::Undoes
                || only_undo.contains(body.name) && body.role == Role::Function
        });
        let reads = source.within(call.body, |body| matches!(body.role, Role::Reads(_)));
        if aligned.has_unknown_options() || undoes || reads {
            continue;
        }
        let no_way_back = no_return.is_some_and(|there| call.body == 0 && call.pos > there.pos);
        if aligned.option("back_out").is_none() && call.before != Some("back_out") && !no_way_back {
            let text = "nothing undoes this step";
            let hint =
                "add back_out: \"…\" to its options, or back_out: () when there is nothing to undo";
            let place = notes.place(call.pos);
            notes.push(Diagnostic::new(Code::NoBackOut, place, text).with_hint(hint));
        }
        let limited = source.within(call.body, |body| body.role == Role::Group { timeout: true });
        if aligned.option("timeout").is_none() && !limited {
            let text = "this step says no timeout; it may take 10m";
            let hint = "add timeout: \"…\" to its options";
            let place = notes.place(call.pos);
            notes.push(Diagnostic::new(Code::NoTimeout, place, text).with_hint(hint));
        }
    }
}

/// Functions of this source that nothing but back-outs call.
fn functions_that_only_undo<'p>(source: &Source<'p>) -> HashSet<&'p str> {
    let mut only: HashSet<&str> = source
        .functions
        .iter()
        .map(|def| def.name.as_str())
        .collect();
    only.retain(|name| source.calls.iter().any(|call| is_of(call, name)));
    loop {
        let before = only.len();
        let keep: HashSet<&str> = only
            .iter()
            .copied()
            .filter(|name| {
                source
                    .calls
                    .iter()
                    .filter(|call| is_of(call, name))
                    .all(|call| {
                        source.within(call.body, |body| {
                            body.role == Role::Undoes
                                || body.role == Role::Function && only.contains(body.name)
                        })
                    })
            })
            .collect();
        only = keep;
        if only.len() == before {
            return only;
        }
    }
}

fn is_of(call: &Call<'_>, name: &str) -> bool {
    call.path.is_empty() && call.host.is_none() && call.name == name
}

/// What only the whole plan shows.
pub(super) fn of_the_plan(known: &Known<'_>, main: &str) -> Option<Diagnostic> {
    let calls = || known.sources.values().flat_map(|source| &source.calls);
    let is = |call: &&Call<'_>, name: &str| {
        call.host
            .as_ref()
            .is_some_and(|host| host.function.name == name)
    };
    if calls().any(|call| is(&call, "verify")) {
        return None;
    }
    let main = known.sources.get(main).filter(|main| !main.is_library())?;
    let in_use = functions_in_use(known, main.id);
    let does = |source: &Source<'_>, call: &Call<'_>| {
        acts(call) && is_in_use(source, call, main.id, &in_use)
    };
    let of_main = main.calls.iter().find(|call| does(main, call));
    let elsewhere = || {
        let others = known.sources.values().filter(|s| !s.id.starts_with("std/"));
        let calls = others.flat_map(|source| source.calls.iter().map(move |call| (source, call)));
        calls
            .filter(|(source, call)| does(source, call))
            .map(|(source, call)| super::place_of(source.id, call.pos))
            .next()
    };
    let text = "the plan changes something, and never verifies that it worked";
    let hint = "end it with verify(\"…\", || …): when is it done, and how will one know?";
    let found = |place| Diagnostic::new(Code::NoVerify, place, text).with_hint(hint);
    if let Some(call) = of_main {
        return Some(found(super::place_of(main.id, call.pos)));
    }
    // The fault is the plan's, not the module's; another plan that imports it may verify.
    let acts_there = elsewhere()?;
    Some(match main.calls.iter().find(|call| is(call, "plan")) {
        Some(header) => {
            let place = super::place_of(main.id, header.pos);
            found(place).with_note("this changes something", acts_there)
        }
        None => found(acts_there),
    })
}

/// Does the call change something?
fn acts(call: &Call<'_>) -> bool {
    let Some(host) = &call.host else { return false };
    match &host.function.handler {
        Handler::Own(own) => own.acts,
        Handler::Test(_) => false,
        Handler::Api(_) => {
            let name = host.function.name;
            host.function.when == When::Release
                && !matches!(
                    name,
                    "verify" | "soak" | "back_out" | "point_of_no_return" | "step"
                )
        }
    }
}
