//! What a plan can read of a place: this machine, or one that is only pretended.

use std::path::Path;

use serde_json::Value;

use crate::words::probe::{ProbeEnd, ProbeSpec};

use super::installed::{Found, HowToAsk, InstalledError, Run};
use super::likeness::{self, Wanted};
use super::probe::Cancel;
use super::{facts, files, http, installed, probe};

/// A place that can be looked at. Every read of a plan goes through this, so that a test can pretend
/// what there is to be read.
pub trait Host: Send + Sync {
    /// Runs a command that only reads.
    fn probe(&self, spec: &ProbeSpec, cancel: &Cancel) -> ProbeEnd {
        probe::run(spec, cancel)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When there is no such text, in words.
    fn read_file(&self, path: &Path) -> Result<String, String> {
        facts::read_file(path)
    }

    /// Is anything there under this path, not followed?
    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// What is at a path, as `file_info` tells it.
    ///
    /// # Errors
    /// When it cannot be looked at, in words.
    fn file_info(
        &self,
        path: &Path,
        wanted: &Wanted,
        text: bool,
        digest: bool,
    ) -> Result<Value, String> {
        likeness::info(path, wanted, text, digest)
    }

    /// What is in a directory, as `list_files` tells it.
    ///
    /// # Errors
    /// When it cannot be listed, in words.
    fn list_files(&self, path: &Path) -> Result<Value, String> {
        likeness::list(path)
    }

    /// SHA-256 of a file, in hex.
    ///
    /// # Errors
    /// When it cannot be read, in words.
    fn sha256(&self, path: &Path) -> Result<String, String> {
        files::sha256(path)
    }

    /// Bytes that are free where a path lies.
    ///
    /// # Errors
    /// When that cannot be told, in words.
    fn disk_free(&self, path: &Path) -> Result<u64, String> {
        facts::disk_free(path)
    }

    /// The name of the machine.
    fn hostname(&self) -> String {
        facts::hostname()
    }

    /// A variable of the environment in which deployrun was started.
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// What a web server answers.
    ///
    /// # Errors
    /// When there is no answer, in words.
    fn http_get(&self, request: &http::Request) -> Result<http::Answer, String> {
        http::get(request)
    }

    /// Is a component there, and in which version?
    ///
    /// # Errors
    /// See [`installed::find`].
    fn installed(&self, name: &str, how: &HowToAsk, run: Run<'_>) -> Result<Found, InstalledError> {
        installed::find(name, how, run)
    }

    /// The value of a secret, if the place has it from elsewhere than its environment, a file or a
    /// command.
    fn secret(&self, _name: &str) -> Option<Result<String, String>> {
        None
    }
}

/// The machine on which deployrun runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Host for ThisMachine {}
