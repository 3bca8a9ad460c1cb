//! What the values of arguments must be, and what is suggested for a mistyped option.

use super::verbs;
use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;
use touchline_common::config::{Dur, nearest};
use touchline_simulator::Burst;
use touchline_simulator::options::BadOption;
use touchline_worker::wire::diffusion::MessageType;

/// Names the option that an unknown one is most like, where clap finds none: two letters that changed places in a short
/// word (`--fro`) are too much for its own measure.
pub(super) fn with_suggestion(mut error: Error, args: &[OsString]) -> Error {
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some(unknown) = unknown.strip_prefix("--") else { return error };
    let root = verbs::command();
    let verb = args.iter().fold(&root, |verb, arg| verb.find_subcommand(arg).unwrap_or(verb));
    let known = root.get_arguments().chain(verb.get_arguments()).filter_map(clap::Arg::get_long);
    if let Some(near) = nearest(unknown, known) {
        let near = ContextValue::String(format!("--{near}"));
        error.insert(ContextKind::SuggestedArg, near);
    }
    error
}

pub(super) fn whole(text: &str) -> Result<u64, String> {
    let whole = text.parse().ok().filter(|number| *number <= i64::MAX as u64);
    whole.ok_or_else(|| "expected a whole number of at least 0".to_owned())
}

pub(super) fn count(text: &str) -> Result<u64, String> {
    let count = whole(text).ok().filter(|number| *number > 0);
    count.ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

/// How many of something are shown.
pub(super) fn shown(text: &str) -> Result<u64, String> {
    let count = count(text).ok().filter(|count| *count <= 1_000);
    count.ok_or_else(|| "expected a whole number of 1 to 1000".to_owned())
}

pub(super) fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number of at least 0".to_owned())
}

/// As the configuration writes it, or whole seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let text = if seconds { format!("{text}s") } else { text.to_owned() };
    text.parse::<Dur>().map(Dur::get).map_err(|error| error.to_string())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8080".to_owned())
}

/// The type of a message by its name, blanks or hyphens between the words.
pub(super) fn message_type(text: &str) -> Result<MessageType, String> {
    let name = text.replace('-', " ").to_lowercase();
    let found = MessageType::ALL.iter().copied().find(|kind| kind.to_string() == name);
    found.ok_or_else(|| {
        let known: Vec<String> = MessageType::ALL.iter().map(ToString::to_string).collect();
        format!("expected one of: {}", known.join(", "))
    })
}

pub(super) fn burst(text: &str) -> Result<Burst, String> {
    text.parse().map_err(|error: BadOption| error.to_string())
}
