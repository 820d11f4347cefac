//! `std/checks`, of this machine and of what the test has made on it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use super::support::live::Finished;
use super::support::need;
use super::support::site::Site;

/// Runs these checks, and returns what was found: name, whether it is so, and what was seen.
fn found(checks: &str) -> (Finished, Vec<(String, bool, String)>) {
    let site = Site::bare(&format!(
        "import \"std/checks\" as checks;\n\
         plan(#{{ name: \"looks\", version: \"1\", environment: \"test\" }});\n{checks}\nwait_for_window();\n"
    ));
    let finished = site.finish(&["run", "plan.rhai"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = finished.events.iter().filter(|e| e["event"] == "finding");
    let findings = findings
        .map(|e| (text(&e["name"]), e["ok"] == true, text(&e["detail"])))
        .collect();
    (finished, findings)
}

#[test]
fn what_is_so_is_found_so() {
    need("openssl", "openssl");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").port();
    let free = {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        other.local_addr().expect("an address").port()
    };
    let url = time_server();
    let certificates = tempfile::tempdir().expect("a directory");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "20",
        ])
        .args([
            "-subj", "/CN=shop", "-keyout", "key.pem", "-out", "shop.pem",
        ])
        .current_dir(certificates.path())
        .output()
        .expect("openssl");
    assert!(made.status.success());
    let pem = certificates.path().join("shop.pem");
    let facts = std::fs::read_to_string("/etc/os-release").expect("what this system is");
    let system = facts.lines().find_map(|line| line.strip_prefix("ID="));
    let system = system.expect("its name").trim_matches('"').to_owned();
    let pem = pem.display();
    let checks = format!(
        r#"
checks::disk("/", 1 * MIB);
checks::memory(1 * MIB);
checks::load(1000);
checks::port_free({free});
checks::port_open("127.0.0.1:{taken}");
checks::port_open("localhost:{taken}", #{{ timeout: "9s" }});
checks::dns("localhost");
checks::dns("localhost", #{{ address: "127.0.0.1" }});
checks::clock("5s", "{url}");
checks::url("{url}", #{{ status: 204 }});
checks::certificate("{pem}", "19d");
checks::user("root");
checks::user("root", #{{ groups: ["root"], home: "/root" }});
checks::process("stdlib-no-such", #{{ count: 0 }});
checks::kernel(">= 3.0");
checks::os("{system}");
checks::os("{system}", ">= 1");
"#
    );
    let (finished, findings) = found(&checks);
    let wrong: Vec<_> = findings.iter().filter(|(_, ok, _)| !ok).collect();
    assert_eq!(
        (wrong.len(), findings.len()),
        (0, 18),
        "{wrong:#?}\n{}",
        finished.told()
    );
    assert_eq!(finished.code, Some(0), "{}", finished.told());
}

#[test]
fn what_is_not_so_is_told_with_what_was_found() {
    need("openssl", "openssl");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").port();
    let url = time_server();
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("sleep");
    let checks = format!(
        r#"
checks::disk("/", 900000 * TIB);
checks::memory(900000 * TIB);
checks::load(-1);
checks::port_free({taken});
checks::port_open("127.0.0.1:1");
checks::dns("no-such-host.invalid");
checks::dns("localhost", #{{ address: "10.1.2.3" }});
checks::clock("1s", "{url}?1994");
checks::url("{url}", #{{ status: 200 }});
checks::certificate("/etc/passwd", "1d");
checks::user("no-such-user");
checks::user("root", #{{ groups: ["no-such-group"], shell: "/none" }});
checks::process("sleep", #{{ count: 0 }});
checks::process("stdlib-no-such");
checks::kernel(">= 900");
checks::os("no-such-system");
"#
    );
    let (finished, findings) = found(&checks);
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    assert_eq!(finished.code, Some(1), "{}", finished.told());
    let own = std::process::id().to_string();
    let expected = [
        "are free",
        "are available",
        "the load of the last 5 minutes is ",
        "it is taken by stdlib-",
        "Connection refused",
        "it can't be resolved",
        "it is ",
        "s ahead of http://",
        "the status is 204, not 200",
        "what certificate is in /etc/passwd can't be told: ",
        "there is none",
        "the shell is /bin/bash, not /none, not in the group no-such-group",
        " of it: ",
        "there is no process of it",
        "900",
        "this is ",
    ];
    for ((name, ok, seen), part) in findings.iter().zip(expected) {
        assert!(!ok && seen.contains(part), "{name}: {ok}, `{part}`: {seen}");
    }
    assert_eq!(findings.len(), expected.len(), "{}", finished.told());
    // The process that has taken the port is this one.
    assert!(findings[3].2.contains(&own), "{}: {}", own, findings[3].2);
    drop(listener);
}

/// A server that says what time it is, with a status of 204; and, for `/?1994`, the time of then.
fn time_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let now = match String::from_utf8_lossy(&request[..length]).contains("1994") {
                true => "Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
                false => {
                    let now = jiff::Timestamp::now();
                    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
                }
            };
            let answer =
                format!("HTTP/1.1 204 No Content\r\nConnection: close\r\nDate: {now}\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}
