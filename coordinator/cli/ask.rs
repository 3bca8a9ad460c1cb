//! Where the daemon is and how it is asked.
//!
//! Without `--socket` the configuration says where; without a configuration the place that the defaults give is tried,
//! and if no daemon is there one line names where was looked.

use super::Code;
use super::output::Failure;
use clap::ArgMatches;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use touchline_common::config::{Config, User};
use touchline_common::control::{Client, Stream, VERBS, Verb};

/// How long an answer may take without `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a configuration is looked for, in this order.
pub(super) const SEARCH: [&str; 2] = ["touchline.toml", "/etc/touchline/touchline.toml"];

/// The file of `--config`, or the first that is found.
pub(super) fn config_file(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let none = || Failure::new(Code::Usage, format!("{}; name one with --config FILE", looked_for()));
    found_file(matches).ok_or_else(none)
}

fn found_file(matches: &ArgMatches) -> Option<PathBuf> {
    let given = matches.get_one::<PathBuf>("config").cloned();
    given.or_else(|| SEARCH.into_iter().map(PathBuf::from).find(|path| path.exists()))
}

fn looked_for() -> String {
    let [here, system] = SEARCH;
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    format!("no configuration: neither {} nor {system} exists", folder.join(here).display())
}

pub(super) struct Daemon {
    socket: PathBuf,
    timeout: Option<Duration>,
}

impl Daemon {
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let socket = match matches.get_one::<PathBuf>("socket") {
            Some(socket) => socket.clone(),
            None => configured_socket(matches)?,
        };
        Ok(Self { socket, timeout: matches.get_one::<Duration>("timeout").copied() })
    }

    /// The time of `--timeout`, else `other`.
    pub(super) fn timeout_or(&self, other: Duration) -> Duration {
        self.timeout.unwrap_or(other)
    }

    /// The same, asked for what usually takes up to `usual`.
    pub(super) fn waiting(&self, usual: Duration) -> Self {
        Self { socket: self.socket.clone(), timeout: Some(self.timeout_or(usual)) }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn ask(&self, verb: &str, args: Map<String, Value>) -> Result<Value, Failure> {
        Ok(self.connect()?.request(verb, args, self.timeout_or(TIMEOUT))?)
    }

    /// As [`Daemon::ask`], for what the daemon itself may work on for a while: it gets the time too, and answers then
    /// with what is missing.
    pub(super) fn ask_within(
        &self,
        verb: &str,
        mut args: Map<String, Value>,
        usual: Duration,
    ) -> Result<Value, Failure> {
        let within = self.timeout_or(usual);
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        args.insert("timeout_ms".to_owned(), millis.into());
        Ok(self.connect()?.request(verb, args, within.saturating_add(TIMEOUT))?)
    }

    /// As [`Daemon::ask`], with the answer as the daemon wrote it.
    pub(super) fn ask_raw(&self, verb: &str, args: Map<String, Value>) -> Result<Box<RawValue>, Failure> {
        Ok(self.connect()?.request_raw(verb, args, self.timeout_or(TIMEOUT))?)
    }

    /// Asks for an answer with lines after it.
    pub(super) fn stream(&self, verb: &str, args: Map<String, Value>) -> Result<(Value, Stream), Failure> {
        Ok(self.connect()?.stream(verb, args, self.timeout_or(TIMEOUT))?)
    }

    /// How long the next line of a stream that is not followed may take.
    pub(super) fn line_timeout(&self) -> Duration {
        self.timeout_or(TIMEOUT)
    }

    fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.socket)?)
    }
}

fn configured_socket(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let usage = |text: String| Failure::new(Code::Usage, text);
    if let Some(path) = found_file(matches) {
        return Ok(Config::load(&path).map_err(|errors| usage(errors.one_line()))?.socket_path());
    }
    let mut config = Config::default();
    config.resolve_dirs(&User::current()).map_err(usage)?;
    let socket = config.socket_path();
    if socket.exists() {
        return Ok(socket);
    }
    let tried = socket.display();
    Err(usage(format!("{}, and no daemon is at {tried}; use --config FILE or --socket PATH", looked_for())))
}

/// What is given on the command line of the arguments that `verb` has on the control socket. Switches are given when they are set.
pub(super) fn arguments(verb: &str, matches: &ArgMatches) -> Map<String, Value> {
    let names = VERBS.iter().filter(|known| known.name == verb).flat_map(Verb::names);
    names.filter_map(|name| Some((name.to_owned(), argument(matches, &name.replace('_', "-"))?))).collect()
}

fn argument(matches: &ArgMatches, name: &str) -> Option<Value> {
    if let Ok(texts) = matches.try_get_many::<String>(name) {
        let joined =
            |texts: clap::parser::ValuesRef<'_, String>| texts.cloned().collect::<Vec<_>>().join(",");
        return texts.map(|texts| Value::from(joined(texts)));
    }
    if let Ok(number) = matches.try_get_one::<u64>(name) {
        return number.map(|number| Value::from(*number));
    }
    matches.try_get_one::<bool>(name).ok().flatten().filter(|set| **set).map(|_| Value::Bool(true))
}
