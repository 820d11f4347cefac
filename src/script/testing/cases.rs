//! One closure, played with something going wrong, and backed out.

use std::sync::{Arc, PoisonError};

use rhai::{Dynamic, EvalAltResult};

use crate::script::closure::Closure;
use crate::script::error::{script_end, tell};
use crate::supervisor::core::{Core, Input, ScriptEnd};
use crate::supervisor::pretended::{Deeds, Fault, FaultAt, Misfortune, gate_events};
use crate::supervisor::recorded::Recorded;
use crate::target::pretended::{Difference, Memory};
use crate::words::clock::{Clock as _, Now};
use crate::words::event::{Event, RunEnd};
use crate::words::outcome::RunOutcome;

use super::acting::Acting;
use super::stage::Stage;
use super::whole_plan::somebody;

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Case {
    /// Nothing; it is backed out afterwards.
    Works,
    /// A step, from 1, with its text.
    At {
        /// Its number.
        number: u32,
        /// What it does.
        step: String,
        /// What goes wrong.
        what: Misfortune,
        /// Has it done all that it does?
        done: bool,
    },
}

impl Case {
    /// All that may go wrong with the step at this index.
    #[must_use]
    pub fn all(index: usize, step: &str) -> Vec<Self> {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let fails = Misfortune::Fails {
            code: 1,
            stdout: String::new(),
            stderr: "made to fail by the test\n".into(),
        };
        [
            (fails.clone(), false),
            (fails, true),
            (Misfortune::Interrupted, false),
            (Misfortune::Interrupted, true),
            (Misfortune::Killed, false),
            (Misfortune::Killed, true),
        ]
        .into_iter()
        .map(|(what, done)| Self::At {
            number,
            step: step.to_owned(),
            what,
            done,
        })
        .collect()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::At {
            number,
            step,
            what,
            done,
        } = self
        else {
            return f.write_str("all has worked and is backed out");
        };
        let done = if *done {
            "having done all that it does"
        } else {
            "having done nothing"
        };
        let what = match what {
            Misfortune::Fails { .. } => format!("step {number}, `{step}`, fails"),
            Misfortune::Unknown => format!("nobody sees the end of step {number}, `{step}`"),
            Misfortune::TimesOut => format!("step {number}, `{step}`, is cut off"),
            Misfortune::Interrupted => format!("a SIGINT comes at step {number}, `{step}`"),
            Misfortune::Killed => format!("deployrun is killed at step {number}, `{step}`"),
        };
        write!(f, "{what}, {done}")
    }
}

/// What has come of a case.
#[derive(Debug)]
pub struct Played {
    /// The tries of steps that were started, as text.
    pub steps: Vec<String>,
    /// What the closure threw.
    pub threw: Option<String>,
    /// Why the run is stuck, if it is.
    pub stuck: Option<String>,
    /// What is not as it was.
    pub changed: Vec<Difference>,
    /// All calls, one line for each.
    pub calls: Vec<String>,
}

impl Played {
    /// Is all as it was?
    #[must_use]
    pub fn is_undone(&self) -> bool {
        self.stuck.is_none() && self.changed.is_empty()
    }
}

/// Plays a case, from where `memory` was kept.
///
/// # Errors
/// When it cannot be played at all.
pub fn play(
    stage: &Arc<Stage>,
    closure: &Closure,
    memory: &Memory,
    case: &Case,
) -> Result<Played, String> {
    let surroundings = stage.surroundings().ok_or("the test is over")?;
    stage.world.recall(memory);
    {
        let mut faults = stage.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.clear();
        if let Case::At {
            number, what, done, ..
        } = case
        {
            faults.add(Fault::new(FaultAt::Number(*number), what.clone(), *done));
        }
    }
    let system = |error: std::io::Error| format!("the case can't be played: {error}");
    let name = stage.next_run();
    let core = stage.core();
    let mut acting = Acting::new(
        stage,
        &surroundings,
        name.clone(),
        core,
        Recorded::default(),
    )
    .map_err(system)?;
    acting.driver.begin(Vec::new());
    let mut result = closure.call(&acting.engine(), None);
    let mut events: Vec<Event> = Vec::new();
    while acting.driver.is_dead() && stage.world.not_given().is_none() {
        let known = acting.driver.events();
        let core = taken_up(stage, &known);
        acting.driver.disconnect();
        let recorded = Recorded::from_events(known.iter().map(|(event, _)| event));
        events.extend(known.into_iter().map(|(event, _)| event));
        acting = Acting::new(stage, &surroundings, name.clone(), core, recorded).map_err(system)?;
        let by = somebody();
        acting.driver.begin(vec![Input::BackOutAsked { by }]);
        result = closure.call(&acting.engine(), None);
    }
    let message =
        |error: &EvalAltResult| tell(error, &surroundings.plan, &surroundings.functions).message;
    let stopped = acting.fiber.is_stopped();
    let threw = match &result {
        Err(error) if !stopped => Some(message(error)),
        _ => acting.driver.stopping().map(|stop| stop.reason),
    };
    let end = finish(&acting, result);
    acting.driver.disconnect();
    events.extend(acting.driver.events().into_iter().map(|(event, _)| event));
    let started = events.iter().filter_map(|event| match event {
        Event::StepStarted { id, step, .. } if !id.is_in_back_out() => Some(step.title.clone()),
        _ => None,
    });
    let steps = started.collect();
    let stuck = end
        .filter(|end| end.outcome == RunOutcome::Stuck)
        .map(|end| why_stuck(&end));
    Ok(Played {
        steps,
        threw,
        stuck,
        changed: stage.world.differs_from(memory.scene()),
        calls: Deeds::of(&events).calls,
    })
}

/// The core of a run that another process began, for a helper: its gate is open.
fn taken_up(stage: &Stage, known: &[(Event, Now)]) -> Core {
    let gate = gate_events();
    let now = stage.clock.now();
    let events = gate.iter().map(|event| (event, now));
    let known = known.iter().map(|(event, at)| (event, *at));
    Core::restore(stage.settings(), events.chain(known))
}

fn finish(acting: &Acting, result: Result<Dynamic, Box<EvalAltResult>>) -> Option<RunEnd> {
    let of = &acting.surroundings;
    let stopped = acting.fiber.is_stopped();
    let end = script_end(
        result,
        stopped,
        acting.fiber.spent(),
        &of.plan,
        &of.functions,
    );
    let end = match end {
        ScriptEnd::Done => {
            // What has worked is backed out all the same.
            if acting.driver.stopping().is_none() {
                acting.driver.back_out(somebody());
            }
            ScriptEnd::Stopped
        }
        other => other,
    };
    acting.driver.script_ended(end)
}

fn why_stuck(end: &RunEnd) -> String {
    match end.still_changed.first() {
        Some(still) => format!("{}: {}", still.title, still.why),
        None => end.reason.clone(),
    }
}
