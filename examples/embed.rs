//! A program with plans in it: it adds two functions of its own, and takes the events itself.
//!
//! `cargo run --example embed` sells tickets for a fair: the plan asks how many seats there are and
//! sells some of them. With `-- --sold-out` it wants more than there are: the last step fails, and what
//! was sold before is taken back. The seats and the journal are in a new temporary directory, or in
//! the one that is named.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use deployrun::{Event, Plan, Report, Runner, Stamped};
use serde_json::{Map, Value, json};

const PLAN: &str = r#"
plan(#{ name: "tickets", version: "2026", environment: "fair", back_out_within: "1m" });

check("there are seats", || seats() >= args.wanted);
let before = seats();

step("sell", #{ timeout: "1m" }, || {
    back_out(|| { give_back(args.wanted); }, #{ title: "give the seats back" });
    let left = sell(args.wanted, #{ title: "sell tickets" });
    info(`${left} seats are left`);
});
sell(args.more, #{ title: "sell some more" });

verify("the seats are sold", || seats() == before - args.wanted - args.more);
"#;

/// The part of the program that plans act on: a file that holds the number of seats.
#[derive(Clone)]
struct Seats(PathBuf);

impl Seats {
    fn left(&self) -> Result<i64, String> {
        let text = fs::read_to_string(&self.0).map_err(|e| format!("the seats: {e}"))?;
        text.trim().parse().map_err(|e| format!("the seats: {e}"))
    }

    fn take(&self, count: i64) -> Result<i64, String> {
        let left = self.left()? - count;
        if left < 0 {
            return Err(format!("only {} seats are left", left + count));
        }
        fs::write(&self.0, left.to_string()).map_err(|e| format!("the seats: {e}"))?;
        Ok(left)
    }
}

fn number(values: &[Value]) -> Result<i64, String> {
    let number = values.first().and_then(Value::as_i64);
    number.ok_or_else(|| "wants a number of seats".to_owned())
}

/// Takes what happens. Here it is printed; elsewhere it may go to a chat or become a metric.
struct Ticker;

impl Report for Ticker {
    fn event(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::Phase { phase } => println!("-- {}", phase.word()),
            Event::Finding { name, ok, .. } => {
                println!("{name}: {}", if *ok { "yes" } else { "no" });
            }
            Event::StepStarted { step, .. } => println!("{} ...", step.title),
            Event::StepEnded { outcome, .. } => println!("... {}", outcome.word()),
            Event::BackOutEnded { title, outcome, .. } => println!("{title}: {}", outcome.word()),
            Event::Stopping { cause, .. } => println!("stops: {}", cause.words()),
            _ => {}
        }
    }

    fn unwritten(&mut self, stamped: &Stamped) {
        eprintln!("not in the journal: {}", stamped.event.kind());
    }
}

fn main() -> ExitCode {
    // First of all: step supervisors are this very program, started again.
    if let Some(status) = deployrun::dispatch() {
        return ExitCode::from(u8::try_from(status).unwrap_or(1));
    }
    match sell_tickets() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn sell_tickets() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (flags, dirs): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let sold_out = flags.iter().any(|flag| flag == "--sold-out");
    let dir = match dirs.first() {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("deployrun-embed-{}", std::process::id())),
    };
    fs::create_dir_all(&dir)?;

    let seats = Seats(dir.join("seats"));
    if !seats.0.exists() {
        fs::write(&seats.0, "100")?;
    }
    let plan = dir.join("tickets.rhai");
    fs::write(&plan, PLAN)?;

    let (reading, selling, giving) = (seats.clone(), seats.clone(), seats.clone());
    let mut wanted = Map::new();
    wanted.insert("wanted".into(), json!(2));
    wanted.insert("more".into(), json!(if sold_out { 1000 } else { 1 }));
    let summary = Runner::new(dir.join("state"))
        .args(wanted)
        .reads(
            "seats",
            &[],
            "Returns how many seats are left.",
            move |_| reading.left().map(Value::from),
        )
        .acts(
            "sell",
            &["count"],
            "Sells seats, and returns how many are left.",
            move |values| selling.take(number(values)?).map(Value::from),
        )
        .acts(
            "give_back",
            &["count"],
            "Takes sold seats back.",
            move |values| giving.take(-number(values)?).map(Value::from),
        )
        .report(Box::new(Ticker))
        .handle_signals()
        .run(Plan::read(&plan)?)?;

    println!(
        "{}: {} seats are left",
        summary.outcome.word(),
        seats.left()?
    );
    Ok(ExitCode::from(summary.exit_status()))
}
