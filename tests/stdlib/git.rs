//! `std/git`, with repositories that git, gpg and ssh-keygen make.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{XattrFlags, lsetxattr};
use tempfile::TempDir;

use super::harness::{Helper, Module, State, Then, prove};
use super::support::site::Site;
use super::support::sweep::each;
use super::support::{need, need_root};
use super::whole_tree;

use Then::{Acts, Refuses, Rests};

fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .output()
        .expect("bash");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A repository with two commits and tags of all kinds, and the keys that signed them.
const MAKE: &str = r#"
export GNUPGHOME=$PWD/gnupg
mkdir -m 700 gnupg
for who in release other; do
    gpg --batch --quiet --passphrase '' --quick-gen-key "$who <$who@example.org>" ed25519 sign never
    gpg --armor --export $who@example.org > $who.asc
    ssh-keygen -q -t ed25519 -N '' -C '' -f $who
    echo "$who@example.org $(cat $who.pub)" > $who.signers
done
# A key whose day is over, and one that was revoked.
gpg --batch --quiet --passphrase '' --quick-gen-key 'old <old@example.org>' ed25519 sign never
gpg --batch --quiet --passphrase '' --quick-gen-key 'lost <lost@example.org>' ed25519 sign never
git init -q -b main origin
cd origin
git config user.name release
git config user.email release@example.org
mkdir a
echo 1 > a/f
echo run > run
chmod 755 run
ln -s a/f link
printf '*.log\n' > .gitignore
# Directories that become files and links, and the other way round.
mkdir -p turns out/in
touch turns/x out/in/x grows
ln -s a leads
ln -s ../outside away
git add .
git commit -qm 1
git tag v1
echo 2 > a/f
rm run
mkdir -p b/c
echo 2 > b/c/new
rm -r turns out grows leads away
echo now > turns
ln -s a out
mkdir -p grows leads away/log
touch grows/x leads/f away/log/new
git add -A
git commit -qm 2
git tag -a v2-unsigned -m v2
sign() { git -c gpg.program=gpg tag -s -u "$1@example.org" "$2" -m "$2"; }
sign release v2
sign other v2-other
sign old v2-old
sign lost v2-lost
for who in release other; do git -c gpg.format=ssh -c user.signingkey=$PWD/../$who tag -s v2-ssh-$who -m v2; done
git update-ref refs/tags/v3 "$(git rev-parse v2)"
# One that says more than was signed.
git cat-file tag v2 | sed 's/^v2$/v9/' > ../forged
git update-ref refs/tags/v2-forged "$(sed 's/^tag v2$/tag v2-forged/' ../forged | git hash-object -t tag -w --stdin)"
git rev-parse v2^{commit} > ../commit
cd ..
gpg --batch --quiet --quick-set-expire "$(gpg --list-keys --with-colons old@example.org | awk -F: '/^fpr/ { print $10; exit }')" seconds=1
until gpg --list-keys --with-colons old@example.org 2> /dev/null | grep -q '^pub:e'; do :; done
sed 's/^:---/---/' "gnupg/openpgp-revocs.d/$(gpg --list-keys --with-colons lost@example.org | awk -F: '/^fpr/ { print $10; exit }').rev" | gpg --batch --quiet --import
gpg --armor --export old@example.org > old.asc
gpg --armor --export lost@example.org > lost.asc
gpgconf --kill all
rm -rf gnupg
"#;

/// It is made once; each site has a copy.
fn made() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let dir = MADE.get_or_init(|| {
        for (program, package) in [
            ("git", "git"),
            ("gpg", "gnupg"),
            ("ssh-keygen", "openssh-client"),
        ] {
            need(program, package);
        }
        // A socket of gpg-agent lies in it: its path must be short.
        let dir = tempfile::tempdir().expect("a directory");
        shell(dir.path(), MAKE);
        dir
    });
    dir.path()
}

fn surroundings(site: &Site) {
    shell(&site.path(""), &format!("cp -a {}/. .", made().display()));
}

/// A tree at the former commit on a branch, with a file that git ignores.
fn tree(root: &Path) {
    shell(
        root,
        "mkdir production/srv
         git clone -q --no-tags origin production/srv/shop 2> /dev/null
         cd production/srv/shop
         git checkout -q -b live v1 2> /dev/null || git checkout -q -b live HEAD^
         echo mine > app.log",
    );
}

fn tree_and(root: &Path, script: &str) {
    tree(root);
    shell(&root.join("production/srv/shop"), script);
}

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"git::checkout("origin", "srv/shop", id)"#,
        holds: r#"git::commit("srv/shop") == id && read_file("srv/shop/b/c/new") == "2\n""#,
        // Is it there, and what is checked out?
        looks: 2,
        states: &[
            state("absent", |_| {}, Acts),
            state("at another commit", |root| moved(root, ""), Acts),
            state("at another commit, and dressed", dressed, Acts),
            state(
                "at the same commit",
                |root| moved(root, "git checkout -q --detach main"),
                Rests,
            ),
            state(
                "changed",
                |root| moved(root, "echo 3 > a/f"),
                Refuses("is not clean: a/f was changed"),
            ),
            state(
                "with a file that is not in git",
                |root| moved(root, "echo 3 > more"),
                Refuses("is not clean: more is not in git"),
            ),
            state(
                "with a file that would be overwritten",
                |root| {
                    moved(
                        root,
                        "mkdir -p b/c; echo new > .git/info/exclude; echo precious > b/c/new",
                    )
                },
                Refuses("b/c/new in srv/shop is not in git and would be overwritten"),
            ),
            state(
                "with a file where a directory comes",
                |root| moved(root, "echo b > .git/info/exclude; echo precious > b"),
                Refuses("b in srv/shop is not in git and would be overwritten"),
            ),
            state(
                "with a link where a directory comes",
                |root| moved(root, "echo c > .git/info/exclude; mkdir b; ln -s ../a b/c"),
                Refuses("b/c in srv/shop is not in git and would be overwritten"),
            ),
            state(
                "with something in a directory where a file comes",
                |root| moved(root, "echo precious > turns/app.log"),
                Refuses("turns/app.log in srv/shop is not in git and would be overwritten"),
            ),
            state(
                "with a directory in one where a link comes",
                |root| moved(root, "mkdir -m 700 out/in/empty"),
                Refuses("out/in/empty in srv/shop is not in git and would be overwritten"),
            ),
            state(
                "used by somebody else",
                |root| moved(root, "touch .git/index.lock"),
                Refuses("somebody else works in srv/shop"),
            ),
            state(
                "in a repository of something else",
                |root| {
                    shell(root, "git init -q srv; mkdir srv/shop");
                },
                Refuses("is there and is no working tree of git"),
            ),
        ],
    },
    Helper {
        call: r#"git::checkout("origin", "srv/shop", "v2", #{ keyring: "release.asc" })"#,
        holds: r#"git::commit("srv/shop") == id"#,
        // The signature, and those above.
        looks: 3,
        states: &[
            state(
                "detached at another commit",
                |root| moved(root, "git checkout -q --detach; git branch -q -D live"),
                Acts,
            ),
            state(
                "at the same commit",
                |root| moved(root, "git checkout -q --detach main"),
                Rests,
            ),
        ],
    },
];

/// The tree, beside `production`: what is in `.git` is told of in another way.
fn moved(root: &Path, script: &str) {
    tree_and(root, script);
    shell(root, "mv production/srv srv");
}

/// What git neither knows nor sees: owners, modes, attributes, empty directories, and what is behind a link.
fn dressed(root: &Path) {
    moved(
        root,
        "chmod 640 a/f grows
         chown daemon:daemon a/f turns/x
         chown -h daemon leads
         chmod 2750 turns
         chown daemon out
         chmod 700 out/in
         mkdir -m 770 b
         chown daemon b
         mkdir -p ../outside/log
         chown daemon ../outside/log
         chmod 770 ../outside/log
         echo precious > ../outside/log/new",
    );
    for name in ["a/f", "turns/x"] {
        let path = root.join("srv/shop").join(name);
        lsetxattr(&path, "user.note", b"kept", XattrFlags::empty()).expect("an attribute");
    }
}

/// What there is: files with content, modes and owners; and what git knows. Not the times of files that git
/// has written anew, nor objects that nothing leads to.
fn seen(site: &Site) -> String {
    let root = site.path("srv");
    if !root.exists() {
        return "nothing".into();
    }
    let mut text = String::new();
    for (path, facts) in whole_tree::look(&root) {
        if path == "shop/.git" || path.starts_with("shop/.git/") || path.starts_with(".git") {
            continue;
        }
        let facts: Vec<&str> = facts.split(' ').collect();
        // The last word of what is not an attribute is the time.
        let kept: Vec<&str> = facts.iter().filter(|w| !is_time(w)).copied().collect();
        writeln!(text, "{path}: {}", kept.join(" ")).expect("a text");
    }
    if root.join("shop/.git").exists() {
        text += &shell(
            &root.join("shop"),
            "export GIT_OPTIONAL_LOCKS=0
             ls .git | grep -v -e ORIG_HEAD; cat .git/HEAD .git/config .git/packed-refs 2> /dev/null || true
             git for-each-ref; git ls-files --stage; git status --porcelain --ignored; git fsck --no-dangling 2>&1",
        );
    }
    text
}

fn is_time(word: &str) -> bool {
    word.split_once('.').is_some_and(|(seconds, rest)| {
        seconds.len() >= 9
            && rest.len() == 9
            && (seconds.to_owned() + rest)
                .bytes()
                .all(|b| b.is_ascii_digit())
    })
}

#[test]
fn commits_are_checked_out_and_taken_back() {
    need_root("it gives files to other users");
    prove(&Module {
        path: "std/git",
        name: "git",
        surroundings,
        prelude: "let id = trimmed(read_file(\"commit\"));",
        state: seen,
        helpers: HELPERS,
    });
}

/// A plan that says what a call returns or throws.
fn told(call: &str) -> String {
    let site = Site::bare(&format!(
        "import \"std/git\" as git;\n\
         plan(#{{ name: \"a\", version: \"1\", environment: \"test\" }});\n\
         info({call});\n"
    ));
    surroundings(&site);
    let bystander = |path: PathBuf| fs::read_dir(path).map_or(0, Iterator::count);
    // A keyring of whoever runs it, which trusts everybody, and settings that trust nobody.
    shell(
        &site.path(""),
        "mkdir -m 700 .gnupg; gpg --batch --quiet --no-autostart --import other.asc old.asc lost.asc 2> /dev/null
         git config --global gpg.ssh.allowedSignersFile \"$PWD/other.signers\"
         git config --global gpg.minTrustLevel ultimate
         git config --global gpg.program /bin/true",
    );
    let temporary = site.path("tmp");
    fs::create_dir(&temporary).expect("made");
    let finished = site.finish_with(
        &["run", "plan.rhai"],
        "TMPDIR",
        &temporary.to_string_lossy(),
    );
    assert_eq!(bystander(temporary), 0, "{}", finished.told());
    finished.told()
}

#[test]
fn signatures_count_only_when_the_plan_has_their_keys() {
    let cases = [
        (r#""v2", #{ keyring: "release.asc" }"#, "\\\"signer\\\": "),
        (
            r#""v2-ssh-release", #{ signers: "release.signers" }"#,
            "release@example.org with ED25519 key",
        ),
        (
            r#""v2-ssh-release", #{ keyring: "other.asc", signers: "release.signers" }"#,
            "release@example.org with",
        ),
        (r#""v2", #{ keyring: "other.asc" }"#, "NO_PUBKEY"),
        (r#""v2-other", #{ keyring: "release.asc" }"#, "NO_PUBKEY"),
        (r#""v2", #{ signers: "release.signers" }"#, "NO_PUBKEY"),
        (r#""v2-old", #{ keyring: "old.asc" }"#, "EXPKEYSIG"),
        (r#""v2-lost", #{ keyring: "lost.asc" }"#, "REVKEYSIG"),
        (r#""v2-forged", #{ keyring: "release.asc" }"#, "BADSIG"),
        (
            r#""v2-ssh-other", #{ signers: "release.signers" }"#,
            "No principal matched",
        ),
        (
            r#""v2-ssh-other", #{ keyring: "other.asc" }"#,
            "No principal matched",
        ),
        (
            r#""v2-unsigned", #{ keyring: "release.asc" }"#,
            "no signature found",
        ),
        (
            r#""v1", #{ keyring: "release.asc" }"#,
            "is not signed: it is only a name",
        ),
        (
            r#""v3", #{ keyring: "release.asc" }"#,
            "was made as v2, and renamed since",
        ),
        (
            r#""none", #{ keyring: "release.asc" }"#,
            "find remote ref refs/tags/none",
        ),
        (
            r#""v2", #{ keyring: "none.asc" }"#,
            "none.asc is no file that is there",
        ),
        (r#""v2", #{ keyring: "commit" }"#, "no valid OpenPGP data"),
        (r#""v2", #{}"#, "needs keyring"),
        (r#""main:a", #{ keyring: "release.asc" }"#, "nor a tag"),
    ];
    each("signatures", &cases, |(call, why)| {
        let told = told(&format!("git::verify_tag(\"origin\", {call})"));
        assert!(told.contains(why), "{call}: `{why}`: {told}");
    });
}

#[test]
fn what_is_no_commit_is_refused() {
    for (call, why) in [
        (r#""origin", "srv/shop", "main/..""#, "neither the whole id"),
        (
            r#""origin", "srv/shop", "--upload-pack=x""#,
            "neither the whole id",
        ),
        (r#""origin", "srv/shop", "main""#, "has no tag main"),
        (
            r#""origin", "srv/shop", "0123456789012345678901234567890123456789""#,
            "failed with exit status",
        ),
        (
            r#""--upload-pack=touch hacked", "srv/shop", "v1""#,
            "a repository is a URL",
        ),
        (
            r#""ext::sh -c touch% hacked", "srv/shop", "v1""#,
            "can't be read",
        ),
        (
            r#""https://me:pw@localhost/x", "srv/shop", "v1""#,
            "there is a password in the URL",
        ),
        (
            r#""origin", "srv/shop", "v1", #{ deep: 1 }"#,
            "has no option",
        ),
    ] {
        let site = Site::bare(&format!(
            "import \"std/git\" as git;\n\
             plan(#{{ name: \"a\", version: \"1\", environment: \"test\" }});\n\
             git::checkout({call});\n"
        ));
        surroundings(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            told.contains(why) && finished.code != Some(0),
            "{call}: `{why}`: {told}"
        );
        assert!(
            !site.path("srv").exists() && !site.path("hacked").exists(),
            "{call}: {told}"
        );
    }
}

#[test]
fn a_git_that_is_killed_in_the_middle_is_taken_back() {
    // The filter stops in the middle of the checkout, with the index locked and half of the files written.
    let site = Site::bare(
        "import \"std/git\" as git;\n\
         plan(#{ name: \"a\", version: \"1\", environment: \"test\" });\n\
         git::checkout(\"origin\", \"srv/shop\", trimmed(read_file(\"commit\")));\n",
    );
    surroundings(&site);
    let root = site.path("");
    site.write(
        "stop",
        "#!/bin/sh\ntouch reached\nwhile ! test -e ../../go; do sleep 0.01; done\ncat\n",
    );
    fs::set_permissions(site.path("stop"), fs::Permissions::from_mode(0o755)).expect("mode");
    moved(
        &root,
        &format!(
            "mkdir -p .git/info; echo 'b/c/new filter=stop' > .git/info/attributes; git config filter.stop.smudge {}",
            site.path("stop").display()
        ),
    );
    let before = seen(&site);
    let mut live = super::support::live::Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for("the checkout", |e| {
        e["event"] == "step-started" && e.to_string().contains("check out")
    });
    let until = std::time::Instant::now() + super::support::live::PATIENCE;
    while !site.path("srv/shop/reached").exists() {
        assert!(
            std::time::Instant::now() < until,
            "it never came to its middle"
        );
    }
    assert!(site.path("srv/shop/.git/index.lock").exists());
    live.signal(rustix::process::Signal::INT);
    live.signal(rustix::process::Signal::INT);
    site.write("go", "");
    fs::remove_file(site.path("srv/shop/reached")).expect("removed");
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(before, seen(&site), "{}", finished.told());
}
