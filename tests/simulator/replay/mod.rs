//! Recorded matches, played beside the generated ones: each becomes a match of the same model, with a script of what
//! happens and when, and so has the same truth and the same oracle. The format is read from the file.
//!
//! What is mapped: goals (own goals to the other side), corners, cards, penalties, substitutions, periods, the clock
//! each minute, shots and throw-ins as comments; of the exchange: the best price to back of each runner, suspension,
//! going in play; runs, wickets and innings. Line-ups, places on the field, volumes and single deliveries are not.

mod exchange;
mod soccer;
#[cfg(test)]
mod tests;

use crate::model::Moment;
use crate::model::script::Acts;
use crate::model::state::Sport;
use crate::model::world::World;
use crate::options::Options;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// The largest file that is read.
const LARGEST: u64 = 200_000_000;

/// A recorded match.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) sport: Sport,
    pub(crate) home: String,
    pub(crate) away: String,
    pub(crate) acts: Acts,
}

/// Adds the recorded matches that were asked for.
///
/// # Errors
/// When one cannot be read or is of no known format.
pub(crate) fn add(world: &mut World, options: &Options, now: Moment) -> io::Result<()> {
    for file in &options.replay {
        let with_context =
            |error: io::Error| io::Error::new(error.kind(), format!("replaying {}: {error}", file.display()));
        if let Some(recording) = read(file).map_err(with_context)? {
            world.replay(recording, options.replay_speed, now);
        }
    }
    Ok(())
}

/// The recorded match in a file; none for one that only goes along with another (line-ups).
fn read(file: &Path) -> io::Result<Option<Recording>> {
    if fs::metadata(file)?.len() > LARGEST {
        return Err(invalid("larger than 200 MB"));
    }
    let text = fs::read_to_string(file)?;
    if text.starts_with("{\"op\":") {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        return exchange::read(lines).map(Some).ok_or_else(|| invalid("an exchange stream without a match"));
    }
    let document: Value =
        serde_json::from_str(&text).map_err(|error| invalid(&format!("not JSON: {error}")))?;
    let first = document.get(0);
    if first.is_some_and(|first| first.get("lineup").is_some()) {
        return Ok(None);
    }
    let recording = match document.get("incidences") {
        Some(_) => soccer::incidences(&document),
        None => soccer::events(&document),
    };
    recording
        .map(Some)
        .ok_or_else(|| invalid("neither a list of events, nor incidences, nor an exchange stream"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A name as the payload can carry it.
fn name(text: &str) -> String {
    text.replace([';', '|'], " ").trim().to_owned()
}
