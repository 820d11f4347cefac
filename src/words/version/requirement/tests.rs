use proptest::prelude::*;

use super::*;
use Scheme::{Apk, Debian, Generic, Pacman, Rpm};

fn meets(requirement: &str, scheme: Scheme, version: &str) -> bool {
    Requirement::parse(requirement)
        .unwrap_or_else(|error| panic!("{error}"))
        .matches(scheme, version)
}

fn error(text: &str) -> RequirementError {
    match Requirement::parse(text) {
        Err(error) => error,
        Ok(requirement) => panic!("{text:?} was read as {requirement}"),
    }
}

#[test]
fn what_meets_which_requirement() {
    let cases: &[(&str, Scheme, &str, bool)] = &[
        // No revision stated: the distribution's revision does not count.
        ("= 1.22.1", Debian, "1.22.1-9+deb12u3", true),
        ("1.22.1", Debian, "1.22.1-9+deb12u3", true),
        ("== 1.22.1", Debian, "1.22.1-9+deb12u3", true),
        ("<= 1.22.1", Debian, "1.22.1-9+deb12u3", true),
        ("< 1.22.2", Debian, "1.22.1-9+deb12u3", true),
        ("> 1.22.1", Debian, "1.22.1-9+deb12u3", false),
        ("!= 1.22.1", Debian, "1.22.1-9+deb12u3", false),
        ("= 1.22.1", Rpm, "1.22.1-9.el9", true),
        ("= 1.22.1", Apk, "1.22.1-r3", true),
        ("> 1.22.1", Apk, "1.22.1-r3", false),
        ("= 1.22.1", Pacman, "1.22.1-2", true),
        ("= 8.0.36", Generic, "8.0.36-0ubuntu0.22.04.1", true),
        ("<= 10.11.6", Generic, "10.11.6-MariaDB", true),
        // Stated: it counts.
        ("= 1.22.1-9", Debian, "1.22.1-9+deb12u3", false),
        (">= 1.22.1-9", Debian, "1.22.1-9+deb12u3", true),
        (">= 1.22.1-9+deb12u4", Debian, "1.22.1-9+deb12u3", false),
        ("= 1.22.1-9+deb12u3", Debian, "1.22.1-9+deb12u3", true),
        (">= 1.22.1-r4", Apk, "1.22.1-r3", false),
        (">= 1.22.1-2", Pacman, "1.22.1-1", false),
        ("> 1.22.1-9.el9", Rpm, "1.22.1-10.el9", true),
        // Epochs likewise.
        ("= 1.22.1", Debian, "2:1.22.1-9", true),
        ("< 1.23", Debian, "2:1.22.1-9", true),
        (">= 1:1.23", Debian, "2:1.22.1-9", true),
        (">= 2:1.23", Debian, "2:1.22.1-9", false),
        ("= 2:1.22.1", Debian, "2:1.22.1-9", true),
        (">= 1:1.0", Debian, "1.22.1-9", false),
        ("= 0:1.22.1", Debian, "1.22.1-9", true),
        ("< 2", Rpm, "1:1.20.1-14.el9", true),
        (">= 1:1.20", Rpm, "1:1.20.1-14.el9", true),
        ("< 0:9", Rpm, "1:1.20.1-14.el9", false),
        (">= 1:1.20", Generic, "1.22.1", true),
        // Debian's metapackages and pre-releases.
        (">= 15", Debian, "15+248", true),
        (">= 15, < 16", Debian, "15+248", true),
        (">= 1.22", Debian, "1.22~rc1-1", false),
        (">= 1.22~rc1", Debian, "1.22~rc1-1", true),
        (">= 1.22", Debian, "1.22-1~bpo12+1", true),
        // Ranges, and numbers that are not text.
        (">=15, <16", Debian, "15.18-0+deb12u1", true),
        (">=15, <16", Debian, "16.1-1", false),
        (">=15,<16,!=15.3", Debian, "15.3-1", false),
        (">= 1.9", Debian, "1.10-1", true),
        (">= 1.22", Debian, "1.18.0-6", false),
        ("*", Debian, "1.18.0-6", true),
        ("*", Generic, "", true),
        // Programs.
        (">= 1.22", Generic, "v1.22.0", true),
        (">= 1.22", Generic, "1.22rc1", false),
        (">= 1.1.1t", Generic, "1.1.1w", true),
        (">= 9.2", Generic, "9.2p1", true),
        (">= 9.2p2", Generic, "9.2p1", false),
        (">= 2.0-rc1", Generic, "2.0-rc2", true),
        (">= v18, < v19", Generic, "v18.19.0", true),
        ("= 17", Generic, "17.0.0", true),
        // Series.
        ("1.24.*", Debian, "1.24.7-1", true),
        ("1.24.*", Debian, "1.24-1", true),
        ("1.24.*", Debian, "1.24", true),
        ("1.24.*", Debian, "1.24~rc1-1", true),
        ("1.24.*", Debian, "1.24+dfsg-1", true),
        ("1.24.*", Debian, "1:1.24.7-1", true),
        ("1.24.*", Debian, "1.240-1", false),
        ("1.24.*", Debian, "1.2", false),
        ("1.24.*", Debian, "11.24.1", false),
        ("1:1.24.*", Debian, "1:1.24.7-1", true),
        ("1:1.24.*", Debian, "2:1.24.7-1", false),
        ("1:1.24.*", Debian, "1.24.7-1", false),
        ("= 9.2.*", Generic, "9.2p1", true),
        ("v18.*", Generic, "v18.19.0", true),
        ("1.1.1.*", Generic, "1.1.1w", true),
        ("!= 1.24.*", Rpm, "1.24.7-1", false),
        ("!= 1.24.*", Rpm, "1.25.0-1", true),
        ("1.24-3.*", Rpm, "1.24-3.el9", true),
        ("1.24-3.*", Rpm, "1.24-30.el9", false),
        // Several conditions with a wildcard among them.
        (">= 1.24, *", Debian, "1.23-1", false),
        (">= 1.20, 1.24.*", Debian, "1.24.1-1", true),
    ];
    for (requirement, scheme, version, expected) in cases {
        assert_eq!(
            meets(requirement, *scheme, version),
            *expected,
            "{requirement} with {scheme} {version}"
        );
    }
}

#[test]
fn the_text_form_is_regular_and_parses_to_the_same() {
    for (text, shown) in [
        (">= 1.22", ">= 1.22"),
        (">=15,<16", ">= 15, < 16"),
        ("  >=15 ,\t<16 ", ">= 15, < 16"),
        ("1.24.*", "1.24.*"),
        ("= 1.24.*", "1.24.*"),
        ("!=1.24.*", "!= 1.24.*"),
        ("*", "*"),
        ("= *", "*"),
        ("1.24", "= 1.24"),
        ("== 1.24", "= 1.24"),
        ("v1.24", "= 1.24"),
        (">= 1:1.22.1-9+deb12u3~x_y^z", ">= 1:1.22.1-9+deb12u3~x_y^z"),
    ] {
        let requirement = Requirement::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(requirement.to_string(), shown);
        assert_eq!(shown.parse(), Ok(requirement));
    }
}

#[test]
fn every_mistake_has_its_place_and_a_way_out() {
    // The requirement, the part that is pointed at, and a piece of the hint.
    for (text, pointed_at, hint) in [
        ("", "", "`*`"),
        ("   ", "", "`*`"),
        (">= 1,", "", "take the comma out"),
        (",>= 1", "", "take the comma out"),
        (">= 1,,< 2", "", "take the comma out"),
        (">=", ">=", "write one, as in"),
        (">= 1, <", "<", "write one, as in"),
        ("~ 1.2", "~", "`>= 1.2, < 1.3`"),
        ("~1.2.3", "~", "`>= 1.2.3, < 1.3`"),
        ("~1", "~", "`>= 1, < 2`"),
        ("^1.2", "^", "`>= 1.2, < 2`"),
        ("^0.2.3", "^", "`>= 0.2.3, < 0.3`"),
        ("^0.0", "^", "`>= 0.0, < 0.1`"),
        ("~> 1.2", "~>", "`>= 1.2, < 2`"),
        ("~=1.2.3", "~=", "`>= 1.2.3, < 1.3`"),
        ("^1.2-rc1", "^", "as in `>= 1.2, < 2`"),
        ("^18446744073709551615", "^", "as in `>= 1.2, < 2`"),
        ("=> 1.2", "=>", "`>=`"),
        ("=< 1.2", "=<", "`<=`"),
        ("≥ 1.2", "≥", "`>=`"),
        ("<> 1.2", "<>", "`!=`"),
        ("=== 1.2", "===", "`=`"),
        ("<=> 1.2", "<=>", "the operators are"),
        (">= 15 < 16", ">= 15 < 16", "`>= 15, < 16`"),
        (">=15<16", ">=15<16", "`>=15, <16`"),
        (">= 15 and < 16", ">= 15 and < 16", "`>= 15, < 16`"),
        (">= 15 && < 16", ">= 15 && < 16", "`>= 15, < 16`"),
        ("15 || 16", "15 || 16", "one range with exceptions"),
        ("15 or 16", "15 or 16", "one range with exceptions"),
        ("latest", "latest", "`*` for any"),
        (">= nginx", "nginx", "`*` for any"),
        ("v", "v", "`*` for any"),
        (">= 1.22, < 1.2$", "$", "letters, digits"),
        ("1.2 3", " ", "joined by commas"),
        (">= 1.é", "é", "letters, digits"),
        (">= 1.22.*", "1.22.*", "`>= 1.22`"),
        ("> *", "*", "a wildcard stands alone"),
        ("1.*.3", "1.*.3", "`1.*`"),
        ("1.24*", "1.24*", "`1.24.*`"),
        ("1.x", "1.x", "`1.*`"),
        ("!= 1.X", "1.X", "`!= 1.*`"),
    ] {
        let error = error(text);
        assert_eq!(&text[error.span.clone()], pointed_at, "{error}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
        assert!(!error.what().is_empty());
    }
}

#[test]
fn an_error_is_one_readable_line() {
    assert_eq!(
        error(">= 15, ^1.2").to_string(),
        "column 8 in the requirement \">= 15, ^1.2\": `^` means different things in different tools; \
         write the range out: `>= 1.2, < 2`"
    );
}

/// What a hint proposes must itself be a requirement.
#[test]
fn proposals_are_valid() {
    for text in [
        "~ 1.2",
        "^0.2.3",
        "~> 1",
        "~=1.2",
        ">= 15 < 16",
        ">= 1.22.*",
        "1.*.3",
        "1.x",
        "latest",
        "",
    ] {
        let hint = error(text).hint();
        let proposal = hint
            .split('`')
            .nth(1)
            .expect("every one of these hints has a proposal");
        if let Err(error) = Requirement::parse(proposal) {
            panic!("{text:?} proposes {proposal:?}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_parsing_panic(text in "[ \\PC]{0,24}", version in ".*") {
        match Requirement::parse(&text) {
            Ok(requirement) => {
                for scheme in [Debian, Rpm, Apk, Pacman, Generic] {
                    let _ = requirement.matches(scheme, &version);
                }
            }
            Err(error) => {
                prop_assert!(text.get(error.span.clone()).is_some());
                prop_assert!(!error.hint().is_empty());
            }
        }
    }

    #[test]
    fn the_text_form_round_trips(text in "([<>=!~^]{0,2} ?v?[0-9a-z.*~^:+_-]{1,8}, ?){0,2}[<>=!]{0,2} ?[0-9.*a-z]{1,6}") {
        if let Ok(requirement) = Requirement::parse(&text) {
            prop_assert_eq!(requirement.to_string().parse(), Ok(requirement));
        }
    }
}
