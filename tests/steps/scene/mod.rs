//! What the tests with real processes share: a step directory, a tag by which the processes of one
//! test are recognised, and their certain end.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use deployrun::target::local::{Found, Running, StepDir};
use deployrun::target::step_supervisor::boot_id;
use deployrun::words::step::{StepEnd, StepSpec};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Scene {
    pub tmp: tempfile::TempDir,
    /// Stands in the command line of every process of the test, and nowhere else.
    pub tag: String,
    pub dir: StepDir,
}

impl Scene {
    pub fn new() -> Self {
        let tmp = tempfile::tempdir().expect("a temporary directory");
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}{:03}", std::process::id(), n);
        let dir = StepDir::new(tmp.path().join("step")).with_exe(env!("CARGO_BIN_EXE_deployrun"));
        Self { tmp, tag, dir }
    }

    /// A step that runs a shell script; `TAG` in it becomes this test's tag.
    pub fn sh(&self, script: &str) -> StepSpec {
        StepSpec {
            run: "r1".into(),
            step: "main/1".into(),
            argv: vec![
                "/bin/sh".into(),
                "-c".into(),
                script.replace("TAG", &self.tag),
            ],
            env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            cwd: self.tmp.path().to_owned(),
            stdin: None,
            user: None,
            timeout_ms: 60_000,
            idle_timeout_ms: None,
            grace_ms: 500,
            abort_on: vec![],
            success_codes: vec![0],
            max_output: 1 << 20,
            secrets: vec![],
        }
    }

    pub fn start(&self, spec: &StepSpec) -> Running {
        self.dir.start(spec).expect("a supervisor")
    }

    pub fn find(&self) -> Found {
        self.dir
            .find(&boot_id().expect("a boot id"))
            .expect("an answer")
    }

    /// Runs a step to its end.
    pub fn run(&self, spec: &StepSpec) -> StepEnd {
        let running = self.start(spec);
        self.end_of(&running)
    }

    pub fn end_of(&self, running: &Running) -> StepEnd {
        assert!(
            running.wait_for(Duration::from_secs(60)).expect("a wait"),
            "the supervisor hangs"
        );
        match self.find() {
            Found::Ended(end) => *end,
            other => panic!("{other:?} {:?}", running.refusal()),
        }
    }

    /// Pids of all processes of this test that were seen in 20 looks: one look can miss a process
    /// that forks and exits all the time.
    pub fn alive_in_many_looks(&self) -> Vec<i32> {
        let mut seen: Vec<i32> = (0..20).flat_map(|_| self.alive()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    /// Pids of the live processes of this test.
    pub fn alive(&self) -> Vec<i32> {
        processes(|cmdline| cmdline.contains(&self.tag))
    }

    /// Waits until `n` of this test's `sleep`s run: one that has become `sleep` has left its session
    /// and its parents behind if it was to.
    pub fn until_asleep(&self, n: usize) {
        let tag = format!("sleep\x00300.{}", self.tag);
        until(&format!("{n} sleeps"), || {
            processes(|c| c.starts_with(&tag)).len() >= n
        });
    }

    /// Waits until `n` processes of this test live.
    pub fn until_alive(&self, n: usize) {
        until(&format!("{n} processes"), || self.alive().len() >= n);
    }

    /// The supervisor's pid, once it is known.
    pub fn supervisor(&self) -> i32 {
        let path = self.dir.path().join("lock");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        until("a whole line", || read().contains('\n'));
        let text = read();
        let line = text.lines().next().expect("a line");
        let json: serde_json::Value = serde_json::from_str(line).expect("json");
        i32::try_from(json["pid"].as_i64().expect("a pid")).expect("a pid")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let mut empty_looks = 0;
        while empty_looks < 5 {
            let alive = self.alive();
            empty_looks = if alive.is_empty() { empty_looks + 1 } else { 0 };
            for pid in alive {
                kill(pid, "KILL");
            }
        }
    }
}

pub fn until(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !test() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn kill(pid: i32, signal: &str) {
    assert!(pid > 1);
    let signal = match signal {
        "KILL" => rustix::process::Signal::KILL,
        "TERM" => rustix::process::Signal::TERM,
        other => panic!("{other}"),
    };
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Pids of live processes by their command line, not this one.
pub fn processes(test: impl Fn(&str) -> bool) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(cmdline) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        if u32::try_from(pid) != Ok(std::process::id()) && test(&String::from_utf8_lossy(&cmdline))
        {
            found.push(pid);
        }
    }
    found
}

/// Whether `needle` stands in any file below `dir`.
pub fn stands_in(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir)
        .expect("a directory")
        .flatten()
        .any(|e| {
            if e.path().is_dir() {
                return stands_in(&e.path(), needle);
            }
            let bytes = std::fs::read(e.path()).unwrap_or_default();
            bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
        })
}
