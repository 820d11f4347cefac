use std::cell::RefCell;

use super::*;

/// Answers commands from a table; every other program does not exist.
struct Machine {
    answers: Vec<(&'static str, Result<CommandOutput, RunError>)>,
    asked: RefCell<Vec<String>>,
}

impl Machine {
    fn new(answers: &[(&'static str, i32, &str, &str)]) -> Self {
        let answers = answers
            .iter()
            .map(|(command, code, stdout, stderr)| {
                let output = CommandOutput {
                    code: Some(*code),
                    stdout: (*stdout).to_owned(),
                    stderr: (*stderr).to_owned(),
                };
                (*command, Ok(output))
            })
            .collect();
        Self {
            answers,
            asked: RefCell::default(),
        }
    }

    fn failing(mut self, command: &'static str, reason: &str) -> Self {
        self.answers
            .push((command, Err(RunError::Failed(reason.to_owned()))));
        self
    }

    fn find(&self, name: &str) -> Result<Found, InstalledError> {
        self.find_how(name, &HowToAsk::default())
    }

    fn find_how(&self, name: &str, how: &HowToAsk) -> Result<Found, InstalledError> {
        find(name, how, &|argv| {
            let command = argv.join(" ");
            self.asked.borrow_mut().push(command.clone());
            if let Some((_, answer)) = self.answers.iter().find(|(known, _)| *known == command) {
                return answer.clone();
            }
            let there = |(known, _): &(&str, _)| known.split(' ').next() == argv.first().copied();
            assert!(
                !self.answers.iter().any(there),
                "the machine knows the program but not the command: {command}"
            );
            Err(RunError::NotFound)
        })
    }

    fn verdict(&self, name: &str, requirement: &str) -> Verdict {
        let requirement = Requirement::parse(requirement).unwrap();
        verdict(name, &self.find(name), &requirement)
    }
}

const DPKG: &str = r"dpkg-query -W -f ${db:Status-Abbrev}\t${Version}\n nginx";
const DPKG_PROVIDES: &str = r"dpkg-query -W -f ${db:Status-Abbrev}\t${Package}\t${Provides}\n";
const RPM: &str = r"rpm -q --qf %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n nginx";
const APK: &str = "apk info -e -v nginx";
const PACMAN: &str = "pacman -Q nginx";
const DPKG_NONE: (&str, i32, &str, &str) = (
    DPKG,
    1,
    "",
    "dpkg-query: no packages found matching nginx\n",
);
const DPKG_PROVIDES_NONE: (&str, i32, &str, &str) = (DPKG_PROVIDES, 0, "ii \tbash\t\n", "");

fn found(version: &str, scheme: Scheme, source: &str) -> Result<Found, InstalledError> {
    Ok(Found {
        version: version.to_owned(),
        scheme,
        source: source.to_owned(),
    })
}

#[test]
fn each_database_gives_its_version_and_scheme() {
    let cases = [
        (
            (DPKG, 0, "ii \t1.22.1-9+deb12u3\n", ""),
            found("1.22.1-9+deb12u3", Scheme::Debian, "dpkg"),
        ),
        (
            (RPM, 0, "1:1.20.1-14.el9\n", ""),
            found("1:1.20.1-14.el9", Scheme::Rpm, "rpm"),
        ),
        (
            (RPM, 0, "0:1.20.1-14.el9\n", ""),
            found("1.20.1-14.el9", Scheme::Rpm, "rpm"),
        ),
        (
            (APK, 0, "nginx-1.24.0-r15\n", ""),
            found("1.24.0-r15", Scheme::Apk, "apk"),
        ),
        (
            (PACMAN, 0, "nginx 1.26.2-1\n", ""),
            found("1.26.2-1", Scheme::Pacman, "pacman"),
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(Machine::new(&[answer]).find("nginx"), expected);
    }
}

#[test]
fn of_several_versions_the_newest_speaks() {
    let machine = Machine::new(&[(DPKG, 0, "ii \t1.9-1\nii \t1.10-1\nrc \t2.0-1\n", "")]);
    assert_eq!(
        machine.find("nginx"),
        found("1.10-1", Scheme::Debian, "dpkg")
    );
    let machine = Machine::new(&[(RPM, 0, "0:6.9-1\n0:6.10-1\n", "")]);
    assert_eq!(machine.find("nginx"), found("6.10-1", Scheme::Rpm, "rpm"));
}

#[test]
fn only_a_complete_installation_counts_for_dpkg() {
    for (status, counts) in [
        ("ii ", true),
        ("hi ", true),
        ("ri ", true),
        ("iU ", false),
        ("iF ", false),
        ("iiR", false),
        ("rc ", false),
        ("un ", false),
    ] {
        let stdout = format!("{status}\t1.22.1-9\n");
        let machine = Machine::new(&[(DPKG, 0, &stdout, ""), DPKG_PROVIDES_NONE]);
        assert_eq!(machine.find("nginx").is_ok(), counts, "{status:?}");
    }
}

#[test]
fn a_half_installed_or_removed_package_is_explained() {
    let machine = Machine::new(&[(DPKG, 0, "iF \t1.22.1-9\n", ""), DPKG_PROVIDES_NONE]);
    let text = machine.verdict("nginx", "*").text;
    assert!(
        text.contains("1.22.1-9 is not completely installed, dpkg says iF"),
        "{text}"
    );
    let machine = Machine::new(&[(DPKG, 0, "rc \t1.22.1-9\n", ""), DPKG_PROVIDES_NONE]);
    let text = machine.verdict("nginx", "*").text;
    assert!(text.contains("1.22.1-9 was removed"), "{text}");
}

#[test]
fn the_provider_of_a_virtual_package_is_named() {
    let listing = "ii \tnginx-full\thttpd, nginx (= 1.22.1-9)\nrc \tnginx-light\tnginx\n";
    let machine = Machine::new(&[(DPKG, 0, "un \t\n", ""), (DPKG_PROVIDES, 0, listing, "")]);
    assert_eq!(
        machine.verdict("nginx", ">= 1.22").text,
        "nginx is not installed (looked in dpkg, and for a program nginx); nginx-full provides nginx, \
         ask for that; install it with: apt-get install nginx"
    );
    for (command, line) in [
        (PACMAN, "nginx-mainline 1.27.1-1\n"),
        (APK, "nginx-mainline-1.27.1-r0\n"),
    ] {
        let text = Machine::new(&[(command, 0, line, "")])
            .verdict("nginx", "*")
            .text;
        assert!(text.contains("nginx-mainline"), "{text}");
        assert!(text.contains("provides nginx"), "{text}");
    }
}

#[test]
fn a_package_with_a_longer_name_is_another_one() {
    let machine = Machine::new(&[(APK, 0, "nginx-mod-http-1.24.0-r1\n", "")]);
    assert!(matches!(
        machine.find("nginx"),
        Err(InstalledError::NotInstalled(_))
    ));
}

#[test]
fn the_databases_are_asked_in_order_and_then_the_program() {
    let machine = Machine::new(&[
        DPKG_NONE,
        DPKG_PROVIDES_NONE,
        (RPM, 1, "package nginx is not installed\n", ""),
        ("nginx --version", 1, "", "nginx: invalid option: \"-\"\n"),
        ("nginx -version", 1, "", "nginx: invalid option: \"e\"\n"),
        (
            "nginx -V",
            0,
            "",
            "nginx version: nginx/1.18.0\nbuilt by gcc 12.2.0\n",
        ),
    ]);
    assert_eq!(
        machine.find("nginx"),
        found("1.18.0", Scheme::Generic, "nginx -V")
    );
    let asked = [
        DPKG,
        DPKG_PROVIDES,
        RPM,
        APK,
        PACMAN,
        "nginx --version",
        "nginx -version",
        "nginx -V",
    ];
    assert_eq!(*machine.asked.borrow(), asked);
}

#[test]
fn a_failing_command_counts_only_with_a_stated_version() {
    let machine = Machine::new(&[
        (
            "go --version",
            2,
            "",
            "flag provided but not defined: -version\nsee 1.2.3.4:80\n",
        ),
        (
            "go -version",
            2,
            "",
            "flag provided but not defined: -version\n",
        ),
        ("go -V", 2, "", "flag provided but not defined: -V\n"),
        ("go version", 0, "go version go1.22.3 linux/amd64\n", ""),
    ]);
    assert_eq!(
        machine.find("go"),
        found("1.22.3", Scheme::Generic, "go version")
    );
    let usage =
        "mkdir: unrecognized option '--version'\nBusyBox v1.36.1 (2024-06-10) multi-call binary.\n";
    let machine = Machine::new(&[("mkdir --version", 1, "", usage)]);
    assert_eq!(
        machine.find("mkdir"),
        found("1.36.1", Scheme::Generic, "mkdir --version")
    );
}

#[test]
fn verdicts_read_as_sentences() {
    let machine = Machine::new(&[(DPKG, 0, "ii \t1.18.0-6\n", "")]);
    let no = machine.verdict("nginx", ">= 1.22");
    assert_eq!(
        no.text,
        "nginx 1.18.0-6 is installed (dpkg), >= 1.22 is required"
    );
    assert!(!no.ok);
    let yes = machine.verdict("nginx", ">= 1.18, < 2");
    assert_eq!(
        yes.text,
        "nginx 1.18.0-6 is installed (dpkg), meets >= 1.18, < 2"
    );
    assert!(yes.ok);
    let any = machine.verdict("nginx", "*");
    assert_eq!(
        any.text,
        "nginx 1.18.0-6 is installed (dpkg), any version will do"
    );
    assert!(any.ok);

    let absent = Machine::new(&[DPKG_NONE, DPKG_PROVIDES_NONE]).verdict("nginx", "*");
    assert_eq!(
        absent.text,
        "nginx is not installed (looked in dpkg, and for a program nginx); install it with: apt-get install nginx"
    );
    assert!(!absent.ok);
    let nowhere = Machine::new(&[]).verdict("nginx", "*");
    assert_eq!(
        nowhere.text,
        "nginx is not installed (looked for a program nginx)"
    );
    assert!(!nowhere.ok);
}

#[test]
fn every_package_manager_has_its_install_command() {
    for (answer, command) in [
        (
            (RPM, 1, "package nginx is not installed\n", ""),
            "dnf install nginx",
        ),
        ((APK, 1, "", ""), "apk add nginx"),
        (
            (PACMAN, 1, "", "error: package 'nginx' was not found\n"),
            "pacman -S nginx",
        ),
    ] {
        let text = Machine::new(&[answer]).verdict("nginx", "*").text;
        assert!(
            text.ends_with(&format!("install it with: {command}")),
            "{text}"
        );
    }
}

#[test]
fn a_database_that_cannot_be_read_is_never_taken_for_a_no() {
    let broken = "error: cannot open Packages database in /var/lib/rpm";
    for answer in [
        (RPM, 1, "", broken),
        (
            DPKG,
            2,
            "",
            "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1",
        ),
        (DPKG, 1, "", "dpkg-query: error: unexpected"),
        (PACMAN, 255, "", "error: failed to initialize alpm library"),
        (
            APK,
            99,
            "",
            "ERROR: Unable to read database: Permission denied",
        ),
    ] {
        let machine = Machine::new(&[answer]);
        let verdict = machine.verdict("nginx", "*");
        assert!(!verdict.ok);
        assert!(
            matches!(
                machine.find("nginx"),
                Err(InstalledError::CouldNotAsk { .. })
            ),
            "{}",
            verdict.text
        );
    }
    let machine = Machine::new(&[]).failing(DPKG, "timed out after 30 s");
    let text = machine.verdict("nginx", "*").text;
    assert!(
        text.starts_with("nginx could not be looked up: dpkg-query"),
        "{text}"
    );
    assert!(text.ends_with("timed out after 30 s"), "{text}");
}

#[test]
fn a_stray_broken_database_does_not_hide_a_clear_answer() {
    let broken = (RPM, 1, "", "error: cannot open Packages database");
    let machine = Machine::new(&[DPKG_NONE, DPKG_PROVIDES_NONE, broken]);
    assert_eq!(
        machine.verdict("nginx", "*").text,
        "nginx is not installed (looked in dpkg, rpm (could not be asked: exit status 1, error: cannot \
         open Packages database), and for a program nginx); install it with: apt-get install nginx"
    );
    let machine = Machine::new(&[
        broken,
        ("nginx --version", 0, "nginx version: nginx/1.22.1", ""),
    ]);
    assert!(machine.find("nginx").is_ok());
}

#[test]
fn a_program_without_a_version_meets_only_any() {
    let silent = [
        ("tool --version", 0, "hello\n", ""),
        ("tool -version", 0, "hello\n", ""),
        ("tool -V", 1, "", ""),
        ("tool version", 0, "", ""),
    ];
    let machine = Machine::new(&silent);
    assert!(machine.verdict("tool", "*").ok);
    let verdict = machine.verdict("tool", ">= 1");
    assert!(!verdict.ok);
    assert!(
        verdict
            .text
            .contains("tool --version, tool -version, tool -V, tool version")
    );
    assert!(verdict.text.contains("`command` and `pattern`"));
}

#[test]
fn the_provider_is_named_even_if_the_program_says_nothing() {
    let machine = Machine::new(&[
        (DPKG, 0, "un \t\n", ""),
        (DPKG_PROVIDES, 0, "ii \tnginx-full\tnginx\n", ""),
        ("nginx --version", 1, "", ""),
        ("nginx -version", 1, "", ""),
        ("nginx -V", 1, "", ""),
        ("nginx version", 1, "", ""),
    ]);
    let text = machine.verdict("nginx", ">= 1").text;
    assert!(
        text.contains("; nginx-full provides nginx, ask for that; say how"),
        "{text}"
    );
}

#[test]
fn a_program_that_cannot_be_run_is_an_error() {
    let machine = Machine::new(&[]).failing("tool --version", "permission denied");
    assert_eq!(
        machine.find("tool"),
        Err(InstalledError::CouldNotAsk {
            command: "tool --version".to_owned(),
            reason: "permission denied".to_owned(),
        })
    );
}

#[test]
fn how_to_ask_takes_the_place_of_everything_else() {
    let how = HowToAsk {
        command: Some(vec!["/opt/shop/bin/shop".to_owned(), "about".to_owned()]),
        pattern: Some(Regex::new(r"engine (\d+\.\d+)").unwrap()),
    };
    let answers = [("/opt/shop/bin/shop about", 3, "shop 9.9, engine 2.4\n", "")];
    let machine = Machine::new(&answers);
    assert_eq!(
        machine.find_how("shop", &how),
        found("2.4", Scheme::Generic, "/opt/shop/bin/shop about")
    );
    assert_eq!(*machine.asked.borrow(), ["/opt/shop/bin/shop about"]);

    let named = HowToAsk {
        pattern: Some(Regex::new(r"(shop) (?<version>[\d.]+)").unwrap()),
        ..how.clone()
    };
    assert_eq!(
        machine.find_how("shop", &named).map(|found| found.version),
        Ok("9.9".to_owned())
    );
    let whole = HowToAsk {
        pattern: Some(Regex::new(r"\d\.4").unwrap()),
        ..how.clone()
    };
    assert_eq!(
        machine.find_how("shop", &whole).map(|found| found.version),
        Ok("2.4".to_owned())
    );
    let wrong = HowToAsk {
        pattern: Some(Regex::new("motor").unwrap()),
        ..how.clone()
    };
    let error = machine.find_how("shop", &wrong).unwrap_err().to_string();
    assert_eq!(
        error,
        "is there, but `motor` matches nothing in the output of /opt/shop/bin/shop about: \"shop 9.9, engine 2.4\""
    );
}

#[test]
fn a_pattern_alone_asks_the_program_and_no_database() {
    let how = HowToAsk {
        command: None,
        pattern: Some(Regex::new(r"protocol (\d+)").unwrap()),
    };
    let banner = "rsync  version 3.2.7  protocol version 31\nprotocol 31\n";
    let machine = Machine::new(&[("rsync --version", 0, banner, "")]);
    assert_eq!(
        machine.find_how("rsync", &how),
        found("31", Scheme::Generic, "rsync --version")
    );
    assert_eq!(*machine.asked.borrow(), ["rsync --version"]);
}

#[test]
fn a_command_that_fails_or_is_missing_says_so() {
    let how = |command: &[&str]| HowToAsk {
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        pattern: None,
    };
    let machine = Machine::new(&[("shop about", 1, "", "no license for 1.2.3\n")]);
    assert_eq!(
        machine.find_how("shop", &how(&["shop", "about"])),
        Err(InstalledError::CouldNotAsk {
            command: "shop about".to_owned(),
            reason: "exit status 1, no license for 1.2.3".to_owned(),
        })
    );
    let missing = machine.find_how("shop", &how(&["ship", "about"]));
    assert_eq!(
        missing.unwrap_err().to_string(),
        "is not installed (looked for a program ship)"
    );
    assert!(matches!(
        machine.find_how("shop", &how(&[])),
        Err(InstalledError::CouldNotAsk { .. })
    ));
}

#[test]
fn a_path_is_a_program() {
    let machine = Machine::new(&[("/opt/shop/bin/shop --version", 0, "shop 2.4.0\n", "")]);
    let path = "/opt/shop/bin/shop";
    assert_eq!(
        machine.find(path),
        found("2.4.0", Scheme::Generic, "/opt/shop/bin/shop --version")
    );
    assert_eq!(machine.asked.borrow().len(), 1);
}

#[test]
fn names_that_a_database_would_expand_are_refused() {
    for name in [
        "",
        "ngin*",
        "ngin?",
        "[n]ginx",
        "-f",
        "--help",
        "nginx curl",
        "nginx\n",
        "a;b",
        "$(x)",
    ] {
        let machine = Machine::new(&[]);
        assert!(
            matches!(machine.find(name), Err(InstalledError::BadName { .. })),
            "{name:?}"
        );
        assert!(
            machine.asked.borrow().is_empty(),
            "{name:?} was asked about"
        );
    }
    for name in [
        "nginx",
        "libstdc++6",
        "libc6:amd64",
        "python3.11",
        "gtk+2.0",
        "7zip",
        "java-17-openjdk",
    ] {
        let machine = Machine::new(&[]);
        assert!(
            matches!(machine.find(name), Err(InstalledError::NotInstalled(_))),
            "{name:?}"
        );
    }
}
