//! Where steps act.

use crate::supervisor::core::{Ended, Input, Try};
use crate::words::call::{Deed, Undo};
use crate::words::step::{Captured, CutOff, End, ProcessFact, StepEnd};

use super::super::plan::{MINUTE, SECOND};
use super::super::random::Random;
use super::super::script::Script;
use super::{BACK_OUT_GRACE_MS, Happening, Process, SCRIPT_WAIT_MS, Went, World, broken};

impl World {
    pub(super) fn start_step(&mut self, key: Try, limit_ms: u64) -> Went {
        if self.checker.stop.is_some() && !key.id.is_in_back_out() {
            return broken(format!("{key:?} acts after the stop"));
        }
        self.counts.steps += 1;
        let step = self
            .controller
            .as_ref()
            .and_then(|c| c.core.step_of(&key.id))
            .cloned();
        let Some(step) = step else {
            return broken(format!("{key:?} is not known"));
        };
        let own = matches!(step.deed, Deed::Own { .. });
        self.start_process(key, limit_ms, step.grace_ms, own)
    }

    pub(super) fn start_process(
        &mut self,
        key: Try,
        limit_ms: u64,
        grace_ms: u64,
        own: bool,
    ) -> Went {
        if self.closed {
            return broken(format!("{key:?} acts in a run that is not known whole"));
        }
        let was_void = match self.steps.get(&key) {
            // Somebody came to nothing there without the journal: whoever comes after does too.
            Some(before) if matches!(before.end, Ended::Void(_)) && !before.running => true,
            Some(_) => return broken(format!("{key:?} acts a second time")),
            None => false,
        };
        let beside = self
            .steps
            .iter()
            .find(|(other, p)| p.running && other.id.fiber == key.id.fiber);
        if let Some((other, _)) = beside {
            return broken(format!("{key:?} acts beside {other:?}"));
        }
        let random = &mut self.random;
        let mut process = Process {
            running: true,
            version: 0,
            end: Ended::Seen(Box::new(end_of(End::Exited { code: 0 }))),
            own,
            ignores_term: random.chance(20),
            grace_ms,
            acts: true,
            told_to_end: false,
        };
        let mut takes = match random.below(10) {
            0..=6 => random.between(1, 500),
            7..=8 => random.between(SECOND, MINUTE),
            _ => random.between(MINUTE, 30 * MINUTE),
        };
        if random.chance(self.mood.hung) && !own {
            takes = u64::MAX;
        }
        if random.chance(self.mood.void) || was_void {
            process.end = Ended::Void("the supervisor refused".into());
            process.acts = false;
            takes = 1;
        } else if random.chance(self.mood.failures) {
            process.end = Ended::Seen(Box::new(failed_end(random)));
            process.acts = !matches!(&process.end, Ended::Seen(end) if matches!(end.end, End::NotStarted { .. }));
        } else if random.chance(self.mood.lost) && !own {
            let mut end = end_of(End::Unseen);
            if random.chance(self.mood.survivors) {
                end.survivors.push(survivor());
            }
            process.end = Ended::Seen(Box::new(end));
        }
        if takes >= limit_ms && !own {
            takes = limit_ms
                + if process.ignores_term {
                    grace_ms
                } else {
                    random.below(100)
                };
            process.end = Ended::Seen(Box::new(
                self.cut_off(CutOff::Timeout, process.ignores_term),
            ));
        }
        let at = self.boot_ms.saturating_add_unsigned(takes);
        self.steps.insert(key.clone(), process);
        self.at(at, Happening::ProcessEnds { key, version: 0 });
        Ok(())
    }

    pub(super) fn cut_off(&mut self, why: CutOff, ignores_term: bool) -> StepEnd {
        let mut end = end_of(End::Signaled {
            signal: if ignores_term { 9 } else { 15 },
        });
        end.cut_off = Some(why);
        if ignores_term && self.random.chance(self.mood.survivors) {
            end.survivors.push(survivor());
        }
        end
    }

    pub(super) fn end_process(&mut self, key: &Try, now: bool) {
        let Some(process) = self.steps.get(key).filter(|p| p.running && !p.own) else {
            return;
        };
        let (ignores, grace) = (process.ignores_term, process.grace_ms);
        let end = Ended::Seen(Box::new(self.cut_off(CutOff::Stopped, ignores)));
        let takes = if ignores && !now {
            grace
        } else {
            self.random.between(1, 100)
        };
        let Some(process) = self.steps.get_mut(key) else {
            return;
        };
        process.version += 1;
        process.told_to_end = true;
        process.end = end;
        let (at, version) = (self.boot_ms.saturating_add_unsigned(takes), process.version);
        self.at(
            at,
            Happening::ProcessEnds {
                key: key.clone(),
                version,
            },
        );
    }

    pub(super) fn process_ends(&mut self, key: Try, version: u64) {
        let Some(process) = self
            .steps
            .get_mut(&key)
            .filter(|p| p.running && p.version == version)
        else {
            return;
        };
        process.running = false;
        let ended = process.end.clone();
        self.tell(|| format!("== {key:?} ended"));
        if let Some(number) = self.controller.as_ref().map(|c| c.number) {
            self.soon(Happening::Input {
                process: number,
                input: Box::new(Input::StepEnded { key, ended }),
            });
        }
    }

    pub(super) fn start_back_out(&mut self, key: Try, limit_ms: u64) -> Went {
        self.counts.back_outs += 1;
        // The closure of one that is taken up again finds its own step.
        let fiber = key.id.back_out_fiber();
        let acting = self
            .steps
            .iter()
            .find(|(other, p)| p.running && other.id.fiber != fiber);
        if let Some((other, _)) = acting {
            return broken(format!("the back-out {key:?} begins while {other:?} acts"));
        }
        let Some(controller) = &self.controller else {
            return Ok(());
        };
        let main = controller.scripts.get("");
        let waits = controller
            .stopped_at
            .is_none_or(|at| self.boot_ms < at + SCRIPT_WAIT_MS);
        if controller.core.stopping().is_some() && waits && !main.is_some_and(Script::has_ended) {
            return broken(format!(
                "the back-out {key:?} begins before the script has ended"
            ));
        }
        let armed = controller.core.armed().iter().find(|a| a.id == key.id);
        let undo = armed.map(|a| a.back_out.undo.clone());
        match undo {
            None => broken(format!("the back-out {key:?} is not known")),
            Some(Undo::Closure) => {
                let Some(Some(program)) = controller.undos.get(&key.id).copied() else {
                    if self.edited {
                        let (process, id) = (controller.number, key.id);
                        let error = Some("its closure could not be had again from the plan".into());
                        let input = Box::new(Input::ClosureEnded { id, error });
                        self.at(self.boot_ms, Happening::Input { process, input });
                        return Ok(());
                    }
                    return broken(format!("the closure of the back-out {key:?} is not there"));
                };
                let fiber = key.id.back_out_fiber();
                if controller
                    .scripts
                    .get(&fiber)
                    .is_some_and(|s| !s.has_ended())
                {
                    return broken(format!("the closure of the back-out {key:?} runs already"));
                }
                self.start_thread(fiber, program);
                Ok(())
            }
            Some(Undo::Command(_) | Undo::Restore | Undo::Nothing) => {
                self.start_process(key, limit_ms, BACK_OUT_GRACE_MS, false)
            }
        }
    }
}

pub(super) fn end_of(end: End) -> StepEnd {
    StepEnd {
        end,
        cut_off: None,
        duration_ms: 1,
        stdout: Captured::default(),
        stderr: Captured::default(),
        tail: String::new(),
        output_bytes: 0,
        dropped_bytes: 0,
        left_running: Vec::new(),
        killed: Vec::new(),
        survivors: Vec::new(),
    }
}

fn failed_end(random: &mut Random) -> StepEnd {
    let mut end = match random.below(10) {
        0 => end_of(End::NotStarted {
            error: "no such program".into(),
        }),
        1 => end_of(End::Signaled { signal: 11 }),
        _ => end_of(End::Exited { code: 1 }),
    };
    if matches!(end.end, End::Exited { .. }) {
        match random.below(10) {
            0 => end.cut_off = Some(CutOff::IdleTimeout),
            1 => {
                end.cut_off = Some(CutOff::AbortOn {
                    pattern: "ERROR".into(),
                    line: "ERROR".into(),
                })
            }
            _ => {}
        }
    }
    end
}

fn survivor() -> ProcessFact {
    ProcessFact {
        pid: 4711,
        state: 'D',
        command: "stuck".into(),
        holds_output: false,
    }
}
