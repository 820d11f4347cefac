//! Plans that mean harm, and plans and commands that are wrong, through the real program. What it
//! says, whole, and every file that it leaves, lies beside each case.
//!
//! A case is a file `NAME.rhai`, and what is told stands in `NAME.out`; `UPDATE_SNAPSHOTS=1` rewrites
//! it. In a case,
//!
//! - `//=== FILE` begins another file, for modules;
//! - `//% COMMAND` is run by the shell before, in the directory of the plan;
//! - `//$ ARGUMENTS` is a command line of deployrun, instead of the usual one.
//!
//! `DEPLOYRUN_CASE=NAME` runs one case.

mod case;
mod previews;
#[path = "../output/scene.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod scene;

/// After a stop nothing acts, whatever the script tries: no case leaves the file `effect`, and none
/// ends as released but those that say so in their names.
#[test]
fn hostile_plans() {
    let told = case::all("cases", "run plan.rhai");
    assert!(told.len() >= 70 || case::is_one(), "{} cases", told.len());
    for (name, told) in told {
        let is_allowed = name.starts_with("allowed_");
        assert!(is_allowed || !told.contains("effect:"), "{name}:\n{told}");
        assert!(
            is_allowed || !told.contains("status 0\n"),
            "{name}:\n{told}"
        );
        // Neither a defect nor a signal ended it.
        assert!(
            !told.contains("defect") && !told.contains("panicked"),
            "{name}:\n{told}"
        );
        assert!(!told.contains("status none"), "{name}:\n{told}");
    }
}

/// What is wrong is refused before anything is done, with its place and what to do.
#[test]
fn bad_input() {
    let told = case::all("bad_input", "check plan.rhai");
    assert!(told.len() >= 80 || case::is_one(), "{} cases", told.len());
    for (name, told) in told {
        assert!(!told.contains("effect:"), "{name}:\n{told}");
        assert!(!told.contains("panicked"), "{name}:\n{told}");
        assert!(!told.contains("status none"), "{name}:\n{told}");
    }
}
