//! The page of the manual that lists the functions of a plan, made from their table.

use std::fmt::Write as _;

use super::functions::{Function, Param, When};

/// The page, in Markdown.
#[must_use]
pub fn functions_page(functions: &[Function]) -> String {
    let mut page = String::from(INTRODUCTION);
    for (heading, when) in [
        ("The header", When::First),
        ("In every phase", When::Any),
        ("At the gate", When::Review),
        ("In the release", When::Release),
    ] {
        let _ = write!(page, "\n## {heading}\n");
        let mut listed: Vec<&Function> = functions.iter().filter(|f| f.when == when).collect();
        listed.sort_by_key(|f| f.name);
        for function in listed {
            entry(&mut page, function);
        }
    }
    page
}

/// Does a function belong under a heading?
type IsOf<'a> = &'a dyn Fn(&Function) -> bool;

/// The page of the functions for tests, in Markdown.
#[must_use]
pub fn testing_page(functions: &[Function]) -> String {
    let mut page = String::from(TESTING);
    let begins = |function: &Function, words: &[&str]| {
        words.iter().any(|word| function.name.starts_with(word))
    };
    let given = ["given_"];
    let asserts = ["assert"];
    let of: [(&str, IsOf<'_>); 3] = [
        ("What is given", &|f| begins(f, &given)),
        ("What is asserted", &|f| begins(f, &asserts)),
        ("What goes wrong, runs, and is looked at", &|f| {
            !begins(f, &given) && !begins(f, &asserts)
        }),
    ];
    for (heading, is_of) in of {
        let _ = write!(page, "\n## {heading}\n");
        let mut listed: Vec<&Function> = functions.iter().filter(|f| is_of(f)).collect();
        listed.sort_by_key(|f| f.name);
        for function in listed {
            entry(&mut page, function);
        }
    }
    page
}

const TESTING: &str = "\
# The functions of a test

<!-- Made from the table in src/script/api/testing/; `UPDATE_SNAPSHOTS=1 cargo test --test manual` writes it. -->

How tests work is told in [Testing plans and helpers](testing.md). These functions are there in files that
end in `_test.rhai` only; what a plan calls is there [as well](functions.md).
";

const INTRODUCTION: &str = "\
# The functions of a plan

<!-- Made from the table in src/script/api/; `UPDATE_SNAPSHOTS=1 cargo test --test manual` writes it. -->

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

fn entry(page: &mut String, function: &Function) {
    let _ = write!(
        page,
        "\n### `{}`\n\n`{}`\n\n{}\n",
        function.name,
        function.forms(),
        function.doc
    );
    let arguments: Vec<&Param> = function
        .params
        .iter()
        .chain(function.optional)
        .chain(&function.closure)
        .collect();
    if function.options.is_empty() && arguments.is_empty() {
        return;
    }
    page.push_str("\n| | takes | |\n|---|---|---|\n");
    for param in arguments {
        row(page, "", param);
    }
    for param in function.options {
        row(
            page,
            if function.name == "plan" {
                ""
            } else {
                "option "
            },
            param,
        );
    }
}

fn row(page: &mut String, word: &str, param: &Param) {
    let wants = param.kind.wants().replace('|', "\\|");
    let _ = writeln!(page, "| {word}`{}` | {wants} | {} |", param.name, param.doc);
}
