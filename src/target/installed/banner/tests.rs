use super::*;

/// Program, what it prints, and the version in it.
const BANNERS: &[(&str, &str, &str)] = &[
    ("nginx", "nginx version: nginx/1.22.1", "1.22.1"),
    (
        "psql",
        "psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
        "15.18",
    ),
    ("postgres", "postgres (PostgreSQL) 16.4", "16.4"),
    (
        "ssh",
        "OpenSSH_9.2p1 Debian-2+deb12u5, OpenSSL 3.0.15 3 Sep 2024",
        "9.2p1",
    ),
    (
        "java",
        "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)",
        "17.0.15",
    ),
    (
        "java",
        "java version \"1.8.0_412\"\nJava(TM) SE Runtime Environment (build 1.8.0_412-b08)",
        "1.8.0_412",
    ),
    ("java", "openjdk 21.0.3 2024-04-16", "21.0.3"),
    ("go", "go version go1.22.3 linux/amd64", "1.22.3"),
    ("git", "git version 2.47.3", "2.47.3"),
    ("python3", "Python 3.11.2", "3.11.2"),
    ("python3.11", "Python 3.11.2", "3.11.2"),
    ("python3", "Python 3.13.0rc1", "3.13.0rc1"),
    (
        "curl",
        "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.15 zlib/1.2.13",
        "7.88.1",
    ),
    ("docker", "Docker version 24.0.7, build afdd53b", "24.0.7"),
    ("node", "v18.19.0", "18.19.0"),
    ("npm", "9.2.0", "9.2.0"),
    (
        "bash",
        "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)",
        "5.2.15",
    ),
    (
        "openssl",
        "OpenSSL 3.0.15 3 Sep 2024 (Library: OpenSSL 3.0.15 3 Sep 2024)",
        "3.0.15",
    ),
    ("openssl", "OpenSSL 1.1.1w  11 Sep 2023", "1.1.1w"),
    (
        "mysql",
        "mysql  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))",
        "8.0.36-0ubuntu0.22.04.1",
    ),
    (
        "mariadb",
        "mariadb  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper",
        "10.11.6-MariaDB",
    ),
    (
        "mariadb",
        "mariadb from 11.4.2-MariaDB, client 15.2 for debian-linux-gnu (x86_64)",
        "11.4.2-MariaDB",
    ),
    (
        "redis-server",
        "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=7e5a0b0c0c2c41d6",
        "7.0.15",
    ),
    (
        "ruby",
        "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]",
        "3.1.2p20",
    ),
    (
        "perl",
        "\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64-linux-gnu-thread-multi",
        "5.36.0",
    ),
    (
        "php",
        "PHP 8.2.28 (cli) (built: Mar 13 2025 18:21:38) (NTS)\nZend Engine v4.2.28",
        "8.2.28",
    ),
    (
        "systemctl",
        "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT",
        "252.38-1~deb12u1",
    ),
    (
        "systemd",
        "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT",
        "252",
    ),
    ("udevadm", "252", "252"),
    (
        "less",
        "less 590 (GNU regular expressions)\nCopyright (C) 1984-2021  Mark Nudelman",
        "590",
    ),
    ("tmux", "tmux 3.3a", "3.3a"),
    ("make", "GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", "4.3"),
    (
        "terraform",
        "Terraform v1.5.7\non linux_amd64\n\nYour version of Terraform is out of date! The latest version\nis 1.6.6.",
        "1.5.7",
    ),
    (
        "haproxy",
        "HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/",
        "2.6.12-1+deb12u1",
    ),
    (
        "apache2",
        "Server version: Apache/2.4.62 (Debian)\nServer built:   2024-10-04T15:21:08",
        "2.4.62",
    ),
    ("rustc", "rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0"),
    (
        "mvn",
        "Apache Maven 3.8.7\nMaven home: /usr/share/maven\nJava version: 17.0.15, vendor: Debian",
        "3.8.7",
    ),
    (
        "kubectl",
        "Client Version: v1.28.2\nKustomize Version: v5.0.4-0.20230601165947-6ce0bf390ce3",
        "1.28.2",
    ),
    (
        "helm",
        "version.BuildInfo{Version:\"v3.13.1\", GitCommit:\"3547a4b5bf5edb5478ce352e18858d8a552a4110\", GoVersion:\"go1.20.8\"}",
        "3.13.1",
    ),
    (
        "rsync",
        "rsync  version 3.2.7  protocol version 31",
        "3.2.7",
    ),
    (
        "tar",
        "tar (GNU tar) 1.34\nCopyright (C) 2021 Free Software Foundation, Inc.",
        "1.34",
    ),
    (
        "gcc",
        "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.",
        "12.2.0",
    ),
    ("ldd", "ldd (Debian GLIBC 2.36-9+deb12u10) 2.36", "2.36"),
    (
        "sqlite3",
        "3.40.1 2022-12-28 14:03:47 df5c253c0b3dd24916e4ec7cf77d3db5294cc9fd45ae7b9c5e82ad8195f3alt1",
        "3.40.1",
    ),
    (
        "ffmpeg",
        "ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000-2024 the FFmpeg developers",
        "5.1.6-0+deb12u1",
    ),
    (
        "vim",
        "VIM - Vi IMproved 9.0 (2022 Jun 28, compiled May 04 2023 10:24:44)\nIncluded patches: 1-1378",
        "9.0",
    ),
    (
        "elixir",
        "Erlang/OTP 25 [erts-13.1.5] [source] [64-bit]\n\nElixir 1.14.0 (compiled with Erlang/OTP 24)",
        "1.14.0",
    ),
    (
        "ansible",
        "ansible [core 2.14.18]\n  config file = None\n  python version = 3.11.2 (main, Nov 30 2024)",
        "2.14.18",
    ),
    (
        "varnishd",
        "varnishd (varnish-7.1.1 revision 7cee1c581bead20e88d101ab3d72afb29f14d87a)",
        "7.1.1",
    ),
    (
        "elasticsearch",
        "Version: 8.11.1, Build: tar/6f9ff581fbcde658/2023-11-11T10:05:59.421038163Z, JVM: 21.0.1",
        "8.11.1",
    ),
    (
        "lighttpd",
        "lighttpd/1.4.69 (ssl) - a light and fast webserver",
        "1.4.69",
    ),
    ("jq", "jq-1.6", "1.6"),
    (
        "caddy",
        "v2.6.2 h1:wKoFIxpmOJLGl3QXoo6PNbYvGW4xLEgo32GPBEjWL8o=",
        "2.6.2",
    ),
    (
        "sudo",
        "Sudo version 1.9.13p3\nSudoers policy plugin version 1.9.13p3",
        "1.9.13p3",
    ),
    (
        "exim4",
        "Exim version 4.96 #2 built 14-Jun-2024 10:01:12",
        "4.96",
    ),
    (
        "named",
        "BIND 9.18.33-1~deb12u2-Debian (Extended Support Version) <id:>",
        "9.18.33-1~deb12u2-Debian",
    ),
    (
        "mongod",
        "db version v6.0.13\nBuild Info: {\n    \"version\": \"6.0.13\"",
        "6.0.13",
    ),
    (
        "aws",
        "aws-cli/2.15.0 Python/3.11.6 Linux/6.1.0 exe/x86_64.debian.12",
        "2.15.0",
    ),
    ("/opt/shop/bin/shop", "loader 9.9.9\nshop 2.4.0", "2.4.0"),
];

#[test]
fn the_version_is_found_in_real_banners() {
    let wrong: Vec<String> = BANNERS
        .iter()
        .filter_map(|(program, banner, expected)| {
            let found = version_in(program, banner);
            (found.as_deref() != Some(*expected))
                .then(|| format!("{program}: {found:?} instead of {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_version_is_not_taken_for_one() {
    for text in [
        "",
        "usage: tool [-46AaCf] file",
        "hello world",
        "unknown option -- -",
        "x86_64-pc-linux-gnu",
        "listening on port 8080",
        "started in 2024",
    ] {
        assert_eq!(version_in("tool", text), None, "{text:?}");
    }
}

#[test]
fn only_a_stated_version_counts_after_a_failure() {
    for (text, expected) in [
        ("tool: cannot connect to 127.0.0.1:80", None),
        ("error near line 3.14", None),
        ("tool version 2.1\nusage: tool FILE", Some("2.1")),
        ("tool 2.1: unknown option", Some("2.1")),
        (
            "BusyBox v1.36.1 (2024-06-10) multi-call binary.",
            Some("1.36.1"),
        ),
        ("needs version 5 at least", None),
    ] {
        assert_eq!(
            stated_version_in("tool", text).as_deref(),
            expected,
            "{text:?}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_output_makes_it_panic(program in ".*", output in "[\\PC\n]{0,200}") {
        let _ = version_in(&program, &output);
        let _ = stated_version_in(&program, &output);
    }
}
