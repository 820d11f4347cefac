//! What is asserted of what was done: steps, back-outs, files.

use std::path::Path;
use std::sync::Arc;

use rhai::{Dynamic, Map};

use crate::script::args::{Args, command_of};
use crate::script::functions::{Function, Kind, Param, mode_of, param};
use crate::script::testing::diff::{diff, same, text_lines, word};
use crate::script::testing::stage::Stage;
use crate::script::value::from_json;
use crate::supervisor::core::ArmedStatus;
use crate::supervisor::fiber::Halt;
use crate::supervisor::pretended::{Done, Undone};
use crate::target::pretended::{Difference, Entry, Kind as Is, glob};
use crate::words::call::{Deed, Undo};
use crate::words::outcome::Outcome;
use crate::words::suggest::nearest;

use super::asserts::HEADING;
use super::{fail, simple, wrong};

pub(super) fn functions() -> Vec<Function> {
    let path: &'static [Param] = const {
        &[param(
            "path",
            Kind::Text,
            "The path, from the project's directory.",
        )]
    };
    vec![
        simple(
            "assert_steps",
            const {
                &[param(
                    "steps",
                    Kind::Any,
                    "An array. A text is the title or the command of a step, `*` stands for anything; a \
                     map says more of it: title, command, path, text, mode, owner, cwd, user, stdin, env, \
                     outcome, tries, back_out.",
                )]
            },
            &[],
            "Fails the test unless just these steps were started, in this order. Those of back-outs are \
             not among them.",
            assert_steps,
        ),
        simple(
            "steps",
            &[],
            &[],
            "Returns the steps that were started so far, as texts.",
            steps,
        ),
        simple(
            "reads",
            &[],
            &[],
            "Returns what was read so far, as texts such as `probe([\"nginx\",\"-v\"])`.",
            reads,
        ),
        simple(
            "assert_backed_out",
            const {
                &[param(
                    "back_outs",
                    Kind::Any,
                    "An array of texts: commands, `put back PATH`, and for a closure the steps that it \
                     ran. `*` stands for anything.",
                )]
            },
            &[],
            "Fails the test unless just this was undone, in this order, and nothing of it failed. What is \
             still armed is backed out first.",
            assert_backed_out,
        ),
        simple(
            "assert_armed",
            const {
                &[param(
                    "back_outs",
                    Kind::Any,
                    "An array of texts, the oldest first: commands, `put back PATH`, or the titles of \
                     closures. `*` stands for anything.",
                )]
            },
            &[],
            "Fails the test unless just these back-outs are armed.",
            assert_armed,
        ),
        simple(
            "assert_file",
            path,
            const {
                &[param(
                    "expected",
                    Kind::Any,
                    "Its content, or a map: text, contains, mode, owner, link.",
                )]
            },
            "Fails the test unless there is such a file (or, with `link`, such a symbolic link).",
            assert_file,
        ),
        simple(
            "assert_no_file",
            path,
            &[],
            "Fails the test if there is anything at a path.",
            assert_no_file,
        ),
        simple(
            "assert_as_before",
            &[],
            &[],
            "Fails the test unless all is as it was before the first step: content, mode, owner and time \
             of files, links, directories, what was absent, and declared states.",
            assert_as_before,
        ),
    ]
}

fn items<'a>(args: &'a Args, name: &str) -> Result<Vec<Dynamic>, Halt> {
    let given: Option<&'a Dynamic> = args.given(name);
    match given.map(Dynamic::as_array_ref) {
        Some(Ok(items)) => Ok(items.to_vec()),
        _ => Err(wrong(format!(
            "`{}` wants an array, such as [\"nginx -t\"]",
            args.function.name
        ))),
    }
}

/// Compares what is expected, item by item, with what was seen.
fn compare<T>(
    expected: &[Dynamic],
    seen: &[T],
    matches: &dyn Fn(&Dynamic, &T) -> Result<bool, Halt>,
    show: &dyn Fn(&T) -> String,
) -> Result<Option<Vec<String>>, Halt> {
    let mut used = vec![false; seen.len()];
    let mut lines = Vec::new();
    let mut all = expected.len() == seen.len();
    for (at, wanted) in expected.iter().enumerate() {
        let here = match seen.get(at) {
            Some(seen) if !used[at] => matches(wanted, seen)?,
            _ => false,
        };
        all &= here;
        let mut found = here.then_some(at);
        if found.is_none() {
            for (other, seen) in seen.iter().enumerate() {
                if !used[other] && matches(wanted, seen)? {
                    found = Some(other);
                    break;
                }
            }
        }
        match found.and_then(|at| seen.get(at).map(|seen| (at, seen))) {
            Some((at, seen)) => {
                used[at] = true;
                lines.push(show(seen));
            }
            None => lines.push(in_a_line(wanted)),
        }
    }
    if all {
        return Ok(None);
    }
    let seen: Vec<String> = seen.iter().map(show).collect();
    let mut out = vec![HEADING.to_owned()];
    out.extend(diff(&lines, &seen));
    Ok(Some(out))
}

fn in_a_line(value: &Dynamic) -> String {
    if let Ok(map) = value.as_map_ref() {
        let parts: Vec<String> = map
            .iter()
            .map(|(key, value)| format!("{key}: {}", in_a_line(value)))
            .collect();
        return format!("#{{ {} }}", parts.join(", "));
    }
    if let Ok(items) = value.as_array_ref() {
        let parts: Vec<String> = items.iter().map(in_a_line).collect();
        return format!("[{}]", parts.join(", "));
    }
    if value.is_string() {
        return value.to_string();
    }
    word(value)
}

fn assert_steps(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let expected = items(args, "steps")?;
    let seen = stage.deeds().steps;
    let differs = compare(&expected, &seen, &is_step, &|done| done.text.clone())?;
    match differs {
        None => Ok(Dynamic::UNIT),
        Some(lines) => Err(fail(args, stage, "other steps were started".into(), lines)),
    }
}

fn steps(_: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let texts = stage.deeds().steps.into_iter().map(|done| done.text.into());
    Ok(texts.collect::<rhai::Array>().into())
}

fn reads(_: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let texts = stage.deeds().reads.into_iter().map(Dynamic::from);
    Ok(texts.collect::<rhai::Array>().into())
}

/// What can be said of a step.
const OF_STEP: &[&str] = &[
    "title", "command", "path", "text", "mode", "owner", "cwd", "user", "stdin", "env", "outcome",
    "tries", "back_out",
];

fn is_step(wanted: &Dynamic, done: &Done) -> Result<bool, Halt> {
    let Ok(map) = wanted.as_map_ref() else {
        let text = wanted.to_string();
        return Ok(glob(&text, &done.text) || glob(&text, &done.step.title));
    };
    let step = &done.step;
    let file = match &step.deed {
        Deed::PutFile(file) => Some(file),
        Deed::Command(_) | Deed::ChangeFile(_) | Deed::Own { .. } => None,
    };
    let path = match &step.deed {
        Deed::PutFile(file) => Some(file.path.as_str()),
        Deed::ChangeFile(change) => Some(change.path.as_str()),
        Deed::Command(_) | Deed::Own { .. } => None,
    };
    for (key, value) in map.iter() {
        let is = |seen: Option<&str>| seen.is_some_and(|seen| glob(&value.to_string(), seen));
        let holds = match key.as_str() {
            "title" => is(Some(&step.title)),
            "command" => match &step.deed {
                Deed::Command(command) if value.is_array() => command_of(value) == *command,
                Deed::Command(command) => is(Some(&command.to_string())),
                Deed::PutFile(_) | Deed::ChangeFile(_) | Deed::Own { .. } => false,
            },
            "path" => is(path),
            "text" => file.and_then(|file| file.text.as_ref()) == Some(&value.to_string()),
            "mode" => file.is_some_and(|file| file.mode == mode_of(value)),
            "owner" => is(file.and_then(|file| file.owner.as_deref())),
            "cwd" => is(step.cwd.as_deref()),
            "user" => is(step.user.as_deref()),
            "stdin" => is(step.stdin.as_deref()),
            "env" => same(&from_json(&serde_json::json!(step.env)), value),
            "outcome" => is(done.outcome.map(|outcome| outcome.word())),
            "tries" => value.as_int() == Ok(i64::from(done.attempts)),
            "back_out" => match step.back_out.as_ref().map(|b| (&b.undo, &b.title)) {
                None => value.is_unit(),
                Some((Undo::Nothing, _)) => value.is_unit(),
                Some((_, title)) => is(Some(title)),
            },
            other => {
                let mut text = format!("a step has no `{other}`; it has: {}", OF_STEP.join(", "));
                if let Some(near) = nearest(other, OF_STEP.iter().copied()) {
                    text = format!("a step has no `{other}`; did you mean `{near}`?");
                }
                return Err(wrong(text));
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_text(wanted: &Dynamic, seen: &str) -> Result<bool, Halt> {
    Ok(glob(&wanted.to_string(), seen))
}

fn assert_backed_out(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let expected = items(args, "back_outs")?;
    if stage.is_armed() {
        stage.back_out().ok_or(Halt::Stop)?;
    }
    let deeds = stage.deeds();
    let undone = deeds.back_outs.iter();
    let seen: Vec<String> = undone.flat_map(Undone::texts).collect();
    let same = |wanted: &Dynamic, seen: &String| is_text(wanted, seen);
    if let Some(lines) = compare(&expected, &seen, &same, &String::clone)? {
        return Err(fail(args, stage, "something else was undone".into(), lines));
    }
    match deeds.not_undone() {
        None => Ok(Dynamic::UNIT),
        Some(failed) => {
            let how = failed.outcome.map_or("has not ended", Outcome::word);
            let lines = vec![format!("{}: {how}", failed.text)];
            let text = "a back-out failed: the run would be stuck".into();
            Err(fail(args, stage, text, lines))
        }
    }
}

fn assert_armed(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let expected = items(args, "back_outs")?;
    let armed = stage.own().map(|own| own.driver.armed());
    let seen: Vec<String> = armed
        .unwrap_or_default()
        .into_iter()
        .filter(|armed| armed.status == ArmedStatus::Armed)
        .map(|armed| armed.back_out.title)
        .collect();
    match compare(
        &expected,
        &seen,
        &|wanted, seen: &String| is_text(wanted, seen),
        &String::clone,
    )? {
        None => Ok(Dynamic::UNIT),
        Some(lines) => Err(fail(args, stage, "something else is armed".into(), lines)),
    }
}

/// What can be said of a file.
const OF_FILE: &[&str] = &["text", "contains", "mode", "owner", "link"];

fn assert_file(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let path = args.path("path");
    let shown = args.need("path");
    let Some(entry) = stage.world.entry(&path) else {
        let text = format!("there is no file {shown}");
        return Err(fail(args, stage, text, beside(stage, &path)));
    };
    let expected = match args.given("expected") {
        None => Map::new(),
        Some(value) => match value.as_map_ref() {
            Ok(map) => map.clone(),
            Err(_) => Map::from([("text".into(), value.clone())]),
        },
    };
    if let Is::Link(to) = &entry.kind
        && !expected.contains_key("link")
    {
        // What a link leads to is what is looked at.
        let target = stage.world.look(|scene| scene.files.followed(&path));
        return match target {
            Some(entry) => of_file(args, stage, &shown, &entry, &expected),
            None => {
                let text = format!("{shown} is a link to {to}, where nothing is");
                Err(fail(args, stage, text, Vec::new()))
            }
        };
    }
    of_file(args, stage, &shown, &entry, &expected)
}

fn of_file(
    args: &Args,
    stage: &Stage,
    shown: &str,
    entry: &Entry,
    expected: &Map,
) -> Result<Dynamic, Halt> {
    let content = match &entry.kind {
        Is::File(content) => Some(String::from_utf8_lossy(content).into_owned()),
        Is::Directory | Is::Link(_) => None,
    };
    for (key, value) in expected {
        let wanted = value.to_string();
        let (what, wanted, seen) = match key.as_str() {
            "text" => match &content {
                Some(content) if *content == wanted => continue,
                Some(content) => {
                    let mut lines = vec![HEADING.to_owned()];
                    lines.extend(diff(&text_lines(&wanted), &text_lines(content)));
                    let text = format!("{shown} has another content");
                    return Err(fail(args, stage, text, lines));
                }
                None => ("content", wanted, "it is no file".to_owned()),
            },
            "contains" => match &content {
                Some(content) if content.contains(&wanted) => continue,
                Some(content) => {
                    let mut lines = vec!["it is:".to_owned()];
                    lines.extend(text_lines(content).into_iter().map(|l| format!("  {l}")));
                    let text = format!("{shown} does not hold {}", word(value));
                    return Err(fail(args, stage, text, lines));
                }
                None => ("content", wanted, "it is no file".to_owned()),
            },
            "mode" => {
                let wanted = mode_of(value).map_or(wanted, |mode| format!("{mode:04o}"));
                ("mode", wanted, format!("{:04o}", entry.mode))
            }
            "owner" => {
                let wanted = if wanted.contains(':') {
                    wanted
                } else {
                    format!("{wanted}:{wanted}")
                };
                ("owner", wanted, entry.owner.clone())
            }
            "link" => match &entry.kind {
                Is::Link(to) => ("link", wanted, to.clone()),
                Is::File(_) | Is::Directory => ("link", wanted, "it is no link".to_owned()),
            },
            other => {
                let all = OF_FILE.join(", ");
                return Err(wrong(format!("a file has no `{other}`; it has: {all}")));
            }
        };
        if wanted != seen {
            let lines = vec![
                HEADING.to_owned(),
                format!("- {wanted}"),
                format!("+ {seen}"),
            ];
            let text = format!("the {what} of {shown} differs");
            return Err(fail(args, stage, text, lines));
        }
    }
    Ok(Dynamic::UNIT)
}

/// What is in the directory of a path.
fn beside(stage: &Stage, path: &Path) -> Vec<String> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let names = stage.world.look(|scene| scene.files.list(dir));
    if names.is_empty() {
        return vec![format!("there is nothing in {}", dir.display())];
    }
    vec![format!("in {} are: {}", dir.display(), names.join(", "))]
}

fn assert_no_file(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    match stage.world.entry(&args.path("path")) {
        None => Ok(Dynamic::UNIT),
        Some(entry) => {
            let text = format!(
                "there is {} at {}",
                crate::target::pretended::described(&entry),
                args.need("path")
            );
            Err(fail(args, stage, text, Vec::new()))
        }
    }
}

/// What is not as it was, line by line.
pub(super) fn not_as_before(changed: &[Difference]) -> Vec<String> {
    let mut lines = vec!["- before, + now:".to_owned()];
    for difference in changed {
        lines.push(format!("{}:", difference.what));
        let (was, is) = (text_lines(&difference.was), text_lines(&difference.is));
        lines.extend(diff(&was, &is).into_iter().map(|line| format!("  {line}")));
    }
    lines
}

fn assert_as_before(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let changed = stage.changed();
    if changed.is_empty() {
        return Ok(Dynamic::UNIT);
    }
    let mut lines = not_as_before(&changed);
    if stage.is_armed() {
        lines.push("= hint: back-outs are still armed; call back_out_now() first".into());
    }
    Err(fail(
        args,
        stage,
        "not all is as it was before".into(),
        lines,
    ))
}
