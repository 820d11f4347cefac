//! What steps and back-outs do in a world that is only pretended.

use std::path::Path;

use crate::supervisor::core::{Ended, Input, Try};
use crate::target::pretended::{CommandAnswer, CommandCall};
use crate::words::call::{BackOut, Call, CallId, Change, Command, Deed, FileChange, Step, Undo};
use crate::words::event::json_text;
use crate::words::outcome::Outcome;
use crate::words::step::{Captured, CutOff, End, StepEnd};

use super::{Fault, Misfortune, PretendedDriver};

/// How much later than the run itself a step ends for the deadline or the window.
const STOP_SLACK_MS: u64 = 500;
/// Lines of output that a report has.
const TAIL_LINES: usize = 200;

impl PretendedDriver {
    pub(super) fn start(&self, key: Try, limit_ms: u64) {
        let (step, slack_ms) = {
            let state = self.state();
            let Some(Call::Step(step)) = state.raw.get(&key.id).cloned() else {
                drop(state);
                let reason = "what it does is not known any more".to_owned();
                let ended = Ended::Void(reason);
                return self.later(0, Input::StepEnded { key, ended });
            };
            let slack = state.core.stops_at_limit(&key.id);
            (step, if slack { STOP_SLACK_MS } else { 0 })
        };
        let in_back_out = key.id.is_in_back_out();
        if !in_back_out {
            self.world.about_to_act();
        }
        let fault = if in_back_out {
            None
        } else {
            super::lock(&self.faults).strike(&step, &deed_text(&step.deed))
        };
        if let Some(fault) = fault {
            return self.go_wrong(key, &step, &fault, limit_ms);
        }
        let end = self.act(&key, &step, limit_ms);
        // One that is cut off by the run's own limit is ended by the run.
        let wait_ms = end.duration_ms;
        let wait_ms = if wait_ms >= limit_ms {
            wait_ms + slack_ms
        } else {
            wait_ms
        };
        let ended = Ended::Seen(Box::new(end));
        self.later(wait_ms, Input::StepEnded { key, ended });
    }

    fn go_wrong(&self, key: Try, step: &Step, fault: &Fault, limit_ms: u64) {
        let mut end = if fault.done {
            self.act(&key, step, limit_ms)
        } else {
            self.keep_former(&key.id, step);
            blank_end()
        };
        match &fault.what {
            Misfortune::Fails {
                code,
                stdout,
                stderr,
            } => {
                end.end = End::Exited { code: *code };
                end.cut_off = None;
                printed(&mut end, stdout, stderr);
            }
            Misfortune::Unknown => end.end = End::Unseen,
            Misfortune::TimesOut => {
                end.cut_off = Some(CutOff::Timeout);
                end.duration_ms = limit_ms;
            }
            Misfortune::Interrupted => {
                let signal = "SIGINT".to_owned();
                return self.later(0, Input::Interrupt { signal });
            }
            Misfortune::Killed => return self.die(),
        }
        let duration_ms = end.duration_ms;
        let ended = Ended::Seen(Box::new(end));
        self.later(duration_ms, Input::StepEnded { key, ended });
    }

    fn act(&self, key: &Try, step: &Step, limit_ms: u64) -> StepEnd {
        match &step.deed {
            Deed::Command(command) => {
                let call = self.call_of(key, step, command.clone());
                self.command_end(&call, step, limit_ms)
            }
            Deed::PutFile(file) => {
                self.keep_former(&key.id, step);
                file_end(self.world.put(file))
            }
            Deed::ChangeFile(change) => {
                let changed = self.world.change_file(&self.kept(&key.id), change);
                file_end(changed)
            }
            Deed::Own { name, args } => {
                let mut end = blank_end();
                match self.scripts().and_then(|scripts| scripts.own(name, args)) {
                    Some(Ok(value)) => end.stdout.text = json_text(&value),
                    Some(Err(error)) => end.end = End::Failed { error },
                    None => {
                        let error = format!("the function `{name}` is not registered");
                        end.end = End::NotStarted { error };
                    }
                }
                end
            }
        }
    }

    /// Keeps what is at the path of a file that is about to be put; the first try counts.
    fn keep_former(&self, id: &CallId, step: &Step) {
        if let Deed::PutFile(file) = &step.deed {
            self.world.keep(&self.kept(id), Path::new(&file.path));
        }
    }

    /// Under which name the former file of a call is kept.
    fn kept(&self, id: &CallId) -> String {
        format!("{} {id}", self.name)
    }

    fn call_of(&self, key: &Try, step: &Step, command: Command) -> CommandCall {
        let mut env = step.env.clone();
        env.insert("DEPLOYRUN_CALL".into(), key.id.to_string());
        CommandCall {
            command,
            stdin: step.stdin.clone(),
            cwd: step
                .cwd
                .as_ref()
                .map_or_else(|| self.root.clone(), |dir| self.root.join(dir)),
            env,
            user: step.user.clone(),
            acts: true,
        }
    }

    fn command_end(&self, call: &CommandCall, step: &Step, limit_ms: u64) -> StepEnd {
        let Some(answer) = self.world.command(call) else {
            return stopped_end();
        };
        let mut end = ended_by(&answer, limit_ms);
        for pattern in &step.abort_on {
            let Ok(regex) = regex::Regex::new(pattern) else {
                continue;
            };
            let lines = answer.stdout.lines().chain(answer.stderr.lines());
            if let Some(line) = lines.into_iter().find(|line| regex.is_match(line)) {
                let (pattern, line) = (pattern.clone(), line.to_owned());
                end.cut_off = Some(CutOff::AbortOn { pattern, line });
                break;
            }
        }
        if end.cut_off.is_none()
            && let Some(idle_ms) = step.idle_timeout_ms.filter(|ms| *ms < answer.duration_ms)
        {
            end.cut_off = Some(CutOff::IdleTimeout);
            end.duration_ms = idle_ms;
        }
        end
    }

    pub(super) fn start_back_out(&self, key: Try, limit_ms: u64, outcome: Option<Outcome>) {
        let armed = self.scripts().and_then(|scripts| scripts.undo(&key.id));
        let recorded: Option<BackOut> = {
            let state = self.state();
            let known = state.core.armed().iter().find(|a| a.id == key.id);
            known.map(|known| known.back_out.clone())
        };
        let Some(back_out) = armed.as_ref().map(|a| a.back_out.clone()).or(recorded) else {
            let ended = Ended::Void("it is not known any more".into());
            return self.later(0, Input::StepEnded { key, ended });
        };
        let end = match back_out.undo {
            Undo::Closure => {
                let error = match self.scripts() {
                    Some(scripts) => scripts.back_out(&key.id, outcome),
                    None => Some("its closure could not be had again from the plan".into()),
                };
                self.state().in_flight.remove(&key);
                return self.later(0, Input::ClosureEnded { id: key.id, error });
            }
            Undo::Command(command) => {
                let step = armed.and_then(|armed| armed.step);
                let mut call = CommandCall {
                    command,
                    stdin: None,
                    cwd: self.root.clone(),
                    env: std::collections::BTreeMap::new(),
                    user: None,
                    acts: true,
                };
                if let Some(step) = step {
                    let of_step = self.call_of(&key, &step, call.command.clone());
                    (call.cwd, call.env, call.user) = (of_step.cwd, of_step.env, of_step.user);
                }
                if let Some(outcome) = outcome {
                    let word = outcome.word().to_owned();
                    call.env.insert("DEPLOYRUN_STEP_OUTCOME".into(), word);
                }
                match self.world.command(&call) {
                    Some(answer) => ended_by(&answer, limit_ms),
                    None => stopped_end(),
                }
            }
            Undo::Restore => {
                let mut end = blank_end();
                printed(&mut end, &self.world.put_back(&self.kept(&key.id)), "");
                end
            }
            Undo::Nothing => blank_end(),
        };
        let duration_ms = end.duration_ms;
        let ended = Ended::Seen(Box::new(end));
        self.later(duration_ms, Input::StepEnded { key, ended });
    }
}

/// What a step does, in one line.
pub(super) fn deed_text(deed: &Deed) -> String {
    match deed {
        Deed::Command(command) => command.to_string(),
        Deed::PutFile(file) => match &file.source {
            Some(source) => format!("upload {source} to {}", file.path),
            None => format!("write {}", file.path),
        },
        Deed::ChangeFile(FileChange { path, change, .. }) => match change {
            Change::Keep { .. } => format!("keep {path}"),
            Change::Remove => format!("remove {path}"),
            Change::Link { to } => format!("link {path} to {to}"),
            Change::Directory { .. } => format!("make the directory {path}"),
            Change::Mode { mode } => format!("set the mode of {path} to {mode:04o}"),
            Change::Owner { owner, .. } => format!("give {path} to {owner}"),
            Change::Copy { from } => format!("copy {from} to {path}"),
            Change::Move { from } => format!("move {from} to {path}"),
            Change::Unpack { archive, .. } => format!("unpack {archive} to {path}"),
        },
        Deed::Own { name, .. } => name.clone(),
    }
}

/// The end of a step that changed a file, or could not.
fn file_end(changed: Result<bool, String>) -> StepEnd {
    let mut end = blank_end();
    match changed {
        Ok(true) => {}
        Ok(false) => printed(&mut end, "unchanged\n", ""),
        Err(problem) => {
            end.end = End::Exited { code: 1 };
            printed(&mut end, "", &format!("{problem}\n"));
        }
    }
    end
}

fn ended_by(answer: &CommandAnswer, limit_ms: u64) -> StepEnd {
    let mut end = blank_end();
    end.end = match &answer.missing {
        Some(error) => End::NotStarted {
            error: error.clone(),
        },
        None => End::Exited { code: answer.code },
    };
    end.duration_ms = answer.duration_ms;
    if answer.duration_ms > limit_ms {
        end.cut_off = Some(CutOff::Timeout);
        end.duration_ms = limit_ms;
    }
    printed(&mut end, &answer.stdout, &answer.stderr);
    end
}

fn printed(end: &mut StepEnd, stdout: &str, stderr: &str) {
    let captured = |text: &str| Captured {
        text: text.to_owned(),
        cut: false,
    };
    (end.stdout, end.stderr) = (captured(stdout), captured(stderr));
    let all = format!("{stdout}{stderr}");
    let lines: Vec<&str> = all.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    end.tail = lines.get(from..).unwrap_or_default().join("\n");
    end.output_bytes = all.len() as u64;
}

pub(super) fn blank_end() -> StepEnd {
    StepEnd {
        end: End::Exited { code: 0 },
        cut_off: None,
        duration_ms: 0,
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

/// The end of a step that was ended because the run stops.
pub(super) fn stopped_end() -> StepEnd {
    StepEnd {
        end: End::Signaled { signal: 15 },
        cut_off: Some(CutOff::Stopped),
        ..blank_end()
    }
}

/// The end of a try that was in flight when the controller was killed.
pub(super) fn lost_end() -> Ended {
    Ended::Seen(Box::new(StepEnd {
        end: End::Unseen,
        ..blank_end()
    }))
}
