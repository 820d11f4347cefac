//! The proof that helpers undo themselves. A module's test hands over a table: for each helper the call
//! and the states it may meet; what is tried with them stands here.
//!
//! For each helper and state:
//!
//! - **works**: the call returns what it must, a second one returns `false`, and what it promises holds;
//!   where there is nothing to do, nothing is done, and no more is looked at than the table says;
//! - **then the plan fails**: the run is backed out;
//! - **fails in the middle**: the n-th write of the journal fails, for every n, so that the run stops
//!   before and after each step of the helper;
//! - **killed in the middle**: deployrun is killed with `kill -9` before and after the n-th write, for
//!   every n, and as soon as each step of the helper acts; then `deployrun back-out`.
//!
//! After each of them all is as before: see `whole_tree` for files; a module whose helpers change
//! something else says how that is looked at.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::support::journal;
use super::support::live::{Finished, Live};
use super::support::site::Site;
use super::support::sweep::{each, is_full};
use super::support::tree::{Tree, difference};
use super::whole_tree;

/// The helpers of a module.
pub struct Module {
    /// What is imported, such as `std/files`.
    pub path: &'static str,
    /// As what.
    pub name: &'static str,
    /// What the plans find beside them, in the directory of the plan.
    pub surroundings: fn(&Site),
    /// What the plans do before the helper is called, such as `let digest = sha256("app.tar");`.
    pub prelude: &'static str,
    /// What must be as before, beside the tree `production`: packages, services, rows.
    pub state: fn(&Site) -> String,
    pub helpers: &'static [Helper],
}

/// A helper as it is called.
pub struct Helper {
    /// What is called: `files::put("new.conf", "production/app.conf")`.
    pub call: &'static str,
    /// What holds afterwards, as an expression of the plan.
    pub holds: &'static str,
    /// How many looks (reads and probes) it takes to see that there is nothing to do: 1, unless there
    /// is a reason.
    pub looks: usize,
    pub states: &'static [State],
}

/// A state that a helper meets.
pub struct State {
    pub name: &'static str,
    /// Makes it. `production` is there and empty.
    pub make: fn(&Path),
    pub then: Then,
}

/// What a helper does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It acts, and returns `true`.
    Acts,
    /// It acts, and returns `true`, each time: a reload.
    ActsAlways,
    /// There is nothing to do: it returns `false`.
    Rests,
    /// It throws, and says this.
    Refuses(&'static str),
}

/// How many cases were tried, and how many processes it took.
#[derive(Debug, Default)]
struct Count {
    cases: AtomicUsize,
    runs: AtomicUsize,
}

/// Tries all helpers of a module.
pub fn prove(module: &Module) {
    prove_every(module, 2);
}

/// The same with another share of the points at which something goes wrong, for a component that
/// takes its time: every n-th of them.
pub fn prove_every(module: &Module, stride: usize) {
    let count = Count::default();
    let mut cells = Vec::new();
    for (helper, h) in module.helpers.iter().enumerate() {
        let count = |then| h.states.iter().filter(|s| s.then == then).count();
        let both = count(Then::Acts) > 0 && count(Then::Rests) > 0;
        assert!(
            both || count(Then::ActsAlways) > 0,
            "{}: no state in which it acts, or rests",
            h.call
        );
        for state in 0..h.states.len() {
            cells.push((helper, state));
        }
    }
    each(
        &format!("{}: helpers × states", module.path),
        &cells,
        |(helper, state)| {
            let helper = &module.helpers[*helper];
            let cell = Cell {
                module,
                helper,
                state: &helper.states[*state],
                count: &count,
                stride,
            };
            cell.works();
            cell.is_backed_out_when_the_plan_fails();
            let writes = cell.is_killed_in_the_middle();
            cell.fails_in_the_middle(writes);
        },
    );
    println!(
        "{}: {} helpers, {} states, {} cases in {} runs, all as before",
        module.path,
        module.helpers.len(),
        cells.len(),
        count.cases.into_inner(),
        count.runs.into_inner()
    );
}

struct Cell<'t> {
    module: &'t Module,
    helper: &'t Helper,
    state: &'t State,
    count: &'t Count,
    /// Every how many points are tried.
    stride: usize,
}

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Before {
    tree: Tree,
    state: String,
}

impl Cell<'_> {
    /// A site in the state, with this plan behind the import.
    fn site(&self, plan: &str) -> Site {
        let Module {
            path,
            name,
            prelude,
            ..
        } = self.module;
        let site = Site::bare(&format!(
            "import \"{path}\" as {name};\n\
             plan(#{{ name: \"helper\", version: \"1\", environment: \"test\" }});\n{prelude}\n{plan}"
        ));
        (self.module.surroundings)(&site);
        (self.state.make)(&site.path(""));
        site
    }

    fn look(&self, site: &Site) -> Before {
        Before {
            tree: whole_tree::look(&site.production()),
            state: (self.module.state)(site),
        }
    }

    fn name(&self) -> String {
        format!("{} where it is {}", self.helper.call, self.state.name)
    }

    fn finish(&self, site: &Site, args: &[&str]) -> Finished {
        self.count.runs.fetch_add(1, Ordering::SeqCst);
        site.finish(args)
    }

    fn tried(&self) {
        self.count.cases.fetch_add(1, Ordering::SeqCst);
    }

    fn assert_as_before(&self, site: &Site, before: &Before, what: &str, told: &Finished) {
        let now = self.look(site);
        // The difference first: what follows is long.
        let differs = difference(&before.tree, &now.tree);
        assert!(
            differs.is_empty() && before.state == now.state,
            "{}: {what}\n{differs}\nbefore:\n{}\nnow:\n{}\n{}\n{}",
            self.name(),
            before.state,
            now.state,
            told.told(),
            site.told()
        );
        self.tried();
    }

    fn works(&self) {
        let call = self.helper.call;
        let site = self.site(&format!(
            "wait_for_window();\n\
             info(\"begin\");\n\
             info(`first: ${{{call}}}`);\n\
             info(`again: ${{{call}}}`);\n\
             info(`holds: ${{{}}}`);\n",
            self.helper.holds
        ));
        let before = self.look(&site);
        let finished = self.finish(&site, &["run", "plan.rhai"]);
        let told = || format!("{}\n{}\n{}", self.name(), finished.told(), site.told());
        let said: Vec<String> = notes(&finished.events);
        match self.state.then {
            Then::Refuses(why) => {
                assert!(finished.told().contains(why), "`{why}`: {}", told());
                assert_eq!(finished.code.map(|c| c == 0), Some(false), "{}", told());
                return self.assert_as_before(&site, &before, "refuses", &finished);
            }
            Then::Acts => {
                assert_eq!(
                    said,
                    ["begin", "first: true", "again: false", "holds: true"],
                    "{}",
                    told()
                );
                assert_ne!(before, self.look(&site), "it changed nothing: {}", told());
            }
            Then::ActsAlways => {
                assert_eq!(
                    said,
                    ["begin", "first: true", "again: true", "holds: true"],
                    "{}",
                    told()
                );
                assert_eq!(finished.code, Some(0), "{}", told());
                return self.tried();
            }
            Then::Rests => {
                assert_eq!(
                    said,
                    ["begin", "first: false", "again: false", "holds: true"],
                    "{}",
                    told()
                );
                self.assert_as_before(&site, &before, "rests", &finished);
            }
        }
        assert_eq!(finished.code, Some(0), "{}", told());
        // The second call finds all as it should be, in any state.
        let (looks, steps) = costs(&finished.events, "first: ", "again: ");
        assert_eq!(
            (looks <= self.helper.looks, steps),
            (true, 0),
            "{looks} looks: {}",
            told()
        );
        self.tried();
    }

    /// The plan in which the helper is all that acts.
    fn plan(&self) -> String {
        format!("let done = {};\n", self.helper.call)
    }

    /// Which points are tried: all, or every so many.
    fn points(&self, first: u64, last: u64) -> impl Iterator<Item = u64> + use<> {
        let stride = if is_full() { 1 } else { self.stride };
        (first..=last).step_by(stride)
    }

    fn is_backed_out_when_the_plan_fails(&self) {
        let site = self.site(&(self.plan() + "throw \"the plan fails\";\n"));
        let before = self.look(&site);
        let finished = self.finish(&site, &["run", "plan.rhai"]);
        let acted = steps(&site.journal()) > 0;
        let told = || format!("{}\n{}\n{}", self.name(), finished.told(), site.told());
        assert_eq!(finished.code, Some(if acted { 3 } else { 1 }), "{}", told());
        if !matches!(self.state.then, Then::Refuses(_)) {
            assert_eq!(self.state.then != Then::Rests, acted, "{}", told());
        }
        self.assert_as_before(&site, &before, "the plan fails", &finished);
    }

    fn fails_in_the_middle(&self, writes: u64) {
        for n in self.points(1, writes) {
            let (site, before, finished) = self.run_with("fail-write", n);
            if finished.code == Some(0) {
                // The last write of all has failed and was made up for.
                continue;
            }
            let acted = steps(&site.journal()) > 0;
            let told = || format!("{}\n{}\n{}", self.name(), finished.told(), site.told());
            let code = finished.code.unwrap_or(-1);
            assert!(code == 3 || code == 1 && !acted, "{}", told());
            self.assert_as_before(&site, &before, "a write of the journal fails", &finished);
        }
    }

    /// Returns how many writes the plan makes.
    fn is_killed_in_the_middle(&self) -> u64 {
        let mut writes = 0;
        for (fault, first) in [("kill-before-write", 1), ("kill-after-write", 2)] {
            for n in self.points(first, u64::MAX) {
                let (site, before, finished) = self.run_with(fault, n);
                if !finished.was_killed() {
                    writes = writes.max(n - 1);
                    break;
                }
                self.back_out(&site, &before, fault);
            }
        }
        for nth in (1..).step_by(if is_full() {
            1
        } else {
            self.stride.div_ceil(4)
        }) {
            let site = self.site(&self.plan());
            let before = self.look(&site);
            self.count.runs.fetch_add(1, Ordering::SeqCst);
            let mut live = Live::start(site.command(&["run", "plan.rhai"]));
            let mut met = 0;
            live.wait_for("a step, or the end", |event| {
                met += usize::from(event["event"] == "step-started");
                met == nth || event["event"] == "run-ended"
            });
            if met < nth {
                live.finish();
                return writes;
            }
            live.kill();
            self.back_out(&site, &before, "killed while a step acts");
        }
        writes
    }

    /// Runs the plan with a fault at the n-th write.
    fn run_with(&self, fault: &str, n: u64) -> (Site, Before, Finished) {
        let site = self.site(&self.plan());
        let before = self.look(&site);
        self.count.runs.fetch_add(1, Ordering::SeqCst);
        let args = ["run", "plan.rhai"];
        let finished = site.finish_with(&args, "DEPLOYRUN_FAULT", &format!("{fault}:{n}"));
        (site, before, finished)
    }

    fn back_out(&self, site: &Site, before: &Before, what: &str) {
        let begun = site.journal();
        if journal::end(&begun).is_some() {
            // There is nothing to back out: what it changed is released, or was backed out.
            return;
        }
        // Ids of runs begin with the year.
        let finished = self.finish(site, &["back-out", "--yes", "2"]);
        if begun.is_empty() {
            // It was killed before there was a run.
            return self.assert_as_before(site, before, what, &finished);
        }
        let acted = steps(&site.journal()) > 0;
        let told = || {
            format!(
                "{}\n{what}\n{}\n{}",
                self.name(),
                finished.told(),
                site.told()
            )
        };
        assert_eq!(finished.code, Some(if acted { 3 } else { 1 }), "{}", told());
        self.assert_as_before(site, before, what, &finished);
    }
}

fn notes(events: &[Value]) -> Vec<String> {
    let notes = events.iter().filter(|e| e["call"]["function"] == "note");
    notes
        .filter_map(|e| Some(e["call"]["text"].as_str()?.to_owned()))
        .collect()
}

fn steps(events: &[Value]) -> usize {
    journal::of_kind(events, "step-started").len()
}

/// How many looks and steps lie between two notes, which are known by their begin.
fn costs(events: &[Value], from: &str, to: &str) -> (usize, usize) {
    let at = |begin: &str| {
        let is = |e: &Value| {
            e["call"]["text"]
                .as_str()
                .is_some_and(|t| t.starts_with(begin))
        };
        events.iter().position(is).expect("the note")
    };
    let between = &events[at(from)..at(to)];
    let looks = between.iter().filter(|e| e["call"]["function"] == "read");
    (looks.count(), steps(between))
}
