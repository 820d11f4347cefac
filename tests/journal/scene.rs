//! What the tests share: entries that tell their own seq, the writer, mounts, random numbers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use deployrun::journal::{Entry, Holder, Journal, LockWish, NewRun, Options, RunId, StoredEntry};

pub const MINUTE: i64 = 1_774_130_400_000;

pub fn new_run(random: u32, environment: &str) -> NewRun {
    NewRun {
        id: RunId::new(MINUTE, random),
        plan: "shop-web".to_owned(),
        version: "2.4.0".to_owned(),
        environment: environment.to_owned(),
        fingerprint: "f".repeat(64),
        frozen: serde_json::json!({ "sources": { "plan.rhai": "run(\"true\")" }, "args": { "b": 1, "a": 2 } }),
        created_ms: MINUTE,
    }
}

pub fn wish(environment: &str, holder: &Holder, why: &str, now_ms: i64) -> LockWish {
    LockWish {
        environment: environment.to_owned(),
        holder: holder.clone(),
        why: why.to_owned(),
        now_ms,
    }
}

/// The content that the example writer gives to its entries, too.
pub fn entry(seq: u64, pad: usize) -> Entry {
    Entry {
        at_ms: i64::try_from(seq).unwrap(),
        kind: "step".to_owned(),
        call: Some(format!("0/{seq}")),
        data: format!("{{\"seq\":{seq},\"pad\":\"{}\"}}", "p".repeat(pad)),
    }
}

/// The entries are 1, 2, 3, … and each holds what was appended.
pub fn assert_sound(found: &[StoredEntry], pad: usize) {
    for (at, stored) in found.iter().enumerate() {
        let seq = at as u64 + 1;
        assert_eq!(stored.seq, seq);
        assert_eq!(stored.entry, entry(seq, pad), "entry {seq}");
    }
}

pub fn open(state: &Path) -> Journal {
    Journal::open(state).unwrap_or_else(|error| panic!("{}: {error}", state.display()))
}

/// A small reserve, so that hundreds of journals can be opened on a small disk.
pub fn small() -> Options {
    Options {
        reserve_bytes: 4096,
        ..Options::default()
    }
}

/// The example writer, built if it is missing or stale.
pub fn writer() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "journal_writer"]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "cannot build the example journal_writer");
        let path = profile.join("examples/journal_writer");
        assert!(path.exists(), "{} is missing", path.display());
        path
    })
    .clone()
}

/// The last `seq N` that the writer printed; the highest entry that it was told is durable.
pub fn acknowledged(output: &str) -> u64 {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("seq "))
        .filter_map(|seq| seq.parse().ok())
        .next_back()
        .unwrap_or(0)
}

pub fn run_of(output: &str) -> Option<String> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("run "))
        .map(str::to_owned)
}

pub fn need_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts file systems and needs root: run it as root, in a container or with sudo"
    );
}

/// A mounted file system, unmounted when dropped.
pub struct Mount {
    pub dir: PathBuf,
    _parent: tempfile::TempDir,
}

impl Mount {
    pub fn tmpfs(kibibytes: u64) -> Self {
        Self::new(|dir| {
            let mut mount = Command::new("mount");
            mount.args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kibibytes}k"),
                "deployrun-test",
            ]);
            mount.arg(dir);
            mount
        })
    }

    pub fn new(command: impl FnOnce(&Path) -> Command) -> Self {
        need_root();
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("mounted");
        std::fs::create_dir(&dir).unwrap();
        let output = command(&dir).output().unwrap();
        assert!(
            output.status.success(),
            "cannot mount: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self {
            dir,
            _parent: parent,
        }
    }

    pub fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.dir)
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Fills the file system but for so many bytes.
    pub fn fill(&self, leave: u64) -> PathBuf {
        use std::io::Write;
        let path = self.dir.join("filler");
        let mut file = File::create(&path).unwrap();
        let page = [0; 4096];
        loop {
            let fs = rustix::fs::statvfs(&self.dir).unwrap();
            if fs.f_bavail * fs.f_frsize <= leave || file.write_all(&page).is_err() {
                return path;
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy: a test that failed may still hold a file there.
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

/// Runs one ignored test of this binary in a process of its own.
pub fn child(test: &str, state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("JOURNAL_TEST_STATE", state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The state directory that `child` was given.
pub fn child_state() -> PathBuf {
    std::env::var_os("JOURNAL_TEST_STATE")
        .map(PathBuf::from)
        .expect("this test is a part of others, which run it in a process of its own")
}

/// Reproducible random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }
}
