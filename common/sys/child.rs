//! The first steps of a forked process, in the order that makes them safe.
//!
//! Inherited descriptors go, the channel is taken from standard input, the signal mask is reset (std passes it on),
//! the parent's death becomes ours, and then the parent is checked: had it died before, the signal would never come.

use super::descriptors;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

/// Why a child cannot start.
#[derive(Debug)]
pub enum ChildError {
    Call {
        operation: &'static str,
        source: io::Error,
    },
    /// The parent is not the process that forked us: it has died.
    Orphaned {
        expected: u32,
        found: u32,
    },
}

impl std::fmt::Display for ChildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChildError::Call { operation, source } => write!(f, "starting a child: {operation}: {source}"),
            ChildError::Orphaned { expected, found } => {
                write!(f, "starting a child: process {expected} is gone, the parent is {found} now")
            }
        }
    }
}

impl std::error::Error for ChildError {}

/// Makes this process a child of `parent` with the name `name` (15 bytes are shown) and returns its channel. `on_parent_death` is sent
/// by the kernel when the thread that forked us ends.
///
/// # Errors
/// [`ChildError`]; the process must leave.
pub fn enter(parent: u32, name: &str, on_parent_death: Signal) -> Result<OwnedFd, ChildError> {
    let call = |operation| move |source: io::Error| ChildError::Call { operation, source };
    let kernel = |operation| move |errno: nix::Error| ChildError::Call { operation, source: errno.into() };
    descriptors::close_inherited().map_err(call("closing inherited descriptors"))?;
    let channel = descriptors::take_stdin().map_err(call("taking the channel from standard input"))?;
    SigSet::empty().thread_set_mask().map_err(kernel("resetting the signal mask"))?;
    default_action(Signal::SIGXFSZ).map_err(kernel("resetting SIGXFSZ"))?;
    nix::sys::prctl::set_pdeathsig(on_parent_death).map_err(kernel("asking for the parent's death"))?;
    let found = std::os::unix::process::parent_id();
    if found != parent {
        return Err(ChildError::Orphaned { expected: parent, found });
    }
    let short: String = name.chars().filter(|c| *c != '\0').take(15).collect();
    if let Ok(short) = CString::new(short) {
        nix::sys::prctl::set_name(&short).map_err(kernel("setting the process's name"))?;
    }
    Ok(channel)
}

/// supervisord leaves SIGXFSZ ignored; a file over its limit must be an error that we see.
#[allow(unsafe_code)]
fn default_action(signal: Signal) -> nix::Result<()> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}
