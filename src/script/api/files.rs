//! `upload` and `write_file`: steps that put a file in place.

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::target::files;
use crate::words::call::{BackOut, Call, Deed, Failure, FailureKind, PutFile, Undo};

use super::commands::{BACK_OUT_TIMEOUT_MS, step_of};

const PUT: &[Param] = &[
    param("title", Kind::Text, "What reports call the step."),
    param(
        "mode",
        Kind::Mode,
        "Permission bits; those of the former file, else 0644, without it.",
    ),
    param(
        "owner",
        Kind::Text,
        "`user` or `user:group`; those of the former file without it.",
    ),
    param(
        "timeout",
        Kind::Limit,
        "How long it may take; 10m without it.",
    ),
    param(
        "retries",
        Kind::Count,
        "How often it is tried again after a failure.",
    ),
    param(
        "retry_delay",
        Kind::Duration,
        "The time between two tries; 1s without it.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function {
            name: "upload",
            params: const {
                &[
                    param("src", Kind::Text, "The file, from the plan's directory."),
                    param("dst", Kind::Text, "Where it goes."),
                ]
            },
            optional: &[],
            options: PUT,
            closure: None,
            when: When::Release,
            doc: "Puts a file in place atomically, verifies its digest, and keeps the former one, \
                  which its own back-out puts back with its mode, owner, time and extended \
                  attributes. A symbolic link is replaced, not followed; of a file with several \
                  names (hard links) the others keep what was there. Returns whether anything \
                  changed.",
            handler: Handler::Api(upload),
        },
        Function {
            name: "write_file",
            params: const {
                &[
                    param("path", Kind::Text, "Where it goes."),
                    param("text", Kind::Text, "Its content."),
                ]
            },
            optional: &[],
            options: PUT,
            closure: None,
            when: When::Release,
            doc: "Puts a text in place as a file, like `upload`.",
            handler: Handler::Api(write_file),
        },
    ]
}

fn upload(args: &Args) -> Result<Dynamic, Halt> {
    let source = args.path("src");
    // The digest is a fact: on replay it is the recorded one, and a file that has changed since
    // is refused by whoever puts it.
    let json = vec![serde_json::Value::from(args.need("src"))];
    let digest = args.fiber.read("digest", json, args.place.clone(), |_| {
        args.host()
            .sha256(&source)
            .map(serde_json::Value::from)
            .map_err(Failure::new)
    })?;
    let digest = digest.as_str().unwrap_or_default().to_owned();
    only_approved(args, &digest)?;
    let file = PutFile {
        path: args.path("dst").to_string_lossy().into_owned(),
        text: None,
        source: Some(source.to_string_lossy().into_owned()),
        sha256: digest,
        mode: args.mode("mode"),
        owner: args.text("owner"),
    };
    put(
        args,
        "upload",
        file,
        format!("upload {} to {}", args.need("src"), args.need("dst")),
    )
}

/// What was approved is put in place, or nothing. A file that was not there yet was not approved.
fn only_approved(args: &Args, digest: &str) -> Result<(), Halt> {
    let source = args.need("src");
    let approved = args.fiber.shared().approved.get(&source);
    match approved {
        Some(Some(approved)) if approved != digest => Err(Halt::Throw(Failure {
            hint: Some(
                "if the plan itself makes the file, take the old one away before the preview: what \
                 is not there yet is not approved"
                    .into(),
            ),
            ..Failure::of(
                FailureKind::Step,
                format!("`{source}` is not the file that was approved: it has changed since"),
            )
        })),
        _ => Ok(()),
    }
}

fn write_file(args: &Args) -> Result<Dynamic, Halt> {
    let text = args.need("text");
    let file = PutFile {
        path: args.path("path").to_string_lossy().into_owned(),
        sha256: files::sha256_of(text.as_bytes()),
        text: Some(text),
        source: None,
        mode: args.mode("mode"),
        owner: args.text("owner"),
    };
    put(
        args,
        "write_file",
        file,
        format!("write {}", args.need("path")),
    )
}

fn put(args: &Args, function: &str, file: PutFile, title: String) -> Result<Dynamic, Halt> {
    let title = args.text("title").unwrap_or(title);
    let back_out = BackOut {
        undo: Undo::Restore,
        title: format!("put back {}", file.path),
        timeout_ms: BACK_OUT_TIMEOUT_MS,
        about: None,
        late: false,
    };
    let mut step = step_of(args, Deed::PutFile(file), title);
    step.back_out = Some(back_out);
    // Putting a file that is in place already changes nothing.
    step.idempotent = true;
    let output = args
        .fiber
        .perform(function, Call::Step(Box::new(step)), args.place.clone())?;
    let changed = output.get("stdout").and_then(|s| s.as_str()) != Some("unchanged\n");
    Ok(from_json(&changed.into()))
}
