//! Tables: one helper, played again and again with something else going wrong.

use std::sync::{Arc, PoisonError};

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Kind, param};
use crate::script::testing::cases::{self, Case};
use crate::script::testing::stage::Stage;
use crate::supervisor::fiber::Halt;

use super::told::not_as_before;
use super::{fail, simple};

pub(super) fn functions() -> Vec<Function> {
    vec![
        simple(
            "assert_backed_out_at_every_step",
            const {
                &[param(
                    "closure",
                    Kind::Closure,
                    "What is undone: a closure that calls a helper.",
                )]
            },
            &[],
            "Runs a closure and backs it out; then again and again, with another of its steps failing \
             before or after it has acted, interrupted, or deployrun killed at it and the run taken up. \
             Fails the test unless all is as it was before, each time. Returns the number of cases.",
            every_step,
        ),
        simple(
            "assert_changes_nothing",
            const {
                &[param(
                    "closure",
                    Kind::Closure,
                    "What changes nothing: a closure that calls a helper a second time.",
                )]
            },
            &[],
            "Fails the test if a closure changes files or declared states, or throws. Returns what the \
             closure returns.",
            changes_nothing,
        ),
    ]
}

fn every_step(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let Some(closure) = args.closure("closure") else {
        return Ok(Dynamic::UNIT);
    };
    let memory = stage.world.remember();
    let faults = stage
        .faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let played = play_all(args, stage, &closure, &memory);
    if stage.world.not_given().is_none() {
        stage.world.recall(&memory);
    }
    *stage.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    let count = played?;
    stage.played(count);
    Ok(i64::from(count).into())
}

fn play_all(
    args: &Args,
    stage: &Arc<Stage>,
    closure: &crate::script::closure::Closure,
    memory: &crate::target::pretended::Memory,
) -> Result<u32, Halt> {
    let play = |case: &Case| -> Result<cases::Played, Halt> {
        let played = cases::play(stage, closure, memory, case)
            .map_err(|problem| fail(args, stage, problem, Vec::new()))?;
        if stage.world.not_given().is_some() {
            return Err(Halt::Stop);
        }
        Ok(played)
    };
    let first = play(&Case::Works)?;
    if let Some(error) = &first.threw {
        let text = format!("it fails without anything going wrong: {error}");
        return Err(fail(args, stage, text, what_it_did(&first)));
    }
    if first.steps.is_empty() {
        let text = "the closure starts no step: nothing can go wrong, and nothing is undone";
        return Err(fail(args, stage, text.into(), Vec::new()));
    }
    judge(args, stage, &Case::Works, &first)?;
    let mut count = 1;
    for (number, step) in first.steps.iter().enumerate() {
        for case in Case::all(number, step) {
            let played = play(&case)?;
            judge(args, stage, &case, &played)?;
            count += 1;
        }
    }
    Ok(count)
}

fn judge(args: &Args, stage: &Arc<Stage>, case: &Case, played: &cases::Played) -> Result<(), Halt> {
    if played.is_undone() {
        return Ok(());
    }
    let mut lines = Vec::new();
    if let Some(stuck) = &played.stuck {
        lines.push(format!("the run is stuck: {stuck}"));
    }
    if !played.changed.is_empty() {
        lines.extend(not_as_before(&played.changed));
    }
    lines.extend(what_it_did(played));
    let text = format!("not all is as it was before, when {case}");
    Err(fail(args, stage, text, lines))
}

fn what_it_did(played: &cases::Played) -> Vec<String> {
    let mut lines = vec!["= in this case:".to_owned()];
    lines.extend(played.calls.iter().map(|call| format!("  | {call}")));
    lines
}

fn changes_nothing(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let pointer = args
        .given("closure")
        .and_then(|value| value.clone().try_cast::<rhai::FnPtr>());
    let Some(pointer) = pointer else {
        return Ok(Dynamic::UNIT);
    };
    let before = stage.world.look(Clone::clone);
    let value = crate::script::closure::call(&pointer, args.context, None)
        .map_err(crate::script::api::pass)?;
    let changed = stage.world.differs_from(&before);
    if changed.is_empty() {
        return Ok(value);
    }
    let text = "it changes something".to_owned();
    Err(fail(args, stage, text, not_as_before(&changed)))
}
