//! Repositories of libraries, through the user's own git: their credentials, their settings, their
//! known hosts.
//!
//! What was fetched is kept in a bare repository of the cache; a commit is taken out of it without
//! network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::words::digest::hex;
use crate::words::library::Reference;

/// A repository, as the cache has it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where it comes from.
    url: String,
    /// The bare repository in the cache.
    bare: PathBuf,
}

impl Repository {
    /// The one of `url` in `cache`; nothing is fetched.
    #[must_use]
    pub fn new(cache: &Path, url: &str) -> Self {
        let name = hex(&Sha256::digest(url.as_bytes()));
        let name = name.get(..16).unwrap_or(&name);
        Self {
            url: url.to_owned(),
            bare: cache.join("git").join(format!("{name}.git")),
        }
    }

    /// Fetches all branches and tags.
    ///
    /// # Errors
    /// When git is not there or can't fetch; in git's own words.
    pub fn fetch(&self) -> Result<(), String> {
        if !self.bare.join("HEAD").exists() {
            let dir = self.bare.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            let bare: OsString = self.bare.clone().into();
            git(["init".into(), "-q".into(), "--bare".into(), bare])?;
        }
        let specs = [
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
            // What a clone would check out.
            "+HEAD:refs/deployrun/default",
        ];
        let mut args = vec!["fetch", "-q", "--force", "--no-tags", "--prune", "--"];
        args.push(&self.url);
        args.extend(specs);
        self.git(args).map(drop)
    }

    /// The commit that a reference names, among what was fetched.
    ///
    /// # Errors
    /// When it names none.
    pub fn commit(&self, reference: &Reference) -> Result<String, String> {
        let name = match reference {
            Reference::Tag(tag) => format!("refs/tags/{tag}"),
            Reference::Branch(branch) => format!("refs/heads/{branch}"),
            Reference::Rev(rev) => rev.clone(),
            Reference::Default => "refs/deployrun/default".to_owned(),
        };
        let commit = format!("{name}^{{commit}}");
        let found = self.git(["rev-parse", "--verify", "-q", "--end-of-options", &commit]);
        match found {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(_) => Err(format!("there is no {reference} in {}", self.url)),
        }
    }

    /// Is this commit among what was fetched?
    #[must_use]
    pub fn has(&self, commit: &str) -> bool {
        let object = format!("{commit}^{{commit}}");
        self.bare.join("HEAD").exists() && self.git(["cat-file", "-e", &object]).is_ok()
    }

    /// Puts the files of a commit, or of the directory `within` it, into `dir`, which is not there
    /// yet, as they are in the repository.
    ///
    /// # Errors
    /// When the commit or the directory is not there or the files can't be written; `dir` is not
    /// there then.
    pub fn take_out(&self, commit: &str, within: Option<&str>, dir: &Path) -> Result<(), String> {
        if let Some(within) = within {
            let object = format!("{commit}:{within}");
            let kind = self.git(["cat-file", "-t", &object]);
            if kind.as_deref().map(str::trim) != Ok("tree") {
                let short = commit.get(..12).unwrap_or(commit);
                let url = &self.url;
                return Err(format!(
                    "there is no directory `{within}` in commit {short} of {url}"
                ));
            }
        }
        let parent = dir.parent().unwrap_or(Path::new("/"));
        let wrong = |e: std::io::Error| format!("{}: {e}", parent.display());
        std::fs::create_dir_all(parent).map_err(wrong)?;
        let beside = parent.join(format!(".{commit}.{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&beside);
        let (tree, index) = (beside.join("tree"), beside.join("index"));
        std::fs::create_dir_all(&tree).map_err(wrong)?;
        let args: Vec<OsString> = vec![
            "--literal-pathspecs".into(),
            "--git-dir".into(),
            self.bare.clone().into(),
            "--work-tree".into(),
            tree.clone().into(),
            // The bytes of the repository, whoever takes them out.
            "-c".into(),
            "core.autocrlf=false".into(),
            "-c".into(),
            "core.attributesFile=/dev/null".into(),
            "-c".into(),
            "core.hooksPath=/dev/null".into(),
            "checkout".into(),
            "-q".into(),
            "-f".into(),
            commit.into(),
            "--".into(),
            within.unwrap_or(".").into(),
        ];
        let taken = within.map_or_else(|| tree.clone(), |within| tree.join(within));
        let done = run(args, |command| command.env("GIT_INDEX_FILE", &index)).and_then(|_| {
            std::fs::rename(&taken, dir).map_err(|e| format!("{}: {e}", dir.display()))
        });
        let _ = std::fs::remove_dir_all(&beside);
        done
    }

    fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
        let mut all: Vec<OsString> = vec!["--git-dir".into(), self.bare.clone().into()];
        all.extend(args.into_iter().map(OsString::from));
        git(all)
    }
}

fn git(args: impl IntoIterator<Item = OsString>) -> Result<String, String> {
    run(args.into_iter().collect(), |command| command)
}

/// Standard input and the terminal stay those of the user: git may ask for a password.
fn run(
    args: Vec<OsString>,
    with: impl Fn(duct::Expression) -> duct::Expression,
) -> Result<String, String> {
    let command = with(duct::cmd("git", args))
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .stdout_capture()
        .stderr_capture()
        .unchecked();
    let output = command.run().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "git is not installed".to_owned(),
        _ => format!("git can't be started: {error}"),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    Err(match text {
        "" => format!("git ended with {}", output.status),
        text => format!("git says: {text}"),
    })
}
