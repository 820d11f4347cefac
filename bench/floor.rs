//! The durable floor: what a step costs at least when its begin and its end are on the disk.
//!
//! `bench_floor N PROGRAM`: N times, commits a row to SQLite (WAL, synchronous=FULL), runs PROGRAM,
//! commits another row. `bench_floor N PROGRAM none` leaves the rows out. With `BENCH_DB=FILE` the
//! database is that one, is left where it is, and is not carried over at the end (no checkpoint).

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let steps: u32 = args.next().ok_or("how many steps?")?.parse()?;
    let program = args.next().ok_or("which program?")?;
    let durable = args.next().as_deref() != Some("none");
    let dir = std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into());
    let kept = std::env::var("BENCH_DB").ok();
    let own = format!("{dir}/floor-{}.db", std::process::id());
    let path = kept.clone().unwrap_or(own);
    let db = rusqlite::Connection::open(&path)?;
    db.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        kept.is_some(),
    )?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, data TEXT NOT NULL)",
    )?;
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
    if kept.is_some() {
        return Ok(());
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{end}"));
    }
    Ok(())
}
