//! Findings as SARIF 2.1.0: one document for all plans that were checked.

use std::path::Path;

use serde_json::{Value, json};

use crate::words::code::{Code, ExampleFile};
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::paths::normal;
use crate::words::place::Place;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What relative URIs count from.
const BASE: &str = "SRCROOT";

/// The document. Files below `base`, an absolute directory, are called by their path from there.
#[must_use]
pub fn document(found: &[Diagnostic], base: &Path) -> Value {
    let mut rules: Vec<Code> = found.iter().map(|problem| problem.code).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = found.iter().map(|one| result(one, &rules, base)).collect();
    let rules: Vec<Value> = rules.into_iter().map(rule).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "deployrun",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { BASE: { "uri": format!("{}/", file_uri(base)) } },
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let explanation = code.explanation();
    let example = |title: &str, files: &[ExampleFile]| -> String {
        let file =
            |file: &ExampleFile| format!("\n{} ({}):\n\n```\n{}```\n", title, file.name, file.text);
        files.iter().map(file).collect()
    };
    let markdown = format!(
        "{}\n{}{}",
        explanation.text,
        example("Wrong", &explanation.wrong),
        example("Right", &explanation.right)
    );
    json!({
        "id": code.name(),
        "shortDescription": { "text": format!("{}.", code.summary()) },
        "fullDescription": { "text": explanation.text },
        "help": { "text": markdown.replace("```\n", ""), "markdown": markdown },
        "defaultConfiguration": { "level": code.level().word() },
    })
}

fn result(found: &Diagnostic, rules: &[Code], base: &Path) -> Value {
    let mut text = found.message.clone();
    if let Some(hint) = &found.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    let mut related = Vec::new();
    for note in &found.notes {
        if note.place.file.is_empty() {
            text.push_str("\nnote: ");
            text.push_str(&note.message);
        } else {
            let mut location = location(&note.place, note.end_column, base);
            location["id"] = json!(related.len());
            location["message"] = json!({ "text": note.message });
            related.push(location);
        }
    }
    let level = match found.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let mut result = json!({
        "ruleId": found.code.name(),
        "ruleIndex": rules.binary_search(&found.code).unwrap_or_default(),
        "level": level,
        "message": { "text": text },
        "locations": [location(&found.place, found.end_column, base)],
    });
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

fn location(place: &Place, end_column: u32, base: &Path) -> Value {
    if is_elsewhere(&place.file) {
        let module = json!({ "fullyQualifiedName": place.file, "kind": "module" });
        return json!({ "logicalLocations": [module] });
    }
    let mut physical = json!({ "artifactLocation": artifact(&place.file, base) });
    if place.line > 0 {
        let mut region = json!({ "startLine": place.line });
        if place.column > 0 {
            region["startColumn"] = json!(place.column);
            if end_column > place.column {
                region["endColumn"] = json!(end_column);
            }
        }
        physical["region"] = region;
    }
    json!({ "physicalLocation": physical })
}

/// A module of deployrun (`std/http`) is in no file, one of a library (`@web/hosts.rhai`) in none of
/// those that were checked.
fn is_elsewhere(file: &str) -> bool {
    file.starts_with('@') || file.starts_with("std/") && !file.contains('.')
}

fn artifact(file: &str, base: &Path) -> Value {
    match below(file, base) {
        Ok(relative) => json!({ "uri": encoded(&relative), "uriBaseId": BASE }),
        Err(absolute) => json!({ "uri": file_uri(Path::new(&absolute)) }),
    }
}

/// The path of a file from `base`; the whole path when it does not lie below it.
///
/// # Errors
/// The absolute path of a file that lies elsewhere.
pub(super) fn below(file: &str, base: &Path) -> Result<String, String> {
    let absolute = normal(&base.join(file));
    match absolute.strip_prefix(normal(base)) {
        Ok(relative) => Ok(relative.to_string_lossy().into_owned()),
        Err(_) => Err(absolute.to_string_lossy().into_owned()),
    }
}

fn file_uri(path: &Path) -> String {
    format!("file://{}", encoded(&path.to_string_lossy()))
}

/// A path as part of a URI (RFC 3986): all but unreserved characters and `/` is encoded.
fn encoded(path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_base_are_relative_and_uris_are_encoded() {
        let base = Path::new("/w/my repo");
        let uri = |file: &str| artifact(file, base)["uri"].clone();
        assert_eq!(uri("deploy/a b.rhai"), "deploy/a%20b.rhai");
        assert_eq!(uri("deploy/../ä.rhai"), "%C3%A4.rhai");
        assert_eq!(uri("../x.rhai"), "file:///w/x.rhai");
        assert_eq!(uri("/w/my repo/p.rhai"), "p.rhai");
        assert_eq!(artifact("../x.rhai", base).get("uriBaseId"), None);
        let is_logical = |file: &str| {
            let location = location(&Place::new(file, 1, 1), 2, base);
            location.get("logicalLocations").is_some()
        };
        assert!(is_logical("std/http") && is_logical("@web/hosts.rhai"));
        assert!(!is_logical("std/plan.rhai") && !is_logical("web.rhai"));
    }
}
