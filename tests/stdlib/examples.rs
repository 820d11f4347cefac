//! The examples in the doc comments of `stdlib/`: each is run for real in a directory of its own, and
//! once more in a plan that fails, after which that directory is as before. One that needs what not every
//! machine has says so (```` ```rhai,check ````) and is only checked.

use std::fs;
use std::path::Path;

use super::support::site::Site;
use super::support::sweep::each;
use super::support::tree::difference;
use super::whole_tree;

/// A function that a module exports, with what its comment says.
#[derive(Debug)]
struct Documented {
    module: String,
    name: String,
    doc: String,
}

#[derive(Debug)]
struct Example {
    of: String,
    code: String,
    runs: bool,
}

/// The functions of all modules, in the order of the files.
fn functions() -> Vec<Documented> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("stdlib/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rhai"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let module = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mut doc = String::new();
        for line in fs::read_to_string(&path).expect("a module").lines() {
            if let Some(text) = line.strip_prefix("///") {
                doc += text.strip_prefix(' ').unwrap_or(text);
                doc.push('\n');
                continue;
            }
            if let Some(rest) = line.strip_prefix("fn ") {
                let name = rest.split('(').next().unwrap_or_default().to_owned();
                let module = module.clone();
                let doc = doc.clone();
                found.push(Documented { module, name, doc });
            }
            doc.clear();
        }
    }
    found
}

fn examples() -> Vec<Example> {
    let mut found = Vec::new();
    for function in functions() {
        for (at, part) in function.doc.split("```").enumerate() {
            if at % 2 == 0 {
                continue;
            }
            let (kind, code) = part.split_once('\n').unwrap_or_default();
            let of = format!("std/{}: {}", function.module, function.name);
            assert!(["rhai", "rhai,check"].contains(&kind), "{of}: ```{kind}");
            found.push(Example {
                of,
                code: code.to_owned(),
                runs: kind == "rhai",
            });
        }
    }
    found
}

#[test]
fn every_function_has_a_comment_and_an_example() {
    let all = functions();
    assert!(all.len() > 20, "the modules were not found");
    let mut wrong = Vec::new();
    for function in &all {
        let Documented { module, name, doc } = function;
        if doc.trim().is_empty() {
            wrong.push(format!("std/{module}: {name} has no comment"));
        }
        let mut forms = all
            .iter()
            .filter(|f| f.module == *module && f.name == *name);
        if !forms.any(|form| form.doc.contains("```rhai")) {
            wrong.push(format!("std/{module}: {name} has no example"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const HEADER: &str = "plan(#{ name: \"example\", version: \"1\", environment: \"test\" });\n";

fn try_one(example: &Example) {
    let Example { of, code, runs } = example;
    let site = Site::bare(&format!("{HEADER}{code}"));
    let checked = site.finish(&["check", "plan.rhai"]);
    assert_eq!(checked.code, Some(0), "{of}: {}", checked.told());
    if !runs {
        println!("{of}: its example is only checked, it needs more than this machine must have");
        return;
    }
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{of}: {}", finished.told());

    // The state lies beside the directory, so that it is not part of what is compared.
    let state = tempfile::tempdir().expect("a directory");
    let site = Site::bare(&format!("{HEADER}{code}\nthrow \"the plan fails\";\n"));
    let site = site.with_state(state.path().join("state"));
    let before = whole_tree::look(&site.path(""));
    let failed = site.finish(&["run", "plan.rhai"]);
    assert!(
        matches!(failed.code, Some(1 | 3)),
        "{of}: {}",
        failed.told()
    );
    let after = whole_tree::look(&site.path(""));
    assert_eq!(difference(&before, &after), "", "{of}: {}", failed.told());
}

#[test]
fn the_examples_do_what_they_say() {
    each("examples of the stdlib", &examples(), try_one);
}
