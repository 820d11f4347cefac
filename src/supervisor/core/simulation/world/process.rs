//! The process that drives the run: its begin, its death, and the one that comes after it.

use std::collections::{BTreeMap, BTreeSet};

use crate::supervisor::core::{Core, Ended, Input, ScriptEnd, Settings, outcome_of};
use crate::supervisor::recorded::Recorded;
use crate::words::clock::Now;
use crate::words::event::{Actor, Event, Unwritten};
use crate::words::outcome::{Outcome, RunOutcome};
use crate::words::step::End;

use super::super::invariants::Checker;
use super::super::plan::{HOUR, MINUTE, Op, SECOND};
use super::super::script::{Script, Undos};
use super::targets::end_of;
use super::{Break, Controller, Happening, PATIENCE_MS, Went, World, broken};

impl World {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            override_window: self.plan.override_window.clone(),
            lock_wait_ms: self.plan.lock_wait_ms,
            name: "shop".into(),
        }
    }

    pub(super) fn begin(&mut self) -> Went {
        let core = Core::new(self.settings());
        self.start(core, Vec::new(), Recorded::default());
        self.open_with(Event::RunStarted {
            by: Actor::default(),
            deployrun: String::new(),
            plan: String::new(),
            fingerprint: String::new(),
            args: serde_json::Map::new(),
            boot_id: String::new(),
            clock_injected: true,
            approved: None,
            trace_parent: None,
        })?;
        self.take(Input::Time)?;
        self.start_plan();
        Ok(())
    }

    pub(super) fn start(&mut self, core: Core, heard: Vec<(Event, Now)>, recorded: Recorded) {
        self.processes += 1;
        let number = self.processes;
        self.controller = Some(Controller {
            number,
            core,
            heard,
            pending: Vec::new(),
            flush_at: 0,
            gone: false,
            gone_at: None,
            finished: false,
            scripts: BTreeMap::new(),
            undos: Undos::new(),
            recorded,
            samples: BTreeMap::new(),
            approvals_given: BTreeSet::new(),
            script_end: None,
            stopped_at: None,
            begun_at: self.boot_ms,
            sampled_at: BTreeMap::new(),
            lock_asked_at: None,
            lock_in_vain: false,
        });
        self.crash_in = None;
        self.told_the_time = false;
        if self.crashes < 5 && self.random.chance(self.mood.crashes) {
            let most = self.random.pick(&[20, 100, 400, 400]);
            self.crash_in = Some(self.random.below(most));
            if self.random.chance(30) {
                let most = self.random.pick(&[100, 10 * SECOND, HOUR]);
                let (at, reboot) = (self.boot_ms + self.up_to(most), self.random.chance(40));
                self.at(
                    at,
                    Happening::Crash {
                        process: number,
                        reboot,
                    },
                );
            }
        }
    }

    pub(super) fn start_plan(&mut self) {
        if self.controller.as_ref().is_some_and(|c| !c.finished) {
            self.start_thread(String::new(), 0);
        }
    }

    pub(super) fn start_thread(&mut self, fiber: String, program: usize) {
        self.generations += 1;
        let generation = self.generations;
        if let Some(controller) = &mut self.controller {
            controller.scripts.insert(
                fiber.clone(),
                Script::new(fiber.clone(), program, generation),
            );
        }
        self.soon(Happening::Thread { fiber, generation });
    }

    /// The process dies. What is not durable is lost; steps live on, unless the machine dies too.
    pub(super) fn crash(&mut self, reboot: bool) {
        let Some(mut controller) = self.controller.take() else {
            return;
        };
        self.crashes += 1;
        self.counts.crashes += 1;
        let lost = controller.pending.len();
        self.tell(|| {
            format!(
                "== the process dies{}, {lost} events are lost",
                if reboot { " with the machine" } else { "" }
            )
        });
        controller.scripts.clear();
        self.own_steps_die();
        if reboot {
            for process in self.steps.values_mut().filter(|p| p.acts) {
                if process.running || self.random.chance(20) {
                    process.end = Ended::Seen(Box::new(end_of(End::Unseen)));
                }
                process.running = false;
            }
        }
        let pause = self.random.pick(&[1, SECOND, 10 * MINUTE, 5 * HOUR]);
        let at = self.boot_ms + self.up_to(pause) + 1;
        self.at(at, Happening::Return);
    }

    pub(super) fn own_steps_die(&mut self) {
        for process in self.steps.values_mut().filter(|p| p.own) {
            process.end = Ended::Seen(Box::new(end_of(End::Unseen)));
            process.running = false;
        }
    }

    /// The driver's loop has ended.
    pub(super) fn leave(&mut self) -> Went {
        let Some(mut controller) = self.controller.take() else {
            return Ok(());
        };
        self.durable.append(&mut controller.pending);
        if controller.core.end().is_none() {
            self.tell(|| "== the process leaves the run".into());
            self.own_steps_die();
            let at = self.boot_ms + self.up_to(HOUR) + 1;
            self.at(at, Happening::Return);
            return Ok(());
        }
        self.look_at_end(&controller)?;
        if controller.gone && self.random.chance(50) {
            // The journal does not know that the run has ended: somebody takes it up.
            self.counts.outcome = None;
            let at = self.boot_ms + self.up_to(HOUR) + 1;
            self.at(at, Happening::Return);
        }
        Ok(())
    }

    pub(super) fn look_at_end(&mut self, controller: &Controller) -> Went {
        let Some(end) = controller.core.end() else {
            return Ok(());
        };
        self.counts.outcome = Some(end.outcome);
        self.counts.inputs = self.inputs;
        let running = self.steps.iter().find(|(_, p)| p.running);
        if let Some((key, _)) = running {
            return broken(format!("the run has ended, but {key:?} acts"));
        }
        match end.outcome {
            RunOutcome::Released => {
                self.look_at_watches(controller)?;
                let done = controller.script_end == Some(ScriptEnd::Done);
                if !done {
                    return broken(format!(
                        "released, but the script ended {:?}",
                        controller.script_end
                    ));
                }
            }
            RunOutcome::Refused => {
                let acted = self.steps.iter().find(|(key, p)| p.acts && !key.backs_out);
                if let Some((key, _)) = acted {
                    return broken(format!("refused, but {key:?} acted"));
                }
            }
            RunOutcome::BackedOut | RunOutcome::Stuck => {}
        }
        if controller.gone {
            return Ok(());
        }
        let known = self
            .durable
            .last()
            .is_some_and(|(event, _)| matches!(event, Event::RunEnded { .. }));
        if known {
            Ok(())
        } else {
            broken("the end of the run is not durable")
        }
    }

    /// Every watch was sampled until the end.
    fn look_at_watches(&self, controller: &Controller) -> Went {
        if self.mood.clocks > 0 {
            return Ok(());
        }
        for (id, state) in &controller.core.watches {
            let (every, timeout) = (state.watch.every_ms, state.watch.timeout_ms);
            let sampled = controller.sampled_at.get(id).copied();
            let last = sampled.unwrap_or(controller.begun_at);
            let due = last.saturating_add_unsigned(every + timeout + SECOND);
            if due < self.boot_ms {
                return broken(format!("watch {id} was not sampled since {sampled:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn come_back(&mut self) -> Went {
        let now = self.now();
        let ended = self
            .durable
            .iter()
            .any(|(event, _)| matches!(event, Event::RunEnded { .. }));
        if ended {
            self.counts.outcome = self.checker.end.as_ref().map(|end| end.outcome);
            return Ok(());
        }
        if self.durable.is_empty() {
            // The run was never born.
            self.counts.outcome = Some(RunOutcome::Refused);
            return match self.steps.keys().next() {
                Some(key) => broken(format!("{key:?} acted in a run that is not in the journal")),
                None => Ok(()),
            };
        }
        let tries = self.unwritten();
        if tries.iter().any(|(_, running)| *running) {
            // It is refused until that has ended.
            let at = self.boot_ms + self.up_to(HOUR) + 1;
            self.at(at, Happening::Return);
            return Ok(());
        }
        let heard: Vec<(Event, Now)> = self
            .durable
            .iter()
            .map(|(event, at)| (event.clone(), then(*at, now)))
            .collect();
        self.checker = Checker::default();
        for (event, at) in &heard {
            self.checker.take(event, *at, false)?;
        }
        if self.random.chance(self.mood.signals) {
            let at = now.boot_ms + self.up_to(60);
            self.at(at, Happening::Signal("SIGINT"));
        }
        if self.plan.header.window.is_some() && self.random.chance(10) {
            self.plan.override_window = Some("it must end".into());
        }
        if self.random.chance(20) {
            self.edit_plan();
        }
        let core = Core::restore(
            self.settings(),
            heard.iter().map(|(event, at)| (event, *at)),
        );
        let recorded = Recorded::from_events(heard.iter().map(|(event, _)| event));
        let acted = !self.steps.is_empty();
        let mut back_out = self.random.chance(if acted { 35 } else { 10 });
        back_out |= self.boot_ms - self.begun_ms > PATIENCE_MS as i64;
        let command = if back_out { "back-out" } else { "resume" };
        self.tell(|| format!("== {command}"));
        self.start(core, heard, recorded);
        self.open_with(Event::RunResumed {
            by: Actor::default(),
            command: command.into(),
            boot_id: String::new(),
        })?;
        self.find_in_flight()?;
        if !tries.is_empty() {
            self.closed = true;
            let tries = tries.into_iter().map(|(told, _)| told).collect();
            self.take(Input::Unwritten { tries })?;
            self.take(Input::Time)?;
            return Ok(());
        }
        if back_out {
            self.take(Input::BackOutAsked {
                by: Actor::default(),
            })?;
        }
        self.take(Input::Time)?;
        self.start_plan();
        Ok(())
    }

    /// What was begun and is not in the journal, and whether it still goes on.
    fn unwritten(&self) -> Vec<(Unwritten, bool)> {
        let mut known = BTreeSet::new();
        for (event, _) in &self.durable {
            match event {
                Event::StepStarted { id, attempt, .. } => {
                    known.insert((id, *attempt, false));
                }
                Event::BackOutStarted { id, attempt, .. } => {
                    known.insert((id, *attempt, true));
                }
                _ => {}
            }
        }
        let tries = self.steps.iter().filter(|(key, process)| {
            !matches!(process.end, Ended::Void(_))
                && !known.contains(&(&key.id, key.attempt, key.backs_out))
        });
        tries
            .map(|(key, process)| {
                let told = Unwritten {
                    call: key.id.clone(),
                    attempt: key.attempt,
                    backs_out: key.backs_out,
                    outcome: match &process.end {
                        Ended::Seen(end) => outcome_of(end, &[0]),
                        Ended::Void(_) => Outcome::Unknown,
                    },
                    how: "ended".into(),
                    tail: String::new(),
                };
                (told, process.running)
            })
            .collect()
    }

    /// The plan is not what it was: it is not deterministic, or was run by another version.
    pub(super) fn edit_plan(&mut self) {
        let length = self.plan.programs[0].len() as u64;
        let at = usize::try_from(self.random.below(length / 2 + 1)).unwrap_or(0);
        let op = &mut self.plan.programs[0][at];
        if matches!(op, Op::Step { .. } | Op::Read { .. } | Op::Sleep { .. }) {
            *op = Op::Note;
            self.edited = true;
            self.tell(|| format!("== instruction {at} of the plan is another one now"));
        }
    }

    pub(super) fn find_in_flight(&mut self) -> Went {
        let keys = self
            .controller
            .as_ref()
            .map(|c| c.core.in_flight())
            .unwrap_or_default();
        for key in keys {
            self.crash_point()?;
            let ended = match self.steps.get(&key) {
                Some(process) if process.running => {
                    self.tell(|| format!("== {key:?} still runs"));
                    continue;
                }
                Some(process) => process.end.clone(),
                None => Ended::Void("its supervisor never began".into()),
            };
            self.take(Input::StepEnded { key, ended })?;
        }
        Ok(())
    }

    pub(super) fn crash_point(&mut self) -> Went {
        match &mut self.crash_in {
            Some(0) => {
                self.crash_in = None;
                Err(Break::Crash)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// An instant of the past on both clocks, seen from now, as the runner has it.
fn then(at_ms: i64, now: Now) -> Now {
    let ago = now.wall_ms.saturating_sub(at_ms).max(0);
    Now {
        wall_ms: at_ms,
        boot_ms: now.boot_ms.saturating_sub(ago),
    }
}
