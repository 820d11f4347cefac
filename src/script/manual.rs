//! The functions of plans and of tests as parts of a manual, made from their tables.

use crate::words::manual::{self, Comment, Form, Module, Owner, Part, Taken};
use crate::words::place::Place;

use super::api;
use super::functions::{Function, Param, When};

/// What plans can call.
#[must_use]
pub fn functions() -> Part {
    let all = api::functions();
    let of = |path: &str, when: When| group(path, all.iter().filter(|f| f.when == when));
    Part {
        owner: Owner::Plans,
        name: "functions".into(),
        title: "The functions of a plan".into(),
        about: Comment::of(OF_PLANS),
        facts: Vec::new(),
        is_own: false,
        modules: vec![
            of("The header", When::First),
            of("In every phase", When::Any),
            of("At the gate", When::Review),
            of("In the release", When::Release),
        ],
    }
}

/// What tests can call beside it.
#[must_use]
pub fn functions_of_tests() -> Part {
    let all = api::testing::functions();
    let given = |f: &&Function| f.name.starts_with("given_");
    let asserts = |f: &&Function| f.name.starts_with("assert");
    Part {
        owner: Owner::Tests,
        name: "testing-functions".into(),
        title: "The functions of a test".into(),
        about: Comment::of(OF_TESTS),
        facts: Vec::new(),
        is_own: false,
        modules: vec![
            group("What is given", all.iter().filter(given)),
            group("What is asserted", all.iter().filter(asserts)),
            group(
                "What goes wrong, runs, and is looked at",
                all.iter().filter(|f| !given(f) && !asserts(f)),
            ),
        ],
    }
}

const OF_TESTS: &str = "\
How tests work is told in [Testing plans and helpers](testing.md). These functions are there in files that
end in `_test.rhai` only; what a plan calls is there [as well](functions.md).
";

const OF_PLANS: &str = "\
Durations are texts (`\"90s\"`, `\"5m\"`, `\"1h30m\"`) or whole seconds. Commands are an array (the
argument vector, without a shell; preferred) or a text (run by `/bin/sh -c`). Options come last, as a
map, and before a closure; an unknown key is an error that names the nearest known one. Relative paths
count from the plan's directory, in which commands run as well.

Every call is recorded in the journal with its answer. A call of the release opens the gate: all checks
passed, the environment's lock taken, approvals given, the window open with enough of it left.

Closures given to `check`, `watch`, `verify` and as back-outs work on copies of what they capture.

Helpers on top of these functions are in the [stdlib](stdlib.md).

There are also `local()`, this machine as a target (`local().run(…)` is `run(…)`), `trimmed(text)`,
which returns a text without space around it, `lines(text)`, which returns an array, `matches(text,
pattern)`, `replace_all(text, pattern, by)`, where `$1` and `${name}` stand for groups of the pattern,
and `seconds(duration)`, which returns a number. Patterns are regular expressions; `^` and `$` are begin
and end of a line. `args` is the map that `-e KEY=VALUE` fills. `KIB`, `MIB`, `GIB` and `TIB` are numbers
of bytes.

A plan is a script without `eval`, `print`, `debug`, `exit`, `timestamp` and `curry`; it has no clock, no
random numbers, and no files or network but through the functions below. What one script may use is
limited: 500 million operations, 64 calls within calls, 4 MiB of text, 100,000 items in an array, 20,000
in a map, values nested 1,000 deep, a million values in one, and 1 GiB by which the memory of the whole
process may grow while it runs. A script that uses more is stopped as a script error that it cannot
catch, and is backed out. (Memory and nesting are looked at now and then, so a little more may be used
before it is seen.) A source has at most 4 MiB, 65,534 lines, and 65,534 characters in a line, and no
characters in it that a reviewer would not see.
";

fn group<'f>(path: &str, functions: impl Iterator<Item = &'f Function>) -> Module {
    let mut functions: Vec<&Function> = functions.collect();
    functions.sort_by_key(|function| function.name);
    Module {
        path: path.to_owned(),
        functions: functions.into_iter().map(documented).collect(),
        ..Module::default()
    }
}

fn documented(function: &Function) -> manual::Function {
    let is_header = function.name == "plan";
    let arguments = function
        .params
        .iter()
        .chain(function.optional)
        .chain(&function.closure)
        .map(|param| taken(param, false));
    let options = function
        .options
        .iter()
        // The fields of the header are called so.
        .map(|option| taken(option, !is_header));
    manual::Function {
        name: function.name.to_owned(),
        forms: vec![Form {
            calls: function.calls(),
            comment: Comment::of(function.doc),
            place: Place::default(),
        }],
        takes: arguments.chain(options).collect(),
    }
}

fn taken(param: &Param, is_option: bool) -> Taken {
    Taken {
        name: param.name.to_owned(),
        is_option,
        wants: param.kind.wants(),
        doc: param.doc.to_owned(),
    }
}
