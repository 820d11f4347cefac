//! `std/postgres`, against a PostgreSQL that the tests set up: one server on a socket in its own directory,
//! and in it a database for each site.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::database_server::{Server, ran};
use super::harness::{Helper, Module, State, Then, prove};
use super::support::live::Live;
use super::support::site::Site;

use Then::{Acts, Rests};

/// A database of its own, a copy of the shop, and migrations for it.
fn surroundings(site: &Site) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let server = Server::get();
    let name = format!("site_{}", COUNT.fetch_add(1, Ordering::SeqCst));
    // Two copies can't be made of one database at the same time.
    static COPYING: Mutex<()> = Mutex::new(());
    let copying = COPYING.lock().expect("no panic inside");
    server.sql(
        "postgres",
        &format!("create database {name} template shop owner deploy"),
    );
    drop(copying);
    site.write("socket", &server.dir().to_string_lossy());
    site.write("database", &name);
    for (name, sql) in [
        (
            "0001-state.up.sql",
            "alter table orders add state text not null default 'open';\nupdate orders set state = 'done' where id < 9;",
        ),
        ("0001-state.down.sql", "alter table orders drop state;"),
        (
            "10_index.up.sql",
            "-- deployrun: no transaction\ncreate index concurrently by_state on orders (state);",
        ),
        (
            "10_index.down.sql",
            "-- deployrun: no transaction\ndrop index concurrently if exists by_state;",
        ),
        (
            "9-lines.up.sql",
            "create table lines (id serial primary key, total bigint default total());\ninsert into lines default values;",
        ),
        ("9-lines.down.sql", "drop table lines;"),
    ] {
        fs::create_dir_all(site.path("migrations")).expect("made");
        site.write(&format!("migrations/{name}"), sql);
        if !name.starts_with('9') {
            fs::create_dir_all(site.path("few")).expect("made");
            site.write(&format!("few/{name}"), sql);
        }
    }
    fs::create_dir_all(site.path("final")).expect("made");
    site.write(
        "final/1-clean.up.sql",
        "delete from orders where id > 3;\nalter table orders drop name;\ndrop function total;\n\
         create view v as select 1;\ncreate schema archive create table old (id serial);\n\
         create type mood as enum ('good');\ncreate table parts (i int, m mood) partition by range (i);",
    );
    site.write(
        "tool",
        "#!/bin/sh\ncase $1 in\n\
         state) psql -XAtqc \"select coalesce(obj_description('orders'::regclass), 'none')\" ;;\n\
         up) psql -Xqc \"alter table orders add tool int; comment on table orders is 'v2'\" ;;\n\
         to) psql -Xqc \"alter table orders drop tool; comment on table orders is null\" && echo \"to $2\" ;;\nesac\n",
    );
    ran(Command::new("chmod").arg("755").arg(site.path("tool")));
}

const PRELUDE: &str =
    "let db = #{ host: read_file(\"socket\"), name: read_file(\"database\"), user: \"deploy\" };\n";

pub fn database(root: &Path) -> String {
    fs::read_to_string(root.join("database")).expect("its name")
}

/// The whole database as `pg_dump` writes it, but for the order of rows: what was changed and changed back
/// stands behind the others.
fn dumped(server: &Server, database: &str) -> String {
    let text = ran(&mut server.client("pg_dump", database));
    let mut lines = Vec::new();
    let mut rows: Option<Vec<&str>> = None;
    // Newer versions write a random word between which psql restores.
    for line in text
        .lines()
        .filter(|l| !l.starts_with(r"\restrict") && !l.starts_with(r"\unrestrict"))
    {
        if let (Some(mut ended), r"\.") = (rows.take_if(|_| line == r"\."), line) {
            ended.sort_unstable();
            lines.append(&mut ended);
        }
        match &mut rows {
            Some(rows) => rows.push(line),
            None => lines.push(line),
        }
        if line.starts_with("COPY ") {
            rows = Some(Vec::new());
        }
    }
    lines.join("\n")
}

pub fn seen(site: &Site) -> String {
    dumped(&Server::get(), &database(&site.path("")))
}

/// A state in which these files of a directory were made, as far as the table tells.
fn noted(root: &Path, table: &str, dir: &str, names: &[&str]) {
    let server = Server::get();
    let mut sql = format!(
        "set role deploy; create table {table} (name text primary key, sha256 text not null, \
         whole boolean not null, made_at timestamptz not null default now());"
    );
    for name in names {
        let file = root.join(format!("{dir}/{name}.up.sql"));
        let digest = ran(Command::new("sha256sum").arg(file));
        let digest = digest.split(' ').next().expect("a digest");
        write!(
            sql,
            "insert into {table} values ('{name}', '{digest}', true);"
        )
        .expect("a text");
    }
    server.sql(&database(root), &sql);
}

/// The database as it is now, in a file as `backup` makes it.
pub fn saved(root: &Path) {
    let mut dump = Server::get().client("pg_dump", &database(root));
    ran(dump.args(["-Fc", "-f"]).arg(root.join("saved.dump")));
}

/// The archive of migrations needs a schema.
fn with_schema(root: &Path) {
    Server::get().sql(&database(root), "create schema ops authorization deploy");
}

/// A state that a plan made which did this before.
fn after(root: &Path, calls: &str) {
    fs::write(
        root.join("before.rhai"),
        format!(
            "import \"std/postgres\" as postgres;\n\
             plan(#{{ name: \"before\", version: \"1\", environment: \"before\" }});\n{PRELUDE}\n{calls}\n"
        ),
    )
    .expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_deployrun"))
        .args(["run", "before.rhai", "--state", "before"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(root)
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"postgres::migrate(db, "few")"#,
        holds: r#"postgres::migrations(db) == ["0001-state", "10_index"]
            && postgres::value(db, "select count(*) from orders where state = 'open'") == "12""#,
        // The directory, its files, the table.
        looks: 3,
        states: &[
            state("without migrations", |_| {}, Acts),
            state(
                "migrated",
                |root| {
                    noted(
                        root,
                        "deployrun_migrations",
                        "few",
                        &["0001-state", "10_index"],
                    );
                    Server::get().sql(&database(root), "alter table orders add state text default 'open'; update orders set state = 'done' where id < 9");
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"postgres::migrate(db, "final", #{ table: "ops.done", backup: "before.dump" })"#,
        holds: r#"postgres::migrations(db, #{ table: "ops.done" }) == ["1-clean"]
            && postgres::value(db, "select count(*) from orders") == "3""#,
        looks: 3,
        states: &[
            state("without migrations", with_schema, Acts),
            state(
                "migrated",
                |root| {
                    with_schema(root);
                    noted(root, "ops.done", "final", &["1-clean"]);
                    Server::get().sql(&database(root), "delete from orders where id > 3");
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"postgres::migrate(db, #{
            state: ["./tool", "state"], to: "v2", up: ["./tool", "up"], down: ["./tool", "to", "{state}"],
        })"#,
        holds: r#"postgres::value(db, "select obj_description('orders'::regclass)") == "v2""#,
        looks: 1,
        states: &[
            state("before", |_| {}, Acts),
            state(
                "migrated",
                |root| {
                    Server::get().sql(&database(root), "comment on table orders is 'v2'");
                },
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"postgres::restore(db, "saved.dump", #{ keep: "broken.dump" })"#,
        holds: r#"postgres::value(db, "select total()") == "20""#,
        looks: 1,
        states: &[
            state(
                "another",
                |root| {
                    saved(root);
                    Server::get().sql(
                        &database(root),
                        "set role deploy; drop function total; update orders set id = id + 100; \
                         create schema more create table more (i int)",
                    );
                },
                Acts,
            ),
            state("the same", saved, Rests),
        ],
    },
];

#[test]
fn databases_are_migrated_restored_and_taken_back() {
    let _server = Server::get();
    prove(&Module {
        path: "std/postgres",
        name: "postgres",
        surroundings,
        prelude: PRELUDE,
        state: seen,
        helpers: HELPERS,
    });
}

/// A site with a plan that does this.
pub fn site(calls: &str) -> Site {
    let site = Site::bare(&format!(
        "import \"std/postgres\" as postgres;\n\
         plan(#{{ name: \"shop\", version: \"1\", environment: \"test\" }});\n{PRELUDE}\n{calls}\n"
    ));
    surroundings(&site);
    site
}

#[test]
fn queries_only_read_and_tell_what_there_is() {
    let server = Server::get();
    let site = site(
        r#"check("rows", || postgres::query(db, "select 1, null, '' union all select 2, E'a\nb', 'x'")
            == [["1", (), ""], ["2", "a\nb", "x"]]);
        check("none", || postgres::query(db, "select 1 where false") == []);
        check("a value", || postgres::value(db, "select " + postgres::literal("O'Hara\\")) == "O'Hara\\");
        check("a name", || postgres::value(db, "select 1 as " + postgres::name("a\"b")) == "1");
        check("a semicolon in quotes", || postgres::value(db, "select ';' || $a$;$$;$a$ /* ; /* ; */ ; */ ; -- ;") == ";;$$;");
        for sql in ["explain select 1", "show work_mem", "with a as (select 1) select * from a", "table orders", "values (1, ';')"] {
            let one = sql;
            check(one, || !postgres::query(db, one).is_empty());
        }
        check("ready", || postgres::ready(db));
        check("not ready", || !postgres::ready(db + #{ name: "none" }));
        check("version", || postgres::version(db) == postgres::value(db, "show server_version").split(" ")[0]);
        check("14", || postgres::version_number(db) >= 140000);
        let refused = [];
        let only_read = "in a read-only transaction";
        for pair in [
            ["delete from orders", only_read],
            ["select nextval('numbers')", only_read],
            ["create table t ()", only_read],
            ["explain analyze delete from orders", only_read],
            ["\\! touch hacked", "commands of psql"],
            ["select 1 \\! touch hacked", "syntax error"],
            ["commit; create table t ()", "one statement"],
            ["set transaction read write; create table t (); commit", "one statement"],
            ["set transaction read write", "cannot set transaction read-write mode"],
            ["select set_config('transaction_read_only', 'off', false), nextval('numbers')", "cannot set transaction read-write mode"],
            ["select '\\'; commit; create table t (); --'", "one statement"],
        ] {
            let sql = pair[0];
            let why = pair[1];
            try { postgres::query(db, sql); refused.push(sql); } catch (e) { if !e.contains(why) { refused.push(e); } }
        }
        check("refused", refused == []);
        info(refused);
        postgres::wait_ready(db);
        try { postgres::wait_ready(db + #{ name: "none" }, #{ within: "0s" }); } catch (e) { info("" + e); }"#,
    );
    let before = seen(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(told.contains("none did not answer within 0s"), "{told}");
    assert!(!site.path("hacked").exists(), "{told}");
    assert_eq!(before, seen(&site));
    drop(server);
}

#[test]
fn what_must_not_be_migrated_is_refused_before_anything_is_changed() {
    let _server = Server::get();
    let migrated = r#"postgres::migrate(db, "migrations");"#;
    for (before, files, options, why) in [
        (
            "",
            &[("migrations/10-x.up.sql", "")][..],
            "",
            "have the same number",
        ),
        (
            "",
            &[("migrations/11-x.up.sql", "select 1")],
            "",
            "has no 11-x.down.sql",
        ),
        (
            "",
            &[("migrations/11-x.down.sql", "select 1")],
            "",
            "there is no 11-x.up.sql",
        ),
        (
            "",
            &[("migrations/x.up.sql", "select 1")],
            "",
            "is called like",
        ),
        (
            "",
            &[("migrations/11-x.up.sql", "begin;\nselect 1;\ncommit;")],
            "",
            "begins or ends transactions",
        ),
        (
            "",
            &[
                (
                    "migrations/11-x.up.sql",
                    "create function f() returns int language sql as $$ select 1 $$;\ncreate table t();\nROLLBACK;",
                ),
                ("migrations/11-x.down.sql", "drop table t;"),
            ],
            "",
            "11-x.up.sql begins or ends transactions by itself (ROLLBACK)",
        ),
        (
            "",
            &[
                ("migrations/11-x.up.sql", "create table t();"),
                (
                    "migrations/11-x.down.sql",
                    "drop table t; commit and chain;",
                ),
            ],
            "",
            "11-x.down.sql begins or ends transactions by itself (commit)",
        ),
        (
            "",
            &[
                ("migrations/11-x.up.sql", "select 1;\n\\ir more.sql"),
                ("migrations/11-x.down.sql", "select 1"),
                (
                    "migrations/more.sql",
                    "rollback; create table t (); select 1/0;",
                ),
            ],
            "",
            "migrations/more.sql begins or ends transactions by itself (rollback)",
        ),
        ("", &[], ", #{ table: \"a; drop table b\" }", "is no table"),
        ("", &[], ", #{ tabel: \"a\" }", "has no option"),
        (
            migrated,
            &[("migrations/9-lines.up.sql", "select 2")],
            "",
            "has another content",
        ),
        (
            migrated,
            &[
                ("migrations/2-late.up.sql", "select 2"),
                ("migrations/2-late.down.sql", "select 2"),
            ],
            "",
            "and a later one was",
        ),
        (
            r#"write_file("migrations/3-gone.up.sql", "select 1"); write_file("migrations/3-gone.down.sql", "select 1");
               postgres::migrate(db, "migrations"); remove_file("migrations/3-gone.up.sql"); remove_file("migrations/3-gone.down.sql");"#,
            &[],
            "",
            "3-gone was made, and is not in migrations",
        ),
    ] {
        let site = site(&format!("postgres::migrate(db, \"migrations\"{options});"));
        if !before.is_empty() {
            after(&site.path(""), before);
        }
        for (name, text) in files {
            site.write(name, text);
        }
        let state = seen(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        assert!(
            finished.told().contains(why),
            "`{why}`: {}",
            finished.told()
        );
        assert_eq!(finished.code, Some(1), "{}", finished.told());
        assert_eq!(state, seen(&site));
    }
}

#[test]
fn connections_that_would_show_a_password_are_refused() {
    let _server = Server::get();
    for (db, why) in [
        (
            r#"#{ url: "postgresql://deploy:hunter22@/shop" }"#,
            "there is a password in the url",
        ),
        (
            r#"#{ url: "postgresql:///shop?password=hunter22" }"#,
            "there is a password in the url",
        ),
        (
            r#"#{ password: "hunter22" }"#,
            "the password must be a secret",
        ),
        (r#"#{ url: secret("URL") }"#, "url can't be a secret"),
        (r#"#{ dbname: "shop" }"#, "has no \\\"dbname\\\""),
        (r#"#{ os_user: "-x" }"#, "is no name of a user"),
    ] {
        let site = site(&format!("info(postgres::query({db}, \"select 1\"));"));
        let finished = site.finish_with(&["run", "plan.rhai"], "URL", "postgresql:///x");
        let told = finished.told();
        assert!(
            told.contains(why) && finished.code == Some(1),
            "`{why}`: {told}"
        );
    }
}

#[test]
fn a_password_is_in_no_argument_and_no_journal() {
    let server = Server::get();
    server.sql(
        "postgres",
        "create role guarded login password 'hunter2222'",
    );
    // Whoever has a password needs it here: a server of its own would be slower.
    let hba = server.dir().join("data/pg_hba.conf");
    fs::write(
        &hba,
        "local all guarded scram-sha-256\nlocal all all trust\n",
    )
    .expect("written");
    server.sql("postgres", "select pg_reload_conf()");
    let site = site(
        r#"let guarded = #{ host: db.host, name: db.name, user: "guarded", password: secret("DB_PASSWORD") };
        info(postgres::value(guarded, "select current_user"));
        wait_for_window();
        postgres::migrate(guarded, #{ state: ["echo", "1"], to: "2", up: ["sh", "-c", "psql -XAtc 'select current_user'; exit 3"], down: ["true"] });"#,
    );
    let finished = site.finish_with(&["run", "plan.rhai"], "DB_PASSWORD", "hunter2222");
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    assert!(told.contains("guarded"), "{told}");
    let journal = fs::read_dir(site.state()).expect("the state");
    for entry in journal {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = fs::read(&path).expect("read");
            let found = bytes.windows(10).any(|w| w == b"hunter2222");
            assert!(!found, "{}", path.display());
        }
    }
    assert!(!told.contains("hunter2222"), "{told}");
}

#[test]
fn a_migration_that_outlives_its_client_is_ended_before_it_is_undone() {
    let server = Server::get();
    let site = site(r#"postgres::migrate(db, "migrations");"#);
    let name = database(&site.path(""));
    // It waits for a lock that the test holds, in the middle of the migration.
    site.write(
        "migrations/9-lines.up.sql",
        "create table lines ();\nset lock_timeout = 0;\nselect pg_advisory_xact_lock(42);\ncreate table more ();",
    );
    let before = seen(&site);
    let mut holder = server.client("psql", &name);
    let mut holder = holder
        .args(["-XAtq"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("psql");
    {
        use std::io::{BufRead as _, Write as _};
        let stdin = holder.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "select 'held' from pg_advisory_lock(42);").expect("written");
        let mut line = String::new();
        std::io::BufReader::new(holder.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("read");
        assert_eq!(line, "held\n");
    }
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    let waiting = "select count(*) from pg_stat_activity where application_name = 'deployrun migrate 9-lines' \
                   and wait_event = 'advisory'";
    let until = std::time::Instant::now() + super::support::live::PATIENCE;
    while server.sql(&name, waiting).trim() != "1" {
        assert!(
            std::time::Instant::now() < until,
            "it never came to its middle"
        );
    }
    // psql is ended, and tells the server nothing of it.
    live.signal(rustix::process::Signal::INT);
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(before, seen(&site), "{}", finished.told());
    drop(holder.stdin.take());
    let _ = holder.wait();
    assert_eq!(
        before,
        seen(&site),
        "what was left in the server has committed"
    );
}

#[test]
fn backups_are_whole_private_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let _server = Server::get();
    let site = site(
        r#"info(`first: ${postgres::backup(db, "a.dump")}`);
        info(`again: ${postgres::backup(db, "a.dump")}`);
        write_file("b.dump", "no dump");
        try { postgres::backup(db, "b.dump"); } catch (e) { info("" + e); }
        postgres::migrate(db, "migrations", #{ backup: "a.dump" });
        throw "the plan fails";"#,
    );
    let before = seen(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(3), "{told}");
    for said in [
        "first: true",
        "again: false",
        "b.dump is there and is no whole dump",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert_eq!(before, seen(&site));
    for name in ["a.dump", "a.dump.1"] {
        let mode = fs::metadata(site.path(name))
            .expect("it stays")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!site.path("a.dump.part").exists());
}
