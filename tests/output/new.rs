//! A project to begin with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::scene::{Scene, Told, told};

/// All files below a directory, with their content.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("below").display().to_string();
            if path.is_dir() {
                open.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("a text");
                found.insert(name, text);
            }
        }
    }
    found
}

/// Types a block of the README, with this program as `deployrun`.
fn typed(scene: &Scene, dir: &Path, block: &str) -> Told {
    let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
    let mut paths = vec![program.parent().expect("a directory").to_owned()];
    let known = std::env::var_os("PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&known));
    let mut command: Command = scene.command_of("sh", &["-c", block]);
    command
        .env("PATH", std::env::join_paths(paths).expect("paths"))
        .env_remove("DEPLOYRUN_TEST_RANDOM")
        .current_dir(dir);
    told(&mut command)
}

#[test]
fn a_new_project_runs_as_its_readme_says() {
    let scene = Scene::new("");
    let new = scene.run(&["new", "my shop"]).expect(0);
    scene.snapshot("new", &new.out);
    let dir = scene.path("my shop");
    let readme = std::fs::read_to_string(dir.join("README.md")).expect("a README");
    assert!(readme.starts_with("# my-shop\n"), "{readme}");
    let blocks: Vec<&str> = readme
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end"))
        .collect();
    let [first, broken] = blocks[..] else {
        panic!("{blocks:#?}")
    };
    let before = tree(&dir);
    let released = typed(&scene, &dir, first).expect(0);
    assert!(
        released.out.starts_with("plan.rhai: no findings\n"),
        "{}",
        released.out
    );
    assert!(
        released.out.contains("\nreleased: my-shop 1.0.0 → test\n"),
        "{}",
        released.out
    );
    let after = tree(&dir);
    let new: Vec<&String> = after
        .keys()
        .filter(|name| !before.contains_key(*name))
        .collect();
    assert_eq!(new, ["site/index.html"]);
    let told = typed(&scene, &dir, broken).expect(0);
    assert!(
        told.out
            .contains("\nbacked out, test is as before: my-shop 1.0.0 → test\n"),
        "{}",
        told.out
    );
    assert!(told.out.ends_with("\n3\n"), "{}", told.out);
    assert!(tree(&dir)["dist/index.html"].contains("Version 1.O.0"));
    let site = |tree: &BTreeMap<String, String>| tree["site/index.html"].clone();
    assert_eq!(site(&tree(&dir)), site(&after));
    // Broken on the first release, it leaves nothing.
    std::fs::remove_dir_all(dir.join("site")).expect("it can be removed");
    let told = typed(&scene, &dir, "deployrun plan.rhai").expect(3);
    assert!(
        told.out.contains("undone     make the directory site"),
        "{}",
        told.out
    );
    assert!(!dir.join("site").exists());
    let pipeline = typed(&scene, &dir, "./ci.sh").expect(0);
    for part in [
        "plan.rhai: no findings\n",
        "3 files: all in style\n",
        "4 tests (19 cases of tables): 4 passed",
        "preview: my-shop 1.0.0 to test; nothing of it acts\n",
    ] {
        assert!(pipeline.out.contains(part), "{}", pipeline.out);
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let scene = Scene::new("mine");
    scene.write("ci.sh", "mine, too");
    let before = tree(&scene.path(""));
    let refused = scene.run(&["new"]).expect(1);
    assert_eq!(
        (refused.out.as_str(), refused.err.as_str()),
        (
            "",
            "error: . has plan.rhai, ci.sh already; nothing was written\n"
        )
    );
    assert_eq!(tree(&scene.path("")), before);
    // Not a directory: what was made until then is taken away.
    scene.write("file", "");
    let refused = scene.run(&["new", "file/below"]).expect(1);
    assert!(
        refused.err.contains("nothing was left there"),
        "{}",
        refused.err
    );
    scene.write("half", "");
    std::fs::create_dir(scene.path("dir")).expect("a directory");
    std::fs::write(scene.path("dir/dist"), "a file").expect("a file");
    scene.run(&["new", "dir"]).expect(1);
    assert_eq!(
        tree(&scene.path("dir")),
        BTreeMap::from([("dist".to_owned(), "a file".to_owned())])
    );
    assert!(!scene.path("dir/lib").exists());
}

#[test]
fn a_name_is_one_that_fits_everywhere() {
    let scene = Scene::new("");
    let named = scene
        .run(&["new", "a", "--name", "shop-web", "--format", "json"])
        .expect(0);
    let line: serde_json::Value = serde_json::from_str(&named.out).expect("one line of JSON");
    assert_eq!(line["name"], "shop-web");
    assert_eq!(
        line["files"].as_array().expect("files").len(),
        tree(&scene.path("a")).len()
    );
    for text in tree(&scene.path("a")).values() {
        assert!(!text.contains("@NAME@"), "{text}");
    }
    for wrong in ["", "a b", "a\"b", "a\nb", "`x`"] {
        let refused = scene.run(&["new", "b", "--name", wrong]).expect(2);
        assert!(refused.err.contains("--name"), "{}", refused.err);
    }
    scene.run(&["new", "\"quoted\" and 'spaced'"]).expect(0);
    let plan = scene.path("\"quoted\" and 'spaced'/plan.rhai");
    let found = scene
        .run(&["check", plan.to_str().expect("a path")])
        .expect(0);
    assert!(found.out.ends_with("no findings\n"), "{}", found.out);
}
