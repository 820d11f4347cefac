//! `std/packages`, with the real package managers in roots of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::harness::{Helper, Module, State, Then, prove_every};
use super::package_roots::{Bases, become_root, entered, seen, surround};
use super::support::live::Live;
use super::support::site::Site;
use super::support::sweep::is_full;
use super::support::{need, need_root};

use Then::{Acts, Refuses, Rests};

const APT: &[(&str, &str)] = &[
    (
        "one",
        "apt-get install -qy shop=1.0 shop-lib=1.0; apt-mark auto shop-lib; echo mine >> /etc/shop/conf",
    ),
    ("two", "apt-get install -qy shop=2.0"),
    (
        "held",
        "apt-get install -qy shop=1.0 shop-lib=1.0; apt-mark hold shop",
    ),
    (
        "configured",
        "apt-get install -qy shop=1.0 shop-lib=1.0; apt-get remove -qy shop",
    ),
];

/// Roots for apt, in which it is this system's.
fn apt() -> Bases {
    need_root("it enters roots of its own");
    need("apt-get", "apt");
    need("dpkg-deb", "dpkg");
    need("unshare", "util-linux");
    Bases::make(APT)
}

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

fn empty(_: &Path) {}

fn one(root: &Path) {
    become_root(root, "one");
}

fn two(root: &Path) {
    become_root(root, "two");
}

fn held(root: &Path) {
    become_root(root, "held");
}

fn configured(root: &Path) {
    become_root(root, "configured");
}

const IS_TWO: &str = r#"read_file("/opt/shop/version") == "2.0\n""#;

static HELPERS: [Helper; 5] = [
    Helper {
        call: r#"packages::installed("shop", #{ version: "2.0" })"#,
        holds: IS_TWO,
        looks: 1,
        states: &[
            state("absent", empty, Acts),
            state("an older one", one, Acts),
            state("the same", two, Rests),
            state("an older one that is held", held, Refuses("is held")),
        ],
    },
    Helper {
        call: r#"packages::installed("shop")"#,
        holds: r#"file_exists("/opt/shop/version")"#,
        looks: 1,
        states: &[
            state("only configured", configured, Acts),
            state("an older one", one, Rests),
        ],
    },
    Helper {
        call: r#"packages::removed("shop", #{ purge: true })"#,
        holds: r#"!file_exists("/etc/shop/conf")"#,
        looks: 1,
        states: &[state("there", one, Acts), state("absent", empty, Rests)],
    },
    Helper {
        call: r#"packages::removed(["shop", "shop-lib"])"#,
        holds: r#"!file_exists("/opt/shop/version")"#,
        looks: 1,
        states: &[
            state("there and needed by the other", one, Acts),
            state("absent", empty, Rests),
        ],
    },
    Helper {
        call: r#"packages::held("shop")"#,
        holds: r#"probe(["apt-mark", "showhold"]).stdout == "shop\n""#,
        looks: 1,
        states: &[
            state("there", one, Acts),
            state("held", held, Rests),
            state("absent", empty, Refuses("is not installed")),
        ],
    },
];

#[test]
fn packages_of_apt_are_as_before() {
    let _bases = apt();
    prove_every(
        &Module {
            path: "std/packages",
            name: "packages",
            surroundings: surround,
            prelude: "",
            state: seen,
            helpers: &HELPERS,
        },
        25,
    );
}

const HEADER: &str = "import \"std/packages\" as packages;\n\
    plan(#{ name: \"p\", version: \"1\", environment: \"test\" });\n";

/// A plan in a root, and how that was before.
fn site(root: &str, plan: &str) -> (Site, String) {
    let site = Site::bare(&format!("{HEADER}{plan}\n"));
    surround(&site);
    become_root(&site.path(""), root);
    let before = seen(&site);
    (site, before)
}

fn ends(root: &str, plan: &str, code: i32, why: &str) -> (Site, String) {
    let (site, before) = site(root, plan);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(code), "{plan}: {told}");
    assert!(told.contains(why), "{plan}: `{why}`: {told}");
    (site, before)
}

fn ends_as_before(root: &str, plan: &str, code: i32, why: &str) {
    let (site, before) = ends(root, plan, code, why);
    assert_eq!(before, seen(&site), "{plan}: {}", site.told());
}

#[test]
fn what_fails_or_dies_within_dpkg_is_undone() {
    let _bases = apt();
    for root in ["empty", "one"] {
        let fails = r#"packages::installed("shop", #{ version: "1.3" });"#;
        ends_as_before(root, fails, 3, "exit status 100");
        let dies = r#"packages::installed("shop", #{ version: "1.6" });"#;
        ends_as_before(root, dies, 3, "exit status 100");
    }
}

/// Gives dpkg a part of the package, and kills it as soon as it has begun to write.
const CUT_OFF: &str = r#"#!/bin/sh
case "$*" in
*--fsys-tarfile*shop_2.0*)
    if mkdir HERE/killed 2>/dev/null; then
        HERE/real "$@" | head -c 4096
        until ls /etc/shop/*.dpkg-new > /dev/null 2>&1; do :; done
        kill -9 $PPID
        exit 1
    fi ;;
esac
exec HERE/real "$@"
"#;

#[test]
fn nothing_is_left_of_a_package_whose_unpacking_was_cut_off() {
    let _bases = apt();
    for root in ["empty", "one"] {
        let (site, before) = site(root, r#"packages::installed("shop", #{ version: "2.0" });"#);
        let here = site.path("bin");
        fs::create_dir(&here).expect("made");
        fs::copy("/usr/bin/dpkg-deb", here.join("real")).expect("copied");
        let here = here.display().to_string();
        site.write("bin/dpkg-deb", &CUT_OFF.replace("HERE", &here));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(site.path("bin/dpkg-deb"), mode).expect("mode");
        // apt and dpkg look for it where it always is.
        let enter = fs::read_to_string(site.path("enter")).expect("the way in");
        let there = site.path("root/usr/bin/dpkg-deb").display().to_string();
        let mount = format!("mount --bind {here}/dpkg-deb {there}\nexec chroot");
        site.write("enter", &enter.replace("exec chroot", &mount));
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            site.path("bin/killed").exists(),
            "{root}: it was not killed: {told}"
        );
        assert_eq!(finished.code, Some(3), "{root}: {told}");
        assert_eq!(before, seen(&site), "{root}: {told}\n{}", site.told());
    }
}

#[test]
fn what_was_not_asked_for_is_refused_before_anything_is_touched() {
    let _bases = apt();
    for (root, call, why) in [
        (
            "two",
            r#"installed("shop", #{ version: "1.0" })"#,
            "downgrade: true allows it",
        ),
        (
            "one",
            r#"removed("shop-lib")"#,
            "shop would be removed as well",
        ),
        (
            "one",
            r#"installed("shop", #{ version: "9" })"#,
            "Version '9' for 'shop' was not found",
        ),
        (
            "one",
            r#"installed("nosuch")"#,
            "Unable to locate package nosuch",
        ),
        ("one", r#"installed("--purge")"#, "is no name of a package"),
        ("one", r#"installed("shop lib")"#, "is no name of a package"),
        ("one", r#"installed("../shop")"#, "is no name of a package"),
        (
            "one",
            r#"installed("shop", #{ version: "1.*" })"#,
            "it is taken exactly",
        ),
        (
            "one",
            r#"installed("shop", #{ versoin: "1" })"#,
            "has no option",
        ),
        (
            "one",
            r#"installed("shop", #{ manager: "brew" })"#,
            "there are apt, pacman, apk, dnf",
        ),
    ] {
        ends_as_before(root, &format!("packages::{call};"), 1, why);
    }
}

/// The index has no former version any more.
const FORGET: &str = "sed -i 's,^deb.*,,' /etc/apt/sources.list; apt-get update -q";

#[test]
fn without_a_way_back_nothing_is_done_unless_that_is_allowed() {
    let _bases = apt();
    let (site, _) = site("one", r#"packages::removed("shop", #{ purge: true });"#);
    assert!(entered(&site.path(""), FORGET).status.success());
    let before = seen(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert!(
        finished.code == Some(1) && told.contains("shop 1.0 can't be put back"),
        "{told}"
    );
    assert_eq!(before, seen(&site), "{told}");

    site.write(
        "plan.rhai",
        &format!("{HEADER}packages::removed(\"shop\", #{{ purge: true, no_way_back: true }});\nthrow \"the plan fails\";\n"),
    );
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert!(
        finished.code == Some(4)
            && told.contains("shop 1.0 is installed and is now shop is not installed"),
        "{told}"
    );
}

#[test]
fn a_version_goes_down_and_held_packages_change_when_that_is_allowed() {
    let _bases = apt();
    let fails = "\nthrow \"the plan fails\";";
    let plan =
        format!("packages::installed(\"shop\", #{{ version: \"1.0\", downgrade: true }});{fails}");
    ends_as_before("two", &plan, 3, "the plan fails");
    let plan = format!(
        "packages::installed(#{{ \"shop\": \"2.0\", \"shop-lib\": \"2.0\" }}, #{{ change_held: true }});\n\
         if probe([\"apt-mark\", \"showhold\"]).stdout != \"shop\\n\" {{ throw \"it is not held any more\"; }}{fails}"
    );
    ends_as_before("held", &plan, 3, "the plan fails");
    let plan = format!("packages::removed(\"shop-lib\", #{{ remove_others: true }});{fails}");
    ends_as_before("one", &plan, 3, "the plan fails");
}

/// Killed while each step acts, and backed out.
fn is_killed_at_each_step(root: &str, call: &str, stride: usize) {
    for nth in (1..).step_by(if is_full() { 1 } else { stride }) {
        let (site, before) = site(root, &format!("packages::{call};"));
        let mut live = Live::start(site.command(&["run", "plan.rhai"]));
        let mut met = 0;
        live.wait_for("a step, or the end", |event| {
            met += usize::from(event["event"] == "step-started");
            met == nth || event["event"] == "run-ended"
        });
        if met < nth {
            live.finish();
            assert!(nth > 1, "it did nothing: {}", site.told());
            return;
        }
        live.kill();
        let finished = site.finish(&["back-out", "--yes", "2"]);
        assert_eq!(finished.code, Some(3), "{call}: {}", finished.told());
        assert_eq!(
            before,
            seen(&site),
            "{call}: killed in step {nth}: {}",
            finished.told()
        );
    }
}

/// What each of the others must do.
fn returns(first: &str, second: &str, stride: usize) {
    let fails = "\nthrow \"the plan fails\";";
    let version = format!("#{{ version: \"{second}\" }}");
    for (root, call) in [
        ("empty", "installed(\"shop\")".to_owned()),
        ("one", format!("installed(\"shop\", {version})")),
        ("one", "removed(\"shop\", #{ purge: true })".to_owned()),
    ] {
        ends_as_before(
            root,
            &format!("packages::{call};{fails}"),
            3,
            "the plan fails",
        );
    }
    let upgrade = format!("installed(\"shop\", {version})");
    let again = format!(
        "if !packages::{upgrade} || packages::{upgrade} || !packages::removed(\"shop\") || packages::removed(\"shop\") {{ throw \"no\"; }}"
    );
    ends("one", &again, 0, "released");
    ends_as_before(
        "one",
        &format!("packages::installed(\"shop\", #{{ version: \"{first}\" }});{fails}"),
        1,
        "the plan fails",
    );
    is_killed_at_each_step("one", &upgrade, stride);
}

const RPMS: &str = r#"
rpm() {
    t=$(mktemp -d)
    cat > "$t/s.spec" <<END
Name: $1
Version: $2
Release: 1
Summary: t
License: t
BuildArch: noarch
${3:+Requires: $3}
%description
t
%install
mkdir -p %{buildroot}/etc/$1 %{buildroot}/opt/$1
echo conf of $2 > %{buildroot}/etc/$1/conf
echo $2 > %{buildroot}/opt/$1/version
%files
%dir /etc/$1
%config(noreplace) /etc/$1/conf
/opt/$1
END
    rpmbuild -bb --quiet --define "_topdir $t" --define "_rpmdir $PWD/rpm" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' "$t/s.spec"
    rm -rf "$t"
}
mkdir rpm
for v in 1.0 2.0; do rpm shop $v "shop-lib >= $v"; rpm shop-lib $v; done
rpm rpm 4.18
createrepo_c -q rpm
"#;

#[test]
fn packages_of_dnf_are_as_before() {
    need_root("it enters roots of its own");
    need("dnf", "dnf");
    need("rpmbuild", "rpm");
    need("createrepo_c", "createrepo-c");
    let _bases = Bases::make_with(
        RPMS,
        &[
            ("empty", "dnf -qy install rpm"),
            (
                "one",
                "dnf -qy install shop-1.0 shop-lib-1.0; dnf -q mark remove shop-lib; echo mine >> /etc/shop/conf",
            ),
        ],
    );
    // Of its steps the first and the sixth, which changes packages: dnf takes its time.
    returns("1.0-1", "2.0-1", 5);
}

const PACMAN: &str = r#"
pac() {
    d=$(mktemp -d)
    mkdir -p "$d/etc/$1" "$d/opt/$1"
    echo conf of $2 > "$d/etc/$1/conf"
    echo $2 > "$d/opt/$1/version"
    printf 'pkgname = %s\npkgver = %s\npkgdesc = t\nbuilddate = 1700000000\nsize = 10\narch = any\nbackup = etc/%s/conf\n' "$1" "$2" "$1" > "$d/.PKGINFO"
    test -z "$3" || echo "depend = $3" >> "$d/.PKGINFO"
    f=$1-$2-any.pkg.tar.zst
    tar -C "$d" -cf - .PKGINFO etc opt | zstd -q > "pacman/$f"
    mkdir -p "db$2/$1-$2"
    printf '%%FILENAME%%\n%s\n\n%%NAME%%\n%s\n\n%%VERSION%%\n%s\n\n%%ARCH%%\nany\n\n%%CSIZE%%\n%s\n\n' "$f" "$1" "$2" "$(stat -c %s "pacman/$f")" > "db$2/$1-$2/desc"
    test -z "$3" || printf '%%DEPENDS%%\n%s\n\n' "$3" >> "db$2/$1-$2/desc"
    rm -rf "$d"
}
mkdir pacman
for v in 1.0-1 2.0-1; do pac shop $v "shop-lib>=$v"; pac shop-lib $v ""; pac pacman $v ""; tar -C db$v -czf pacman/$v.db $(ls db$v); done
cp pacman/1.0-1.db pacman/own.db
"#;

#[test]
fn packages_of_pacman_are_as_before() {
    need_root("it enters roots of its own");
    need("pacman", "pacman-package-manager");
    need("vercmp", "makepkg");
    need("zstd", "zstd");
    let _bases = Bases::make_with(
        PACMAN,
        &[
            ("empty", "pacman -Sy --noconfirm pacman"),
            (
                "one",
                "pacman -S --noconfirm shop; pacman -D --asdeps shop-lib; echo mine >> /etc/shop/conf; \
                 cp PACKAGES/pacman/2.0-1.db /var/lib/pacman/sync/own.db",
            ),
        ],
    );
    returns("1.0-1", "2.0-1", 1);
}
