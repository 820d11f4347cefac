//! What a run waits for before it acts.

use crate::words::event::{Actor, Event};

use super::{RemarkKind, Span, Story};

/// An approval that was asked for.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Of what.
    pub name: String,
    /// When it was asked for, milliseconds since 1970.
    pub asked_ms: i64,
    /// Who gave it.
    pub by: Option<Actor>,
    /// When it was given.
    pub given_ms: Option<i64>,
    /// Their words.
    pub comment: String,
}

/// A window that was waited for, or opened.
#[derive(Clone, Debug)]
pub struct WindowStory {
    /// The window.
    pub window: String,
    /// Since when it was waited for, milliseconds since 1970.
    pub awaited_ms: Option<i64>,
    /// When it opens, if it was waited for.
    pub opens_ms: Option<i64>,
    /// When it closes.
    pub closes_ms: i64,
    /// When it was seen to be open.
    pub open_ms: Option<i64>,
}

/// The environment's lock.
#[derive(Clone, Debug)]
pub struct LockStory {
    /// Who had it when it was waited for.
    pub holder: String,
    /// The wait, or the moment in which it was taken.
    pub span: Span,
    /// Of which environment, once it was taken.
    pub environment: Option<String>,
}

impl Story {
    pub(super) fn on_gate(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::LockWaited { holder } => self.locks.push(LockStory {
                holder: holder.clone(),
                span: Span::from(at_ms),
                environment: None,
            }),
            Event::LockTaken { environment } => {
                let waited = self.locks.last_mut().filter(|l| l.environment.is_none());
                if let Some(lock) = waited {
                    lock.span.end_ms = Some(at_ms);
                    lock.environment = Some(environment.clone());
                } else {
                    let mut span = Span::from(at_ms);
                    span.end_ms = Some(at_ms);
                    self.locks.push(LockStory {
                        holder: String::new(),
                        span,
                        environment: Some(environment.clone()),
                    });
                }
            }
            Event::ApprovalAsked { name } if !self.approvals.iter().any(|a| a.name == *name) => {
                self.approvals.push(Approval {
                    name: name.clone(),
                    asked_ms: at_ms,
                    by: None,
                    given_ms: None,
                    comment: String::new(),
                });
            }
            Event::Approved {
                name,
                by,
                given_ms,
                comment,
            } => {
                self.on_gate(&Event::ApprovalAsked { name: name.clone() }, at_ms);
                for approval in self.approvals.iter_mut().filter(|a| a.name == *name) {
                    approval.by = Some(by.clone());
                    approval.given_ms = Some(given_ms.unwrap_or(at_ms));
                    approval.comment.clone_from(comment);
                }
            }
            Event::WindowAwaited {
                window,
                opens_ms,
                closes_ms,
            } => self.windows.push(WindowStory {
                window: window.clone(),
                awaited_ms: Some(at_ms),
                opens_ms: Some(*opens_ms),
                closes_ms: *closes_ms,
                open_ms: None,
            }),
            Event::WindowOpen { window, closes_ms } => {
                let last = self.windows.last_mut();
                if let Some(known) = last.filter(|w| w.window == *window) {
                    known.open_ms.get_or_insert(at_ms);
                    known.closes_ms = *closes_ms;
                } else {
                    self.windows.push(WindowStory {
                        window: window.clone(),
                        awaited_ms: None,
                        opens_ms: None,
                        closes_ms: *closes_ms,
                        open_ms: Some(at_ms),
                    });
                }
            }
            Event::WindowOverridden { window, reason } => {
                let text = match window.as_str() {
                    "" => reason.clone(),
                    window => format!("{window}: {reason}"),
                };
                self.remark(RemarkKind::Override, at_ms, text);
            }
            _ => {}
        }
    }
}
