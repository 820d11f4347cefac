//! What codes of findings mean, for people and for tools.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::words::code::{Code, ExampleFile};
use crate::words::diagnostic::Level;

use super::Style;
use super::line::Tone;

/// Characters of a line of text.
const WIDTH: usize = 80;

/// All codes, one a line.
#[must_use]
pub fn list(style: Style) -> String {
    let width = Code::ALL.iter().map(|code| code.name().len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for &code in Code::ALL {
        let word = format!("{:7}", code.level().word());
        let word = style.paint(tone(code), &word);
        let _ = writeln!(text, "{:width$}  {word}  {}", code.name(), code.summary());
    }
    text.push_str(
        "\nAn error is certain: the plan could not run past the place. The level of a warning can be \
         set\nin deployrun.toml and with --deny, --warn and --allow.\n",
    );
    text
}

/// One code, whole.
#[must_use]
pub fn page(code: Code, style: Style) -> String {
    let explanation = code.explanation();
    let level = style.paint(tone(code), code.level().word());
    let name = style.paint(Tone::Heading, code.name());
    let mut text = format!("{name} ({level}): {}.\n", code.summary());
    for paragraph in explanation.text.split("\n\n") {
        text.push('\n');
        text.push_str(&filled(paragraph));
    }
    examples(
        &mut text,
        &style.paint(Tone::Heading, "Wrong"),
        &explanation.wrong,
    );
    examples(
        &mut text,
        &style.paint(Tone::Heading, "Right"),
        &explanation.right,
    );
    if code.is_settable() {
        let _ = write!(
            text,
            "\n{}, in deployrun.toml:\n\n    [check]\n    {code} = \"deny\"   # or \"warn\", \"allow\"\n",
            style.paint(Tone::Heading, "Level")
        );
    }
    text
}

fn tone(code: Code) -> Tone {
    match code.level() {
        Level::Error => Tone::Bad,
        Level::Warning => Tone::Warn,
    }
}

fn examples(text: &mut String, title: &str, files: &[ExampleFile]) {
    for file in files {
        let named = match file.name.as_str() {
            "plan.rhai" if files.len() == 1 => String::new(),
            name => format!(", {name}"),
        };
        let _ = write!(text, "\n{title}{named}:\n\n");
        for line in file.text.lines() {
            let _ = writeln!(text, "{}", format!("    {line}").trim_end());
        }
    }
}

/// A paragraph in lines of [`WIDTH`] characters.
fn filled(paragraph: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}

/// A code as an object; `whole`: with its explanation.
#[must_use]
pub fn object(code: Code, whole: bool) -> Value {
    let mut object = json!({
        "code": code,
        "level": code.level(),
        "settable": code.is_settable(),
        "summary": code.summary(),
    });
    if whole {
        object["explanation"] = json!(code.explanation());
    }
    object
}

/// The part of the manual that lists all codes, in Markdown.
#[must_use]
pub fn manual() -> String {
    let mut page = String::from("| | | |\n|---|---|---|\n");
    for &code in Code::ALL {
        let word = code.level().word();
        let _ = writeln!(
            page,
            "| [`{code}`](#{code}) | {word} | {} |",
            code.summary()
        );
    }
    for &code in Code::ALL {
        let explanation = code.explanation();
        let _ = write!(
            page,
            "\n### `{code}`\n\n*{}.* {}\n",
            code.summary(),
            explanation.text
        );
        for (title, files) in [("Wrong", &explanation.wrong), ("Right", &explanation.right)] {
            for file in files {
                let named = if file.name == "plan.rhai" && files.len() == 1 {
                    String::new()
                } else {
                    format!(", `{}`", file.name)
                };
                let language = file.name.rsplit('.').next().unwrap_or_default();
                let text = &file.text;
                let _ = write!(page, "\n{title}{named}:\n\n```{language}\n{text}```\n");
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled() {
        assert_eq!(filled("a\nb  c"), "a b c\n");
        let long = "word ".repeat(40);
        assert!(filled(&long).lines().all(|line| line.len() <= WIDTH));
        assert_eq!(filled(&long).split_whitespace().count(), 40);
    }
}
