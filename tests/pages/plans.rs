//! Every plan in the pages passes the check.
//!
//! A block that is marked `rhai fragment` is a part of one: names that it does not define are those of
//! the rest. Nothing else is forgiven.

use std::process::Command;

use serde_json::Value;

use super::markdown::manual;

/// What a part of a plan may leave to the rest of it.
const OF_THE_REST: &[&str] = &["undefined-variable"];

#[test]
fn plans_pass_the_check() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in manual() {
        // Their examples show what is wrong, or are tests of plans; they have tests of their own.
        if ["docs/check.md", "docs/testing.md"].contains(&page.name.as_str()) {
            continue;
        }
        // What a page has let its reader write is there for what comes later in it.
        let dir = tempfile::tempdir().expect("a directory");
        for block in page.blocks() {
            let mut info = block.info.split(' ');
            if info.next() != Some("rhai") {
                continue;
            }
            seen += 1;
            let is_fragment = info.next() == Some("fragment");
            let file = block.file().unwrap_or_else(|| "plan.rhai".to_owned());
            std::fs::write(dir.path().join(&file), &block.text).expect("a file can be written");
            let output = Command::new(env!("CARGO_BIN_EXE_deployrun"))
                .args(["check", "--format", "json", &file])
                .current_dir(dir.path())
                .env_remove("DEPLOYRUN_FORMAT")
                .output()
                .expect("deployrun can be started");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let found: Value = serde_json::from_str(line).expect("JSON");
                let code = found["code"].as_str().unwrap_or_default();
                let is_forgiven = is_fragment && OF_THE_REST.contains(&code);
                if found["level"] == "error" && !is_forgiven {
                    let at = block.line as u64 + found["place"]["line"].as_u64().unwrap_or(0);
                    wrong.push(format!("{}:{at}: {code}: {}", page.name, found["message"]));
                }
            }
            if output.status.code() == Some(2) {
                wrong.push(format!("{}:{}: {output:?}", page.name, block.line));
            }
        }
    }
    assert!(seen > 5, "only {seen} plans were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
