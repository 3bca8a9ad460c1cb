//! From arguments to the verb that carries them out.

use super::ask::{Daemon, arguments, config_file};
use super::dissect::{Filter, dissect};
use super::feed_new::feed_new;
use super::generate;
use super::options::{DemoOptions, DemoSink, Keep, OutputFormat};
use super::output::{Audience, Failure, Outcome, Printer, settle, usage_line};
use super::probe::probe;
use super::replay::replay;
use super::{Code, kinds, parser, push, show, usable, verbs, wait};
use crate::child_args;
use crate::pool::Child;
use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use serde_json::json;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use touchline_common::config::{Config, ConfigErrors, FeedConfig};
use touchline_common::control::UNBUILT;
use touchline_common::control::views::counted;
use touchline_simulator::api::ApiOptions;
use touchline_simulator::options::BadOption;
use touchline_simulator::push::PushOptions as Push;
use touchline_simulator::{OnResume, Options as Server, Protocol, RoomOptions as Rooms, Transport};

/// How long a sink's thread may take to come to an order: a connection or a batch may have to end first.
const SINK_TIMEOUT: Duration = Duration::from_secs(30);

/// What needs more than the control socket.
pub trait Commands {
    /// `touchline run`, with a valid configuration, folders and secrets resolved; operators find it at `socket`.
    fn run(&self, config: Config, socket: PathBuf) -> Result<Code, CommandError>;
    /// `touchline demo`.
    fn demo(&self, options: DemoOptions) -> Result<Code, CommandError>;
    /// `touchline demo --feed rooms`.
    fn demo_rooms(&self, options: DemoOptions<Rooms>) -> Result<Code, CommandError>;
    /// `touchline demo --feed poll`.
    fn demo_poll(&self, options: DemoOptions<ApiOptions>) -> Result<Code, CommandError>;
    /// `touchline demo --feed push`.
    fn demo_push(&self, options: DemoOptions<Push>) -> Result<Code, CommandError>;
    /// `touchline simulate`.
    fn simulate(&self, server: Server, output: OutputFormat) -> Result<Code, CommandError>;
    /// `touchline simulate --feed rooms`.
    fn simulate_rooms(&self, server: Rooms, output: OutputFormat) -> Result<Code, CommandError>;
    /// `touchline simulate --feed poll`.
    fn simulate_poll(&self, server: ApiOptions, output: OutputFormat) -> Result<Code, CommandError>;
    /// `touchline simulate --feed push`.
    fn simulate_push(&self, server: Push, output: OutputFormat) -> Result<Code, CommandError>;
    /// A forked process. Its channel is descriptor 0; if `parent` does not run it any more, it leaves.
    fn child(&self, child: Child, parent: u32) -> Code;
}

/// Why a command did not do what it was asked to, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    pub code: Code,
    pub why: String,
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Failure {
        Failure::new(error.code, error.why)
    }
}

/// The program: reads the arguments of this process and does what they say.
pub fn main(commands: &dyn Commands) -> ExitCode {
    let mut out = std::io::stdout();
    let audience = if out.is_terminal() { Audience::People } else { Audience::Programs };
    let printer = Printer::new(&mut out, audience);
    let code = run_with(std::env::args_os(), commands, printer, &mut std::io::stderr());
    ExitCode::from(u8::from(code))
}

/// As [`main`], with other arguments (the program's name first) and other outputs, of which none is a terminal.
pub fn main_with(
    args: impl IntoIterator<Item = OsString>,
    commands: &dyn Commands,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Code {
    run_with(args, commands, Printer::new(out, Audience::Programs), err)
}

fn run_with(
    args: impl IntoIterator<Item = OsString>,
    commands: &dyn Commands,
    mut printer: Printer<'_>,
    err: &mut dyn Write,
) -> Code {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(child) = child_args::read(&args) {
        let parent = std::env::var(child_args::PARENT).ok().and_then(|pid| pid.parse().ok());
        return commands.child(child, parent.unwrap_or_default());
    }
    let format = format_of(&args);
    let outcome = match parse(&args) {
        Parsed::Verb(matches) => dispatch(&matches, commands, &mut printer),
        Parsed::Page(text) => printer.page(&text, format).map(|()| Code::Done),
        Parsed::Wrong(text) => Err(match format {
            OutputFormat::Text => Failure::Report(Code::Usage, text),
            OutputFormat::Json => Failure::new(Code::Usage, usage_line(&text)),
        }),
    };
    let outcome = match (outcome, printer.flush()) {
        (Ok(code), Ok(())) => Ok(code),
        (Ok(_), Err(failure)) | (Err(failure), _) => Err(failure),
    };
    settle(outcome, format, &mut printer, err)
}

/// Whoever writes `--json` reads JSON, also where the rest of the line cannot be understood.
fn format_of(args: &[OsString]) -> OutputFormat {
    let mut options = args.iter().skip(1).take_while(|arg| *arg != "--");
    if options.any(|arg| arg == "--json") { OutputFormat::Json } else { OutputFormat::Text }
}

/// What the arguments are.
enum Parsed {
    Verb(ArgMatches),
    /// The help or the version was asked for.
    Page(String),
    /// What is wrong with them.
    Wrong(String),
}

fn parse(args: &[OsString]) -> Parsed {
    let error = match verbs::command().try_get_matches_from(args) {
        Ok(matches) => return Parsed::Verb(matches),
        // Only what this build has is suggested.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand) => {
            verbs::offered().try_get_matches_from(args).err().unwrap_or(error)
        }
        Err(error) => parser::with_suggestion(error, args),
    };
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        Parsed::Page(text)
    } else {
        Parsed::Wrong(text)
    }
}

fn dispatch(matches: &ArgMatches, commands: &dyn Commands, out: &mut Printer<'_>) -> Outcome {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::new(Code::Usage, "no verb given: see touchline --help"));
    };
    match name {
        // However they are called: nothing of theirs is required.
        unbuilt if UNBUILT.contains(&unbuilt) => Err(not_in_this_build(&format!("`{unbuilt}`"))),
        "run" => run(matches, commands),
        "demo" => match text(matches, "feed") {
            "rooms" => Ok(commands.demo_rooms(demo_options(matches, kinds::demo_rooms(matches)?)?)?),
            "push" => Ok(commands.demo_push(demo_options(matches, push::demo(matches)?)?)?),
            "poll" => Ok(commands.demo_poll(demo_options(matches, kinds::demo_poll(matches)?)?)?),
            _ => Ok(commands.demo(demo_options(matches, demo_server(matches)?)?)?),
        },
        "simulate" => match text(matches, "feed") {
            "rooms" => Ok(commands.simulate_rooms(kinds::rooms(matches)?, output(matches))?),
            "push" => Ok(commands.simulate_push(push::simulated(matches)?, output(matches))?),
            "poll" => Ok(commands.simulate_poll(kinds::poll(matches)?, output(matches))?),
            _ => Ok(commands.simulate(simulated(matches)?, output(matches))?),
        },
        "check" => check(matches, out),
        "completions" => generate::completions(text(matches, "shell"), output(matches), out),
        "man" => match matches.get_one::<PathBuf>("dir") {
            Some(folder) => generate::pages(folder, output(matches), out),
            None => {
                generate::page(matches.get_one::<String>("verb").map(String::as_str), output(matches), out)
            }
        },
        "probe" => {
            let path = config_file(matches)?;
            match Config::load(&path) {
                Ok(config) => {
                    let (feed, messages) = (text(matches, "feed"), whole(matches, "messages"));
                    probe(&config, feed, messages, output(matches), out)
                }
                Err(errors) => refuse(&errors, output(matches), out),
            }
        }
        "dissect" => {
            let filter =
                Filter { topic: matches.get_one("topic").cloned(), kind: matches.get_one("type").copied() };
            dissect(text(matches, "file"), filter, output(matches), out)
        }
        "replay" => replay(matches, output(matches), out),
        "feed" => match matches.subcommand() {
            Some(("new", matches)) => feed_new(matches, output(matches), out),
            Some(_) | None => Err(Failure::new(Code::Usage, "expected `feed new`")),
        },
        _ => operate(name, matches, out),
    }
}

fn operate(name: &str, matches: &ArgMatches, out: &mut Printer<'_>) -> Outcome {
    let daemon = Daemon::of(matches)?;
    let format = output(matches);
    let args = arguments(name, matches);
    // What is answered at once and then shown so.
    let text: show::Show = match name {
        "status" => show::status,
        "workers" => show::workers,
        "matches" => show::matches,
        "match" => show::document,
        "gaps" => show::gaps,
        "odds" if matches.get_flag("follow") => return show::follow_odds(&daemon, matches, format, out),
        "odds" => return show::odds(&daemon, matches, format, out),
        "rebalance" if matches.get_flag("dry-run") => show::plan,
        "drain" | "move" | "rebalance" => return wait::moved(&daemon, name, args, format, out),
        "scale" | "resync" | "release" => show::done,
        "events" => return show::events(&daemon, matches, out),
        "health" => return show::health(&daemon, format, out),
        "ping" => return show::ping(&daemon, format, out),
        "log" => return log(&daemon, matches, format, out),
        "sink" => return sink(&daemon, matches, format, out),
        "stop" => return wait::stop(&daemon, args, format, out),
        "wait-ready" => return wait::ready(&daemon, format, out),
        _ => return Err(Failure::new(Code::Usage, format!("no verb `{name}`"))),
    };
    show::answer(&daemon, name, args, format, text, out)
}

fn log(daemon: &Daemon, matches: &ArgMatches, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let Some((action, matches)) = matches.subcommand() else {
        return Err(Failure::new(Code::Usage, "expected `log level FILTER` or `log reopen`"));
    };
    let mut args = arguments("log", matches);
    if let Some(filter) = args.get("filter").and_then(|filter| filter.as_str()) {
        touchline_common::logging::check_filter(filter)
            .map_err(|error| Failure::new(Code::Usage, format!("bad log filter: {error}")))?;
    }
    args.insert("action".to_owned(), action.into());
    show::answer(daemon, "log", args, format, show::done, out)
}

fn sink(daemon: &Daemon, matches: &ArgMatches, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let Some((action, matches)) = matches.subcommand() else {
        return Err(Failure::new(Code::Usage, "expected `sink rewind NAME --since SEQ`"));
    };
    let mut args = arguments("sink", matches);
    args.insert("action".to_owned(), action.into());
    show::answer(&daemon.waiting(SINK_TIMEOUT), "sink", args, format, show::done, out)
}

fn run(matches: &ArgMatches, commands: &dyn Commands) -> Outcome {
    let path = config_file(matches)?;
    let usage = |text: String| Failure::new(Code::Usage, text);
    let config = usable::load(&path).map_err(|errors| usage(errors.one_line()))?;
    let socket = matches.get_one::<PathBuf>("socket").cloned().unwrap_or_else(|| config.socket_path());
    Ok(commands.run(config, socket)?)
}

fn check(matches: &ArgMatches, out: &mut Printer<'_>) -> Outcome {
    let format = output(matches);
    let found = config_file(matches);
    if matches.get_flag("print") {
        return print(found.ok(), format, out);
    }
    let path = found?;
    let config = match usable::load(&path) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors, format, out),
    };
    let notes = notes(&config);
    match format {
        OutputFormat::Json => {
            out.json(&json!({"ok": true, "file": path, "notes": notes, "mistakes": []}))?;
        }
        OutputFormat::Text => {
            let feeds: Vec<&str> = config.feed.iter().map(|feed| feed.name.as_str()).collect();
            let (path, count) = (path.display(), counted(feeds.len(), "feed", "feeds"));
            out.line(format!("{path} is valid: {count} {}", feeds.join(", ")).trim_end())?;
            notes.iter().try_for_each(|note| out.line(format!("note: {note}")))?;
        }
    }
    Ok(Code::Done)
}

/// Prints a configuration with its defaults; without a file every setting of a daemon with one feed, as a start for writing one.
fn print(path: Option<PathBuf>, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let config = match path.map(|path| Config::load(&path)) {
        Some(Ok(config)) => config,
        Some(Err(errors)) => return refuse(&errors, format, out),
        None => Config { feed: vec![FeedConfig::default()], ..Config::default() },
    };
    match format {
        OutputFormat::Text => out.bytes(config.to_toml().as_bytes())?,
        OutputFormat::Json => out.json(&config)?,
    }
    Ok(Code::Done)
}

/// What is no mistake, but hardly meant.
fn notes(config: &Config) -> Vec<&'static str> {
    let nothing = config.feed.is_empty().then_some("no [[feed]] configured: nothing will be followed");
    nothing.into_iter().collect()
}

fn refuse(errors: &ConfigErrors, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    match format {
        OutputFormat::Text => Err(Failure::Report(Code::Usage, errors.to_string())),
        OutputFormat::Json => {
            let mistakes: Vec<_> = errors
                .mistakes()
                .iter()
                .map(|mistake| {
                    json!({"setting": mistake.setting, "line": mistake.line, "column": mistake.column,
                        "message": mistake.message, "expected": mistake.expected})
                })
                .collect();
            out.json(&json!({"ok": false, "code": u8::from(Code::Usage), "error": errors.one_line(),
                "file": errors.file(), "mistakes": mistakes}))?;
            Ok(Code::Usage)
        }
    }
}

fn demo_server(matches: &ArgMatches) -> Result<Server, Failure> {
    let server = Server { cap: cap(matches)?, ..server(matches)? };
    if server.matches == 0 && server.replay.is_empty() {
        let error = "--matches 0: nothing would be followed; expected at least 1, or --replay FILE with it";
        return Err(Failure::new(Code::Usage, error));
    }
    Ok(server)
}

/// A demo with this server.
fn demo_options<S>(matches: &ArgMatches, server: S) -> Result<DemoOptions<S>, Failure> {
    only_built(matches, "feed", &["diffusion", "rooms", "poll", "push"])?;
    Ok(DemoOptions {
        server,
        duration: matches.get_one::<Duration>("for").copied(),
        dir: matches.get_one::<PathBuf>("dir").cloned(),
        keep: if matches.get_flag("keep") { Keep::Yes } else { Keep::No },
        sink: matches.contains_id("sink").then_some(DemoSink::Redis),
        output: output(matches),
    })
}

fn simulated(matches: &ArgMatches) -> Result<Server, Failure> {
    let wrong = |error: BadOption| Failure::new(Code::Usage, error.to_string());
    let size = |name| {
        let given = matches.get_one::<u64>(name).copied();
        given.map(|given| usize::try_from(given).unwrap_or(usize::MAX))
    };
    only_built(matches, "feed", &["diffusion"])?;
    let server = server(matches)?;
    let ca_file = matches.get_one::<PathBuf>("ca-file").cloned();
    if ca_file.is_some() && !server.transport.has_tls() {
        let error =
            format!("--ca-file: {} has no certificate; expected dpts or wss", server.transport.scheme());
        return Err(Failure::new(Code::Usage, error));
    }
    if matches.contains_id("fault") {
        return Err(not_in_this_build("`--fault`"));
    }
    only_useful(matches)?;
    Ok(Server {
        listen: matches.get_one("listen").copied().unwrap_or(server.listen),
        ca_file,
        cap: cap(matches)?,
        payload: text(matches, "payload").parse().map_err(wrong)?,
        over_cap: text(matches, "over-cap").parse().map_err(wrong)?,
        login: matches.get_one::<String>("login").map(|login| login.parse()).transpose().map_err(wrong)?,
        session: matches.get_one::<String>("session").map(|token| session(token)).transpose()?,
        keep_alive: matches.get_one("keep-alive").copied().unwrap_or_default(),
        on_resume: if matches.get_flag("reload-on-resume") { OnResume::Reload } else { OnResume::Queued },
        encoding: text(matches, "encoding").parse().map_err(wrong)?,
        fragment_above: size("fragment-above"),
        max_depth: size("max-depth"),
        churn: number(matches, "churn"),
        truth: matches.get_one("truth").copied(),
        ..server
    })
}

/// What `demo` and `simulate` have in common.
fn server(matches: &ArgMatches) -> Result<Server, Failure> {
    let scheme = text(matches, "transport");
    let transport = Transport::ALL.into_iter().find(|one| one.scheme() == scheme).unwrap_or(Transport::Dpt);
    let protocol = if text(matches, "protocol") == "zap" { Protocol::Zap } else { Protocol::V4 };
    if protocol == Protocol::Zap && !transport.is_websocket() {
        let error =
            format!("--protocol zap is spoken over a WebSocket, not over {scheme}; expected ws or wss");
        return Err(Failure::new(Code::Usage, error));
    }
    let replay = matches.get_many::<PathBuf>("replay");
    Ok(Server {
        transport,
        protocol,
        matches: whole(matches, "matches"),
        rate: number(matches, "rate"),
        burst: matches.get_one("burst").copied(),
        seed: whole(matches, "seed"),
        replay: replay.map(|files| files.cloned().collect()).unwrap_or_default(),
        replay_speed: number(matches, "speed"),
        ..Server::default()
    })
}

/// What would change nothing is a mistake of whoever asks for it.
fn only_useful(matches: &ArgMatches) -> Result<(), Failure> {
    let is_given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    let transport = text(matches, "transport");
    let error = if is_given("over-cap") && !is_given("cap") {
        "--over-cap: nothing is above a cap that is not there; expected --cap N with it".to_owned()
    } else if matches.get_flag("reload-on-resume") && !is_given("keep-alive") {
        "--reload-on-resume: no session is kept that could go on; expected --keep-alive DUR with it"
            .to_owned()
    } else if text(matches, "encoding") != "none" && transport.starts_with("ws") {
        format!(
            "--encoding: messages over {transport} cannot say how their body is written; expected --transport dpt or dpts with it"
        )
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::Usage, error))
}

/// The token of a session, which stands between commas in a login.
fn session(token: &str) -> Result<String, Failure> {
    let bad = |c: char| c == ',' || c == '!' || c.is_control();
    if token.is_empty() || token.contains(bad) {
        let error =
            "--session: expected what follows S_ in a login topic, without ',', '!' and control characters";
        return Err(Failure::new(Code::Usage, error.to_owned()));
    }
    Ok(token.to_owned())
}

fn only_built(matches: &ArgMatches, name: &str, built: &[&str]) -> Result<(), Failure> {
    let given = text(matches, name);
    if built.contains(&given) { Ok(()) } else { Err(not_in_this_build(&format!("`--{name} {given}`"))) }
}

fn not_in_this_build(what: &str) -> Failure {
    Failure::new(Code::Failed, format!("{what} is not in this build"))
}

fn cap(matches: &ArgMatches) -> Result<Option<usize>, Failure> {
    let Some(cap) = matches.get_one::<u64>("cap") else { return Ok(None) };
    let cap = u32::try_from(*cap).map(|cap| Some(cap as usize));
    cap.map_err(|_| Failure::new(Code::Usage, "--cap: expected a number from 1 to 4294967295"))
}

pub(super) fn whole<T: TryFrom<u64> + Default>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<u64>(name).and_then(|number| T::try_from(*number).ok()).unwrap_or_default()
}

pub(super) fn number(matches: &ArgMatches, name: &str) -> f64 {
    matches.get_one::<f64>(name).copied().unwrap_or_default()
}

pub(super) fn text<'m>(matches: &'m ArgMatches, name: &str) -> &'m str {
    matches.get_one::<String>(name).map(String::as_str).unwrap_or_default()
}

fn output(matches: &ArgMatches) -> OutputFormat {
    if matches.get_flag("json") { OutputFormat::Json } else { OutputFormat::Text }
}
