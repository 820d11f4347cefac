//! Compares our order of versions with that of the package managers' own code.
//!
//! * Debian: `dpkg --compare-versions`, over versions that this machine knows and mutations of
//!   them. Needs the package `dpkg`; `apt-cache` adds more versions where it is there.
//! * RPM: `rpm.vercmp` of the program `rpm`. Needs the Debian package `rpm`.
//! * pacman: `alpm_pkg_vercmp` of libalpm, called from Python. Needs the Debian packages
//!   `libalpm13` and `python3`.
//!
//! Nothing is skipped: a test whose package is missing fails and names it. The seed is fixed and
//! printed; `VERSION_ORACLE_SEED` sets another one.
//!
//! Alpine's `apk` cannot be had on other systems; its order is checked by the table beside the code.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use deployrun::words::version::{Scheme, compare};

const DEBIAN_PAIRS: usize = 6_000;
const RPM_PAIRS: usize = 4_000;
const PACMAN_PAIRS: usize = 4_000;

type Pair = (String, String);

/// `SplitMix64`: small, fixed by its seed, and good enough to choose test cases.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("VERSION_ORACLE_SEED").map_or(20_240_601, |seed| {
            seed.parse().expect("VERSION_ORACLE_SEED must be a number")
        });
        eprintln!("seed: VERSION_ORACLE_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("smaller than a usize")
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Runs a program and returns what it printed, or says what to install.
fn run(program: &str, arguments: &[&str], input: &str, package: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("`{program}` cannot be run ({error}): install the package `{package}`")
        });
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_owned();
    // From a thread of its own, so that neither side waits for the other on a full pipe.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child
        .wait_with_output()
        .expect("the child can be waited for");
    let _ = writer.join().expect("the writer does not panic");
    assert!(
        output.status.success(),
        "`{program}` failed ({}), is the package `{package}` whole? {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("versions are ASCII")
}

/// Compares our answers with the oracle's, `<`, `=` or `>` a line.
fn assert_agrees(scheme: Scheme, pairs: &[Pair], answers: &str, least: usize) {
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), pairs.len(), "one answer for each pair");
    assert!(pairs.len() >= least, "only {} pairs", pairs.len());
    let mut counts = [0_usize; 3];
    let mut wrong = Vec::new();
    for ((left, right), answer) in pairs.iter().zip(&answers) {
        let expected = match *answer {
            "<" => Ordering::Less,
            "=" => Ordering::Equal,
            ">" => Ordering::Greater,
            other => panic!("no answer for {left:?} and {right:?}: {other:?}"),
        };
        counts[match expected {
            Ordering::Less => 0,
            Ordering::Equal => 1,
            Ordering::Greater => 2,
        }] += 1;
        let ours = compare(scheme, left, right);
        if ours != expected {
            wrong.push(format!("{left} {answer} {right}, but we say {ours:?}"));
        }
    }
    eprintln!(
        "{scheme}: {} pairs, {} less, {} equal, {} greater",
        pairs.len(),
        counts[0],
        counts[1],
        counts[2]
    );
    // Pairs that nearly all fall one way would prove little.
    for count in counts {
        assert!(count * 50 >= pairs.len(), "too uneven: {counts:?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        pairs.len(),
        wrong[..wrong.len().min(30)].join("\n")
    );
}

fn versions_known_to_dpkg() -> Vec<String> {
    let mut versions: BTreeSet<String> =
        run("dpkg-query", &["-W", "-f", "${Version}\\n"], "", "dpkg")
            .lines()
            .map(str::to_owned)
            .collect();
    // Not every machine has package lists; what is installed is enough.
    if let Ok(output) = Command::new("apt-cache").arg("dumpavail").output() {
        versions.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter_map(|line| line.strip_prefix("Version: "))
                .map(str::to_owned),
        );
    }
    versions.retain(|version| is_debian_version(version));
    assert!(
        versions.len() >= 50,
        "dpkg knows only {} versions",
        versions.len()
    );
    versions.into_iter().collect()
}

/// As deb-version(7) has it; dpkg only warns about others and then guesses.
fn is_debian_version(version: &str) -> bool {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let allowed = |text: &str, more: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
    };
    epoch.parse::<i32>().is_ok_and(|epoch| epoch >= 0)
        && epoch.bytes().all(|byte| byte.is_ascii_digit())
        && upstream.starts_with(|first: char| first.is_ascii_digit())
        && allowed(upstream, ".+-~")
        && !revision.is_empty()
        && allowed(revision, ".+~")
}

/// Changes a version in one to three places.
fn mutated(version: &str, chance: &mut Chance, pieces: &[&str]) -> String {
    let mut version = version.to_owned();
    for _ in 0..=chance.below(3) {
        let at = chance.below(version.len() + 1);
        match chance.below(4) {
            0 | 1 => version.insert_str(at, chance.of(pieces)),
            2 if at < version.len() => {
                version.remove(at);
            }
            _ if at < version.len() => {
                version.replace_range(at..=at, chance.of(pieces));
            }
            _ => version.push_str(chance.of(pieces)),
        }
    }
    version
}

/// Pairs of three kinds: neighbours among known versions, a version with its mutation, and two
/// mutations of one version.
fn pairs(
    known: &[String],
    count: usize,
    chance: &mut Chance,
    pieces: &[&str],
    is_valid: impl Fn(&str) -> bool,
) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let at = chance.below(known.len());
        let version = &known[at];
        let (left, right) = match chance.below(4) {
            0 => {
                let other = (at + chance.below(5)).min(known.len() - 1);
                (version.clone(), known[other].clone())
            }
            1 => (version.clone(), mutated(version, chance, pieces)),
            _ => (
                mutated(version, chance, pieces),
                mutated(version, chance, pieces),
            ),
        };
        if is_valid(&left) && is_valid(&right) {
            let swap = chance.one_in(2);
            pairs.push(if swap { (right, left) } else { (left, right) });
        }
    }
    pairs
}

fn lines_of(pairs: &[Pair]) -> String {
    pairs.iter().fold(String::new(), |mut text, (left, right)| {
        writeln!(text, "{left} {right}").expect("a string takes everything");
        text
    })
}

/// One shell a half, as each comparison is a process of its own.
const ASK_DPKG: &str = r#"
while read -r left right; do
    if dpkg --compare-versions "$left" lt "$right"; then echo '<'
    elif dpkg --compare-versions "$left" eq "$right"; then echo '='
    elif dpkg --compare-versions "$left" gt "$right"; then echo '>'
    else echo "dpkg cannot tell"
    fi
done
"#;

#[test]
fn debian_agrees_with_dpkg() {
    let known = versions_known_to_dpkg();
    let pieces = [
        "~", "~~", "+", ".", "-", "0", "1", "9", "00", "10", "a", "z", "A", "rc1", "1:", "2:",
        "0:", "~bpo12+1", "+deb12u1", "+b1", "-1", "-0", ".0", "+dfsg", "~rc1",
    ];
    let pairs = pairs(
        &known,
        DEBIAN_PAIRS,
        &mut Chance::new(),
        &pieces,
        is_debian_version,
    );
    let (first, second) = pairs.split_at(pairs.len() / 2);
    let ask = |pairs: &[Pair]| run("sh", &["-c", ASK_DPKG], &lines_of(pairs), "dpkg");
    let answers = std::thread::scope(|scope| {
        let second = scope.spawn(|| ask(second));
        ask(first) + second.join().expect("the second half was asked").as_str()
    });
    assert_agrees(Scheme::Debian, &pairs, &answers, 5_000);
}

/// Versions as RPM and pacman packages have them.
fn packaged(chance: &mut Chance, tails: &[&str]) -> String {
    let mut version = String::new();
    if chance.one_in(6) {
        write!(version, "{}:", chance.below(3)).expect("a string takes everything");
    }
    for part in 0..=chance.below(4) {
        if part > 0 {
            version.push_str(chance.of(&[".", ".", ".", "_", "+"]));
        }
        version.push_str(chance.of(&["0", "1", "2", "9", "10", "01", "2024", "1a", "2b3", "rc1"]));
    }
    if chance.one_in(3) {
        version.push_str(chance.of(tails));
    }
    if !chance.one_in(4) {
        write!(version, "-{}", chance.below(12)).expect("a string takes everything");
        version.push_str(chance.of(&["", "", ".1", ".el9", ".fc40"]));
    }
    version
}

#[test]
fn rpm_agrees_with_rpm() {
    let mut chance = Chance::new();
    let tails = [
        "~rc1",
        "~beta.2",
        "^20240101",
        "^git1",
        "a",
        "p1",
        "~rc1^git2",
        "^1~2",
    ];
    let known: Vec<String> = (0..500).map(|_| packaged(&mut chance, &tails)).collect();
    let pieces = [
        "~", "^", ".", "..", "_", "+", "-", "0", "1", "9", "00", "10", "a", "B", "z", "rc", "1:",
        ".0", "-1",
    ];
    // A colon elsewhere, and hyphens beyond the one before the release, are no versions.
    let is_valid = |version: &str| {
        let rest = version.trim_start_matches(|next: char| next.is_ascii_digit());
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        !version.starts_with(':')
            && !rest.contains(':')
            && !rest.is_empty()
            && rest.matches('-').count() <= 1
    };
    let pairs = pairs(&known, RPM_PAIRS, &mut chance, &pieces, is_valid);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(lines_of(&pairs).as_bytes())
        .expect("room for the pairs");
    let path = file
        .path()
        .to_str()
        .expect("the temporary directory has a plain name");
    let script = format!(
        r#"%{{lua:
            local sign = {{[-1] = "<", [0] = "=", [1] = ">"}}
            for line in io.lines("{path}") do
                local left, right = line:match("^(%S+) (%S+)$")
                print(sign[rpm.vercmp(left, right)] .. "\n")
            end
        }}"#
    );
    let answers = run("rpm", &["--eval", &script], "", "rpm");
    assert_agrees(Scheme::Rpm, &pairs, answers.trim_end(), 1_000);
}

const ASK_LIBALPM: &str = r#"
import ctypes, ctypes.util, sys
name = ctypes.util.find_library("alpm")
if name is None:
    sys.exit("libalpm is missing, install libalpm13")
compare = ctypes.CDLL(name).alpm_pkg_vercmp
compare.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
for line in sys.stdin:
    left, right = line.encode().split()
    order = compare(left, right)
    print("<" if order < 0 else ">" if order > 0 else "=")
"#;

#[test]
fn pacman_agrees_with_libalpm() {
    let mut chance = Chance::new();
    let tails = ["a", "rc1", "beta", ".r12.gabcdef", "+5+g1234", "p1", "_2"];
    let known: Vec<String> = (0..500).map(|_| packaged(&mut chance, &tails)).collect();
    let pieces = [
        ".", "_", "..", "+", "-", "0", "1", "9", "00", "10", "a", "B", "z", "rc", "1:", ".0", "-1",
    ];
    // libalpm contradicts itself on a part that is empty or ends in a separator.
    let is_valid = |version: &str| {
        let rest = version.trim_start_matches(|next: char| next.is_ascii_digit());
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let rest = if rest.is_empty() { version } else { rest };
        let ends_well = |part: &str| part.ends_with(|last: char| last.is_ascii_alphanumeric());
        !version.starts_with(':')
            && !rest.contains(':')
            && rest.matches('-').count() <= 1
            && rest.split('-').all(ends_well)
    };
    let pairs = pairs(&known, PACMAN_PAIRS, &mut chance, &pieces, is_valid);
    let answers = run(
        "python3",
        &["-c", ASK_LIBALPM],
        &lines_of(&pairs),
        "python3 and libalpm13",
    );
    assert_agrees(Scheme::Pacman, &pairs, &answers, 1_000);
}
