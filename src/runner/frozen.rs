//! What is frozen in the journal with a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::script::approval::Approval;

/// What is frozen in the journal with a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Frozen {
    pub(super) main: String,
    pub(super) root: PathBuf,
    pub(super) sources: BTreeMap<String, String>,
    pub(super) args: Value,
    pub(super) override_window: Option<String>,
    pub(super) lock_wait_ms: u64,
    /// What steps and probes are passed on from the process that started the run.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// What was approved, if the run was started with an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) approval: Option<Approval>,
}

/// The sources in what was frozen with a run, by name, the plan itself first.
pub(crate) fn sources_of(run: &str, frozen: Value) -> Result<Vec<(String, String)>, Error> {
    let Frozen { main, sources, .. } =
        serde_json::from_value(frozen).map_err(|e| Error::Unreadable {
            run: run.to_owned(),
            problem: format!("what was frozen with it: {e}"),
        })?;
    let (first, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(name, _)| *name == main);
    Ok(first.into_iter().chain(rest).collect())
}
