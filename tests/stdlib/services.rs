//! `std/services`, with a real systemd and with real init scripts.

use std::path::Path;

use super::harness::{Helper, Module, State, Then, prove_every};
use super::service_manager::{Kind, Manager, ask, give, manage, seen, service_of};
use super::support::site::Site;
use super::support::{need, need_root};

use Then::{Acts, ActsAlways, Refuses, Rests};

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

fn runs(root: &Path) {
    ask(&service_of(root).0, "start");
}

fn boots(root: &Path) {
    ask(&service_of(root).0, "enable");
}

const PRELUDE: &str = "import \"std/files\" as files;\n\
    let unit = read_file(\"unit\");\n\
    let dir = read_file(\"dir\");\n";

const STARTED: &[State] = &[
    state("stopped", |_| {}, Acts),
    state("running", runs, Rests),
];
const STOPPED: &[State] = &[
    state("running", runs, Acts),
    state("stopped", |_| {}, Rests),
];
const RESTARTED: &[State] = &[
    state("running", runs, ActsAlways),
    state("stopped", |_| {}, ActsAlways),
];
const RELOADED: &[State] = &[
    state("running", runs, ActsAlways),
    state("stopped", |_| {}, Refuses("can't be reloaded")),
];
const ENABLED: &[State] = &[
    state("disabled", |_| {}, Acts),
    state("enabled", boots, Rests),
];
const DISABLED: &[State] = &[
    state("enabled", boots, Acts),
    state("disabled", |_| {}, Rests),
];

const fn helper(
    call: &'static str,
    holds: &'static str,
    looks: usize,
    states: &'static [State],
) -> Helper {
    Helper {
        call,
        holds,
        looks,
        states,
    }
}

/// What each manager must do, with so many looks.
const fn helpers(looks: usize, looks_at_boot: usize) -> [Helper; 6] {
    [
        helper(
            "services::started(unit)",
            "services::status(unit).active",
            looks,
            STARTED,
        ),
        helper(
            "services::stopped(unit)",
            "!services::status(unit).active",
            looks,
            STOPPED,
        ),
        helper(
            "{ files::write(dir + \"/conf\", \"new\\n\"); services::restart(unit) }",
            "read_file(dir + \"/loaded\") == \"new\\n\" && services::status(unit).active",
            looks,
            RESTARTED,
        ),
        helper(
            "{ files::write(dir + \"/conf\", \"new\\n\"); services::reload(unit) }",
            "read_file(dir + \"/loaded\") == \"new\\n\" && services::status(unit).active",
            looks,
            RELOADED,
        ),
        helper(
            "services::enabled(unit)",
            "services::status(unit).enabled",
            looks_at_boot,
            ENABLED,
        ),
        helper(
            "services::disabled(unit)",
            "!services::status(unit).enabled",
            looks_at_boot,
            DISABLED,
        ),
    ]
}

const fn module(helpers: &'static [Helper]) -> Module {
    Module {
        path: "std/services",
        name: "services",
        surroundings: give,
        prelude: PRELUDE,
        state: seen,
        helpers,
    }
}

fn need_systemd() -> Manager {
    need_root("it starts a systemd of its own");
    need("systemctl", "systemd");
    need("nsenter", "util-linux");
    Manager::start(Kind::Systemd)
}

#[test]
fn services_of_systemd_return_to_what_they_did() {
    let _manager = need_systemd();
    static HELPERS: [Helper; 6] = helpers(1, 1);
    prove_every(&module(&HELPERS), 5);
}

#[test]
fn services_with_init_scripts_return_to_what_they_did() {
    need_root("it starts services");
    need("service", "sysvinit-utils");
    need("update-rc.d", "init-system-helpers");
    need("start-stop-daemon", "dpkg");
    let _manager = Manager::start(Kind::Sysv);
    // That there is no systemd, that there is such a script, what it says.
    static HELPERS: [Helper; 6] = helpers(3, 4);
    prove_every(&module(&HELPERS), 5);
}

const HEADER: &str = "import \"std/services\" as services;\n\
    plan(#{ name: \"s\", version: \"1\", environment: \"test\" });\n";

/// A plan that fails after this, in a state; says what happened, in the order in which it was done.
fn backed_out(plan: &str, make: fn(&Path)) -> Vec<String> {
    let site = Site::bare(&format!(
        "{HEADER}{PRELUDE}{plan}\nthrow \"the plan fails\";\n"
    ));
    give(&site);
    make(&site.path(""));
    let before = seen(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(before, seen(&site), "{}", finished.told());
    let (name, dir) = service_of(&site.path(""));
    finished
        .events
        .iter()
        .filter(|e| e["event"] == "back-out-started" || e["event"] == "step-started")
        .filter_map(|e| {
            let title = e["title"]
                .as_str()
                .or_else(|| e["step"]["title"].as_str())?;
            let title = title.replace(&dir.display().to_string(), "DIR");
            Some(
                title
                    .replace("/etc/systemd/system", "UNITS")
                    .replace(&name, "NAME"),
            )
        })
        .collect()
}

#[test]
fn what_systemd_is_told_is_taken_back_in_the_right_order() {
    let _manager = need_systemd();
    // The example of the manual: a file, a validation, a reload.
    let plan = "step(\"switch\", #{ timeout: \"1m\" }, || {\n\
        files::write(dir + \"/conf\", \"new\\n\");\n\
        run([\"true\"], #{ back_out: () });\n\
        services::reload(unit);\n\
    });";
    let done = [
        "write DIR/conf",
        "true",
        "reload NAME",
        "put back DIR/conf",
        "undo of reload NAME",
        "reload NAME once more",
    ];
    assert_eq!(backed_out(plan, runs), done);
    // Started, configured, restarted: restarted while the former file is back, then stopped.
    let plan = "services::started(unit);\n\
        files::write(dir + \"/conf\", \"new\\n\");\n\
        services::restart(unit);";
    let done = [
        "start NAME",
        "write DIR/conf",
        "restart NAME",
        "put back DIR/conf",
        "undo of restart NAME",
        "restart NAME once more",
        "undo of start NAME",
        "stop NAME",
    ];
    assert_eq!(backed_out(plan, |_| {}), done);
    // A unit that has changed is read again, both ways.
    let plan = "files::directory(`/etc/systemd/system/${unit}.service.d`);\n\
        files::write(`/etc/systemd/system/${unit}.service.d/x.conf`, \"[Unit]\\nDescription=other\\n\");\n\
        services::restart(unit);\n\
        let now = probe([\"systemctl\", \"show\", \"--property=Description\", unit]).stdout;\n\
        if now != \"Description=other\\n\" { run([\"false\"]); }";
    let done = [
        "make the directory UNITS/NAME.service.d",
        "write UNITS/NAME.service.d/x.conf",
        "read the units again",
        "restart NAME",
        "put back UNITS/NAME.service.d/x.conf",
        "put back UNITS/NAME.service.d",
        "systemctl daemon-reload",
        "undo of restart NAME",
        "restart NAME once more",
    ];
    assert_eq!(backed_out(plan, runs), done);
}

#[test]
fn what_somebody_else_enables_meanwhile_stays_so() {
    let _manager = need_systemd();
    let plan = "services::enabled(unit);\n\
        run([\"ln\", \"-s\", \"../another.service\", read_file(\"wants\") + \"/another.service\"], #{ back_out: () });";
    let site = Site::bare(&format!(
        "{HEADER}{PRELUDE}{plan}\nthrow \"the plan fails\";\n"
    ));
    give(&site);
    let (name, _) = service_of(&site.path(""));
    let (mark, _) = name.rsplit_once('-').expect("a number");
    let wants = format!("/etc/systemd/system/{mark}.target.wants");
    site.write("wants", &wants);
    let finished = site.finish(&["run", "plan.rhai"]);
    let left = std::fs::read_dir(&wants).map(|names| names.flatten().map(|n| n.file_name()));
    let left: Vec<_> = left.unwrap_or_else(|e| panic!("{wants}: {e}")).collect();
    std::fs::remove_dir_all(&wants).expect("removed");
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(left, ["another.service"], "{}", finished.told());
}

/// Another service that needs this one.
fn add_dependent(root: &Path) {
    let (name, _) = service_of(root);
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\nRequires={name}.service\nAfter={name}.service\n\
         [Service]\nExecStart=/bin/sleep 1000000\n"
    );
    std::fs::write(format!("/etc/systemd/system/{name}-needs.service"), unit).expect("written");
    manage(&["daemon-reload"]);
}

#[test]
fn what_stops_and_starts_along_with_a_service_returns_too() {
    let _manager = need_systemd();
    let dependent = |site: &Site| {
        let unit = format!("{}-needs", service_of(&site.path("")).0);
        manage(&["is-active", &unit]).trim().to_owned()
    };
    for (call, first, then) in [
        ("stopped(unit)", "active", "inactive"),
        ("started(unit + \"-needs\")", "inactive", "active"),
    ] {
        let site = Site::bare(&format!(
            "{HEADER}{PRELUDE}services::{call};\nthrow probe([\"systemctl\", \"is-active\", unit + \"-needs\"]).stdout;\n"
        ));
        give(&site);
        add_dependent(&site.path(""));
        let (name, _) = service_of(&site.path(""));
        if first == "active" {
            ask(&format!("{name}-needs"), "start");
        }
        let before = seen(&site);
        assert_eq!(dependent(&site), first);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            finished.code == Some(3) && told.contains(&format!("\"reason\":\"{then}")),
            "{told}"
        );
        assert_eq!(
            (dependent(&site).as_str(), seen(&site)),
            (first, before),
            "{told}"
        );
        let _ = std::fs::remove_file(format!("/etc/systemd/system/{name}-needs.service"));
    }
}

#[test]
fn a_service_that_is_none_is_refused() {
    let _manager = need_systemd();
    for (call, why) in [
        (
            "started(\"no-such-service\")",
            "there is no service no-such-service",
        ),
        (
            "reload(\"no-such-service\")",
            "there is no service no-such-service",
        ),
        ("started(\"--now\")", "is no name of a service"),
        ("started(\"a b\")", "is no name of a service"),
        ("stopped(\"a/../b\")", "is no name of a service"),
        ("enabled(\"*\")", "is no name of a service"),
        ("enabled(\"a\\nb\")", "is no name of a service"),
        ("started(unit, #{ tiemout: 1 })", "has no option"),
    ] {
        let site = Site::bare(&format!("{HEADER}{PRELUDE}services::{call};\n"));
        give(&site);
        let before = seen(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            finished.code == Some(1) && told.contains(why),
            "{call}: {told}"
        );
        assert_eq!(before, seen(&site), "{told}");
    }
}
