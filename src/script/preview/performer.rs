//! Who answers a plan that is previewed. It looks, it tells, and it has nothing to act with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{EvalAltResult, Position};
use serde_json::{Value, json};

use crate::script::closure::Closure;
use crate::script::functions::Function;
use crate::script::modules::place_of;
use crate::script::plan::Plan;
use crate::supervisor::core::{HEADER_FIRST, long_enough, needs_gate};
use crate::supervisor::fiber::Halt;
use crate::supervisor::foresight::{Foresight, Look};
use crate::words::call::{Call, Failure};
use crate::words::header::Header;
use crate::words::place::Place;
use crate::words::preview::{Certainty, FileLook, Followed, GateLook, Item, What, WindowLook};
use crate::words::window::Window;

use super::rewrite::Site;
use super::written::{self, Sources};

/// Lines that are told. A plan with more of them is hardly read by anybody.
const LINES_MAX: usize = 2_000;
/// Times that a plan may sleep at one place of the review: it waits for something there, and nobody
/// waits in a preview.
const SLEEPS_MAX: u32 = 2;

/// Rounds of loops. A loop with more of them waits for something, and nobody waits in a preview.
const ROUNDS_MAX: u32 = 200_000;

/// Answers the calls of one preview.
pub struct Performer {
    plan: Arc<Plan>,
    functions: Arc<Vec<Function>>,
    now_ms: i64,
    override_window: Option<String>,
    /// Ends the script.
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
}

/// What has been told so far.
#[derive(Default)]
pub(super) struct State {
    /// Calls that were made.
    calls: u32,
    pub(super) header: Header,
    pub(super) lines: Vec<Item>,
    pub(super) gate: GateLook,
    pub(super) files: Vec<FileLook>,
    pub(super) followed: Followed,
    depth: u32,
    steps: u32,
    /// Has a step been told?
    acted: bool,
    /// What is not known of the call that comes next.
    doubt: Option<(String, Vec<String>)>,
    /// Whether anything from here on is as it was told depends on this.
    all_depends_on: Option<String>,
    sleeps: HashMap<Place, u32>,
    rounds: u32,
    /// The functions that are open, and where each stands.
    frames: Vec<Frame>,
    /// Can the plan not be followed any further?
    lost: bool,
}

struct Frame {
    source: String,
    function: String,
    at: Position,
    /// It may have returned; whether it has depends on this.
    returns: Option<String>,
    loops: Vec<Loop>,
}

/// A loop that is open.
struct Loop {
    /// It may have been left; whether it was depends on this.
    breaks: Option<String>,
    /// Might its function have returned before it?
    may_not_be_reached: bool,
}

impl Frame {
    fn new(source: &str, function: &str) -> Self {
        Self {
            source: source.to_owned(),
            function: function.to_owned(),
            at: Position::NONE,
            returns: None,
            loops: Vec::new(),
        }
    }
}

impl State {
    /// What it depends on whether the plan comes to what it does next.
    fn reached_by(&self) -> Option<&String> {
        let frames = self.frames.iter();
        let mut doubts = frames.flat_map(|frame| {
            let loops = frame.loops.iter().map(|open| &open.breaks);
            std::iter::once(&frame.returns).chain(loops)
        });
        self.all_depends_on
            .as_ref()
            .or_else(|| doubts.find_map(Option::as_ref))
    }
}

impl Performer {
    /// One for this plan. `stop` ends the script.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        functions: Arc<Vec<Function>>,
        now_ms: i64,
        override_window: Option<String>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let state = State {
            frames: vec![Frame::new(plan.main(), "")],
            ..State::default()
        };
        Self {
            plan,
            functions,
            now_ms,
            override_window,
            stop,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told, at the end. `name` is what the plan is called when its header does not say.
    pub(super) fn end(&self, name: String, failed: Option<Followed>) -> State {
        let mut state = std::mem::take(&mut *self.state());
        if state.header.name.is_empty() {
            state.header.name = name;
        }
        if let (Followed::Whole, Some(failed)) = (&state.followed, failed) {
            state.followed = failed;
        }
        if state.gate.at.is_some() {
            state
                .gate
                .approvals
                .splice(0..0, state.header.approvals.clone());
        }
        state
    }

    fn sources(&self) -> Sources<'_> {
        Sources::new(&self.plan, &self.functions)
    }

    /// The innermost open function stands here.
    pub(super) fn stand_at(&self, pos: Position) {
        if let Some(frame) = self.state().frames.last_mut()
            && pos != Position::NONE
        {
            frame.at = pos;
        }
    }

    pub(super) fn enter(&self, source: &str, function: &str) {
        self.state().frames.push(Frame::new(source, function));
    }

    /// The innermost function has returned. If it may have done so before, gives what that depends on.
    pub(super) fn leave(&self) -> Option<String> {
        self.state().frames.pop().and_then(|frame| frame.returns)
    }

    pub(super) fn enter_loop(&self) {
        if let Some(frame) = self.state().frames.last_mut() {
            let may_not_be_reached = frame.returns.is_some();
            frame.loops.push(Loop {
                breaks: None,
                may_not_be_reached,
            });
        }
    }

    /// The innermost loop has ended. If it may have done so before, gives what that depends on.
    pub(super) fn leave_loop(&self) -> Option<String> {
        let mut state = self.state();
        let frame = state.frames.last_mut()?;
        frame.loops.pop().and_then(|left| left.breaks)
    }

    /// A round of the innermost loop begins: may the loop have been left in the round before?
    pub(super) fn has_left_loop(&self) -> Result<bool, Box<EvalAltResult>> {
        let mut state = self.state();
        state.rounds += 1;
        if state.rounds > ROUNDS_MAX {
            drop(state);
            let reason = "a loop goes on and on here, as one that waits for something";
            return Err(self.lose_for(reason, "what is waited for", None));
        }
        let Some(frame) = state.frames.last() else {
            return Ok(false);
        };
        Ok(frame.loops.last().is_some_and(|open| {
            open.breaks.is_some() || (frame.returns.is_some() && !open.may_not_be_reached)
        }))
    }

    /// What was done may not have been done, and what it has changed is not known.
    pub(super) fn doubt_all(&self, depends_on: &str) {
        let mut state = self.state();
        state
            .all_depends_on
            .get_or_insert_with(|| depends_on.into());
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state().lost
    }

    /// The script has failed; was that certain? What Rhai itself says may come of a value that is not
    /// known, and then what stands behind is read from the text.
    pub(super) fn is_certain(&self, is_rhais: bool, reason: &str, place: Option<&Place>) -> bool {
        let (acted, doubtful) = {
            let mut state = self.state();
            // The functions that it has left are closed; only the plan's own text is open.
            if let (Some(place), [main]) = (place, state.frames.as_mut_slice())
                && place.file == main.source
            {
                main.at = main.at.max(position(place));
            }
            (state.acted, state.reached_by().is_some())
        };
        let certain = !(acted && is_rhais || doubtful);
        if !certain {
            let reason = format!("it may fail here, but that is not certain: {reason}");
            let _ = self.lose_for(&reason, "whether it fails before", None);
        }
        certain
    }

    /// The plan can't be followed any further without what this would have told. What stands behind
    /// is read from the text.
    pub(super) fn lose(&self, depends_on: &str, pos: Option<Position>) -> Box<EvalAltResult> {
        let reason = format!("what follows depends on {depends_on}");
        self.lose_for(&reason, depends_on, pos)
    }

    fn lose_for(
        &self,
        reason: &str,
        depends_on: &str,
        pos: Option<Position>,
    ) -> Box<EvalAltResult> {
        if let Some(pos) = pos {
            self.stand_at(pos);
        }
        let mut state = self.state();
        if !std::mem::replace(&mut state.lost, true) {
            let frame = state.frames.last();
            let place = frame.map(|frame| place_of(&frame.source, frame.at));
            state.followed = Followed::Lost {
                reason: reason.to_owned(),
                place: place.filter(|place| place.line > 0),
            };
            let rest: Vec<(String, String, Position)> = state
                .frames
                .iter()
                .rev()
                .map(|frame| (frame.source.clone(), frame.function.clone(), frame.at))
                .collect();
            for (source, function, at) in rest {
                let found = self.sources().behind(&source, &function, at);
                self.push_written(&mut state, found, depends_on);
            }
        }
        drop(state);
        self.stop.store(true, Ordering::SeqCst);
        EvalAltResult::ErrorTerminated("lost".into(), Position::NONE).into()
    }

    /// A part of the plan that may or may not be executed.
    pub(super) fn tell_text(&self, site: &Site, depends_on: &str) {
        let found = self.sources().in_parts(site);
        let mut state = self.state();
        self.push_written(&mut state, found, depends_on);
        if site.hides {
            state
                .all_depends_on
                .get_or_insert_with(|| depends_on.into());
        }
        let Some(frame) = state.frames.last_mut() else {
            return;
        };
        if site.returns {
            frame.returns.get_or_insert_with(|| depends_on.into());
        }
        if let Some(open) = frame.loops.last_mut().filter(|_| site.breaks) {
            open.breaks.get_or_insert_with(|| depends_on.into());
        }
    }

    /// What is done when something in a `try` fails.
    pub(super) fn tell_handler(&self, site: &Site) {
        let found = self.sources().in_parts(site);
        let mut state = self.state();
        self.push_written(&mut state, found, "a failure that is caught");
    }

    fn push_written(&self, state: &mut State, found: Vec<written::Found>, depends_on: &str) {
        for found in found {
            if state.lines.len() >= LINES_MAX {
                return;
            }
            let text = self.sources().text_at(&found.place);
            state.lines.push(Item {
                number: None,
                depth: state.depth.saturating_add(found.depth),
                certainty: Certainty::Unknown,
                depends_on: Some(depends_on.to_owned()),
                place: found.place,
                what: What::Written {
                    calls: found.function,
                    is_step: found.is_step,
                    text,
                },
                not_known: Vec::new(),
                undoes_by: Vec::new(),
            });
        }
    }

    fn push(&self, state: &mut State, place: Place, certainty: Certainty, what: What) {
        let (mut depends_on, not_known) = state
            .doubt
            .take()
            .map_or((None, Vec::new()), |doubt| (Some(doubt.0), doubt.1));
        let mut certainty = certainty;
        if certainty == Certainty::WouldRun {
            depends_on = depends_on.or_else(|| state.reached_by().cloned());
            if depends_on.is_some() {
                certainty = Certainty::Unknown;
            }
        }
        let number = match &what {
            What::Call {
                call: Call::Step(_),
            } => {
                state.steps += 1;
                Some(state.steps)
            }
            _ => None,
        };
        state.lines.push(Item {
            number,
            depth: state.depth,
            certainty,
            depends_on,
            place,
            what,
            not_known,
            undoes_by: Vec::new(),
        });
    }

    /// What stands before the release is looked at, not waited for.
    fn come_to_gate(&self, state: &mut State, asked: Option<&String>) {
        if state.gate.at.is_some() {
            return;
        }
        state.gate.at = Some(state.lines.len());
        let Some(text) = asked.or(state.header.window.as_ref()).cloned() else {
            return;
        };
        let needed_ms = state.header.needed_ms();
        let window = Window::parse(&text).ok();
        state.gate.window = Some(WindowLook {
            opening: window.and_then(|window| long_enough(&window, self.now_ms, needed_ms)),
            window: text,
            set_aside: self.override_window.clone(),
            needed_ms,
        });
    }

    /// Begins a call: counts it, and ends what has become too long.
    fn begin(&self, place: &Place) -> Result<MutexGuard<'_, State>, Halt> {
        self.stand_at(position(place));
        let mut state = self.state();
        state.calls += 1;
        if state.lines.len() >= LINES_MAX {
            drop(state);
            let reason = format!("{LINES_MAX} lines are told, and the plan goes on");
            let _ = self.lose_for(&reason, "how long it goes on", None);
            return Err(Halt::Stop);
        }
        Ok(state)
    }
}

/// A place as Rhai counts it.
fn position(place: &Place) -> Position {
    Position::new(
        u16::try_from(place.line.max(1)).unwrap_or(u16::MAX),
        u16::try_from(place.column).unwrap_or(u16::MAX),
    )
}

impl Foresight<Closure> for Performer {
    fn call(&self, call: Call, place: Place, closure: Option<Closure>) -> Result<Value, Halt> {
        let mut state = self.begin(&place)?;
        if matches!(call, Call::Plan { .. }) && state.calls > 1 {
            return Err(Halt::Throw(Failure::new(HEADER_FIRST)));
        }
        if needs_gate(&call) {
            let asked = match &call {
                Call::WaitForWindow { window } => window.as_ref(),
                _ => None,
            };
            self.come_to_gate(&mut state, asked);
        }
        let undoes_by = match (&call, closure) {
            (Call::Step(_) | Call::BackOut(_), Some(closure)) => {
                self.sources().texts_of_closure(closure.name())
            }
            _ => Vec::new(),
        };
        let what = What::Call { call: call.clone() };
        let number = match call {
            Call::StepEnd { .. } => {
                state.depth = state.depth.saturating_sub(1);
                return Ok(Value::Bool(false));
            }
            Call::Plan { header } => {
                state.header = header;
                return Ok(Value::Null);
            }
            _ => {
                self.push(&mut state, place.clone(), Certainty::WouldRun, what);
                state.steps
            }
        };
        if let Some(item) = state.lines.last_mut() {
            item.undoes_by = undoes_by;
        }
        match call {
            Call::Step(_) => {
                state.acted = true;
                Err(Halt::Unknown(format!("step {number}")))
            }
            Call::StepBegin { .. } => {
                state.depth += 1;
                Ok(json!(state.calls))
            }
            Call::Sleep { .. } if state.gate.at.is_none() => {
                let sleeps = state.sleeps.entry(place).or_default();
                *sleeps += 1;
                if *sleeps <= SLEEPS_MAX {
                    return Ok(Value::Null);
                }
                drop(state);
                let reason = "the review waits here for something, and a preview does not wait";
                let _ = self.lose_for(reason, "what is waited for", None);
                Err(Halt::Stop)
            }
            Call::Verify { .. } => Ok(Value::Bool(true)),
            Call::WaitForApproval { name, .. } => {
                if !state.gate.approvals.contains(&name) {
                    state.gate.approvals.push(name);
                }
                Ok(Value::Bool(true))
            }
            Call::WaitForWindow { .. } => {
                let opening = state.gate.window.as_ref().and_then(|look| look.opening);
                Ok(opening.map_or(Value::Null, |(_, closes_ms)| json!(closes_ms)))
            }
            Call::Abort { reason } => {
                state.followed = Followed::Aborts { reason, place };
                self.stop.store(true, Ordering::SeqCst);
                Err(Halt::Stop)
            }
            _ => Ok(Value::Null),
        }
    }

    fn read(&self, name: &str, args: Vec<Value>, place: Place, look: Look) -> Result<Value, Halt> {
        let mut state = self.begin(&place)?;
        if name == "digest" {
            let acted = state.acted;
            drop(state);
            return self.digest(acted, &args, look);
        }
        // These are the same before and behind every step.
        let is_fixed = matches!(name, "secret" | "env");
        let what = What::Call {
            call: Call::Read {
                name: name.to_owned(),
                args,
            },
        };
        if state.acted && !is_fixed {
            let depends_on = format!("{name} at {place}");
            state
                .doubt
                .get_or_insert_with(|| ("the steps before".into(), Vec::new()));
            self.push(&mut state, place, Certainty::Unknown, what);
            return Err(Halt::Unknown(depends_on));
        }
        self.push(&mut state, place, Certainty::Checked, what);
        drop(state);
        look().map_err(Halt::Throw)
    }

    fn check(
        &self,
        name: &str,
        place: Place,
        look: &mut dyn FnMut() -> (bool, String),
    ) -> Result<Value, Halt> {
        let mut state = self.begin(&place)?;
        if state.acted {
            // One that fails stops the run.
            let call = Call::Check {
                name: name.to_owned(),
            };
            state
                .doubt
                .get_or_insert_with(|| ("the steps before".into(), Vec::new()));
            self.push(&mut state, place, Certainty::Unknown, What::Call { call });
            return Ok(Value::Bool(true));
        }
        drop(state);
        let (ok, detail) = look();
        let what = What::Finding {
            name: name.to_owned(),
            ok,
            detail,
        };
        self.push(&mut self.state(), place, Certainty::Checked, what);
        Ok(Value::Bool(ok))
    }

    fn doubt(&self, depends_on: &str, options: Vec<String>) {
        self.state().doubt = Some((depends_on.to_owned(), options));
    }

    fn cannot_make(&self, function: &str, place: Place, depends_on: &str) {
        let Ok(mut state) = self.begin(&place) else {
            return;
        };
        state.doubt = Some((depends_on.to_owned(), Vec::new()));
        let text = self.sources().text_at(&place);
        let what = What::Written {
            calls: function.to_owned(),
            is_step: false,
            text,
        };
        self.push(&mut state, place, Certainty::Unknown, what);
    }
}

impl Performer {
    /// The digest of a file that is uploaded. One that is not there may be made by a step before.
    fn digest(&self, acted: bool, args: &[Value], look: Look) -> Result<Value, Halt> {
        let path = args.first().and_then(Value::as_str).unwrap_or_default();
        let seen = look();
        let sha256 = match seen {
            Ok(value) => value.as_str().map(str::to_owned),
            Err(_) if acted => None,
            Err(failure) => return Err(Halt::Throw(failure)),
        };
        let file = FileLook {
            path: path.to_owned(),
            sha256: sha256.clone(),
            covered: false,
        };
        let mut state = self.state();
        if !state.files.iter().any(|known| known.path == path) {
            state.files.push(file);
        }
        Ok(sha256.map_or(Value::Null, Value::from))
    }
}
