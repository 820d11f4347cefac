//! The Debian package: what stands in `Cargo.toml` is put together with this program in it, taken
//! apart, and used. `packaging/build-deb` builds the real one from the same table.
//!
//! Needs dpkg-deb, gzip, zsh, man pages' mandoc and systemd-analyze.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_deployrun");

#[track_caller]
fn done(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let out = String::from_utf8_lossy(&stdout).into_owned();
    let err = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{out}{err}");
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `[package.metadata.deb]`, as cargo reads it.
fn table() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let text = done(cargo.current_dir(root()));
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    metadata["packages"][0]["metadata"]["deb"].clone()
}

/// The files that a source of the table names; one star stands for any name.
fn sources(source: &str, generated: &Path) -> Vec<PathBuf> {
    if source == "target/release/deployrun" {
        return vec![PROGRAM.into()];
    }
    let path = match source.strip_prefix("target/packaging/") {
        Some(rest) => generated.join(rest),
        None => root().join(source),
    };
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let Some((front, back)) = name.split_once('*') else {
        return vec![path];
    };
    let dir = path.parent().expect("a directory");
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    found.retain(|path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.starts_with(front) && name.ends_with(back)
    });
    assert!(!found.is_empty(), "nothing is called {source}");
    found
}

/// Puts the package together, and takes it apart again in `dir`.
fn unpacked(dir: &Path) -> PathBuf {
    let (generated, stage) = (dir.join("generated"), dir.join("stage"));
    done(
        Command::new(root().join("packaging/generate"))
            .arg(PROGRAM)
            .arg(&generated),
    );
    let table = table();
    for asset in table["assets"].as_array().expect("assets") {
        let [source, to, mode] = [0, 1, 2].map(|n| asset[n].as_str().expect("a text"));
        let to = stage.join(to);
        fs::create_dir_all(&to).expect("a directory");
        for file in sources(source, &generated) {
            let name = file.file_name().expect("a name");
            let there = to.join(name);
            fs::copy(&file, &there).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let mode = u32::from_str_radix(mode, 8).expect("a mode");
            fs::set_permissions(&there, fs::Permissions::from_mode(mode)).expect("a mode");
            if to.ends_with("man1") {
                done(Command::new("gzip").arg("-9n").arg(&there));
            }
        }
    }
    let text = |key: &str| table[key].as_str().unwrap_or_else(|| panic!("no {key}"));
    let description = text("extended-description").trim().replace('\n', "\n ");
    let control = format!(
        "Package: deployrun\nVersion: {}-1\nArchitecture: amd64\nMaintainer: {}\nSection: {}\n\
         Priority: {}\nSuggests: {}\nDescription: {}\n {description}\n",
        env!("CARGO_PKG_VERSION"),
        text("maintainer"),
        text("section"),
        text("priority"),
        text("suggests"),
        env!("CARGO_PKG_DESCRIPTION"),
    );
    fs::create_dir_all(stage.join("DEBIAN")).expect("a directory");
    fs::write(stage.join("DEBIAN/control"), control).expect("a file");
    let package = dir.join("deployrun.deb");
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]);
    done(build.arg(&stage).arg(&package));
    let there = dir.join("root");
    done(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&there));
    there
}

#[test]
fn the_package_holds_what_a_system_looks_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let there = unpacked(dir.path());
    let program = there.join("usr/bin/deployrun");
    let mut version = Command::new(&program);
    assert_eq!(
        done(version.arg("--version")),
        concat!("deployrun ", env!("CARGO_PKG_VERSION"), "\n")
    );
    // The plans of the documentation can be run where they lie.
    let example = there.join("usr/share/doc/deployrun/examples/hello.rhai");
    let mut check = Command::new(&program);
    check.arg("check").arg(&example);
    done(check.env("DEPLOYRUN_STATE", dir.path().join("state")));
    for page in ["deployrun.1.gz", "deployrun-run.1.gz"] {
        let page = there.join("usr/share/man/man1").join(page);
        let text = done(Command::new("mandoc").args(["-T", "utf8"]).arg(&page));
        assert!(text.contains("deployrun"), "{text}");
    }
    for file in [
        "usr/share/bash-completion/completions/deployrun",
        "usr/share/zsh/vendor-completions/_deployrun",
        "usr/share/fish/vendor_completions.d/deployrun.fish",
        "usr/share/doc/deployrun/README.md",
        "usr/share/doc/deployrun/docs/back-out.md",
    ] {
        let mode = fs::metadata(there.join(file))
            .unwrap_or_else(|e| panic!("{file}: {e}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
}

/// As zsh loads the file of a package: by its name, when it is first needed.
#[test]
fn zsh_finds_the_completions_of_the_package() {
    let dir = tempfile::tempdir().expect("a directory");
    let there = unpacked(dir.path());
    let functions = there.join("usr/share/zsh/vendor-completions");
    let mut paths = vec![there.join("usr/bin")];
    paths.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let mut zsh = Command::new("zsh");
    zsh.arg("-f").arg(root().join("tests/shells/type.zsh"));
    zsh.arg(functions).arg("deployrun resu");
    zsh.env("PATH", std::env::join_paths(paths).expect("paths"));
    assert_eq!(done(&mut zsh), "deployrun resume \n");
}

#[test]
fn systemd_accepts_the_units() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for unit in ["deployrun@.service", "deployrun@.timer"] {
        let text = fs::read_to_string(root().join("packaging").join(unit)).expect("a unit");
        // The program is not installed here.
        let text = text.replace("/usr/bin/deployrun", PROGRAM);
        fs::write(dir.path().join(unit), text).expect("a file");
        verify.arg(dir.path().join(unit.replace('@', "@shop")));
    }
    let output = verify.output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<&str> = said.lines().filter(|l| l.contains("deployrun")).collect();
    assert!(output.status.success() && about_us.is_empty(), "{said}");
}

/// The command of the unit is one that there is.
#[test]
fn the_unit_runs_a_plan() {
    let unit = fs::read_to_string(root().join("packaging/deployrun@.service")).expect("a unit");
    let line = unit
        .lines()
        .find_map(|l| l.strip_prefix("ExecStart=/usr/bin/deployrun "));
    let dir = tempfile::tempdir().expect("a directory");
    let plan = dir.path().join("plan.rhai");
    fs::write(&plan, "plan(#{ name: \"a\", environment: \"one\" });\n").expect("a file");
    let line = line
        .expect("an ExecStart")
        .replace("/etc/deployrun/%i", &dir.path().display().to_string());
    let mut command = Command::new(PROGRAM);
    command.args(line.split(' '));
    done(command.env("DEPLOYRUN_STATE", dir.path().join("state")));
}
