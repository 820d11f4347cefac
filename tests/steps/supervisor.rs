//! A step from its start to its end, with real processes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::scene::{Scene, kill, processes, stands_in, until};
use deployrun::target::local::{Ending, Found, Lost, Standby, StepDir};
use deployrun::target::step_supervisor::boot_id;
use deployrun::words::step::{CutOff, End, StepEnd};

fn spool(scene: &Scene) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let part = scene
            .dir
            .read_output(all.len() as u64, 100_000)
            .expect("output");
        if part.bytes.is_empty() {
            return all;
        }
        assert_eq!(part.offset, all.len() as u64);
        all.extend(part.bytes);
    }
}

#[test]
fn streams_are_split_and_merged_in_order() {
    let scene = Scene::new();
    let script =
        "echo o1; sleep 0.05; echo e1 >&2; sleep 0.05; echo o2; echo e2 > /dev/stderr; exit 5";
    let end = scene.run(&scene.sh(script));
    assert_eq!(end.end, End::Exited { code: 5 });
    assert_eq!(
        (end.stdout.text.as_str(), end.stderr.text.as_str()),
        ("o1\no2\n", "e1\ne2\n")
    );
    assert!(!end.stdout.cut && end.cut_off.is_none());
    assert!(end.tail.starts_with("o1\ne1\n"), "{}", end.tail);
    let spool = String::from_utf8(spool(&scene)).expect("text");
    assert!(
        spool.starts_with("o1\ne1\n") && spool.len() == 12,
        "{spool}"
    );
    assert_eq!((end.output_bytes, end.dropped_bytes), (12, 0));
    assert!(end.duration_ms >= 100);
}

#[test]
fn ends_are_told_apart() {
    let ended = |script: &str| {
        let scene = Scene::new();
        scene.run(&scene.sh(script)).end
    };
    assert_eq!(ended(":"), End::Exited { code: 0 });
    assert_eq!(ended("exit 127"), End::Exited { code: 127 });
    assert_eq!(ended("kill -9 $$"), End::Signaled { signal: 9 });
    assert_eq!(ended("kill -TERM $$"), End::Signaled { signal: 15 });
    // SIGPIPE has its default effect in children.
    assert_eq!(
        ended("sh -c 'kill -PIPE $$'; exit $((($? == 141) * 9))"),
        End::Exited { code: 9 }
    );
}

#[test]
fn what_cannot_start_says_why() {
    let refused = |shape: &dyn Fn(&Scene, &mut deployrun::words::step::StepSpec)| {
        let scene = Scene::new();
        let mut spec = scene.sh("echo ran > ran");
        shape(&scene, &mut spec);
        let end = scene.run(&spec);
        assert!(!scene.file("ran").exists());
        match end.end {
            End::NotStarted { error } => error,
            other => panic!("{other:?}"),
        }
    };
    let has = |error: &str, part: &str| assert!(error.contains(part), "{error}");
    has(
        &refused(&|_, s| s.argv = vec!["no-such-tool".into()]),
        "cannot find program \"no-such-tool\" in PATH",
    );
    has(
        &refused(&|_, s| s.argv[0] = "/no/such/tool".into()),
        "No such file",
    );
    has(
        &refused(&|_, s| s.argv[0] = "/etc/passwd".into()),
        "not executable",
    );
    has(
        &refused(&|_, s| s.cwd = "/no/such/dir".into()),
        "in directory \"/no/such/dir\"",
    );
    has(&refused(&|_, s| s.abort_on = vec!["(".into()]), "not valid");
    has(&refused(&|_, s| s.secrets = vec!["abc".into()]), "3 bytes");
    has(
        &refused(&|_, s| s.user = Some("no-such-user-x".into())),
        "no such user",
    );
    has(&refused(&|_, s| s.argv.push("a\0b".into())), "nul byte");
    has(
        &refused(&|scene, s| {
            std::fs::write(scene.file("t"), "#!/no/interpreter\n").expect("a file");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(scene.file("t"), mode).expect("a mode");
            s.argv[0] = "./t".into();
        }),
        "interpreter",
    );
    has(
        &refused(&|_, s| s.argv.push("x".repeat(3 << 20))),
        "too large",
    );
}

#[test]
fn the_child_gets_what_the_spec_says_and_nothing_else() {
    let scene = Scene::new();
    let mut spec =
        scene.sh("cat; pwd; tr '\\0' '\\n' < /proc/self/environ; ls -l /proc/self/fd | wc -l");
    spec.stdin = Some("typed\n".into());
    spec.env.insert("A".into(), "b c".into());
    let end = scene.run(&spec);
    let lines: Vec<&str> = end.stdout.text.lines().collect();
    assert_eq!(lines[0], "typed");
    assert_eq!(
        lines[1],
        scene
            .tmp
            .path()
            .canonicalize()
            .expect("a path")
            .to_str()
            .expect("text")
    );
    let env: Vec<&&str> = lines.iter().filter(|l| l.contains('=')).collect();
    assert!(
        env.contains(&&"A=b c") && env.contains(&&"PATH=/usr/bin:/bin"),
        "{env:?}"
    );
    let mark = env
        .iter()
        .find(|l| l.starts_with("DEPLOYRUN_STEP=r1/main/1/"));
    assert!(mark.is_some(), "{env:?}");
    // PWD is the shell's own doing.
    assert!(env.iter().all(|l| {
        ["A=", "PATH=", "DEPLOYRUN_STEP=", "PWD=", "OLDPWD=", "_="]
            .iter()
            .any(|p| l.starts_with(p))
    }));
}

/// Ignored and blocked signals, descriptors and a process group of whoever started the supervisor
/// stay outside.
#[test]
fn nothing_is_inherited() {
    let scene = Scene::new();
    let spec = scene.sh("grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd");
    let wrapper = scene.file("wrapper");
    let script = format!(
        "#!/bin/bash\ntrap '' HUP INT QUIT USR1 ALRM TSTP WINCH CHLD\n\
         exec 7</etc/passwd 9>'{}'\nexec '{}' \"$@\"\n",
        scene.file("leak").display(),
        env!("CARGO_BIN_EXE_deployrun")
    );
    std::fs::write(&wrapper, script).expect("a file");
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).expect("a program");
    let running = Standby::with_exe(&wrapper)
        .start(scene.dir.path(), &spec)
        .expect("a supervisor");
    let end = scene.end_of(&running);
    let text = end.stdout.text;
    assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
    // 32 and 33 are the C library's own; it lets nobody set them, and sets them when it needs them.
    assert!(
        text.contains("SigIgn:\t0000000000000000") || text.contains("SigIgn:\t0000000180000000"),
        "{text}"
    );
    // 3 is ls's own.
    assert!(text.ends_with("\n0\n1\n2\n3\n"), "{text}");
}

#[test]
fn another_user_with_their_groups() {
    let scene = Scene::new();
    let mut spec = scene.sh("id -un; id -G; echo to-stderr > /dev/stderr; echo $HOME");
    spec.cwd = "/".into();
    spec.user = Some("daemon".into());
    let end = scene.run(&spec);
    if !rustix::process::geteuid().is_root() {
        let End::NotStarted { error } = end.end else {
            panic!("{end:?}")
        };
        assert!(error.contains("only root"), "{error}");
        return;
    }
    let groups = Command::new("id")
        .args(["-G", "daemon"])
        .output()
        .expect("id")
        .stdout;
    let groups = String::from_utf8(groups).expect("text");
    assert_eq!(end.stdout.text, format!("daemon\n{groups}\n"), "{end:?}");
    assert_eq!(end.stderr.text, "to-stderr\n");
    assert_eq!(end.end, End::Exited { code: 0 });
    let scene = Scene::new();
    let mut spec = scene.sh(":");
    spec.user = Some("daemon".into());
    std::fs::write(scene.file("mine"), "#!/bin/sh\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(scene.file("mine"), mode).expect("a mode");
    spec.argv = vec!["./mine".into()];
    let end = scene.run(&spec);
    let End::NotStarted { error } = end.end else {
        panic!("{end:?}")
    };
    assert!(
        error.contains("as user \"daemon\"") && error.contains("denied"),
        "{error}"
    );
}

#[test]
fn a_quiet_daemon_of_a_successful_step_lives_and_is_named() {
    let scene = Scene::new();
    let begun = Instant::now();
    let script = "(setsid sleep 300.TAG </dev/null >/dev/null 2>&1 &); echo done";
    let end = scene.run(&scene.sh(script));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!((end.end, end.cut_off), (End::Exited { code: 0 }, None));
    let [daemon] = &end.left_running[..] else {
        panic!("{:?}", end.left_running)
    };
    assert!(daemon.command.starts_with("sleep 300.") && !daemon.holds_output);
    assert_eq!(scene.alive(), [daemon.pid]);
    assert!(end.killed.is_empty() && end.survivors.is_empty());
}

#[test]
fn a_daemon_that_writes_is_read_on() {
    let scene = Scene::new();
    // It would die of SIGPIPE at its next line if nobody read.
    let script = "(setsid sh -c ': TAG; i=0; while :; do echo tick s3cret-$i; i=$((i+1)); sleep 0.05; done' &); exit 0";
    let mut spec = scene.sh(script);
    spec.max_output = 4000;
    spec.secrets = vec!["s3cret".into()];
    let begun = Instant::now();
    let end = scene.run(&spec);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(end.end, End::Exited { code: 0 });
    assert!(end.left_running.iter().any(|p| p.holds_output), "{end:?}");
    let before = scene.dir.output_len().expect("a length");
    until("more output", || {
        scene.dir.output_len().is_ok_and(|n| n > before + 4000)
    });
    assert!(!scene.alive().is_empty());
    assert!(!stands_in(scene.dir.path(), "s3cret"));
    let kept: u64 = std::fs::read_dir(scene.dir.path())
        .expect("files")
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("out"))
        .map(|e| e.metadata().map_or(0, |m| m.len()))
        .sum();
    assert!(kept <= 4000, "{kept}");
    // Another look still finds the end, and the drainer goes with the daemon.
    assert!(matches!(scene.find(), Found::Ended(_)));
    for pid in scene.alive() {
        kill(pid, "KILL");
    }
    let own: Vec<String> = vec![scene.dir.path().display().to_string()];
    until("no supervisor", || {
        processes(|c| c.contains(&own[0])).is_empty()
    });
}

#[test]
fn output_of_any_kind() {
    for (script, stdout, bytes) in [
        ("printf abc", "abc", 3),
        ("printf 'a\\000b\\377\\n'", "a\0b\u{fffd}\n", 5),
        ("printf '1%%\\r2%%\\r3%%\\n'", "1%\r2%\r3%\n", 9),
        (
            "printf '\\033[31mred\\033[0m\\n'",
            "\u{1b}[31mred\u{1b}[0m\n",
            13,
        ),
        (":", "", 0),
    ] {
        let scene = Scene::new();
        let mut spec = scene.sh(script);
        spec.abort_on = vec!["no such text".into()];
        let end = scene.run(&spec);
        assert_eq!(end.stdout.text, stdout, "{script}");
        assert_eq!(end.output_bytes, bytes, "{script}");
        assert!(!end.tail.contains('\u{1b}') && !end.tail.contains('\0'));
    }
}

#[test]
fn gigabytes_in_bounded_memory() {
    for source in ["head -c 200000000 /dev/zero", "yes | head -c 200000000"] {
        let scene = Scene::new();
        let mut spec = scene.sh(source);
        spec.abort_on = vec!["no such text".into()];
        spec.secrets = vec!["a secret that never comes".into()];
        let running = scene.start(&spec);
        let pid = scene.supervisor();
        let mut peak = 0;
        while !running.wait_for(Duration::from_millis(20)).expect("a wait") {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let kib = status
                .lines()
                .find_map(|l| l.strip_prefix("VmHWM:"))
                .unwrap_or("0");
            let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            peak = peak.max(kib);
        }
        let end = scene.end_of(&running);
        eprintln!("{source}: {} ms, peak {peak} KiB", end.duration_ms);
        assert!((1..40 * 1024).contains(&peak), "{peak} KiB");
        assert_eq!(end.output_bytes, 200_000_000);
        assert!(end.dropped_bytes >= 199_000_000 - (1 << 20) && end.stdout.cut);
        assert!(end.stdout.text.len() < 300_000 && end.tail.len() <= 65_536);
        let tail = scene.dir.read_output(100_000_000, 10).expect("output");
        assert!(
            tail.offset > 100_000_000 && tail.bytes.len() == 10,
            "{tail:?}"
        );
        assert_eq!(scene.dir.output_len().expect("a length"), 200_000_000);
    }
}

#[test]
fn a_spool_that_cannot_be_written_fails_nothing() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.dir.path().join("out")).expect("a directory in the way");
    let end = scene.run(&scene.sh("echo hello"));
    assert_eq!(end.end, End::Exited { code: 0 });
    assert_eq!(
        (end.stdout.text.as_str(), end.dropped_bytes),
        ("hello\n", 6)
    );
}

#[test]
fn secrets_are_masked_everywhere() {
    let scene = Scene::new();
    let secret = "Tr0ub4dor&3";
    let script = "for c in T r 0 u b 4 d o r '&'; do printf %s \"$c\"; sleep 0.02; done; echo 3; \
                  echo \"ERROR with $PASSWORD\" >&2; printf %s \"$PASSWORD\" | base64; \
                  sleep 300.TAG";
    let mut spec = scene.sh(script);
    spec.env.insert("PASSWORD".into(), secret.into());
    spec.secrets = vec![secret.into()];
    spec.abort_on = vec!["ERROR.*".into()];
    let end = scene.run(&spec);
    let Some(CutOff::AbortOn { line, .. }) = &end.cut_off else {
        panic!("{end:?}")
    };
    assert_eq!(line, "ERROR with ***");
    assert!(end.stdout.text.starts_with("***\n"), "{}", end.stdout.text);
    let text = serde_json::to_string(&end).expect("json");
    assert!(
        !text.contains(secret) && !text.contains("VHIwdWI0ZG9yJj"),
        "{text}"
    );
    assert!(!stands_in(scene.tmp.path(), secret));
    let scene = Scene::new();
    let mut spec = scene.sh("exec sleep 300.TAG");
    spec.argv = vec![
        "/bin/sh".into(),
        "-c".into(),
        format!(": '{secret}' {}; sleep 300 & wait", scene.tag),
    ];
    spec.secrets = vec![secret.into()];
    spec.timeout_ms = 200;
    let end = scene.run(&spec);
    assert!(
        end.killed.iter().any(|p| p.command.contains("***")),
        "{end:?}"
    );
    assert!(!stands_in(scene.tmp.path(), secret));
}

#[test]
fn an_unfinished_line_aborts_in_silence() {
    let scene = Scene::new();
    let mut spec = scene.sh("printf 'Overwrite? [y/N] '; sleep 300.TAG");
    spec.abort_on = vec![r"\[y/N\] ?$".into()];
    let end = scene.run(&spec);
    assert!(
        matches!(&end.cut_off, Some(CutOff::AbortOn { line, .. }) if line == "Overwrite? [y/N] "),
        "{end:?}"
    );
    assert!(end.duration_ms < 5_000);
    // Also when the command is successful before anybody could look.
    let scene = Scene::new();
    let mut spec = scene.sh("printf 'all fine\\nERROR'");
    spec.abort_on = vec!["ERROR".into()];
    let end = scene.run(&spec);
    assert!(
        matches!(end.cut_off, Some(CutOff::AbortOn { .. })) && end.end == End::Exited { code: 0 }
    );
}

#[test]
fn two_supervisors_run_a_step_once() {
    for _ in 0..20 {
        let scene = Scene::new();
        let spec = scene.sh("echo ran >> ran; sleep 0.02");
        let (a, b) = (scene.start(&spec), scene.start(&spec));
        a.wait().and_then(|()| b.wait()).expect("a wait");
        let (a, b) = (scene.end_of(&a), scene.end_of(&b));
        assert_eq!(a, b);
        assert_eq!(
            std::fs::read_to_string(scene.file("ran")).expect("ran"),
            "ran\n"
        );
        // Nor does a third one later.
        let late = scene.start(&spec);
        scene.end_of(&late);
        assert!(late.refusal().expect("a refusal").contains("taken on"));
        assert_eq!(
            std::fs::read_to_string(scene.file("ran")).expect("ran"),
            "ran\n"
        );
    }
}

#[test]
fn a_step_that_never_began_never_will() {
    let scene = Scene::new();
    scene.dir.make().expect("a directory");
    assert!(matches!(scene.find(), Found::NeverStarted));
    let late = scene.start(&scene.sh("echo ran > ran"));
    late.wait().expect("a wait");
    assert!(late.refusal().expect("a refusal").contains("given up"));
    assert!(!scene.file("ran").exists());
    assert!(matches!(scene.find(), Found::NeverStarted));
}

/// A looker and a supervisor at the same time: either the step runs or it never will.
#[test]
fn looking_races_starting() {
    let (mut ran, mut void) = (0, 0);
    for i in 0..40u64 {
        let scene = Scene::new();
        let spec = scene.sh("echo ran >> ran");
        std::fs::create_dir(scene.dir.path()).expect("a directory");
        let running = scene.start(&spec);
        std::thread::sleep(Duration::from_micros(i * 60));
        let first = scene.find();
        running.wait().expect("a wait");
        let last = scene.find();
        match (&first, &last) {
            (Found::NeverStarted, Found::NeverStarted) => {
                assert!(!scene.file("ran").exists());
                void += 1;
            }
            (Found::Running(_) | Found::Ended(_), Found::Ended(_)) => {
                assert!(scene.file("ran").exists());
                ran += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    eprintln!("{ran} ran, {void} never will");
    assert!(ran + void == 40);
}

#[test]
fn a_running_step_is_found_and_ended_by_another() {
    let scene = Scene::new();
    let first = scene.start(&scene.sh("echo up; exec sleep 300.TAG"));
    scene.until_alive(1);
    drop(first);
    let Found::Running(adopted) = scene.find() else {
        panic!("not running")
    };
    assert!(!adopted.wait_for(Duration::from_millis(10)).expect("a wait"));
    adopted.end(Ending::WithGrace).expect("a signal");
    let end = scene.end_of(&adopted);
    assert_eq!(
        (end.cut_off, end.end),
        (Some(CutOff::Stopped), End::Signaled { signal: 15 })
    );
    // To one that has ended it is no error.
    adopted.end(Ending::Now).expect("nothing");
}

/// A signal that comes before the supervisor can handle it is not lost and does not kill it.
#[test]
fn an_early_stop_is_a_stop() {
    for i in 0..30u64 {
        let scene = Scene::new();
        let running = scene.start(&scene.sh("exec sleep 300.TAG"));
        std::thread::sleep(Duration::from_micros(i * 50));
        running.end(Ending::WithGrace).expect("a signal");
        let end = scene.end_of(&running);
        assert_eq!(end.cut_off, Some(CutOff::Stopped), "{end:?}");
        assert_eq!(scene.alive(), [0; 0]);
    }
}

#[test]
fn a_step_without_its_directory_is_lost() {
    let scene = Scene::new();
    scene.run(&scene.sh("true"));
    std::fs::remove_dir_all(scene.dir.path()).expect("removed");
    let found = scene.find();
    let removed = matches!(
        found,
        Found::Lost {
            why: Lost::Removed,
            ..
        }
    );
    assert!(removed, "{found:?}");
}

#[test]
fn after_a_reboot_a_step_is_lost() {
    let scene = Scene::new();
    let other = "00000000-0000-0000-0000-000000000000";
    let look = |dir: &StepDir, boot: &str| dir.find(boot).expect("an answer");
    let is_lost = |f: &Found| {
        matches!(
            f,
            Found::Lost {
                why: Lost::Reboot,
                ..
            }
        )
    };
    // Files that were not synced may be gone altogether.
    assert!(is_lost(&look(&scene.dir, other)));
    std::fs::create_dir(scene.dir.path()).expect("a directory");
    assert!(is_lost(&look(&scene.dir, other)));
    // Or be empty.
    std::fs::write(scene.dir.path().join("lock"), "").expect("a file");
    assert!(is_lost(&look(&scene.dir, other)));
    // Or torn.
    std::fs::write(scene.dir.path().join("lock"), r#"{"void":fa"#).expect("a file");
    assert!(is_lost(&look(&scene.dir, other)));
    std::fs::write(scene.dir.path().join("lock"), "\0\0\0\n").expect("a file");
    assert!(is_lost(&look(&scene.dir, other)));
    let end = {
        let scene = Scene::new();
        scene.run(&scene.sh(":"))
    };
    std::fs::write(scene.dir.path().join("exit"), "").expect("a file");
    assert!(is_lost(&look(&scene.dir, other)));
    // An end that is whole is true whatever happened since.
    std::fs::write(
        scene.dir.path().join("exit"),
        serde_json::to_vec(&end).expect("json"),
    )
    .expect("a file");
    assert!(matches!(look(&scene.dir, other), Found::Ended(_)));
    // Taken on under another boot.
    let scene = Scene::new();
    let started = format!(
        r#"{{"void":false,"pid":4711,"starttime":5,"boot_id":"{other}","mark":"x","grace_ms":0}}
"#
    );
    std::fs::create_dir(scene.dir.path()).expect("a directory");
    std::fs::write(scene.dir.path().join("lock"), started).expect("a file");
    assert!(is_lost(&look(&scene.dir, &boot_id().expect("a boot id"))));
}

#[test]
fn bad_calls_publish_nothing() {
    let scene = Scene::new();
    std::fs::create_dir(scene.dir.path()).expect("a directory");
    for (args, stdin) in [
        (
            vec!["__supervise", scene.dir.path().to_str().expect("text")],
            "",
        ),
        (vec!["__supervise"], "{\"run\":"),
        (vec!["__as_user", "x"], ""),
        (vec!["__drain"], "{"),
    ] {
        let file = scene.file("in");
        std::fs::write(&file, stdin).expect("a file");
        let status = Command::new(env!("CARGO_BIN_EXE_deployrun"))
            .args(&args)
            .stdin(std::fs::File::open(&file).expect("a file"))
            .status()
            .expect("a process");
        assert!(status.code().is_some_and(|c| c != 0), "{args:?}");
    }
    assert_eq!(
        std::fs::read_dir(scene.dir.path()).expect("files").count(),
        0
    );
}

#[test]
fn the_end_survives_its_own_format() {
    let scene = Scene::new();
    let end = scene.run(&scene.sh("echo ä; exit 1"));
    let json = serde_json::to_string(&end).expect("json");
    assert_eq!(serde_json::from_str::<StepEnd>(&json).expect("an end"), end);
    // Nobody else may read what a step printed.
    for entry in std::fs::read_dir(scene.dir.path())
        .expect("files")
        .flatten()
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &entry.metadata().expect("facts").permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{entry:?}");
    }
}
