//! What all commands have in common.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::report::groups::Ci;
use crate::report::lines::{Look, Zone, quoted};
use crate::report::{Style, live};
use crate::target::terminal;
use crate::words::clock::{Clock, ManualClock, ShiftedClock, SystemClock};

/// Options of all commands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The directory that holds the journal [default: $XDG_STATE_HOME/deployrun]
    #[arg(long, value_name = "DIR", global = true, env = "DEPLOYRUN_STATE")]
    state: Option<PathBuf>,
    /// What to print; not every command has every form [default: human]
    #[arg(long, value_enum, global = true, env = "DEPLOYRUN_FORMAT")]
    format: Option<Format>,
    /// When to use colours
    #[arg(
        long,
        value_enum,
        global = true,
        env = "DEPLOYRUN_COLOR",
        default_value = "auto"
    )]
    color: Color,
    /// Print more: every sample of watches, every fact the plan asked for, whole tails of output;
    /// twice: every event of the journal too
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Print only what went wrong and how it ended
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print lines only, without a live area below them
    #[arg(long, global = true, env = "DEPLOYRUN_PLAIN")]
    plain: bool,
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Human,
    /// JSON, one object a line.
    Json,
    /// JUnit XML.
    Junit,
    /// One HTML file that needs no other.
    Html,
    /// Markdown.
    Markdown,
    /// SARIF 2.1.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

impl Format {
    /// The word on the command line.
    fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// # Errors
    /// When a command that has these forms has not this one.
    pub(super) fn is_among(self, command: &str, forms: &[Self]) -> Result<(), String> {
        if forms.contains(&self) {
            return Ok(());
        }
        let has: Vec<String> = forms.iter().map(|form| form.word()).collect();
        Err(format!(
            "`{command}` has no format `{}`; it has: {}",
            self.word(),
            has.join(", ")
        ))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// What a command is run with.
pub(super) struct Context {
    pub(super) state: PathBuf,
    /// How this program is called in commands to type, so that they find the same journal.
    pub(super) program: String,
    pub(super) format: Format,
    /// Was the form said, or is it the usual one?
    pub(super) format_given: bool,
    pub(super) style: Style,
    pub(super) verbosity: i8,
    plain: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Option<u32>,
}

impl Global {
    /// # Errors
    /// When the environment holds something that cannot be read.
    pub(super) fn context(self) -> Result<Context, String> {
        let verbosity = if self.quiet {
            -1
        } else {
            i8::try_from(self.verbose).unwrap_or(2)
        };
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let off = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                !off && people_have_a_terminal(self.format)
            }
        };
        let state = state_dir(self.state);
        // Commands to type later are typed elsewhere.
        let state = std::path::absolute(&state).unwrap_or(state);
        let columns = terminal::size().map(|(columns, _)| columns);
        let random = |text: &str| text.parse().ok();
        Ok(Context {
            program: program(&state),
            state,
            format: self.format.unwrap_or(Format::Human),
            format_given: self.format.is_some(),
            style: Style { color, columns },
            verbosity,
            plain: self.plain,
            clock: clock()?,
            random: variable("DEPLOYRUN_TEST_RANDOM", "a number below 2^32", random)?,
        })
    }
}

/// Is what people are told shown on a terminal? Beside a document it goes to standard error.
fn people_have_a_terminal(format: Option<Format>) -> bool {
    match format {
        Some(Format::Junit) => std::io::stderr().is_terminal(),
        _ => std::io::stdout().is_terminal(),
    }
}

impl Context {
    /// Is a run shown with a live area? Only on a terminal that can show it, where somebody looks.
    pub(super) fn is_live(&self) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let is_dumb = set("TERM").is_none_or(|term| term == "dumb");
        let in_ci = set("CI").is_some_and(|v| v != "false" && v != "0");
        !self.plain
            && self.verbosity >= 0
            && !is_dumb
            && !in_ci
            && Ci::of_environment().is_none()
            && std::io::stdout().is_terminal()
            && live::is_possible()
    }

    /// Can a person be asked? Only where they see the question and can answer it.
    pub(super) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && people_have_a_terminal(Some(self.format))
    }

    /// For whom the lines of a run are.
    pub(super) fn look(&self, tails: bool) -> Look {
        Look {
            verbosity: self.verbosity,
            zone: Zone::of_this_machine(),
            program: self.program.clone(),
            state_dir: self.state.display().to_string(),
            tails,
        }
    }
}

/// `deployrun`, with the state directory where it would not be found without.
fn program(state: &Path) -> String {
    // One that is not absolute is another one elsewhere.
    if state_dir(None) == *state {
        return "deployrun".to_owned();
    }
    let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
    let text = state.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if text.chars().all(plain) {
        format!("deployrun --state {text}")
    } else {
        format!("deployrun --state {}", quoted(&text))
    }
}

/// The state directory: the one that is given, else that of the environment, else the usual one.
pub(super) fn state_dir(given: Option<PathBuf>) -> PathBuf {
    let named = std::env::var_os("DEPLOYRUN_STATE").filter(|v| !v.is_empty());
    given
        .or(named.map(PathBuf::from))
        .unwrap_or_else(default_state)
}

fn default_state() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            // One that is not absolute is to be ignored, as the XDG Base Directory Specification says.
            .filter(|path| path.is_absolute())
    };
    set("XDG_STATE_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("deployrun")
}

/// The machine's clock; with `DEPLOYRUN_TEST_NOW`, an instant in RFC 3339, one that starts there, or
/// stands there if ` stopped` follows. Every report of a run says so.
fn clock() -> Result<Arc<dyn Clock>, String> {
    let read = |text: &str| {
        let (instant, stopped) = match text.strip_suffix(" stopped") {
            Some(instant) => (instant, true),
            None => (text, false),
        };
        Some((instant.parse::<jiff::Timestamp>().ok()?, stopped))
    };
    let wanted = "an instant in RFC 3339, such as 2026-03-21T21:00:00Z";
    Ok(match variable("DEPLOYRUN_TEST_NOW", wanted, read)? {
        Some((instant, stopped)) => {
            let clock = ShiftedClock::starting_at(instant.as_millisecond());
            match stopped {
                true => Arc::new(ManualClock::at(clock.now())),
                false => Arc::new(clock),
            }
        }
        None => Arc::new(SystemClock),
    })
}

/// The value of a variable that only tests set, if it is set. One that cannot be read is an error:
/// a test that runs with other values than it says would prove nothing.
fn variable<T>(
    name: &str,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(text) = std::env::var_os(name) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    match read(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(format!(
            "{name} is `{text}`, not {wanted}; nothing was started"
        )),
    }
}
