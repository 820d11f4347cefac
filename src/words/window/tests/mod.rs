mod clock;
mod properties;
mod text;

use super::*;

fn window(spec: &str) -> Window {
    Window::parse(spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The openings between two instants as `start/end length`, times in UTC.
fn list(spec: &str, from: &str, to: &str) -> Vec<String> {
    let to = at(to);
    let openings = window(spec)
        .openings(at(from))
        .take_while(|o| o.start < to)
        .collect::<Vec<_>>();
    openings
        .iter()
        .map(|o| {
            let length = crate::words::duration::exact(o.length());
            format!("{}/{} {length}", short(o.start), short(o.end))
        })
        .collect()
}

fn short(at: Timestamp) -> String {
    at.strftime("%m-%dT%H:%M").to_string()
}

fn notes(spec: &str, from: &str) -> Vec<String> {
    let opening = window(spec).next_opening(at(from)).expect("an opening");
    opening.notes().iter().map(ToString::to_string).collect()
}
