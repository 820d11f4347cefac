//! Suites as XML. The words of the format are those of the schema `junit-10.xsd`.

use std::borrow::Cow;
use std::io;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::name::QName;

use crate::words::hidden::push_visible;

use super::cases::{Case, Result, Suite};

type Xml = Writer<Vec<u8>>;

/// The document.
pub(super) fn written(suites: &[Suite]) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing into memory does not fail.
    let _ = write_all(&mut xml, suites);
    let mut text = String::from_utf8(xml.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

fn write_all(xml: &mut Xml, suites: &[Suite]) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    let mut attributes = vec![attribute("name", "deployrun")];
    attributes.extend(counts(cases()));
    if let Some(ms) = suites.first().and_then(|suite| suite.ms) {
        attributes.push(attribute("time", &seconds(ms)));
    }
    xml.create_element("testsuites")
        .with_attributes(attributes)
        .write_inner_content(|xml| suites.iter().try_for_each(|suite| write_suite(xml, suite)))?;
    Ok(())
}

fn write_suite(xml: &mut Xml, suite: &Suite) -> io::Result<()> {
    let mut attributes = vec![attribute("name", &suite.name)];
    attributes.extend(counts(suite.cases.iter()));
    let skipped = suite
        .cases
        .iter()
        .filter(|case| matches!(case.result, Result::Skipped { .. }));
    attributes.push(attribute("skipped", &skipped.count().to_string()));
    if let Some(ms) = suite.ms {
        attributes.push(attribute("time", &seconds(ms)));
    }
    if let Some(file) = &suite.file {
        attributes.push(attribute("file", file));
    }
    if let Some(at) = suite.begin_ms.and_then(timestamp) {
        attributes.push(attribute("timestamp", &at));
    }
    if let Some(host) = suite.host.as_ref().filter(|host| !host.is_empty()) {
        attributes.push(attribute("hostname", host));
    }
    xml.create_element("testsuite")
        .with_attributes(attributes)
        .write_inner_content(|xml| {
            if !suite.properties.is_empty() {
                xml.create_element("properties")
                    .write_inner_content(|xml| {
                        suite.properties.iter().try_for_each(|(name, value)| {
                            xml.create_element("property")
                                .with_attributes([
                                    attribute("name", name),
                                    attribute("value", value),
                                ])
                                .write_empty()
                                .map(drop)
                        })
                    })?;
            }
            suite
                .cases
                .iter()
                .try_for_each(|case| write_case(xml, case))
        })?;
    Ok(())
}

fn write_case(xml: &mut Xml, case: &Case) -> io::Result<()> {
    let mut attributes = vec![
        attribute("name", &case.name),
        attribute("classname", &case.class),
    ];
    // Of test cases the schema has no such attributes; who shows tests beside their code wants them.
    if let Some((file, line)) = &case.place {
        attributes.push(attribute("file", file));
        if *line > 0 {
            attributes.push(attribute("line", &line.to_string()));
        }
    }
    if let Some(ms) = case.ms {
        attributes.push(attribute("time", &seconds(ms)));
    }
    let element = xml.create_element("testcase").with_attributes(attributes);
    let has_content =
        case.result != Result::Passed || !case.before.is_empty() || !case.output.is_empty();
    if !has_content {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|xml| {
        let again = match case.result {
            Result::Failure { .. } | Result::Error { .. } => "rerunFailure",
            Result::Passed | Result::Skipped { .. } => "flakyFailure",
        };
        match &case.result {
            Result::Passed => {}
            Result::Skipped { message } => {
                xml.create_element("skipped")
                    .with_attribute(attribute("message", message))
                    .write_empty()?;
            }
            Result::Failure {
                kind,
                message,
                text,
            } => {
                write_fault(xml, "failure", (kind, message), text)?;
            }
            Result::Error {
                kind,
                message,
                text,
            } => {
                write_fault(xml, "error", (kind, message), text)?;
            }
        }
        for (message, text) in &case.before {
            xml.create_element(again)
                .with_attributes([attribute("message", message), attribute("type", "try")])
                .write_inner_content(|xml| write_text(xml, "system-out", text))?;
        }
        write_text(xml, "system-out", &case.output)
    })?;
    Ok(())
}

fn write_fault(
    xml: &mut Xml,
    element: &str,
    (kind, message): (&str, &str),
    text: &str,
) -> io::Result<()> {
    xml.create_element(element)
        .with_attributes([attribute("type", kind), attribute("message", message)])
        .write_text_content(BytesText::new(&allowed(text)))
        .map(drop)
}

fn write_text(xml: &mut Xml, element: &str, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    xml.create_element(element)
        .write_text_content(BytesText::new(&allowed(text)))
        .map(drop)
}

fn counts<'c>(cases: impl Iterator<Item = &'c Case>) -> [Attribute<'static>; 3] {
    let (mut tests, mut failures, mut errors) = (0, 0, 0);
    for case in cases {
        tests += 1;
        match case.result {
            Result::Failure { .. } => failures += 1,
            Result::Error { .. } => errors += 1,
            Result::Passed | Result::Skipped { .. } => {}
        }
    }
    let count = |name, n: u64| attribute(name, &n.to_string());
    [
        count("tests", tests),
        count("failures", failures),
        count("errors", errors),
    ]
}

/// Line feeds and tabs in it stay what they are: a parser would take bare ones for blanks.
fn attribute(name: &'static str, value: &str) -> Attribute<'static> {
    let value = allowed(value);
    let value = escape(value.as_str())
        .replace('\n', "&#10;")
        .replace('\t', "&#9;");
    Attribute {
        key: QName(name),
        value: Cow::Owned(value),
    }
}

/// The text with what XML forbids, and what nobody sees, written as numbers.
fn allowed(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fffe}' | '\u{ffff}' => shown.extend(c.escape_unicode()),
            c => push_visible(&mut shown, c),
        }
    }
    shown
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// In UTC: `2026-03-21T21:00:00Z`.
fn timestamp(at_ms: i64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at_ms).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
