//! The schema of events, for those who read `--format json`.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Stamped;

/// As events are written, not as they may be read.
fn schema() -> String {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Stamped>();
    let title = "An event of a run, as deployrun prints it with --format json";
    schema.insert("title".to_owned(), Value::from(title));
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    text
}

#[test]
fn the_schema_in_the_manual_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json");
    let schema = schema();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, schema).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == schema,
        "{} is not that of the types (UPDATE_SNAPSHOTS=1 rewrites it)",
        path.display()
    );
}
