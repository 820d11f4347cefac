//! What the tests through the real program share.

#![allow(dead_code, reason = "each test target uses a part")]

pub mod another_plan;
pub mod crash;
pub mod effects;
pub mod journal;
pub mod live;
pub mod processes;
pub mod site;
pub mod sweep;
pub mod tree;

/// Fails the test unless `program` can be run.
pub fn need(program: &str, package: &str) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    assert!(
        found,
        "this test needs `{program}`: apt-get install {package}"
    );
}

/// Fails the test unless it is run by root.
pub fn need_root(why: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: {why}"
    );
}
