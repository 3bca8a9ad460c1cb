//! The table of verbs as a parser of arguments.
//!
//! Invariant: nothing is defined here that is not in the table, apart from the words around it. An argument's id is its
//! name in the table.

use super::verbs::{Arg, Built, COMMON, Check, Kind, VERBS, Verb};
use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{ArgAction, Command};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use touchline_common::config::Dur;
use touchline_simulator::Burst;
use touchline_simulator::options::BadOption;

/// The end of every help: what the exit codes mean.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 the daemon is not
running (run: another one is); 4 timed out or partial; 5 no permission.";

pub(super) fn command() -> Command {
    let verbs = VERBS.iter().map(subcommand);
    Command::new("touchline")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Follows every live match on a push server that caps what one connection may subscribe to")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .args(
            COMMON
                .iter()
                .map(|common| argument(common, Built::Yes).global(true).help_heading("Common options")),
        )
        .subcommands(verbs)
}

fn subcommand(verb: &Verb) -> Command {
    let about = match verb.built {
        Built::Yes | Built::Hidden => verb.summary.to_owned(),
        Built::No => format!("{} (not in this build)", verb.summary),
    };
    let command = Command::new(verb.name)
        .about(about)
        .hide(verb.built == Built::Hidden)
        .args(verb.args.iter().map(|arg| argument(arg, verb.built)))
        .subcommands(verb.verbs.iter().map(subcommand));
    if verb.verbs.is_empty() {
        command
    } else {
        command.subcommand_required(true).arg_required_else_help(true).subcommand_value_name("VERB")
    }
}

fn argument(arg: &Arg, built: Built) -> clap::Arg {
    let made = clap::Arg::new(arg.name).help(arg.help);
    // What is not built refuses by its name alone, however it is called.
    let required = built != Built::No;
    let made = match arg.kind {
        Kind::Switch => return made.long(arg.name).action(ArgAction::SetTrue),
        Kind::Option => made.long(arg.name),
        Kind::Options => made.long(arg.name).action(ArgAction::Append).num_args(1..),
        Kind::Required => made.required(required),
        Kind::Places => made.required(required).num_args(1..),
    };
    // Else a negative number is taken for an unknown argument.
    let is_number = matches!(arg.check, Check::Whole | Check::Count | Check::Number);
    let made =
        made.value_name(arg.value).value_parser(value_parser(arg.check)).allow_negative_numbers(is_number);
    if arg.default.is_empty() { made } else { made.default_value(arg.default) }
}

fn value_parser(check: Check) -> ValueParser {
    match check {
        Check::Text => ValueParser::string(),
        Check::Path => clap::value_parser!(PathBuf),
        Check::Whole => ValueParser::new(whole),
        Check::Count => ValueParser::new(count),
        Check::Number => ValueParser::new(number),
        Check::Duration => ValueParser::new(duration),
        Check::Address => ValueParser::new(address),
        Check::Burst => ValueParser::new(burst),
        Check::Choice(choices) => PossibleValuesParser::new(choices).into(),
    }
}

fn whole(text: &str) -> Result<u64, String> {
    let whole = text.parse().ok().filter(|number| *number <= i64::MAX as u64);
    whole.ok_or_else(|| "expected a whole number of at least 0".to_owned())
}

fn count(text: &str) -> Result<u64, String> {
    let count = whole(text).ok().filter(|number| *number > 0);
    count.ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number of at least 0".to_owned())
}

/// As the configuration writes it, or whole seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let text = if seconds { format!("{text}s") } else { text.to_owned() };
    text.parse::<Dur>().map(Dur::get).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8080".to_owned())
}

fn burst(text: &str) -> Result<Burst, String> {
    text.parse().map_err(|error: BadOption| error.to_string())
}
