//! The manual must say what the program does.

use std::fs;
use std::path::Path;

use deployrun::report::explain;
use deployrun::script::{api, manual};

#[test]
fn the_page_of_functions_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    let page = manual::functions_page(&api::functions());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("docs/ can be written");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/functions.md is stale; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}

/// What a module and its functions say of themselves, in one line each.
fn modules() -> String {
    use std::fmt::Write as _;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = fs::read_dir(root.join("stdlib")).expect("stdlib/");
    let mut paths: Vec<_> = dir.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "rhai"));
    paths.sort();
    let mut list = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a module");
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let about = comment(text.lines(), "//!");
        let _ = write!(
            list,
            "### `std/{stem}`\n\n{}\n\n| | |\n|---|---|\n",
            first_sentence(&about)
        );
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(head) = line.strip_prefix("fn ").and_then(|l| l.strip_suffix(" {")) else {
                continue;
            };
            let begin = lines[..at]
                .iter()
                .rposition(|l| !l.starts_with("///"))
                .map_or(0, |b| b + 1);
            let about = first_sentence(&comment(lines[begin..at].iter().copied(), "///"));
            // Forms with options are told with the plain ones.
            if !about.starts_with("The same with") {
                let _ = writeln!(list, "| `{head}` | {about} |");
            }
        }
        list.push('\n');
    }
    list
}

fn comment<'t>(lines: impl Iterator<Item = &'t str>, mark: &str) -> String {
    let lines = lines
        .skip_while(|l| l.is_empty())
        .map_while(|l| l.strip_prefix(mark));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn first_sentence(text: &str) -> String {
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text.trim().to_owned(),
    }
}

#[test]
fn the_list_of_modules_is_made_from_their_comments() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stdlib.md");
    let stored = fs::read_to_string(&path).expect("the page");
    let (head, rest) = stored
        .split_once("writes it. -->\n")
        .expect("the begin of the list");
    let (_, tail) = rest.split_once("<!-- end").expect("the end of the list");
    let page = format!("{head}writes it. -->\n\n{}<!-- end{tail}", modules());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("docs/ can be written");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/stdlib.md is stale; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}

#[test]
fn the_findings_are_made_from_their_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md");
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let title = "\n## The findings\n\n";
    let (written, _) = stored
        .split_once(title)
        .expect("docs/check.md has its title");
    let page = format!("{written}{title}{}", explain::manual());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("docs/ can be written");
        return;
    }
    assert!(
        stored == page,
        "docs/check.md is stale; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}
