//! One run, from what it was given to its end.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Error, Runner, Summary};
use crate::journal::Holder;
use crate::script::approval::Approval;
use crate::script::engine::Surroundings;
use crate::script::plan::Plan;
use crate::script::run::PlanScripts;
use crate::script::value::from_json;
use crate::supervisor::core::{Core, Input, Try};
use crate::supervisor::driver::{Book, Driver, Report, Setup};
use crate::supervisor::fiber::Shared;
use crate::supervisor::recorded::Recorded;
use crate::target::changes;
use crate::target::host::ThisMachine;
use crate::target::local::Standby;
use crate::words::event::{Actor, Event};
use crate::words::outcome::RunOutcome;

/// What a run was given, and keeps when it is taken up.
pub(super) struct Inputs {
    pub(super) args: Value,
    pub(super) env: BTreeMap<String, String>,
    pub(super) approval: Option<Approval>,
}

/// What differs between a new run and one that is taken up.
pub(super) struct Wired {
    pub(super) standby: Standby,
    pub(super) by: Actor,
    pub(super) holder: Holder,
    pub(super) recorded: Recorded,
    pub(super) core: Core,
    pub(super) begun_in: HashMap<Try, String>,
}

impl Runner {
    pub(super) fn drive(
        self,
        plan: Plan,
        inputs: Inputs,
        wired: Wired,
        book: impl FnOnce(Box<dyn Report>) -> Result<Book, Error>,
        opening: Vec<Event>,
        first: Vec<Input>,
    ) -> Result<Summary, Error> {
        let (to_driver, inbox) = tokio::sync::mpsc::unbounded_channel();
        let Wired {
            standby,
            by,
            holder,
            recorded,
            core,
            begun_in,
        } = wired;
        let Inputs {
            args,
            env,
            approval,
        } = inputs;
        let shared = Shared::new(
            Arc::new(to_driver.clone()),
            Arc::new(ThisMachine),
            recorded,
            self.clock.clone(),
            env,
            plan.name(),
        );
        let approved = approval.map(|approval| approval.files);
        let shared = Arc::new(shared.approving(approved.unwrap_or_default()));
        let root = plan.root().to_owned();
        let surroundings = Arc::new(Surroundings {
            plan: Arc::new(plan),
            functions: Arc::new(self.functions),
            args: from_json(&args),
            modules: Arc::default(),
            stage: self.stage.clone(),
            entry: self.entry,
        });
        let mut scripts = PlanScripts::new(surroundings, shared.clone());
        // Its engine is built while the journal is opened.
        scripts.prepare_plan()?;
        let book = book(self.report)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let setup = Setup {
            by,
            begun_in,
            boot_id: holder.boot_id.clone(),
            holder,
            root,
            clock: self.clock.clone(),
            signals: self.signals,
            tells: self.stage.is_none(),
        };
        let driver = Driver::new(
            core, book, scripts, shared, setup, to_driver, inbox, standby,
        );
        let (core, book) = runtime.block_on(driver.run(opening, first))?;
        runtime.shutdown_background();
        if book.end_unwritten().is_none() {
            forget_former(&book.dir(), &core);
        }
        let end = book.end_unwritten().or(core.end()).cloned();
        Ok(Summary {
            run: book.run().to_owned(),
            outcome: end.as_ref().map_or(RunOutcome::Stuck, |end| end.outcome),
            left: end.is_none(),
            end,
        })
    }
}

/// What was there before may be secret and large, and is needed only as long as there is something to undo.
fn forget_former(run_dir: &Path, core: &Core) {
    use RunOutcome::{BackedOut, Released};
    let outcome = core.end().map(|end| end.outcome);
    if matches!(outcome, Some(Released | BackedOut)) {
        for name in core.directories_of_changes() {
            changes::drop_former(&run_dir.join(name));
        }
    }
}
