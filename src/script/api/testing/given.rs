//! What is given: files, answers, time.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rhai::{Dynamic, Map};

use crate::script::args::Args;
use crate::script::closure::Closure;
use crate::script::functions::{Function, Kind, Param, bytes_of, param, shown};
use crate::script::testing::stage::Stage;
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::target::pretended::{
    CommandAnswer, CommandCall, Entry, Given, HttpAnswer, Scene, Wanted,
};
use crate::words::call::Command;

use super::{simple, wrong};

const COMMAND: &[Param] = &[
    param("stdout", Kind::Text, "What it prints on standard output."),
    param("stderr", Kind::Text, "What it prints on standard error."),
    param("code", Kind::Count, "Its exit status; 0 without it."),
    param(
        "duration",
        Kind::Duration,
        "How long it takes, on the test's own clock; no time without it.",
    ),
    param(
        "times",
        Kind::Count,
        "How often this answer is given; what was given before is answered then. Always without it.",
    ),
    param(
        "missing",
        Kind::Bool,
        "There is no such program: it cannot be started.",
    ),
    param(
        "then",
        Kind::Answer,
        "What it changes: a closure that calls given_file, given_state and the like.",
    ),
    param(
        "answer",
        Kind::Answer,
        "Computes the answer: a closure that is given the call (`command`, `argv`, `stdin`, `cwd`, \
         `env`, `user`) and returns a map with stdout, stderr, code, duration, or the text for stdout.",
    ),
];

const FILE: &[Param] = &[
    param("mode", Kind::Mode, "Permission bits; 0644 without it."),
    param(
        "owner",
        Kind::Text,
        "`user` or `user:group`; root:root without it.",
    ),
    param(
        "mtime",
        Kind::Any,
        "When it was changed last: like `given_now`; when the test began without it.",
    ),
];

const DIRECTORY: &[Param] = &[
    param("mode", Kind::Mode, "Permission bits; 0755 without it."),
    param(
        "owner",
        Kind::Text,
        "`user` or `user:group`; root:root without it.",
    ),
];

const HTTP: &[Param] = &[
    param("status", Kind::Count, "The status code; 200 without it."),
    param("body", Kind::Text, "The body."),
    param("headers", Kind::Texts, "The headers."),
    param(
        "error",
        Kind::Text,
        "There is no answer, and why: \"connection refused\".",
    ),
    param(
        "duration",
        Kind::Duration,
        "How long it takes, on the test's own clock.",
    ),
    param(
        "answer",
        Kind::Answer,
        "Computes the answer: a closure that is given the URL and returns a map of these.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    let with = |options, function: Function| Function {
        options,
        ..function
    };
    let [path_only, file, link, state, name] = const {
        let path = param(
            "path",
            Kind::Text,
            "The path, from the project's directory.",
        );
        let text = param("text", Kind::Text, "Its content.");
        let to = param("to", Kind::Text, "Where it leads.");
        let name = param("name", Kind::Text, "Its name.");
        let value = param("value", Kind::Text, "What it is.");
        [
            &[path] as &'static [Param],
            &[path, text],
            &[path, to],
            &[name, value],
            &[name],
        ]
    };
    vec![
        with(
            COMMAND,
            simple(
                "given_command",
                const {
                    &[param(
                        "cmd",
                        Kind::Command,
                        "The command. A text is that of a command for the shell or of an argument \
                         vector as reports show it. `*` stands for anything.",
                    )]
                },
                &[],
                "Says what a command answers, to `run`, `probe` and as a back-out. What was given later \
                 comes first. A command that nobody gave fails the test.",
                given_command,
            ),
        ),
        with(
            FILE,
            simple(
                "given_file",
                file,
                &[],
                "Puts a file there, with the directories that lead to it.",
                given_file,
            ),
        ),
        with(
            DIRECTORY,
            simple(
                "given_directory",
                path_only,
                &[],
                "Puts a directory there, with those that lead to it.",
                given_directory,
            ),
        ),
        simple(
            "given_link",
            link,
            &[],
            "Puts a symbolic link there.",
            given_link,
        ),
        simple(
            "given_no_file",
            path_only,
            &[],
            "Takes away what is there, and all below it: also what the project's own directory has.",
            given_no_file,
        ),
        simple(
            "given_state",
            state,
            &[],
            "Declares the state of something that is no file, such as a service: `given_command`'s \
             closures read and change it, and `assert_as_before` compares it.",
            given_state,
        ),
        simple(
            "state",
            name,
            &[],
            "Returns a declared state; `()` for none.",
            state_of,
        ),
        simple(
            "given_now",
            const {
                &[param(
                    "time",
                    Kind::Any,
                    "An instant such as \"2026-03-21T21:00:00Z\", or seconds since 1970.",
                )]
            },
            &[],
            "Sets the test's clock. Tests begin at 2026-01-05T12:00:00Z; sleeps, soaks and what takes \
             time move the clock, and no real time passes.",
            given_now,
        ),
        simple(
            "given_env",
            state,
            &[],
            "Sets an environment variable for `env`; without it there are none.",
            given_env,
        ),
        simple(
            "given_secret",
            state,
            &[],
            "Says what a secret is, wherever the plan has it from.",
            given_secret,
        ),
        simple(
            "given_hostname",
            name,
            &[],
            "Names the machine; it is `pretended` without it.",
            given_hostname,
        ),
        simple(
            "given_disk_free",
            const {
                &[
                    param(
                        "path",
                        Kind::Text,
                        "The path, from the project's directory.",
                    ),
                    param("size", Kind::Size, "How much is free there and below."),
                ]
            },
            &[],
            "Says how much is free; 100 GiB without it.",
            given_disk_free,
        ),
        with(
            HTTP,
            simple(
                "given_http",
                const {
                    &[param(
                        "url",
                        Kind::Text,
                        "The URL; `*` stands for anything.",
                    )]
                },
                &[],
                "Says what a web server answers to `http_get`. A URL that nobody gave fails the test.",
                given_http,
            ),
        ),
        simple(
            "given_installed",
            const {
                &[
                    param("name", Kind::Text, "The package or program."),
                    param(
                        "version",
                        Kind::Any,
                        "Its version; `()` when it is not there.",
                    ),
                ]
            },
            &[],
            "Says whether a component is there, for `check_installed`.",
            given_installed,
        ),
        simple(
            "given_approval",
            name,
            &[],
            "Somebody approves this as soon as it is asked for.",
            given_approval,
        ),
    ]
}

fn given_command(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let wanted = match args.command("cmd") {
        Some(Command::Argv(argv)) => Wanted::Argv(argv),
        Some(Command::Shell(text)) => Wanted::Text(text),
        None => return Ok(Dynamic::UNIT),
    };
    let fixed = CommandAnswer {
        stdout: args.need("stdout"),
        stderr: args.need("stderr"),
        code: args
            .count("code")
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(0),
        duration_ms: args.ms("duration").unwrap_or(0),
        missing: args
            .bool("missing")
            .unwrap_or(false)
            .then(|| "there is no such program".to_owned()),
    };
    let (then, computed) = (args.closure("then"), args.closure("answer"));
    let weak = Arc::downgrade(stage);
    let answer = Arc::new(move |call: &CommandCall| {
        let stage = weak.upgrade().ok_or("the test is over")?;
        let mut answer = fixed.clone();
        if let Some(computed) = &computed {
            let value = stage.answer(computed, call_map(call))?;
            compute(&mut answer, &value)?;
        }
        if let Some(then) = &then {
            drop(stage.answer(then, call_map(call))?);
        }
        Ok(answer)
    });
    stage.world.give_command(Given {
        wanted,
        answer,
        times: args.count("times"),
    });
    Ok(Dynamic::UNIT)
}

/// A call as a closure that computes its answer sees it.
fn call_map(call: &CommandCall) -> Dynamic {
    from_json(&serde_json::json!({
        "command": call.command.to_string(),
        "argv": call.command.argv(),
        "stdin": call.stdin,
        "cwd": call.cwd.to_string_lossy(),
        "env": call.env,
        "user": call.user,
        "acts": call.acts,
    }))
}

fn compute(answer: &mut CommandAnswer, value: &Dynamic) -> Result<(), String> {
    if value.is_unit() {
        return Ok(());
    }
    if value.is_string() {
        answer.stdout = value.to_string();
        return Ok(());
    }
    let Ok(map) = value.as_map_ref() else {
        return Err(format!(
            "it must be a map such as #{{ stdout: \"…\", code: 0 }}, or a text, not {}",
            shown(value)
        ));
    };
    for (key, value) in map.iter() {
        match key.as_str() {
            "stdout" => answer.stdout = value.to_string(),
            "stderr" => answer.stderr = value.to_string(),
            "code" => {
                let code = value.as_int().ok().and_then(|n| i32::try_from(n).ok());
                answer.code = code.ok_or("its code must be a whole number")?;
            }
            "duration" => answer.duration_ms = duration(value)?,
            "missing" if value.as_bool() == Ok(true) => {
                answer.missing = Some("there is no such program".into());
            }
            "missing" => {}
            other => {
                return Err(format!(
                    "it has `{other}`; an answer has stdout, stderr, code, duration, missing"
                ));
            }
        }
    }
    Ok(())
}

fn duration(value: &Dynamic) -> Result<u64, String> {
    if let Ok(seconds) = value.as_int() {
        return u64::try_from(seconds)
            .ok()
            .and_then(|s| s.checked_mul(1000))
            .ok_or_else(|| "its duration is below zero".to_owned());
    }
    let parsed = crate::words::duration::parse(&value.to_string()).map_err(|e| e.to_string())?;
    Ok(u64::try_from(parsed.as_millis()).unwrap_or(u64::MAX))
}

/// Changes the scene: as what was there before, or, from a closure that answers, as an effect.
fn scene(
    stage: &Stage,
    change: impl Fn(&mut Scene) -> Result<(), String>,
) -> Result<Dynamic, Halt> {
    let done = if stage.is_answering() {
        stage.world.change(|scene| change(scene))
    } else {
        stage.world.give_scene(change)
    };
    done.map(|()| Dynamic::UNIT).map_err(wrong)
}

/// Really makes something in the working directory of a test that acts on this machine.
fn written(
    path: &Path,
    args: &Args,
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Dynamic, Halt> {
    let set = |path: &Path| {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        make(path)?;
        match args.mode("mode") {
            Some(mode) => std::fs::set_permissions(path, Permissions::from_mode(mode)),
            None => Ok(()),
        }
    };
    if args.has("owner") || args.has("mtime") {
        return Err(wrong(
            "a real test can't say owner or mtime of what it is given",
        ));
    }
    set(path)
        .map(|()| Dynamic::UNIT)
        .map_err(|error| wrong(format!("{} can't be made: {error}", path.display())))
}

fn given_file(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    if let Some(real) = &stage.real {
        let path = real.own_path(&args.path("path")).map_err(wrong)?;
        return written(&path, args, |path| std::fs::write(path, args.need("text")));
    }
    let mtime_ms = match args.given("mtime") {
        Some(time) => instant(time)?,
        None => stage.world.now_ms(),
    };
    let owner = args.text("owner");
    let entry = Entry::file(
        args.need("text").into_bytes(),
        args.mode("mode").unwrap_or(0o644),
        owner.as_deref(),
        mtime_ms,
    );
    let path = args.path("path");
    scene(stage, |scene| {
        scene.files.give(&path, entry.clone());
        Ok(())
    })
}

fn given_directory(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    if let Some(real) = &stage.real {
        let path = real.own_path(&args.path("path")).map_err(wrong)?;
        return written(&path, args, |path| std::fs::create_dir_all(path));
    }
    let owner = args.text("owner");
    let mode = args.mode("mode").unwrap_or(0o755);
    let entry = Entry::directory(mode, owner.as_deref(), stage.world.now_ms());
    let path = args.path("path");
    scene(stage, |scene| {
        scene.files.give(&path, entry.clone());
        Ok(())
    })
}

fn given_link(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    if let Some(real) = &stage.real {
        let path = real.own_path(&args.path("path")).map_err(wrong)?;
        let to = args.need("to");
        return written(&path, args, |path| std::os::unix::fs::symlink(to, path));
    }
    let entry = Entry::link(args.need("to"), stage.world.now_ms());
    let path = args.path("path");
    scene(stage, |scene| {
        scene.files.give(&path, entry.clone());
        Ok(())
    })
}

fn given_no_file(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    if let Some(real) = &stage.real {
        let path = real.own_path(&args.path("path")).map_err(wrong)?;
        let gone = match path.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
        };
        return gone
            .map(|()| Dynamic::UNIT)
            .map_err(|e| wrong(e.to_string()));
    }
    let path = args.path("path");
    scene(stage, |scene| {
        for path in scene.files.below(&path) {
            scene.files.set(&path, None);
        }
        Ok(())
    })
}

fn given_state(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let (name, value) = (args.need("name"), args.need("value"));
    scene(stage, |scene| {
        scene.states.insert(name.clone(), value.clone());
        Ok(())
    })
}

fn state_of(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let name = args.need("name");
    let state = stage.world.look(|scene| scene.states.get(&name).cloned());
    Ok(state.map_or(Dynamic::UNIT, Dynamic::from))
}

/// An instant: seconds since 1970, or a text.
fn instant(value: &Dynamic) -> Result<i64, Halt> {
    if let Ok(seconds) = value.as_int() {
        return Ok(seconds.saturating_mul(1000));
    }
    let text = value.to_string();
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| {
            wrong(format!(
                "`{text}` is no instant; write one such as \"2026-03-21T21:00:00Z\", or seconds since 1970"
            ))
        })
}

fn given_now(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let ms = instant(args.given("time").unwrap_or(&Dynamic::UNIT))?;
    stage.clock.set_wall(ms);
    Ok(Dynamic::UNIT)
}

fn given_env(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.world.give_env(args.need("name"), args.need("value"));
    Ok(Dynamic::UNIT)
}

fn given_secret(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage
        .world
        .give_secret(args.need("name"), args.need("value"));
    Ok(Dynamic::UNIT)
}

fn given_hostname(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.world.give_hostname(args.need("name"));
    Ok(Dynamic::UNIT)
}

fn given_disk_free(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let bytes = args.given("size").and_then(bytes_of).unwrap_or(0);
    stage.world.give_disk_free(args.path("path"), bytes);
    Ok(Dynamic::UNIT)
}

fn given_http(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let lower = |map: BTreeMap<String, String>| -> BTreeMap<String, String> {
        map.into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect()
    };
    let fixed = HttpAnswer {
        status: args
            .count("status")
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(200),
        body: args.need("body"),
        headers: lower(args.map("headers")),
        error: args.text("error"),
        duration_ms: args.ms("duration").unwrap_or(0),
    };
    let computed: Option<Closure> = args.closure("answer");
    let weak = Arc::downgrade(stage);
    let answers = Arc::new(move |url: &str| {
        let mut answer = fixed.clone();
        if let Some(computed) = &computed {
            let stage = weak.upgrade().ok_or("the test is over")?;
            let value = stage.answer(computed, url.into())?;
            let map = value.try_cast_result::<Map>().map_err(|other| {
                format!(
                    "the answer must be a map such as #{{ status: 200 }}, not {}",
                    shown(&other)
                )
            })?;
            for (key, value) in map {
                match key.as_str() {
                    "status" => {
                        let status = value.as_int().ok().and_then(|n| u16::try_from(n).ok());
                        answer.status = status.ok_or("its status must be a whole number")?;
                    }
                    "body" => answer.body = value.to_string(),
                    "error" => answer.error = Some(value.to_string()),
                    "duration" => answer.duration_ms = duration(&value)?,
                    "headers" => {
                        let headers = value.try_cast::<Map>().unwrap_or_default();
                        let headers = headers.into_iter();
                        answer.headers = headers
                            .map(|(k, v)| (k.to_lowercase(), v.to_string()))
                            .collect();
                    }
                    other => {
                        return Err(format!(
                            "the answer has `{other}`; it has status, body, headers, error, duration"
                        ));
                    }
                }
            }
        }
        Ok(answer)
    });
    stage.world.give_http(args.need("url"), answers);
    Ok(Dynamic::UNIT)
}

fn given_installed(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let version = args.text("version").filter(|_| !args.is_unit("version"));
    stage.world.give_installed(args.need("name"), version);
    Ok(Dynamic::UNIT)
}

fn given_approval(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.give_approval(args.need("name"));
    Ok(Dynamic::UNIT)
}
