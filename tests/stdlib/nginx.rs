//! `std/nginx`, with a real nginx of each case.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use super::daemons::{self, Ends, Hung, PORT};
use super::harness::{Helper, Module, State, Then, prove};
use super::support::live::Live;
use super::support::site::Site;
use super::support::{need, need_root};

use Then::{Acts, ActsAlways, Refuses, Rests};

/// What a server answers with.
fn server(address: &str, says: &str) -> String {
    format!("server {{ listen {address}:{PORT}; location / {{ return 200 \"{says}\"; }} }}\n")
}

/// An nginx that serves what is in `production`: it says `former` at first.
fn surroundings(site: &Site) {
    let dir = site.path("");
    let root = dir.display();
    let address = daemons::address();
    fs::create_dir(site.path("edge")).expect("a directory");
    site.write("address", &address);
    site.write(
        "edge/nginx.conf",
        &format!(
            "pid {root}/edge/pid;\nerror_log {root}/edge/errors;\nworker_processes 1;\n\
             events {{ worker_connections 64; }}\nhttp {{\n  access_log off;\n\
             include ../production/*.conf;\n  include ../production/*.site;\n  ssl_password_file last;\n{}}}\n",
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("  {name}_temp_path {root}/edge/{name};\n"))
                .concat()
        ),
    );
    site.write("edge/last", "none\n");
    site.write("production/a.conf", &server(&address, "former"));
    site.write("former.conf", &server(&address, "former"));
    site.write("new.conf", &server(&address, "new"));
    site.write(
        "more.conf",
        &format!("server {{ listen {address}:{PORT}; server_name more; return 204; }}\n"),
    );
    site.write("wrong.conf", "server { lisden 80; }\n");
    start(&dir);
}

fn start(dir: &Path) {
    let conf = dir.join("edge/nginx.conf");
    let conf = conf.to_str().expect("a path");
    daemons::start(dir, &["nginx", "-c", conf], &dir.join("edge/pid"));
}

/// What it serves.
fn state(site: &Site) -> String {
    daemons::get(&fs::read_to_string(site.path("address")).expect("the address"))
}

const PRELUDE: &str = r#"
let root = trimmed(probe(["pwd"]).stdout);
let edge = #{ nginx: ["nginx", "-c", root + "/edge/nginx.conf"] };
let served = || http_get(`http://${read_file("address")}:18080/`).body;
import "std/files" as files;
"#;

const fn state_of(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

fn copy(root: &Path, from: &str, to: &str) {
    fs::copy(root.join(from), root.join(to)).expect("copied");
}

/// What is in place is loaded too.
fn loaded(root: &Path) {
    daemons::stop(&root.join("edge/pid"));
    start(root);
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"nginx::put("new.conf", "production/a.conf", edge)"#,
        holds: r#"served.call() == "new" && read_file("production/a.conf") == read_file("new.conf")"#,
        looks: 1,
        states: &[
            state_of("another", |_| {}, Acts),
            state_of(
                "the same",
                |root| {
                    copy(root, "new.conf", "production/a.conf");
                    loaded(root);
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"nginx::put("more.conf", "production/b.conf", edge + #{ mode: "0600" })"#,
        holds: r#"served.call() == "former" && file_info("production/b.conf").mode == "0600""#,
        looks: 1,
        states: &[
            state_of("absent", |_| {}, Acts),
            state_of(
                "the same",
                |root| {
                    copy(root, "more.conf", "production/b.conf");
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                    fs::set_permissions(root.join("production/b.conf"), mode).expect("mode");
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"nginx::write("production/a.conf", read_file("new.conf"), edge)"#,
        holds: r#"served.call() == "new""#,
        // One of them is the plan's own.
        looks: 2,
        states: &[
            state_of("another", |_| {}, Acts),
            state_of(
                "the same",
                |root| {
                    copy(root, "new.conf", "production/a.conf");
                    loaded(root);
                },
                Rests,
            ),
            state_of(
                "a part of what is not valid",
                |root| copy(root, "wrong.conf", "production/z.conf"),
                Refuses("unknown directive \\\"lisden\\\""),
            ),
        ],
    },
    Helper {
        call: r#"nginx::symlink("production/b.site", "../more.conf", edge)"#,
        holds: r#"file_info("production/b.site").target == "../more.conf""#,
        looks: 1,
        states: &[
            state_of("absent", |_| {}, Acts),
            state_of(
                "the same",
                |root| {
                    let link = root.join("production/b.site");
                    std::os::unix::fs::symlink("../more.conf", link).expect("a link");
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"{ files::put("new.conf", "production/a.conf"); nginx::reload(edge) }"#,
        holds: r#"served.call() == "new""#,
        looks: 1,
        states: &[state_of("another", |_| {}, ActsAlways)],
    },
    Helper {
        call: r#"nginx::remove("production/a.conf", edge)"#,
        holds: r#"!file_exists("production/a.conf")"#,
        looks: 1,
        states: &[
            state_of("there", |_| {}, Acts),
            state_of(
                "absent",
                |root| fs::remove_file(root.join("production/a.conf")).expect("removed"),
                Rests,
            ),
        ],
    },
];

fn needs() {
    need_root("it covers directories in a mount namespace");
    need("nginx", "nginx");
}

#[test]
fn configurations_of_nginx_are_put_in_place_and_taken_back() {
    needs();
    let _ends = Ends;
    prove(&Module {
        path: "std/nginx",
        name: "nginx",
        surroundings,
        prelude: PRELUDE,
        state,
        helpers: HELPERS,
    });
}

/// A plan with this behind its header.
fn plan(rest: &str) -> String {
    format!(
        "import \"std/nginx\" as nginx;\n\
         plan(#{{ name: \"edge\", version: \"1\", environment: \"test\" }});\n{PRELUDE}\n{rest}"
    )
}

#[test]
fn what_is_not_valid_never_stands_where_nginx_would_find_it() {
    needs();
    let _ends = Ends;
    let site = Site::bare(&plan(
        r#"nginx::put("wrong.conf", "production/a.conf", edge);"#,
    ));
    surroundings(&site);
    // Whoever looks at the directory sees each change of it.
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(1), "{told}");
    assert!(
        told.contains("nothing was changed: [emerg] unknown directive"),
        "{told}"
    );
    let changed = site.journal().iter().any(|e| e["event"] == "step-started");
    assert!(!changed, "{told}");
    assert_eq!(state(&site), "former");
}

#[test]
fn all_that_was_put_back_is_loaded_again() {
    needs();
    let _ends = Ends;
    // The page that is served is changed by another helper, before the reload.
    let site = Site::bare(&plan(
        r#"
files::write("production/page.inc", "return 200 changed;\n");
nginx::reload(edge);
info(served.call());
nginx::put("more.conf", "production/b.conf", edge + #{ reload: false });
throw "the plan fails";
"#,
    ));
    surroundings(&site);
    let address = fs::read_to_string(site.path("address")).expect("the address");
    site.write("production/page.inc", "return 200 former;\n");
    site.write(
        "production/a.conf",
        &format!(
            "server {{ listen {address}:{PORT}; location / {{ include ../production/page.inc; }} }}\n"
        ),
    );
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert!(told.contains("\"changed\""), "{told}");
    assert_eq!(state(&site), "former", "{told}");
}

#[test]
fn an_nginx_that_does_not_load_it_keeps_what_it_has() {
    needs();
    let _ends = Ends;
    // It is valid in itself, but nginx can't change the key of a zone that it has.
    let site = Site::bare(&plan(
        r#"nginx::put("zone.conf", "production/b.conf", edge + #{ timeout: "2s" });"#,
    ));
    surroundings(&site);
    let zone = |key: &str| format!("limit_req_zone ${key} zone=z:1m rate=1r/s;\n");
    site.write("zone.conf", &zone("server_name"));
    site.write("production/b.conf", &zone("binary_remote_addr"));
    copy(&site.path(""), "new.conf", "production/a.conf");
    loaded(&site.path(""));
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert_eq!(state(&site), "new", "{told}");
    let there = fs::read_to_string(site.path("production/b.conf")).expect("the file");
    assert_eq!(there, zone("binary_remote_addr"), "{told}");
}

/// Somebody's reload, such as that of a step that was cut off, is under way with another configuration.
#[test]
fn a_reload_that_is_under_way_is_not_taken_for_ones_own() {
    needs();
    let _ends = Ends;
    let site = Site::bare(&plan("nginx::reload(edge);\ninfo(served.call());\n"));
    surroundings(&site);
    let root = site.path("");
    copy(&root, "new.conf", "production/a.conf");
    let hung = Hung::reload(&root.join("edge/pid"), Signal::HUP, &root.join("edge/last"));
    copy(&root, "former.conf", "production/a.conf");
    let run = Live::start(site.command(&["run", "plan.rhai"]));
    hung.go_on_when_asked(&root);
    let finished = run.finish();
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(told.contains("\"former\""), "{told}");
    assert!(
        told.contains("nginx still loads what it was told to before"),
        "{told}"
    );
}
