//! Roots of their own for package managers: what the real apt, dnf and pacman do there leaves the machine
//! alone. A root has the machine's `/usr` in it, which can't be written, and databases of its own; the
//! packages are tiny, and made here. A site enters its root by the program `enter`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::support::site::Site;
use super::whole_tree;

static BASES: OnceLock<PathBuf> = OnceLock::new();

/// Roots that sites begin with; they go when it is dropped.
pub struct Bases {
    dir: tempfile::TempDir,
}

impl Bases {
    /// Debian's packages, and a root for each of these: a name, and what is done in it. The first is
    /// `empty`, with the package manager itself in it.
    pub fn make(roots: &[(&str, &str)]) -> Self {
        let mut all = vec![("empty", "apt-get update -q; apt-get install -qy dpkg")];
        all.extend(roots);
        Self::make_with(DEBS, &all)
    }

    /// Other packages, made by a script, and roots; the second and all that follow begin with the first.
    pub fn make_with(packages: &str, roots: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let bases = Self { dir };
        let at = bases.dir.path().join("packages");
        fs::create_dir(&at).expect("made");
        shell(&at, packages);
        for (name, script) in roots {
            let dir = bases.dir.path().join(name);
            fs::create_dir_all(dir.join("root")).expect("made");
            write_enter(&dir);
            if *name == "empty" {
                shell(
                    &dir.join("root"),
                    &SKELETON.replace("PACKAGES", &at.display().to_string()),
                );
            } else {
                fs::remove_dir(dir.join("root")).expect("removed");
                copy(&bases.dir.path().join("empty/root"), &dir.join("root"));
            }
            let done = entered(&dir, &script.replace("PACKAGES", &at.display().to_string()));
            assert!(done.status.success(), "{name}: {done:?}");
        }
        BASES
            .set(bases.dir.path().to_owned())
            .expect("one set of roots in a process");
        bases
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .output()
        .expect("cp");
    assert!(done.status.success(), "{done:?}");
}

fn shell(dir: &Path, script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .expect("sh");
    assert!(done.status.success(), "{script}: {done:?}");
}

/// Gives a site the root of this name.
pub fn become_root(site: &Path, name: &str) {
    let base = BASES.get().expect("the roots").join(name).join("root");
    let root = site.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).expect("removed");
    }
    copy(&base, &root);
}

/// Gives a site the first root, and the way into it.
pub fn surround(site: &Site) {
    become_root(&site.path(""), "empty");
    write_enter(&site.path(""));
}

fn write_enter(dir: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
    let bin = program.parent().expect("a directory").display().to_string();
    let text = ENTER
        .replace("ROOT", &dir.join("root").display().to_string())
        .replace("BIN", &bin);
    let enter = dir.join("enter");
    fs::write(&enter, text).expect("written");
    fs::set_permissions(&enter, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// Runs a script in the root of a site.
pub fn entered(site: &Path, script: &str) -> Output {
    Command::new(site.join("enter"))
        .args(["sh", "-ec", script])
        .current_dir(site)
        .env("LC_ALL", "C")
        .output()
        .expect("it runs")
}

/// What the package managers know, and all files that packages have put there.
pub fn seen(site: &Site) -> String {
    let done = entered(&site.path(""), SEEN);
    let mut seen = String::from_utf8_lossy(&done.stdout).into_owned();
    for dir in ["etc", "opt", "var/cache"] {
        for (name, entry) in whole_tree::look(&site.path("root").join(dir)) {
            // What managers fetch and remember there is theirs, and directories have no time of their own.
            let theirs = ["apt/", "dnf/", "pacman/", "deployrun"]
                .iter()
                .any(|at| name.starts_with(at));
            if dir == "var/cache" && theirs && !name.starts_with("deployrun") {
                continue;
            }
            if let Some(rest) = entry.strip_prefix("directory ") {
                let dress: Vec<&str> = rest.split(' ').take(2).collect();
                seen += &format!("{dir}/{name} directory {}\n", dress.join(" "));
            } else {
                seen += &format!("{dir}/{name} {entry}\n");
            }
        }
    }
    seen
}

const ENTER: &str = r#"#!/bin/sh
exec unshare --mount --propagation private sh -ec '
D=$PWD
mkdir -p "ROOT/BIN"
mount --bind -o ro /usr ROOT/usr
mount --rbind /proc ROOT/proc
mount --rbind /dev ROOT/dev
mount --bind /tmp ROOT/tmp
mount --bind BIN "ROOT/BIN"
exec chroot ROOT env -C "$D" "$@"' sh "$@"
"#;

const SKELETON: &str = r#"
mkdir -p usr proc dev tmp run root opt var/lib/dpkg/info var/lib/dpkg/updates var/log/apt
mkdir -p var/lib/apt/lists/partial var/cache/apt/archives/partial
mkdir -p etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/trusted.gpg.d etc/apt/sources.list.d etc/dpkg
mkdir -p etc/dnf etc/rpm etc/yum.repos.d var/lib/rpm var/lib/dnf var/cache/dnf var/lib/pacman var/cache/pacman/pkg
for link in bin lib lib64 sbin; do ln -s usr/$link $link; done
touch var/lib/dpkg/status
echo force-unsafe-io > etc/dpkg/dpkg.cfg
echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
echo 'root:x:0:' > etc/group
echo 'APT::Sandbox::User "root";' > etc/apt/apt.conf.d/root
echo "deb [trusted=yes] file:PACKAGES/deb ./" > etc/apt/sources.list
echo '%_dbpath /var/lib/rpm' > etc/rpm/macros
printf '[main]\ngpgcheck=0\nreposdir=/etc/yum.repos.d\n' > etc/dnf/dnf.conf
printf '[own]\nname=own\nbaseurl=file://PACKAGES/rpm\n' > etc/yum.repos.d/own.repo
printf '[options]\nArchitecture = auto\nSigLevel = Never\n[own]\nServer = file://PACKAGES/pacman\n' > etc/pacman.conf
"#;

const SEEN: &str = r#"
if test -s /var/lib/dpkg/status; then
    dpkg-query -W -f '${Package} ${Version} ${Status} ${Conffiles}\n'
    for what in showmanual showauto showhold; do echo $what; apt-mark $what; done
fi
if test -e /var/lib/rpm/rpmdb.sqlite; then
    rpm -qa | sort
    dnf -q history userinstalled 2>/dev/null | sort
fi
if test -e /var/lib/pacman/local; then pacman -Q; pacman -Qd || true; ls /var/lib/pacman; fi
"#;

/// shop needs shop-lib. 1.3 has a script that fails, 1.6 one that kills its dpkg.
const DEBS: &str = r#"
deb() {
    d=$(mktemp -d)
    mkdir -p "$d/DEBIAN" "$d/etc/$1" "$d/opt/$1"
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: T <t@example.org>\nDescription: t\n' "$1" "$2" "$4" > "$d/DEBIAN/control"
    test -z "$3" || echo "Depends: $3" >> "$d/DEBIAN/control"
    echo "conf of $2" > "$d/etc/$1/conf"
    echo "/etc/$1/conf" > "$d/DEBIAN/conffiles"
    test "$2" = 1.0 || { echo new > "$d/etc/$1/new.conf"; echo "/etc/$1/new.conf" >> "$d/DEBIAN/conffiles"; }
    echo "$2" > "$d/opt/$1/version"
    case $1$2 in
    shop1.3) printf '#!/bin/sh\nexit 1\n' > "$d/DEBIAN/postinst" ;;
    shop1.6) printf '#!/bin/sh\nkill -9 $PPID\n' > "$d/DEBIAN/postinst" ;;
    esac
    test ! -e "$d/DEBIAN/postinst" || chmod 755 "$d/DEBIAN/postinst"
    dpkg-deb --build --root-owner-group "$d" "deb/$1_$2_$4.deb" > /dev/null
    rm -rf "$d"
}
mkdir deb
for v in 1.0 1.3 1.6 2.0; do deb shop $v "shop-lib (>= $v)" all; done
for v in 1.0 2.0; do deb shop-lib $v "" all; done
deb dpkg 1.21 "" amd64
cd deb
for f in *.deb; do
    dpkg-deb --field "$f"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$f" "$(stat -c %s "$f")" "$(sha256sum "$f" | cut -d' ' -f1)"
done > Packages
"#;
