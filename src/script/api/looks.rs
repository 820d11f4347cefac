//! Looking at files without changing anything.

use rhai::Dynamic;
use serde_json::Value;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::target::likeness::Wanted;
use crate::words::call::Failure;

const KINDS: &[&str] = &["file", "directory", "link", "pipe", "socket", "device"];

const INFO: &[Param] = &[
    param("kind", Kind::OneOf(KINDS), "Is it of this kind?"),
    param("content", Kind::Text, "Is it a file with this content?"),
    param(
        "source",
        Kind::Text,
        "Is it a file with the content of this one, from the plan's directory?",
    ),
    param(
        "like",
        Kind::Text,
        "Is it the same as what is at this path, with all that is in it? Times do not count.",
    ),
    param(
        "archive",
        Kind::Text,
        "Is it a directory with just what is in this archive? Times do not count; `owner` holds for \
         all of it.",
    ),
    param(
        "archive_sha256",
        Kind::Text,
        "The SHA-256 that the archive must have as well.",
    ),
    param(
        "strip",
        Kind::Count,
        "As for `unpack_archive`: how many directories are taken from the begin of each path.",
    ),
    param(
        "max_unpacked",
        Kind::Size,
        "As for `unpack_archive`: what the archive may hold; 4 GiB without it.",
    ),
    param(
        "target",
        Kind::Text,
        "Is it a symbolic link that leads there?",
    ),
    param("mode", Kind::Mode, "Has it these permission bits?"),
    param(
        "owner",
        Kind::Text,
        "Has it this owner: `user` or `user:group`?",
    ),
    param(
        "below",
        Kind::Bool,
        "Has all that is in it that owner? `false` without it.",
    ),
    param(
        "text",
        Kind::Bool,
        "Return the text of a file as well, up to 1 MiB.",
    ),
    param(
        "sha256",
        Kind::Bool,
        "Return the SHA-256 of a file as well.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    let path = const {
        &[param(
            "path",
            Kind::Text,
            "The path, from the plan's directory.",
        )]
    };
    let one = |name, params, options, doc, call| Function {
        name,
        params,
        optional: &[],
        options,
        closure: None,
        when: When::Any,
        doc,
        handler: Handler::Api(call),
    };
    vec![
        one(
            "file_info",
            const {
                &[param(
                    "path",
                    Kind::TextList,
                    "The path, from the plan's directory, or several.",
                )]
            },
            INFO,
            "Returns what is at the path, symbolic links not followed: `name`, `kind` (`file`, \
             `directory`, `link`, `pipe`, `socket`, `device`), `size`, `mode` (such as `\"0644\"`), \
             `owner`, `group`, `mtime` in seconds since 1970, and of a link `target`; `()` when there \
             is nothing. With options that ask, `same` says whether all of it is so. For an array of \
             paths, an array.",
            file_info,
        ),
        one(
            "list_files",
            path,
            &[],
            "Returns what is in a directory, sorted by name, each as `file_info` has it; at most \
             10,000. Throws when it can't.",
            list_files,
        ),
        one(
            "sha256",
            path,
            &[],
            "Returns the SHA-256 of a file, in hex. Throws when it can't.",
            sha256,
        ),
    ]
}

fn look(args: &Args, look: impl FnOnce() -> Result<Value, String>) -> Result<Dynamic, Halt> {
    let json = args.json()?;
    args.fiber
        .read(args.function.name, json, args.place.clone(), |_| {
            look().map_err(Failure::new)
        })
        .map(|v| from_json(&v))
}

fn file_info(args: &Args) -> Result<Dynamic, Halt> {
    let path = |name: &str| args.has(name).then(|| args.path(name));
    let wanted = Wanted {
        content: args.text("content"),
        source: path("source"),
        like: path("like"),
        archive: path("archive"),
        archive_sha256: args.text("archive_sha256"),
        strip: args.count("strip").unwrap_or(0),
        max_unpacked: args
            .bytes("max_unpacked")
            .unwrap_or(super::changes::MAX_UNPACKED),
        target: args.text("target"),
        kind: args.text("kind"),
        mode: args.mode("mode"),
        owner: args.text("owner"),
        below: args.bool("below").unwrap_or(false),
    };
    let flag = |name: &str| args.bool(name).unwrap_or(false);
    look(args, || {
        let info = |path: &str| {
            let path = args.root.join(path);
            args.host()
                .file_info(&path, &wanted, flag("text"), flag("sha256"))
        };
        match args.is_array("path") {
            true => {
                let all = args.texts("path");
                let all = all.iter().map(|path| info(path));
                all.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            false => info(&args.need("path")),
        }
    })
}

fn list_files(args: &Args) -> Result<Dynamic, Halt> {
    look(args, || args.host().list_files(&args.path("path")))
}

fn sha256(args: &Args) -> Result<Dynamic, Halt> {
    look(args, || {
        args.host().sha256(&args.path("path")).map(Value::from)
    })
}
