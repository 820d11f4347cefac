//! What a preview tells: the review as it was done, and what would run behind it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::call::{BackOut, Call, Step, Undo};
use super::diagnostic::Diagnostic;
use super::event::LimitBy;
use super::header::Header;
use super::place::Place;

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// A run comes there with these very values, unless something fails before.
    WouldRun,
    /// Whether a run comes there, or with what, depends on what steps have not told yet.
    Unknown,
    /// It only looks, and the preview has looked.
    Checked,
}

impl Certainty {
    /// The words for reports.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::WouldRun => "would run",
            Self::Unknown => "unknown",
            Self::Checked => "checked",
        }
    }
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "there are a few hundred at most")]
pub enum What {
    /// A call, with its values.
    Call {
        /// It.
        call: Call,
    },
    /// A check of the review, and its answer.
    Finding {
        /// What was asked for.
        name: String,
        /// Is it so?
        ok: bool,
        /// What was seen.
        detail: String,
    },
    /// A call that was not come to: only its text is known.
    Written {
        /// The function it calls.
        calls: String,
        /// Is it a step?
        is_step: bool,
        /// The text, from the call to its closing bracket.
        text: String,
    },
}

/// One line of a preview.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its number, if it is a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// How many groups it stands in.
    pub depth: u32,
    /// What is known of it.
    pub certainty: Certainty,
    /// What it depends on: `step 3`, `probe at plan.rhai:12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<String>,
    /// Where it stands in the plan.
    pub place: Place,
    /// It.
    #[serde(flatten)]
    pub what: What,
    /// Options whose values are not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<String>,
    /// What the closure that undoes it is read to do: the texts of its calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undoes_by: Vec<String>,
}

impl Item {
    /// The step, if it is one whose values are known.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        match &self.what {
            What::Call {
                call: Call::Step(step),
            } => Some(step),
            _ => None,
        }
    }

    /// The back-out that it arms.
    #[must_use]
    pub fn back_out(&self) -> Option<&BackOut> {
        match &self.what {
            What::Call {
                call: Call::Step(step),
            } => step.back_out.as_ref(),
            What::Call {
                call: Call::BackOut(back_out),
            } => Some(back_out),
            _ => None,
        }
    }

    /// Is it known only by its text, and changes something?
    #[must_use]
    pub fn may_be_a_step(&self) -> bool {
        matches!(self.what, What::Written { is_step: true, .. })
    }
}

/// Where the window stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowLook {
    /// The window.
    pub window: String,
    /// Why it would be set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
    /// What must fit into it: what is expected and what is reserved for the back-out, in
    /// milliseconds.
    pub needed_ms: u64,
    /// The first opening that this fits into: when it opens and closes, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<(i64, i64)>,
}

/// Where the environment's lock stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "lock", rename_all = "kebab-case")]
pub enum LockLook {
    /// Nobody has it.
    #[default]
    Free,
    /// Somebody has it.
    Held {
        /// Who, and what to do.
        holder: String,
    },
    /// It can't be told.
    NotSeen {
        /// Why.
        problem: String,
    },
}

/// What stands between the review and the release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GateLook {
    /// How many lines stand before it; `None` when the plan never comes to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
    /// The window, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowLook>,
    /// The lock.
    #[serde(flatten)]
    pub lock: LockLook,
    /// The approvals that would be asked for.
    pub approvals: Vec<String>,
}

/// How far the plan was followed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum Followed {
    /// To its end.
    #[default]
    Whole,
    /// To an `abort`.
    Aborts {
        /// Why.
        reason: String,
        /// Where.
        place: Place,
    },
    /// To an error that nobody catches.
    Fails {
        /// In one line.
        reason: String,
        /// With its excerpt.
        detail: String,
        /// Where.
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// To a place that can't be passed without what steps have not told yet; what follows was read
    /// from the text.
    Lost {
        /// Why.
        reason: String,
        /// Where.
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
}

/// A file that the plan puts in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileLook {
    /// As the plan calls it.
    pub path: String,
    /// SHA-256 of what lies there now, in hex; nothing when there is no such file yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Does the fingerprint cover it?
    pub covered: bool,
}

/// A plan that was previewed: nothing of it has acted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// The plan's file.
    pub plan: String,
    /// When it was previewed, in milliseconds since 1970.
    pub at_ms: i64,
    /// Was that made up, by a clock that is not the machine's?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clock_injected: bool,
    /// What it was given as `args`.
    pub args: Map<String, Value>,
    /// Its header.
    pub header: Header,
    /// What the static check warns of.
    pub warnings: Vec<Diagnostic>,
    /// Line by line, in the order of the plan.
    pub lines: Vec<Item>,
    /// What a run would wait for between review and release.
    pub gate: GateLook,
    /// How far it was followed.
    #[serde(flatten)]
    pub followed: Followed,
    /// The files that it puts in place.
    pub files: Vec<FileLook>,
    /// SHA-256 over the plan's sources, in hex: what the journal has of a run.
    pub plan_fingerprint: String,
    /// SHA-256 over all that an approval covers, in hex: the sources, `args`, a window that is set
    /// aside, and the files that are uploaded by name.
    pub fingerprint: String,
}

impl Preview {
    /// The lines that are steps.
    pub fn steps(&self) -> impl Iterator<Item = &Item> {
        self.lines.iter().filter(|item| item.number.is_some())
    }

    /// The steps for which the plan does not say what undoes them.
    pub fn without_back_out(&self) -> impl Iterator<Item = &Item> {
        self.steps()
            .filter(|item| item.step().is_some_and(|step| step.back_out.is_none()))
    }

    /// The most that any step can get, in milliseconds, and what sets it: the deadline or the window,
    /// each less what is reserved for the back-out.
    #[must_use]
    pub fn most_ms(&self) -> Option<(u64, LimitBy)> {
        let reserved = self.header.reserved_ms();
        let deadline = self.header.deadline_ms.map(|ms| (ms, LimitBy::Deadline));
        let look = self.gate.window.as_ref();
        let opening = look
            .filter(|look| look.set_aside.is_none())
            .and_then(|look| look.opening);
        let window = opening.map(|(opens_ms, closes_ms)| {
            let open = closes_ms.saturating_sub(opens_ms.max(self.at_ms));
            (u64::try_from(open).unwrap_or(0), LimitBy::Window)
        });
        let (ms, by) = deadline
            .into_iter()
            .chain(window)
            .min_by_key(|(ms, _)| *ms)?;
        Some((ms.saturating_sub(reserved), by))
    }

    /// The time that all armed back-outs may take together, in milliseconds.
    #[must_use]
    pub fn back_outs_ms(&self) -> u64 {
        self.lines
            .iter()
            .filter_map(Item::back_out)
            .filter(|back_out| back_out.undo != Undo::Nothing)
            .fold(0, |sum, back_out| sum.saturating_add(back_out.timeout_ms))
    }

    /// Why a run that began now would be refused, or would not be released, as far as that is known.
    #[must_use]
    pub fn objections(&self) -> Vec<String> {
        let mut found = Vec::new();
        let failed = self
            .lines
            .iter()
            .filter(|item| matches!(item.what, What::Finding { ok: false, .. }))
            .count();
        match failed {
            0 => {}
            1 => found.push("1 check failed in the review".to_owned()),
            n => found.push(format!("{n} checks failed in the review")),
        }
        if let LockLook::Held { holder } = &self.gate.lock {
            found.push(holder.clone());
        }
        if let Some(window) = &self.gate.window
            && window.opening.is_none()
            && window.set_aside.is_none()
        {
            found.push(format!(
                "the window `{}` has no opening left that is long enough",
                window.window
            ));
        }
        match &self.followed {
            Followed::Aborts { reason, place } => {
                found.push(format!("the plan aborts at {place}: {reason}"));
            }
            Followed::Fails { reason, .. } => found.push(format!("the plan fails: {reason}")),
            Followed::Whole | Followed::Lost { .. } => {}
        }
        found
    }

    /// 0, or 1 when there are objections.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        u8::from(!self.objections().is_empty())
    }
}
