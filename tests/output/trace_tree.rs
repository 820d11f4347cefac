//! A trace as text: its tree, without what differs from run to run.

use std::collections::HashMap;

use serde_json::Value;

use super::collector::list;

/// What differs from run to run, or from one implementation to the next.
const VARIES: &[&str] = &["process.pid", "deployrun.fingerprint"];

/// Draws a trace. Fails unless it is one: one trace id, one root, every parent and every link there,
/// no id twice unless it is the same span, and nothing that begins before its parent.
#[track_caller]
pub fn draw(spans: &[Value]) -> String {
    let mut by_id: HashMap<&str, &Value> = HashMap::new();
    let mut unique: Vec<&Value> = Vec::new();
    for span in spans {
        assert_eq!(span["traceId"], spans[0]["traceId"], "{span}");
        match by_id.insert(text(&span["spanId"]), span) {
            Some(before) => assert_eq!(before, span, "one id for two spans"),
            None => unique.push(span),
        }
    }
    let mut roots = Vec::new();
    for span in &unique {
        let parent = text(&span["parentSpanId"]);
        match by_id.get(parent) {
            Some(parent) => assert!(nano(parent, "start") <= nano(span, "start"), "{span}"),
            None => roots.push(*span),
        }
        assert!(nano(span, "start") <= nano(span, "end"), "{span}");
        for link in list(&span["links"]) {
            assert!(by_id.contains_key(text(&link["spanId"])), "{span}");
        }
    }
    assert_eq!(roots.len(), 1, "{roots:#?}");
    let mut shown = String::new();
    branch(roots[0], &unique, &by_id, 0, &mut shown);
    shown
}

fn branch(
    span: &Value,
    all: &[&Value],
    by_id: &HashMap<&str, &Value>,
    depth: usize,
    shown: &mut String,
) {
    let indent = "    ".repeat(depth);
    let status = match span["status"]["code"].as_u64() {
        Some(1) => " = ok".to_owned(),
        Some(2) => format!(" = error: {}", text(&span["status"]["message"])),
        _ => String::new(),
    };
    let kind = if span["kind"] == 2 { " (server)" } else { "" };
    shown.push_str(&format!("{indent}{}{kind}{status}\n", text(&span["name"])));
    for attribute in list(&span["attributes"]) {
        if let Some(line) = attribute_text(attribute) {
            shown.push_str(&format!("{indent}  . {line}\n"));
        }
    }
    for event in list(&span["events"]) {
        let attributes = list(&event["attributes"]).iter().filter_map(attribute_text);
        let attributes: Vec<String> = attributes.collect();
        let line = format!("{}  {}", text(&event["name"]), attributes.join(", "));
        shown.push_str(&format!("{indent}  ! {}\n", line.trim_end()));
    }
    for link in list(&span["links"]) {
        let to = by_id[text(&link["spanId"])];
        shown.push_str(&format!("{indent}  > {}\n", text(&to["name"])));
    }
    let mut children: Vec<&Value> = all
        .iter()
        .copied()
        .filter(|child| child["parentSpanId"] == span["spanId"])
        .collect();
    children.sort_by_key(|child| order(child));
    for child in children {
        branch(child, all, by_id, depth + 1, shown);
    }
}

/// By kind and call: what begins in the same millisecond has no order else.
fn order(span: &Value) -> (usize, u64, u64) {
    const KINDS: [&str; 4] = ["wait", "phase", "watch", "back-out"];
    let of = |key: &str| {
        let found = list(&span["attributes"]).iter().find(|a| a["key"] == key);
        found.map_or(Value::Null, |a| a["value"].clone())
    };
    let kind = of("deployrun.kind");
    let kind = text(&kind["stringValue"]);
    let rank = KINDS.iter().position(|k| *k == kind).unwrap_or(KINDS.len());
    let call = of("deployrun.call");
    let call = text(&call["stringValue"]);
    let number: u64 = call.rsplit('/').next().unwrap_or(call).parse().unwrap_or(0);
    let attempt = of("deployrun.try");
    let attempt = text(&attempt["intValue"]).parse().unwrap_or(0);
    match kind {
        "phase" | "wait" => (rank, 0, 0),
        // The last one that was armed is backed out first.
        "back-out" => (rank, u64::MAX - number, attempt),
        _ => (rank, number, attempt),
    }
}

fn attribute_text(attribute: &Value) -> Option<String> {
    let key = text(&attribute["key"]);
    let value = attribute["value"].as_object()?.values().next()?;
    let value = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    (!VARIES.contains(&key)).then(|| format!("{key}={value}"))
}

fn nano(span: &Value, which: &str) -> u64 {
    let value = &span[format!("{which}TimeUnixNano")];
    text(value).parse().expect("a time")
}

/// The text of a value; an empty one for a value that is not there.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
