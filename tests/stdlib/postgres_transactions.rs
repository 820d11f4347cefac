//! `std/postgres`: migrations that leave their transaction, and those that only look so.

use std::fs;

use super::database_server::Server;
use super::postgres::{database, site};

#[test]
fn a_migration_that_lost_its_row_is_told_and_left_to_a_person() {
    let server = Server::get();
    // Whatever is included by a variable is not looked at before: only the row tells of it.
    for (up, included, down, why, left) in [
        (
            "\\set file included.sql\n\\i :file",
            "rollback; create table t ();",
            "drop table t;",
            "1-x.up.sql has run, but its row in",
            "t",
        ),
        (
            "\\set file included.sql\n\\i :file",
            "\\connect postgres\nselect 1;",
            "drop table t;",
            "1-x.up.sql has run, but its row in",
            "",
        ),
        (
            "create table t ();",
            "drop table t; rollback;",
            "\\set file included.sql\n\\i :file",
            "1-x.down.sql has run, but 1-x is still in",
            "t",
        ),
    ] {
        let site = site("postgres::migrate(db, \"own\");\nthrow \"the plan fails\";");
        fs::create_dir_all(site.path("own")).expect("made");
        site.write("own/1-x.up.sql", up);
        site.write("own/1-x.down.sql", down);
        site.write("included.sql", included);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert_eq!(finished.code, Some(4), "{told}");
        assert!(told.contains(why), "`{why}`: {told}");
        let tables = server.sql(
            &database(&site.path("")),
            "select relname from pg_class where relname = 't'",
        );
        assert_eq!(tables.trim(), left, "{told}");
    }
}

#[test]
fn what_looks_like_the_end_of_a_transaction_is_migrated() {
    let server = Server::get();
    let site = site("postgres::migrate(db, \"own\");");
    fs::create_dir_all(site.path("own")).expect("made");
    site.write(
        "own/1-x.up.sql",
        "/* commit; /* rollback; */ commit; */ savepoint a; rollback to a; release a; -- ; commit;\n\
         create function f() returns int begin atomic select case when true then 1 end; end;\n\
         do $body$ begin\n  perform $$;commit;$$, E'\\';commit;';\nend;\n$body$;\n\
         create table notes (text text);\ncopy notes from stdin;\ncommit;\n; rollback;\n\\.\n\
         insert into notes values ('; commit;');",
    );
    site.write("own/1-x.down.sql", "drop table notes; drop function f;");
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let rows = server.sql(&database(&site.path("")), "select count(*) from notes");
    assert_eq!(rows.trim(), "3");
}
