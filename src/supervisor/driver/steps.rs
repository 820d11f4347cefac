//! Starting, ending and finding the processes of steps and back-outs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;

use crate::supervisor::core::{Action, Ended, Input, Try};
use crate::supervisor::fiber::Message;
use crate::target::changes::{ChangeTask, RestoreTask};
use crate::target::environment;
use crate::target::files::{self, PutTask};
use crate::target::local::{Ending, Found, Running, Standing, StepDir};
use crate::target::tries;
use crate::words::call::{Call, Command, Deed, Step, Undo};
use crate::words::event::json_text;
use crate::words::outcome::Outcome;
use crate::words::step::{End, StepEnd, StepSpec};

use super::diagnostics::try_words;
use super::{Driver, Scripts};

/// A step whose process runs.
pub(super) enum StepInFlight {
    /// Under a step supervisor.
    Process(Arc<Running>),
    /// A function of the embedding program, which nobody can end.
    Own,
}

/// How long after its time and its grace a step may take to end: as long as the supervisor waits for those
/// that cannot be killed, and more.
const OVERDUE: Duration = Duration::from_secs(20);
/// How much later than the run itself a step's supervisor ends it for the deadline or the window.
const STOP_SLACK_MS: u64 = 500;
/// Bytes of a back-out's output that are kept.
const BACK_OUT_OUTPUT: u64 = 1 << 30;
/// Milliseconds between TERM and KILL of a back-out whose time is over.
const BACK_OUT_GRACE_MS: u64 = 10_000;

impl<S: Scripts> Driver<S> {
    pub(super) fn start_step(&mut self, key: Try, limit_ms: u64) {
        let Some(Call::Step(step)) = self.raw.get(&key.id).cloned() else {
            let reason = "what it does is not known any more".to_owned();
            return self.tell(Input::StepEnded {
                key,
                ended: Ended::Void(reason),
            });
        };
        if let Deed::Own { name, args } = &step.deed {
            return self.start_own(key, name, args.clone());
        }
        // The run's own stop comes first; the supervisor's is for a controller that is dead.
        let slack_ms = if self.core.stops_at_limit(&key.id) {
            STOP_SLACK_MS
        } else {
            0
        };
        let spec = self.spec(&key, &step, limit_ms.saturating_add(slack_ms));
        self.start(key, &spec);
    }

    /// Makes the directory of a step or back-out that is about to be journalled as started. If that
    /// cannot be, it cannot be started either.
    pub(super) fn make_dir_for(&self, action: &Action) {
        let key = match action {
            Action::StartStep { key, .. } => key,
            Action::BackOut { key, .. } if !self.is_undone_by_closure(key) => key,
            _ => return,
        };
        let _ = StepDir::new(self.book.dir().join(key.directory())).make();
    }

    fn is_undone_by_closure(&self, key: &Try) -> bool {
        let armed = self.core.armed();
        let its = armed.iter().find(|armed| armed.id == key.id);
        its.is_none_or(|armed| armed.back_out.undo == Undo::Closure)
    }

    fn start(&mut self, key: Try, spec: &StepSpec) {
        let dir = StepDir::new(self.book.dir().join(key.directory()));
        match self.standby.start(dir.path(), spec) {
            Ok(running) => {
                tracing::debug!("process: {} in {}", try_words(&key), dir.path().display());
                let ends = spec.timeout_ms.saturating_add(spec.grace_ms);
                self.await_end(key, dir, running, Some(Duration::from_millis(ends)));
            }
            Err(error) => {
                tracing::warn!("process: {} can't be started: {error}", try_words(&key));
                let ended = Ended::Void(error.to_string());
                self.tell(Input::StepEnded { key, ended });
            }
        }
    }

    fn tell(&self, input: Input) {
        let _ = self.to_self.send(Message::Tell(input));
    }

    /// Sends word when the step is over, and when its supervisor has not ended it long after `ends`.
    fn await_end(&mut self, key: Try, dir: StepDir, running: Running, ends: Option<Duration>) {
        let running = Arc::new(running);
        self.steps
            .insert(key.clone(), StepInFlight::Process(running.clone()));
        let (tell, begun_in) = (self.to_self.clone(), self.boot_of(&key));
        tokio::spawn(async move {
            #[expect(
                deprecated,
                reason = "the descriptor lives and stays the same in its Arc"
            )]
            let fd = AsyncFd::with_interest(running.clone(), Interest::READABLE);
            let over = match fd {
                Ok(fd) => tokio::select! {
                    over = over(&fd) => over,
                    () = overdue(&key, &running, ends, &tell) => over(&fd).await,
                },
                Err(error) => Err(error),
            };
            if over.is_err() {
                let running = running.clone();
                let _ = tokio::task::spawn_blocking(move || running.wait()).await;
            }
            let ended = if dir.path().join("exit").exists() {
                let ended = ended(&dir, &begun_in, &running);
                // The driver takes it back, and has to be the only one that holds it.
                drop(running);
                ended
            } else {
                // What a lost step left running is ended first, and that takes its time.
                tokio::task::spawn_blocking(move || ended(&dir, &begun_in, &running))
                    .await
                    .unwrap_or_else(|_| unseen())
            };
            let _ = tell.send(Message::Tell(Input::StepEnded { key, ended }));
        });
    }

    fn start_own(&mut self, key: Try, name: &str, args: Vec<serde_json::Value>) {
        let Some(own) = self.scripts.own(name) else {
            let reason = format!("the function `{name}` is not registered");
            return self.tell(Input::StepEnded {
                key,
                ended: Ended::Void(reason),
            });
        };
        if key.id.is_in_back_out() {
            // Should the journal not know of it, its directory does. On a full disk nothing can.
            let _ = tries::note_own(&self.book.dir().join(key.directory()));
        }
        self.steps.insert(key.clone(), StepInFlight::Own);
        let (tell, secrets) = (self.to_self.clone(), self.shared.secrets.clone());
        tokio::task::spawn_blocking(move || {
            let since = std::time::Instant::now();
            let call = std::panic::AssertUnwindSafe(|| own(&args));
            let result =
                std::panic::catch_unwind(call).unwrap_or_else(|_| Err("it panicked".into()));
            let mut end = blank_end();
            end.duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            match result {
                Ok(value) => end.stdout.text = secrets.mask(&json_text(&value)),
                Err(problem) => {
                    let error = secrets.mask(&problem);
                    // Of several lines the message has the first; the tail has them all.
                    if error.lines().nth(1).is_some() {
                        end.tail.clone_from(&error);
                    }
                    end.end = End::Failed { error };
                }
            }
            let ended = Ended::Seen(Box::new(end));
            let _ = tell.send(Message::Tell(Input::StepEnded { key, ended }));
        });
    }

    /// The step is over: its supervisor may have the next one.
    pub(super) fn step_is_over(&mut self, key: &Try) {
        if let Some(StepInFlight::Process(running)) = self.steps.remove(key)
            && let Some(running) = Arc::into_inner(running)
        {
            self.standby.take_back(running);
        }
    }

    pub(super) fn end_step(&mut self, key: &Try, now: bool) {
        if let Some(StepInFlight::Process(running)) = self.steps.get(key) {
            // One that has ended already is not an error; one that may not be signalled is ended
            // by its own timeout.
            let _ = running.end(if now { Ending::Now } else { Ending::WithGrace });
        }
    }

    pub(super) fn end_steps_of(&mut self, fiber: &str) {
        let keys: Vec<Try> = self
            .steps
            .keys()
            .filter(|k| k.id.fiber == fiber)
            .cloned()
            .collect();
        for key in keys {
            self.end_step(&key, false);
        }
    }

    pub(super) fn start_back_out(&mut self, key: Try, limit_ms: u64, outcome: Option<Outcome>) {
        let armed = self.shared.undo(&key.id);
        let back_out = match &armed {
            Some(armed) => armed.back_out.clone(),
            // The script could not be replayed: what the journal has will do, unless it is masked.
            None => match self.core.armed().iter().find(|a| a.id == key.id) {
                Some(armed) => armed.back_out.clone(),
                None => return self.refuse_back_out(key, "it is not known any more"),
            },
        };
        match back_out.undo {
            Undo::Closure => {
                let Some(closure) = armed.and_then(|armed| armed.closure) else {
                    let input = Input::ClosureEnded {
                        id: key.id,
                        error: Some("its closure could not be had again from the plan".into()),
                    };
                    return self.tell(input);
                };
                if let Err(error) = self.scripts.start_back_out(&key.id, closure, outcome) {
                    let error = Some(format!("no thread could be started: {error}"));
                    self.tell(Input::ClosureEnded { id: key.id, error });
                }
            }
            Undo::Command(command) => {
                let step = self.step_undone(&key);
                let env = step.iter().flat_map(|s| s.env.values());
                let mut texts = env.cloned().chain([command.to_string()]);
                if armed.is_none() && texts.any(|text| text.contains("***")) {
                    return self.refuse_back_out(
                        key,
                        "its command or its environment holds a secret that is not known",
                    );
                }
                let cwd = step.as_ref().and_then(|step| step.cwd.as_deref());
                let cwd = self.directory_of(cwd);
                let spec = self.back_out_spec(&key, (command.argv(), None), cwd, limit_ms, outcome);
                self.start(key, &spec);
            }
            Undo::Restore => {
                let Some((path, from)) = self.changed_paths(&key) else {
                    return self.refuse_back_out(key, "what it puts back is not known");
                };
                let task = RestoreTask {
                    path,
                    from,
                    dirs: self.step_dirs(&key),
                };
                let what = this_program(files::RESTORE, &task);
                let spec = self.back_out_spec(&key, what, anywhere(), limit_ms, outcome);
                self.start(key, &spec);
            }
            Undo::Nothing => {
                let ended = Ended::Seen(Box::new(blank_end()));
                self.tell(Input::StepEnded { key, ended });
            }
        }
    }

    fn refuse_back_out(&self, key: Try, why: &str) {
        let mut end = blank_end();
        end.end = End::NotStarted {
            error: why.to_owned(),
        };
        self.tell(Input::StepEnded {
            key,
            ended: Ended::Seen(Box::new(end)),
        });
    }

    /// What a step changed, and from where it moved it there.
    fn changed_paths(&self, key: &Try) -> Option<(PathBuf, Option<PathBuf>)> {
        let (path, from) = self.core.step_of(&key.id)?.deed.changes()?;
        Some((path.into(), from.map(Into::into)))
    }

    /// The directory of a step's first try: it keeps what was there before.
    fn first_dir(&self, key: &Try) -> PathBuf {
        let first = Try {
            attempt: 1,
            ..key.clone()
        };
        self.book.dir().join(first.directory())
    }

    /// The directories of all tries of the step that a back-out undoes, oldest first.
    fn step_dirs(&self, key: &Try) -> Vec<PathBuf> {
        let last = self.core.attempts_of(&key.id);
        let name = |attempt| {
            Try {
                id: key.id.clone(),
                attempt,
                backs_out: false,
            }
            .directory()
        };
        (1..=last)
            .map(|attempt| self.book.dir().join(name(attempt)))
            .collect()
    }

    fn spec(&self, key: &Try, step: &Step, limit_ms: u64) -> StepSpec {
        let mut env = self.env(key);
        if let Some(user) = &step.user {
            environment::become_user(&mut env, user);
        }
        env.extend(step.env.clone());
        let (argv, stdin) = match &step.deed {
            Deed::Command(command) => (command.argv(), step.stdin.clone()),
            Deed::PutFile(file) => {
                let task = PutTask {
                    file: file.clone(),
                    keep: self.first_dir(key),
                };
                this_program(files::PUT, &task)
            }
            Deed::ChangeFile(change) => {
                let task = ChangeTask {
                    change: change.clone(),
                    keep: self.first_dir(key),
                };
                this_program(files::CHANGE, &task)
            }
            Deed::Own { .. } => (Command::Argv(Vec::new()).argv(), None),
        };
        StepSpec {
            run: self.book.run().to_owned(),
            step: key.directory(),
            argv,
            env,
            cwd: match &step.deed {
                Deed::PutFile(_) | Deed::ChangeFile(_) => anywhere(),
                Deed::Command(_) | Deed::Own { .. } => self.directory_of(step.cwd.as_deref()),
            },
            stdin,
            user: step.user.clone(),
            timeout_ms: limit_ms,
            idle_timeout_ms: step.idle_timeout_ms,
            grace_ms: step.grace_ms,
            abort_on: step.abort_on.clone(),
            success_codes: step.codes.clone(),
            max_output: step.max_output,
            secrets: self.shared.secrets.values(),
        }
    }

    fn back_out_spec(
        &self,
        key: &Try,
        (argv, stdin): (Vec<String>, Option<String>),
        cwd: PathBuf,
        limit_ms: u64,
        outcome: Option<Outcome>,
    ) -> StepSpec {
        let mut env = self.env(key);
        if let Some(outcome) = outcome {
            env.insert("DEPLOYRUN_STEP_OUTCOME".into(), outcome.word().into());
        }
        let step = self.step_undone(key);
        if let Some(step) = &step {
            if let Some(user) = &step.user {
                environment::become_user(&mut env, user);
            }
            env.extend(step.env.clone());
        }
        StepSpec {
            run: self.book.run().to_owned(),
            step: key.directory(),
            argv,
            env,
            cwd,
            stdin,
            user: step.and_then(|s| s.user.clone()),
            timeout_ms: limit_ms,
            idle_timeout_ms: None,
            grace_ms: BACK_OUT_GRACE_MS,
            abort_on: Vec::new(),
            success_codes: vec![0],
            max_output: BACK_OUT_OUTPUT,
            secrets: self.shared.secrets.values(),
        }
    }

    /// The working directory of a command: the plan's own, or one that counts from there.
    fn directory_of(&self, named: Option<&str>) -> PathBuf {
        named.map_or_else(|| self.setup.root.clone(), |dir| self.setup.root.join(dir))
    }

    /// The step that a back-out undoes: as the script made it, secrets and all, else as the journal
    /// has it.
    fn step_undone(&self, key: &Try) -> Option<Step> {
        let armed = self.shared.undo(&key.id).and_then(|armed| armed.step);
        let recorded = || self.core.step_of(&key.id).cloned();
        armed.map(|step| *step).or_else(recorded)
    }

    /// What every step finds in its environment.
    fn env(&self, key: &Try) -> BTreeMap<String, String> {
        let header = self.core.header();
        let mut env = self.shared.env.clone();
        env.insert("DEPLOYRUN_RUN".into(), self.book.run().to_owned());
        env.insert("DEPLOYRUN_CALL".into(), key.id.to_string());
        env.insert("DEPLOYRUN_ATTEMPT".into(), key.attempt.to_string());
        for (name, value) in [
            ("DEPLOYRUN_NAME", &header.name),
            ("DEPLOYRUN_VERSION", &header.version),
            ("DEPLOYRUN_ENVIRONMENT", &header.environment),
        ] {
            if !value.is_empty() {
                env.insert(name.into(), value.clone());
            }
        }
        env
    }

    /// The boot under which a try was started.
    fn boot_of(&self, key: &Try) -> String {
        self.setup
            .begun_in
            .get(key)
            .unwrap_or(&self.setup.boot_id)
            .clone()
    }

    /// Finds out what became of the steps that another process had started.
    pub(super) fn find_in_flight(&mut self) {
        for key in self.core.in_flight() {
            let dir = StepDir::new(self.book.dir().join(key.directory()));
            match dir.find(&self.boot_of(&key)) {
                Ok(Found::Running(running)) => self.await_end(key, dir, running, None),
                found => {
                    let own = self
                        .core
                        .step_of(&key.id)
                        .is_some_and(|step| matches!(step.deed, Deed::Own { .. }));
                    let ended = if own && !key.backs_out {
                        unseen()
                    } else {
                        told(found)
                    };
                    self.take(Input::StepEnded { key, ended });
                }
            }
        }
    }
}

/// The working directory of what names all its paths whole, as this program does when it changes files:
/// it can be put back when the plan's directory is gone.
fn anywhere() -> PathBuf {
    PathBuf::from("/")
}

/// This program as a command, with what it reads on its standard input.
fn this_program(name: &str, task: &impl serde::Serialize) -> (Vec<String>, Option<String>) {
    let argv = vec![files::THIS_PROGRAM.to_owned(), name.to_owned()];
    (argv, Some(json_text(task)))
}

/// Waits until a step should long be over, wakes its supervisor and says so. It has nothing to say of a step
/// whose end is not known.
async fn overdue(
    key: &Try,
    running: &Running,
    ends: Option<Duration>,
    tell: &UnboundedSender<Message>,
) {
    let Some(ends) = ends else {
        return std::future::pending().await;
    };
    tokio::time::sleep(ends.saturating_add(OVERDUE)).await;
    running.wake();
    let what = if key.backs_out { "back-out" } else { "step" };
    let text = format!(
        "the supervisor of {what} [{}] has not ended it in time; if it was stopped, it goes on now; \
         `ps` shows it as deployrun __supervise",
        key.id
    );
    let _ = tell.send(Message::Note(text));
}

/// Waits until a step is over.
async fn over(fd: &AsyncFd<Arc<Running>>) -> std::io::Result<()> {
    loop {
        let mut ready = fd.readable().await?;
        match fd.get_ref().standing()? {
            Standing::Over => return Ok(()),
            Standing::Runs => ready.clear_ready(),
            Standing::Dying => {
                let process = fd.get_ref().process();
                #[expect(deprecated, reason = "the descriptor is borrowed for as long")]
                let process = AsyncFd::with_interest(process, Interest::READABLE)?;
                drop(process.readable().await?);
                return Ok(());
            }
        }
    }
}

fn ended(dir: &StepDir, begun_in: &str, running: &Running) -> Ended {
    match (dir.find(begun_in), running.refusal()) {
        (Ok(Found::NeverStarted), Some(why)) => Ended::Void(why.to_owned()),
        (found, _) => told(found),
    }
}

fn told(found: Result<Found, crate::target::local::FindError>) -> Ended {
    match found {
        Ok(Found::Ended(end)) => Ended::Seen(end),
        Ok(Found::NeverStarted) => Ended::Void("its supervisor never began".into()),
        Ok(Found::Lost { why, survivors, .. }) => {
            let mut end = blank_end();
            end.end = End::Unseen;
            end.tail = why.words().to_owned();
            end.survivors = survivors;
            Ended::Seen(Box::new(end))
        }
        Ok(Found::Running(_)) => unseen(),
        Err(error) => {
            let mut end = blank_end();
            end.end = End::Unseen;
            end.tail = error.to_string();
            Ended::Seen(Box::new(end))
        }
    }
}

fn unseen() -> Ended {
    let mut end = blank_end();
    end.end = End::Unseen;
    Ended::Seen(Box::new(end))
}

fn blank_end() -> StepEnd {
    StepEnd {
        end: End::Exited { code: 0 },
        cut_off: None,
        duration_ms: 0,
        stdout: crate::words::step::Captured::default(),
        stderr: crate::words::step::Captured::default(),
        tail: String::new(),
        output_bytes: 0,
        dropped_bytes: 0,
        left_running: Vec::new(),
        killed: Vec::new(),
        survivors: Vec::new(),
    }
}
