//! Helpers that are broken on purpose: the harness must say so of each of them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::harness::{Helper, Module, State, Then, prove};
use super::support::site::Site;

const MODULE: &str = r#"
//! Broken.

/// Nothing is wrong with this one.
fn whole() {
    wait_for_window();
    if file_info("production/f", #{ content: "new" })?.same == true { return false; }
    write_file("production/f", "new")
}

/// Nobody undoes it.
fn without_back_out() {
    wait_for_window();
    if file_info("production/f", #{ content: "new" })?.same == true { return false; }
    run("printf new > production/f", #{ back_out: () });
    true
}

/// Its back-out leaves something else than what was there.
fn half_back_out() {
    wait_for_window();
    if file_info("production/f", #{ content: "new" })?.same == true { return false; }
    run("printf new > production/f", #{ back_out: "rm -f production/f" });
    true
}

/// It acts before its back-out is armed: only a kill between the two shows it.
fn armed_too_late() {
    wait_for_window();
    if file_info("production/f", #{ content: "new" })?.same == true { return false; }
    run("cp -p production/f saved 2>/dev/null; printf new > production/f", #{ back_out: () });
    back_out("if test -e saved; then cp -p saved production/f; else rm -f production/f; fi");
    true
}

/// It acts each time.
fn restless() {
    wait_for_window();
    write_file("production/f", "new");
    true
}

/// It says that it has acted when it has not.
fn boastful() {
    wait_for_window();
    if file_info("production/f", #{ content: "new" })?.same == true { return true; }
    write_file("production/f", "new")
}

/// It looks twice.
fn curious() {
    wait_for_window();
    if !file_exists("production/f") { return write_file("production/f", "new"); }
    if file_info("production/f", #{ content: "new" }).same { return false; }
    write_file("production/f", "new")
}

/// It does something else than it should.
fn mistaken() {
    wait_for_window();
    if file_info("production/f", #{ content: "old" })?.same == true { return false; }
    write_file("production/f", "old")
}
"#;

const STATES: &[State] = &[
    State {
        name: "absent",
        make: |_| {},
        then: Then::Acts,
    },
    State {
        name: "the same",
        make: |root| fs::write(root.join("production/f"), "new").expect("written"),
        then: Then::Rests,
    },
    State {
        name: "another",
        make: |root| fs::write(root.join("production/f"), "former").expect("written"),
        then: Then::Acts,
    },
];

const fn helper(call: &'static str) -> [Helper; 1] {
    [Helper {
        call,
        holds: r#"read_file("production/f") == "new""#,
        looks: 1,
        states: STATES,
    }]
}

fn is_proven(helpers: &'static [Helper]) -> bool {
    let module = Module {
        path: "./broken",
        name: "broken",
        surroundings: |site: &Site| site.write("broken.rhai", MODULE),
        prelude: "",
        state: |_| String::new(),
        helpers,
    };
    catch_unwind(AssertUnwindSafe(|| prove(&module))).is_ok()
}

#[test]
fn the_harness_notices_helpers_that_are_broken() {
    static WHOLE: [Helper; 1] = helper("broken::whole()");
    assert!(is_proven(&WHOLE), "there is nothing wrong with it");
    static BROKEN: [[Helper; 1]; 7] = [
        helper("broken::without_back_out()"),
        helper("broken::half_back_out()"),
        helper("broken::armed_too_late()"),
        helper("broken::restless()"),
        helper("broken::boastful()"),
        helper("broken::curious()"),
        helper("broken::mistaken()"),
    ];
    for broken in &BROKEN {
        assert!(!is_proven(broken), "{} was not noticed", broken[0].call);
    }
}
