//! The manual must say what the program does.

use std::fs;
use std::path::Path;

use deployrun::report::{explain, manual as pages};
use deployrun::script::{documented, manual};

#[test]
fn the_page_of_functions_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    let page = pages::functions_page(&manual::functions());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("docs/ can be written");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/functions.md is stale; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}

#[test]
fn the_list_of_modules_is_made_from_their_comments() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stdlib.md");
    let stored = fs::read_to_string(&path).expect("the page");
    let (head, rest) = stored
        .split_once("writes it. -->\n")
        .expect("the begin of the list");
    let (_, tail) = rest.split_once("<!-- end").expect("the end of the list");
    let list = pages::list_of_modules(&documented::stdlib());
    let page = format!("{head}writes it. -->\n\n{list}<!-- end{tail}");
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

#[test]
fn the_page_of_functions_for_tests_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing-functions.md");
    let page = pages::testing_page(&manual::functions_of_tests());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("docs/ can be written");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/testing-functions.md is stale; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}
