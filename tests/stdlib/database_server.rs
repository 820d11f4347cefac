//! A PostgreSQL that tests set up: one for a process, on a socket in its own directory, with the database
//! `shop`, which is copied for each site.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

use super::support::need_root;

/// A server, which ends when nobody has it any more.
pub struct Server {
    dir: TempDir,
    programs: String,
}

/// Runs a command that must succeed, and returns what it printed.
pub fn ran(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; on Debian: apt-get install postgresql"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

impl Server {
    /// The one of this process.
    pub fn get() -> Arc<Self> {
        static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut server = SERVER.lock().expect("it has started");
        if let Some(running) = server.upgrade() {
            return running;
        }
        let new = Arc::new(Self::start());
        *server = Arc::downgrade(&new);
        new
    }

    fn start() -> Self {
        need_root("it starts PostgreSQL as the user postgres");
        let find = "find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -n 1";
        let initdb = ran(Command::new("sh").args(["-c", find]));
        let programs = initdb.trim().trim_end_matches("/initdb").to_owned();
        assert!(
            !programs.is_empty(),
            "there is no PostgreSQL; on Debian: apt-get install postgresql"
        );
        let dir = tempfile::Builder::new()
            .prefix("deployrun-postgres-")
            .tempdir()
            .expect("a directory");
        let server = Self { dir, programs };
        let dir = server.dir.path().display();
        let programs = &server.programs;
        // What is written here need not outlive a crash of the machine: no fsync.
        let script = format!(
            "chown postgres {dir}; chmod 755 {dir}
             exec runuser -u postgres -- sh -ec '
                {programs}/initdb --no-sync -U postgres --auth=trust --encoding=UTF8 --locale=C -D {dir}/data
                {programs}/pg_ctl -D {dir}/data -l {dir}/log -w start -o \"-c listen_addresses= \
                    -c unix_socket_directories={dir} -c fsync=off -c max_connections=100\"' > /dev/null"
        );
        ran(Command::new("sh").args(["-ec", &script]));
        server.sql("postgres", "create role deploy login");
        server.sql("postgres", "create database shop owner deploy");
        server.sql(
            "shop",
            "set role deploy;
             create table orders (id int primary key, name text, at timestamptz default '2026-01-01');
             create index on orders (name);
             insert into orders select n, 'order ' || n from generate_series(1, 20) n;
             create sequence numbers start 7; select nextval('numbers');
             create function total() returns bigint language sql as 'select count(*) from orders'",
        );
        server
    }

    /// Where its socket is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What `psql` prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        ran(self
            .client("psql", database)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// A client program, told where the database is.
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-h")
            .arg(self.dir.path())
            .args(["-U", "postgres", "-d", database]);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.dir.path().join("data");
        let stopped = Command::new("runuser")
            .args(["-u", "postgres", "--"])
            .arg(format!("{}/pg_ctl", self.programs))
            .args(["-s", "-m", "immediate", "stop", "-D"])
            .arg(data)
            .status();
        if !std::thread::panicking() {
            assert!(
                stopped.expect("pg_ctl").success(),
                "it could not be stopped"
            );
        }
    }
}
