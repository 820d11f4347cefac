//! The log to which every step and every back-out of a test plan appends one line when it acts:
//! `do NAME` or `undo NAME`. It lies outside of what the plan changes, and nobody rewrites it, so
//! "exactly once" is a count.

/// Lines of a log.
pub type Effects = Vec<String>;

/// Splits the text of a log.
pub fn lines(text: &str) -> Effects {
    text.lines().map(str::to_owned).collect()
}

/// How often a line is there.
pub fn count(effects: &[String], line: &str) -> usize {
    effects.iter().filter(|l| *l == line).count()
}

/// Says what is wrong with the log of a run that was to be released, was interrupted somewhere and
/// then backed out. `reference` is the log of the undisturbed run.
///
/// It must begin like the reference, and from there on undo, youngest first and once each, all that
/// stands. One more may be undone that never came to act: the step that was in flight.
pub fn backed_out(effects: &[String], reference: &[String]) -> Result<(), String> {
    let common = effects
        .iter()
        .zip(reference)
        .take_while(|(a, b)| a == b)
        .count();
    let (done, undone) = effects.split_at(common);
    let mut standing: Vec<&str> = Vec::new();
    for line in done {
        match line.split_once(' ') {
            // A step that is tried again has one back-out.
            Some(("do", name)) if standing.contains(&name) => {}
            Some(("do", name)) => standing.push(name),
            Some(("undo", name)) => standing.retain(|n| *n != name),
            _ => return Err(format!("a strange line: {line}")),
        }
    }
    let mut extra = 0;
    for line in undone {
        let Some(("undo", name)) = line.split_once(' ') else {
            return Err(format!("`{line}` acted after the back-out began, or twice"));
        };
        if standing.last() == Some(&name) {
            standing.pop();
        } else if extra == 0 && !done.iter().any(|l| *l == format!("do {name}")) {
            extra += 1;
        } else {
            return Err(format!("`{line}` is out of order or undone twice"));
        }
    }
    if standing.is_empty() {
        Ok(())
    } else {
        Err(format!("not undone: {standing:?}"))
    }
}
