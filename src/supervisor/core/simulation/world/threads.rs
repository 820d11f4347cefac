//! The threads of scripts, and what they look at.

use crate::supervisor::core::{Input, ScriptEnd};
use crate::words::call::{Answer, CallId};
use crate::words::event::Verdict;

use super::super::plan::{Op, SECOND};
use super::super::script::Does;
use super::{Controller, Happening, Went, World};

impl World {
    pub(super) fn answer(&mut self, id: &CallId, answer: Answer) {
        let Some(controller) = &mut self.controller else {
            return;
        };
        let Some(script) = controller.scripts.get_mut(&id.fiber) else {
            return;
        };
        if !script.awaits(id) {
            return;
        }
        let does = script.take(answer);
        let fiber = id.fiber.clone();
        self.carry_on(&fiber, does);
    }

    pub(super) fn run_thread(&mut self, fiber: &str, generation: u64) -> Went {
        let Some(controller) = &mut self.controller else {
            return Ok(());
        };
        let Controller {
            scripts,
            recorded,
            undos,
            ..
        } = controller;
        let Some(script) = scripts
            .get_mut(fiber)
            .filter(|s| s.generation == generation)
        else {
            return Ok(());
        };
        let does = script.run(&self.plan, recorded, undos, &mut self.random);
        self.carry_on(fiber, does);
        Ok(())
    }

    pub(super) fn carry_on(&mut self, fiber: &str, does: Does) {
        let Some(controller) = &self.controller else {
            return;
        };
        let Some(script) = controller.scripts.get(fiber) else {
            return;
        };
        let (process, generation) = (controller.number, script.generation);
        let fiber = fiber.to_owned();
        match does {
            Does::GoesOn => self.soon(Happening::Thread { fiber, generation }),
            Does::Looks(ms) => {
                let at = self.boot_ms + self.up_to(ms + 1);
                self.at(at, Happening::Thread { fiber, generation });
            }
            Does::Asks(input) => self.soon(Happening::Input { process, input }),
            Does::Ends(end) => {
                self.tell(|| format!("== script `{fiber}` ends: {end:?}"));
                let input = if fiber.is_empty() {
                    Input::ScriptEnded(end)
                } else {
                    let id = self.armed_by(&fiber);
                    let Some(id) = id else { return };
                    let error = match end {
                        ScriptEnd::Done => None,
                        ScriptEnd::Stopped => Some("its time was over".to_owned()),
                        ScriptEnd::Error { reason, .. } => Some(reason),
                    };
                    Input::ClosureEnded { id, error }
                };
                self.soon(Happening::Input {
                    process,
                    input: Box::new(input),
                });
            }
            Does::Waits => {}
        }
    }

    pub(super) fn armed_by(&self, fiber: &str) -> Option<CallId> {
        let controller = self.controller.as_ref()?;
        let armed = controller
            .core
            .armed()
            .iter()
            .find(|a| a.id.back_out_fiber() == fiber);
        armed.map(|a| a.id.clone())
    }

    pub(super) fn look_again(&mut self, id: &CallId) {
        let Some(controller) = &self.controller else {
            return;
        };
        let process = controller.number;
        let Some(script) = controller.scripts.get(&id.fiber).filter(|s| s.awaits(id)) else {
            return;
        };
        let Some(pass) = script.verifies(&self.plan) else {
            return;
        };
        let verdict = if self.random.chance(pass) {
            Verdict::Pass
        } else {
            self.random.pick(&[
                Verdict::Fail,
                Verdict::NoData,
                Verdict::Error("it threw".into()),
            ])
        };
        let takes = self.random.pick(&[1, 50, 3 * SECOND]);
        let at = self.boot_ms + self.up_to(takes + 1);
        let input = Box::new(Input::Tried {
            id: id.clone(),
            verdict,
        });
        self.at(at, Happening::Input { process, input });
    }

    pub(super) fn sample(&mut self, id: CallId, timeout_ms: u64) {
        let bad = self.plan.programs.iter().flatten().find_map(|op| match op {
            Op::Watch(watch) => self.plan.bad.get(&watch.name).copied(),
            _ => None,
        });
        let verdict = if self.random.chance(bad.unwrap_or(0)) {
            self.random.pick(&[
                Verdict::Fail,
                Verdict::NoData,
                Verdict::Error("it threw".into()),
            ])
        } else {
            Verdict::Pass
        };
        let takes = if self.random.chance(self.mood.bad_samples) {
            20 * SECOND
        } else {
            50
        };
        let takes = self.random.below(takes + 1);
        let (verdict, takes) = if takes > timeout_ms {
            (Verdict::Error("it took too long".into()), timeout_ms)
        } else {
            (verdict, takes)
        };
        self.sequence += 1;
        let token = self.sequence;
        let Some(controller) = &mut self.controller else {
            return;
        };
        controller.samples.insert(id.clone(), token);
        controller.sampled_at.insert(id.clone(), self.boot_ms);
        let process = controller.number;
        let at = self.boot_ms.saturating_add_unsigned(takes);
        self.at(
            at,
            Happening::Sampled {
                process,
                id,
                token,
                verdict,
            },
        );
    }
}
