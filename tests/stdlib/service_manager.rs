//! Real service managers for tests: a systemd of the test's own, and init scripts.
//!
//! systemd runs as process 1 of namespaces of its own, and in control groups of its own; programs of the
//! test reach it through a `systemctl` that enters these namespaces. Its units lie in
//! `/etc/systemd/system`, as they would in production, and have names that no other process uses. It
//! starts nothing but them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::support::site::Site;

/// Which manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Systemd,
    Sysv,
}

/// How many services there are: more than sites at the same time.
const SERVICES: usize = 24;

/// A service of the pool. It copies `conf` to `loaded` when it starts and when it reloads.
#[derive(Clone, Debug)]
struct Service {
    name: String,
    dir: PathBuf,
    /// The directory of the site that has it.
    site: Option<PathBuf>,
}

struct Pool {
    kind: Kind,
    /// `systemctl` and what else programs of the test shall find first.
    bin: PathBuf,
    services: Mutex<Vec<Service>>,
}

static POOL: OnceLock<Pool> = OnceLock::new();

/// Ends the manager and removes what it left behind.
pub struct Manager {
    systemd: Option<(Child, Vec<PathBuf>)>,
    _dir: tempfile::TempDir,
}

impl Manager {
    /// Makes a pool of services. One kind only in a process.
    pub fn start(kind: Kind) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).expect("made");
        let mut services = Vec::new();
        for n in 0..SERVICES {
            let name = format!("{}-{n}", mark());
            let at = dir.path().join(&name);
            fs::create_dir(&at).expect("made");
            let service = Service {
                name,
                dir: at,
                site: None,
            };
            service.define(kind);
            services.push(service);
        }
        let systemd = (kind == Kind::Systemd).then(|| boot(&bin));
        let manager = Self { systemd, _dir: dir };
        let pool = Pool {
            kind,
            bin,
            services: Mutex::new(services),
        };
        assert!(POOL.set(pool).is_ok(), "one manager in a process");
        manager
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some((systemd, groups)) = &mut self.systemd {
            let _ = systemd.kill();
            let _ = systemd.wait();
            for group in groups {
                remove_group(group);
            }
        }
        let pool = POOL.get().expect("the pool");
        for service in pool.services.lock().expect("no panic inside").iter() {
            if pool.kind == Kind::Sysv {
                service.act("stop");
            }
            service.forget();
        }
        let target = format!("/etc/systemd/system/{}.target", mark());
        let _ = fs::remove_file(&target);
        let _ = fs::remove_dir_all(target + ".wants");
    }
}

/// What all names of this process begin with.
fn mark() -> String {
    format!("drtest-{}", std::process::id())
}

/// Starts systemd, and waits until it answers.
fn boot(bin: &Path) -> (Child, Vec<PathBuf>) {
    let mark = mark();
    let groups: Vec<PathBuf> = [
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup",
    ]
    .iter()
    .map(Path::new)
    .filter(|dir| dir.join("cgroup.procs").exists())
    .map(|dir| dir.join(&mark))
    .collect();
    let mut script = String::new();
    for group in &groups {
        let group = group.display();
        script += &format!("mkdir -p {group}; echo $$ > {group}/cgroup.procs\n");
    }
    script += "exec setpriv --pdeathsig KILL unshare --mount --pid --fork --uts --ipc --cgroup --kill-child \
               sh -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -t proc proc /proc \
               && export container=test && exec /lib/systemd/systemd --system --unit=MARK.target'\n";
    fs::write(
        format!("/etc/systemd/system/{mark}.target"),
        "[Unit]\nDescription=Nothing\nDefaultDependencies=no\n",
    )
    .expect("written");
    let systemd = Command::new("sh")
        .args(["-c", &script.replace("MARK", &mark)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare");
    let begin = Instant::now();
    let first = loop {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "systemd does not start"
        );
        let children = format!("/proc/{0}/task/{0}/children", systemd.id());
        let child = fs::read_to_string(children).unwrap_or_default();
        if let Some(pid) = child.split_whitespace().next() {
            let states = Command::new("nsenter")
                .args(["-t", pid, "-m", "-p", "systemctl", "is-system-running"])
                .output()
                .expect("nsenter");
            let state = String::from_utf8_lossy(&states.stdout).trim().to_owned();
            if ["running", "degraded"].contains(&state.as_str()) {
                break pid.to_owned();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let shim = bin.join("systemctl");
    let text =
        format!("#!/bin/sh\nexec nsenter -t {first} -m -p /usr/bin/systemctl --no-pager \"$@\"\n");
    fs::write(&shim, text).expect("written");
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).expect("mode");
    (systemd, groups)
}

fn remove_group(dir: &Path) {
    for _ in 0..50 {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                remove_group(&entry.path());
            }
        }
        if fs::remove_dir(dir).is_ok() || !dir.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

const INIT_SCRIPT: &str = "#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: a service of a test
### END INIT INFO
cd DIR
case $1 in
start)
    cp conf loaded
    start-stop-daemon --start --oknodo --quiet --background --make-pidfile --pidfile DIR/pid --exec /bin/sleep -- 1000000 ;;
stop) start-stop-daemon --stop --oknodo --quiet --retry KILL/5 --pidfile DIR/pid --remove-pidfile ;;
restart) \"$0\" stop && \"$0\" start ;;
reload) cp conf loaded ;;
status) if test -e pid && kill -0 \"$(cat pid)\" 2>/dev/null; then exit 0; else exit 3; fi ;;
*) echo \"Usage: $0 start|stop\"; exit 2 ;;
esac
";

impl Service {
    fn file(&self, kind: Kind) -> PathBuf {
        match kind {
            Kind::Systemd => format!("/etc/systemd/system/{}.service", self.name).into(),
            Kind::Sysv => format!("/etc/init.d/{}", self.name).into(),
        }
    }

    fn define(&self, kind: Kind) {
        let text = match kind {
            Kind::Systemd => {
                "[Unit]\nDescription=first\nDefaultDependencies=no\n\
                 [Service]\nExecStartPre=/bin/cp DIR/conf DIR/loaded\nExecStart=/bin/sleep 1000000\n\
                 ExecReload=/bin/cp DIR/conf DIR/loaded\nTimeoutStopSec=1\n\
                 [Install]\nWantedBy=MARK.target\n"
            }
            Kind::Sysv => INIT_SCRIPT,
        };
        let text = text
            .replace("MARK", &mark())
            .replace("NAME", &self.name)
            .replace("DIR", &self.dir.display().to_string());
        let file = self.file(kind);
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("mode");
    }

    fn act(&self, verb: &str) {
        ask(&self.name, verb);
    }

    /// As it was in the beginning.
    fn reset(&self, kind: Kind) {
        self.act("stop");
        match kind {
            Kind::Systemd => {
                let drop_in = format!("/etc/systemd/system/{}.service.d", self.name);
                if fs::remove_dir_all(drop_in).is_ok() {
                    manage(&["daemon-reload"]);
                }
                self.act("disable");
            }
            Kind::Sysv => self.unlink(),
        }
        fs::write(self.dir.join("conf"), "former\n").expect("written");
        let _ = fs::remove_file(self.dir.join("loaded"));
    }

    fn unlink(&self) {
        Command::new("update-rc.d")
            .args(["-f", &self.name, "remove"])
            .output()
            .expect("update-rc.d");
    }

    fn forget(&self) {
        for kind in [Kind::Systemd, Kind::Sysv] {
            let _ = fs::remove_file(self.file(kind));
        }
        let drop_in = format!("/etc/systemd/system/{}.service.d", self.name);
        let _ = fs::remove_dir_all(drop_in);
        if POOL.get().is_some_and(|pool| pool.kind == Kind::Sysv) {
            self.unlink();
        }
    }
}

/// Runs `systemctl`.
pub fn manage(args: &[&str]) -> String {
    let pool = POOL.get().expect("a manager");
    let done = Command::new(pool.bin.join("systemctl"))
        .args(args)
        .output()
        .expect("systemctl");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Starts, stops, enables … a service.
pub fn ask(name: &str, verb: &str) {
    let pool = POOL.get().expect("a manager");
    let mut command = match pool.kind {
        Kind::Systemd => {
            let mut command = Command::new(pool.bin.join("systemctl"));
            command.args([verb, name]);
            command
        }
        Kind::Sysv if verb == "enable" => {
            let mut command = Command::new("update-rc.d");
            command.args([name, "defaults"]);
            command
        }
        Kind::Sysv => {
            let mut command = Command::new("service");
            command.args([name, verb]);
            command
        }
    };
    let done = command.stdin(Stdio::null()).output().expect("it runs");
    let fine = done.status.success() || verb == "disable" || verb == "stop";
    assert!(fine, "{command:?}: {done:?}");
}

/// Gives a site a service of its own, in its first state: it is told in the file `unit`, and lies in the
/// directory that the file `dir` tells.
pub fn give(site: &Site) {
    let pool = POOL.get().expect("a manager");
    let service = {
        let mut services = pool.services.lock().expect("no panic inside");
        let free = services
            .iter_mut()
            .find(|s| s.site.as_ref().is_none_or(|site| !site.exists()))
            .expect("a service is free");
        free.site = Some(site.path(""));
        free.clone()
    };
    service.reset(pool.kind);
    site.write("unit", &service.name);
    site.write("dir", &service.dir.display().to_string());
    if pool.kind == Kind::Systemd {
        std::os::unix::fs::symlink(&pool.bin, site.path("bin")).expect("a link");
    }
}

/// The service of the site in this directory.
pub fn service_of(root: &Path) -> (String, PathBuf) {
    let read = |name| fs::read_to_string(root.join(name)).expect("a service");
    (read("unit"), read("dir").into())
}

/// All that can be seen of the service of a site: does it run, with which configuration, is it enabled,
/// does systemd know what its files say.
pub fn seen(site: &Site) -> String {
    let pool = POOL.get().expect("a manager");
    let (name, dir) = service_of(&site.path(""));
    let mut seen = match pool.kind {
        Kind::Systemd => {
            let properties = "--property=ActiveState,NeedDaemonReload,Description";
            manage(&["show", properties, &name]).replace("=failed", "=inactive")
        }
        Kind::Sysv => {
            let status = Command::new("service").args([&name, "status"]).output();
            format!("status {:?}\n", status.expect("service").status.code())
        }
    };
    let runs = seen.contains("ActiveState=active") || seen.contains("Some(0)");
    let read = |file| fs::read_to_string(dir.join(file)).unwrap_or_default();
    seen += &format!("conf {}", read("conf"));
    if runs {
        seen += &format!("loaded {}", read("loaded"));
    }
    let links = Command::new("sh")
        .args([
            "-c",
            "for l in /etc/rc?.d/[SK]??\"$1\" /etc/systemd/system/*.wants/\"$1\".service; do \
             test ! -L \"$l\" || echo \"$l $(readlink \"$l\")\"; done",
            "sh",
            &name,
        ])
        .output()
        .expect("sh");
    seen.push_str(&String::from_utf8_lossy(&links.stdout));
    seen
}
