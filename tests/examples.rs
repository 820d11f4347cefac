//! Every plan in `examples/`, run: one that goes well, and one that does not.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use program::{Ended, Running, deployrun};
use tempfile::TempDir;

/// A Saturday, 22:00 in Berlin.
const NOW: &str = "2026-03-21T21:00:00Z";

/// A place for a plan to change, and its journal.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("srv")).expect("a directory");
        Self(dir)
    }

    fn dir(&self) -> String {
        self.0.path().join("srv").display().to_string()
    }

    fn state(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }

    #[track_caller]
    fn write(&self, name: &str, text: &str) {
        let path = Path::new(&self.dir()).join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        // At once: watches read some of these files.
        let beside = path.with_extension("new");
        fs::write(&beside, text).expect("it can be written");
        fs::rename(beside, path).expect("it can be put in place");
    }

    #[track_caller]
    fn script(&self, name: &str, text: &str) {
        self.write(
            name,
            &format!("#!/bin/sh\nset -eu\ncd {}\n{text}\n", self.dir()),
        );
        let path = Path::new(&self.dir()).join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Every file below the place with its content, `NAME: CONTENT` a line.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(Path::new(&self.dir()), Path::new(""), &mut found);
        found.sort();
        found
    }

    /// The command that runs an example here, at this time, with these settings.
    fn run_at(&self, now: &str, plan: &str, settings: &[&str]) -> Command {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(plan);
        let mut command = deployrun(&self.state(), now, &["run"]);
        command
            .arg(path)
            .arg("-e")
            .arg(format!("dir={}", self.dir()));
        for setting in settings {
            command.args(["-e", setting]);
        }
        command
    }

    fn run(&self, plan: &str, settings: &[&str]) -> Ended {
        Running::start(self.run_at(NOW, plan, settings)).end()
    }
}

fn walk(root: &Path, below: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(below)).expect("a directory") {
        let path = below.join(entry.expect("an entry").file_name());
        let whole = root.join(&path);
        if whole.is_dir() {
            found.push(format!("{}/", path.display()));
            walk(root, &path, found);
        } else {
            let text = fs::read_to_string(whole).expect("a text");
            found.push(format!("{}: {}", path.display(), text.trim_end()));
        }
    }
}

#[test]
fn the_static_check_finds_nothing_but_open_questions() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut plans = vec!["shop/plan.rhai".to_owned(), "modules/plan.rhai".to_owned()];
    for entry in fs::read_dir(&examples).expect("the examples") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("a name").to_owned();
        if name.ends_with(".rhai") {
            plans.push(name);
        }
    }
    assert_eq!(
        plans.len(),
        8,
        "a new example needs a test below: {plans:?}"
    );
    let place = Place::new();
    for plan in plans {
        let output = deployrun(&place.state(), NOW, &["check"])
            .arg(examples.join(&plan))
            .output()
            .expect("deployrun can be started");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{plan}:\n{stdout}");
        let codes: Vec<String> = stdout
            .lines()
            .map(|line| {
                let found: serde_json::Value = serde_json::from_str(line).expect("JSON");
                found["code"].as_str().unwrap_or_default().to_owned()
            })
            .collect();
        // Small plans leave questions of the checklist open; the one for a real machine does not.
        let expected: &[&str] = if plan.starts_with("shop") {
            &[]
        } else {
            &["checklist"]
        };
        assert_eq!(codes, expected, "{plan}:\n{stdout}");
    }
}

#[test]
fn hello() {
    let place = Place::new();
    let to = format!("to={}/hello.txt", place.dir());
    let ended = place.run("hello.rhai", &[&to]).expect(0);
    let told = format!(
        "write {}/hello.txt: succeeded\nverified it is there\nreleased",
        place.dir()
    );
    assert_eq!(ended.told(), told);
    assert_eq!(place.files(), ["hello.txt: hello, production"]);
}

/// A service that takes its configuration when it is told to reload.
fn mail() -> Place {
    let place = Place::new();
    place.write("mail.conf", "workers = 4\n");
    place.script("reload", "cat mail.conf >running\necho reloaded >>log");
    place
}

#[test]
fn files() {
    let place = mail();
    let ended = place.run("files.rhai", &["workers=8"]).expect(0);
    let write = format!("write {}/mail.conf: succeeded", place.dir());
    let told = format!(
        "{write}\nvalidate: succeeded\nreload: succeeded\nverified the service took it\nreleased"
    );
    assert_eq!(ended.told(), told);
    assert_eq!(read(&place, "running"), read(&place, "mail.conf"));
    assert!(read(&place, "running").contains("workers = 8\n"));

    // The same again changes nothing.
    let ended = place.run("files.rhai", &["workers=8"]).expect(0);
    let told = format!(
        "{write}\nsaid: the configuration is as it should be already\n\
         verified the service took it\nreleased"
    );
    assert_eq!(ended.told(), told);
    assert_eq!(read(&place, "log"), "reloaded\n");
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(Path::new(&place.dir()).join(name)).expect("it is there")
}

#[test]
fn files_that_are_not_accepted() {
    let place = mail();
    let ended = place.run("files.rhai", &["workers=many"]).expect(3);
    let told = format!(
        "write {}/mail.conf: succeeded\nvalidate: failed\nstops: failed-step\n\
         back-out of 7: succeeded\nback-out of 6: succeeded\nbacked-out",
        place.dir()
    );
    assert_eq!(ended.told(), told);
    assert_eq!(read(&place, "mail.conf"), "workers = 4\n");
    // It was reloaded after the former file was back, not before.
    assert_eq!(read(&place, "running"), "workers = 4\n");
    assert_eq!(read(&place, "log"), "reloaded\n");
}

#[test]
fn approval() {
    let place = Place::new();
    let mut running = Running::start(place.run_at(NOW, "approval.rhai", &[]));
    for name in ["change board", "canary looks good"] {
        running.wait_for("approval-asked", |e| e["name"] == name);
        let status = deployrun(&place.state(), NOW, &["approve", &running.run(), name])
            .status()
            .expect("deployrun can be started");
        assert_eq!(status.code(), Some(0), "approve {name}");
    }
    let ended = running.end().expect(0);
    let dir = place.dir();
    let told = format!(
        "asks for approval: change board
approved: change board
write {dir}/canary.version: succeeded
asks for approval: canary looks good
approved: canary looks good
said: the canary has been looked at
write {dir}/all.version: succeeded
verified all have it
released"
    );
    assert_eq!(ended.told(), told);
    assert_eq!(place.files(), ["all.version: 7.1", "canary.version: 7.1"]);
}

#[test]
fn approval_that_nobody_gives() {
    let place = Place::new();
    let mut running = Running::start(place.run_at(NOW, "approval.rhai", &[]));
    running.wait_for("approval-asked", |_| true);
    running.terminate();
    let ended = running.end().expect(1);
    let told = "asks for approval: change board\nstops: operator\nrefused";
    assert_eq!(ended.told(), told);
    assert_eq!(place.files(), [""; 0]);
}

/// The plan's window, in its normal form.
const TARIFFS: &str =
    "Mon-Thu 20:00-23:00 Europe/Berlin except 2026-12-20/2027-01-06 Europe/Berlin";

#[test]
fn window() {
    let place = Place::new();
    // A Monday in winter, half a minute before 20:30 in Berlin.
    let command = place.run_at("2026-03-23T19:29:30Z", "window.rhai", &[]);
    let ended = Running::start(command).end().expect(0);
    let told = format!(
        "the window is open: {TARIFFS}
said: the window closes in 150 minutes
write {}/tariffs: succeeded
verified the tariffs are there
released",
        place.dir()
    );
    assert_eq!(ended.told(), told);
    assert_eq!(place.files(), ["tariffs: 2026-04"]);
}

/// Runs the plan at a time at which it must wait; returns until when, and sees that nothing happens.
fn waits_until(now: &str) -> String {
    let place = Place::new();
    let mut running = Running::start(place.run_at(now, "window.rhai", &[]));
    let event = running.wait_for("window-awaited", |_| true);
    let opens = event["opens_ms"].as_i64().expect("an instant");
    running.terminate();
    let told = running.end().expect(1).told();
    assert_eq!(
        told,
        format!("waits for the window {TARIFFS}\nstops: operator\nrefused")
    );
    assert_eq!(place.files(), [""; 0]);
    jiff::Timestamp::from_millisecond(opens)
        .expect("an instant")
        .to_string()
}

#[test]
fn window_that_is_not_open() {
    // On Saturday: until Monday.
    assert_eq!(waits_until("2026-03-21T21:00:00Z"), "2026-03-23T19:00:00Z");
    // On Monday at 22:45 there is not enough of it left: until Tuesday.
    assert_eq!(waits_until("2026-03-23T21:45:00Z"), "2026-03-24T19:00:00Z");
    // After the clock change 20:00 is an hour earlier in UTC.
    assert_eq!(waits_until("2026-03-29T12:00:00Z"), "2026-03-30T18:00:00Z");
    // On the Monday before Christmas: until the first Thursday after the freeze.
    assert_eq!(waits_until("2026-12-21T19:30:00Z"), "2027-01-07T19:00:00Z");
}

#[test]
fn window_that_opens_while_it_is_waited_for() {
    let place = Place::new();
    // The clock of the run is 5 seconds before 20:00 in Berlin.
    let command = place.run_at("2026-03-23T18:59:55Z", "window.rhai", &[]);
    let told = Running::start(command).end().expect(0).told();
    let expected = format!("waits for the window {TARIFFS}\nthe window is open: {TARIFFS}\n");
    assert!(told.starts_with(&expected), "{told}");
}

#[test]
fn window_that_is_set_aside() {
    let place = Place::new();
    let mut command = place.run_at(NOW, "window.rhai", &[]);
    command.args(["--override-window", "INC-311: leak"]);
    let ended = Running::start(command).end().expect(0);
    let told = format!(
        "the window is set aside: INC-311: leak
said: outside the window
write {}/tariffs: succeeded
verified the tariffs are there
released",
        place.dir()
    );
    assert_eq!(ended.told(), told);
}

/// A queue whose monitoring has written that nothing failed.
fn queue() -> Place {
    let place = Place::new();
    place.write("failed", "0\n");
    place.write("consumer", "2.9\n");
    place
}

#[test]
fn watch() {
    let place = queue();
    let ended = place
        .run("watch.rhai", &["every=50ms", "soak=500ms"])
        .expect(0);
    let told = format!(
        "write {}/consumer: succeeded\nverified the consumer is 3.0\nreleased",
        place.dir()
    );
    assert_eq!(ended.told(), told);
    let samples = |name: &str| {
        let found = ended
            .events
            .iter()
            .filter(|e| e["event"] == "sampled" && e["name"] == name);
        found
            .map(|e| e["verdict"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let failed = samples("no message fails");
    assert!(
        failed.len() > 2 && failed.iter().all(|v| v == "pass"),
        "{failed:?}"
    );
    // Nobody writes the other number, which the plan does not mind.
    let waiting = samples("the queue is short");
    assert!(
        waiting.len() > 2 && waiting.iter().all(|v| v == "no-data"),
        "{waiting:?}"
    );
}

#[test]
fn watch_that_trips() {
    let place = queue();
    // It must not trip, however long the queue is.
    place.write("waiting", "5000\n");
    let mut running = Running::start(place.run_at(NOW, "watch.rhai", &["every=50ms", "soak=10m"]));
    running.wait_for("call-began", |e| e["call"]["function"] == "soak");
    place.write("failed", "7\n");
    let ended = running.end().expect(3);
    let told = format!(
        "write {}/consumer: succeeded\nverified the consumer is 3.0\nstops: tripped-watch\n\
         back-out of 5: succeeded\nbacked-out",
        place.dir()
    );
    assert_eq!(ended.told(), told);
    assert_eq!(
        place.files(),
        ["consumer: 2.9", "failed: 7", "waiting: 5000"]
    );
}

/// Scripts that fail at first: `fetch` twice, `build` once, after half of its work.
fn search() -> Place {
    let place = Place::new();
    place.script(
        "fetch",
        "echo >>fetches\n[ $(wc -l <fetches) -gt 2 ] || { echo busy >&2; exit 1; }\necho words >$1.data",
    );
    place.script(
        "build",
        "echo >>builds\necho half >$1/half\n[ $(wc -l <builds) -gt 1 ]\nmv $1/half $1/index",
    );
    place.script("warm-up", "exit 9");
    place
}

#[test]
fn retry_and_groups() {
    let place = search();
    let ended = place
        .run("retry-and-groups.rhai", &["delay=10ms"])
        .expect(0);
    let dir = place.dir();
    let told = format!(
        "fetch: failed, again
fetch: failed, again
fetch: succeeded
group build and link
mkdir {dir}/51: succeeded
build: failed
back-out of 6: succeeded
mkdir {dir}/51: succeeded
build: succeeded
warm up: failed
said: the index is cold: the warm-up ended with 9
verified the index is there
released"
    );
    assert_eq!(ended.told(), told);
    assert_eq!(read(&place, "51/index"), "half\n");
}

#[test]
fn retry_and_groups_in_vain() {
    let place = search();
    place.script("build", "echo half >$1/half\nexit 1");
    let before = place.files();
    let ended = place
        .run("retry-and-groups.rhai", &["delay=10ms"])
        .expect(3);
    let told = ended.told();
    assert!(told.ends_with("backed-out"), "{told}");
    assert_eq!(told.matches("build: failed").count(), 2, "{told}");
    let mut after = place.files();
    // What the script of this test itself counts.
    after.retain(|line| !line.starts_with("fetches: "));
    assert_eq!(after, before);
}

#[test]
fn retry_and_groups_with_an_output_that_says_it_is_over() {
    let place = search();
    place.script("fetch", "echo disk quota exceeded; exec sleep 600");
    let before = place.files();
    let ended = place
        .run("retry-and-groups.rhai", &["delay=10ms"])
        .expect(3);
    assert!(
        ended.told().starts_with("fetch: cut-off"),
        "{}",
        ended.told()
    );
    assert_eq!(place.files(), before);
}

/// A shop with flags.
fn flags() -> Place {
    let place = Place::new();
    for (flag, value) in [
        ("maintenance", "off"),
        ("old-basket", "on"),
        ("prices-with-tax", "off"),
    ] {
        place.write(&format!("flags/{flag}"), &format!("{value}\n"));
    }
    place
}

#[test]
fn modules() {
    let place = flags();
    let ended = place.run("modules/plan.rhai", &[]).expect(0);
    let told = "\
group under maintenance: We are changing our prices.
say why: succeeded
switch maintenance on: succeeded
switch prices-with-tax on: succeeded
switch old-basket off: succeeded
switch maintenance off: succeeded
say no more: succeeded
verified prices are shown with tax
verified the shop is open
released";
    assert_eq!(ended.told(), told);
    let files = [
        "flags/",
        "flags/maintenance: off",
        "flags/old-basket: off",
        "flags/prices-with-tax: on",
    ];
    assert_eq!(place.files(), files);
}

#[test]
fn modules_that_back_out() {
    let place = flags();
    // A flag that cannot be switched: it is a directory.
    fs::remove_file(Path::new(&place.dir()).join("flags/old-basket")).expect("it is there");
    place.write("flags/old-basket/broken", "x\n");
    place.write("reason", "We have moved.\n");
    let before = place.files();
    let ended = place.run("modules/plan.rhai", &[]).expect(3);
    let told = ended.told();
    assert!(
        told.contains("switch old-basket off: failed\nstops: failed-step\n"),
        "{told}"
    );
    assert_eq!(place.files(), before);
}

#[test]
fn modules_with_an_unknown_flag() {
    let place = flags();
    fs::remove_file(Path::new(&place.dir()).join("flags/old-basket")).expect("it is there");
    let ended = place.run("modules/plan.rhai", &[]).expect(1);
    let told = "not so: the flag old-basket exists\nstops: refused\nrefused";
    assert_eq!(ended.told(), told);
}

/// Runs the program of `examples/embed.rs`.
fn embed(dir: &str, args: &[&str]) -> (Option<i32>, String) {
    // Cargo puts examples beside the directory of the program.
    let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
    let program = program
        .parent()
        .expect("a directory")
        .join("examples/embed");
    let output = Command::new(&program)
        .arg(dir)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; cargo build --example embed", program.display()));
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "");
    (output.status.code(), stdout)
}

#[test]
fn embedding() {
    let place = Place::new();
    let (status, told) = embed(&place.dir(), &[]);
    let expected = "\
there are seats: yes
-- waiting
-- release
sell tickets ...
... succeeded
sell some more ...
... succeeded
-- verify
-- released
released: 97 seats are left
";
    assert_eq!((status, told.as_str()), (Some(0), expected));

    let (status, told) = embed(&place.dir(), &["--sold-out"]);
    let expected = "\
there are seats: yes
-- waiting
-- release
sell tickets ...
... succeeded
sell some more ...
... failed
stops: failed step
-- backing-out
give_back ...
... succeeded
give the seats back: succeeded
-- backed-out
backed-out: 97 seats are left
";
    assert_eq!((status, told.as_str()), (Some(3), expected));
}
