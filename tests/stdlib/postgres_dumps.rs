//! `std/postgres`: what of a database lies outside of its tables when a dump is put back.

use std::fs;

use super::database_server::Server;
use super::postgres::{database, saved, seen, site};

/// What lies outside of schemas, or changes what is made in them.
const OUTSIDE: &str = "create table salaries (id int primary key);
    alter default privileges in schema public grant select on tables to reader;
    alter default privileges grant select on sequences to reader;
    alter default privileges revoke execute on functions from public;
    create sequence counter; create function one() returns int language sql as 'select 1';
    create publication partly for table salaries; create publication \"All\" for all tables;
    create cast (text as integer) with inout;
    create function seen() returns event_trigger language plpgsql as 'begin end';
    create event trigger \"on all\" on ddl_command_end execute function seen();
    create foreign data wrapper wrapper; create server \"a server\" foreign data wrapper wrapper;
    create user mapping for reader server \"a server\" options (token 'x');";

#[test]
fn a_dump_comes_back_with_the_grants_and_publications_that_were() {
    let server = Server::get();
    server.sql("postgres", "create role reader");
    for calls in [
        r#"postgres::migrate(db + #{ user: "postgres" }, "own", #{ backup: "before.dump" });"#,
        r#"postgres::restore(db + #{ user: "postgres" }, "saved.dump", #{ keep: "before.dump" });"#,
    ] {
        let site = site(&format!("{calls}\nthrow \"the plan fails\";"));
        let name = database(&site.path(""));
        saved(&site.path(""));
        server.sql(&name, OUTSIDE);
        fs::create_dir_all(site.path("own")).expect("made");
        site.write(
            "own/1-x.up.sql",
            "create table gone (); drop publication \"All\"; create publication other;
             alter default privileges grant usage on types to reader;
             alter default privileges in schema public grant update on tables to reader;
             alter default privileges grant execute on functions to public;",
        );
        let before = seen(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        assert_eq!(finished.code, Some(3), "{}", finished.told());
        assert_eq!(before, seen(&site), "{}", finished.told());
        let may = "select has_table_privilege('reader', 'salaries', 'select')";
        assert_eq!(server.sql(&name, may).trim(), "f");
    }
}

#[test]
fn a_database_whose_dump_could_not_be_put_back_is_refused() {
    let server = Server::get();
    let migrate = "postgres::migrate(db, \"final\", #{ backup: \"before.dump\" });";
    let restore = "postgres::restore(db, \"saved.dump\", #{ keep: \"before.dump\" });";
    for (outside, why) in [
        (
            "create subscription far connection 'dbname=none' publication p with (connect = false)",
            "the subscription far is in no dump",
        ),
        (
            "create publication theirs",
            "the publication theirs belongs to postgres",
        ),
        (
            "create publication \"all\" for all tables; alter publication \"all\" owner to postgres",
            "the publication all can be put back by a superuser only",
        ),
        (
            "alter default privileges grant select on tables to deploy",
            "what postgres grants by default belongs to postgres",
        ),
    ] {
        for calls in [migrate, restore] {
            let site = site(calls);
            let name = database(&site.path(""));
            saved(&site.path(""));
            server.sql(&name, "set role deploy; create table more ()");
            server.sql(&name, outside);
            let before = seen(&site);
            let finished = site.finish(&["run", "plan.rhai"]);
            let told = finished.told();
            assert!(told.contains(why), "`{why}`: {told}");
            assert_eq!(finished.code, Some(1), "{told}");
            assert_eq!(before, seen(&site));
            assert!(!site.path("before.dump").exists(), "{told}");
        }
    }
}
