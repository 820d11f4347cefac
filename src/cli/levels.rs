//! `--deny`, `--warn` and `--allow`: levels of findings, in the order in which they are given.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::words::levels::{By, Change, Setting, Subject};

/// The levels that the command line sets; a later one wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels(pub(super) Vec<Change>);

fn help(setting: Setting) -> &'static str {
    match setting {
        Setting::Deny => "Makes an error of this finding; `warnings`: of all that are warnings",
        Setting::Warn => "Makes a warning of this finding, whatever deployrun.toml says",
        Setting::Allow => "Does not tell this finding; only warnings can be allowed",
    }
}

impl clap::Args for Levels {
    fn augment_args(mut command: Command) -> Command {
        for setting in Setting::ALL {
            let word = setting.word();
            let change = move |name: &str| match Subject::of(name, setting) {
                Ok(subject) => Ok(Change {
                    subject,
                    setting,
                    by: By::Option(format!("--{word} {name}")),
                }),
                Err(refused) => Err(format!("{}; {}", refused.text, refused.hint)),
            };
            let arg = Arg::new(word)
                .long(word)
                .value_name("CODE")
                .help(help(setting))
                .action(ArgAction::Append)
                .value_parser(change);
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Levels {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut changes = Vec::new();
        for word in Setting::ALL.map(Setting::word) {
            let at = matches.indices_of(word).into_iter().flatten();
            let given = matches.get_many::<Change>(word).into_iter().flatten();
            changes.extend(at.zip(given.cloned()));
        }
        changes.sort_by_key(|(at, _)| *at);
        Ok(Self(
            changes.into_iter().map(|(_, change)| change).collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
