//! What an approval covers: all that decides what a run does, as far as it can be had before it runs.

use std::collections::BTreeMap;

use rhai::{ASTNode, Expr, Stmt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::target::files;
use crate::words::digest::hex;

use super::plan::Plan;

/// Hex digits of a fingerprint that must be given at least.
pub const LEAST_DIGITS: usize = 12;

/// The files that a plan uploads by a name that is written out, and what lies there: SHA-256 in hex,
/// or nothing when there is no file that can be read.
pub type Files = BTreeMap<String, Option<String>>;

/// What is approved with a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// SHA-256 over all of it, in hex.
    pub fingerprint: String,
    /// The files.
    pub files: Files,
}

/// What a fingerprint must look like.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) || text.len() > 64 {
        return Err("a fingerprint has up to 64 hex digits; `deployrun preview` prints it".into());
    }
    if text.len() < LEAST_DIGITS {
        return Err(format!(
            "give at least {LEAST_DIGITS} digits of the fingerprint, or all of them"
        ));
    }
    Ok(text)
}

impl Approval {
    /// What would be approved now.
    #[must_use]
    pub fn of(plan: &Plan, args: &Value, override_window: Option<&str>) -> Self {
        let files: Files = uploads(plan)
            .into_iter()
            .map(|path| {
                let digest = files::sha256(&plan.root().join(&path)).ok();
                (path, digest)
            })
            .collect();
        let mut sum = Sha256::new();
        let parts = [
            "deployrun approval 1".to_owned(),
            plan.fingerprint(),
            sorted(args).to_string(),
            override_window.unwrap_or_default().to_owned(),
            serde_json::to_string(&files).unwrap_or_default(),
        ];
        for part in parts {
            // Lengths keep one part's end apart from the next one's begin.
            sum.update((part.len() as u64).to_be_bytes());
            sum.update(part.as_bytes());
        }
        Self {
            fingerprint: hex(&sum.finalize()),
            files,
        }
    }

    /// Is this its fingerprint, or a beginning of it?
    #[must_use]
    pub fn is(&self, approved: &str) -> bool {
        approved.len() >= LEAST_DIGITS && self.fingerprint.starts_with(approved)
    }
}

/// The order in which settings were given does not matter.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> = map
                .iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            sorted
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// What the plan and its modules upload by a name that is written out.
fn uploads(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for ast in plan.asts().values() {
        ast.walk(&mut |path: &[ASTNode]| {
            let call = match path.last() {
                Some(
                    ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)),
                ) => call,
                Some(ASTNode::Expr(Expr::MethodCall(call, _))) => call,
                _ => return true,
            };
            if call.name == "upload"
                && call.namespace.path.is_empty()
                && let Some(Expr::StringConstant(path, _)) = call.args.first()
            {
                found.push(path.to_string());
            }
            true
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(dir: &std::path::Path, text: &str) -> Plan {
        let path = dir.join("p.rhai");
        std::fs::write(&path, text).expect("written");
        Plan::read(&path).expect("read")
    }

    #[test]
    fn it_covers_sources_settings_a_window_set_aside_and_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = r#"fn f() { upload("a", "/b"); } step("s", || { local().upload("c", "/d"); }); upload("x" + 1, "/y");"#;
        let of = |text: &str, args: Value, over: Option<&str>| {
            Approval::of(&plan(dir.path(), text), &args, over)
        };
        let first = of(text, json!({"k": "v", "l": "w"}), None);
        assert_eq!(first.files.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(first, of(text, json!({"l": "w", "k": "v"}), None));
        let mut others = vec![
            of(&format!("{text} "), json!({"k": "v", "l": "w"}), None),
            of(text, json!({"k": "v", "l": "x"}), None),
            of(text, json!({"k": "v", "l": "w"}), Some("why")),
        ];
        std::fs::write(dir.path().join("c"), "1").expect("written");
        others.push(of(text, json!({"k": "v", "l": "w"}), None));
        std::fs::write(dir.path().join("c"), "2").expect("written");
        others.push(of(text, json!({"k": "v", "l": "w"}), None));
        others.push(first);
        for (n, one) in others.iter().enumerate() {
            for other in others.iter().skip(n + 1) {
                assert_ne!(one.fingerprint, other.fingerprint);
            }
        }
    }

    #[test]
    fn a_beginning_will_do_if_it_is_long_enough() {
        let approval = Approval {
            fingerprint: "0123456789abcdef".repeat(4),
            files: Files::new(),
        };
        assert!(approval.is("0123456789ab"));
        assert!(approval.is(&approval.fingerprint));
        assert!(!approval.is("0123456789a"));
        assert!(!approval.is("0123456789ac"));
        assert_eq!(parse(" 0123456789AB "), Ok("0123456789ab".into()));
        assert!(parse("0123456789a").is_err());
        assert!(parse("0123456789xy").is_err());
    }
}
