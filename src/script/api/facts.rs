//! Facts: what a plan may know of the world. Each is a call, so each is journalled.

use rhai::Dynamic;
use serde_json::{Value, json};

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::secret_text::SecretText;
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::target::secret_source::SecretSource;
use crate::target::{http, probe};
use crate::words::call::Failure;

const HTTP: &[Param] = &[
    param(
        "timeout",
        Kind::Limit,
        "How long it may take; 10s without it.",
    ),
    param("headers", Kind::Texts, "Headers to send."),
    param(
        "redirects",
        Kind::Count,
        "How many redirects are followed; 0 without it.",
    ),
    param(
        "ca",
        Kind::Text,
        "A file of certificates (PEM), from the plan's directory, that are trusted instead of the usual \
         authorities.",
    ),
];

const SECRET: &[Param] = &[
    param("env", Kind::Text, "The environment variable that holds it."),
    param("file", Kind::Text, "The file that holds it."),
    param("command", Kind::Command, "The command that prints it."),
];

pub(super) fn functions() -> Vec<Function> {
    let path = const {
        &[param(
            "path",
            Kind::Text,
            "The path, from the plan's directory.",
        )]
    };
    let one = |name, params, doc, call| Function {
        name,
        params,
        optional: &[],
        options: &[],
        closure: None,
        when: When::Any,
        doc,
        handler: Handler::Api(call),
    };
    vec![
        Function {
            optional: const {
                &[param(
                    "default",
                    Kind::Text,
                    "What to return when it is not set.",
                )]
            },
            ..one(
                "env",
                const { &[param("name", Kind::Text, "The variable.")] },
                "Returns an environment variable of the one who runs the plan; `()` when not set.",
                env,
            )
        },
        one(
            "read_file",
            path,
            "Returns the text of a file, up to 1 MiB. Throws when it can't.",
            read_file,
        ),
        one(
            "file_exists",
            path,
            "Is there a file, a directory or anything else?",
            file_exists,
        ),
        one(
            "disk_free",
            path,
            "Returns the bytes that are free where the path lies.",
            disk_free,
        ),
        one(
            "now",
            &[],
            "Returns the time in seconds since 1970, UTC.",
            now,
        ),
        one(
            "hostname",
            &[],
            "Returns the name of this machine.",
            hostname,
        ),
        Function {
            options: HTTP,
            ..one(
                "http_get",
                const {
                    &[param(
                        "url",
                        Kind::Text,
                        "What to get: http:// or https://.",
                    )]
                },
                "Returns what a web server answers: `status`, `body` (up to 1 MiB), `headers`, \
                 `duration` in seconds. Throws when there is no answer.",
                http_get,
            )
        },
        Function {
            options: SECRET,
            ..one(
                "secret",
                const {
                    &[param(
                        "name",
                        Kind::Text,
                        "Its name; without options, the environment variable.",
                    )]
                },
                "Returns a value that prints as `***` everywhere. Join it with `+`; a text in \
                 back-ticks would hold the stars. It is never journalled.",
                secret,
            )
        },
    ]
}

fn fact(
    args: &Args,
    look: impl FnOnce(&probe::Cancel) -> Result<Value, Failure>,
) -> Result<Dynamic, Halt> {
    let json = args.json()?;
    args.fiber
        .read(args.function.name, json, args.place.clone(), look)
        .map(|v| from_json(&v))
}

fn env(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| {
        let value = args
            .host()
            .env(&args.need("name"))
            .or_else(|| args.text("default"));
        Ok(value.map_or(Value::Null, Value::from))
    })
}

fn read_file(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| {
        args.host()
            .read_file(&args.path("path"))
            .map(Value::from)
            .map_err(Failure::new)
    })
}

fn file_exists(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| {
        Ok(Value::from(args.host().exists(&args.path("path"))))
    })
}

fn disk_free(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| {
        args.host()
            .disk_free(&args.path("path"))
            .map(Value::from)
            .map_err(Failure::new)
    })
}

fn now(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| Ok(Value::from(args.fiber.wall_ms() / 1000)))
}

fn hostname(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| Ok(Value::from(args.host().hostname())))
}

fn http_get(args: &Args) -> Result<Dynamic, Halt> {
    fact(args, |_| {
        let request = http::Request {
            url: args.need("url"),
            timeout_ms: args.ms("timeout").unwrap_or(10_000),
            headers: args.map("headers"),
            redirects: args.count("redirects").unwrap_or(0),
            ca: args.has("ca").then(|| args.path("ca")),
        };
        let answer = args.host().http_get(&request).map_err(Failure::new)?;
        Ok(json!({
            "status": answer.status,
            "body": answer.body,
            "headers": answer.headers,
            "duration": answer.duration_ms as f64 / 1000.0,
        }))
    })
}

/// Secrets are read anew on every replay: the journal only knows that one was asked for.
fn secret(args: &Args) -> Result<Dynamic, Halt> {
    let json = args.json()?;
    let mut value = None;
    args.fiber
        .read("secret", json, args.place.clone(), |cancel| {
            value = Some(fetch(args, cancel)?);
            Ok(Value::Null)
        })?;
    let value = match value {
        Some(value) => value,
        None => fetch(args, args.fiber.cancel())?,
    };
    args.fiber.shared().secrets.add(&value).map_err(|problem| {
        Failure::new(format!("the secret `{}`: {problem}", args.need("name")))
    })?;
    Ok(Dynamic::from(SecretText::new(value)))
}

fn fetch(args: &Args, cancel: &probe::Cancel) -> Result<String, Failure> {
    let name = args.need("name");
    let source = if let Some(file) = args.text("file") {
        SecretSource::File(file.into())
    } else if let Some(command) = args.command("command") {
        SecretSource::Command(command)
    } else {
        SecretSource::Env(args.text("env").unwrap_or_else(|| name.clone()))
    };
    let value = args.host().secret(&name).unwrap_or_else(|| {
        let place = (args.root, &args.fiber.shared().env);
        source.fetch(args.host(), place, cancel)
    });
    value.map_err(|problem| Failure::new(format!("the secret `{name}`: {problem}")))
}
