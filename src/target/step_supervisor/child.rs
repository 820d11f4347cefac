//! Starting the command of a step.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};

use nix::unistd::User;
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;

use super::AS_USER;
use crate::words::step::{End, StepSpec};

/// A started command. It is reaped by [`Child::reap`] and nothing else.
pub(crate) struct Child {
    handle: duct::Handle,
    pub pid: i32,
    /// Where the stage that changes the user says why it could not; at its end once it could.
    stage: Option<File>,
}

impl Child {
    /// Reaps the command, which must have ended, and says how.
    pub fn reap(&mut self) -> End {
        let status = match self.handle.try_wait() {
            Ok(Some(output)) => output.status,
            Ok(None) | Err(_) => return End::Unseen,
        };
        let mut refused = String::new();
        if let Some(stage) = &mut self.stage {
            let _ = stage.read_to_string(&mut refused);
        }
        match (status.code(), status.signal()) {
            _ if !refused.is_empty() => End::NotStarted { error: refused },
            (Some(code), _) => End::Exited { code },
            (None, Some(signal)) => End::Signaled { signal },
            (None, None) => End::Unseen,
        }
    }
}

/// Starts the command of `spec` in a process group of its own. Its stdout and stderr are pipes, of
/// which the read ends come back: a file could be truncated by `> /dev/stderr`, a socket not
/// opened by it at all.
///
/// # Errors
/// A sentence for a person; nothing has run then.
pub(crate) fn start(spec: &StepSpec, mark: &str) -> Result<(Child, [OwnedFd; 2]), String> {
    let Some(name) = spec.argv.first() else {
        return Err("the command is empty".to_owned());
    };
    match std::fs::metadata(&spec.cwd) {
        Ok(m) if m.is_dir() => {}
        Ok(_) => {
            return Err(format!(
                "cannot start {name:?}: {:?} is not a directory",
                spec.cwd
            ));
        }
        Err(e) => {
            return Err(format!(
                "cannot start {name:?} in directory {:?}: {e}",
                spec.cwd
            ));
        }
    }
    let path = spec.env.get("PATH").map(String::as_str);
    let program = find_program(name, &spec.cwd, path)?;
    let no_pipe = |e| format!("cannot start {name:?}: no pipe for its output: {e}");
    let (stdout, stdout_writer) = output_pipe().map_err(no_pipe)?;
    let (stderr, stderr_writer) = output_pipe().map_err(no_pipe)?;

    let (expression, stage) = match spec.user.as_deref().filter(|u| !is_own(u)) {
        None => (duct::cmd(program.clone(), &spec.argv[1..]), None),
        Some(user) => {
            let (stage, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(|e| format!("cannot start {name:?}: {e}"))?;
            rustix::io::fcntl_setfd(&writer, FdFlags::empty())
                .map_err(|e| format!("cannot start {name:?}: {e}"))?;
            let mut args: Vec<OsString> = vec![
                AS_USER.into(),
                writer.as_raw_fd().to_string().into(),
                user.into(),
                program.clone().into(),
            ];
            args.extend(spec.argv.iter().map(OsString::from));
            (duct::cmd("/proc/self/exe", args), Some((stage, writer)))
        }
    };
    let arg0 = if stage.is_some() {
        "deployrun".to_owned()
    } else {
        name.clone()
    };
    let expression = match &spec.stdin {
        None => expression.stdin_null(),
        Some(text) => expression.stdin_file(
            memory_file("stdin", text.as_bytes())
                .map_err(|e| format!("cannot start {name:?}: no file for its input: {e}"))?,
        ),
    };
    let mut env = spec.env.clone();
    env.insert(super::MARK.to_owned(), mark.to_owned());
    let expression = expression
        .stdout_file(stdout_writer)
        .stderr_file(stderr_writer)
        .full_env(env)
        .dir(&spec.cwd)
        .unchecked()
        .before_spawn(move |command| {
            command.arg0(&arg0).process_group(0);
            Ok(())
        });
    let handle = expression
        .start()
        .map_err(|e| explain(name, &program, &e))?;
    // The expression holds the write ends open.
    drop(expression);
    let pid = handle.pids().first().and_then(|&p| i32::try_from(p).ok());
    let Some(pid) = pid else {
        return Err(format!("cannot start {name:?}: it has no pid"));
    };
    let stage = stage.map(|(stage, writer)| {
        drop(writer);
        File::from(stage)
    });
    Ok((Child { handle, pid, stage }, [stdout, stderr]))
}

/// A pipe whose read end does not block; the write end must, for the command expects it so.
pub(crate) fn output_pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// An unnamed file in memory that holds `bytes` and is read from its beginning.
pub(crate) fn memory_file(name: &str, bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Finds the program as a shell in `cwd` with this `PATH` would.
pub(crate) fn find_program(name: &str, cwd: &Path, path: Option<&str>) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("the command's program is an empty text".to_owned());
    }
    if name.contains('/') {
        let program = cwd.join(name);
        return match executable(&program) {
            Ok(()) => Ok(program),
            Err(e) => Err(format!("cannot start {:?}: {e}", program)),
        };
    }
    let Some(path) = path.filter(|p| !p.is_empty()) else {
        return Err(format!(
            "cannot find program {name:?}: the environment has no PATH; give its full path"
        ));
    };
    let mut refused = None;
    for dir in path.split(':') {
        // An empty entry means the current directory.
        let program = cwd.join(dir).join(name);
        match executable(&program) {
            Ok(()) => return Ok(program),
            Err(e) if program.exists() => refused = refused.or(Some((program, e))),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some((program, e)) => format!("cannot start {program:?}: {e}"),
        None => format!("cannot find program {name:?} in PATH {path:?}"),
    })
}

fn executable(program: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(program).map_err(|e| e.to_string())?;
    if !meta.is_file() {
        return Err("it is not a file".to_owned());
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err("permission denied: the file is not executable (chmod +x)".to_owned());
    }
    rustix::fs::access(program, rustix::fs::Access::EXEC_OK).map_err(|e| e.to_string())
}

/// What is wrong with a file that exists and may be executed.
fn explain(name: &str, program: &Path, e: &std::io::Error) -> String {
    let hint = match e.kind() {
        std::io::ErrorKind::NotFound => {
            ": the file is there, so the interpreter in its first line (#!) or its loader is missing"
        }
        std::io::ErrorKind::ArgumentListTooLong => {
            ": arguments and environment together are too large; pass data on stdin or in a file"
        }
        _ if e.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            ": it is no program for this machine, and no script with a first line such as #!/bin/sh"
        }
        _ => "",
    };
    format!("cannot start {name:?} ({}): {e}{hint}", program.display())
}

fn is_own(user: &str) -> bool {
    let own = rustix::process::geteuid().as_raw();
    !rustix::process::getuid().is_root()
        && User::from_name(user).is_ok_and(|u| u.is_some_and(|u| u.uid.as_raw() == own))
}

/// The stage between supervisor and command when this runs as another user: changes group, all
/// groups and user, then becomes the command. `args`: number of the descriptor to report a failure
/// to, user, path of the program, argv. Returns only on failure.
pub(crate) fn become_user(args: &[OsString]) -> i32 {
    let [fd, user, program, argv0, rest @ ..] = args else {
        return super::REFUSED;
    };
    let fd = fd
        .to_str()
        .and_then(|t| t.parse::<i32>().ok())
        .filter(|&fd| fd > 2);
    let (Some(fd), Some(user)) = (fd, user.to_str()) else {
        return super::REFUSED;
    };
    // A copy that is closed when the command begins; the one that was inherited is closed now.
    let report = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"));
    let closed = nix::unistd::close(fd);
    let (Ok(mut report), Ok(())) = (report, closed) else {
        return super::REFUSED;
    };
    let error = match switch_to(user) {
        Err(error) => format!(
            "cannot start {:?} as user {user:?}: {error}",
            argv0.to_string_lossy()
        ),
        Ok(()) => {
            let e = std::process::Command::new(program)
                .arg0(argv0)
                .args(rest)
                .exec();
            let name = argv0.to_string_lossy();
            format!(
                "{} (as user {user:?})",
                explain(&name, Path::new(program), &e)
            )
        }
    };
    let _ = report.write_all(error.as_bytes());
    super::REFUSED
}

fn switch_to(name: &str) -> Result<(), String> {
    let user = User::from_name(name).map_err(|e| format!("looking the user up failed: {e}"))?;
    let user = user.ok_or("there is no such user on this machine")?;
    let c_name = CString::new(name).map_err(|_| "the name holds a NUL".to_owned())?;
    // Else a command could not reopen /dev/stderr, as `echo > /dev/stderr` does.
    let uid = Some(rustix::process::Uid::from_raw(user.uid.as_raw()));
    let _ = rustix::fs::fchown(std::io::stdout(), uid, None);
    let _ = rustix::fs::fchown(std::io::stderr(), uid, None);
    let denied = |what: &'static str| {
        move |e: nix::Error| format!("{what} failed: {e}; only root may do this")
    };
    nix::unistd::initgroups(&c_name, user.gid).map_err(denied("setting the groups"))?;
    nix::unistd::setgid(user.gid).map_err(denied("setting the group"))?;
    nix::unistd::setuid(user.uid).map_err(denied("setting the user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_would() {
        let dir = tempfile::tempdir().unwrap();
        let at = |n: &str| dir.path().join(n);
        std::fs::create_dir(at("bin")).unwrap();
        std::fs::write(at("bin/tool"), "#!/bin/sh\n").unwrap();
        let found = |name: &str, path: Option<&str>| find_program(name, dir.path(), path);
        let err = found("bin/tool", None).unwrap_err();
        assert!(err.contains("not executable"), "{err}");
        let err = found("tool", Some("/nowhere:bin")).unwrap_err();
        assert!(err.contains("not executable"), "{err}");
        std::fs::set_permissions(at("bin/tool"), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(found("bin/tool", None).unwrap(), at("bin/tool"));
        assert_eq!(found("tool", Some("/nowhere:bin")).unwrap(), at("bin/tool"));
        assert!(found("tool", None).unwrap_err().contains("no PATH"));
        assert!(
            found("nix-da", Some("/bin"))
                .unwrap_err()
                .contains("cannot find program \"nix-da\"")
        );
        assert!(found("bin", Some(".")).unwrap_err().contains("not a file"));
        assert!(found("", Some("/bin")).is_err());
    }

    #[test]
    fn a_memory_file_is_read_from_its_beginning() {
        let mut text = String::new();
        memory_file("t", b"abc")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
    }
}
