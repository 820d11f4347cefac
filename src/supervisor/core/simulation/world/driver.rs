//! The driver's part, as in `supervisor/driver`: records before effects, and a journal that may fail.

use crate::supervisor::core::{Action, Ended, Input, NoLock, Try};
use crate::words::call::Answer;
use crate::words::event::Event;
use crate::words::outcome::RunOutcome;

use super::super::plan::SECOND;
use super::{Break, FLUSH_AFTER_MS, Happening, Went, World, broken};

impl World {
    pub(super) fn take(&mut self, input: Input) -> Went {
        self.inputs += 1;
        self.tell(|| format!("-> {input:?}"));
        let now = self.now();
        self.told_the_time |= input == Input::Time;
        let Some(controller) = &mut self.controller else {
            return Ok(());
        };
        let actions = controller.core.step(now, input);
        let timed = self.told_the_time;
        self.carry_out(actions)?;
        if timed && self.checker.stop.is_some() {
            let acting = self.steps.iter().find(|(key, p)| {
                p.running && !p.own && !p.told_to_end && !key.backs_out && !key.id.is_in_back_out()
            });
            if let Some((key, _)) = acting {
                return broken(format!("the run has stopped, and nobody ends {key:?}"));
            }
        }
        let long = self
            .controller
            .as_ref()
            .is_some_and(|c| c.heard.len() > 150);
        if self.random.chance(if long { 1 } else { 6 }) {
            self.compare_with_replay()?;
        }
        Ok(())
    }

    pub(super) fn carry_out(&mut self, actions: Vec<Action>) -> Went {
        let mut events = Vec::new();
        let mut actions = actions.into_iter();
        while let Some(action) = actions.next() {
            match action {
                Action::Record(event) => events.push(event),
                effect => {
                    if !self.write(&mut events)? {
                        return self
                            .on_journal_failure(std::iter::once(effect).chain(actions).collect());
                    }
                    self.crash_point()?;
                    self.perform(effect)?;
                }
            }
        }
        if self.write(&mut events)? {
            Ok(())
        } else {
            self.on_journal_failure(Vec::new())
        }
    }

    pub(super) fn open_with(&mut self, event: Event) -> Went {
        self.stamp(event)
    }

    pub(super) fn stamp(&mut self, event: Event) -> Went {
        let now = self.now();
        self.tell(|| format!("     {event:?}"));
        self.checker.take(&event, now, true)?;
        self.look_at_lock(&event)?;
        match &event {
            Event::Stopping { cause, .. } => drop(self.counts.seen.insert(format!("{cause:?}"))),
            other => drop(self.counts.seen.insert(other.kind().to_owned())),
        }
        let Some(controller) = &mut self.controller else {
            return Ok(());
        };
        if controller
            .gone_at
            .is_some_and(|input| input + 1 < self.inputs)
            && let Event::RunEnded { end } = &event
            && end.outcome == RunOutcome::BackedOut
        {
            return broken("backed out, and the journal is gone");
        }
        if controller.pending.is_empty() {
            controller.flush_at = now.boot_ms + FLUSH_AFTER_MS;
        }
        controller.heard.push((event.clone(), now));
        controller.pending.push((event, now.wall_ms));
        Ok(())
    }

    /// The lock is asked for again until it is had or its time is over.
    fn look_at_lock(&mut self, event: &Event) -> Went {
        let Some(controller) = &mut self.controller else {
            return Ok(());
        };
        if !matches!(event, Event::LockTaken { .. } | Event::Stopping { .. }) {
            return Ok(());
        }
        let asked = controller.lock_asked_at.take();
        let patience = self.plan.lock_wait_ms + 2 * SECOND;
        let late = asked.is_some_and(|at| at.saturating_add_unsigned(patience) < self.boot_ms);
        if late && self.mood.clocks == 0 {
            return broken("the lock was waited for too long");
        }
        Ok(())
    }

    pub(super) fn write(&mut self, events: &mut Vec<Event>) -> Result<bool, Break> {
        let urgent = events.iter().any(Event::is_urgent);
        for event in events.drain(..) {
            self.stamp(event)?;
        }
        if urgent { self.commit() } else { Ok(true) }
    }

    pub(super) fn commit(&mut self) -> Result<bool, Break> {
        self.crash_point()?;
        let Some(controller) = &mut self.controller else {
            return Ok(true);
        };
        if controller.gone {
            controller.pending.clear();
            return Ok(true);
        }
        match &mut self.journal_fails_in {
            Some(0) => {
                self.journal_fails_in = self.random.chance(30).then(|| self.random.below(20));
                self.counts.journal_failures += 1;
                self.tell(|| "== the journal cannot be written".into());
                return Ok(false);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let Some(controller) = &mut self.controller else {
            return Ok(true);
        };
        self.durable.append(&mut controller.pending);
        self.crash_point()?;
        Ok(true)
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Went {
        let waits = self
            .controller
            .as_ref()
            .is_some_and(|c| !c.pending.is_empty());
        if waits && !self.commit()? {
            return self.on_journal_failure(Vec::new());
        }
        Ok(())
    }

    /// As the driver's: the write is tried again, and either way nothing of the plan acts any more.
    pub(super) fn on_journal_failure(&mut self, dropped: Vec<Action>) -> Went {
        let recovers = self.random.chance(60);
        if recovers {
            self.crash_point()?;
            if let Some(controller) = &mut self.controller {
                self.durable.append(&mut controller.pending);
            }
        } else if let Some(controller) = &mut self.controller {
            controller.gone = true;
            controller.gone_at.get_or_insert(self.inputs);
            controller.pending.clear();
            controller.core.journal_is_gone();
        }
        let mut later = Vec::new();
        for action in dropped {
            match action {
                Action::StartStep { key, .. } if !key.id.is_in_back_out() => {
                    let ended = Ended::Void("the journal could not be written".into());
                    later.push(Input::StepEnded { key, ended });
                }
                Action::Record(event) => {
                    let _ = self.write(&mut vec![event])?;
                }
                Action::Answer { id, .. } if !id.is_in_back_out() => {
                    self.answer(&id, Answer::Stop);
                }
                effect => {
                    self.crash_point()?;
                    self.perform(effect)?;
                }
            }
        }
        self.take(Input::JournalFailed {
            detail: "no space".into(),
        })?;
        for input in later {
            self.take(input)?;
        }
        Ok(())
    }

    pub(super) fn perform(&mut self, action: Action) -> Went {
        self.tell(|| format!("  => {action:?}"));
        match action {
            Action::Record(_) => Ok(()),
            Action::StartStep { key, limit_ms } => self.start_step(key, limit_ms),
            Action::EndStep { key, now } => {
                self.end_process(&key, now);
                Ok(())
            }
            Action::BackOut { key, limit_ms, .. } => self.start_back_out(key, limit_ms),
            Action::EndClosure { id } => {
                let fiber = id.back_out_fiber();
                if let Some(controller) = &mut self.controller
                    && let Some(script) = controller.scripts.get_mut(&fiber)
                {
                    script.stop = true;
                }
                self.wake_thread(&fiber);
                let keys: Vec<Try> = self
                    .steps
                    .keys()
                    .filter(|k| k.id.fiber == fiber)
                    .cloned()
                    .collect();
                for key in keys {
                    self.end_process(&key, false);
                }
                Ok(())
            }
            Action::Answer { id, answer } => {
                if let Some(owed) = self.checker.owed {
                    return broken(format!("call {id} is answered before {owed} is recorded"));
                }
                let told = matches!(answer, Answer::Stop) || self.checker.answered.contains(&id);
                if !told {
                    return broken(format!(
                        "call {id} is answered, and no record says so: {answer:?}"
                    ));
                }
                self.answer(&id, answer);
                Ok(())
            }
            Action::Try { id } => {
                self.look_again(&id);
                Ok(())
            }
            // A failure of the journal may have come between.
            Action::Sample { .. } if self.checker.stop.is_some() => Ok(()),
            Action::Sample { id, timeout_ms } => {
                self.sample(id, timeout_ms);
                Ok(())
            }
            Action::TakeLock { .. } => {
                // The run must be there before it can have a lock.
                self.flush()?;
                let now = self.boot_ms;
                if let Some(controller) = &mut self.controller {
                    controller.lock_asked_at.get_or_insert(now);
                    if controller.lock_in_vain {
                        return broken("a lock that nobody gives back is waited for");
                    }
                }
                let answer = self.lock_answer();
                if let (Some(controller), Err(no)) = (&mut self.controller, &answer) {
                    controller.lock_in_vain = no.in_vain;
                }
                let Some(process) = self.controller.as_ref().map(|c| c.number) else {
                    return Ok(());
                };
                let input = Box::new(Input::Lock(answer));
                self.at(self.boot_ms, Happening::Input { process, input });
                Ok(())
            }
            Action::StopScript => {
                let now = self.boot_ms;
                if let Some(controller) = &mut self.controller {
                    controller.stopped_at.get_or_insert(now);
                    controller.samples.clear();
                    if let Some(script) = controller.scripts.get_mut("") {
                        script.stop = true;
                    }
                }
                self.wake_thread("");
                Ok(())
            }
            Action::Finish => {
                if let Some(controller) = &mut self.controller {
                    controller.finished = true;
                }
                Ok(())
            }
        }
    }

    /// The lock is another run's for a while; if the process of that run dies, until a person
    /// recovers it.
    fn lock_answer(&self) -> Result<(), NoLock> {
        if self.lock_free_at <= self.boot_ms {
            return Ok(());
        }
        let in_vain = self.lock_dies_at.is_some_and(|at| at <= self.boot_ms);
        Err(NoLock {
            holder: "another run has it".into(),
            in_vain,
        })
    }

    /// A thread that looks at something is told to stop that.
    pub(super) fn wake_thread(&mut self, fiber: &str) {
        let script = self.controller.as_ref().and_then(|c| c.scripts.get(fiber));
        // Some reads cannot be broken off.
        let deaf = self.random.chance(15);
        if let Some(generation) = script.map(|s| s.generation).filter(|_| !deaf) {
            self.soon(Happening::Thread {
                fiber: fiber.to_owned(),
                generation,
            });
        }
    }
}
