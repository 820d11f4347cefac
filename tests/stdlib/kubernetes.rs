//! `std/kubernetes`, with the real kubectl against an API server that the tests play:
//! `kubernetes_api/server.py`, whose head says what it was compared with. Each site has a cluster of its own
//! in it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::daemons::{self, PORT};
use super::harness::{Helper, Module, State, Then, prove_every};
use super::support::need;
use super::support::site::Site;

use Then::{Acts, Refuses, Rests};

/// The server, and its address. It ends when its standard input does: with this process.
fn server() -> &'static (String, Child) {
    static SERVER: OnceLock<(String, Child)> = OnceLock::new();
    SERVER.get_or_init(|| {
        need("kubectl", "kubernetes-client");
        need("python3", "python3");
        let address = daemons::address();
        let program = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/stdlib/kubernetes_api/server.py"
        );
        let mut child = Command::new("python3")
            .args(["-B", program, &address, &PORT.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("it says something");
        assert_eq!(line, "it listens\n");
        (address, child)
    })
}

/// What the server says of a site's cluster.
fn ask(root: &Path, what: &str) -> Value {
    let (address, _) = server();
    let cluster = fs::read_to_string(root.join("cluster")).expect("its name");
    let mut stream = TcpStream::connect((address.as_str(), PORT)).expect("it listens");
    write!(stream, "GET /{cluster}/{what} HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

fn kubectl(root: &Path, args: &[&str]) -> String {
    let output = Command::new("kubectl")
        .args(args)
        .args(["--kubeconfig=kubeconfig", "--namespace=shop"])
        .current_dir(root)
        .env("HOME", root)
        .output()
        .expect("kubectl starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

const FORMER: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop, labels: {old: \"yes\"}, annotations: {a/b: \"~ / \\\" é \\u001b\"}}
data: {size: \"1\", resourceVersion: \"7\", page: \"<b>\\n  \\\"resourceVersion\\\": \\\"1\\\",\\n\"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - {name: app, image: \"shop:1\", ports: [{containerPort: 8080}], env: [{name: OLD, value: \"1\"}]}
        - {name: proxy, image: \"envoy:3\"}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shop-reads}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
";

/// The manifest of the new version.
fn manifest() -> String {
    FORMER
        .replace("old: \"yes", "new: \"yes")
        .replace("size: \"1\"", "size: \"2\", more: \"\"")
        .replace("shop:1", "shop:2")
        .replace("replicas: 2", "replicas: 3")
        .replace(
            "env: [{name: OLD, value: \"1\"}]",
            "env: [{name: NEW, value: \"2\"}]",
        )
        .replace(
            "spec: {selector: {app: shop}, ports",
            "spec: {type: NodePort, selector: {app: shop}, ports",
        )
        .replace("verbs: [get]", "verbs: [get, list]")
}

fn surroundings(site: &Site) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let (address, _) = server();
    let cluster = format!("cluster-{}", COUNT.fetch_add(1, Ordering::SeqCst));
    site.write("cluster", &cluster);
    site.write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: shop\n\
             clusters: [{{name: it, cluster: {{server: \"http://{address}:{PORT}/{cluster}\"}}}}]\n\
             contexts: [{{name: shop, context: {{cluster: it, user: \"\"}}}}]\n"
        ),
    );
    site.write("former.yaml", FORMER);
    site.write("shop.yaml", &manifest());
    site.write(
        "namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    );
}

/// All objects, without what the cluster says of them and what counts on, and without sets of revisions
/// that are over.
fn state(site: &Site) -> String {
    let answer = ask(&site.path(""), "state");
    let mut objects = answer.as_array().expect("objects").clone();
    objects.retain(|o| o["kind"] != "ReplicaSet" || o["spec"]["replicas"] != 0);
    for object in &mut objects {
        let object = object.as_object_mut().expect("an object");
        object.remove("status");
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(annotations) = metadata.get_mut("annotations") {
            let annotations = annotations.as_object_mut().expect("annotations");
            annotations.remove("deployment.kubernetes.io/revision");
        }
    }
    serde_json::to_string_pretty(&objects).expect("JSON")
}

const PRELUDE: &str = r#"
let there = #{ kubeconfig: "kubeconfig", context: "shop", namespace: "shop" };
let told = |what, field| probe(["kubectl", "--kubeconfig=kubeconfig", "get", "--namespace=shop", what, `--output=jsonpath={${field}}`]).stdout;
"#;

const fn state_of(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

/// There is a namespace for it.
fn nothing(root: &Path) {
    kubectl(root, &["create", "--filename=namespace.yaml"]);
}

fn former(root: &Path) {
    nothing(root);
    kubectl(root, &["apply", "--filename=former.yaml"]);
    kubectl(root, &["rollout", "status", "deployment/shop"]);
}

fn new(root: &Path) {
    nothing(root);
    kubectl(root, &["apply", "--filename=shop.yaml"]);
    kubectl(root, &["rollout", "status", "deployment/shop"]);
}

const HELPERS: &[Helper] = &[
    Helper {
        call: r#"kubernetes::apply("shop.yaml", there)"#,
        holds: r#"told.call("configmap/settings", ".data.size") + told.call("service/shop", ".spec.type") == "2NodePort""#,
        // What the manifest holds is looked at before kubectl prints it.
        looks: 2,
        states: &[
            state_of("absent", nothing, Acts),
            state_of("the same", new, Rests),
            state_of("another", former, Acts),
        ],
    },
    Helper {
        call: r#"kubernetes::set_image("deployment/shop", #{ app: "shop:2", proxy: "envoy:3" }, there)"#,
        holds: r#"told.call("deployment/shop", ".spec.template.spec.containers[*].image") == "shop:2 envoy:3""#,
        looks: 1,
        states: &[
            state_of("another", former, Acts),
            state_of("the same", new, Rests),
            state_of(
                "paused",
                |root| {
                    former(root);
                    kubectl(root, &["rollout", "pause", "deployment/shop"]);
                },
                Refuses("is paused"),
            ),
        ],
    },
];

#[test]
fn manifests_and_images_are_as_before() {
    prove_every(
        &Module {
            path: "std/kubernetes",
            name: "kubernetes",
            surroundings,
            prelude: PRELUDE,
            state,
            helpers: HELPERS,
        },
        // A run calls kubectl twenty times.
        8,
    );
}

/// A site in this state, with this plan.
fn site(make: fn(&Path), plan: &str) -> Site {
    let site = Site::bare(&format!(
        "import \"std/kubernetes\" as kubernetes;\n\
         plan(#{{ name: \"k\", version: \"1\", environment: \"test\" }});\n{PRELUDE}\n{plan}\n"
    ));
    surroundings(&site);
    make(&site.path(""));
    site
}

/// Runs the plan, which must end with this status, say this, and leave all as before.
fn changes_nothing(site: &Site, code: i32, says: &str) {
    let before = state(site);
    let finished = site.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(code), "{told}");
    assert!(told.contains(says), "`{says}`: {told}");
    assert_eq!(before, state(site), "{told}");
}

#[test]
fn a_namespace_comes_and_goes_with_what_lives_in_it() {
    let site = site(
        |root| fs::rename(root.join("shop.yaml"), root.join("rest.yaml")).expect("renamed"),
        "kubernetes::apply(\"shop.yaml\", there);\n\
         kubernetes::rollout_status(\"deployment/shop\", there);\n\
         throw \"the plan fails\";",
    );
    let rest = fs::read_to_string(site.path("rest.yaml")).expect("the rest");
    let namespace = fs::read_to_string(site.path("namespace.yaml")).expect("the namespace");
    site.write("shop.yaml", &format!("{namespace}---\n{rest}"));
    // Up to there all went well.
    changes_nothing(&site, 3, "the plan fails");
}

#[test]
fn a_rollout_is_waited_for_and_one_that_never_ends_is_taken_back() {
    let plan = "let rolled_out = kubernetes::rolled_out(\"deployment/shop\", there);\n\
                wait_for_window();\n\
                kubernetes::set_image(\"deployment/shop\", #{ app: \"shop:VERSION\" }, there);\n\
                info(`${rolled_out}, ${kubernetes::rolled_out(\"deployment/shop\", there)}`);\n\
                kubernetes::rollout_status(\"deployment/shop\", there + #{ within: \"3s\", every: \"100ms\" });\n\
                info(`${kubernetes::rolled_out(\"deployment/shop\", there)}`);\n";
    let good = site(former, &plan.replace("VERSION", "2"));
    let finished = good.finish(&["run", "plan.rhai"]);
    let told = finished.told();
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(told.contains("\"text\":\"true\""), "{told}");
    let broken = site(former, &plan.replace("VERSION", "broken"));
    changes_nothing(
        &broken,
        3,
        "did not turn true within 3s: Waiting for deployment \\\"shop\\\" rollout to finish",
    );
    assert!(broken.told().contains("true, false"), "{}", broken.told());
}

#[test]
fn what_somebody_else_has_deleted_is_there_again() {
    let site = site(
        former,
        "kubernetes::apply(\"shop.yaml\", there);\n\
         run([\"kubectl\", \"--kubeconfig=kubeconfig\", \"delete\", \"-n\", \"shop\", \"configmap/settings\"], #{ back_out: () });\n\
         throw \"the plan fails\";",
    );
    // It is another one: its number and its time are new.
    let known = |text: String| {
        let lines = text.lines().filter(|line| {
            !line.contains("\"uid\": ") && !line.contains("\"creationTimestamp\": ")
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let before = known(state(&site));
    let finished = site.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(before, known(state(&site)), "{}", finished.told());
}

#[test]
fn what_could_not_be_taken_back_is_refused() {
    let secret = site(nothing, "kubernetes::apply(\"secret.yaml\", there);");
    secret.write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: shop}\nstringData: {token: opensesame}\n",
    );
    changes_nothing(&secret, 1, "holds a Secret");
    assert!(!secret.told().contains("opensesame"), "{}", secret.told());
    let asked = ask(&secret.path(""), "asked").to_string();
    assert!(!asked.contains("/secrets"), "{asked}");

    let dying = site(
        |root| {
            former(root);
            let patch = "--patch={\"metadata\":{\"finalizers\":[\"example.org/waits\"]}}";
            kubectl(root, &["patch", "configmap/settings", patch]);
            kubectl(root, &["delete", "--wait=false", "configmap/settings"]);
        },
        "kubernetes::apply(\"shop.yaml\", there);",
    );
    changes_nothing(&dying, 1, "ConfigMap settings is being deleted");

    let forgetful = site(
        |root| {
            former(root);
            let patch = "--patch={\"spec\":{\"revisionHistoryLimit\":0}}";
            kubectl(root, &["patch", "deployment/shop", patch]);
        },
        "kubernetes::set_image(\"deployment/shop\", #{ app: \"shop:2\" }, there);",
    );
    changes_nothing(&forgetful, 1, "its revisionHistoryLimit is 0");

    let wrong = site(former, "kubernetes::apply(\"shop.yaml\", there);");
    wrong.write(
        "shop.yaml",
        &manifest().replace("matchLabels: {app: shop}", "matchLabels: {app: other}"),
    );
    changes_nothing(&wrong, 1, "field is immutable");
}
