//! `[streams]`: where rows and documents are sent on, and how.
//!
//! A sink is on where its address is set; what else there is to say of it stands in a table of its own beside that
//! (`[streams.redis_options]`), so that the short form is enough. Passwords come from the environment or a file, never from here.

use super::secret::Secret;
use super::sections::table;
use super::units::Dur;
use crate::ipc::messages::data::Stream;
use serde::{Deserialize, Serialize};

/// A lane of either stream, as sinks choose among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkLane {
    Priority,
    Normal,
    Odds,
    Chat,
}

impl SinkLane {
    pub const ALL: [Self; 4] = [Self::Priority, Self::Normal, Self::Odds, Self::Chat];

    /// As rows write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Normal => "normal",
            Self::Odds => "odds",
            Self::Chat => "chat",
        }
    }

    /// The stream that it is of.
    pub const fn stream(self) -> Stream {
        match self {
            Self::Priority | Self::Normal => Stream::Match,
            Self::Odds | Self::Chat => Stream::Bulk,
        }
    }

    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }
}

table! {
    /// `[streams]`: where events and documents are sent on.
    pub struct StreamsConfig {
        /// `redis://host:port/db`, `rediss://` for TLS; empty: off.
        redis: String = String::new(),
        /// `amqp://user@host:port/vhost`; empty: off.
        rabbitmq: String = String::new(),
        /// The first part of each key.
        prefix: String = "touchline".to_owned(),
        /// Entries of a stream at most.
        maxlen: u64 = 100_000,
        /// A file, or `-` for standard output; empty: off.
        ndjson: String = String::new(),
        /// Brokers; empty: off.
        kafka: String = String::new(),
        /// The longest wait before a sink that is down is tried again.
        retry_max: Dur = Dur::secs(30),
        /// A sink that is down for longer is a reason of `health`,
        down_after: Dur = Dur::secs(30),
        /// and so is one that is further behind.
        lag_after: Dur = Dur::secs(60),
        redis_options: RedisOptions = RedisOptions::default(),
        ndjson_options: NdjsonOptions = NdjsonOptions::default(),
        rabbitmq_options: RabbitmqOptions = RabbitmqOptions::default(),
        kafka_options: KafkaOptions = KafkaOptions::default(),
    }
}

table! {
    /// `[streams.redis_options]`.
    pub struct RedisOptions {
        /// Which lanes it gets.
        lanes: Vec<SinkLane> = SinkLane::ALL.to_vec(),
        /// Whether documents are kept there, too.
        documents: bool = true,
        /// Rows that are under way at a time, which the server takes all or none of.
        batch: u32 = 1_000,
        /// How long the server may take for them, and for a connection.
        timeout: Dur = Dur::secs(5),
        username: String = String::new(),
        /// The environment variable that has the password; empty: none.
        password_env: String = String::new(),
        /// The file that has the password in its first line; empty: none.
        password_file: String = String::new(),
        /// A file with the certificates of authorities to trust instead of the system's; empty: the system's.
        ca_file: String = String::new(),
        /// The password, once resolved. Never read from or written to the file.
        #[serde(skip)]
        password: Secret = Secret::default(),
    }
}

table! {
    /// `[streams.ndjson_options]`.
    pub struct NdjsonOptions {
        /// Which lanes it gets.
        lanes: Vec<SinkLane> = SinkLane::ALL.to_vec(),
        /// Lines of one write at most.
        batch: u32 = 1_000,
    }
}

table! {
    /// `[streams.rabbitmq_options]`.
    pub struct RabbitmqOptions {
        /// Which lanes it gets.
        lanes: Vec<SinkLane> = SinkLane::ALL.to_vec(),
        /// The topic exchange; empty: called as `prefix`.
        exchange: String = String::new(),
        /// Whether the exchange is made where it is missing; else it must be there.
        declare: bool = true,
        /// Messages that are under way at a time: the broker confirms persistent ones each time that it has written some.
        batch: u32 = 1_000,
        /// How long the broker may take to confirm them, and to let in.
        timeout: Dur = Dur::secs(10),
        /// A sign of life at least so often, both ways; `0s`: none, unless the broker wants it.
        heartbeat: Dur = Dur::secs(30),
        /// The environment variable that has the password; empty: none.
        password_env: String = String::new(),
        /// The file that has the password in its first line; empty: none.
        password_file: String = String::new(),
        /// A file with the certificates of authorities to trust beside the system's; empty: none.
        ca_file: String = String::new(),
        /// The password, once resolved. Never read from or written to the file.
        #[serde(skip)]
        password: Secret = Secret::default(),
    }
}

/// How a login is proved to Kafka's brokers, in the protocol's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// The password itself: it needs TLS around it.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

table! {
    /// `[streams.kafka_options]`.
    pub struct KafkaOptions {
        /// Which lanes it gets.
        lanes: Vec<SinkLane> = SinkLane::ALL.to_vec(),
        /// Records that are under way at a time.
        batch: u32 = 1_000,
        /// How long the brokers may take for them, and to answer at all.
        timeout: Dur = Dur::secs(10),
        /// Whether connections are encrypted, which addresses of brokers do not say.
        tls: bool = false,
        /// Of the login (SASL); empty: none.
        username: String = String::new(),
        mechanism: SaslMechanism = SaslMechanism::default(),
        /// The environment variable that has the password; empty: none.
        password_env: String = String::new(),
        /// The file that has the password in its first line; empty: none.
        password_file: String = String::new(),
        /// A file with the certificates of authorities to trust instead of the system's; empty: the system's.
        ca_file: String = String::new(),
        /// The password, once resolved. Never read from or written to the file.
        #[serde(skip)]
        password: Secret = Secret::default(),
    }
}

impl StreamsConfig {
    /// The passwords of sinks, which the file does not have: they go to the children apart from the rest.
    pub(super) fn passwords(&mut self) -> [&mut Secret; 3] {
        let (redis, rabbitmq) = (&mut self.redis_options, &mut self.rabbitmq_options);
        [&mut redis.password, &mut rabbitmq.password, &mut self.kafka_options.password]
    }
}
