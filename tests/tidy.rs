//! Holds the house to its rules: who imports whom, who sees which crate, who prints.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `src/`, and what each may import from the crate.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["words"]),
    ("journal", &["journal", "words"]),
    ("target", &["target", "words"]),
    ("supervisor", &["supervisor", "journal", "target", "words"]),
    ("libraries", &["libraries", "target", "words"]),
    (
        "script",
        &["script", "supervisor", "libraries", "target", "words"],
    ),
    ("report", &["report", "target", "words"]),
];

/// Crates that only one layer sees.
const SEEN_ONLY_BY: &[(&str, &str)] = &[
    ("rhai", "script"),
    ("rusqlite", "journal"),
    ("duct", "target"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("ureq", "target"),
    ("crossterm", "report"),
    ("maud", "report"),
    ("toml", "words"),
    ("prost", "report"),
    ("pulldown_cmark", "report"),
    ("tar", "target"),
    ("flate2", "target"),
    ("ruzstd", "target"),
    ("lzma_rust2", "target"),
    ("zip", "target"),
];

const NO_FILE_IS_CALLED: &[&str] = &["util", "utils", "common", "helpers", "misc", "types"];

/// Spelt in two halves, or this file would find itself.
const NOWHERE: &[(&str, &str)] = &[
    ("todo", "!("),
    ("unimplemented", "!("),
    ("dbg", "!("),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("#[ig", "nore]"),
];

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let found = files(&src, "rs");
    assert!(found.len() > 40, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&src)
                .expect("in src")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("a source"))
        })
        .collect()
}

fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn layer(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

#[test]
fn each_layer_imports_only_what_stands_below_it() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some((_, allowed)) = LAYERS.iter().find(|(l, _)| *l == layer(&name)) else {
            continue;
        };
        for (n, line) in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let to: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let is_module =
                    LAYERS.iter().any(|(l, _)| *l == to) || ["cli", "runner"].contains(&&*to);
                if is_module && !allowed.contains(&&*to) {
                    wrong.push(format!(
                        "src/{name}:{n}: {} may not import {to}",
                        layer(&name)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crate_is_seen_only_by_its_layer() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (n, line) in code(&text) {
            for (krate, only) in SEEN_ONLY_BY {
                let seen =
                    line.contains(&format!("{krate}::")) && !line.contains(&format!("_{krate}::"));
                if seen && layer(&name) != *only {
                    wrong.push(format!("src/{name}:{n}: only {only}/ sees {krate}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_reports_and_commands_print() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if ["report", "cli"].contains(&layer(&name)) {
            continue;
        }
        for (n, line) in code(&text) {
            if ["println!(", "print!(", "eprintln!(", "eprint!("]
                .iter()
                .any(|p| line.contains(p))
            {
                wrong.push(format!("src/{name}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_clock_is_injected() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if name == "words/clock.rs" {
            continue;
        }
        for (n, line) in code(&text) {
            if line.contains("SystemTime::now") || line.contains("Timestamp::now") {
                wrong.push(format!("src/{name}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a plan reads must be what its test has given, when it is tested.
#[test]
fn what_plans_read_goes_through_the_host() {
    const AROUND_IT: &[&str] = &[
        "facts::read_file(",
        "facts::disk_free(",
        "facts::hostname(",
        "probe::run(",
        "http::get(",
        "files::sha256(",
        "installed::find(",
        "likeness::info(",
        "likeness::list(",
        "std::env::",
        "std::fs::",
        "symlink_metadata(",
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        // What a test that acts is given is put into its own working directory.
        let is_given = name == "script/api/testing/given.rs";
        if is_given || !name.starts_with("script/api/") && name != "target/secret_source.rs" {
            continue;
        }
        for (n, line) in code(&text) {
            if AROUND_IT
                .iter()
                .any(|word| line.contains(word) && !line.contains(&format!("::{word}")))
            {
                wrong.push(format!("src/{name}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_a_dumping_ground() {
    let mut wrong = Vec::new();
    for dir in ["src", "tests", "examples", "stdlib", "bench"] {
        for path in ["rs", "rhai", "py"]
            .iter()
            .flat_map(|e| files(&root().join(dir), e))
        {
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if NO_FILE_IS_CALLED.contains(&&*stem) {
                wrong.push(path.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_half_done() {
    let mut wrong = Vec::new();
    for dir in ["src", "tests", "examples", "stdlib", "bench"] {
        for path in ["rs", "rhai", "py"]
            .iter()
            .flat_map(|e| files(&root().join(dir), e))
        {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            for (n, line) in text.lines().enumerate() {
                if NOWHERE
                    .iter()
                    .any(|(a, b)| line.contains(&format!("{a}{b}")))
                {
                    wrong.push(format!("{}:{}: {}", path.display(), n + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
