//! Functions of the same name in several modules, and in the plan: each calls its own, however often
//! the others were called before.

use super::support::site::Site;

const A: &str = r#"/// Calls its own.
fn make(x) { only(x) + make(x, "") }

/// Another form.
fn make(x, y) { y + "/" + [1].map(|n| only(x))[0] }

private fn only(x) { "a" + x }
"#;

const B: &str = r#"import "./a" as a;

/// Calls its own, those of another module, and its own again.
fn make(x) { only(x) + make(x, "") + " " + a::make(x) + " " + only(x) + make(x, "") }

/// Another form.
fn make(x, y) { y + "/" + [1].map(|n| only(x))[0] }

/// Throws in a function of its own.
fn fails() { thrower("b") }

private fn thrower(x) { throw "no " + x; }

private fn only(x) { "b" + x }
"#;

const PLAN: &str = r#"import "./a" as a;
import "./b" as b;
plan(#{ name: "names", version: "1", environment: "test" });
fn only(x) { "plan" + x }
fn make(x) { only(x) }
check("in a closure", || a::make("1") == "a1/a1" && make("1") == "plan1" && b::make("1").starts_with("b1/b1"));
for n in [1, 2, 3] {
    info([make(`${n}`), a::make(`${n}`), b::make(`${n}`), only(`${n}`)]);
}
b::fails();
"#;

#[test]
fn each_source_calls_its_own_functions() {
    for command in ["run", "preview"] {
        let site = Site::bare(PLAN);
        site.write("a.rhai", A);
        site.write("b.rhai", B);
        let finished = site.finish(&[command, "plan.rhai"]);
        let told = finished.told();
        assert_eq!(finished.code, Some(1), "{told}");
        for n in 1..=3 {
            let line =
                format!(r#"["plan{n}", "a{n}/a{n}", "b{n}/b{n} a{n}/a{n} b{n}/b{n}", "plan{n}"]"#);
            let quoted = serde_json::to_string(&line).expect("JSON");
            let quoted = quoted.trim_matches('"');
            assert!(
                told.contains(&line)
                    || told.contains(quoted)
                    || told.contains(&quoted.replace('\\', "\\\\\\")),
                "{command}: {line}\n{told}"
            );
        }
        // Errors have the names as they were written.
        assert!(told.contains("in `fails`"), "{told}");
        assert!(!told.contains("__of_module"), "{told}");
    }
}
