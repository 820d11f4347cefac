//! Characters that people do not see, or that change how others are seen.

/// What a hidden character is, in words; `None` for one that everybody sees.
#[must_use]
pub fn hidden(c: char) -> Option<&'static str> {
    Some(match c {
        '\t' | '\n' => return None,
        '\0' => "a NUL",
        '\r' => "a carriage return without a line feed",
        '\u{1b}' => "an escape character",
        c if c.is_control() => "a control character",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a character that turns text around",
        '\u{61c}' | '\u{200e}' | '\u{200f}' => "a mark of the direction of text",
        '\u{2028}' | '\u{2029}' => "a line separator that the language does not know",
        '\u{feff}' => "a byte order mark",
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => "an invisible character",
        _ => return None,
    })
}

/// The text with hidden characters written as their numbers. Tabs and line feeds stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push_visible(&mut shown, c);
    }
    shown
}

/// One character, as [`visible`] writes it.
pub fn push_visible(shown: &mut String, c: char) {
    if hidden(c).is_some() {
        shown.extend(c.escape_unicode());
    } else {
        shown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_not_hidden() {
        let text = "x \t\n ä ß é ─ → ⚠\u{fe0f} 日本語 العربية עברית 🚀 \u{a0}";
        assert_eq!(visible(text), text);
    }

    #[test]
    fn what_nobody_sees_is_written_out() {
        let text = "a\0b\rc\u{1b}d\u{202e}e\u{200b}f\u{feff}g\u{e0041}h\u{85}";
        let shown = "a\\u{0}b\\u{d}c\\u{1b}d\\u{202e}e\\u{200b}f\\u{feff}g\\u{e0041}h\\u{85}";
        assert_eq!(visible(text), shown);
    }
}
