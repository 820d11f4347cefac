//! The real example: `examples/shop` with a real nginx and a real PostgreSQL, which every test starts
//! for itself. After each release that did not end as released, what the site answers, its files,
//! nginx's configuration, the schema and the rows must be what they were before, byte for byte.
//!
//! Needs Debian's packages: `apt-get install nginx postgresql`.

#[path = "support/program.rs"]
mod program;
#[path = "support/shop.rs"]
mod shop;

use std::fs;
use std::process::Command;

use program::Running;
use shop::Machine;

const SWITCHED: &str = "\
make their directory: succeeded
upload checkout.html: succeeded
upload index.html: succeeded
upload shop.css: succeeded
group switch to 2.4.0
configure the site: succeeded
nginx accepts it: succeeded
make 2.4.0 current: succeeded
reload nginx: succeeded
verified the front page is that of 2.4.0
verified the checkout is there
verified the database has what it needs
released";

const TO_BE_MIGRATED: &str =
    r#"said: releases/2.3.0 is current; to be migrated: ["0002-order-state", "0003-checkouts"]"#;

#[test]
fn a_good_release() {
    let machine = Machine::up();
    let before = machine.look();
    assert!(before.answers["/"].contains("Shop 2.3.0"));

    let ended = Running::start(machine.release("2.4.0")).end().expect(0);
    let told = format!(
        "{TO_BE_MIGRATED}
the window is open: Sat 22:00-02:00 Europe/Berlin
migrate 0002-order-state: succeeded
migrate 0003-checkouts: succeeded
group upload 3 files of 2.4.0
{SWITCHED}"
    );
    assert_eq!(ended.told(), told);

    let after = machine.look();
    assert!(
        after.answers["/"].contains("Shop 2.4.0"),
        "{}",
        after.answers["/"]
    );
    assert!(after.answers["/"].contains("X-Shop-Version: 2.4.0"));
    assert!(after.answers["/checkout"].contains("<h1>Checkout</h1>"));
    assert!(after.schema.contains("CREATE TABLE public.checkouts"));
    assert!(after.rows.contains("Gift wrapping"));
    let rows = machine.query("select id, state from orders order by id");
    assert_eq!(rows, "1|paid\n2|paid\n3|paid");
    assert_eq!(
        machine.query("select name from schema_migrations order by name"),
        "0001-shop\n0002-order-state\n0003-checkouts"
    );

    // The same again is refused, and says why.
    let again = Running::start(machine.release("2.4.0")).end().expect(1);
    let told = "\
not so: 2.4.0 was never here
said: releases/2.4.0 is current; to be migrated: nothing
stops: refused
refused";
    assert_eq!(again.told(), told);
    assert_eq!(machine.look(), after);
}

#[test]
fn a_migration_that_fails() {
    let machine = Machine::up();
    let path = machine.plan("migrations/0003-checkouts.up.sql");
    let sql = fs::read_to_string(&path).expect("the migration");
    fs::write(&path, format!("{sql}\nupdate products set price = 1;\n")).expect("the migration");
    let before = machine.look();

    let ended = Running::start(machine.release("2.4.0")).end().expect(3);
    let told = format!(
        "{TO_BE_MIGRATED}
the window is open: Sat 22:00-02:00 Europe/Berlin
migrate 0002-order-state: succeeded
migrate 0003-checkouts: failed
stops: failed-step
end what is left of 0003-checkouts: succeeded
said: 0003-checkouts had not been made: there is nothing to undo
back-out of 32: succeeded
end what is left of 0002-order-state: succeeded
undo 0002-order-state: succeeded
back-out of 31: succeeded
backed-out"
    );
    assert_eq!(ended.told(), told);
    let stopped = ended
        .events
        .iter()
        .find(|e| e["event"] == "stopping")
        .expect("it stopped");
    let detail = stopped["detail"].as_str().expect("with details");
    assert!(
        detail.contains(r#"column "price" of relation "products" does not exist"#),
        "{detail}"
    );
    assert_eq!(machine.look(), before);
}

#[test]
fn a_front_page_that_breaks() {
    let machine = Machine::up();
    let before = machine.look();

    let ended = Running::start(machine.release("2.4.1")).end().expect(3);
    let told = ended.told();
    let (released, backed_out) = told.split_once("stops: ").expect("it stopped");
    assert!(released.ends_with("reload nginx: succeeded\n"), "{told}");
    let expected = "\
tripped-watch
back-out of 48: succeeded
back-out of 46: succeeded
back-out of 44: succeeded
back-out of 41: succeeded
back-out of 39: succeeded
back-out of 37: succeeded
back-out of 35: succeeded
end what is left of 0003-checkouts: succeeded
undo 0003-checkouts: succeeded
back-out of 32: succeeded
end what is left of 0002-order-state: succeeded
undo 0002-order-state: succeeded
back-out of 31: succeeded
backed-out";
    assert_eq!(backed_out, expected);
    assert_eq!(machine.look(), before);
}

#[test]
fn killed_in_a_migration_and_backed_out_from_another_process() {
    let machine = Machine::up();
    let held = machine.stop_in_migration();
    let before = machine.look();

    let mut first = Running::start(machine.release("2.4.0"));
    first.wait_for("step-started", |e| {
        e["step"]["title"] == "migrate 0003-checkouts"
    });
    let run = first.run();
    machine.wait_for_migration();
    first.kill();
    // Nobody has told the migration to end: it goes on without its deployrun.
    assert_eq!(machine.sessions(), "migration 0003-checkouts");

    let ended = Running::start(machine.later("back-out", &run))
        .end()
        .expect(3);
    let told = "\
taken up: back-out
stops: operator
call 32: cut-off
end what is left of 0003-checkouts: succeeded
said: 0003-checkouts had not been made: there is nothing to undo
back-out of 32: succeeded
end what is left of 0002-order-state: succeeded
undo 0002-order-state: succeeded
back-out of 31: succeeded
backed-out";
    assert_eq!(ended.told(), told);
    assert_eq!(machine.sessions(), "");
    drop(held);
    assert_eq!(machine.look(), before);

    // A run that has ended is not taken up again.
    Running::start(machine.later("back-out", &run))
        .end()
        .expect(1);
    assert_eq!(machine.look(), before);
}

#[test]
fn killed_in_a_migration_and_resumed() {
    let machine = Machine::up();
    let held = machine.stop_in_migration();

    let mut first = Running::start(machine.release("2.4.0"));
    first.wait_for("step-started", |e| {
        e["step"]["title"] == "migrate 0003-checkouts"
    });
    let run = first.run();
    machine.wait_for_migration();
    first.kill();

    let mut second = Running::start(machine.later("resume", &run));
    second.wait_for("run-resumed", |_| true);
    // Only now does the migration that the first process began come to its end.
    drop(held);
    let ended = second.end().expect(0);
    let told = format!(
        "taken up: resume
call 32: succeeded
group upload 3 files of 2.4.0
{SWITCHED}"
    );
    assert_eq!(ended.told(), told);
    let after = machine.look();
    assert!(after.answers["/"].contains("Shop 2.4.0"));
    assert_eq!(
        machine.query("select count(*) from products where name = 'Gift wrapping'"),
        "1"
    );
}

#[test]
fn the_demonstration() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop/demo.sh");
    let output = Command::new(demo)
        .env("DEPLOYRUN", env!("CARGO_BIN_EXE_deployrun"))
        .output()
        .expect("the demonstration can be started");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
    let pages: Vec<&str> = stdout
        .lines()
        .filter(|l| l.starts_with("front page: ") || l.starts_with("migrations: "))
        .collect();
    let expected = [
        "front page: Shop 2.3.0",
        "migrations: 0001-shop",
        "front page: Shop 2.4.0",
        "migrations: 0001-shop, 0002-order-state, 0003-checkouts",
        "front page: Shop 2.4.0",
        "migrations: 0001-shop, 0002-order-state, 0003-checkouts",
    ];
    assert_eq!(pages, expected, "{stdout}");
}
