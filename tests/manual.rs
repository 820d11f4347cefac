//! The manual must say what the program does.

use std::fs;
use std::path::Path;

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
