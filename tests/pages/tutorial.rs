//! The tutorial happens as it says: every command is run, in an empty directory, and what it shows is
//! compared with what came out. What varies (times, ids, names) is masked in both.
//!
//! `UPDATE_SNAPSHOTS=1` writes what came out into the page, where it differs.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use regex::Regex;

use super::markdown::{Block, Page, pages, root};

const PAGE: &str = "docs/tutorial.md";
const RUN: &str = r"\b\d{8}-\d{4}-[0-9a-z]{4}\b";
/// Who types, and where.
const WHO: &str = "anna@web1";
const WHERE: &str = "/home/anna/tutorial";

#[test]
fn the_tutorial_happens_as_it_says() {
    let all = pages();
    let page = all
        .iter()
        .find(|page| page.name == PAGE)
        .expect("a tutorial");
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("tutorial");
    fs::create_dir(&dir).expect("a directory");
    let mut shell = Shell::new(&dir);
    let mut told: Option<String> = None;
    let mut runs: HashMap<String, String> = HashMap::new();
    let (mut wrong, mut new_page) = (Vec::new(), page.text.clone());
    let mut seen = 0;
    for block in page.blocks() {
        match block.info.as_str() {
            "sh" => {
                seen += 1;
                told = Some(shell.run(&with_ids(&block.text, &runs)));
            }
            "rhai" => fs::write(dir.join(file_of(page, &block)), &block.text).expect("a file"),
            "text" => {
                let told = told.take();
                let told = told.unwrap_or_else(|| panic!("{PAGE}:{}: of what?", block.line));
                learn_ids(&block.text, &told, &mut runs);
                if masked(&block.text, &dir) != masked(&told, &dir) {
                    let shown = with_ids(&shown(&told, &dir), &turned(&runs));
                    let old = format!("```text\n{}```", block.text);
                    new_page = new_page.replacen(&old, &format!("```text\n{shown}```"), 1);
                    wrong.push(format!(
                        "{PAGE}:{}:\n{}--- is\n{shown}",
                        block.line, block.text
                    ));
                }
            }
            other => panic!("{PAGE}:{}: what is `{other}`?", block.line),
        }
    }
    assert!(seen >= 15, "only {seen} blocks of commands were found");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(root().join(PAGE), new_page).expect("the page can be written");
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn file_of(page: &Page, block: &Block) -> String {
    let file = block.file();
    file.unwrap_or_else(|| panic!("{}:{}: into which file?", page.name, block.line))
}

/// Ids of runs are others each time: those of the page stand for those that came out, in order.
fn learn_ids(shown: &str, told: &str, runs: &mut HashMap<String, String>) {
    let run = Regex::new(RUN).expect("a pattern");
    let pairs = run.find_iter(shown).zip(run.find_iter(told));
    for (shown, told) in pairs {
        runs.entry(shown.as_str().to_owned())
            .or_insert_with(|| told.as_str().to_owned());
    }
}

fn with_ids(text: &str, runs: &HashMap<String, String>) -> String {
    let run = Regex::new(RUN).expect("a pattern");
    let replaced = run.replace_all(text, |found: &regex::Captures<'_>| {
        let known = runs.get(&found[0]);
        known.cloned().unwrap_or_else(|| found[0].to_owned())
    });
    replaced.into_owned()
}

/// From the ids that came out to those of the page.
fn turned(runs: &HashMap<String, String>) -> HashMap<String, String> {
    runs.iter()
        .map(|(page, told)| (told.clone(), page.clone()))
        .collect()
}

/// What came out, as Anna sees it.
fn shown(told: &str, dir: &Path) -> String {
    let home = dir.parent().expect("a home");
    let told = told.replace(dir.to_str().expect("UTF-8"), WHERE);
    let told = told.replace(home.to_str().expect("UTF-8"), "/home/anna");
    let who = Regex::new(r"\b[\w.-]+@[\w-]+(?P<end>$|[ ,:\n])").expect("a pattern");
    let told = who.replace_all(&told, format!("{WHO}$end"));
    let on = Regex::new(r"\b[\w.-]+ on [\w.-]+, process").expect("a pattern");
    let told = on.replace_all(&told, "anna on web1, process");
    told.into_owned()
}

/// Without what varies.
fn masked(text: &str, dir: &Path) -> String {
    const DURATION: &str = r"(?:<1ms|(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)";
    let mut text = shown(text, dir);
    for (pattern, with) in [
        (RUN.to_owned(), "RUN"),
        (
            r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d".to_owned(),
            "INSTANT",
        ),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d".to_owned(), "INSTANT"),
        // In the list of runs.
        (r"\d{4}-\d\d-\d\d \d\d:\d\d  ".to_owned(), "INSTANT  "),
        (r"\d\d:\d\d:\d\d".to_owned(), "TIME"),
        (r"\b[0-9a-f]{12}\b".to_owned(), "FINGERPRINT"),
        (r"(pid|process) \d+".to_owned(), "$1 PID"),
        (
            format!(r"\b(in|took|after|another|for) {DURATION}"),
            "$1 DURATION",
        ),
        (format!(r", {DURATION} (of|left)\b"), ", DURATION $1"),
        (format!(r"(?m), {DURATION}(, try \d+)?$"), ", DURATION$1"),
        (format!(r"at most {DURATION}, by"), "at most DURATION, by"),
        (r"deployrun \d+\.\d+\.\d+".to_owned(), "deployrun VERSION"),
    ] {
        let regex = Regex::new(&pattern).expect("a pattern");
        text = regex.replace_all(&text, with).into_owned();
    }
    text
}

/// One shell for the whole tutorial, as a reader has one.
struct Shell {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    script: std::path::PathBuf,
}

/// What the shell says when a block is done.
const DONE: &str = "-- this block is done --";

impl Shell {
    fn new(dir: &Path) -> Self {
        let home = dir.parent().expect("a home");
        let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
        let path = std::env::var("PATH").expect("a path");
        let bin = program.parent().expect("a directory").display();
        let mut child = Command::new("bash")
            .arg("--norc")
            .current_dir(dir)
            .env_clear()
            .env("PATH", format!("{bin}:{path}"))
            .env("HOME", home)
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash can be started");
        let mut to = child.stdin.take().expect("a pipe");
        to.write_all(b"exec 2>&1\n").expect("bash listens");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            to,
            from,
            script: home.join("block.sh"),
        }
    }

    fn run(&mut self, commands: &str) -> String {
        fs::write(&self.script, commands).expect("a script");
        let line = format!(". {} < /dev/null\necho '{DONE}'\n", self.script.display());
        self.to.write_all(line.as_bytes()).expect("bash listens");
        let mut told = String::new();
        loop {
            let mut line = String::new();
            let read = self.from.read_line(&mut line).expect("bash tells");
            assert!(read > 0, "bash has ended in\n{commands}\n{told}");
            if let Some(rest) = line.strip_suffix(&format!("{DONE}\n")) {
                told.push_str(rest);
                return told;
            }
            told.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
