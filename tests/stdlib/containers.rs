//! `std/containers`, with podman and containers that really run.
//!
//! Each site has a store of its own; the images lie in one that all of them read. Containers use the host's
//! network, and are removed with their site.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::harness::{Helper, Module, State, Then, prove_every};
use super::support::site::Site;
use super::support::{need, need_root};

use Then::{Acts, Rests};

/// What all sites share: a store with the images, and a registry that has one of them.
struct Shared {
    dir: PathBuf,
    /// What ends the registry and removes the directory once its standard input is closed.
    _registry: Child,
    port: u16,
    /// The images by digest.
    old: String,
    new: String,
    remote: String,
}

fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .stderr(Stdio::piped())
        .output()
        .expect("sh");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The limits of this process are those of the containers: not every machine lets them be raised.
fn containers_conf(dir: &Path) -> String {
    format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\nnetns = \"host\"\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
         lock_type = \"file\"\ntmp_dir = \"{}\"\n",
        dir.join("tmp").display()
    )
}

fn storage_conf(dir: &Path, images: Option<&Path>) -> String {
    let more = images.map_or(String::new(), |images| {
        format!(
            "[storage.options]\nadditionalimagestores = [\"{}\"]\n",
            images.display()
        )
    });
    format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/store\"\nrunroot = \"{0}/run\"\n{more}",
        dir.display()
    )
}

/// A `podman` that has its store in `dir`, as `bin/podman` there.
fn podman(dir: &Path, images: Option<&Path>, registry: &str) {
    let own = dir.join("podman");
    fs::create_dir_all(dir.join("bin")).expect("made");
    fs::create_dir_all(&own).expect("made");
    let registries = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
    for (name, text) in [
        ("containers.conf", containers_conf(&own)),
        ("storage.conf", storage_conf(&own, images)),
        ("registries.conf", registries),
    ] {
        fs::write(own.join(name), text).expect("written");
    }
    let real = std::env::split_paths(&std::env::var_os("PATH").expect("a path"))
        .map(|dir| dir.join("podman"))
        .find(|path| path.is_file())
        .expect("podman");
    let script = format!(
        "#!/bin/sh\nexport CONTAINERS_CONF={0}/containers.conf CONTAINERS_STORAGE_CONF={0}/storage.conf \
         CONTAINERS_REGISTRIES_CONF={0}/registries.conf\nexec {1} \"$@\"\n",
        own.display(),
        real.display()
    );
    let at_end = "#!/bin/sh\nexec bin/podman rm --all --force --time 0 --volumes\n";
    for (name, text) in [("bin/podman", script.as_str()), ("bin/at-end", at_end)] {
        let path = dir.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    }
}

/// The root of a system that is one program.
const IMAGES: &str = "
mkdir -p root/bin
cp \"$(command -v busybox)\" root/bin/busybox
for name in sh sleep test; do ln -sf busybox root/bin/$name; done
tar -C root -c . | bin/podman import --change 'LABEL v=1' - localhost/shop:1
tar -C root -c . | bin/podman import --change 'LABEL v=2' - localhost/shop:2
";

impl Shared {
    fn new() -> Self {
        for (program, package) in [
            ("podman", "podman"),
            ("runc", "runc"),
            ("conmon", "conmon"),
            ("busybox", "busybox-static"),
            ("docker-registry", "docker-registry"),
        ] {
            need(program, package);
        }
        need_root("it runs containers");
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/registry\nhttp:\n  addr: 127.0.0.1:{port}\n",
            dir.path().display()
        );
        fs::write(dir.path().join("registry.yml"), config).expect("written");
        let dir = dir.keep();
        let serve = "docker-registry serve registry.yml > /dev/null 2>&1 & cat > /dev/null
                     kill $!; cd /; rm -rf \"$0\"";
        let registry = Command::new("sh")
            .args(["-c", serve])
            .arg(&dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry");
        podman(&dir, None, &format!("127.0.0.1:{port}"));
        shell(&dir, IMAGES);
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let remote = format!("127.0.0.1:{port}/shop");
        shell(
            &dir,
            &format!(
                "bin/podman push --quiet --digestfile pushed localhost/shop:1 docker://{remote}:1"
            ),
        );
        let pushed = fs::read_to_string(dir.join("pushed")).expect("a digest");
        let digest = |tag: &str| {
            let inspect =
                format!("bin/podman image inspect --format '{{{{.Digest}}}}' localhost/shop:{tag}");
            format!("localhost/shop@{}", shell(&dir, &inspect))
        };
        Self {
            old: digest("1"),
            new: digest("2"),
            remote: format!("{remote}@{}", pushed.trim()),
            _registry: registry,
            port,
            dir,
        }
    }

    fn images(&self) -> PathBuf {
        self.dir.join("podman/store")
    }
}

static SHARED: OnceLock<Shared> = OnceLock::new();

fn shared() -> &'static Shared {
    SHARED.get_or_init(Shared::new)
}

/// What the plans find: podman, the names of images, and what a container is started with.
fn surroundings(site: &Site) {
    let shared = shared();
    podman(
        &site.path(""),
        Some(&shared.images()),
        &format!("127.0.0.1:{}", shared.port),
    );
    site.write("old", &shared.old);
    site.write("new", &shared.new);
    site.write("remote", &shared.remote);
}

/// What the plans begin with. The containers end at once when they are asked to.
const PRELUDE: &str = r#"let image = read_file("new");
let remote = read_file("remote");
let way = #{
    args: ["--label", "site=test"],
    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 9 & wait $!; done"],
    env: #{ COLOUR: "blue" },
    every: "100ms",
};"#;

/// Containers and images, and which of them run.
fn state(site: &Site) -> String {
    shell(
        &site.path(""),
        "bin/podman images --no-trunc --filter readonly=false --format '{{.ID}} {{.Repository}} {{.Digest}}' | sort
         for id in $(bin/podman ps --all --quiet --no-trunc | sort); do
             bin/podman container inspect --format '{{.Id}} {{.Name}} {{.State.Status}} {{.ImageName}}' $id
         done",
    )
}

/// A container `web` that this plan has released, from a state directory of its own.
fn released(root: &Path, body: &str) {
    let header = "plan(#{ name: \"before\", version: \"1\", environment: \"before\" });";
    let plan = format!("import \"std/containers\" as containers;\n{header}\n{PRELUDE}\n{body}\n");
    fs::write(root.join("before.rhai"), plan).expect("written");
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new(env!("CARGO_BIN_EXE_deployrun"))
        .args(["run", "before.rhai"])
        .env_clear()
        .env("PATH", format!("{}:{path}", root.join("bin").display()))
        .env("HOME", root)
        .env("DEPLOYRUN_STATE", root.join("state-before"))
        .current_dir(root)
        .output()
        .expect("deployrun");
    assert!(output.status.success(), "{output:?}");
}

/// A container that somebody made by hand.
fn old_one(root: &Path) {
    let run = "bin/podman run --detach --name web --label by=hand --stop-timeout 5 $(cat old) \
               /bin/sh -c 'trap \"exit 0\" TERM; while true; do sleep 9 & wait $!; done'";
    shell(root, run);
}

const fn state_of(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const RUNS: &str = r#"containers::status("web").running
    && probe(["podman", "container", "inspect", "--format", "{{.ImageName}}", "web"]).stdout.contains(image)"#;

const HELPERS: &[Helper] = &[
    Helper {
        call: "containers::replace(\"web\", image, way)",
        holds: RUNS,
        looks: 1,
        states: &[
            state_of("absent", |_| {}, Acts),
            state_of(
                "the same",
                |root| released(root, "containers::replace(\"web\", image, way);"),
                Rests,
            ),
            state_of("another", old_one, Acts),
            state_of(
                "another that does not run",
                |root| {
                    old_one(root);
                    shell(root, "bin/podman stop --time 5 web");
                },
                Acts,
            ),
        ],
    },
    Helper {
        call: "containers::pull(remote)",
        holds: "probe([\"podman\", \"image\", \"inspect\", remote]).code == 0",
        looks: 1,
        states: &[
            state_of("absent", |_| {}, Acts),
            state_of(
                "the same",
                |root| {
                    shell(root, "bin/podman pull --quiet $(cat remote)");
                },
                Rests,
            ),
        ],
    },
];

#[test]
fn containers_are_replaced_and_come_back() {
    let module = Module {
        path: "std/containers",
        name: "containers",
        surroundings,
        prelude: PRELUDE,
        state,
        helpers: HELPERS,
    };
    // A run with containers takes two seconds.
    prove_every(&module, 8);
}

#[test]
fn a_container_that_goes_when_it_is_stopped_is_not_stopped() {
    let site = site("containers::replace(\"web\", image, way);");
    let run = "bin/podman run --detach --rm --name web $(cat old) /bin/sleep 1000";
    shell(&site.path(""), run);
    let before = state(&site);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(1), "{told}");
    assert!(told.contains("was made with --rm"), "{told}");
    assert_eq!(before, state(&site), "{told}");
}

#[test]
fn of_a_pull_that_was_cut_off_nothing_is_left() {
    need("strace", "strace");
    // At which rename of each of its threads it is killed.
    for nth in 1..16 {
        let site = site("containers::pull(remote);");
        let root = site.path("");
        let real = fs::read_to_string(root.join("bin/podman")).expect("the script");
        let at = real.rfind("exec ").expect("it runs podman");
        let killed = format!(
            "{}[ \"$1\" != pull ] || exec strace -f -o strace -e trace=renameat \
             -e inject=renameat:signal=KILL:when={nth} {}{}",
            &real[..at],
            &real[at + "exec ".len()..],
            &real[at..]
        );
        fs::write(root.join("bin/podman"), killed).expect("written");
        let before = state(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        if finished.code == Some(0) {
            assert!(nth > 2, "it was not killed: {told}");
            continue;
        }
        assert_eq!(finished.code, Some(3), "{nth}: {told}");
        assert_eq!(before, state(&site), "{nth}: {told}");
    }
}

fn site(body: &str) -> Site {
    let site = Site::bare(&format!(
        "import \"std/containers\" as containers;\n\
         plan(#{{ name: \"c\", version: \"1\", environment: \"test\" }});\n{PRELUDE}\n{body}\n"
    ));
    surroundings(&site);
    site
}

#[test]
fn one_that_is_not_healthy_gives_its_place_back() {
    for (body, why) in [
        (
            "way.command = [\"/bin/sh\", \"-c\", \"echo no luck; exit 3\"];",
            "has ended with exit status 3, when it should be healthy; it said:\\nno luck",
        ),
        (
            "way.healthy = || file_exists(\"well\"); way.within = \"1s\";",
            "did not turn true within 1s",
        ),
        ("way.command = [\"/bin/none\"];", "/bin/none"),
    ] {
        let site = site(&format!(
            "{body}\ncontainers::replace(\"web\", image, way);"
        ));
        old_one(&site.path(""));
        let before = state(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        assert_eq!(finished.code, Some(3), "{}", finished.told());
        assert!(
            finished.told().contains(why),
            "`{why}`: {}",
            finished.told()
        );
        assert_eq!(state(&site), before, "{}", finished.told());
    }
}

#[test]
fn the_former_one_is_kept_until_it_is_tidied_away() {
    let site = site(
        "containers::replace(\"web\", image, way);\n\
         way.env.COLOUR = \"green\";\n\
         info(`${containers::replace(\"web\", image, way)}`);\n\
         info(`${containers::tidy(\"web\")} ${containers::tidy(\"web\")}`);",
    );
    old_one(&site.path(""));
    let old = shell(&site.path(""), "bin/podman ps --quiet --no-trunc");
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert!(
        finished.told().contains("\"true false\""),
        "{}",
        finished.told()
    );
    let names = shell(
        &site.path(""),
        "bin/podman ps --all --no-trunc --format '{{.ID}} {{.Names}}'",
    );
    assert_eq!(names.lines().count(), 2, "{names}");
    assert!(!names.contains(&old), "the oldest is still there: {names}");
}

#[test]
fn a_secret_reaches_the_container_and_no_list_of_processes() {
    let site = site(
        "way.env.TOKEN = secret(\"TOKEN\");\ncontainers::replace(\"web\", image, way);\n\
         info(`${containers::replace(\"web\", image, way)}`);",
    );
    let finished = site.finish_with(&["run", "plan.rhai"], "TOKEN", "opensesame");
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert!(finished.told().contains("\"false\""), "{}", finished.told());
    let env = shell(
        &site.path(""),
        "bin/podman container inspect --format '{{.Config.Env}}' web",
    );
    assert!(
        env.contains("TOKEN=opensesame") && env.contains("COLOUR=blue"),
        "{env}"
    );
    let label = shell(
        &site.path(""),
        "bin/podman container inspect --format '{{.Config.Labels}}' web",
    );
    assert!(!label.contains("opensesame"), "{label}");
    assert!(!site.told().contains("opensesame"), "{}", site.told());
}

#[test]
fn hostile_names_are_refused_before_anything_is_touched() {
    let calls = [
        (
            "containers::replace(\"--rm\", image, way)",
            "is no name of a container",
        ),
        (
            "containers::replace(\"web\", \"localhost/shop:1\", way)",
            "is not named by its digest",
        ),
        (
            "containers::pull(\"--all-tags\")",
            "is not named by its digest",
        ),
        (
            "containers::pull(remote, #{ engine: \"rkt\" })",
            "there is no engine",
        ),
        (
            "containers::replace(\"web\", image, #{ arg: [] })",
            "has no option \"arg\"",
        ),
        (
            "containers::replace(\"web\", image, #{ env: #{ \"A=B\": \"\" } })",
            "is no name of a variable",
        ),
    ];
    let tried = calls.map(|(call, _)| format!("try {{ {call}; }} catch (e) {{ info(e); }}"));
    let site = site(&tried.join("\n"));
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let notes = finished
        .events
        .iter()
        .filter(|e| e["call"]["function"] == "note");
    let said: Vec<&str> = notes.filter_map(|e| e["call"]["text"].as_str()).collect();
    assert_eq!(said.len(), calls.len(), "{said:?}");
    for (said, (call, why)) in said.iter().zip(calls) {
        assert!(said.contains(why), "{call}: `{why}`: {said}");
    }
    assert_eq!(state(&site), "", "{}", finished.told());
}
