//! What the driver's diagnostics say of inputs and actions: what kind, and which call.
//!
//! Their content is not told: it may hold secrets that are not masked yet, and what matters of it is
//! in the journal.

use crate::supervisor::core::{Action, Ended, Input, ScriptEnd, Try};
use crate::words::call::Answer;

/// An input, in a few words.
pub(super) fn input_words(input: &Input) -> String {
    match input {
        Input::Call { id, call, place } => format!("call {id} {} at {place}", call.function()),
        Input::Read {
            id,
            call,
            place,
            answer,
            took_ms,
            ..
        } => format!(
            "read {id} {} at {place}, {}, {took_ms} ms",
            call.function(),
            answer_word(answer)
        ),
        Input::Diverged { id, place, .. } => format!("diverged {id} at {place}"),
        Input::StepEnded { key, ended } => match ended {
            Ended::Seen(end) => format!("step-ended {}, {} ms", try_words(key), end.duration_ms),
            Ended::Void(_) => format!("step-ended {}, void", try_words(key)),
        },
        Input::ClosureEnded { id, error } => {
            let how = if error.is_some() { "failed" } else { "done" };
            format!("closure-ended {id}, {how}")
        }
        Input::Tried { id, .. } => format!("tried {id}"),
        Input::Sampled { id, took_ms, .. } => format!("sampled {id}, {took_ms} ms"),
        Input::ScriptEnded(end) => match end {
            ScriptEnd::Done => "script-ended, done".to_owned(),
            ScriptEnd::Stopped => "script-ended, stopped".to_owned(),
            ScriptEnd::Error { cause, .. } => format!("script-ended, {}", cause.words()),
        },
        Input::Lock(answer) => {
            let how = if answer.is_ok() { "taken" } else { "held" };
            format!("lock {how}")
        }
        Input::Approved { .. } => "approved".to_owned(),
        Input::Interrupt { signal } => format!("interrupt {signal}"),
        Input::BackOutAsked { .. } => "back-out-asked".to_owned(),
        Input::Unwritten { tries } => format!("unwritten, {} tries", tries.len()),
        Input::HangUp => "hang-up".to_owned(),
        Input::JournalFailed { .. } => "journal-failed".to_owned(),
        Input::Time => "time".to_owned(),
    }
}

/// An action, in a few words.
pub(super) fn action_words(action: &Action) -> String {
    match action {
        Action::Record(event) => match event.call() {
            Some(id) => format!("record {} {id}", event.kind()),
            None => format!("record {}", event.kind()),
        },
        Action::StartStep { key, limit_ms } => {
            format!("start-step {}, limit {limit_ms} ms", try_words(key))
        }
        Action::EndStep { key, now } => {
            let how = if *now { "now" } else { "with grace" };
            format!("end-step {}, {how}", try_words(key))
        }
        Action::BackOut { key, limit_ms, .. } => {
            format!("back-out {}, limit {limit_ms} ms", try_words(key))
        }
        Action::EndClosure { id } => format!("end-closure {id}"),
        Action::Answer { id, answer } => format!("answer {id}, {}", answer_word(answer)),
        Action::Try { id } => format!("try {id}"),
        Action::Sample { id, timeout_ms } => format!("sample {id}, limit {timeout_ms} ms"),
        Action::TakeLock { environment } => format!("take-lock {environment}"),
        Action::StopScript => "stop-script".to_owned(),
        Action::Finish => "finish".to_owned(),
    }
}

/// A try, as `8 try 1` or `back-out of 8 try 1`.
pub(super) fn try_words(key: &Try) -> String {
    let what = if key.backs_out { "back-out of " } else { "" };
    format!("{what}{} try {}", key.id, key.attempt)
}

fn answer_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Value(_) => "value",
        Answer::Throw(_) => "throws",
        Answer::Stop => "stop",
    }
}
