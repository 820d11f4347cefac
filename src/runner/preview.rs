//! A plan's review, and what would run behind it.

use super::{Error, Runner, given};
use crate::journal::{JournalError, Reader};
use crate::script::approval::Approval;
use crate::script::plan::Plan;
use crate::script::preview::{self, Given};
use crate::script::value::from_json;
use crate::target::environment;
use crate::words::diagnostic::Level;
use crate::words::preview::{FileLook, LockLook, Preview};

impl Runner {
    /// Does a plan's review, and tells what would run behind it. Nothing acts, nothing is written, no
    /// run comes to be, and of the functions of this program only those that read are called.
    ///
    /// # Errors
    /// When the plan has errors, or the system refuses what is needed.
    pub fn preview(self, plan: Plan) -> Result<Preview, Error> {
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .check(&plan)
            .into_iter()
            .partition(|d| d.level == Level::Error);
        if !errors.is_empty() {
            return Err(Error::Check(errors));
        }
        let override_window = self.settings.override_window.clone();
        let approval = Approval::of(&plan, &self.args, override_window.as_deref());
        let told = preview::follow(Given {
            plan: plan.clone(),
            functions: self.functions,
            args: from_json(&self.args),
            clock: self.clock.clone(),
            env: environment::of_this_process(),
            override_window,
        })?;
        let mut gate = told.gate;
        if gate.at.is_some() {
            gate.lock = lock_look(&self.state_dir, &told.header.environment);
        }
        let mut files = told.files;
        for file in &mut files {
            file.covered = approval.files.contains_key(&file.path);
        }
        for (path, sha256) in approval.files {
            if !files.iter().any(|file| file.path == path) {
                files.push(FileLook {
                    path,
                    sha256,
                    covered: true,
                });
            }
        }
        Ok(Preview {
            plan: plan.root().join(plan.main()).display().to_string(),
            at_ms: self.clock.now().wall_ms,
            clock_injected: !self.clock.is_real(),
            args: given(&self.args),
            header: told.header,
            warnings,
            lines: told.lines,
            gate,
            followed: told.followed,
            files,
            plan_fingerprint: plan.fingerprint(),
            fingerprint: approval.fingerprint,
        })
    }
}

/// Who has an environment's lock, seen by one who only looks. Without a journal nobody has it.
fn lock_look(state_dir: &std::path::Path, environment: &str) -> LockLook {
    let held = match Reader::open(state_dir) {
        Ok(journal) => journal.lock(environment),
        Err(JournalError::NoJournal { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    match held {
        Ok(None) => LockLook::Free,
        Ok(Some(held)) => LockLook::Held {
            holder: held.to_string(),
        },
        Err(error) => LockLook::NotSeen {
            problem: error.to_string(),
        },
    }
}
