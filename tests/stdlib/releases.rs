//! `std/releases`, with archives that tar made and directories.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Helper, Module, State, Then, prove};
use super::support::live::Finished;
use super::support::need_root;
use super::support::site::Site;
use super::whole_tree;

use Then::{Acts, Refuses, Rests};

fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .output()
        .expect("bash");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What is deployed: an archive and a directory, with something at a place that is shared.
fn surroundings(site: &Site) {
    shell(
        &site.path(""),
        "mkdir -p dist/bin dist/log dist/public app-1
         echo run > dist/bin/run
         chmod 755 dist/bin/run
         ln -s run dist/bin/start
         mkdir dist/.git
         touch dist/log/.gitkeep dist/public/index.html dist/.git/config
         cp -a dist/. app-1
         tar -czf app.tar.gz app-1",
    );
}

/// Three releases, the second of them active, what they share, and their log. One has a link to what is
/// shared, which must not be followed when it is removed.
const LAYOUT: &str = "
mkdir -p srv/shop/releases srv/shop/shared/log
cd srv/shop
echo precious > shared/log/access.log
echo secret > shared/.env
chmod 640 shared/.env
chown daemon: shared/.env
for v in 2.1.0 2.2.0 2.3.0; do
    mkdir -p releases/$v/bin
    echo $v > releases/$v/bin/run
    chmod 700 releases/$v
    ln -s ../../shared/log releases/$v/log
    echo \"2026-01-0${v:2:1}T00:00:00Z deployed $v sha256:0$v\" >> releases.log
    if [ $v != 2.3.0 ]; then echo \"2026-01-0${v:2:1}T00:00:01Z activated $v\" >> releases.log; fi
done
echo 'a note of somebody' >> releases.log
ln -s releases/2.2.0 current
touch -h -d @987654321.5 current releases.log
cd ../..
";

fn layout(root: &Path) {
    shell(root, LAYOUT);
}

/// The layout, and then this.
fn layout_and(root: &Path, script: &str) {
    layout(root);
    shell(root, script);
}

const DEPLOYED: &str = "
mkdir -p srv/shop/releases/2.4.0/public srv/shop/shared/public/uploads
ln -s ../../shared/log srv/shop/releases/2.4.0/log
ln -s ../../shared/.env srv/shop/releases/2.4.0/.env
ln -s ../../../shared/public/uploads srv/shop/releases/2.4.0/public/uploads
echo \"2026-01-04T00:00:00Z deployed 2.4.0 sha256:$(sha256sum app.tar.gz | cut -c -64)\" >> srv/shop/releases.log
";

/// As the module tells directories apart.
const DEPLOYED_FROM_DIRECTORY: &str = r#"
mkdir -p srv/shop/releases/2.4.0
cp -a dist copy
digest=$(cd copy; {
    rm -rf .git
    find . -type f | xargs sha256sum
    echo 'x ./bin/run'
    find . -type d | sed 's/^/d /'
    echo 'l ./bin/start run'
} | LC_ALL=C sort | sha256sum | cut -c -64)
echo "2026-01-04T00:00:00Z deployed 2.4.0 tree:$digest" >> srv/shop/releases.log
"#;

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"releases::deploy("srv/shop", "2.4.0", "app.tar.gz", #{
            strip: 1, sha256: digest, share: ["log/", "public/uploads/", ".env"],
        })"#,
        holds: r#"file_info("srv/shop/releases/2.4.0/log").target == "../../shared/log"
            && file_info("srv/shop/releases/2.4.0/public/uploads").target == "../../../shared/public/uploads"
            && file_info("srv/shop/shared/public/uploads").kind == "directory"
            && releases::list("srv/shop")[3].version == "2.4.0""#,
        // The release, and what it is made from.
        looks: 2,
        states: &[
            state("absent", |_| {}, Refuses("shared/.env is not there")),
            state("absent among others", layout, Acts),
            state("the same", |root| layout_and(root, DEPLOYED), Rests),
            state(
                "half made by somebody else",
                |root| layout_and(root, "mkdir -p srv/shop/releases/.new-2.4.0/bin/old"),
                Acts,
            ),
            state(
                "made from another archive",
                |root| layout_and(root, &DEPLOYED.replace("app.tar.gz", "plan.rhai")),
                Refuses("was made from something else"),
            ),
            state(
                "there without one of its links",
                |root| {
                    layout_and(root, DEPLOYED);
                    shell(root, "rm srv/shop/releases/2.4.0/.env");
                },
                Refuses("is no link to srv/shop/shared/.env"),
            ),
            state(
                "there, and nobody knows why",
                |root| layout_and(root, "mkdir srv/shop/releases/2.4.0"),
                Refuses("does not tell of it"),
            ),
            state(
                "a file",
                |root| layout_and(root, "touch srv/shop/releases/2.4.0"),
                Refuses("is a file and no directory"),
            ),
        ],
    },
    Helper {
        call: r#"releases::deploy("srv/shop", "2.4.0", "dist", #{ owner: "daemon" })"#,
        holds: r#"file_info("srv/shop/releases/2.4.0/bin/run", #{ mode: "0755", owner: "daemon" }).same
            && file_info("srv/shop/releases/2.4.0/bin/start").target == "run"
            && !file_exists("srv/shop/releases/2.4.0/.git")"#,
        // The release, what it is made from, and what that holds.
        looks: 3,
        states: &[
            state("absent", |_| {}, Acts),
            state(
                "the same",
                |root| {
                    layout_and(root, DEPLOYED_FROM_DIRECTORY);
                    shell(
                        root,
                        "cp -a copy/. srv/shop/releases/2.4.0; chown -Rh daemon: srv/shop/releases/2.4.0",
                    );
                },
                Rests,
            ),
            state(
                "made from something else",
                |root| {
                    layout_and(root, DEPLOYED_FROM_DIRECTORY);
                    shell(root, "chmod -x dist/bin/run");
                },
                Refuses("was made from something else"),
            ),
        ],
    },
    Helper {
        call: r#"releases::activate("srv/shop", "2.3.0")"#,
        holds: r#"releases::current("srv/shop") == "2.3.0"
            && file_info("srv/shop/current").target == "releases/2.3.0""#,
        looks: 1,
        states: &[
            state("another", layout, Acts),
            state("none", |root| layout_and(root, "rm srv/shop/current"), Acts),
            state(
                "a link to nothing",
                |root| layout_and(root, "rm -r srv/shop/releases/2.2.0"),
                Acts,
            ),
            state(
                "a link with an absolute path",
                |root| {
                    layout_and(
                        root,
                        "ln -sfn $PWD/srv/shop/releases/2.3.0/ srv/shop/current",
                    )
                },
                Acts,
            ),
            state(
                "the same",
                |root| layout_and(root, "ln -sfn releases/2.3.0 srv/shop/current"),
                Rests,
            ),
            state("not there", |_| {}, Refuses("deploy 2.3.0 first")),
            state(
                "one that has failed",
                |root| {
                    layout_and(
                        root,
                        "echo '2026-01-05T00:00:00Z failed 2.3.0: it lost orders' >> srv/shop/releases.log",
                    );
                },
                Refuses("2.3.0 has failed: it lost orders"),
            ),
            state(
                "a directory",
                |root| layout_and(root, "rm srv/shop/current; mkdir srv/shop/current"),
                Refuses("is a directory and no link"),
            ),
            state(
                "a link to somewhere else",
                |root| layout_and(root, "ln -sfn /etc srv/shop/current"),
                Refuses("which is no release in srv/shop/releases"),
            ),
        ],
    },
    Helper {
        call: r#"releases::prune("srv/shop", #{ keep: 1 })"#,
        holds: r#"file_exists("srv/shop/shared/log/access.log")
            && releases::current("srv/shop") == "2.2.0" && releases::previous("srv/shop") == "2.1.0"
            && releases::list("srv/shop").len() == 2"#,
        // The layout, and the directory of releases.
        looks: 2,
        states: &[
            // The active one and the last good one stay, though one is asked for.
            state("one more", layout, Acts),
            state(
                "nothing more",
                |root| layout_and(root, "rm -r srv/shop/releases/2.3.0"),
                Rests,
            ),
            state(
                "a link to nothing",
                |root| layout_and(root, "rm -r srv/shop/releases/2.2.0"),
                Refuses("leads to 2.2.0, which is not there"),
            ),
        ],
    },
    Helper {
        call: r#"releases::mark_failed("srv/shop", "2.1.0", "it lost orders")"#,
        holds: r#"releases::list("srv/shop")[0].failed == "it lost orders" && releases::previous("srv/shop") == ()"#,
        looks: 1,
        states: &[
            state("good", layout, Acts),
            state(
                "marked",
                |root| {
                    layout_and(
                        root,
                        "echo '2026-01-05T00:00:00Z failed 2.1.0: it lost orders' >> srv/shop/releases.log",
                    );
                },
                Rests,
            ),
            state("not there", |_| {}, Refuses("is not there")),
        ],
    },
];

/// All below `srv`, without the times of those directories in which releases and what they share are made:
/// these change when something is made there and taken away again.
fn seen(site: &Site) -> String {
    let root = site.path("srv");
    if !root.exists() {
        return "nothing".into();
    }
    let mut text = String::new();
    for (path, facts) in whole_tree::look(&root) {
        let made_in = ["shop", "shop/releases", "shop/shared"].contains(&path.as_str())
            || path.starts_with("shop/shared/") && facts.starts_with("directory");
        let facts: Vec<&str> = facts
            .split(' ')
            .enumerate()
            .filter(|(n, _)| !(made_in && *n == 3))
            .map(|(_, word)| word)
            .collect();
        writeln!(text, "{path}: {}", facts.join(" ")).expect("a text");
    }
    text
}

#[test]
fn releases_are_made_activated_removed_and_taken_back() {
    need_root("it gives files to other users");
    prove(&Module {
        path: "std/releases",
        name: "releases",
        surroundings,
        prelude: "let digest = sha256(\"app.tar.gz\");",
        state: seen,
        helpers: HELPERS,
    });
}

/// A plan that is backed out, with what it changed of the layout, and what it said.
fn backed_out(calls: &str) -> (Site, String, Finished) {
    let site = Site::bare(&format!(
        "import \"std/releases\" as releases;\n\
         plan(#{{ name: \"shop\", version: \"2.4.0\", environment: \"test\" }});\n\
         wait_for_window();\n{calls}\nthrow \"the plan fails\";\n"
    ));
    surroundings(&site);
    layout(&site.path(""));
    let before = seen(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    let after = seen(&site);
    let changed: Vec<&str> = after.lines().filter(|l| !before.contains(*l)).collect();
    let changed = changed.join("\n");
    (site, changed, finished)
}

#[test]
fn a_release_that_is_backed_out_is_marked_where_that_is_asked_for() {
    need_root("it gives files to other users");
    let (site, changed, finished) = backed_out(
        "releases::deploy(\"srv/shop\", \"2.4.0\", \"dist\", #{ mark: true });\n\
         releases::activate(\"srv/shop\", \"2.4.0\");",
    );
    // Nothing but the log, and in it one line more.
    let log = fs::read_to_string(site.path("srv/shop/releases.log")).expect("the log");
    let (rest, line) = log.trim_end().rsplit_once('\n').expect("lines");
    assert!(rest.ends_with("a note of somebody"), "{log}");
    let run = finished.events[0]["run"]
        .as_str()
        .expect("a run")
        .to_owned();
    assert!(
        line.ends_with(&format!("Z failed 2.4.0: backed out in the run {run}")),
        "{line}"
    );
    assert!(
        changed.starts_with("shop/releases.log: ") && changed.lines().count() == 1,
        "{changed}"
    );

    // What is told of it: it is no good version, and can be deployed once more.
    site.write(
        "after.rhai",
        "import \"std/releases\" as releases;\n\
         plan(#{ name: \"shop\", version: \"2.4.0\", environment: \"test\" });\n\
         wait_for_window();\n\
         info(releases::deploy(\"srv/shop\", \"2.4.0\", \"dist\"));\n\
         info(releases::activate(\"srv/shop\", \"2.4.0\"));\n\
         info(`${releases::current(\"srv/shop\")} after ${releases::previous(\"srv/shop\")}`);\n",
    );
    let finished = site.finish(&["run", "after.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert!(
        finished.told().contains("2.4.0 after 2.2.0"),
        "{}",
        finished.told()
    );
}

#[test]
fn a_former_release_that_fails_when_it_is_activated_is_marked_and_stays() {
    need_root("it gives files to other users");
    let (site, changed, _) =
        backed_out("releases::activate(\"srv/shop\", \"2.3.0\", #{ mark: true });");
    assert!(
        changed.starts_with("shop/releases.log: ") && changed.lines().count() == 1,
        "{changed}"
    );
    let log = fs::read_to_string(site.path("srv/shop/releases.log")).expect("the log");
    assert!(
        log.contains("Z failed 2.3.0: backed out in the run "),
        "{log}"
    );
}

#[test]
fn what_was_put_into_a_new_shared_directory_is_not_removed() {
    need_root("it gives files to other users");
    let (site, changed, _) = backed_out(
        "releases::deploy(\"srv/shop\", \"2.4.0\", \"dist\", #{ share: [\"public/uploads/\", \"cache/\"] });\n\
         run([\"touch\", \"srv/shop/shared/public/uploads/photo\"], #{ back_out: () });",
    );
    let left: Vec<&str> = changed
        .lines()
        .filter_map(|l| l.split(": ").next())
        .collect();
    let expected = [
        "shop/shared/public",
        "shop/shared/public/uploads",
        "shop/shared/public/uploads/photo",
    ];
    assert_eq!(left, expected);
    let told: Vec<String> = site.journal().iter().map(ToString::to_string).collect();
    assert!(
        told.join("\n")
            .contains("shared/public/uploads was made by this run and is left")
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (call, why) in [
        (r#"activate("srv/shop", "../../etc")"#, "is no version"),
        (r#"activate("srv/shop", "2.4.0\nx")"#, "is no version"),
        (r#"activate("srv/shop", ".new-2.4.0")"#, "is no version"),
        (r#"activate("srv/shop", "-rf")"#, "is no version"),
        (r#"activate("", "1")"#, "the directory of a layout"),
        (
            r#"activate("srv/shop", "1", #{ marc: true })"#,
            "has no option",
        ),
        (r#"prune("srv/shop", #{ keep: 0 })"#, "at least one"),
        (r#"mark_failed("srv/shop", "1", "a\nb")"#, "one line"),
        (
            r#"deploy("srv/shop", "1", "dist", #{ share: ["../x/"] })"#,
            "is no shared path",
        ),
        (
            r#"deploy("srv/shop", "1", "dist", #{ share: ["/etc/"] })"#,
            "is no shared path",
        ),
        (
            r#"deploy("srv/shop", "1", "dist", #{ share: ["a/", "a/b/"] })"#,
            "one lies in the other",
        ),
        (r#"deploy("srv/shop", "1", "none")"#, "none is not there"),
        (
            r#"deploy("srv/shop", "1", "dist", #{ strip: 1 })"#,
            "strip is for archives",
        ),
        (
            r#"deploy("srv/shop", "1", "app.tar.gz", #{ sha256: "00" })"#,
            "not 00",
        ),
        // What leads to a shared path is a link to somewhere else.
        (
            r#"deploy("srv/shop", "1", "dist", #{ share: ["away/log/"] })"#,
            "what leads there is a link",
        ),
    ] {
        let site = Site::bare(&format!(
            "import \"std/releases\" as releases;\n\
             plan(#{{ name: \"a\", version: \"1\", environment: \"test\" }});\n\
             releases::{call};\n"
        ));
        surroundings(&site);
        fs::create_dir_all(site.path("elsewhere")).expect("made");
        std::os::unix::fs::symlink(site.path("elsewhere"), site.path("dist/away")).expect("linked");
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            told.contains(why) && finished.code != Some(0),
            "{call}: `{why}`: {told}"
        );
        assert!(!site.path("srv").exists(), "{call}: {told}");
        assert_eq!(
            fs::read_dir(site.path("elsewhere"))
                .expect("listed")
                .count(),
            0,
            "{call}"
        );
    }
}
