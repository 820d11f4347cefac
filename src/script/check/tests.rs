use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::script::api;
use crate::words::code::Code;
use crate::words::diagnostic::Level;

fn diagnostics(sources: &[(&str, &str)]) -> Vec<Diagnostic> {
    let main = sources[0].0;
    let sources: BTreeMap<String, String> = sources
        .iter()
        .map(|(id, text)| ((*id).to_owned(), (*text).to_owned()))
        .collect();
    let plan = Plan::from_sources(main, Path::new("/"), sources);
    check(&plan, &api::functions())
}

/// The errors and warnings in a plan, as `code line:column`, warnings that the shortness of the
/// plans would bring left out.
fn codes(sources: &[(&str, &str)]) -> Vec<String> {
    let unasked = [
        "no-header",
        "no-verify",
        "no-back-out",
        "no-timeout",
        "checklist",
    ];
    diagnostics(sources)
        .into_iter()
        .filter(|d| !unasked.contains(&d.code.name()))
        .map(|d| {
            let file = if d.place.file == "p" {
                String::new()
            } else {
                format!("{}:", d.place.file)
            };
            format!("{} {file}{}:{}", d.code, d.place.line, d.place.column)
        })
        .collect()
}

fn one(text: &str) -> String {
    codes(&[("p", text)]).join(", ")
}

/// Compares a table of plans and their findings; tells all that differ.
fn compare(table: &[(&str, &str)]) {
    let differ: Vec<String> = table
        .iter()
        .filter(|(text, wanted)| one(text) != *wanted)
        .map(|(text, wanted)| format!("{text}\n    wanted {wanted}\n    found  {}", one(text)))
        .collect();
    assert!(differ.is_empty(), "\n{}", differ.join("\n"));
}

#[test]
fn names_and_numbers_of_arguments() {
    compare(&[
        // Nothing can be done in no time, but no time may be waited for.
        ("run(\"x\", #{ timeout: \"0s\" });", "bad-literal 1:22"),
        ("run(\"x\", #{ timeout: 0 });", "wrong-type 1:22"),
        ("run(\"x\", #{ timeout: 1, grace: 0 }); sleep(0);", ""),
        ("runn(\"x\");", "unknown-function 1:1"),
        ("[1].mapp(|x| x);", "unknown-function 1:5"),
        ("run();", "wrong-arguments 1:1"),
        ("run(\"a\", #{}, 3);", "wrong-arguments 1:1"),
        ("local().run(\"a\");", ""),
        ("local().run(\"a\", #{}, 3);", "wrong-arguments 1:9"),
        ("\"5s\".sleep();", ""),
        ("\"five\".sleep();", "bad-literal 1:1"),
        ("fn f(a) { a } f(1, 2);", "wrong-arguments 1:15"),
        ("fn f(a) { a } f(1); 3.f(1);", ""),
        ("let f = |x| x; f(1);", "unknown-function 1:16"),
        ("let f = |x| x; f.call(1);", ""),
        ("let m = #{ act: |x| x }; m.act(1);", ""),
        ("let m = #{}; m.act = |x| x; m.act(1);", ""),
        ("let m = #{ gone: 1 }; m.gone(1);", "unknown-function 1:25"),
        ("\"a\".trim(1);", "wrong-arguments 1:5"),
        ("Fn(\"nope\").call(1);", "unknown-function 1:4"),
        ("fn f() {} Fn(\"f\").call(); Fn(\"run\");", ""),
        (
            "eval(\"1\"); print(1); debug(2); exit(); timestamp();",
            "closed 1:1, closed 1:12, closed 1:22, closed 1:32, closed 1:40",
        ),
        ("fn run(c) { c } run(\"x\");", "redefined-function 1:4"),
        ("fn exit() { 1 }", "redefined-function 1:4"),
        ("fn push(x) { x } [1].push(2);", "hidden-function 1:4"),
        ("fn start(unit) { unit } start(1);", ""),
        (
            "if false { switch 1 { 2 => nope(), _ => () } }",
            "unknown-function 1:28",
        ),
        ("let x = `a ${nope()} b`; info(x);", "unknown-function 1:14"),
        (
            "try { nope(); } catch { nope2(); }",
            "unknown-function 1:7, unknown-function 1:25",
        ),
        (
            "let x = #{ a: nope() }; info(x); return nope();",
            "unknown-function 1:15, unknown-function 1:41",
        ),
        (
            "for i in nope() { } while nope() { } do { } until nope();",
            "unknown-function 1:10, unknown-function 1:27, unknown-function 1:51",
        ),
    ]);
}

#[test]
fn options_and_literals() {
    compare(&[
        ("run(\"a\", #{ timout: \"5m\" });", "unknown-option 1:13"),
        ("run(\"a\", #{ timeout: \"5x\" });", "bad-literal 1:22"),
        ("run(\"a\", #{ timeout: true });", "wrong-type 1:22"),
        ("run(\"a\", #{ timeout: -1 });", "wrong-type 1:22"),
        ("run(\"a\", #{ codes: [0, 300] });", "wrong-type 1:20"),
        (
            "let x = 1; run(\"a\", #{ codes: [x, \"a\"] });",
            "wrong-type 1:35",
        ),
        ("run(\"a\", #{ abort_on: \"(\" });", "bad-literal 1:23"),
        ("let x = \"a\"; run([\"a\", x, ()]);", "wrong-type 1:27"),
        ("run([]);", "wrong-type 1:5"),
        ("run(\" \");", "bad-literal 1:5"),
        ("run(5);", "wrong-type 1:5"),
        ("run(\"a\", 5);", "wrong-type 1:10"),
        ("run(\"a\", #{ back_out: 5 });", "wrong-type 1:23"),
        (
            "run(\"a\", #{ back_out: |a, b| a });",
            "wrong-arguments 1:23",
        ),
        (
            "write_file(\"a\", \"b\", #{ mode: \"999\" });",
            "bad-literal 1:31",
        ),
        ("check_installed(\"nginx\", \">> 1\");", "bad-literal 1:26"),
        ("wait_for_window(\"Foo 22:00\");", "bad-literal 1:17"),
        ("check(\"a\", 5);", "wrong-type 1:12"),
        ("check(\"a\", |x| x);", "wrong-arguments 1:12"),
        ("let y = 1; check(\"a\", || y == 1);", ""),
        (
            "let y = 1; check(\"a\", |x| y == x);",
            "wrong-arguments 1:23",
        ),
        (
            "watch(\"a\", #{ no_data: \"maybe\" }, || true);",
            "bad-literal 1:24",
        ),
        (
            "watch(\"a\", || true, #{});",
            "wrong-type 1:12, wrong-type 1:21",
        ),
        ("let o = #{}; run(\"a\", o);", ""),
        (
            "run(`a ${1}`, #{ retries: `b${1}` });",
            "shell-text 1:5, wrong-type 1:27",
        ),
        ("plan(#{ nam: \"x\" });", "unknown-option 1:9"),
        ("plan(\"x\");", "wrong-type 1:6"),
    ]);
}

#[test]
fn calls_that_may_not_be_made_there() {
    compare(&[
        (
            "check(\"a\", || run(\"b\").code == 0);",
            "acts-in-check 1:15",
        ),
        ("check(\"a\", || probe(\"b\").code == 0);", ""),
        (
            "let c = \"b\"; watch(\"a\", || { info(c); true });",
            "acts-in-check 1:30",
        ),
        (
            "verify(\"a\", || [1].all(|h| { abort(`${h}`); true }));",
            "acts-in-check 1:30, unreachable 1:45",
        ),
        ("run(\"a\", #{ back_out: || run(\"b\") });", ""),
        (
            "run(\"a\", #{ back_out: || step(\"b\", || 1) });",
            "acts-in-back-out 1:26",
        ),
        (
            "let f = \"x\"; back_out(|| run(f, #{ back_out: \"c\" }));",
            "acts-in-back-out 1:46",
        ),
        (
            "back_out(|| check(\"b\", || run(\"c\").code == 0));",
            "acts-in-check 1:27",
        ),
        ("step(\"a\", || { run(\"b\"); });", ""),
    ]);
}

#[test]
fn the_header() {
    compare(&[
        ("plan(#{});", ""),
        ("const A = \"a\"; plan(#{ name: A });", ""),
        ("info(1); plan(#{});", "header-place 1:10"),
        ("plan(#{}); plan(#{});", "header-place 1:12"),
        ("if true { plan(#{}); }", "header-place 1:11"),
        ("fn f() { plan(#{}); } f();", "header-place 1:10"),
        ("plan(#{ deadline: \"5m\" });", "header-times 1:19"),
        ("plan(#{ deadline: \"6m\" });", ""),
        (
            "plan(#{ deadline: 600, back_out_within: \"10m\" });",
            "header-times 1:19",
        ),
        (
            "plan(#{ deadline: \"10m\", expected: \"6m\" });",
            "header-times 1:19",
        ),
        (
            "plan(#{ window: \"Sat 22:00-22:20 UTC\", expected: \"16m\" });",
            "short-window 1:17",
        ),
        (
            "plan(#{ window: \"Sat 22:00-22:20 UTC\", expected: \"15m\" });",
            "",
        ),
        (
            "plan(#{ window: \"2026-12-01T22:00Z/PT4M; 2031-12-01T22:00Z/PT1M\" });",
            "short-window 1:17",
        ),
        (
            "plan(#{ window: \"Mon 22:00-22:20 UTC; 2031-12-01T22:00Z/PT4H\", back_out_within: \"1h\" });",
            "",
        ),
        ("plan(#{ deadline: \"5x\" });", "bad-literal 1:19"),
        (
            "plan(#{ window: \"Sat 25:00-26:00\" });",
            "bad-literal 1:17",
        ),
    ]);
}

#[test]
fn what_is_of_no_use() {
    compare(&[
        ("let x = 1;", "unused-variable 1:5"),
        ("let _x = 1;", ""),
        ("let x = 1; x = 2;", "unused-variable 1:5"),
        ("let x = 1; x += 2; info(x);", ""),
        ("let x = 1; { let x = 2; info(x); }", "unused-variable 1:5"),
        ("let x = 1; let f = || x; f.call();", ""),
        ("const A = 1; fn f() { global::A } f();", ""),
        ("fn f() { global::B } f();", "undefined-variable 1:10"),
        ("fn f() { let x = 1; } f();", "unused-variable 1:14"),
        ("for i in 0..3 { info(1); }", ""),
        ("let m = #{}; m.a = 1;", ""),
        ("abort(\"x\"); info(1);", "unreachable 1:13"),
        ("fn f() { return 1; info(1); } f();", "unreachable 1:20"),
        ("loop { break; info(1); }", "unreachable 1:15"),
        ("if true { throw 1; } info(1);", ""),
        (
            "let a = []; for h in [1] { a.push(|| h); } a.len();",
            "loop-capture 1:35",
        ),
        (
            "let a = []; for h in [1] { a += || h; } a.len();",
            "loop-capture 1:33",
        ),
        (
            "let a = []; for h in [1] { let one = h; a.push(|| one); } a.len();",
            "",
        ),
        ("for h in [\"a\"] { back_out(|| run(h)); }", ""),
    ]);
}

#[test]
fn commands_and_secrets() {
    compare(&[
        ("let f = \"x\"; run(`rm ${f}`);", "shell-text 1:18"),
        ("let f = \"x\"; run(\"rm \" + f);", "shell-text 1:18"),
        (
            "let f = \"x\"; run(\"a\", #{ back_out: `rm ${f}` });",
            "shell-text 1:36",
        ),
        ("let f = \"x\"; run([\"rm\", `${f}.old`]);", ""),
        ("run(`a plain text`); run(\"a \" + \"b\");", ""),
        (
            "let p = secret(\"P\"); info(`p ${p}`);",
            "secret-in-text 1:32",
        ),
        ("info(`p ${secret(\"P\")}`);", "secret-in-text 1:11"),
        ("let p = secret(\"P\"); info(\"p \" + p);", ""),
    ]);
}

#[test]
fn escapes_in_back_ticks() {
    compare(&[
        (r"info(`a\nb`);", "escape-in-back-ticks 1:6"),
        ("info(`a\nb`);", ""),
        (r#"info("a\nb");"#, ""),
        (
            r"let x = 1; info(`${x}: a\tb`);",
            "escape-in-back-ticks 1:17",
        ),
        (
            r#"fn f() { info("a"); `b\n` } info(f());"#,
            "escape-in-back-ticks 1:21",
        ),
        (r"run(`printf 'a\n'`);", ""),
        (
            r#"run(["printf", `a\n`], #{ back_out: `printf '\t'`, abort_on: [`a\tb`] });"#,
            "",
        ),
        (r"write_file(`a`, `b\n`);", "escape-in-back-ticks 1:17"),
    ]);
}

#[test]
fn this_in_loops() {
    compare(&[
        (
            "fn f() { loop { this = [this]; } } f();",
            "this-in-loop 1:17, this-in-loop 1:25",
        ),
        ("fn f() { for x in this { info(x); } this = 1; } f();", ""),
        (
            "fn f() { for x in 0..3 { this.push(x); } } f();",
            "this-in-loop 1:26",
        ),
        (
            "fn f() { while this.grow() {} } f();",
            "this-in-loop 1:16, unknown-function 1:21",
        ),
        ("[1].for_each(|| { this += 1; });", ""),
    ]);
}

#[test]
fn habits() {
    let of = |text: &str| {
        let codes: Vec<String> = diagnostics(&[("p", text)])
            .iter()
            .filter(|d| d.code.name().starts_with("no-") && d.code != Code::NoHeader)
            .map(|d| format!("{} {}", d.code, d.place.column))
            .collect();
        codes.join(", ")
    };
    assert_eq!(
        of("run(\"a\");"),
        "no-back-out 1, no-timeout 1, no-verify 1"
    );
    assert_eq!(
        of("run(\"a\", #{ back_out: (), timeout: 1 }); verify(\"a\", || true);"),
        ""
    );
    assert_eq!(
        of("back_out(\"b\"); run(\"a\", #{ timeout: 1 });"),
        "no-verify 16"
    );
    assert_eq!(
        of("back_out(\"b\"); info(1); run(\"a\", #{ timeout: 1 });"),
        "no-back-out 25, no-verify 25"
    );
    assert_eq!(
        of("step(\"s\", #{ timeout: 5 }, || { run(\"a\"); });"),
        "no-back-out 33, no-verify 33"
    );
    assert_eq!(
        of(
            "fn undo() { run(\"b\", #{ timeout: 1 }); } back_out(|| undo()); verify(\"a\", || true);"
        ),
        ""
    );
    assert_eq!(
        of("point_of_no_return(\"x\"); run(\"a\", #{ timeout: 1 }); verify(\"a\", || true);"),
        ""
    );
    assert_eq!(
        of("let o = #{}; run(\"a\", o); verify(\"a\", || true);"),
        ""
    );
    assert_eq!(of("check(\"a\", || true);"), "");
    assert_eq!(
        of("const A = 1; fn f() { run(\"a\", #{ back_out: (), timeout: 1 }); global::A }"),
        ""
    );
}

#[test]
fn modules() {
    let two = |main: &str, module: &str| codes(&[("p", main), ("m.rhai", module)]).join(", ");
    let import = |rest: &str| format!("import \"./m\" as m; {rest}");
    assert_eq!(two(&import("m::f(1);"), "fn f(a) { a }"), "");
    assert_eq!(
        two(&import("m::f();"), "fn f(a) { a }"),
        "wrong-arguments 1:20"
    );
    assert_eq!(
        two(&import("m::g();"), "fn f(a) { a }"),
        "unknown-function 1:20"
    );
    assert_eq!(
        two(&import("f(1);"), "fn f(a) { a }"),
        "unused-import 1:17, unknown-function 1:20"
    );
    assert_eq!(
        two(&import("m::f();"), "private fn f() { }"),
        "private-function 1:20"
    );
    assert_eq!(
        two(&import("n::f();"), "fn f() { }"),
        "unused-import 1:17, unknown-module 1:20"
    );
    assert_eq!(
        two(&import("let f = || n::f(); f.call();"), "fn f() { }"),
        "unused-import 1:17, unknown-module 1:31"
    );
    assert_eq!(two(&import("info(m::A);"), "export const A = 1;"), "");
    assert_eq!(
        two(&import("info(m::A);"), "const A = 1; fn f() { global::A }"),
        "undefined-variable 1:25"
    );
    assert_eq!(
        two(&import("info(m::B);"), "export const A = 1;"),
        "undefined-variable 1:25"
    );
    assert_eq!(
        two(&import("m::f();"), "run(\"a\"); fn f() { nope(); }"),
        "module-acts m.rhai:1:1, unknown-function m.rhai:1:20"
    );
    assert_eq!(
        two(&import("m::f();"), "fn f() { plan(#{}); }"),
        "header-place m.rhai:1:10"
    );
    assert_eq!(
        two(&import("m::h::status(\"u\");"), "import \"std/http\" as h;"),
        ""
    );
    assert_eq!(
        two(&import("m::f();"), "import \"std/http\" as h; fn f() { }"),
        "unused-import m.rhai:1:22"
    );
    assert_eq!(
        two("import \"./m\" as run; run::f();", "fn f() { }"),
        "redefined-function 1:17"
    );
    assert_eq!(
        two(
            "import \"./m\" as m; m::f(); import \"std/http\" as m; m::status(\"x\");",
            "fn f() { }"
        ),
        "repeated-import 1:49"
    );
    assert_eq!(
        two(&import("m::f(1, x);"), "fn f(a) { a }"),
        "wrong-arguments 1:20, undefined-variable 1:28"
    );
}

#[test]
fn the_modules_of_deployrun_have_no_errors() {
    for path in crate::script::plan::stdlib_paths() {
        let main = format!("import \"{path}\" as it;");
        let sources = BTreeMap::from([("p".to_owned(), main)]);
        let plan = Plan::from_sources("p", Path::new("/"), sources);
        let text = plan.sources().get(path).cloned().unwrap_or_default();
        let found = diagnostics(&[(path, &text)]);
        let errors: Vec<String> = found
            .iter()
            .filter(|d| d.level == Level::Error || d.code.name().starts_with("un"))
            .map(ToString::to_string)
            .collect();
        assert!(
            !text.is_empty() && errors.is_empty(),
            "{path}:\n{}",
            errors.join("\n")
        );
    }
}

#[test]
fn everything_is_told_at_once() {
    let text = "let a = b;\nprint(c);\nnope();\nrun(\"x\", #{ timout: 1 });\nd::f();\n";
    let found = codes(&[("p", text)]);
    let wanted = [
        "unused-variable 1:5",
        "undefined-variable 1:9",
        "closed 2:1",
        "undefined-variable 2:7",
        "unknown-function 3:1",
        "unknown-option 4:13",
        "unknown-module 5:1",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn what_may_not_be_done_is_found_through_functions() {
    compare(&[
        (
            "fn undo() { step(\"x\", || run(\"true\")); } run(\"true\", #{ back_out: || undo() });",
            "acts-in-back-out 1:70",
        ),
        (
            "fn undo() { step(\"x\", || run(\"true\")); } run(\"true\", #{ back_out: undo });",
            "acts-in-back-out 1:67",
        ),
        (
            "fn look() { deep(1); true } fn deep(n) { run(\"true\"); } check(\"x\", || look());",
            "acts-in-check 1:71",
        ),
        // What only may happen is no error, nor is what another function of the name does.
        (
            "fn look(really) { if really { run(\"true\"); } true } check(\"x\", || look(false));",
            "",
        ),
        (
            "fn look(x) { if x { return true; } run(\"true\"); } check(\"x\", || look(true));",
            "",
        ),
        (
            "fn look(x) { try { run(\"true\"); } catch {} x } check(\"x\", || look(true));",
            "",
        ),
        (
            "fn look() { run(\"true\"); } fn look(x) { x } look(); check(\"x\", || look(true));",
            "",
        ),
        ("fn look() { look() } check(\"x\", || look());", ""),
        (
            "fn undo() { run(\"true\"); } run(\"true\", #{ back_out: || undo() });",
            "",
        ),
    ]);
    let through_a_module = codes(&[
        ("p", "import \"./m\" as m; check(\"x\", || m::act());"),
        ("m.rhai", "fn act() { run(\"true\"); }"),
    ]);
    assert_eq!(through_a_module, ["acts-in-check 1:34"]);
}

#[test]
fn a_value_in_double_quotes_is_told() {
    compare(&[
        (
            r#"let v = 1; info(v); info("a ${v} b");"#,
            "value-in-quotes 1:26",
        ),
        (
            r#"fn f(v) { info(v); "${ v.x }" } f(1);"#,
            "value-in-quotes 1:20",
        ),
        (r#"let v = 1; info(v); info("${HOME} $v {v}");"#, ""),
        ("let v = 1; info(`a ${v} b`);", ""),
    ]);
}

#[test]
fn a_module_that_acts_is_no_plan_that_does() {
    let of_all = |main: &str| {
        let found = diagnostics(&[
            ("p", main),
            (
                "m.rhai",
                "fn v() { \"1\" } fn act() { run(\"true\", #{ timeout: 1, back_out: () }); }",
            ),
        ]);
        found.iter().any(|d| d.code == Code::NoVerify)
    };
    let header = "import \"./m\" as m; plan(#{ name: m::v() });";
    assert!(!of_all(header));
    assert!(of_all(&format!("{header} m::act();")));
    assert!(of_all(&format!(
        "{header} fn change() {{ m::act(); }} change();"
    )));
    assert!(!of_all(&format!("{header} fn change() {{ m::act(); }}")));
}
