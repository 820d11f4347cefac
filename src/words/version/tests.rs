use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// Checks every pair of a list that stands in ascending order; entries of one row are equal.
fn assert_ascending(scheme: Scheme, rows: &[&[&str]]) {
    for (at, row) in rows.iter().enumerate() {
        for (other_at, other_row) in rows.iter().enumerate() {
            for (left, right) in row
                .iter()
                .flat_map(|left| other_row.iter().map(move |right| (left, right)))
            {
                assert_eq!(
                    compare(scheme, left, right),
                    at.cmp(&other_at),
                    "{scheme}: {left} against {right}"
                );
            }
        }
    }
}

#[test]
fn debian_order() {
    assert_ascending(
        Scheme::Debian,
        &[
            &["1.0~~"],
            &["1.0~~a"],
            &["1.0~rc1-1"],
            &["1.0~rc2-1"],
            &["1.0", "1.0-0", "0:1.0", "1.00", "01.0-0"],
            &["1.0-1~bpo12+1"],
            &["1.0-1"],
            &["1.0-1+b1"],
            &["1.0-1+deb12u1"],
            &["1.0-1+deb12u2"],
            &["1.0-1+deb12u10"],
            &["1.0-2"],
            &["1.0a"],
            &["1.0p1"],
            &["1.0+dfsg-1"],
            &["1.0.1"],
            &["1.9"],
            &["1.10"],
            &["15"],
            &["15+248"],
            &["16"],
            &["99999999999999999999999999"],
            &["1:0.1"],
            &["2:0.0.1"],
        ],
    );
}

#[test]
fn debian_revision_is_what_follows_the_last_hyphen() {
    let parts = Parts::of(Scheme::Debian, "2:1.2-3-4+deb12u1");
    assert_eq!(
        parts,
        Parts {
            epoch: Some("2"),
            upstream: "1.2-3",
            revision: Some("4+deb12u1"),
        }
    );
}

#[test]
fn rpm_order() {
    assert_ascending(
        Scheme::Rpm,
        &[
            &["1.0~rc1~git1"],
            &["1.0~rc1"],
            &["1.0~rc2"],
            &["1.0", "0:1.0", ":1.0", "1_0", "1..0", "1.00", "1.0."],
            &["1.0-1.el8"],
            &["1.0-1.el9"],
            &["1.0-2.el8"],
            &["1.0^20240101"],
            &["1.0^20240102"],
            &["1.0a"],
            &["1.0aa"],
            &["1.0.rc1"],
            &["1.0.1"],
            &["1.9"],
            &["1.10"],
            &["1:0.1", "01:0.1"],
        ],
    );
}

/// The order is that of the version format in Alpine's APKBUILD reference and of Gentoo's package
/// manager specification, section 3.3; the table is written from these texts.
#[test]
fn alpine_order() {
    assert_ascending(
        Scheme::Apk,
        &[
            &["1.0_alpha_beta1"],
            &["1.0_alpha"],
            &["1.0_alpha0"],
            &["1.0_alpha2"],
            &["1.0_alpha10"],
            &["1.0_beta"],
            &["1.0_pre20240101120000-r0"],
            &["1.0_pre20250101120000-r0"],
            &["1.0_rc1"],
            &["1.0_rc1-r1"],
            &["1.0_rc2"],
            &["1.0", "01.0"],
            &["1.0-r0"],
            &["1.0-r1"],
            &["1.0-r10"],
            &["1.0~0abc"],
            &["1.0~abcd-r0"],
            &["1.0_cvs1"],
            &["1.0_svn1"],
            &["1.0_git20240101"],
            &["1.0_hg1"],
            &["1.0_p1"],
            &["1.0_p8-r1"],
            &["1.0_p20-r1"],
            &["1.0a"],
            &["1.0b_rc1"],
            &["1.0b"],
            &["1.0b-r1"],
            &["1.0.1"],
            &["1.00"],
            &["1.001"],
            &["1.01"],
            &["1.015"],
            &["1.02"],
            &["1.1"],
            &["1.9"],
            &["1.10"],
            &["2", "002"],
            &["20240101"],
            &["99999999999999999999999999"],
        ],
    );
}

#[test]
fn an_unreadable_alpine_version_is_compared_as_far_as_it_goes() {
    assert_eq!(compare(Scheme::Apk, "1.0bc", "1.0"), Ordering::Greater);
    assert_eq!(compare(Scheme::Apk, "1.0 foo", "1.0"), Ordering::Less);
    assert_eq!(compare(Scheme::Apk, "1.1_foo", "1.0"), Ordering::Greater);
    assert_eq!(compare(Scheme::Apk, "x", "y"), Ordering::Equal);
}

/// The first rows are the example of vercmp(8).
#[test]
fn pacman_order() {
    assert_ascending(
        Scheme::Pacman,
        &[
            &["1.0a-1"],
            &["1.0b-1"],
            &["1.0beta-1"],
            &["1.0p-1"],
            &["1.0pre-1"],
            &["1.0rc-1"],
            &["1.0rc1-1"],
            &["1.0-1", "1.00-1", "0:1.0-1", ":1.0-1", "1_0-1"],
            &["1.0-2"],
            &["1.0-2.1"],
            &["1.0-10"],
            &["1.0.a-1"],
            &["1.0.1-1"],
            &["1.9-1"],
            &["1.10-1"],
            &["1:0.1-1"],
        ],
    );
    for (left, right) in [("1.0", "1.0-1"), ("1.0-1", "1.0"), ("1.0", "1.0-2")] {
        assert_eq!(compare(Scheme::Pacman, left, right), Ordering::Equal);
    }
}

#[test]
fn generic_order() {
    assert_ascending(
        Scheme::Generic,
        &[
            &["1.0~20240101"],
            &["1.0.0-dev"],
            &["1.0-SNAPSHOT"],
            &["1.0.0-alpha"],
            &["1.0.0-alpha.1", "1.0a1", "1.0alpha1", "v1.0-alpha1"],
            &["1.0.0-alpha.beta"],
            &["1.0.0-beta", "1.0beta"],
            &["1.0.0-beta.2", "1.0b2"],
            &["1.0.0-beta.11"],
            &["1.0-M1", "1.0.0-milestone-1"],
            &["1.0-pre9", "1.0-preview9"],
            &["1.0.0-rc.1", "1.0rc1", "1.0~rc1", "1.0-RC1", "1.0.0.CR1"],
            &["1.0-rc.2"],
            &[
                "1",
                "1.0",
                "1.0.0",
                "v1.0.0",
                "V1",
                "1.0.0+build.5",
                "1.0.0.Final",
                "1.0-GA",
                "01.0",
            ],
            &["1.0-0ubuntu0.22.04.1"],
            &["1.0_412"],
            &["1.0a"],
            &["1.0p1"],
            &["1.0p2"],
            &["1.0w"],
            &["1.0z"],
            &["1.0za"],
            &["1.0.1"],
            &["1.1"],
            &["1.1.1"],
            &["1.1.1a"],
            &["1.1.1w"],
            &["1.1.2"],
            &["1.9"],
            &["1.10"],
            &["9.2p1"],
            &["9.10p1"],
            &["2024a"],
            &["2024b"],
            &["99999999999999999999999999"],
        ],
    );
}

#[test]
fn a_generic_revision_is_what_a_packager_joined() {
    for (version, upstream, revision) in [
        (
            "8.0.36-0ubuntu0.22.04.1",
            "8.0.36",
            Some("-0ubuntu0.22.04.1"),
        ),
        ("10.11.6-MariaDB", "10.11.6", Some("-MariaDB")),
        ("2.0-rc1", "2.0-rc1", None),
        ("2.0-rc1-debian", "2.0-rc1", Some("-debian")),
        ("v1.2+build-7", "1.2", None),
        ("3:1.2", "1.2", None),
    ] {
        let parts = Parts::of(Scheme::Generic, version);
        assert_eq!(
            (parts.upstream, parts.revision),
            (upstream, revision),
            "{version}"
        );
    }
}

const SCHEMES: [Scheme; 5] = [
    Scheme::Debian,
    Scheme::Rpm,
    Scheme::Apk,
    Scheme::Pacman,
    Scheme::Generic,
];

/// Short texts of the pieces that the rules speak of, so that equal beginnings are common.
fn version() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("0"),
        Just("1"),
        Just("01"),
        Just("10"),
        Just("a"),
        Just("p"),
        Just("b"),
        Just("m"),
        Just("rc"),
        Just("alpha"),
        Just("final"),
        Just("."),
        Just(".."),
        Just("-"),
        Just("-r1"),
        Just("~"),
        Just("^"),
        Just("+"),
        Just("_"),
        Just("_p"),
        Just("_rc"),
        Just(":"),
        Just("v"),
        Just(" "),
        Just("é"),
    ];
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn comparing_is_antisymmetric(left in version(), right in version()) {
        for scheme in SCHEMES {
            prop_assert_eq!(
                compare(scheme, &left, &right),
                compare(scheme, &right, &left).reverse(),
                "{}", scheme
            );
            prop_assert_eq!(compare(scheme, &left, &left), Ordering::Equal);
        }
    }

    /// Sorted neighbours that are in order must make all pairs be in order.
    #[test]
    fn comparing_is_transitive(first in version(), second in version(), third in version()) {
        for scheme in SCHEMES {
            let pkgrel = if scheme == Scheme::Pacman { "-1" } else { "" };
            let mut sorted = [&first, &second, &third].map(|version| format!("{version}{pkgrel}"));
            sorted.sort_by(|left, right| compare(scheme, left, right));
            let [low, middle, high] = &sorted;
            prop_assert!(compare(scheme, low, middle).is_le(), "{scheme}");
            prop_assert!(compare(scheme, middle, high).is_le(), "{scheme}");
            prop_assert!(compare(scheme, low, high).is_le(), "{scheme}: {sorted:?}");
            if compare(scheme, low, high).is_eq() {
                prop_assert!(compare(scheme, low, middle).is_eq(), "{scheme}: {sorted:?}");
                prop_assert!(compare(scheme, middle, high).is_eq(), "{scheme}: {sorted:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_comparing_panic(left in ".*", right in "\\PC*") {
        for scheme in SCHEMES {
            prop_assert_eq!(
                compare(scheme, &left, &right),
                compare(scheme, &right, &left).reverse()
            );
        }
    }
}
