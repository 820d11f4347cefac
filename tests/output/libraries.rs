//! Libraries of other teams: added, pinned, used, updated, tampered with, vendored, used offline.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::scene::{Scene, Told, told};

const PLAN: &str = r#"import "platform/greet" as greet;
plan(#{ name: "shop", environment: "test" });
write_file("greeting", greet::text("shop"));
verify("it is there", || file_exists("greeting"));
"#;

const MANIFEST: &str =
    "[library]\nname = \"platform\"\nversion = \"1.4.0\"\ndescription = \"Greets\"\n";

/// A team's repository, and a project beside it.
struct Teams {
    scene: Scene,
}

impl Teams {
    /// The repository has version 1.4.0 with a tag.
    fn new(plan: &str) -> Self {
        let scene = Scene::new(plan);
        let teams = Self { scene };
        fs::create_dir(teams.repository()).expect("a directory");
        teams.git(&["init", "-q", "-b", "main"]);
        teams.publish("1.4.0", "fn text(name) { `hello, ${name}\n` }\n");
        teams
    }

    fn repository(&self) -> PathBuf {
        self.scene.path("platform.git")
    }

    /// Commits a version of the library, and tags it.
    fn publish(&self, version: &str, greet: &str) {
        let dir = self.repository();
        let manifest = MANIFEST.replace("1.4.0", version);
        fs::write(dir.join("deployrun.toml"), manifest).expect("a file");
        fs::write(dir.join("greet.rhai"), greet).expect("a file");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", version]);
        self.git(&["tag", &format!("v{version}")]);
    }

    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.repository());
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        // Fixed times make fixed commits.
        command.env("GIT_AUTHOR_DATE", "2026-03-01T00:00:00Z");
        command.env("GIT_COMMITTER_DATE", "2026-03-01T00:00:00Z");
        let done = command.args(args).output().expect("git is there");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn run(&self, args: &[&str]) -> Told {
        let mut command = self.scene.command(args);
        told(command.env("DEPLOYRUN_CACHE", self.scene.path("cache")))
    }

    fn add(&self, reference: &[&str]) -> Told {
        let url = self.repository();
        let url = url.to_str().expect("a path in UTF-8");
        self.run(&[&["lib", "add", "platform", "--git", url], reference].concat())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.scene.path(name)).unwrap_or_default()
    }

    fn snapshot(&self, name: &str, text: &str) {
        self.scene.snapshot(name, text);
    }
}

#[test]
fn a_library_is_added_and_pinned_and_used() {
    let teams = Teams::new(PLAN);
    let refused = teams.run(&["check", "plan.rhai"]).expect(1);
    teams.snapshot("library_not_named", &refused.out);
    let added = teams.add(&["--tag", "v1.4.0"]).expect(0);
    teams.snapshot("library_added", &added.out);
    teams.snapshot("library_project", &teams.read("deployrun.toml"));
    teams.snapshot("library_lock", &teams.read("deployrun.lock"));
    let run = teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "hello, shop\n", "{}", run.out);
    let all = ["list", "tree", "verify"].map(|command| teams.run(&["lib", command]).expect(0).out);
    teams.snapshot("library_told", &all.join("\n"));
    let removed = teams.run(&["lib", "remove", "platform"]).expect(0);
    assert!(
        removed.out.starts_with("- platform 1.4.0"),
        "{}",
        removed.out
    );
    assert_eq!(teams.read("deployrun.toml"), "");
    assert!(!teams.scene.path("deployrun.lock").exists());
}

#[test]
fn the_rest_of_the_project_file_stays_as_it_was_written() {
    let teams = Teams::new(PLAN);
    let written = "# ours\n[check]\nno-timeout = 'warn' # for now\n";
    teams.scene.write("deployrun.toml", written);
    teams.add(&["--branch", "main"]).expect(0);
    let text = teams.read("deployrun.toml");
    assert!(text.starts_with(written), "{text}");
    assert!(text.contains("[libraries]\nplatform = { git = "), "{text}");
    teams.run(&["lib", "remove", "platform"]).expect(0);
    assert_eq!(teams.read("deployrun.toml"), written);
}

#[test]
fn a_branch_moves_only_when_it_is_updated() {
    let teams = Teams::new(PLAN);
    teams.add(&["--branch", "main"]).expect(0);
    let before = teams.read("deployrun.lock");
    teams.publish("1.5.0", "fn text(name) { `good evening, ${name}\n` }\n");
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "hello, shop\n");
    let updated = teams.run(&["lib", "update"]).expect(0);
    teams.snapshot("library_updated", &updated.out);
    assert_ne!(teams.read("deployrun.lock"), before);
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "good evening, shop\n");
    let again = teams.run(&["lib", "update", "platform"]).expect(0);
    assert_eq!(again.out, "nothing changed\n");
    let unknown = teams.run(&["lib", "update", "platfrom"]).expect(1);
    assert!(
        unknown.err.contains("did you mean `platform`?"),
        "{}",
        unknown.err
    );
}

#[test]
fn files_that_were_tampered_with_are_refused_until_they_are_fetched_again() {
    let teams = Teams::new(PLAN);
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    let lists = fs::read_dir(teams.scene.path("cache/libraries/platform")).expect("the cache");
    let dir = lists.flatten().next().expect("a commit").path();
    fs::write(dir.join("greet.rhai"), "fn text(name) { `evil` }\n").expect("a file");
    for command in [
        &["check", "plan.rhai"][..],
        &["run", "-y", "plan.rhai"],
        &["lib", "verify"],
    ] {
        let refused = teams.run(command).expect(1);
        let text = format!("{}{}", refused.out, refused.err);
        assert!(text.contains("are not those of deployrun.lock"), "{text}");
    }
    assert!(!teams.scene.path("greeting").exists());
    let fetched = teams.run(&["lib", "fetch", "--offline"]).expect(0);
    assert_eq!(fetched.out, "fetched: platform\n");
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "hello, shop\n");
}

#[test]
fn a_tag_that_was_moved_does_not_reach_a_project_unasked() {
    let teams = Teams::new(PLAN);
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    fs::write(
        teams.repository().join("greet.rhai"),
        "fn text(name) { `evil` }\n",
    )
    .expect("a file");
    teams.git(&["commit", "-q", "-a", "--amend", "-m", "moved"]);
    teams.git(&["tag", "-f", "v1.4.0"]);
    fs::remove_dir_all(teams.scene.path("cache")).expect("the cache");
    // The commit is gone from every branch and tag: it can't be had, and nothing else is taken.
    let gone = teams.run(&["lib", "fetch"]).expect(1);
    assert!(gone.err.contains("the library `platform`"), "{}", gone.err);
    let refused = teams.run(&["run", "-y", "plan.rhai"]).expect(1);
    assert!(
        refused.err.contains("`deployrun lib fetch` gets them"),
        "{}",
        refused.err
    );
    assert!(!teams.scene.path("greeting").exists());
}

#[test]
fn a_vendored_library_needs_neither_network_nor_cache() {
    let teams = Teams::new(PLAN);
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    let vendored = teams.run(&["lib", "vendor"]).expect(0);
    assert_eq!(vendored.out, "copied to vendor/deployrun: platform\n");
    // What is no library is somebody's own.
    let own = teams.scene.path("vendor/deployrun/mine/notes.md");
    fs::create_dir(own.parent().expect("a directory")).expect("made");
    for path in [&own, &teams.scene.path("vendor/deployrun/README")] {
        fs::write(path, "ours").expect("written");
    }
    teams.run(&["lib", "update"]).expect(0);
    assert!(own.exists());
    fs::remove_dir_all(teams.scene.path("cache")).expect("the cache");
    fs::rename(teams.repository(), teams.scene.path("away")).expect("the repository");
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "hello, shop\n");
    teams.run(&["lib", "verify"]).expect(0);
    let copy = teams.scene.path("vendor/deployrun/platform/greet.rhai");
    fs::write(copy, "fn text(name) { `evil` }\n").expect("a file");
    let refused = teams.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        refused.out.contains("are not those of deployrun.lock"),
        "{}",
        refused.out
    );
}

#[test]
fn what_cannot_be_copied_changes_no_file() {
    let teams = Teams::new(PLAN);
    let before = fs::read(teams.scene.path("deployrun.toml")).ok();
    let file = teams.scene.path("vendor/deployrun/platform");
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    fs::write(&file, "in the way").expect("written");
    let told = teams.add(&["--tag", "v1.4.0"]).expect(1);
    assert!(told.err.contains("vendor/deployrun"), "{}", told.err);
    assert_eq!(fs::read(teams.scene.path("deployrun.toml")).ok(), before);
    assert!(!teams.scene.path("deployrun.lock").exists());
}

#[test]
fn what_is_in_the_cache_is_used_offline() {
    let teams = Teams::new(PLAN);
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    fs::rename(teams.repository(), teams.scene.path("away")).expect("the repository");
    teams.run(&["lib", "fetch", "--offline"]).expect(0);
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    let offline = teams.run(&["lib", "update", "--offline"]).expect(1);
    assert!(
        offline.err.contains("--offline forbids it"),
        "{}",
        offline.err
    );
    let gone = teams.run(&["lib", "update"]).expect(1);
    assert!(gone.err.contains("git says:"), "{}", gone.err);
    teams.run(&["lib", "verify"]).expect(0);
}

/// Beside it lie other libraries and whatever else the repository holds.
#[test]
fn a_library_can_be_a_directory_of_a_repository() {
    let teams = Teams::new(&PLAN.replace("platform/greet", "mono/greet"));
    let dir = teams.repository().join("libs/mono");
    fs::create_dir_all(&dir).expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("a file");
    write("deployrun.toml", &MANIFEST.replace("platform", "mono"));
    write(
        "greet.rhai",
        "import \"./words\" as words;\nfn text(name) { `${words::HELLO}, ${name}\n` }\n",
    );
    write("words.rhai", "export const HELLO = \"good morning\";\n");
    write(
        "outside.rhai",
        "import \"../../greet\" as greet;\nfn text(name) { greet::text(name) }\n",
    );
    std::os::unix::fs::symlink("../../greet.rhai", dir.join("linked.rhai")).expect("a link");
    teams.git(&["add", "-A"]);
    teams.git(&["commit", "-q", "-m", "mono"]);
    teams.git(&["tag", "mono-1.4.0"]);
    let url = teams.repository();
    let add = |path: &str| {
        let url = url.to_str().expect("a path in UTF-8");
        let tag = ["--tag", "mono-1.4.0", "--path", path];
        teams.run(&[&["lib", "add", "mono", "--git", url][..], &tag].concat())
    };
    for path in ["libs/nothing", "greet.rhai"] {
        let refused = add(path).expect(1);
        let problem = format!("there is no directory `{path}` in commit ");
        assert!(refused.err.contains(&problem), "{}", refused.err);
        assert!(!teams.scene.path("deployrun.toml").exists());
    }
    let added = add("./libs/mono/").expect(0);
    let told = [
        &added.out,
        &teams.read("deployrun.toml"),
        &teams.read("deployrun.lock"),
    ];
    teams.snapshot("library_within", &told.map(String::as_str).join("\n"));
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "good morning, shop\n");
    teams.run(&["lib", "verify"]).expect(0);

    // Nothing else of the repository can be reached.
    for (module, problem) in [
        ("outside", "leads outside the library `mono`"),
        ("linked", "can't be imported"),
    ] {
        teams.scene.write(
            "other.rhai",
            &PLAN.replace("platform/greet", &format!("mono/{module}")),
        );
        let refused = teams.run(&["check", "other.rhai"]).expect(1);
        assert!(refused.out.contains(problem), "{}", refused.out);
    }

    // What else changes in the repository is nothing to it; what changes in it is.
    teams.publish("1.5.0", "fn text(name) { `bye` }\n");
    let sha256 = |lock: &str| {
        let line = lock.lines().find(|line| line.starts_with("sha256"));
        line.map(str::to_owned)
    };
    let before = sha256(&teams.read("deployrun.lock"));
    teams.git(&["tag", "-f", "mono-1.4.0"]);
    teams.run(&["lib", "update"]).expect(0);
    assert_eq!(sha256(&teams.read("deployrun.lock")), before);
    let libraries = fs::read_dir(teams.scene.path("cache/libraries/mono")).expect("the cache");
    for library in libraries.flatten() {
        fs::write(
            library.path().join("words.rhai"),
            "export const HELLO = \"evil\";\n",
        )
        .expect("a file");
    }
    let refused = teams.run(&["run", "-y", "plan.rhai"]).expect(1);
    let text = format!("{}{}", refused.out, refused.err);
    assert!(text.contains("are not those of deployrun.lock"), "{text}");
    teams.run(&["lib", "fetch", "--offline"]).expect(0);

    teams.run(&["lib", "vendor"]).expect(0);
    fs::remove_dir_all(teams.scene.path("cache")).expect("the cache");
    fs::rename(teams.repository(), teams.scene.path("away")).expect("the repository");
    assert!(!teams.scene.path("vendor/deployrun/mono/libs").exists());
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "good morning, shop\n");
}

const HELPER: &str = r#"//! PostgreSQL.
import "./sql" as sql;

/// Migrates, and cannot undo it.
fn migrate(database, dir) {
    run(["migrate", "--database", database, dir], #{ timeout: "10m" });
    rnu(["notify"], #{ timeout: "1m" });
}

/// Undone, but with a slip in an option.
fn back_up(database) {
    sql::quoted(database, 1);
    sql::quotd(database);
    run(["pg_dump", database], #{ timeout: "10m", back_out: ["rm", "dump"], titel: "back up" });
}
"#;

const CALLS: &str = r#"import "platform/postgres" as pg;

plan(#{ name: "shop", environment: "test" });
pg::migrate("shop");
pg::back_up("shop", #{ timeout: "1h" });
pg::restore("shop");
pg::hidden("shop");
verify("it is there", || pg::sql::quoted("shop") == pg::sql::WRONG);
"#;

/// The check knows the functions of libraries, how many arguments they take, and looks at what they do.
#[test]
fn the_check_looks_into_libraries() {
    let teams = Teams::new(CALLS);
    let dir = teams.repository();
    fs::write(dir.join("postgres.rhai"), HELPER).expect("a file");
    let sql = "export const QUOTE = \"'\";\nfn quoted(name) { `'${name}'` }\nprivate fn hidden(x) { x }\n";
    fs::write(dir.join("sql.rhai"), sql).expect("a file");
    teams.publish("1.6.0", "fn text(name) { name }\n");
    teams.add(&["--tag", "v1.6.0"]).expect(0);
    let found = teams.run(&["check", "plan.rhai"]).expect(1);
    teams.snapshot("check_into_libraries", &found.out);
    // A helper alone, as in the pipeline of the library.
    let own = dir.join("postgres.rhai");
    let own = own.to_str().expect("a path in UTF-8");
    let found = teams.run(&["check", own]).expect(1);
    teams.snapshot("check_a_library", &found.out);
}

#[test]
fn a_declaration_that_the_lock_does_not_have_refuses() {
    let teams = Teams::new(PLAN);
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    let text = teams.read("deployrun.toml");
    teams
        .scene
        .write("deployrun.toml", &text.replace("v1.4.0", "v1.5.0"));
    let refused = teams.run(&["run", "-y", "plan.rhai"]).expect(1);
    teams.snapshot("library_not_locked", &refused.err);
    assert!(!teams.scene.path("greeting").exists());
}

#[test]
fn libraries_import_what_they_name_and_nothing_else() {
    let teams = Teams::new(
        "import \"web/site\" as site;\nplan(#{ name: \"a\", environment: \"b\" });\nwrite_file(\"greeting\", site::text());\n",
    );
    let scene = &teams.scene;
    fs::create_dir_all(scene.path("web")).expect("a directory");
    scene.write(
        "web/site.rhai",
        "import \"platform/greet\" as greet;\nfn text() { greet::text(\"web\") }\n",
    );
    let manifest = "[library]\nname = \"web\"\nversion = \"0.1.0\"\n";
    scene.write("web/deployrun.toml", manifest);
    teams.run(&["lib", "add", "web", "--path", "web"]).expect(0);
    let refused = teams.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        refused
            .out
            .contains("the library `web` names none of that name"),
        "{}",
        refused.out
    );
    // What it needs comes with it, and is not the plan's to import.
    let url = teams.repository();
    let needs = format!(
        "{manifest}[libraries]\nplatform = {{ git = \"{}\" }}\n",
        url.display()
    );
    scene.write("web/deployrun.toml", &needs);
    let stale = teams.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        stale.out.contains("`deployrun lib update web` mends that"),
        "{}",
        stale.out
    );
    teams.run(&["lib", "update"]).expect(0);
    teams.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert_eq!(teams.read("greeting"), "hello, web\n");
    teams.snapshot("library_tree", &teams.run(&["lib", "tree"]).expect(0).out);
    scene.write("other.rhai", PLAN);
    let refused = teams.run(&["check", "other.rhai"]).expect(1);
    assert!(
        refused.out.contains("there is no library `platform`"),
        "{}",
        refused.out
    );
    // Nothing outside of it.
    scene.write(
        "web/site.rhai",
        "import \"../plan\" as plan;\nfn text() { 1 }\n",
    );
    let refused = teams.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        refused.out.contains("leads outside the library `web`"),
        "{}",
        refused.out
    );
    fs::remove_file(scene.path("web/site.rhai")).expect("a file");
    std::os::unix::fs::symlink("../other.rhai", scene.path("web/site.rhai")).expect("a link");
    let refused = teams.run(&["check", "plan.rhai"]).expect(1);
    assert!(
        refused.out.contains("leads outside the library `web`"),
        "{}",
        refused.out
    );
}

#[test]
fn two_versions_that_cannot_stand_for_each_other_are_an_error_with_both_paths() {
    let teams = Teams::new(PLAN);
    teams.publish("2.0.0", "fn text(name) { `bye` }\n");
    teams.add(&["--tag", "v1.4.0"]).expect(0);
    let before = (teams.read("deployrun.toml"), teams.read("deployrun.lock"));
    let scene = &teams.scene;
    fs::create_dir_all(scene.path("web")).expect("a directory");
    let manifest = "[library]\nname = \"web\"\nversion = \"0.1.0\"\n[libraries]\nplatform = { git = \"URL\", tag = \"v2.0.0\" }\n";
    let url = teams.repository();
    scene.write(
        "web/deployrun.toml",
        &manifest.replace("URL", &url.display().to_string()),
    );
    let refused = teams.run(&["lib", "add", "web", "--path", "web"]).expect(1);
    teams.snapshot("library_conflict", &refused.err);
    assert_eq!(
        (teams.read("deployrun.toml"), teams.read("deployrun.lock")),
        before
    );
}

#[test]
fn what_cannot_be_a_library_is_refused_and_changes_nothing() {
    let teams = Teams::new(PLAN);
    for (args, problem) in [
        (
            &["lib", "add", "std", "--path", "x"][..],
            "`std` is what deployrun itself brings",
        ),
        (
            &["lib", "add", "Web", "--path", "x"],
            "can't be the name of a library",
        ),
        (
            &["lib", "add", "web", "--path", "nowhere"],
            "nowhere/deployrun.toml",
        ),
        (&["lib", "add", "web", "--git", "./nowhere"], "git says:"),
        (
            &["lib", "add", "web", "--git", "./platform.git"],
            "is the library `platform`",
        ),
        (
            &[
                "lib",
                "add",
                "platform",
                "--git",
                "./platform.git",
                "--tag",
                "v9",
            ],
            "there is no tag `v9`",
        ),
        (&["lib", "list"], "there is no deployrun.toml here or above"),
    ] {
        let refused = teams.run(args).expect(1);
        assert!(refused.err.contains(problem), "{args:?}\n{}", refused.err);
        assert!(!teams.scene.path("deployrun.toml").exists(), "{args:?}");
        assert!(!teams.scene.path("deployrun.lock").exists(), "{args:?}");
    }
    teams.run(&["lib", "add", "web"]).expect(2);
    let outside = teams
        .run(&["lib", "add", "web", "--path", "../x", "--git", "y"])
        .expect(1);
    assert!(
        outside
            .err
            .contains("`../x` is no directory in a repository"),
        "{}",
        outside.err
    );
    teams
        .run(&["lib", "add", "web", "--path", "x", "--tag", "y"])
        .expect(2);
}

#[test]
fn a_run_keeps_the_library_it_was_started_with() {
    let teams = Teams::new(&PLAN.replace("verify(", "abort(\"enough\");\nverify("));
    teams.add(&["--branch", "main"]).expect(0);
    let backed_out = teams.run(&["run", "-y", "plan.rhai"]).expect(3);
    let line = backed_out
        .out
        .lines()
        .find(|line| line.contains("fingerprint"));
    assert!(line.is_some(), "{}", backed_out.out);
    teams.publish("1.5.0", "fn text(name) { `good evening, ${name}\n` }\n");
    teams.run(&["lib", "update"]).expect(0);
    let again = teams.run(&["run", "-y", "plan.rhai"]).expect(3);
    let other = again.out.lines().find(|line| line.contains("fingerprint"));
    assert_ne!(
        line, other,
        "what a plan imports belongs to its fingerprint"
    );
}
