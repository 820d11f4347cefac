//! What differs between what is expected and what was seen, line by line.

use rhai::Dynamic;

use crate::script::error::Thrown;

/// Lines around a difference that are shown.
const AROUND: usize = 2;
/// Lines of a difference that are shown.
const SHOWN_MAX: usize = 80;

/// A value as text over several lines, so that two can be compared line by line.
#[must_use]
pub fn lines_of(value: &Dynamic) -> Vec<String> {
    let mut lines = Vec::new();
    write(value, 0, "", "", &mut lines);
    lines
}

fn write(value: &Dynamic, depth: usize, before: &str, after: &str, lines: &mut Vec<String>) {
    let pad = "  ".repeat(depth);
    if let Ok(items) = value.as_array_ref()
        && !items.is_empty()
    {
        lines.push(format!("{pad}{before}["));
        for item in items.iter() {
            write(item, depth + 1, "", ",", lines);
        }
        lines.push(format!("{pad}]{after}"));
    } else if let Ok(map) = value.as_map_ref()
        && !map.is_empty()
    {
        lines.push(format!("{pad}{before}#{{"));
        for (key, item) in map.iter() {
            write(item, depth + 1, &format!("{key}: "), ",", lines);
        }
        lines.push(format!("{pad}}}{after}"));
    } else {
        lines.push(format!("{pad}{before}{}{after}", word(value)));
    }
}

/// A value in one line, as a plan would write it.
#[must_use]
pub fn word(value: &Dynamic) -> String {
    if value.is_unit() {
        return "()".into();
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return format!("{:?}", text.as_str());
    }
    if let Some(thrown) = value.read_lock::<Thrown>() {
        return format!("error: {}", thrown.0.message);
    }
    if value.is_array() {
        return "[]".into();
    }
    if value.is_map() {
        return "#{}".into();
    }
    if value.is_char() {
        return format!("'{value}'");
    }
    value.to_string()
}

/// Two values are the same if they are of the same kind and hold the same; 1 is 1.0.
#[must_use]
pub fn same(a: &Dynamic, b: &Dynamic) -> bool {
    if let (Ok(a), Ok(b)) = (a.as_array_ref(), b.as_array_ref()) {
        return a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b));
    }
    if let (Ok(a), Ok(b)) = (a.as_map_ref(), b.as_map_ref()) {
        return a.len() == b.len()
            && a.iter()
                .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)));
    }
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.type_name() == b.type_name() && word(a) == word(b),
        _ => false,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a comparison of what is written"
)]
fn number(value: &Dynamic) -> Option<f64> {
    value
        .as_float()
        .ok()
        .or_else(|| value.as_int().ok().map(|n| n as f64))
}

/// The lines of a text; the end of a last line without newline is told.
#[must_use]
pub fn text_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    match lines.last().map(String::as_str) {
        Some("") if lines.len() > 1 => {
            lines.pop();
        }
        Some(last) if !last.is_empty() && lines.len() > 1 => {
            lines.push("(no newline at the end)".into());
        }
        _ => {}
    }
    lines
}

/// What differs: `-` before what is expected, `+` before what was seen.
#[must_use]
pub fn diff(expected: &[String], seen: &[String]) -> Vec<String> {
    let marks = marks(expected, seen);
    let mut out = Vec::new();
    let mut skipped = 0;
    for (at, (mark, line)) in marks.iter().enumerate() {
        let from = at.saturating_sub(AROUND);
        let near = marks.iter().take(at + AROUND + 1).skip(from);
        if near.clone().any(|(mark, _)| *mark != ' ') {
            if skipped > 0 {
                out.push(format!("  … {skipped} more that are the same"));
                skipped = 0;
            }
            out.push(format!("{mark} {line}"));
        } else {
            skipped += 1;
        }
    }
    if skipped > 0 {
        out.push(format!("  … {skipped} more that are the same"));
    }
    if out.len() > SHOWN_MAX {
        let more = out.len() - SHOWN_MAX;
        out.truncate(SHOWN_MAX);
        out.push(format!("  … and {more} more lines"));
    }
    out
}

/// Above this many lines on both sides, what differs is told as a whole: the table would be too big.
const TABLE_MAX: usize = 2_000;

fn marks<'l>(a: &'l [String], b: &'l [String]) -> Vec<(char, &'l str)> {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a
        .iter()
        .rev()
        .zip(rest_b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (mid_a, mid_b) = (
        &rest_a[..rest_a.len() - tail],
        &rest_b[..rest_b.len() - tail],
    );
    let mut marks: Vec<(char, &str)> = a[..head].iter().map(|l| (' ', l.as_str())).collect();
    if mid_a.len().max(mid_b.len()) > TABLE_MAX {
        marks.extend(mid_a.iter().map(|l| ('-', l.as_str())));
        marks.extend(mid_b.iter().map(|l| ('+', l.as_str())));
    } else {
        marks.extend(by_table(mid_a, mid_b));
    }
    marks.extend(
        rest_a[rest_a.len() - tail..]
            .iter()
            .map(|l| (' ', l.as_str())),
    );
    marks
}

/// The longest common subsequence, by its table.
fn by_table<'l>(a: &'l [String], b: &'l [String]) -> Vec<(char, &'l str)> {
    let width = b.len() + 1;
    let mut table = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i * width + j] = if a[i] == b[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marks = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            marks.push((' ', a[i].as_str()));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len()
            && (j == b.len() || table[(i + 1) * width + j] >= table[i * width + j + 1])
        {
            marks.push(('-', a[i].as_str()));
            i += 1;
        } else {
            marks.push(('+', b[j].as_str()));
            j += 1;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_is_the_same_is_told_only_around_what_differs() {
        let all = diff(&lines("a b c d e f g h"), &lines("a b c d x f g h"));
        let expected = [
            "  … 2 more that are the same",
            "  c",
            "  d",
            "- e",
            "+ x",
            "  f",
            "  g",
            "  … 1 more that are the same",
        ];
        assert_eq!(all, expected);
        assert_eq!(diff(&lines("a b"), &lines("b")), ["- a", "  b"]);
        assert_eq!(diff(&lines("b"), &lines("a b")), ["+ a", "  b"]);
    }

    #[test]
    fn values_are_the_same_by_what_they_hold() {
        let value = |json: serde_json::Value| crate::script::value::from_json(&json);
        let same = |a, b| same(&value(a), &value(b));
        assert!(same(
            serde_json::json!({"a": [1, 2.5]}),
            serde_json::json!({"a": [1.0, 2.5]})
        ));
        assert!(!same(serde_json::json!(1), serde_json::json!("1")));
        assert!(!same(serde_json::json!([1]), serde_json::json!([1, 2])));
        assert!(!same(serde_json::json!(null), serde_json::json!(false)));
    }
}
