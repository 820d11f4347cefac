//! A host that is only pretended: a tree of files, answers of commands and of web servers, a clock.
//! Nothing of it touches the machine, but for reading files below a project's own directory.

mod changes;
mod commands;
mod looks;
mod packed;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::words::call::{Command, FileChange, PutFile};
use crate::words::clock::{Clock as _, ManualClock};
use crate::words::probe::{ProbeEnd, ProbeExit, ProbeSpec};
use crate::words::suggest::nearest;
use crate::words::version::Scheme;

use super::files::sha256_of;
use super::host::Host;
use super::http;
use super::installed::{Found, HowToAsk, InstalledError, NotInstalled, Run};
use super::likeness::Wanted as WantedFile;
use super::probe::Cancel;

use changes::Store;

pub use commands::{Answer, CommandAnswer, CommandCall, Commands, Given, Wanted, glob};
pub(crate) use tree::described;
pub use tree::{Difference, Entry, Kind, Tree};

/// Bytes that are free where nobody has said otherwise.
const DISK_FREE: u64 = 100 << 30;

/// What a pretended web server answers.
#[derive(Clone, Debug, Default)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Why there is no answer, if there is none.
    pub error: Option<String>,
    /// Milliseconds it takes.
    pub duration_ms: u64,
}

/// How a pretended web server answers: always the same, or as a test computes it.
pub type HttpAnswers = Arc<dyn Fn(&str) -> Result<HttpAnswer, String> + Send + Sync>;

/// What can be changed and is compared afterwards: files, and the states that a test has declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The files.
    pub files: Tree,
    /// Declared states, such as `nginx` → `active`.
    pub states: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Facts {
    commands: Commands,
    http: Vec<(String, HttpAnswers)>,
    env: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    installed: BTreeMap<String, Option<String>>,
    disk_free: BTreeMap<PathBuf, u64>,
    hostname: String,
    scene: Scene,
    /// The scene when the code under test began to act.
    before: Option<Scene>,
    /// A run is over: the next one has a begin of its own.
    over: bool,
    /// What was at paths before steps changed them.
    kept: BTreeMap<String, Store>,
}

/// Something was asked for that nobody has said anything of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotGiven {
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// What is near to it.
    pub near: Vec<String>,
}

/// The pretended host.
pub struct World {
    facts: Mutex<Facts>,
    not_given: Mutex<Option<NotGiven>>,
    /// Flags of scripts that end when something was not given.
    stops: Mutex<Vec<Arc<AtomicBool>>>,
    clock: ManualClock,
    root: PathBuf,
}

/// What a test keeps of a world, to begin there again.
pub struct Memory(Facts);

impl Memory {
    /// The scene that was kept.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.0.scene
    }
}

impl Scene {
    /// What is another in `now`.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut found = self.files.differences(&now.files);
        let mut names: Vec<&String> = self.states.keys().chain(now.states.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (was, is) = (self.states.get(name), now.states.get(name));
            if was != is {
                let word = |state: Option<&String>| {
                    state.map_or_else(|| "not declared".to_owned(), Clone::clone)
                };
                found.push(Difference {
                    what: format!("state of {name}"),
                    was: word(was),
                    is: word(is),
                });
            }
        }
        found
    }
}

/// A lock whose holder panicked is still good: what it guards is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world in which nothing was given. Files below `root` can be read as they are.
    #[must_use]
    pub fn new(root: &Path, clock: ManualClock) -> Self {
        Self {
            facts: Mutex::new(Facts {
                commands: Commands::default(),
                http: Vec::new(),
                env: BTreeMap::new(),
                secrets: BTreeMap::new(),
                installed: BTreeMap::new(),
                disk_free: BTreeMap::new(),
                hostname: "pretended".into(),
                scene: Scene {
                    files: Tree::new(root),
                    states: BTreeMap::new(),
                },
                before: None,
                over: false,
                kept: BTreeMap::new(),
            }),
            not_given: Mutex::default(),
            stops: Mutex::default(),
            clock,
            root: root.to_owned(),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// A script that ends when something was not given.
    pub fn stops(&self, stop: Arc<AtomicBool>) {
        lock(&self.stops).push(stop);
    }

    /// Something was not given: the test has failed, and every script of it ends.
    pub fn refuse(&self, problem: NotGiven) {
        lock(&self.not_given).get_or_insert(problem);
        for stop in lock(&self.stops).iter() {
            stop.store(true, Ordering::SeqCst);
        }
    }

    /// What was asked for first and not given.
    #[must_use]
    pub fn not_given(&self) -> Option<NotGiven> {
        lock(&self.not_given).clone()
    }

    /// The time, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now().wall_ms
    }

    /// Says how a command answers. What was said later comes first.
    pub fn give_command(&self, given: Given) {
        self.facts().commands.give(given);
    }

    /// Says what a web server answers to a URL, `*` for anything.
    pub fn give_http(&self, url: String, answers: HttpAnswers) {
        self.facts().http.push((url, answers));
    }

    /// Sets a variable of the environment.
    pub fn give_env(&self, name: String, value: String) {
        self.facts().env.insert(name, value);
    }

    /// Says what a secret is.
    pub fn give_secret(&self, name: String, value: String) {
        self.facts().secrets.insert(name, value);
    }

    /// Says that a component is there in this version, or that it is not there.
    pub fn give_installed(&self, name: String, version: Option<String>) {
        self.facts().installed.insert(name, version);
    }

    /// Says how much is free below a path.
    pub fn give_disk_free(&self, path: PathBuf, bytes: u64) {
        self.facts().disk_free.insert(path, bytes);
    }

    /// Names the machine.
    pub fn give_hostname(&self, name: String) {
        self.facts().hostname = name;
    }

    /// Changes the scene as part of what is given: it counts as having been so before.
    ///
    /// # Errors
    /// When the change cannot be made, in words.
    pub fn give_scene(
        &self,
        change: impl Fn(&mut Scene) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut facts = self.facts();
        if let Some(before) = &mut facts.before {
            change(before)?;
        }
        change(&mut facts.scene)
    }

    /// Changes the scene as something that the code under test does.
    ///
    /// # Errors
    /// When the change cannot be made, in words.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Scene) -> Result<T, String>,
    ) -> Result<T, String> {
        change(&mut self.facts().scene)
    }

    /// Looks at the scene.
    pub fn look<T>(&self, look: impl FnOnce(&Scene) -> T) -> T {
        look(&self.facts().scene)
    }

    /// The code under test is about to act: what there is now is what was before.
    pub fn about_to_act(&self) {
        let mut facts = self.facts();
        if facts.before.is_none() || std::mem::take(&mut facts.over) {
            facts.before = Some(facts.scene.clone());
        }
    }

    /// A run is over: what the next one begins with is what was before it.
    pub fn run_is_over(&self) {
        self.facts().over = true;
    }

    /// What differs from before the code under test acted.
    #[must_use]
    pub fn changed(&self) -> Vec<Difference> {
        let facts = self.facts();
        match &facts.before {
            Some(before) => before.differences(&facts.scene),
            None => Vec::new(),
        }
    }

    /// What differs from another scene.
    #[must_use]
    pub fn differs_from(&self, other: &Scene) -> Vec<Difference> {
        other.differences(&self.facts().scene)
    }

    /// Keeps all that there is, to begin here again.
    #[must_use]
    pub fn remember(&self) -> Memory {
        Memory(self.facts().clone())
    }

    /// Begins again where that was kept; what was before is forgotten.
    pub fn recall(&self, memory: &Memory) {
        *self.facts() = memory.0.clone();
        self.facts().before = None;
    }

    /// How a command ends. `None` when nobody gave it; the test has then failed.
    pub fn command(&self, call: &CommandCall) -> Option<CommandAnswer> {
        // The answer may be computed by a script that looks into this world: nothing is held then.
        let found = self.facts().commands.find(&call.command);
        let Some(given) = found else {
            let own = self.change(|scene| Ok(commands::of_every_host(call, scene, self.now_ms())));
            if let Ok(Some(answer)) = own {
                return Some(answer);
            }
            let problem = self.facts().commands.not_given(&call.command);
            self.refuse(problem);
            return None;
        };
        match given(call) {
            Ok(answer) => Some(answer),
            Err(problem) => {
                self.refuse(NotGiven {
                    message: format!("the answer of `{}` can't be had: {problem}", call.command),
                    hint: "see what was given for it".into(),
                    near: Vec::new(),
                });
                None
            }
        }
    }

    /// Puts a file, like `upload` and `write_file`; says whether anything changed.
    ///
    /// # Errors
    /// What was wrong, in the words of a real step.
    pub fn put(&self, file: &PutFile) -> Result<bool, String> {
        let path = Path::new(&file.path);
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(source)) => {
                let bytes = self.look(|scene| scene.files.read(Path::new(source)));
                bytes.map_err(|e| format!("{source} can't be read: {e}"))?
            }
            (None, None) => return Err("there is nothing to put in place".into()),
        };
        let digest = sha256_of(&bytes);
        if digest != file.sha256 {
            let source = file.source.as_deref().unwrap_or("the text");
            return Err(format!(
                "{source} has changed since the plan looked at it: its digest is {digest}"
            ));
        }
        let now_ms = self.now_ms();
        self.change(|scene| {
            scene
                .files
                .put(path, bytes, file.mode, file.owner.as_deref(), now_ms)
        })
    }

    /// Keeps what is at a path, a directory with all that is in it, under a name; what was kept under
    /// it first counts.
    pub fn keep(&self, name: &str, path: &Path) {
        let mut facts = self.facts();
        let Facts { kept, scene, .. } = &mut *facts;
        kept.entry(name.to_owned())
            .or_default()
            .keep(&scene.files, path);
    }

    /// Changes something at a path and keeps under a name what was there; says whether anything
    /// changed.
    ///
    /// # Errors
    /// What was wrong, in the words of a real step.
    pub fn change_file(&self, name: &str, change: &FileChange) -> Result<bool, String> {
        let now_ms = self.now_ms();
        let mut facts = self.facts();
        let Facts { kept, scene, .. } = &mut *facts;
        let kept = kept.entry(name.to_owned()).or_default();
        kept.change(&mut scene.files, change, now_ms)
    }

    /// Puts back what was kept under a name; says what came of it.
    #[must_use]
    pub fn put_back(&self, name: &str) -> String {
        let mut facts = self.facts();
        let kept = facts.kept.get(name).cloned().unwrap_or_default();
        kept.put_back(&mut facts.scene.files)
    }

    /// The entry at a path, not followed.
    #[must_use]
    pub fn entry(&self, path: &Path) -> Option<Entry> {
        self.look(|scene| scene.files.entry(path))
    }

    fn absent(what: &str, name: &str, names: &[String], hint: String) -> NotGiven {
        let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
        NotGiven {
            message: format!("nobody has said {what}"),
            hint,
            near: near.into_iter().collect(),
        }
    }
}

impl Host for World {
    fn probe(&self, spec: &ProbeSpec, _: &Cancel) -> ProbeEnd {
        let call = CommandCall {
            command: Command::of_argv(&spec.argv),
            stdin: spec.stdin.clone(),
            cwd: spec.cwd.clone(),
            env: spec.env.clone(),
            user: None,
            acts: false,
        };
        let Some(answer) = self.command(&call) else {
            return ProbeEnd {
                how: ProbeExit::Cancelled,
                stdout: String::new(),
                stderr: String::new(),
                duration_ms: 0,
            };
        };
        let duration_ms = answer.duration_ms.min(spec.timeout_ms);
        self.clock.advance(duration_ms);
        let how = match answer.missing {
            Some(error) => ProbeExit::NotStarted { error },
            None if answer.duration_ms > spec.timeout_ms => ProbeExit::TimedOut,
            None => ProbeExit::Exited { code: answer.code },
        };
        ProbeEnd {
            how,
            stdout: answer.stdout,
            stderr: answer.stderr,
            duration_ms,
        }
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        let wrong = |problem: String| format!("{} can't be read: {problem}", path.display());
        let bytes = self.look(|scene| scene.files.read(path)).map_err(&wrong)?;
        String::from_utf8(bytes).map_err(|_| wrong("it is not valid UTF-8".into()))
    }

    fn exists(&self, path: &Path) -> bool {
        self.look(|scene| scene.files.entry(path).is_some())
    }

    fn sha256(&self, path: &Path) -> Result<String, String> {
        self.look(|scene| scene.files.read(path))
            .map(|bytes| sha256_of(&bytes))
            .map_err(|problem| format!("{} can't be read: {problem}", path.display()))
    }

    fn file_info(
        &self,
        path: &Path,
        wanted: &WantedFile,
        text: bool,
        digest: bool,
    ) -> Result<Value, String> {
        self.look(|scene| looks::info(&scene.files, path, wanted, text, digest))
    }

    fn list_files(&self, path: &Path) -> Result<Value, String> {
        self.look(|scene| looks::list(&scene.files, path))
    }

    fn disk_free(&self, path: &Path) -> Result<u64, String> {
        let facts = self.facts();
        let given = path.ancestors().find_map(|p| facts.disk_free.get(p));
        Ok(given.copied().unwrap_or(DISK_FREE))
    }

    fn hostname(&self) -> String {
        self.facts().hostname.clone()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.facts().env.get(name).cloned()
    }

    fn http_get(&self, request: &http::Request) -> Result<http::Answer, String> {
        let url = &request.url;
        let given = {
            let facts = self.facts();
            let mut all = facts.http.iter().rev();
            all.find(|(pattern, _)| glob(pattern, url))
                .map(|(_, answers)| answers.clone())
        };
        let Some(given) = given else {
            let facts = self.facts();
            let names: Vec<String> = facts.http.iter().map(|(url, _)| url.clone()).collect();
            drop(facts);
            let hint = format!("write given_http(\"{url}\", #{{ status: 200 }})");
            let what = format!("what GET {url} answers");
            self.refuse(Self::absent(&what, url, &names, hint));
            return Err(format!("GET {url}: nobody has said what it answers"));
        };
        let answer = given(url).map_err(|problem| format!("GET {url}: {problem}"))?;
        let duration_ms = answer.duration_ms.min(request.timeout_ms);
        self.clock.advance(duration_ms);
        if let Some(error) = answer.error {
            return Err(format!("GET {url}: {error}"));
        }
        if answer.duration_ms > request.timeout_ms {
            return Err(format!("GET {url}: no answer in time"));
        }
        Ok(http::Answer {
            status: answer.status,
            body: answer.body,
            headers: answer.headers,
            duration_ms,
        })
    }

    fn installed(&self, name: &str, how: &HowToAsk, run: Run<'_>) -> Result<Found, InstalledError> {
        if how.command.is_some() {
            return super::installed::find(name, how, run);
        }
        let known = self.facts().installed.get(name).cloned();
        match known {
            Some(Some(version)) => Ok(Found {
                version,
                scheme: Scheme::Debian,
                source: "what the test has given".into(),
            }),
            Some(None) => Err(not_installed()),
            None => {
                let names: Vec<String> = self.facts().installed.keys().cloned().collect();
                let hint = format!(
                    "write given_installed(\"{name}\", \"1.2.3\"), or given_installed(\"{name}\", ()) \
                     when it is not there"
                );
                let what = format!("whether {name} is installed");
                self.refuse(Self::absent(&what, name, &names, hint));
                Err(not_installed())
            }
        }
    }

    fn secret(&self, name: &str) -> Option<Result<String, String>> {
        if let Some(value) = self.facts().secrets.get(name) {
            return Some(Ok(value.clone()));
        }
        let names: Vec<String> = self.facts().secrets.keys().cloned().collect();
        let hint = format!("write given_secret(\"{name}\", \"…\")");
        let what = format!("what the secret `{name}` is");
        self.refuse(Self::absent(&what, name, &names, hint));
        Some(Err("nobody has said what it is".into()))
    }
}

fn not_installed() -> InstalledError {
    InstalledError::NotInstalled(NotInstalled {
        looked_in: Vec::new(),
        notes: Vec::new(),
        install: None,
    })
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a pretended host below {}", self.root.display())
    }
}
