//! `std/files`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::harness::{Helper, Module, State, Then, prove};
use super::support::need_root;
use super::support::site::Site;

use Then::{Acts, Refuses, Rests};

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const ABSENT: State = state("absent", |_| {}, Acts);

fn write(root: &Path, name: &str, text: &str) {
    fs::write(root.join(name), text).expect("written");
}

fn mode(root: &Path, name: &str, mode: u32) {
    fs::set_permissions(root.join(name), Permissions::from_mode(mode)).expect("mode");
}

/// A file that is told from any other by all that can be told of it.
pub fn marked(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    write(root, name, text);
    lsetxattr(&path, "user.note", b"kept", XattrFlags::empty()).expect("an attribute");
    std::os::unix::fs::chown(&path, Some(1), Some(2)).expect("an owner");
    mode(root, name, 0o4711);
    let file = File::options().append(true).open(&path).expect("opened");
    let time = UNIX_EPOCH + Duration::new(987_654_321, 123_456_789);
    file.set_modified(time).expect("a time");
}

/// A directory with one of everything.
pub fn tree(root: &Path, name: &str) {
    let top = root.join(name);
    fs::create_dir_all(top.join("conf/empty")).expect("made");
    marked(&top, "conf/app.conf", "listen 80\n");
    fs::hard_link(top.join("conf/app.conf"), top.join("same")).expect("linked");
    symlink("conf/app.conf", top.join("link")).expect("linked");
    mknodat(
        CWD,
        top.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("made");
    mknodat(
        CWD,
        top.join("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .expect("made");
    mode(&top, "conf", 0o2750);
}

fn surroundings(site: &Site) {
    site.write("new.conf", "listen 82\n");
    site.write("app.in", "listen {{ port }}\nhost {{db.host}}\n");
    fs::create_dir(site.path("theme")).expect("made");
    tree(&site.path(""), "theme/tree");
    site.write("theme/main.css", "body { }\n");
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"files::put("new.conf", "production/app.conf", #{ mode: "0640", owner: "daemon:bin" })"#,
        holds: r#"file_info("production/app.conf", #{ content: "listen 82\n", mode: "0640", owner: "1:2" }).same"#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| {
                    marked(root, "production/app.conf", "listen 82\n");
                    mode(root, "production/app.conf", 0o640);
                },
                Rests,
            ),
            state(
                "another",
                |root| marked(root, "production/app.conf", "listen 80\n"),
                Acts,
            ),
            state(
                "the same with another mode",
                |root| marked(root, "production/app.conf", "listen 82\n"),
                Acts,
            ),
            state(
                "a link",
                |root| symlink("/nowhere", root.join("production/app.conf")).expect("linked"),
                Acts,
            ),
            state(
                "a directory",
                |root| tree(root, "production/app.conf"),
                Refuses("is there and is not a file"),
            ),
        ],
    },
    Helper {
        call: r#"files::write("production/motd", "tonight\n")"#,
        holds: r#"read_file("production/motd") == "tonight\n""#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| marked(root, "production/motd", "tonight\n"),
                Rests,
            ),
            state(
                "another",
                |root| marked(root, "production/motd", "tomorrow\n"),
                Acts,
            ),
        ],
    },
    Helper {
        call: r#"files::template("app.in", "production/app.conf", #{ port: 8080, db: #{ host: "db1" } })"#,
        holds: r#"read_file("production/app.conf") == "listen 8080\nhost db1\n""#,
        // The template is read, too.
        looks: 2,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| marked(root, "production/app.conf", "listen 8080\nhost db1\n"),
                Rests,
            ),
            state(
                "another",
                |root| marked(root, "production/app.conf", "listen 80\n"),
                Acts,
            ),
        ],
    },
    Helper {
        call: r#"files::line("production/conf", "PermitRootLogin no", #{ replacing: "^#?PermitRootLogin ", create: true })"#,
        holds: r#"lines(read_file("production/conf")).contains("PermitRootLogin no")"#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| marked(root, "production/conf", "Port 22\nPermitRootLogin no"),
                Rests,
            ),
            state(
                "another",
                |root| {
                    marked(
                        root,
                        "production/conf",
                        "Port 22\n#PermitRootLogin yes\nX\n",
                    )
                },
                Acts,
            ),
            state(
                "without it",
                |root| marked(root, "production/conf", "Port 22\r\n"),
                Acts,
            ),
            state(
                "a directory",
                |root| tree(root, "production/conf"),
                Refuses("is a directory and no file"),
            ),
        ],
    },
    Helper {
        call: r#"files::block("production/hosts", "shop", "10.0.0.5 db1\n10.0.0.6 db2\n", #{ create: true })"#,
        holds: r##"read_file("production/hosts").contains("# begin shop\n10.0.0.5 db1\n10.0.0.6 db2\n# end shop\n")"##,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| {
                    let block = "a\n# begin shop\n10.0.0.5 db1\n10.0.0.6 db2\n# end shop\nb\n";
                    marked(root, "production/hosts", block);
                },
                Rests,
            ),
            state(
                "another",
                |root| {
                    marked(
                        root,
                        "production/hosts",
                        "a\n# begin shop\nold\n# end shop\nb\n",
                    );
                },
                Acts,
            ),
            state(
                "without it",
                |root| marked(root, "production/hosts", "a\n"),
                Acts,
            ),
            state(
                "cut off",
                |root| marked(root, "production/hosts", "# begin shop\n"),
                Refuses("only one of its marks"),
            ),
        ],
    },
    Helper {
        call: r#"files::replace("production/app.ini", "^workers = \\d+$", "workers = 8")"#,
        holds: r#"!matches(read_file("production/app.ini"), "^workers = [^8]")"#,
        looks: 1,
        states: &[
            state("absent", |_| {}, Refuses("is not there")),
            state(
                "the same",
                |root| marked(root, "production/app.ini", "workers = 8\n"),
                Rests,
            ),
            state(
                "without it",
                |root| marked(root, "production/app.ini", "x\n"),
                Rests,
            ),
            state(
                "another",
                |root| marked(root, "production/app.ini", "workers = 2\nx\nworkers = 3\n"),
                Acts,
            ),
        ],
    },
    Helper {
        call: r#"files::directory("production/srv/shop", #{ mode: "0750", owner: "daemon:bin" })"#,
        holds: r#"file_info("production/srv/shop", #{ kind: "directory", mode: "0750", owner: "1:2" }).same"#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| {
                    tree(root, "production/srv/shop");
                    mode(root, "production/srv/shop", 0o750);
                    let path = root.join("production/srv/shop");
                    std::os::unix::fs::chown(path, Some(1), Some(2)).expect("an owner");
                },
                Rests,
            ),
            state("another", |root| tree(root, "production/srv/shop"), Acts),
            state(
                "a file",
                |root| {
                    fs::create_dir(root.join("production/srv")).expect("made");
                    marked(root, "production/srv/shop", "");
                },
                Refuses("is there and is no directory"),
            ),
        ],
    },
    Helper {
        call: r#"files::symlink("production/current", "releases/42")"#,
        holds: r#"file_info("production/current").target == "releases/42""#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| symlink("releases/42", root.join("production/current")).expect("linked"),
                Rests,
            ),
            state(
                "another",
                |root| symlink("releases/41", root.join("production/current")).expect("linked"),
                Acts,
            ),
            state(
                "a directory",
                |root| tree(root, "production/current"),
                Refuses("is there and is no symbolic link"),
            ),
        ],
    },
    Helper {
        call: r#"files::remove("production/old")"#,
        holds: r#"!file_exists("production/old")"#,
        looks: 1,
        states: &[
            state("absent", |_| {}, Rests),
            state(
                "a file",
                |root| marked(root, "production/old", "former\n"),
                Acts,
            ),
            state("a tree", |root| tree(root, "production/old"), Acts),
            state(
                "a link",
                |root| symlink("..", root.join("production/old")).expect("linked"),
                Acts,
            ),
        ],
    },
    Helper {
        call: r#"files::mode("production/key", "0600")"#,
        holds: r#"file_info("production/key").mode == "0600""#,
        looks: 1,
        states: &[
            state("absent", |_| {}, Refuses("is not there")),
            state(
                "the same",
                |root| {
                    marked(root, "production/key", "secret");
                    mode(root, "production/key", 0o600);
                },
                Rests,
            ),
            state(
                "another",
                |root| marked(root, "production/key", "secret"),
                Acts,
            ),
            state(
                "a link",
                |root| symlink("..", root.join("production/key")).expect("linked"),
                Refuses("has no mode of its own"),
            ),
        ],
    },
    Helper {
        call: r#"files::owner("production/uploads", "games:games", #{ below: true })"#,
        holds: r#"file_info("production/uploads", #{ owner: "games:games", below: true }).same"#,
        looks: 1,
        states: &[
            state("absent", |_| {}, Refuses("is not there")),
            state(
                "the same",
                |root| {
                    fs::create_dir(root.join("production/uploads")).expect("made");
                    write(root, "production/uploads/one", "1");
                    for name in ["production/uploads", "production/uploads/one"] {
                        std::os::unix::fs::chown(root.join(name), Some(5), Some(60))
                            .expect("owner");
                    }
                },
                Rests,
            ),
            state("another", |root| tree(root, "production/uploads"), Acts),
        ],
    },
    Helper {
        call: r#"files::copy("theme", "production/theme")"#,
        holds: r#"file_info("production/theme", #{ like: "theme" }).same"#,
        looks: 1,
        states: &[
            ABSENT,
            state(
                "the same",
                |root| {
                    tree(root, "production/theme");
                    fs::rename(root.join("production/theme"), root.join("t")).expect("moved");
                    fs::create_dir(root.join("production/theme")).expect("made");
                    fs::rename(root.join("t"), root.join("production/theme/tree")).expect("moved");
                    write(root, "production/theme/main.css", "body { }\n");
                },
                Rests,
            ),
            state("another", |root| tree(root, "production/theme"), Acts),
            state(
                "a file",
                |root| marked(root, "production/theme", ""),
                Refuses("is there and is no directory"),
            ),
        ],
    },
    Helper {
        call: r#"files::move("production/app", "production/app.before")"#,
        holds: r#"!file_exists("production/app") && file_exists("production/app.before")"#,
        looks: 1,
        states: &[
            state("absent", |_| {}, Refuses("it is not there")),
            state(
                "moved already",
                |root| tree(root, "production/app.before"),
                Rests,
            ),
            state("a tree", |root| tree(root, "production/app"), Acts),
            state(
                "a file",
                |root| marked(root, "production/app", "former\n"),
                Acts,
            ),
            state(
                "at both places",
                |root| {
                    tree(root, "production/app");
                    marked(root, "production/app.before", "mine\n");
                },
                Refuses("is there already"),
            ),
        ],
    },
];

#[test]
fn helpers_undo_themselves() {
    need_root("it gives files to other users and makes devices");
    prove(&Module {
        path: "std/files",
        name: "files",
        surroundings,
        prelude: "",
        state: |_| String::new(),
        helpers: HELPERS,
    });
}
