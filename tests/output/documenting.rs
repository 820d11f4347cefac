//! `deployrun doc`: what it finds, and what it writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::scene::{Scene, Told, told};

/// A project with modules, a library of a repository, and one from a path.
pub struct Project {
    pub scene: Scene,
}

const SITE: &str = r#"//! The site: [publish] puts it in place, with [files::put] of [std/files].

import "std/files" as files;
import "platform/postgres" as pg;

// Where it is, as [`publish`] and [platform/postgres::migrate] know it.
export const ROOT = "/srv/site";

/// Publishes a page, as [`run()`] would. See [the migration](pg::migrate) and [how](https://example.org/a).
///
/// | option | for |
/// |---|---|
/// | `mode` | permission *bits* |
///
/// ```rhai
/// import "./lib/site" as site;
/// import "platform/postgres" as pg;
/// pg::migrate("shop");
/// site::publish("page", #{ mode: "0644" });
/// ```
fn publish(page) { publish(page, #{}) }

/// The same with options.
fn publish(page, options) { files::put(page, ROOT + "/index.html", options) }

private fn hidden() { }
"#;

const BROKEN: &str = r#"//! See [publsh] of [site], and [site::publsh].

/// A link to [hidden], one to [`std/fils`], one to [a file](../README.md); [0], [a, b] and \[this] are none.
///
/// ```rhai
/// import "./site" as site;
/// site::publsh("page");
/// run("true", #{ timout: "1s" });
/// ```
///
/// * ```rhai,check
///   let = 1;
///   ```
///
/// ```text
/// let = 1;
/// ```
fn one() { }

/** A link
 * to [nothing_there].
 */
fn two() { hidden() }

/// ```rhai,test
/// import "./site" as site;
/// fn test_publish() { given_file("a", ""); site::publish("a"); assert_fil("a"); }
/// ```
fn three() { }

private fn hidden() { }
"#;

const POSTGRES: &str = r#"//! Databases. <script>alert(1)</script>

/// Migrates a database <b>now</b>, or [never](javascript:alert(1)). ![a picture](https://example.org/x.png)
///
/// <img src=x onerror=alert(1)>
///
/// It is like [restore], and then [std/files::put].
///
/// ```rhai
/// import "platform/postgres" as pg;
/// pg::migrate("</code><script>alert(1)</script>");
/// ```
fn migrate(database) { run(["migrate", database], #{ timeout: "10m", back_out: () }); }

/// The way back, and a link that is [lost].
fn restore(database) { }
"#;

const WORDS: &str = "//! Words.\n/// Says it, or [not].\nfn say() { }\n";

impl Project {
    pub fn new() -> Self {
        let scene = Scene::new("plan(#{ name: \"shop\", environment: \"test\" });\n");
        let project = Self { scene };
        for dir in ["lib", "vendor", "platform.git", "words", ".git"] {
            fs::create_dir(project.scene.path(dir)).expect("a directory");
        }
        let write = |name: &str, text: &str| project.scene.write(name, text);
        write("lib/site.rhai", SITE);
        write("lib/site_test.rhai", "fn test_x() { assert(true); }\n");
        write("vendor/other.rhai", BROKEN);
        write("words/say.rhai", WORDS);
        write(
            "words/deployrun.toml",
            "[library]\nname = \"words\"\nversion = \"0.1.0\"\n",
        );
        write("platform.git/postgres.rhai", POSTGRES);
        write(
            "platform.git/deployrun.toml",
            "[library]\nname = \"platform\"\nversion = \"1.4.0\"\ndescription = \"Databases of the platform\"\ndeployrun = \">= 0.1\"\n",
        );
        project.git(&["init", "-q", "-b", "main"]);
        project.git(&["add", "-A"]);
        project.git(&["commit", "-q", "-m", "1.4.0"]);
        project.git(&["tag", "v1.4.0"]);
        project
            .run(&["lib", "add", "words", "--path", "words"])
            .expect(0);
        let add = ["lib", "add", "platform", "--git", "./platform.git"];
        project
            .run(&[&add[..], &["--tag", "v1.4.0"]].concat())
            .expect(0);
        fs::remove_dir_all(project.scene.path("platform.git")).expect("a directory");
        project
    }

    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.scene.path("platform.git"));
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        command.env("GIT_AUTHOR_DATE", "2026-03-01T00:00:00Z");
        command.env("GIT_COMMITTER_DATE", "2026-03-01T00:00:00Z");
        let done = command.args(args).output().expect("git is there");
        assert!(done.status.success(), "{args:?}");
    }

    pub fn run(&self, args: &[&str]) -> Told {
        let mut command = self.scene.command(args);
        command.env("DEPLOYRUN_CACHE", self.scene.path("cache"));
        command.env("XDG_CACHE_HOME", self.scene.path("xdg"));
        told(&mut command)
    }
}

#[test]
fn broken_links_and_examples_are_found_where_they_stand() {
    let project = Project::new();
    project
        .scene
        .write("words/say.rhai", &WORDS.replace("[not]", "not"));
    let clean = project.run(&["doc", "--check"]).expect(0);
    assert!(clean.out.ends_with(": no findings\n"), "{}", clean.out);
    project.scene.write("words/say.rhai", WORDS);
    project.scene.write("lib/broken.rhai", BROKEN);
    let found = project.run(&["doc", "--check"]).expect(1);
    let title = project.scene.path("");
    let title = title.file_name().expect("a name").to_str().expect("UTF-8");
    let shown = found.out.replace(title, "PROJECT");
    project.scene.snapshot("doc_check", &shown);
    let json = project
        .run(&["doc", "--check", "--format", "json", "lib"])
        .expect(1);
    let first: serde_json::Value =
        serde_json::from_str(json.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["code"], "broken-link");
    assert_eq!(first["place"]["file"], "lib/broken.rhai");
    for format in ["sarif", "github"] {
        project
            .run(&["doc", "--check", "--format", format])
            .expect(1);
    }
    project
        .scene
        .write("lib/broken.rhai", "/// Of nothing.\nlet a = 1;\n");
    let found = project.run(&["doc", "--check", "lib"]).expect(1);
    assert!(found.out.contains("error[syntax]: "), "{}", found.out);
    assert!(
        found.out.contains("  --> lib/broken.rhai:"),
        "{}",
        found.out
    );
    // Nothing was written.
    assert!(!project.scene.path("xdg").exists());
    project.run(&["explain", "broken-link"]).expect(0);
}

#[test]
fn pages_in_markdown_link_to_each_other() {
    let project = Project::new();
    let refused = project.run(&["doc", "--format", "markdown"]).expect(1);
    assert!(refused.err.contains("--output DIR"), "{}", refused.err);
    let args = ["doc", "--format", "markdown", "--output", "api"];
    let told = project.run(&args).expect(0);
    assert_eq!(
        told.out,
        "api/README.md\nsomething in the comments is broken: deployrun doc --check tells it\n"
    );
    let read = |name: &str| {
        let path = project.scene.path("api").join(name);
        fs::read_to_string(path).unwrap_or_else(|_| panic!("{name}"))
    };
    let title = project.scene.path("");
    let title = title.file_name().expect("a name").to_str().expect("UTF-8");
    let index = read("README.md").replace(title, "PROJECT");
    let (index, of_deployrun) = index.split_once("\n## [").expect("its own functions");
    for part in ["functions.md", "std/files.md", "testing-functions.md"] {
        assert!(
            of_deployrun.contains(&format!("({part})")),
            "{of_deployrun}"
        );
    }
    let index = index.to_owned();
    let shown = [index, read("lib/site.md"), read("platform/postgres.md")].join("\n=====\n");
    project.scene.snapshot("doc_markdown", &shown);
    // Each link leads to a page, and to a heading of it.
    let link = regex::Regex::new(r"\]\(([^)#]*)(?:#([^)]*))?\)").expect("a pattern");
    let mut seen = 0;
    for file in [
        "README.md",
        "lib/site.md",
        "platform/postgres.md",
        "std/files.md",
        "functions.md",
    ] {
        let text = read(file);
        for found in link.captures_iter(&text) {
            let (to, anchor) = (&found[1], found.get(2).map_or("", |m| m.as_str()));
            if to.contains("://") {
                continue;
            }
            seen += 1;
            let page = match to {
                "" => file.to_owned(),
                to => Path::new(file)
                    .parent()
                    .expect("a directory")
                    .join(to)
                    .display()
                    .to_string(),
            };
            let text = read(&page).to_lowercase();
            let heading = format!("# `{anchor}`\n");
            assert!(
                anchor.is_empty() || text.contains(&heading),
                "{file}: {}",
                &found[0]
            );
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn libraries_are_those_of_the_lock_and_nothing_is_fetched() {
    let project = Project::new();
    let first = project.run(&["doc"]).expect(0);
    let path = first.out.lines().next().expect("a path").to_owned();
    assert!(path.contains("/xdg/deployrun/doc-"), "{path}");
    let page = fs::read_to_string(&path).expect("a page");
    let lock = fs::read_to_string(project.scene.path("deployrun.lock")).expect("a lock");
    for field in ["commit", "sha256"] {
        let line = lock.lines().find(|line| line.starts_with(field));
        let value = line.expect("a line").split('"').nth(1).expect("a value");
        assert!(page.contains(value), "{field}");
    }
    for fact in [
        "1.4.0",
        "Databases of the platform",
        "git+./platform.git#tag=v1.4.0",
        "&gt;= 0.1",
    ] {
        assert!(page.contains(fact), "{fact}");
    }
    let commits = fs::read_dir(project.scene.path("cache/libraries/platform")).expect("the cache");
    for commit in commits.flatten() {
        fs::write(commit.path().join("postgres.rhai"), "fn evil() { }\n").expect("a file");
    }
    let refused = project.run(&["doc"]).expect(1);
    assert!(
        refused.err.contains("are not those of deployrun.lock"),
        "{}",
        refused.err
    );
}

#[test]
fn what_cannot_be_documented_is_told() {
    let project = Project::new();
    for (args, status, problem) in [
        (&["doc", "nowhere"][..], 1, "nowhere: No such file"),
        (
            &["doc", "lib", "words"],
            1,
            "the paths belong to two projects, ",
        ),
        (&["doc", "--check", "--open"], 2, "cannot be used with"),
        (
            &["doc", "--format", "junit"],
            2,
            "`doc` has no format `junit`",
        ),
        (&["doc", "--output", "plan.rhai/x"], 1, "can't be written"),
    ] {
        let told = project.run(args).expect(status);
        assert!(told.err.contains(problem), "{args:?}: {}", told.err);
    }
    // The library itself, as in its own pipeline: its examples import it by its name.
    let site =
        "/// ```rhai\n/// import \"words/say\" as say;\n/// say::say();\n/// ```\nfn say() { }\n";
    project.scene.write("words/say.rhai", site);
    project.run(&["doc", "--check", "words"]).expect(0);
    project
        .scene
        .write("words/say.rhai", &site.replace("say::say", "say::sy"));
    let found = project.run(&["doc", "--check", "words"]).expect(1);
    assert!(
        found.out.contains("--> words/say.rhai:3:5\n"),
        "{}",
        found.out
    );
}
