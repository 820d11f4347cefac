//! What was heard, told again.

use crate::supervisor::core::Core;
use crate::supervisor::core::state::StepState;

use super::{Went, World, broken};

impl World {
    /// What was heard, told again, makes the same core.
    pub(super) fn compare_with_replay(&self) -> Went {
        let Some(controller) = &self.controller else {
            return Ok(());
        };
        let told = controller.heard.iter().map(|(event, at)| (event, *at));
        let again = Core::restore(self.settings(), told);
        let (live, replayed) = (portrait(&controller.core), portrait(&again));
        for ((what, one), (_, other)) in live.iter().zip(&replayed) {
            if one != other {
                return broken(format!(
                    "{what} after a replay differs\nlive:     {one}\nreplayed: {other}"
                ));
            }
        }
        Ok(())
    }
}

/// What of a core outlives its process.
fn portrait(core: &Core) -> Vec<(&'static str, String)> {
    let steps: Vec<String> = core
        .steps
        .iter()
        .map(|(id, s)| {
            let StepState {
                attempt,
                in_flight,
                outcome,
                acted,
                voids,
                failures,
                lost,
                again,
                ..
            } = s;
            format!(
                "{id}: {attempt} {in_flight} {outcome:?} {acted} {voids} {failures} {lost} {again}"
            )
        })
        .collect();
    let groups: Vec<_> = core
        .groups
        .values()
        .filter(|groups| !groups.is_empty())
        .collect();
    vec![
        ("the phase", format!("{:?}", core.phase)),
        ("the stop", format!("{:?}", core.stop)),
        ("what was found", format!("{:?}", core.findings)),
        ("what was verified", format!("{:?}", core.failed_verifies)),
        ("the steps", steps.join("\n")),
        ("what is armed", format!("{:#?}", core.armed)),
        ("the groups", format!("{groups:?}")),
        (
            "the watches",
            format!("{:?}", core.watches.keys().collect::<Vec<_>>()),
        ),
        ("what began", format!("{:?}", core.began)),
        (
            "who approved",
            format!("{:?} {:?}", core.asked, core.approved),
        ),
        (
            "the gate",
            format!(
                "{} {:?} {} {}",
                core.gate_open, core.closes_ms, core.lock_taken, core.opened_boot_ms
            ),
        ),
        (
            "what acted",
            format!("{} {:?}", core.acted, core.without_back_out),
        ),
        ("the point of no return", format!("{:?}", core.no_return)),
        ("the survivors", format!("{:?}", core.survivors)),
        ("the end", format!("{:?}", core.end)),
    ]
}
