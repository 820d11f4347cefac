//! Every command line of deployrun in the pages is one that it understands.

use super::markdown::pages;

#[test]
fn command_lines_are_understood() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let mut lines = Vec::new();
        for block in page.blocks() {
            if ["rhai", "rust", "toml"]
                .iter()
                .any(|kind| block.info.starts_with(kind))
            {
                continue;
            }
            let text = block.text.replace("\\\n", " ");
            for (n, line) in text.lines().enumerate() {
                lines.push((block.line + n + 1, line.to_owned()));
            }
        }
        for (n, line) in lines {
            for words in commands(&line) {
                seen += 1;
                if let Err(problem) = understood(words) {
                    wrong.push(format!("{}:{n}: {line}\n{problem}", page.name));
                }
            }
        }
        for (n, span) in page.code_spans() {
            // What names a kind of command is not one: `deployrun …`.
            if span.contains('…') || span.contains("...") {
                continue;
            }
            for mut words in commands(&span) {
                seen += 1;
                // The name of a command, without what it takes.
                if words.len() == 2 && !words[1].contains('.') && words[1] != "help" {
                    words.push("--help".to_owned());
                }
                if let Err(problem) = understood(words) {
                    wrong.push(format!("{}:{n}: {span}\n{problem}", page.name));
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} command lines were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn understood(words: Vec<String>) -> Result<(), String> {
    // It knows the names of commands alone, not the word that stands for one.
    if words[1..] == ["help", "COMMAND"] {
        return Ok(());
    }
    deployrun::cli::understands(words.into_iter().map(Into::into).collect())
}

/// The commands of a line of a shell that are deployrun's.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.trim_start().trim_start_matches("$ ");
    let mut found = Vec::new();
    for words in simple_commands(line) {
        // `NAME=value deployrun …`, `timeout 2 deployrun …`, `$(deployrun …)`
        let at = words.iter().position(|word| word == "deployrun");
        let is_first = |at: usize| {
            let before = &words[..at];
            let is_prefix = before.first().is_none_or(|first| {
                ["timeout", "exec", "!", "if", "RUN=$"].contains(&first.as_str())
                    || before.iter().all(|word| word.contains('='))
            });
            is_prefix && at + 1 < words.len()
        };
        if let Some(at) = at.filter(|at| is_first(*at)) {
            found.push(words[at..].to_vec());
        }
    }
    found
}

/// A line of a shell in commands, without redirections.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    let end = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
            command.push(word);
        }
    };
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                for inner in rest.by_ref().take_while(|i| *i != c) {
                    word.push(inner);
                }
            }
            '#' if word.is_none() => break,
            ' ' | '\t' => end(&mut word, &mut commands),
            '>' | '<' => {
                // A number before it belongs to it.
                if word
                    .as_ref()
                    .is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit()))
                {
                    word = None;
                }
                end(&mut word, &mut commands);
                while rest.next_if(|c| " \t>&".contains(*c)).is_some() {}
                while rest.next_if(|c| !" \t|;&)".contains(*c)).is_some() {}
            }
            '|' | ';' | '&' | '(' | ')' => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut commands);
    commands
}

#[test]
fn commands_are_found_in_lines_of_a_shell() {
    let of = |line: &str| -> Vec<String> {
        commands(line).iter().map(|words| words.join(" ")).collect()
    };
    assert_eq!(of("deployrun runs   # what ran"), ["deployrun runs"]);
    assert_eq!(of("$ deployrun show RUN > x.txt"), ["deployrun show RUN"]);
    assert_eq!(
        of("DEPLOYRUN_LOG=debug deployrun plan.rhai 2> log.txt &"),
        ["deployrun plan.rhai"]
    );
    assert_eq!(
        of("deployrun check a.rhai && deployrun 'a b.rhai'; x | deployrun runs"),
        [
            "deployrun check a.rhai",
            "deployrun a b.rhai",
            "deployrun runs"
        ]
    );
    assert_eq!(of("cargo run --bin deployrun"), [""; 0]);
    assert_eq!(of("deployrun"), [""; 0]);
}
