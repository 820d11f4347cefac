//! The unit tests of the stdlib, `stdlib/tests/*_test.rhai`, by `deployrun test`: all of them pass, each
//! module has some, and no form of a function that a module exports is left out by them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a directory whose names end in this, without what lies deeper, sorted.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

fn deployrun_test(project: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deployrun"))
        .args(["test", "stdlib/tests"])
        .args(more)
        .current_dir(project)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", project)
        .output()
        .expect("the program starts")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_unit_tests_of_the_stdlib_pass() {
    let output = deployrun_test(&root(), &["-q"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    println!("{}", told.lines().last().unwrap_or_default());
}

#[test]
fn each_module_has_unit_tests() {
    let modules = files(&root().join("stdlib"), ".rhai");
    let tests: Vec<String> = files(&root().join("stdlib/tests"), "_test.rhai")
        .iter()
        .map(|path| name(path))
        .collect();
    let mut without = Vec::new();
    for module in &modules {
        let test = name(module).replace(".rhai", "_test.rhai");
        if !tests.contains(&test) {
            without.push(format!("stdlib/tests/{test} is not there"));
        }
    }
    assert!(modules.len() >= 3, "the modules were not found");
    assert!(without.is_empty(), "{}", without.join("\n"));
}

/// How often lines were run: file → line → count, from a file in the format of lcov.
fn counts(lcov: &str) -> BTreeMap<String, BTreeMap<usize, u64>> {
    let mut all: BTreeMap<String, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut file = String::new();
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = name(Path::new(path));
        } else if let Some((line, count)) = line
            .strip_prefix("DA:")
            .and_then(|rest| rest.split_once(','))
        {
            let (line, count) = (
                line.parse().expect("a line"),
                count.parse().expect("a count"),
            );
            all.entry(file.clone()).or_default().insert(line, count);
        }
    }
    all
}

/// The forms of functions that a module exports, with the lines of their bodies.
fn forms(text: &str) -> Vec<(String, std::ops::Range<usize>)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(head) = line
            .strip_prefix("fn ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            let length = lines[at..].iter().position(|line| *line == "}");
            let end = at + length.unwrap_or_else(|| panic!("{head} has no end"));
            // Lines count from 1, and the first of the body stands behind the head.
            found.push((head.to_owned(), at + 2..end + 1));
        }
    }
    found
}

/// What is run of a module is counted for files of a project only: here the modules are such.
#[test]
fn no_function_of_a_module_is_left_out_by_its_unit_tests() {
    let project = tempfile::tempdir().expect("a directory");
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).expect("a directory");
        for path in files(from, "") {
            if path.is_file() {
                fs::copy(&path, to.join(name(&path))).expect("copied");
            }
        }
    };
    let (here, there) = (root().join("stdlib"), project.path().join("stdlib"));
    for dir in ["", "tests", "tests/given"] {
        copy(&here.join(dir), &there.join(dir));
    }
    // A module may go on in the files of a directory that is called like it.
    for module in files(&here, ".rhai") {
        let parts = module.with_extension("");
        let mut text = fs::read_to_string(&module).expect("a module");
        if parts.is_dir() {
            for part in files(&parts, ".rhai") {
                text += &fs::read_to_string(part).expect("a part");
            }
        }
        fs::write(there.join(name(&module)), text).expect("written");
    }
    fs::create_dir(project.path().join(".git")).expect("a directory");
    for (dir, beside) in [("", "./"), ("tests", "../")] {
        for path in files(&there.join(dir), ".rhai") {
            let text = fs::read_to_string(&path).expect("a module");
            let text = text.replace("import \"std/", &format!("import \"{beside}"));
            fs::write(&path, text).expect("written");
        }
    }
    let output = deployrun_test(project.path(), &["-q", "--lcov", "lcov"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let counts = counts(&fs::read_to_string(project.path().join("lcov")).expect("the counts"));

    let (mut all, mut left_out) = (0, Vec::new());
    for path in files(&here, ".rhai") {
        let module = name(&path);
        for (head, lines) in forms(&fs::read_to_string(&path).expect("a module")) {
            all += 1;
            let known = counts.get(&module);
            let run = known.is_some_and(|known| known.range(lines).any(|(_, count)| *count > 0));
            if !run {
                left_out.push(format!("stdlib/{module}: {head}"));
            }
        }
    }
    assert!(all > 30, "only {all} functions were found");
    assert!(
        left_out.is_empty(),
        "no unit test runs these:\n{}",
        left_out.join("\n")
    );
    println!("{all} forms of functions, all of them run");
}
