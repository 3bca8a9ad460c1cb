//! What a simulated server is asked to do, as plain data. The command line is built elsewhere; the texts of
//! options that are more than a number are parsed here.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use touchline_common::config::Dur;
pub use touchline_common::config::{Protocol, Transport};

/// Everything that can be chosen about a simulated server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How bytes travel.
    pub transport: Transport,
    /// How messages are written: [`Protocol::Zap`] is for WebSockets, and has no aliases.
    pub protocol: Protocol,
    /// Where the certificate of the authority is written that vouches for the server, in PEM, if it has TLS. Both are made
    /// anew at each start.
    pub ca_file: Option<PathBuf>,
    /// How many generated matches it begins with, and keeps while matches come and go.
    pub matches: usize,
    /// Delta messages a second over all matches that are followed.
    pub rate: f64,
    /// Times in which the rate is higher.
    pub burst: Option<Burst>,
    /// Subscriptions one connection may hold; none: any number.
    pub cap: Option<usize>,
    /// What happens above the cap.
    pub over_cap: OverCap,
    /// The seed of everything random. The same seed and the same times give the same bytes.
    pub seed: u64,
    /// How many matches end, and others appear, a minute.
    pub churn: f64,
    /// Seconds of play in one second.
    pub speed: f64,
    /// How large a match's load is.
    pub load: LoadSize,
    /// How matches are published.
    pub payload: Payload,
    /// Whether a match's own topic says all, or leaves the sport and competition to the list.
    pub own_topic: OwnTopic,
    /// The topic of the match list.
    pub list_topic: String,
    /// Whether topics with names longer than four characters get an alias.
    pub aliases: Aliases,
    /// Bytes that may wait for one connection; past it, it is closed as a slow consumer.
    pub out_queue: usize,
    /// Messages that may wait for one connection; past it, it is closed as a slow consumer. None: any number.
    pub max_depth: Option<usize>,
    /// Who may connect; none: anybody.
    pub login: Option<Login>,
    /// The session that is good: who names another one among the topics of its login (`S_…`) gets an error and nothing else.
    /// None: any, or none at all.
    pub session: Option<String>,
    /// How long a session whose connection broke is kept, and its messages queued; zero: not at all.
    pub keep_alive: Duration,
    /// What a session gets that goes on.
    pub on_resume: OnResume,
    /// How bodies are written for clients that can take it.
    pub encoding: BodyEncoding,
    /// Bodies of more bytes go in pieces of that size; none: all in one.
    pub fragment_above: Option<usize>,
    /// After this long without a byte from a client it is pinged.
    pub ping_after: Duration,
    /// States whose digests are kept, over all matches together.
    pub history: usize,
    /// Changes of odds that are kept, over all matches together, and as many comments and statistics.
    pub changes: usize,
    /// So many subscriptions to matches are not answered, the first that come: nothing is said and nothing sent.
    pub unanswered: usize,
    /// Where the truth is served over HTTP, if anywhere.
    pub truth: Option<SocketAddr>,
    /// Recorded matches that are played beside the generated ones.
    pub replay: Vec<PathBuf>,
    /// Seconds of a recorded match in one second.
    pub replay_speed: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            transport: Transport::Dpt,
            protocol: Protocol::V4,
            ca_file: None,
            matches: 250,
            rate: 1_000.0,
            burst: None,
            cap: Some(50),
            over_cap: OverCap::Close,
            seed: 1,
            churn: 0.0,
            speed: 4.0,
            load: LoadSize::default(),
            payload: Payload::Inplay,
            own_topic: OwnTopic::Complete,
            list_topic: "OVInPlay_1_3".to_owned(),
            aliases: Aliases::On,
            out_queue: 16_000_000,
            max_depth: None,
            login: None,
            session: None,
            keep_alive: Duration::ZERO,
            on_resume: OnResume::Queued,
            encoding: BodyEncoding::None,
            fragment_above: None,
            ping_after: Duration::from_secs(20),
            history: 4_000_000,
            changes: 2_000_000,
            unanswered: 0,
            truth: None,
            replay: Vec::new(),
            replay_speed: 1.0,
        }
    }
}

/// Times in which the rate is `factor` times as high: `len` long, each `every`. Written `FACTOR,LEN,EVERY`: `10,200ms,5s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How many times the rate.
    pub factor: f64,
    /// How long it lasts.
    pub len: Duration,
    /// From the beginning of one to the beginning of the next.
    pub every: Duration,
}

/// What a server does with a subscription above the cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverCap {
    /// Resets the connection.
    #[default]
    Close,
    /// Answers with a topic status that is not the removal, and keeps the connection.
    Error,
    /// Says nothing and sends nothing.
    Ignore,
    /// Sends deltas but no load.
    NoLoad,
    /// Sends the load but only some of the deltas.
    Thin,
}

/// The one login that a server takes. Written `USER:PASSWORD`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password; never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a session gets that goes on after its connection broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnResume {
    /// The messages that were queued for it.
    #[default]
    Queued,
    /// Those, and a load of each topic.
    Reload,
}

/// How bodies are written for clients that can take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As they are.
    #[default]
    None,
    /// Compressed.
    Zlib,
    /// In base64.
    Base64,
}

/// The size of a generated match's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSize {
    /// Bytes in the middle; each match has between 60 % and 140 % of it.
    pub median: usize,
}

impl Default for LoadSize {
    fn default() -> Self {
        Self { median: 30_000 }
    }
}

/// How matches are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// Object trees, with a match list.
    #[default]
    Inplay,
    /// Branches of single-value topics, `sportsbook/football/<id>`, without a list: soccer only, and no markets.
    TopicTree,
}

/// What a match's own topic says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnTopic {
    /// Everything.
    #[default]
    Complete,
    /// Neither sport nor competition: those come from the list.
    Sparse,
}

/// Whether loads hand out aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aliases {
    /// For names longer than four characters.
    #[default]
    On,
    /// Never.
    Off,
}

/// A text that is not what an option takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    what: &'static str,
    text: String,
    expected: String,
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} is not understood: expected {}", self.what, self.text, self.expected)
    }
}

impl std::error::Error for BadOption {}

/// The names of an option's values, as the command line takes them.
macro_rules! named {
    ($type:ident, $what:literal, $($name:literal => $value:ident),+) => {
        impl $type {
            pub const NAMES: &'static [&'static str] = &[$($name),+];
        }

        impl FromStr for $type {
            type Err = BadOption;

            fn from_str(text: &str) -> Result<Self, BadOption> {
                match text {
                    $($name => Ok(Self::$value),)+
                    _ => Err(BadOption { what: $what, text: text.to_owned(), expected: Self::NAMES.join(", ") }),
                }
            }
        }
    };
}

named!(Payload, "payload", "inplay" => Inplay, "topic-tree" => TopicTree);
named!(BodyEncoding, "encoding", "none" => None, "zlib" => Zlib, "base64" => Base64);
named!(OverCap, "over-cap", "close" => Close, "error" => Error, "ignore" => Ignore, "no-load" => NoLoad, "thin" => Thin);

impl FromStr for Burst {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let bad = || BadOption {
            what: "burst",
            text: text.to_owned(),
            expected: "FACTOR,LEN,EVERY with LEN shorter than EVERY, for example 10,200ms,5s".to_owned(),
        };
        let mut parts = text.split(',').map(str::trim);
        let (Some(factor), Some(len), Some(every), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let factor: f64 = factor.parse().map_err(|_| bad())?;
        let duration = |text: &str| text.parse().map(Dur::get).map_err(|_| bad());
        let (len, every) = (duration(len)?, duration(every)?);
        if !(factor.is_finite() && (0.0..=10_000.0).contains(&factor)) || len.is_zero() || len >= every {
            return Err(bad());
        }
        Ok(Self { factor, len, every })
    }
}

impl FromStr for Login {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        match text.split_once(':') {
            Some((username, password)) if !username.is_empty() => {
                Ok(Self { username: username.to_owned(), password: password.to_owned() })
            }
            // What was given may be a password.
            Some(_) | None => {
                Err(BadOption { what: "login", text: "…".to_owned(), expected: "USER:PASSWORD".to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_factor_length_and_distance() {
        let burst: Burst = "10,200ms,5s".parse().unwrap();
        assert_eq!(
            burst,
            Burst { factor: 10.0, len: Duration::from_millis(200), every: Duration::from_secs(5) }
        );
        for bad in
            ["", "10", "10,5s,5s", "10,0ms,5s", "x,1s,5s", "-1,1s,5s", "1,1,5s", "1,1s,5s,6s", "inf,1s,2s"]
        {
            assert!(bad.parse::<Burst>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_read_and_others_refused() {
        assert_eq!("thin".parse::<OverCap>().unwrap(), OverCap::Thin);
        assert!("shut".parse::<OverCap>().is_err());
        assert_eq!("zlib".parse::<BodyEncoding>().unwrap(), BodyEncoding::Zlib);
        assert!("gzip".parse::<BodyEncoding>().is_err());
        let login: Login = "user:pass:word".parse().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("user", "pass:word"));
        assert!(!format!("{login:?}").contains("pass"));
        for bad in ["secret", ":secret", ""] {
            assert!(!bad.parse::<Login>().unwrap_err().to_string().contains("secret"));
        }
    }
}
