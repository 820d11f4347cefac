//! What a step costs beside a plain spawn of the same command, and a stream beside `tee | grep`.
//! `cargo run --release --example bench_steps -- [steps] [MiB]`

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use deployrun::target::local::{Found, StepDir};
use deployrun::target::step_supervisor::{boot_id, dispatch};
use deployrun::words::step::{StepEnd, StepSpec};

fn spec(argv: &[&str]) -> StepSpec {
    StepSpec {
        run: "r".into(),
        step: "s".into(),
        argv: argv.iter().map(|&a| a.to_owned()).collect(),
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        cwd: "/".into(),
        stdin: None,
        user: None,
        timeout_ms: 600_000,
        idle_timeout_ms: None,
        grace_ms: 1000,
        abort_on: vec![],
        success_codes: vec![0],
        max_output: 64 << 20,
        secrets: vec![],
    }
}

fn step(dir: &Path, spec: &StepSpec) -> StepEnd {
    let boot = boot_id().expect("a boot id");
    let dir = StepDir::new(dir);
    let running = dir.start(spec).expect("a supervisor");
    running.wait().expect("a wait");
    match dir.find(&boot).expect("an answer") {
        Found::Ended(end) => *end,
        other => panic!("{other:?} {:?}", running.refusal()),
    }
}

/// CPU time of this process and all it has waited for, in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    fields[11..15]
        .iter()
        .map(|f| f.parse::<u64>().expect("ticks") * 10)
        .sum()
}

/// Wall and CPU time in microseconds of each of `n` calls.
fn each(n: u64, mut call: impl FnMut(u64)) -> String {
    let (begun, cpu) = (Instant::now(), cpu_ms());
    (0..n).for_each(&mut call);
    let wall = begun.elapsed().as_micros() / u128::from(n);
    format!("{wall} us wall, {} us CPU", (cpu_ms() - cpu) * 1000 / n)
}

fn main() {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(status) = dispatch(&args) {
        std::process::exit(status);
    }
    let number = |i: usize, or: u64| {
        args.get(i)
            .and_then(|a| a.to_str())
            .and_then(|a| a.parse().ok())
            .unwrap_or(or)
    };
    let (steps, mib) = (number(0, 200), number(1, 1024));
    let mut out = std::io::stdout();
    for place in ["/tmp", "/dev/shm"] {
        let tmp = tempfile::tempdir_in(place).expect("a directory");
        for round in 0..3 {
            let plain = || Command::new("/bin/true").status().expect("true");
            let own = || {
                Command::new("/proc/self/exe")
                    .arg("__drain")
                    .stdin(Stdio::null())
                    .status()
                    .expect("self")
            };
            let one = each(steps, |_| {
                plain();
            });
            // The floor: one more process, of the same binary, that does nothing.
            let two = each(steps, |_| {
                own();
                plain();
            });
            let ours = each(steps, |i| {
                step(
                    &tmp.path().join(format!("{round}-{i}")),
                    &spec(&["/bin/true"]),
                );
            });
            writeln!(
                out,
                "{place}: plain spawn {one}; own binary + plain {two}; step {ours}"
            )
            .expect("out");
        }
    }
    let tmp = tempfile::tempdir_in("/tmp").expect("a directory");
    let line = "2026-01-01T00:00:00Z INFO worker-07 handled request id=0123456789abcdef status=200 bytes=4096 to";
    let source = format!(
        "yes '{}' | head -c {}",
        &line[..line.len().min(99)],
        mib << 20
    );
    for round in 0..3 {
        let file = tmp.path().join("tee");
        let (begun, cpu) = (Instant::now(), cpu_ms());
        let script = format!(
            "({source}) | tee {} | grep -c 'ERROR'; true",
            file.display()
        );
        Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .status()
            .expect("sh");
        let (tee, tee_cpu) = (begun.elapsed(), cpu_ms() - cpu);
        let _ = std::fs::remove_file(&file);
        for (name, max, abort, secret) in [
            ("keep all, abort_on", u64::MAX / 4, "ERROR", ""),
            ("keep 64 MiB, abort_on", 64 << 20, "ERROR", ""),
            (
                "keep 64 MiB, abort_on ERROR|deadlock|^fatal",
                64 << 20,
                "ERROR|deadlock|^fatal",
                "",
            ),
            (
                "keep 64 MiB, abort_on, one secret",
                64 << 20,
                "ERROR",
                "correct horse battery",
            ),
        ] {
            let mut spec = spec(&["sh", "-c", &source]);
            spec.max_output = max;
            spec.abort_on = vec![abort.to_owned()];
            spec.secrets = if secret.is_empty() {
                vec![]
            } else {
                vec![secret.to_owned()]
            };
            let dir = tmp.path().join(format!("s{round}"));
            let (begun, cpu) = (Instant::now(), cpu_ms());
            let end = step(&dir, &spec);
            let (took, cpu) = (begun.elapsed(), cpu_ms() - cpu);
            assert_eq!(end.output_bytes, mib << 20, "{end:?}");
            let ratio = took.as_secs_f64() / tee.as_secs_f64();
            writeln!(
                out,
"{mib} MiB: tee|grep {tee:?}, {tee_cpu} ms CPU; {name}: {took:?} = {ratio:.2}x, {cpu} ms CPU"
            )
            .expect("out");
            std::fs::remove_dir_all(&dir).expect("gone");
        }
    }
}
