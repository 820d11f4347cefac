//! Where a journal cannot be kept, and what is said about it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use deployrun::journal::{AppendError, Journal, JournalError, Options, Reader, Reserve};

use crate::scene::{self, Mount, assert_sound, entry, need_root, new_run, open, small};

fn refused(state: &Path) -> JournalError {
    match Journal::open(state) {
        Ok(_) => panic!("{} was accepted", state.display()),
        Err(error) => error,
    }
}

/// Every refusal names the place and says what to do.
fn assert_helpful(error: &JournalError, place: &Path) {
    let text = error.to_string();
    assert!(text.contains(&place.display().to_string()), "{text}");
    assert!(
        text.contains("--state") && text.contains("nothing was started"),
        "{text}"
    );
}

#[test]
fn a_new_state_directory_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b/state");
    let journal = open(&state);
    assert!(journal.reserve().is_kept());
    let mode = |name: &str| fs::metadata(state.join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "reserve"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn what_is_no_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    for state in [file.clone(), file.join("below"), file.join("a/b")] {
        let error = refused(&state);
        assert!(
            matches!(error, JournalError::NotADirectory { .. }),
            "{error}"
        );
        assert_helpful(&error, &state);
    }
    assert_eq!(fs::read(&file).unwrap(), b"text");
}

/// As another user: root may write anywhere.
fn open_as_nobody(state: &Path) -> String {
    need_root();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let writer = dir.path().join("writer");
    fs::copy(scene::writer(), &writer).unwrap();
    let output = Command::new(&writer)
        .arg(state)
        .arg("open")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_cannot_be_written_is_refused() {
    need_root();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let state = dir.path().join("state");
    let said = open_as_nobody(&state);
    assert!(
        said.contains("cannot write to") && said.contains("Permission denied"),
        "{said}"
    );
    assert!(!state.exists());
    drop(open(&state));
    let said = open_as_nobody(&state);
    assert!(
        said.contains("cannot write to") && said.contains("Permission denied"),
        "{said}"
    );
    // The directory is open to all, the file is not.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let said = open_as_nobody(&state);
    assert!(said.contains("failed open: cannot write to"), "{said}");
    fs::set_permissions(state.join("journal.db"), fs::Permissions::from_mode(0o444)).unwrap();
    let said = open_as_nobody(&state);
    assert!(said.contains("failed open: cannot write to"), "{said}");
    assert!(said.contains("correct the owner or the mode"), "{said}");
}

#[test]
fn a_read_only_file_system_is_refused_but_can_be_read() {
    let mount = Mount::tmpfs(8 * 1024);
    let state = mount.dir.join("state");
    let run = open(&state)
        .create_run(&new_run(1, "production"), &[entry(1, 0)])
        .unwrap();
    mount.remount("ro");
    for state in [state.clone(), mount.dir.join("new/state")] {
        let error = refused(&state);
        assert!(
            matches!(error, JournalError::ReadOnlyFileSystem { .. }),
            "{error}"
        );
        assert_helpful(&error, &state);
    }
    let reader = Reader::open(&state).unwrap();
    assert_sound(&reader.read(run.as_str()).unwrap(), 0);
}

#[test]
fn a_full_disk_is_refused_at_every_fill() {
    let mut refusals = 0;
    let mut accepted = 0;
    for leave in (0..=128_u64).step_by(4) {
        let mount = Mount::tmpfs(1024);
        let state = mount.dir.join("state");
        mount.fill(leave * 1024);
        match Journal::open(&state) {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!(
                    matches!(error, JournalError::DiskFull { .. }),
                    "{leave} KiB: {error}"
                );
                assert!(error.to_string().contains("the disk is full"), "{error}");
                refusals += 1;
            }
        }
    }
    assert!(
        refusals >= 5 && accepted >= 5,
        "{refusals} refused, {accepted} accepted"
    );
}

#[test]
fn little_space_starts_nothing_but_a_run_can_come_back() {
    let mount = Mount::tmpfs(12 * 1024);
    let state = mount.dir.join("state");
    let mut journal = open(&state);
    assert!(journal.reserve().is_kept());
    let error = journal.preflight().unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::LittleSpace {
                needed: 16_777_216,
                ..
            }
        ),
        "{error}"
    );
    assert_helpful(&error, &state);
    let run = journal.create_run(&new_run(1, "production"), &[]).unwrap();
    drop(journal);
    let options = Options {
        min_free_bytes: 1024 * 1024,
        ..Options::default()
    };
    let mut journal = Journal::open_with(&state, options).unwrap();
    assert!(journal.preflight().unwrap() >= 1024 * 1024);
    journal.append(run.as_str(), &[entry(1, 0)]).unwrap();
    drop(journal);
    // Full to the last page: the journal opens again, or opens once the reserve was given up.
    let filler = mount.fill(0);
    if Journal::open(&state).is_err() {
        assert!(Reserve::new(&state, 1024 * 1024).release().unwrap());
    }
    let mut journal = open(&state);
    journal.reserve().release().unwrap();
    for seq in 2..50 {
        journal.append(run.as_str(), &[entry(seq, 0)]).unwrap();
    }
    drop(journal);
    // What another process gave up is not taken while there is no room for twice as much.
    let journal = open(&state);
    assert!(!journal.reserve().is_kept());
    drop(journal);
    fs::remove_file(filler).unwrap();
    let journal = open(&state);
    assert!(journal.reserve().is_kept());
    assert_eq!(journal.read(run.as_str()).unwrap().len(), 49);
}

#[test]
fn a_disk_that_fills_up_leaves_room_for_the_back_out() {
    let mount = Mount::tmpfs(4 * 1024);
    let state = mount.dir.join("state");
    let mut journal = open(&state);
    assert!(journal.reserve().is_kept());
    let run = journal.create_run(&new_run(1, "production"), &[]).unwrap();
    journal.append(run.as_str(), &[entry(1, 900)]).unwrap();
    mount.fill(100 * 1024);
    let mut acknowledged = 1;
    let error = loop {
        match journal.append(run.as_str(), &[entry(acknowledged + 1, 900)]) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the disk never fills up");
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    assert!(
        error.to_string().contains("the entry was not written"),
        "{error}"
    );
    let error = journal.append(run.as_str(), &[entry(1, 0)]).unwrap_err();
    assert!(matches!(error, AppendError::Halted { .. }), "{error}");
    let error = journal.read(run.as_str()).unwrap_err();
    assert!(matches!(error, JournalError::Halted { .. }), "{error}");
    assert_eq!(
        Reader::open(&state)
            .unwrap()
            .read(run.as_str())
            .unwrap()
            .len() as u64,
        acknowledged
    );

    assert!(journal.reserve().release().unwrap());
    journal.recover_after_failure().unwrap();
    assert_eq!(
        journal.read(run.as_str()).unwrap().len() as u64,
        acknowledged
    );
    for seq in acknowledged + 1..=acknowledged + 100 {
        journal.append(run.as_str(), &[entry(seq, 900)]).unwrap();
    }
    drop(journal);
    let found = open(&state).read(run.as_str()).unwrap();
    assert_eq!(found.len() as u64, acknowledged + 100);
    assert_sound(&found, 900);
}

#[test]
fn recovery_without_space_keeps_the_journal_closed_or_works() {
    let mount = Mount::tmpfs(1024);
    let state = mount.dir.join("state");
    let mut journal = Journal::open_with(&state, small()).unwrap();
    let run = journal.create_run(&new_run(1, "production"), &[]).unwrap();
    mount.fill(0);
    let mut acknowledged = 0;
    let mut failures = 0;
    while failures < 20 && acknowledged < 10_000 {
        match journal.append(run.as_str(), &[entry(acknowledged + 1, 500)]) {
            Ok(()) => acknowledged += 1,
            Err(AppendError::Full { .. } | AppendError::Halted { .. }) => {
                failures += 1;
                if journal.recover_after_failure().is_err() {
                    let error = journal.append(run.as_str(), &[entry(1, 0)]).unwrap_err();
                    assert!(matches!(error, AppendError::Halted { .. }), "{error}");
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(failures, 20);
    let found = Reader::open(&state).unwrap().read(run.as_str()).unwrap();
    assert_eq!(found.len() as u64, acknowledged);
    assert_sound(&found, 500);
}

#[test]
fn what_is_no_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.db");
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x')")
        .unwrap();
    let zeros = vec![0; 8192];
    for content in [
        b"# notes\n".repeat(300).as_slice(),
        &zeros,
        b"x",
        &fs::read(&other).unwrap(),
    ] {
        fs::write(&file, content).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
        assert_helpful(&error, &file);
        let error = Reader::open(dir.path()).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
        for companion in ["journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(dir.path().join(companion));
        }
    }
    // An empty file is what a first start leaves that was interrupted.
    fs::write(&file, b"").unwrap();
    open(dir.path());
}

#[test]
fn a_log_without_its_database_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path())
        .create_run(&new_run(1, "production"), &[entry(1, 0)])
        .unwrap();
    let log = fs::read(dir.path().join("journal.db-wal")).unwrap();
    fs::write(dir.path().join("journal.db"), b"").unwrap();
    for _ in 0..2 {
        let error = refused(dir.path());
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
        let error = Reader::open(dir.path()).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
        assert_eq!(fs::read(dir.path().join("journal.db-wal")).unwrap(), log);
        let _ = fs::remove_file(dir.path().join("journal.db"));
    }
}

#[test]
fn a_newer_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    rusqlite::Connection::open(dir.path().join("journal.db"))
        .unwrap()
        .execute_batch("PRAGMA user_version=99")
        .unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(error, JournalError::Newer { found: 99, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("made by a newer deployrun"),
        "{error}"
    );
    let error = Reader::open(dir.path()).unwrap_err();
    assert!(
        matches!(error, JournalError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_released_journal_opens() {
    let dir = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(dir.path().join("journal.db"))
        .unwrap()
        .execute_batch(include_str!("../fixtures/journal_version_1.sql"))
        .unwrap();
    let mut journal = open(dir.path());
    let run = journal.find("2026").unwrap();
    assert_sound(&journal.read(&run).unwrap(), 30);
    assert!(journal.frozen(&run).unwrap()["sources"]["plan.rhai"].is_string());
    journal.append(&run, &[entry(7, 30)]).unwrap();
    assert_sound(&journal.read(&run).unwrap(), 30);
}

#[test]
fn a_database_held_by_another_process_is_waited_for_and_then_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        busy_timeout: Duration::from_millis(150),
        ..small()
    };
    let mut journal = Journal::open_with(dir.path(), options.clone()).unwrap();
    let run = journal.create_run(&new_run(1, "production"), &[]).unwrap();

    let mut writing = Held::start("writing", dir.path());
    let error = journal.append(run.as_str(), &[entry(1, 0)]).unwrap_err();
    assert!(matches!(error, AppendError::Busy { .. }), "{error}");
    writing.end();
    // Busy closes nothing.
    journal.append(run.as_str(), &[entry(1, 0)]).unwrap();
    drop(journal);

    let mut alone = Held::start("alone", dir.path());
    let error = Journal::open_with(dir.path(), options.clone()).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("locked by another process") && text.contains("journal.db"),
        "{text}"
    );
    alone.end();
    Journal::open_with(dir.path(), options).unwrap();
}

/// Another process with the database in its hands.
struct Held(std::process::Child);

impl Held {
    fn start(how: &str, state: &Path) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = scene::child("places::child_holds_the_database", state)
            .env("HOW", how)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("holding")));
        // The rest of its output is of no interest, but must find a reader.
        std::thread::spawn(move || lines.count());
        Self(child)
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
#[ignore = "run by others in a process of its own"]
fn child_holds_the_database() {
    let connection = rusqlite::Connection::open(scene::child_state().join("journal.db")).unwrap();
    let sql = match std::env::var("HOW").as_deref() {
        Ok("alone") => {
            "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET runs = runs"
        }
        _ => "BEGIN IMMEDIATE",
    };
    connection.execute_batch(sql).unwrap();
    say("holding");
    std::io::read_to_string(std::io::stdin()).unwrap();
}

fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

#[test]
fn forgetful_file_systems_are_named() {
    let mount = Mount::tmpfs(8 * 1024);
    let storage = open(&mount.dir).storage().clone();
    assert_eq!((storage.file_system, storage.durable), ("tmpfs", false));
    assert!(storage.free_bytes > 1024 * 1024);
    for name in ["lower", "upper", "work"] {
        fs::create_dir(mount.dir.join(name)).unwrap();
    }
    let overlay = Mount::new(|dir| {
        let at = |name: &str| mount.dir.join(name).display().to_string();
        let mut command = Command::new("mount");
        command.args(["-t", "overlay", "-o"]);
        command.arg(format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        ));
        command.arg("overlay").arg(dir);
        command
    });
    let mut journal = open(&overlay.dir);
    assert_eq!(
        (journal.storage().file_system, journal.storage().durable),
        ("overlay", false)
    );
    journal
        .create_run(&new_run(1, "production"), &[entry(1, 0)])
        .unwrap();
}

/// A FUSE mount whose server never answers: the kernel itself says what it is to a user other than
/// the one it was mounted for.
#[test]
fn network_file_systems_are_refused_before_anything_is_made() {
    assert!(Path::new("/dev/fuse").exists(), "this test needs /dev/fuse");
    let mount = Mount::new(|dir| {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec 3<>/dev/fuse; exec mount -i -t fuse -o fd=3,rootmode=40000,user_id=12345,group_id=12345 deployrun-test "$1""#, "sh"]);
        command.arg(dir);
        command
    });
    let error = refused(&mount.dir);
    assert!(
        matches!(
            error,
            JournalError::NetworkFileSystem {
                file_system: "FUSE",
                ..
            }
        ),
        "{error}"
    );
    assert_helpful(&error, &mount.dir);
}
