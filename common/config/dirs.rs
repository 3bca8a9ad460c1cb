//! The folders that are not written down: `/run` and `/var/lib` for root, the XDG folders for everybody else.
//!
//! Invariant: pure, except for [`User::current`]. After [`Config::resolve_dirs`] both folders are absolute.

use super::Config;
use std::path::{Path, PathBuf};

/// Who runs this, as far as the folders depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
}

impl User {
    pub fn current() -> Self {
        // The XDG specification: a relative path in one of these is to be ignored.
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
            state_home: folder("XDG_STATE_HOME"),
            home: folder("HOME"),
        }
    }

    fn state_dir(&self) -> Option<PathBuf> {
        if self.uid == 0 {
            return Some(PathBuf::from("/var/lib/touchline"));
        }
        let home = || self.home.as_ref().map(|home| home.join(".local/state"));
        self.state_home.clone().or_else(home).map(|state| state.join("touchline"))
    }

    /// Services have no runtime folder of their own; then a folder in the state folder serves, never one in `/tmp`,
    /// where another user could have made it first.
    fn run_dir(&self, state_dir: &Path) -> PathBuf {
        match (&self.runtime_dir, self.uid) {
            (_, 0) => PathBuf::from("/run/touchline"),
            (Some(runtime), _) => runtime.join("touchline"),
            (None, _) => state_dir.join("run"),
        }
    }
}

impl Config {
    /// Fills in `run_dir` and `state_dir` where they are empty, and makes them absolute.
    ///
    /// # Errors
    /// What is missing, when a user has neither `$XDG_STATE_HOME` nor `$HOME`, or no working folder.
    pub fn resolve_dirs(&mut self, user: &User) -> Result<(), String> {
        let daemon = &mut self.daemon;
        if daemon.state_dir.as_os_str().is_empty() {
            daemon.state_dir = user.state_dir().ok_or(
                "neither $XDG_STATE_HOME nor $HOME is set, expected one of them or `daemon.state_dir`",
            )?;
        }
        if daemon.run_dir.as_os_str().is_empty() {
            daemon.run_dir = user.run_dir(&daemon.state_dir);
        }
        for folder in [&mut daemon.state_dir, &mut daemon.run_dir] {
            *folder = std::path::absolute(&*folder)
                .map_err(|error| format!("`{}` cannot be made absolute: {error}", folder.display()))?;
        }
        Ok(())
    }
}
