//! A configuration together with what it names outside itself: mapping files, certificates, passwords, the log's folder.
//!
//! Invariant: only reads. What is refused here no child could run with: `check` says so, and `run` before anything starts.

use std::path::Path;
use touchline_common::config::{
    AmqpUrl, Config, ConfigErrors, FeedConfig, StreamsConfig, Unusable, Url, read_password,
};
use touchline_worker::net::{TlsPlan, Trust};
use touchline_worker::payload;

/// A key of a feed, what is wrong with it, what was expected.
type Wrong = (&'static str, String, &'static str);

/// Reads the configuration at `path`, passwords included, and looks at what else it names.
pub(super) fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let mut config = Config::load(path)?;
    let mut found: Vec<Unusable> = Vec::new();
    for (index, feed) in config.feed.iter_mut().enumerate() {
        let wrong = [password(feed), headers(feed), authorities(feed), mapping(feed)].into_iter().flatten();
        found.extend(wrong.map(|(key, message, expected)| Unusable::of_feed(index, key, message, expected)));
    }
    found.extend(log_target(&config));
    found.extend(redis(&mut config.streams));
    found.extend(rabbitmq(&mut config.streams));
    found.extend(kafka(&mut config.streams));
    found.extend(ndjson(&config.streams));
    found.extend(read_token(&config));
    found.extend(pub_secret(&config));
    found.extend(redis_password(&config));
    if found.is_empty() { Ok(config) } else { Err(ConfigErrors::unusable(path, found)) }
}

/// Takes the password from where the feed says it is.
fn password(feed: &mut FeedConfig) -> Option<Wrong> {
    let error = match feed.read_password() {
        Ok(password) => {
            feed.password = password;
            return None;
        }
        Err(error) => error,
    };
    let key = if feed.password_env.is_empty() { "password_file" } else { "password_env" };
    Some((key, error, "expected the password of `username` there"))
}

/// Takes the values of headers from where the feed says they are.
fn headers(feed: &mut FeedConfig) -> Option<Wrong> {
    match feed.read_headers() {
        Ok(headers) => {
            feed.secret_headers.values = headers;
            None
        }
        Err((key, error)) => Some((key, error, "expected the value of the header there")),
    }
}

fn authorities(feed: &FeedConfig) -> Option<Wrong> {
    let with_tls = |url: &&Url| url.transport.has_tls() && !feed.insecure;
    let trust = Trust::Authorities { ca_file: feed.ca_file.clone() };
    let failed = |(key, url): (&'static str, &Url)| {
        let error = TlsPlan::new(&url.host, &trust).err()?;
        Some((if error.starts_with("ca_file") { "ca_file" } else { key }, error, ""))
    };
    let url = std::iter::once(&feed.url).filter(with_tls).map(|url| ("url", url));
    let hosts = feed.rooms.hosts.iter().filter(with_tls).map(|url| ("hosts", url));
    url.chain(hosts).find_map(failed)
}

fn mapping(feed: &FeedConfig) -> Option<Wrong> {
    let path = &feed.diffusion.mapping;
    if path.is_empty() {
        return None;
    }
    let error = match std::fs::read_to_string(path) {
        Ok(text) => payload::check(feed.diffusion.payload, &text).err()?.to_string(),
        Err(error) => format!("cannot read it: {error}"),
    };
    Some(("mapping", format!("{path}: {error}"), "expected a file like the built-in table"))
}

fn log_target(config: &Config) -> Option<Unusable> {
    let path = std::path::absolute(config.log.file()?).ok()?;
    let folder = path.parent()?;
    // These are made before the log is opened.
    let made = [&config.daemon.run_dir, &config.daemon.state_dir].iter().any(|ours| ours.starts_with(folder));
    let message = if path.is_dir() {
        format!("the log {} is a folder", path.display())
    } else if !folder.is_dir() && !made {
        format!("the folder of the log, {}, is not there", folder.display())
    } else {
        return None;
    };
    let expected = "expected a file in a folder that is there, or \"stderr\"";
    Some(Unusable::of_table("log", "target", message, expected))
}

/// Takes the password for Redis from where the options say it is, and looks at the authorities to trust.
fn redis(streams: &mut StreamsConfig) -> Option<Unusable> {
    if streams.redis.is_empty() {
        return None;
    }
    let options = &mut streams.redis_options;
    let unusable = |message: String, expected: &str| {
        Some(Unusable::of_table("streams", "redis_options", message, expected))
    };
    match read_password(&options.password_env, &options.password_file) {
        Ok(password) => options.password = password,
        Err(error) => return unusable(error, "expected the password for `redis` there"),
    }
    if options.ca_file.is_empty() {
        return None;
    }
    let error = std::fs::read(&options.ca_file).err()?;
    let message = format!("ca_file {}: cannot read it: {error}", options.ca_file);
    unusable(message, "expected certificates of authorities in PEM")
}

/// The same for RabbitMQ.
fn rabbitmq(streams: &mut StreamsConfig) -> Option<Unusable> {
    let url: AmqpUrl = streams.rabbitmq.parse().ok()?;
    let options = &mut streams.rabbitmq_options;
    let unusable = |message: String, expected: &str| {
        Some(Unusable::of_table("streams", "rabbitmq_options", message, expected))
    };
    match read_password(&options.password_env, &options.password_file) {
        Ok(password) => options.password = password,
        Err(error) => return unusable(error, "expected the password for `rabbitmq` there"),
    }
    if !url.has_tls {
        return None;
    }
    let trust = Trust::Authorities { ca_file: options.ca_file.clone() };
    unusable(TlsPlan::new(&url.host, &trust).err()?, "")
}

/// The same for Kafka.
fn kafka(streams: &mut StreamsConfig) -> Option<Unusable> {
    if streams.kafka.is_empty() {
        return None;
    }
    let options = &mut streams.kafka_options;
    let unusable = |message: String, expected: &str| {
        Some(Unusable::of_table("streams", "kafka_options", message, expected))
    };
    match read_password(&options.password_env, &options.password_file) {
        Ok(password) => options.password = password,
        Err(error) => return unusable(error, "expected the password for `kafka` there"),
    }
    if options.ca_file.is_empty() {
        return None;
    }
    // Its certificates are the same to every host.
    let trust = Trust::Authorities { ca_file: options.ca_file.clone() };
    unusable(TlsPlan::new("localhost", &trust).err()?, "")
}

fn read_token(config: &Config) -> Option<Unusable> {
    let error = config.gateway.read_token().err()?;
    Some(Unusable::of_table("gateway", "read_token_file", error, "expected a file with the readers' token"))
}

fn pub_secret(config: &Config) -> Option<Unusable> {
    let error = config.gateway.pub_secret().err()?;
    let expected = "expected a file with the publishers' secret";
    Some(Unusable::of_table("gateway", "pub_secret_file", error, expected))
}

fn redis_password(config: &Config) -> Option<Unusable> {
    let error = config.gateway.redis_password().err()?;
    Some(Unusable::of_table(
        "gateway",
        "redis_password_file",
        error,
        "expected a file with the password of `redis`",
    ))
}

fn ndjson(streams: &StreamsConfig) -> Option<Unusable> {
    if matches!(streams.ndjson.as_str(), "" | "-") {
        return None;
    }
    let path = std::path::absolute(&streams.ndjson).ok()?;
    let message = if path.is_dir() {
        format!("{} is a folder", path.display())
    } else {
        let folder = path.parent().filter(|folder| !folder.is_dir())?;
        format!("the folder {} is not there", folder.display())
    };
    Some(Unusable::of_table(
        "streams",
        "ndjson",
        message,
        "expected a file in a folder that is there, or `-`",
    ))
}
