//! The keys of `[streams]` that are about RabbitMQ and Kafka.

use super::{check_plain, check_sink, positive};
use crate::config::AmqpUrl;
use crate::config::check::Findings;
use crate::config::locate::Place;
use crate::config::streams::StreamsConfig;
use crate::config::units::Dur;

/// The longest name of an exchange, in bytes.
const MAX_EXCHANGE: usize = 127;
/// The longest name of a topic, in bytes, less what stands behind the prefix.
const MAX_TOPIC_PREFIX: usize = 200;

pub(super) fn check(streams: &StreamsConfig, findings: &mut Findings<'_>) {
    check_rabbitmq(streams, findings);
    check_kafka(streams, findings);
}

fn check_rabbitmq(streams: &StreamsConfig, findings: &mut Findings<'_>) {
    let options = &streams.rabbitmq_options;
    let at = |key: &str| Place::key("streams", "rabbitmq_options").child(key);
    check_sink("rabbitmq_options", &options.lanes, options.batch, findings);
    positive(options.timeout, &at("timeout"), findings);
    if !options.heartbeat.is_zero() && options.heartbeat < Dur::secs(1) {
        findings.add(&at("heartbeat"), "`heartbeat` is less than a second", "expected 0s, or at least 1s");
    }
    if options.exchange.len() > MAX_EXCHANGE {
        let expected = format!("expected at most {MAX_EXCHANGE} bytes");
        findings.add(&at("exchange"), "the name of the exchange is too long", expected);
    }
    check_plain(&options.exchange, &at("exchange"), findings);
    check_one_password(&options.password_env, &options.password_file, "rabbitmq_options", findings);
    let url = match streams.rabbitmq.parse::<AmqpUrl>() {
        Ok(url) => Some(url),
        Err(_) if streams.rabbitmq.is_empty() => None,
        Err(error) => {
            // An error has its own `expected`.
            let text = error.to_string();
            let (message, expected) = text.split_once(", ").unwrap_or((&text, ""));
            return findings.add(&Place::key("streams", "rabbitmq"), message, expected);
        }
    };
    if !options.ca_file.is_empty() && !url.is_some_and(|url| url.has_tls) {
        let message = "`ca_file` is for TLS, which this `rabbitmq` is without";
        findings.add(&at("ca_file"), message, "expected `amqps://…`");
    }
}

fn check_kafka(streams: &StreamsConfig, findings: &mut Findings<'_>) {
    let options = &streams.kafka_options;
    let at = |key: &str| Place::key("streams", "kafka_options").child(key);
    check_sink("kafka_options", &options.lanes, options.batch, findings);
    positive(options.timeout, &at("timeout"), findings);
    if !options.ca_file.is_empty() && !options.tls {
        findings.add(&at("ca_file"), "`ca_file` is for TLS, which is off", "expected `tls = true` beside it");
    }
    let has_password = !options.password_env.is_empty() || !options.password_file.is_empty();
    if options.username.is_empty() && has_password {
        findings.add(&at("username"), "a password without a name", "expected whose it is");
    }
    if !options.username.is_empty() && !has_password {
        let expected = "expected `password_env` or `password_file` beside it";
        findings.add(&at("username"), "a name without a password", expected);
    }
    check_one_password(&options.password_env, &options.password_file, "kafka_options", findings);
    if streams.kafka.is_empty() {
        return;
    }
    if !streams.kafka.split(',').all(is_server) {
        let expected = "expected brokers with commas between them, such as \"host:9092,other:9092\"";
        findings.add(&Place::key("streams", "kafka"), "bad address of a broker", expected);
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !streams.prefix.chars().all(is_legal) || streams.prefix.len() > MAX_TOPIC_PREFIX {
        let expected = "expected letters, digits, `-`, `_` or `.`, with `kafka`";
        findings.add(&Place::key("streams", "prefix"), "the prefix cannot begin a topic's name", expected);
    }
}

fn check_one_password(env: &str, file: &str, table: &str, findings: &mut Findings<'_>) {
    if !env.is_empty() && !file.is_empty() {
        let place = Place::key("streams", table).child("password_file");
        findings.add(&place, "a password from two places", "expected one of them");
    }
}

fn is_server(server: &str) -> bool {
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    server.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Dur, Secret, SinkLane};

    fn mistakes(streams: &str) -> Vec<(String, String)> {
        let errors = match Config::parse(&format!("[streams]\n{streams}\n"), "t.toml") {
            Ok(_) => return Vec::new(),
            Err(errors) => errors,
        };
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        errors.mistakes().iter().map(|one| (one.setting.clone(), one.message.clone())).collect()
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, setting, message) in [
            ("rabbitmq = \"http://h\"", "streams.rabbitmq", "bad scheme"),
            ("rabbitmq = \"amqp://u:hunter2@h:1/v\"", "streams.rabbitmq", "a password in the address"),
            (
                "rabbitmq = \"amqp://u@h\"\nrabbitmq_options = { ca_file = \"f\" }",
                "streams.rabbitmq_options.ca_file",
                "`ca_file` is for TLS, which this `rabbitmq` is without",
            ),
            ("rabbitmq_options = { batch = 0 }", "streams.rabbitmq_options.batch", "`batch` is 0"),
            (
                "rabbitmq_options = { heartbeat = \"10ms\" }",
                "streams.rabbitmq_options.heartbeat",
                "`heartbeat` is less than a second",
            ),
            (
                "rabbitmq_options = { password_env = \"A\", password_file = \"f\" }",
                "streams.rabbitmq_options.password_file",
                "a password from two places",
            ),
        ] {
            assert_eq!(mistakes(text), [(setting.to_owned(), message.to_owned())], "{text}");
        }
    }

    #[test]
    fn options_are_read_and_the_password_reaches_children_alone() {
        let text = "[streams]\nrabbitmq = \"amqps://u@h:1/v\"\n[streams.rabbitmq_options]\nlanes = [\"odds\"]\n\
                    exchange = \"e\"\ndeclare = false\nheartbeat = \"0s\"\nca_file = \"f\"\npassword_env = \"A\"\n";
        let mut config = Config::parse(text, "t.toml").unwrap();
        let options = &mut config.streams.rabbitmq_options;
        assert_eq!((options.lanes.as_slice(), options.heartbeat), (&[SinkLane::Odds][..], Dur::secs(0)));
        options.password = Secret::new("hunter2".to_owned());
        assert!(!config.to_toml().contains("hunter2") && !format!("{config:?}").contains("hunter2"));
        let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
        assert_eq!(child.streams.rabbitmq_options.password.expose(), "hunter2");
    }

    #[cfg(not(feature = "kafka"))]
    #[test]
    fn kafka_is_refused_where_it_is_not_built() {
        for text in ["kafka = \"h:9092\"", "kafka_options = { batch = 5 }"] {
            let found = mistakes(text);
            assert!(found.len() == 1 && found[0].1.contains("not in this build"), "{found:?}");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn kafka_takes_brokers_and_a_prefix_that_can_be_a_topics() {
        assert_eq!(mistakes("kafka = \"h:9092,[::1]:9093\""), []);
        for text in ["kafka = \"h\"", "kafka = \"h:9092,\"", "kafka = \"h:0\""] {
            assert_eq!(mistakes(text), [("streams.kafka".to_owned(), "bad address of a broker".to_owned())]);
        }
        assert_eq!(mistakes("kafka = \"h:1\"\nprefix = \"a/b\"")[0].0, "streams.prefix");
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn kafka_takes_tls_and_a_whole_login() {
        let options = |options: &str| format!("kafka = \"h:9093\"\nkafka_options = {{ {options} }}");
        assert_eq!(mistakes(&options("tls = true, ca_file = \"f\"")), []);
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let login = format!("username = \"u\", password_env = \"A\", mechanism = \"{mechanism}\"");
            assert_eq!(mistakes(&options(&login)), []);
        }
        for (text, key, message) in [
            ("ca_file = \"f\"", "ca_file", "`ca_file` is for TLS, which is off"),
            ("username = \"u\"", "username", "a name without a password"),
            ("password_env = \"A\"", "username", "a password without a name"),
            (
                "username = \"u\", password_env = \"A\", password_file = \"f\"",
                "password_file",
                "a password from two places",
            ),
        ] {
            let setting = format!("streams.kafka_options.{key}");
            assert_eq!(mistakes(&options(text)), [(setting, message.to_owned())], "{text}");
        }
        assert_eq!(mistakes(&options("mechanism = \"GSSAPI\"")).len(), 1);
        let mut config = Config::parse(&format!("[streams]\n{}\n", options("tls = true")), "t.toml").unwrap();
        config.streams.kafka_options.password = Secret::new("hunter2".to_owned());
        assert!(!config.to_toml().contains("hunter2") && !format!("{config:?}").contains("hunter2"));
        let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
        assert_eq!(child.streams.kafka_options.password.expose(), "hunter2");
    }
}
