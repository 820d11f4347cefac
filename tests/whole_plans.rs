//! The whole plans of the examples that are made of the stdlib and a team's library: `examples/site`,
//! `examples/database` and `examples/balanced`, each with the servers that it is about. After each release
//! that did not end as released, all is as it was before, byte for byte.
//!
//! Needs Debian's packages: `apt-get install nginx postgresql haproxy`.

#[path = "support/program.rs"]
mod program;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{Ended, Running, deployrun};
use tempfile::TempDir;

/// Within the plans' window.
const NOW: &str = "2026-03-21T21:00:00Z";

/// The servers of an example, ended at the end of the test.
struct Machine {
    /// Holds a copy of the examples, which the test may change.
    dir: TempDir,
    example: &'static str,
    settings: Vec<String>,
}

impl Machine {
    fn up(example: &'static str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("deployrun-example-")
            // PostgreSQL runs as a user of its own, who must get through.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let to = dir.path().join("examples");
        fs::create_dir(&to).expect("a directory");
        for part in [example, "platform", "loopback.sh"] {
            sh(Command::new("cp").arg("-r").arg(from.join(part)).arg(&to));
        }
        // From here on `drop` ends what may have been started.
        let mut machine = Self {
            dir,
            example,
            settings: Vec::new(),
        };
        sh(Command::new(machine.plan("up.sh")).arg(machine.root()));
        let settings = fs::read_to_string(machine.root().join("settings"));
        let settings = settings.expect("up.sh writes it");
        machine.settings = settings.lines().map(str::to_owned).collect();
        machine
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("machine")
    }

    /// A file of the plan.
    fn plan(&self, name: &str) -> PathBuf {
        self.dir
            .path()
            .join("examples")
            .join(self.example)
            .join(name)
    }

    fn setting(&self, name: &str) -> &str {
        let found = self
            .settings
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.expect("a setting")
    }

    fn command(&self, version: &str) -> Command {
        let mut command = deployrun(&self.dir.path().join("state"), NOW, &["run"]);
        command.arg(self.plan("plan.rhai"));
        for setting in &self.settings {
            command.args(["-e", setting]);
        }
        command.args(["-e", "soak=3s", "-e", &format!("version={version}")]);
        command
    }

    fn release(&self, version: &str) -> Ended {
        Running::start(self.command(version)).end()
    }

    /// What a server on a port answers, without what changes from answer to answer.
    fn get(&self, port: &str, path: &str) -> String {
        let port: u16 = self.setting(port).parse().expect("a port");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: shop\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let kept = answer
            .split("\r\n")
            .filter(|l| !l.to_lowercase().starts_with("date: "));
        kept.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.root().exists() {
            sh(Command::new(self.plan("down.sh")).arg(self.root()));
        }
    }
}

/// Runs a command that must succeed, and returns what it printed.
#[track_caller]
fn sh(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_web_site() {
    let machine = Machine::up("site");
    let look = || {
        let answers = ["/", "/prices", "/uploads/logo.svg"].map(|path| machine.get("port", path));
        let files = tree::look(&machine.root().join("site"));
        (
            answers,
            files,
            tree::look(&machine.root().join("nginx/conf.d")),
        )
    };
    let before = look();
    assert!(before.0[0].contains("Version 2.3.0"), "{}", before.0[0]);

    // Its build has lost the front page: the watch trips. Only the mark of what has failed is new.
    let ended = machine.release("2.4.1").expect(3);
    assert!(
        ended.told().contains("stops: tripped-watch"),
        "{}",
        ended.told()
    );
    let mut after = look();
    let log = after.1.remove("releases.log").expect("a mark");
    assert!(log.contains("failed 2.4.1"), "{log}");
    assert_eq!(tree::difference(&before.1, &after.1), "");
    assert_eq!((&before.0, &before.2), (&after.0, &after.2));

    machine.release("2.4.0").expect(0);
    let after = look();
    assert!(after.0[0].contains("Version 2.4.0"), "{}", after.0[0]);
    assert!(after.0[1].contains("<h1>Prices</h1>"), "{}", after.0[1]);
    assert!(after.0[2].contains("<svg"), "{}", after.0[2]);
    assert_eq!(after.1["current"], "link to releases/2.4.0");

    // The same again changes nothing.
    machine.release("2.4.0").expect(0);
    assert_eq!(look(), after);
}

#[test]
fn a_web_site_whose_configuration_is_invalid() {
    let machine = Machine::up("site");
    let before = tree::look(&machine.root().join("nginx/conf.d"));
    let conf = machine.plan("dist/site.conf.in");
    let text = fs::read_to_string(&conf).expect("the template");
    fs::write(&conf, text.replace("listen", "lisen")).expect("the template");
    let ended = machine.release("2.4.0").expect(3);
    let all = format!("{:?}", ended.events);
    assert!(all.contains("unknown directive"), "{all}");
    assert_eq!(tree::look(&machine.root().join("nginx/conf.d")), before);
    assert!(machine.get("port", "/").contains("Version 2.3.0"));
}

#[test]
fn a_database_with_a_backup() {
    let machine = Machine::up("database");
    let client = |program: &str| {
        let mut command = Command::new(program);
        let password = fs::read_to_string(machine.setting("password_file")).expect("a password");
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", machine.setting("port"))
            .env("PGUSER", "shop")
            .env("PGDATABASE", "shop")
            .env("PGPASSWORD", password.trim_end());
        command
    };
    let dump = || {
        let text = sh(&mut client("pg_dump"));
        // Newer versions write a random word between which psql restores.
        let kept = text.lines().filter(|l| !l.contains("restrict "));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    let query = |sql: &str| sh(client("psql").args(["-XAt", "-c", sql]));
    let before = dump();

    let broken = machine.plan("migrations/0003-broken.up.sql");
    fs::write(&broken, "update customers set street = '';\n").expect("a migration");
    fs::write(
        machine.plan("migrations/0003-broken.down.sql"),
        "select 1;\n",
    )
    .expect("a migration");
    let ended = machine.release("2.4.0").expect(3);
    assert!(
        ended.told().contains("stops: failed-step"),
        "{}",
        ended.told()
    );
    assert_eq!(dump(), before);
    // The backup stays.
    let backup = machine.root().join("backups/before-2.4.0.dump");
    sh(client("pg_restore").arg("--list").arg(&backup));

    for direction in ["up", "down"] {
        fs::remove_file(machine.plan(&format!("migrations/0003-broken.{direction}.sql")))
            .expect("a migration");
    }
    machine.release("2.4.0").expect(0);
    assert_eq!(
        query("select name, city from customers order by id"),
        "Ada|Berlin\nEmmy|Erlangen\n"
    );
    let after = dump();
    assert!(after.iter().any(|l| l.contains("customers_city")));
    machine.release("2.4.0").expect(0);
    assert_eq!(dump(), after);
}

#[test]
fn two_servers_behind_haproxy() {
    let machine = Machine::up("balanced");
    let servers = || {
        let mut socket = UnixStream::connect(machine.setting("socket")).expect("its socket");
        socket
            .write_all(b"show servers state shop\n")
            .expect("a command");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        // Name, operational and administrative state, and the weight that users gave.
        let rows = answer.lines().filter(|l| l.contains(" web"));
        rows.map(|row| {
            let fields: Vec<&str> = row.split(' ').collect();
            [fields[3], fields[5], fields[6], fields[7]].join(" ")
        })
        .collect::<Vec<_>>()
    };
    let look = || {
        let sites =
            ["web1", "web2"].map(|name| tree::look(&machine.root().join("shop").join(name)));
        let answers = ["web1", "web2", "port", "port"].map(|port| machine.get(port, "/"));
        (servers(), answers, sites)
    };
    let before = look();
    assert_eq!(before.0, ["web1 2 0 1", "web2 2 0 1"]);

    // It has lost its health page: web1 is drained, changed, and never asked by a customer.
    let ended = machine.release("2.4.1").expect(3);
    assert!(!ended.told().contains("to web2"), "{}", ended.told());
    assert!(
        ended.told().contains("activate 2.4.1 on web1"),
        "{}",
        ended.told()
    );
    wait_until(|| servers() == before.0);
    assert_eq!(look(), before);

    machine.release("2.4.0").expect(0);
    let after = look();
    assert_eq!(after.0, before.0);
    assert!(
        after.1.iter().all(|answer| answer.contains("shop 2.4.0")),
        "{:?}",
        after.1
    );
}

/// HAProxy looks every 100 ms whether a server is up again.
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "not so in 30 seconds");
        std::thread::yield_now();
    }
}

#[test]
fn the_tests_of_the_teams_library() {
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/platform");
    let told = sh(Command::new(env!("CARGO_BIN_EXE_deployrun")).args(["test", library]));
    assert!(told.contains(" passed in "), "{told}");
}
