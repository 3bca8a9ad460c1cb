//! Recorded matches, played beside the generated ones.

use crate::model::Moment;
use crate::model::world::World;
use crate::options::Options;
use std::io;

/// Adds the recorded matches that were asked for.
///
/// # Errors
/// When one cannot be read or is of no known format.
pub(crate) fn add(_world: &mut World, options: &Options, _now: Moment) -> io::Result<()> {
    match options.replay.first() {
        None => Ok(()),
        Some(file) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("replaying {} is not in this build", file.display()),
        )),
    }
}
