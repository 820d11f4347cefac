//! `deployrun.toml`: what holds for all plans beneath it.

use super::scene::Scene;

const PLAN: &str = "plan(#{ name: \"a\", environment: \"b\" });\nwrite_file(\"done\", \"1\");\n";

#[test]
fn a_project_file_that_cannot_be_understood_stops_check_and_run() {
    let scene = Scene::new(PLAN);
    scene.write("deployrun.toml", "[chek]\nno-timeout = \"deny\"\n");
    let found = scene.run(&["check", "-q", "plan.rhai"]).expect(1);
    scene.exact_snapshot("project_bad", &found.out);
    let refused = scene.run(&["run", "-y", "plan.rhai"]).expect(1);
    assert!(
        refused.err.contains("did you mean `check`?"),
        "{}",
        refused.err
    );
    assert!(!scene.path("done").exists());
    scene.write("deployrun.toml", "[check]\n");
    scene.run(&["run", "-y", "plan.rhai"]).expect(0);
    assert!(scene.path("done").exists());
}
