//! `std/haproxy`, with a real HAProxy of each case.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::Signal;

use super::daemons::{self, Ends, Hung, PORT};
use super::harness::{Helper, Module, State, Then, prove};
use super::support::live::Live;
use super::support::site::Site;
use super::support::{need, need_root};

use Then::{Acts, ActsAlways, Refuses, Rests};

/// A configuration in which the backend `shop` has two servers, of which the second is in maintenance.
fn configuration(site: &Site, address: &str, says: &str) -> String {
    let root = site.path("");
    let root = root.display();
    format!(
        "global\n  stats socket {root}/edge/socket mode 600 level admin\n  description {says}\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
         frontend edge\n  bind {address}:{PORT}\n  http-request return string {says} content-type text/plain\n\
         backend shop\n  server web1 {address}:18081 weight 10\n  server web2 {address}:18081 weight 20 disabled\n"
    )
}

/// An HAProxy with a configuration in `production` that says `former`.
fn surroundings(site: &Site) {
    let address = daemons::address();
    fs::create_dir(site.path("edge")).expect("a directory");
    site.write("address", &address);
    let former = configuration(site, &address, "former");
    site.write("production/haproxy.cfg", &former);
    site.write("new.cfg", &configuration(site, &address, "new"));
    site.write(
        "wrong.cfg",
        &former.replace("frontend edge", "frontent edge"),
    );
    site.write("edge/last", "global\n");
    start(&site.path(""));
}

fn start(root: &Path) {
    let conf = root.join("production/haproxy.cfg");
    let pid = root.join("edge/pid");
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let command = [
        "haproxy",
        "-W",
        "-D",
        "-q",
        "-f",
        &text(&conf),
        "-f",
        &text(&root.join("edge/last")),
        "-p",
        &text(&pid),
    ];
    daemons::start(root, &command, &pid);
}

fn ask(root: &Path, what: &str) -> String {
    // A path of a socket has at most 108 bytes; a link to it in /tmp would have another name.
    let Ok(mut stream) = UnixStream::connect(root.join("edge/socket")) else {
        return "it does not run".into();
    };
    stream
        .write_all(format!("{what}\n").as_bytes())
        .expect("said");
    stream.shutdown(Shutdown::Write).expect("said");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

/// Which configuration it has loaded, and how its servers stand: state by an administrator, and weight.
fn state(site: &Site) -> String {
    let root = site.path("");
    let mut told = String::new();
    let info = ask(&root, "show info");
    let description = info.lines().find(|line| line.starts_with("description:"));
    told += description.unwrap_or("nothing");
    for line in ask(&root, "show servers state shop").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [_, "shop", _, server, _, _, admin, weight, ..] = fields[..] {
            let _ = write!(told, "; {server} {admin} {weight}");
        }
    }
    told
}

const PRELUDE: &str = r#"
let root = trimmed(probe(["pwd"]).stdout);
let edge = #{ pid: root + "/edge/pid" };
let admin = #{ socket: root + "/edge/socket" };
let served = || http_get(`http://${read_file("address")}:18080/`).body;
import "std/files" as files;
"#;

const fn state_of(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

/// The new configuration is in place and loaded.
fn is_new(root: &Path) {
    fs::copy(root.join("new.cfg"), root.join("production/haproxy.cfg")).expect("copied");
    daemons::stop(&root.join("edge/pid"));
    start(root);
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"haproxy::put("new.cfg", "production/haproxy.cfg", edge)"#,
        holds: r#"served.call() == "new""#,
        looks: 1,
        states: &[
            state_of("another", |_| {}, Acts),
            state_of("the same", is_new, Rests),
            state_of(
                "another, and the new one is not valid",
                |root| drop(fs::copy(root.join("wrong.cfg"), root.join("new.cfg"))),
                Refuses("frontent"),
            ),
        ],
    },
    Helper {
        call: r#"haproxy::write("production/haproxy.cfg", read_file("new.cfg"), edge)"#,
        holds: r#"served.call() == "new""#,
        // One of them is the plan's own.
        looks: 2,
        states: &[
            state_of(
                "a link",
                |root| {
                    fs::rename(root.join("production/haproxy.cfg"), root.join("edge/cfg"))
                        .expect("moved");
                    symlink("../edge/cfg", root.join("production/haproxy.cfg")).expect("a link");
                },
                Acts,
            ),
            state_of("the same", is_new, Rests),
        ],
    },
    Helper {
        call: r#"{ files::put("new.cfg", "production/haproxy.cfg"); haproxy::reload(edge) }"#,
        holds: r#"served.call() == "new""#,
        looks: 1,
        states: &[state_of("another", |_| {}, ActsAlways)],
    },
    Helper {
        call: r#"haproxy::drain("shop/web1", admin)"#,
        holds: r#"haproxy::server("shop/web1", admin).state == "drain""#,
        looks: 1,
        states: &[
            state_of("ready", |_| {}, Acts),
            state_of(
                "ready, with another weight",
                |root| drop(ask(root, "set server shop/web1 weight 3")),
                Acts,
            ),
            state_of(
                "drained",
                |root| drop(ask(root, "set server shop/web1 state drain")),
                Rests,
            ),
        ],
    },
    Helper {
        call: r#"haproxy::ready("shop/web2", admin + #{ weight: 5 })"#,
        holds: r#"haproxy::server("shop/web2", admin).weight == 5"#,
        looks: 1,
        states: &[
            state_of("in maintenance", |_| {}, Acts),
            state_of(
                "ready",
                |root| {
                    drop(ask(
                        root,
                        "set server shop/web2 state ready;set server shop/web2 weight 5",
                    ))
                },
                Rests,
            ),
            state_of(
                "not there",
                |root| {
                    let path = root.join("plan.rhai");
                    let plan = fs::read_to_string(&path).expect("the plan");
                    fs::write(&path, plan.replace("shop/web2", "shop/web3")).expect("written");
                },
                Refuses("HAProxy has no server shop/web3"),
            ),
        ],
    },
];

fn needs() {
    need_root("it covers directories in a mount namespace");
    need("haproxy", "haproxy");
}

#[test]
fn configurations_and_servers_of_haproxy_are_changed_and_taken_back() {
    needs();
    let _ends = Ends;
    prove(&Module {
        path: "std/haproxy",
        name: "haproxy",
        surroundings,
        prelude: PRELUDE,
        state,
        helpers: HELPERS,
    });
}

/// A plan with this behind its header.
fn plan(rest: &str) -> String {
    format!(
        "import \"std/haproxy\" as haproxy;\n\
         plan(#{{ name: \"edge\", version: \"1\", environment: \"test\" }});\n{PRELUDE}\n{rest}"
    )
}

#[test]
fn sessions_of_a_drained_server_are_waited_for() {
    needs();
    let _ends = Ends;
    let site = Site::bare(&plan(
        r#"
haproxy::drain("shop/web1", admin);
try { haproxy::wait_idle("shop/web1", admin + #{ within: "300ms", every: "50ms" }); }
catch (e) { info(e); }
run(["sh", "-c", "echo over > over; until [ -e over.done ]; do sleep 0.02; done"], #{ timeout: "9s", back_out: () });
info(`${haproxy::wait_idle("shop/web1", admin)}`);
"#,
    ));
    surroundings(&site);
    // Somebody is served by web1, as long as the test wants it.
    let address = fs::read_to_string(site.path("address")).expect("the address");
    let config =
        fs::read_to_string(site.path("production/haproxy.cfg")).expect("the configuration");
    let through = config.replace(
        "http-request return string former content-type text/plain",
        "default_backend shop",
    );
    site.write("new.cfg", &through);
    is_new(&site.path(""));
    let server = TcpListener::bind((address.as_str(), 18081)).expect("an address");
    let mut client = std::net::TcpStream::connect((address.as_str(), PORT)).expect("a connection");
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("asked");
    let (served, _) = server.accept().expect("a session");
    let root = site.path("");
    let ends = std::thread::spawn(move || {
        while !root.join("over").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop((served, client));
        fs::write(root.join("over.done"), "").expect("written");
    });
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(
        told.contains("shop/web1 has 1 sessions and 0 waiting ones after 300ms"),
        "{told}"
    );
    ends.join().expect("it ended");
}

/// The socket is spoken to by whichever of these there is.
#[test]
fn each_program_that_can_speak_to_the_socket_does() {
    needs();
    let _ends = Ends;
    for (program, package) in [
        ("perl", "perl-base"),
        ("python3", "python3"),
        ("socat", "socat"),
    ] {
        need(program, package);
        let site = Site::bare(&plan(
            r#"
info(haproxy::server("shop/web1", admin).state);
haproxy::drain("shop/web1", admin);
try { haproxy::server("shop/none", admin); } catch (e) { info(e); }
try { haproxy::server("shop/web1", #{ socket: root + "/none" }); } catch (e) { info(e); }
throw "the plan fails";
"#,
        ));
        surroundings(&site);
        let before = state(&site);
        // Only this one, and what a shell needs.
        fs::create_dir(site.path("bin")).expect("a directory");
        for name in ["sh", "grep", "pwd", program] {
            let found = ["/usr/bin", "/bin"]
                .map(|dir| Path::new(dir).join(name))
                .into_iter()
                .find(|path| path.is_file())
                .unwrap_or_else(|| panic!("{name} is not there"));
            symlink(found, site.path("bin").join(name)).expect("a link");
        }
        let mut command = site.command(&["run", "plan.rhai"]);
        command.env("PATH", site.path("bin"));
        let finished = super::support::live::Live::start(command).finish();
        let told = finished.told();
        assert_eq!(finished.code, Some(3), "{program}: {told}");
        assert!(told.contains("no server shop/none"), "{program}: {told}");
        assert!(
            told.contains("No such file or directory"),
            "{program}: {told}"
        );
        assert_eq!(state(&site), before, "{program}: {told}");
    }
}

/// Somebody's reload, such as that of a step that was cut off, is under way with another configuration.
/// `HAProxy` throws away what it is told meanwhile.
#[test]
fn a_reload_that_is_under_way_is_not_taken_for_ones_own() {
    needs();
    let _ends = Ends;
    let site = Site::bare(&plan("haproxy::reload(edge);\ninfo(served.call());\n"));
    surroundings(&site);
    let root = site.path("");
    let file = root.join("production/haproxy.cfg");
    let former = fs::read(&file).expect("the configuration");
    fs::copy(root.join("new.cfg"), &file).expect("copied");
    let hung = Hung::reload(
        &root.join("edge/pid"),
        Signal::USR2,
        &root.join("edge/last"),
    );
    fs::write(&file, former).expect("written");
    let run = Live::start(site.command(&["run", "plan.rhai"]));
    hung.go_on_when_asked(&root);
    let finished = run.finish();
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(told.contains("\"former\""), "{told}");
    assert!(
        told.contains("HAProxy still loads what it was told to before"),
        "{told}"
    );
}
