//! Steps that change what is at a path, whatever it is, and keep what was there before.

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::words::call::{BackOut, Call, Change, Deed, FileChange, Undo};

use super::commands::{BACK_OUT_TIMEOUT_MS, step_of};

/// Bytes that are kept when the plan does not say.
const MAX_SIZE: u64 = 1 << 30;

/// Bytes that an archive may hold when the plan does not say.
pub(super) const MAX_UNPACKED: u64 = 4 << 30;

const TITLE: Param = param("title", Kind::Text, "What reports call the step.");
const TIMEOUT: Param = param(
    "timeout",
    Kind::Limit,
    "How long it may take; 10m without it.",
);
const BACK_OUT_TIMEOUT: Param = param(
    "back_out_timeout",
    Kind::Limit,
    "How long the back-out may take; 5m without it.",
);
const MAX: Param = param(
    "max_size",
    Kind::Size,
    "What may be kept, about 1 KiB for each file counted in; 1 GiB without it. What is larger is an \
     error before anything is touched.",
);
const MODE: Param = param(
    "mode",
    Kind::Mode,
    "Permission bits; those it has, else 0755, without it.",
);
const OWNER: Param = param(
    "owner",
    Kind::Text,
    "`user` or `user:group`; those it has, else of whoever runs the plan, without it.",
);

const PLAIN: &[Param] = &[TITLE, TIMEOUT];
const KEEPS: &[Param] = &[TITLE, TIMEOUT, BACK_OUT_TIMEOUT, MAX];

const PATH: Param = param("path", Kind::Text, "The path, from the plan's directory.");

pub(super) fn functions() -> Vec<Function> {
    let one = |name, params, options, doc, call| Function {
        name,
        params,
        optional: &[],
        options,
        closure: None,
        when: When::Release,
        doc,
        handler: Handler::Api(call),
    };
    vec![
        one(
            "keep",
            const { &[PATH] },
            const {
                &[
                    TITLE,
                    TIMEOUT,
                    BACK_OUT_TIMEOUT,
                    MAX,
                    param(
                        "content",
                        Kind::Bool,
                        "`false` keeps owners, modes and attributes only, for steps that change \
                         nothing else.",
                    ),
                ]
            },
            "Keeps whatever is at the path – a file, a directory with all that is in it, a symbolic \
             link, a pipe, a device, nothing – for the steps that follow. Its own back-out puts \
             exactly that back, whatever happened there since: kinds, content, holes, owners, modes, \
             modification times, extended attributes, access lists, and which names are the same \
             file. What is as before is left alone. Returns whether there was anything.",
            keep,
        ),
        one(
            "remove_file",
            const { &[PATH] },
            KEEPS,
            "Removes whatever is at the path, a directory with all that is in it, after keeping it \
             as `keep` does. Returns whether there was anything.",
            remove,
        ),
        one(
            "make_link",
            const {
                &[
                    PATH,
                    param("target", Kind::Text, "Where it leads; taken as it is."),
                ]
            },
            PLAIN,
            "Puts a symbolic link at the path atomically, in place of one that is there; anything \
             else that is there is an error. Its own back-out puts the former one back. Returns \
             whether anything changed.",
            link,
        ),
        one(
            "make_directory",
            const { &[PATH] },
            const { &[TITLE, TIMEOUT, MODE, OWNER] },
            "Makes a directory, and those above it that are not there (mode 0755), or gives one that \
             is there the mode and the owner. Its own back-out removes what was made with all that \
             is in it, or gives mode and owner back; directories above it go if they are empty. \
             Returns whether anything changed.",
            directory,
        ),
        one(
            "set_mode",
            const { &[PATH, param("mode", Kind::Mode, "Permission bits.")] },
            PLAIN,
            "Sets permission bits. Its own back-out sets the former ones. Returns whether anything \
             changed.",
            mode,
        ),
        one(
            "set_owner",
            const { &[PATH, param("owner", Kind::Text, "`user` or `user:group`.")] },
            const {
                &[
                    TITLE,
                    TIMEOUT,
                    param(
                        "below",
                        Kind::Bool,
                        "Of all that is in a directory too; `false` without it.",
                    ),
                ]
            },
            "Sets the owner; symbolic links are not followed. Its own back-out gives each file the \
             former owner, mode and attributes back. Returns whether anything changed.",
            owner,
        ),
        one(
            "copy_file",
            const {
                &[
                    param(
                        "src",
                        Kind::Text,
                        "What is copied, from the plan's directory.",
                    ),
                    param("dst", Kind::Text, "Where it goes."),
                ]
            },
            KEEPS,
            "Puts a copy of a file, or of a directory with all that is in it, in place atomically, \
             with modes, owners, times and attributes; what else was in the directory is gone then. \
             Keeps what was there as `keep` does. Returns whether anything changed.",
            copy,
        ),
        one(
            "unpack_archive",
            const {
                &[
                    param(
                        "archive",
                        Kind::Text,
                        "The archive, from the plan's directory.",
                    ),
                    param(
                        "dir",
                        Kind::Text,
                        "The directory that is to hold what is in it.",
                    ),
                ]
            },
            const {
                &[
                    TITLE,
                    TIMEOUT,
                    BACK_OUT_TIMEOUT,
                    MAX,
                    param(
                        "sha256",
                        Kind::Text,
                        "The SHA-256 that the archive must have, in hex.",
                    ),
                    param(
                        "strip",
                        Kind::Count,
                        "How many directories are taken from the begin of each path; 0 without it.",
                    ),
                    param(
                        "owner",
                        Kind::Text,
                        "`user` or `user:group` of all that is made; whoever runs the plan without \
                         it.",
                    ),
                    param(
                        "max_unpacked",
                        Kind::Size,
                        "What the archive may hold; 4 GiB without it.",
                    ),
                ]
            },
            "Makes a directory what an archive holds, atomically, with those above it: tar, alone or packed with gzip, zstd \
             or xz, or zip, known by its first bytes. What else was in the directory is gone then. \
             Refuses, before anything is touched, an archive in which anything lies or leads outside \
             (`..`, absolute paths, symbolic and hard links), that holds devices or pipes, or the \
             same path twice, that is damaged, or holds too much. Modes without set-user-id bits, \
             and times are those in the archive. Keeps what was there as `keep` does. Returns \
             whether anything changed.",
            unpack,
        ),
        one(
            "move_file",
            const {
                &[
                    param(
                        "src",
                        Kind::Text,
                        "What is moved, from the plan's directory.",
                    ),
                    param("dst", Kind::Text, "Where to; nothing may be there."),
                ]
            },
            KEEPS,
            "Moves a file, or a directory with all that is in it. Its own back-out moves it back. \
             Between file systems it is copied and kept as `keep` does.",
            go,
        ),
    ]
}

fn path(args: &Args, name: &str) -> String {
    args.path(name).to_string_lossy().into_owned()
}

fn keep(args: &Args) -> Result<Dynamic, Halt> {
    let content = args.bool("content").unwrap_or(true);
    let title = format!("keep {}", args.need("path"));
    act(args, "path", Change::Keep { content }, title)
}

fn remove(args: &Args) -> Result<Dynamic, Halt> {
    let title = format!("remove {}", args.need("path"));
    act(args, "path", Change::Remove, title)
}

fn link(args: &Args) -> Result<Dynamic, Halt> {
    let to = args.need("target");
    let title = format!("link {} to {to}", args.need("path"));
    act(args, "path", Change::Link { to }, title)
}

fn directory(args: &Args) -> Result<Dynamic, Halt> {
    let change = Change::Directory {
        mode: args.mode("mode"),
        owner: args.text("owner"),
    };
    let title = format!("make the directory {}", args.need("path"));
    act(args, "path", change, title)
}

fn mode(args: &Args) -> Result<Dynamic, Halt> {
    let mode = args.mode("mode").unwrap_or_default();
    let title = format!("set the mode of {} to {mode:04o}", args.need("path"));
    act(args, "path", Change::Mode { mode }, title)
}

fn owner(args: &Args) -> Result<Dynamic, Halt> {
    let change = Change::Owner {
        owner: args.need("owner"),
        below: args.bool("below").unwrap_or(false),
    };
    let title = format!("give {} to {}", args.need("path"), args.need("owner"));
    act(args, "path", change, title)
}

fn copy(args: &Args) -> Result<Dynamic, Halt> {
    let from = path(args, "src");
    let title = format!("copy {} to {}", args.need("src"), args.need("dst"));
    act(args, "dst", Change::Copy { from }, title)
}

fn unpack(args: &Args) -> Result<Dynamic, Halt> {
    let change = Change::Unpack {
        archive: path(args, "archive"),
        sha256: args.text("sha256"),
        strip: args.count("strip").unwrap_or(0),
        owner: args.text("owner"),
        max_unpacked: args.bytes("max_unpacked").unwrap_or(MAX_UNPACKED),
    };
    let title = format!("unpack {} to {}", args.need("archive"), args.need("dir"));
    act(args, "dir", change, title)
}

fn go(args: &Args) -> Result<Dynamic, Halt> {
    let from = path(args, "src");
    let title = format!("move {} to {}", args.need("src"), args.need("dst"));
    act(args, "dst", Change::Move { from }, title)
}

/// Makes a step of a change at the path that is called `at`.
fn act(args: &Args, at: &str, change: Change, title: String) -> Result<Dynamic, Halt> {
    let title = args.text("title").unwrap_or(title);
    let change = FileChange {
        path: path(args, at),
        change,
        max_size: args.bytes("max_size").unwrap_or(MAX_SIZE),
    };
    let back_out = BackOut {
        undo: Undo::Restore,
        title: format!("put back {}", change.path),
        timeout_ms: args.ms("back_out_timeout").unwrap_or(BACK_OUT_TIMEOUT_MS),
        about: None,
        late: false,
    };
    let mut step = step_of(args, Deed::ChangeFile(change), title);
    step.back_out = Some(back_out);
    // What was there is kept once, and what is as it shall be is left alone.
    step.idempotent = true;
    let call = Call::Step(Box::new(step));
    let output = args
        .fiber
        .perform(args.function.name, call, args.place.clone())?;
    let changed = output.get("stdout").and_then(|s| s.as_str()) != Some("unchanged\n");
    Ok(from_json(&changed.into()))
}
