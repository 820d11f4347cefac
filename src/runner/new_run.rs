//! A plan is run.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::drive::{Inputs, Wired};
use super::frozen::Frozen;
use super::{Error, Runner, Summary, actor, given};
use crate::journal::{Holder, Journal, OwnerLock, RunId, Storage};
use crate::script::approval::Approval;
use crate::script::plan::Plan;
use crate::supervisor::core::{Core, Settings};
use crate::supervisor::driver::{Book, NewRunFacts};
use crate::supervisor::recorded::Recorded;
use crate::target::{environment, facts};
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::event::Event;

impl Runner {
    /// Runs a plan to its end.
    ///
    /// # Errors
    /// When the plan has errors or the journal cannot be used; nothing was done then.
    pub fn run(self, plan: Plan) -> Result<Summary, Error> {
        let mut this = self.prepare();
        let errors: Vec<Diagnostic> = this
            .check(&plan)
            .into_iter()
            .filter(|d| d.level == Level::Error)
            .collect();
        if !errors.is_empty() {
            return Err(Error::Check(errors));
        }
        let approval = this.approval(&plan)?;
        let frozen = Frozen {
            main: plan.main().to_owned(),
            root: plan.root().to_owned(),
            sources: plan.sources().clone(),
            args: this.args.clone(),
            override_window: this.settings.override_window.clone(),
            lock_wait_ms: this.settings.lock_wait_ms,
            env: environment::of_this_process(),
            approval: approval.clone(),
        };
        let holder = Holder::this_process(facts::user());
        let by = actor();
        let fingerprint = plan.fingerprint();
        let started = Event::RunStarted {
            by: by.clone(),
            deployrun: env!("CARGO_PKG_VERSION").to_owned(),
            plan: plan.root().join(plan.main()).display().to_string(),
            fingerprint: fingerprint.clone(),
            args: given(&this.args),
            boot_id: holder.boot_id.clone(),
            clock_injected: !this.clock.is_real(),
            approved: approval
                .as_ref()
                .map(|approval| approval.fingerprint.clone()),
            trace_parent: this.trace_parent.clone(),
        };
        let wall_ms = this.clock.now().wall_ms;
        let id = RunId::new(wall_ms, this.random.unwrap_or_else(random));
        let owner: Arc<std::sync::Mutex<Option<OwnerLock>>> = Arc::default();
        let (kept, state_dir, mine) = (owner.clone(), this.state_dir.clone(), holder.clone());
        let facts = NewRunFacts {
            id,
            name: plan.name(),
            fingerprint,
            frozen: serde_json::to_value(&frozen).unwrap_or(Value::Null),
            born: Box::new(move |run| {
                let lock = OwnerLock::take(&state_dir, run, &mine).map_err(|e| e.to_string())?;
                *kept
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(lock);
                Ok(())
            }),
        };
        let core = Core::new(Settings {
            name: plan.name(),
            ..this.settings.clone()
        });
        let runner = Wired {
            standby: std::mem::take(&mut this.standby),
            by,
            holder,
            recorded: Recorded::default(),
            core,
            begun_in: HashMap::new(),
        };
        let state_dir = this.state_dir.clone();
        let book = |report| {
            let journal = Journal::open(&state_dir)?;
            journal.preflight()?;
            Ok(Book::of_new_run(journal, facts, report))
        };
        let inputs = Inputs {
            args: frozen.args,
            env: frozen.env,
            approval,
        };
        let mut opening = vec![started];
        opening.extend(this.warning_of_storage());
        this.drive(plan, inputs, runner, book, opening, Vec::new())
    }

    /// A warning if the journal is not where it survives. A run on an injected clock is a trial: it has
    /// nothing to survive.
    fn warning_of_storage(&self) -> Option<Event> {
        // What cannot be looked at is refused when the journal is opened.
        let storage = Storage::of(&self.state_dir).ok()?;
        let lost_with = storage.lost_with().filter(|_| self.clock.is_real())?;
        Some(Event::Note {
            warning: true,
            text: format!(
                "the journal in {} lies on {}: {lost_with} takes it away, and with it the way back; \
                 --state or DEPLOYRUN_STATE puts it elsewhere",
                self.state_dir.display(),
                storage.file_system
            ),
        })
    }

    /// What is approved with the plan, if it was; fails if it is not that plan.
    fn approval(&self, plan: &Plan) -> Result<Option<Approval>, Error> {
        let Some(approved) = &self.approved else {
            return Ok(None);
        };
        let now = Approval::of(plan, &self.args, self.settings.override_window.as_deref());
        if now.is(&approved.to_ascii_lowercase()) {
            return Ok(Some(now));
        }
        Err(Error::NotApproved {
            approved: approved.clone(),
            now: now.fingerprint,
        })
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => std::process::id(),
    }
}
