//! What is done with one input. `tests/fuzz.rs` runs the same on the seeds and on mutations of them.

use std::collections::BTreeMap;
use std::path::Path;

use deployrun::Plan;
use deployrun::words::window::Window;

/// Loads a plan and checks it. A second file, `m.rhai`, begins after a line of `//=== m.rhai`.
pub fn plan(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (main, module) = text
        .split_once("//=== m.rhai\n")
        .unwrap_or((&text, "fn f(a) { a }"));
    let sources = BTreeMap::from([
        ("plan.rhai".to_owned(), main.to_owned()),
        ("m.rhai".to_owned(), module.to_owned()),
    ]);
    let plan = Plan::from_sources("plan.rhai", Path::new("/"), sources);
    let found = deployrun::script::check::check(&plan, &deployrun::script::api::functions());
    for finding in &found {
        let shown = finding.to_string();
        assert!(!shown.is_empty());
        // A finding has a place in a file that there is.
        assert!(plan.sources().contains_key(&finding.place.file) || finding.place.line == 0);
        if let Some(line) = finding.place.line.checked_sub(1) {
            let text = &plan.sources()[&finding.place.file];
            let lines = text.split('\n').count();
            assert!(
                usize::try_from(line).expect("it is small") < lines + 1,
                "{shown}"
            );
        }
    }
}

/// Parses a window, shows it, and looks for its next openings.
pub fn window(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let window = match Window::parse(text) {
        Ok(window) => window,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = Window::parse(&window.normalised()).expect("what is shown can be parsed");
    assert_eq!(again.normalised(), window.normalised());
    let from = "2026-03-21T21:00:00Z".parse().expect("an instant");
    let mut last = None;
    for opening in window.openings(from).take(3) {
        assert!(opening.start < opening.end, "{text}");
        assert!(last.is_none_or(|end| opening.start > end), "{text}");
        assert!(window.opening_at(opening.start).is_some(), "{text}");
        last = Some(opening.end);
    }
}
