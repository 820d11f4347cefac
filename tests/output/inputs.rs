//! What a run was started with is its own: it stays so for whoever takes the run up.

use std::os::unix::fs::PermissionsExt as _;

use super::scene::{Scene, told};

const SECRET: &str = "s3cr3t-t0ken";

fn waiting(undo: &str) -> String {
    format!(
        r#"plan(#{{ name: "a", environment: "one" }});
let token = secret("TOKEN");
run("echo ready; while ! test -e go; do sleep 0.05; done",
    #{{ env: #{{ TOKEN: token }}, grace: "1s", back_out: "{undo}" }});
"#
    )
}

/// Starts the plan and kills deployrun while its step is in flight.
fn killed(scene: &Scene, name: &str, value: &str) {
    let mut command = scene.command(&["run", "plan.rhai"]);
    let mut going = scene.start(command.env(name, value));
    going.wait_for("| ready");
    going.kill();
}

#[test]
fn a_back_out_has_the_environment_of_its_step_secrets_and_all() {
    let scene = Scene::new(&format!(
        r#"plan(#{{ name: "a", environment: "one" }});
let token = secret("TOKEN");
run("true", #{{ env: #{{ TOKEN: token }}, back_out: "test \"$TOKEN\" = {SECRET} && touch undone" }});
abort("enough");
"#
    ));
    let run = told(scene.command(&["run", "plan.rhai"]).env("TOKEN", SECRET));
    let run = run.expect(3);
    assert!(scene.path("undone").exists(), "{}", run.out);
}

#[test]
fn a_back_out_of_another_process_has_the_secret_again() {
    let undo = format!(r#"test \"$TOKEN\" = {SECRET} && touch undone"#);
    let scene = Scene::new(&waiting(&undo));
    killed(&scene, "TOKEN", SECRET);
    let mut command = scene.command(&["back-out", "--yes", "2026"]);
    let back = told(command.env("TOKEN", SECRET)).expect(3);
    assert!(scene.path("undone").exists(), "{}", back.out);
}

/// The secret is there when it is looked for, and gone when the plan asks for it again.
#[test]
fn a_back_out_whose_secret_goes_away_does_not_act_without_it() {
    let plan = waiting("touch undone").replace(
        r#"secret("TOKEN")"#,
        r#"secret("TOKEN", #{ command: "cat times/* && rm \"$(ls -d times/* | head -1)\"" })"#,
    );
    let scene = Scene::new(&plan);
    std::fs::create_dir(scene.path("times")).expect("a directory");
    for time in ["1", "2"] {
        scene.write(&format!("times/{time}"), SECRET);
    }
    killed(&scene, "A", "b");
    let back = scene.run(&["back-out", "--yes", "2026"]).expect(4);
    assert!(!scene.path("undone").exists(), "{}", back.out);
    let why = "its command or its environment holds a secret that is not known";
    assert!(back.out.contains(why), "{}", back.out);
}

#[test]
fn a_run_that_is_taken_up_finds_the_programs_it_was_started_with() {
    let scene = Scene::new(
        r#"plan(#{ name: "a", environment: "one" });
run("own-tool; while ! test -e go; do sleep 0.05; done", #{ grace: "1s", back_out: "own-tool undone" });
"#,
    );
    std::fs::create_dir(scene.path("bin")).expect("a directory");
    scene.write(
        "bin/own-tool",
        "#!/bin/sh\necho ready\ntouch \"${1:-done}\"\n",
    );
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(scene.path("bin/own-tool"), mode).expect("mode");
    let path = format!("{}:/usr/bin:/bin", scene.path("bin").display());
    killed(&scene, "PATH", &path);
    // From a session that knows less, such as a timer's.
    let mut command = scene.command(&["back-out", "--yes", "2026"]);
    let back = told(command.env("PATH", "/usr/bin:/bin")).expect(3);
    assert!(scene.path("undone").exists(), "{}", back.out);
}
