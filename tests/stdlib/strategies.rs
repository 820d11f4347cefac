//! `std/strategies`: what it orders is put in place by `std/files`, and comes back in the other order.

use std::fs;
use std::path::Path;

use super::harness::{Helper, Module, State, Then, prove_every};

use Then::{Acts, Rests};

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

fn write(root: &Path, name: &str, text: &str) {
    fs::write(root.join("production").join(name), text).expect("written");
}

const PRELUDE: &str = r#"import "std/files" as files;
let parts = #{
    parts: ["a", "b", "c"],
    put: |part| files::write("production/" + part, "new"),
    healthy: |part| read_file("production/" + part) == "new",
    soak: "0s",
};
let colours = |active| #{
    active: active,
    has_it: |colour| file_exists("production/" + colour),
    prepare: |colour| files::write("production/" + colour, "new"),
    healthy: |colour| file_exists("production/" + colour),
    switch_over: |from, to| files::symlink("production/current", to),
    soak: "0s",
};"#;

const HELPERS: &[Helper] = &[
    Helper {
        call: "strategies::canary(parts)",
        holds: r#"["a", "b", "c"].all(|part| read_file("production/" + part) == "new")"#,
        // One for each part.
        looks: 3,
        states: &[
            state("absent", |_| {}, Acts),
            state(
                "the same",
                |root| {
                    ["a", "b", "c"]
                        .iter()
                        .for_each(|part| write(root, part, "new"))
                },
                Rests,
            ),
            state(
                "partly there",
                |root| {
                    write(root, "a", "new");
                    write(root, "b", "former");
                },
                Acts,
            ),
        ],
    },
    Helper {
        call: r#"strategies::blue_green(colours.call(file_info("production/current").target))"#,
        holds: r#"file_info("production/current").target == "green" && file_exists("production/green")"#,
        // Which colour is active, and whether it has it.
        looks: 2,
        states: &[
            state(
                "on the other colour",
                |root| {
                    let current = root.join("production/current");
                    std::os::unix::fs::symlink("blue", current).expect("a link");
                },
                Acts,
            ),
            state(
                "the same",
                |root| {
                    let current = root.join("production/current");
                    std::os::unix::fs::symlink("green", current).expect("a link");
                    write(root, "green", "new");
                },
                Rests,
            ),
        ],
    },
];

#[test]
fn what_a_strategy_has_put_comes_back() {
    prove_every(
        &Module {
            path: "std/strategies",
            name: "strategies",
            surroundings: |_| {},
            prelude: PRELUDE,
            state: |_| String::new(),
            helpers: HELPERS,
        },
        3,
    );
}
