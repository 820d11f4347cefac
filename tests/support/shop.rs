//! A machine that runs the shop of `examples/shop`: nginx and PostgreSQL on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::deployrun;

/// Within the plan's window.
pub const NOW: &str = "2026-03-21T21:00:00Z";
/// A little later, for the second process.
pub const LATER: &str = "2026-03-21T21:10:00Z";

/// A machine with the shop in version 2.3.0, taken down at the end of the test.
pub struct Machine {
    /// Holds everything below.
    dir: TempDir,
    port: u16,
    db_port: u16,
}

/// All that a release could change.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// What the site answers, without the time of the answer.
    pub answers: BTreeMap<&'static str, String>,
    /// nginx's configuration and the site's files: kind, mode, owner, time of change, content.
    pub files: BTreeMap<PathBuf, String>,
    /// The schema, as `pg_dump` writes it.
    pub schema: String,
    /// The rows, as `pg_dump` writes them.
    pub rows: String,
}

impl Machine {
    /// Sets it up.
    pub fn up() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("deployrun-shop-")
            // PostgreSQL runs as a user of its own, who must get through.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop");
        let plan = dir.path().join("plan");
        sh(Command::new("cp").arg("-rT").arg(shop).arg(&plan));
        // From here on `drop` takes down what may have been started.
        let mut machine = Self {
            dir,
            port: 0,
            db_port: 0,
        };
        sh(Command::new(plan.join("up.sh")).arg(machine.root()));
        let ports = fs::read_to_string(machine.root().join("ports")).expect("up.sh writes it");
        let port = |name: &str| {
            let line = ports.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a port").parse().expect("a number")
        };
        machine.port = port("port=");
        machine.db_port = port("db_port=");
        machine
    }

    /// Where the machine lies.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("machine")
    }

    /// A file of the plan, which the test may change.
    pub fn plan(&self, name: &str) -> PathBuf {
        self.dir.path().join("plan").join(name)
    }

    /// The journal of its runs.
    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The command that releases a version.
    pub fn release(&self, version: &str) -> Command {
        let plan = self.plan("plan.rhai");
        let settings = [
            format!("root={}", self.root().display()),
            format!("port={}", self.port),
            format!("db_port={}", self.db_port),
            format!("version={version}"),
            "soak=1s".to_owned(),
        ];
        let mut command = deployrun(&self.state(), NOW, &["run"]);
        command.arg(plan);
        for setting in settings {
            command.args(["-e", &setting]);
        }
        command
    }

    /// Another command for a run, in another process.
    pub fn later(&self, command: &str, run: &str) -> Command {
        deployrun(&self.state(), LATER, &[command, "--yes", run])
    }

    /// All that a release could change, as it is now.
    pub fn look(&self) -> Seen {
        let mut files = BTreeMap::new();
        for part in ["nginx/conf", "www"] {
            walk(&self.root().join(part), &mut files);
        }
        Seen {
            answers: ["/", "/checkout", "/shop.css", "/no/such/page"]
                .map(|path| (path, self.get(path)))
                .into(),
            files,
            schema: self.dump("--schema-only"),
            rows: self.dump("--data-only"),
        }
    }

    /// What the site answers, whole, without the time of the answer.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("nginx listens");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: shop\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let kept: Vec<&str> = answer
            .split("\r\n")
            .filter(|l| !l.starts_with("Date: "))
            .collect();
        kept.join("\n")
    }

    fn dump(&self, what: &str) -> String {
        let text = sh(self.client("pg_dump").arg(what));
        // Newer versions write a random word between which psql restores.
        let kept = text
            .lines()
            .filter(|l| !l.starts_with(r"\restrict") && !l.starts_with(r"\unrestrict"));
        kept.collect::<Vec<_>>().join("\n")
    }

    /// What the database answers to a query, as unaligned lines.
    pub fn query(&self, sql: &str) -> String {
        sh(self.client("psql").args(["-X", "-At", "-c", sql]))
            .trim_end()
            .to_owned()
    }

    /// A client program of PostgreSQL, told where the database is.
    fn client(&self, program: &str) -> Command {
        let password = fs::read_to_string(self.root().join("db-password")).expect("a password");
        let mut command = Command::new(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.db_port.to_string())
            .env("PGUSER", "shop")
            .env("PGDATABASE", "shop")
            .env("PGPASSWORD", password.trim_end());
        command
    }

    /// Lets the migration 0003 stop in its middle until the lock that is returned is dropped.
    pub fn stop_in_migration(&self) -> Held {
        let path = self.plan("migrations/0003-checkouts.up.sql");
        let sql = fs::read_to_string(&path).expect("the migration");
        let (before, after) = sql.split_once("insert into").expect("its second statement");
        let wait = "do $$ begin while not pg_try_advisory_xact_lock_shared(42) loop \
                    perform pg_sleep(0.01); end loop; end $$;";
        fs::write(&path, format!("{before}{wait}\ninsert into{after}")).expect("the migration");
        let mut client = self
            .client("psql")
            .args(["-X", "-At"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql can be started");
        let stdin = client.stdin.as_mut().expect("stdin is a pipe");
        writeln!(stdin, "select 'held' from pg_advisory_lock(42);").expect("psql reads");
        let mut line = String::new();
        let stdout = client.stdout.as_mut().expect("stdout is a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("psql answers");
        assert_eq!(line, "held\n");
        Held(client)
    }

    /// Waits until the migration 0003 stands in its middle.
    pub fn wait_for_migration(&self) {
        let sql = "select count(*) from pg_stat_activity \
                   where application_name = 'migration 0003-checkouts' and query like 'do $$%'";
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.query(sql) != "1" {
            assert!(
                Instant::now() < deadline,
                "the migration never came to its middle"
            );
        }
    }

    /// The migrations under way.
    pub fn sessions(&self) -> String {
        self.query(
            "select application_name from pg_stat_activity where application_name like 'migration %'",
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.root().exists() {
            sh(Command::new(self.plan("down.sh")).arg(self.root()));
        }
    }
}

/// A lock that a migration waits for.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // Its session ends when psql has nothing more to read.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let facts = fs::symlink_metadata(path).expect("a file");
    let owner = format!("{:o} {}:{}", facts.mode(), facts.uid(), facts.gid());
    let rest = if facts.is_symlink() {
        format!("-> {}", fs::read_link(path).expect("a link").display())
    } else if facts.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            walk(&entry.expect("an entry").path(), found);
        }
        String::new()
    } else {
        let content = fs::read(path).expect("its content");
        let content = content.escape_ascii();
        format!("{}.{:09} {content}", facts.mtime(), facts.mtime_nsec())
    };
    found.insert(path.to_owned(), format!("{owner} {rest}"));
}

/// Runs a command that must succeed, and returns what it printed.
#[track_caller]
fn sh(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| {
        panic!("{command:?}: {e}; on Debian: apt-get install nginx postgresql")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
