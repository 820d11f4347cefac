//! The header of a plan: who, what, why, when.

use serde::{Deserialize, Serialize};

use super::notice::Notify;

/// What `plan(#{…})` says. The fields answer the questions that a good deployment plan answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Header {
    /// What is deployed.
    pub name: String,
    /// In which version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where; runs of one environment exclude each other.
    pub environment: String,
    /// Why it is released.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What is new for users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Who uses it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub users: String,
    /// Do users or operators need training, and did they get it?
    #[serde(skip_serializing_if = "String::is_empty")]
    pub training: String,
    /// Who answers for the plan.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Who or what helps afterwards: a runbook, a number to call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub support: String,
    /// When it may be released, in the window's normal form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// How long the release is expected to take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// How long the release may take, its back-out included, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The time reserved for the back-out, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_out_within_ms: Option<u64>,
    /// Approvals that must be given before the release begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// Who is told of the run, by the host itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
}

/// The time reserved for the back-out when a plan has a deadline or a window and does not say.
pub const DEFAULT_BACK_OUT_WITHIN_MS: u64 = 5 * 60 * 1000;

/// The environment of a plan that does not name one.
pub const DEFAULT_ENVIRONMENT: &str = "default";

impl Default for Header {
    fn default() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            why: String::new(),
            features: Vec::new(),
            users: String::new(),
            training: String::new(),
            owner: String::new(),
            support: String::new(),
            window: None,
            expected_ms: None,
            deadline_ms: None,
            back_out_within_ms: None,
            approvals: Vec::new(),
            notify: Vec::new(),
        }
    }
}

impl Header {
    /// The time reserved for the back-out, in milliseconds.
    #[must_use]
    pub fn reserved_ms(&self) -> u64 {
        self.back_out_within_ms
            .unwrap_or(DEFAULT_BACK_OUT_WITHIN_MS)
    }

    /// What must fit into an opening of the window, in milliseconds.
    #[must_use]
    pub fn needed_ms(&self) -> u64 {
        self.expected_ms
            .unwrap_or(0)
            .saturating_add(self.reserved_ms())
    }

    /// `name version`, or the name alone.
    #[must_use]
    pub fn release(&self) -> String {
        if self.version.is_empty() {
            self.name.clone()
        } else {
            format!("{} {}", self.name, self.version)
        }
    }
}
