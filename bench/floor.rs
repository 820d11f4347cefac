//! The durable floor: what a step costs at least when its begin and its end are on the disk.
//!
//! `bench_floor N PROGRAM`: N times, commits a row to SQLite (WAL, synchronous=FULL), runs PROGRAM,
//! commits another row. `bench_floor N PROGRAM none` leaves the rows out.

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let steps: u32 = args.next().ok_or("how many steps?")?.parse()?;
    let program = args.next().ok_or("which program?")?;
    let durable = args.next().as_deref() != Some("none");
    let dir = std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into());
    let path = format!("{dir}/floor-{}.db", std::process::id());
    let db = rusqlite::Connection::open(&path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch("CREATE TABLE events (seq INTEGER PRIMARY KEY, data TEXT NOT NULL)")?;
    let row = "x".repeat(300);
    for _ in 0..steps {
        if durable {
            db.prepare_cached("INSERT INTO events (data) VALUES (?1)")?
                .execute([&row])?;
        }
        Command::new(&program).status()?;
        if durable {
            db.prepare_cached("INSERT INTO events (data) VALUES (?1)")?
                .execute([&row])?;
        }
    }
    drop(db);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{end}"));
    }
    Ok(())
}
