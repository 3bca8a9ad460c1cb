//! TLS and logins, by what stands before the cluster.

use super::front::front;
use super::*;
use crate::record::sink::rabbitmq::tests::tls;
use std::sync::atomic::Ordering;
use touchline_common::config::{SaslMechanism, Secret};

fn cluster() -> (MockCluster<'static, rdkafka::producer::DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("touchline.odds.in.play", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    (cluster, servers)
}

fn options(servers: &str) -> StreamsConfig {
    let mut streams = StreamsConfig { kafka: servers.to_owned(), ..StreamsConfig::default() };
    streams.kafka_options.timeout = Dur::secs(3);
    streams
}

#[test]
fn over_tls_only_a_broker_that_is_vouched_for_is_talked_to() {
    let (_cluster, servers) = cluster();
    let (config, authority) = tls("127.0.0.1");
    let secure = front(&servers, Some(config), None).address;
    let mut streams = options(&secure);
    let error = Kafka::new(&streams, 17).connect(&Position::default()).unwrap_err();
    assert!(error.contains("wants TLS, set `tls`"), "{error}");
    streams.kafka_options.tls = true;
    // Not one that the system trusts.
    let error = Kafka::new(&streams, 17).connect(&Position::default()).unwrap_err();
    assert!(
        error.contains(&secure) && error.contains("not trusted") && error.contains("`ca_file`"),
        "{error}"
    );
    assert!(!error.contains('\n') && !error.contains("ssl.ca.location"), "{error}");
    streams.kafka_options.ca_file = authority.path().to_str().unwrap().to_owned();
    let mut sink = Kafka::new(&streams, 17);
    sink.connect(&Position::default()).unwrap();
    // More than one record of TLS.
    let rows = [row(1, SinkLane::Odds, &"x".repeat(100_000)), row(2, SinkLane::Odds, "{}")];
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    let names: Vec<String> =
        records(&servers, "touchline.odds.in.play", 1, 2).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(names, ["17-1", "17-2"]);

    // Trusted, and for another host.
    let (config, authority) = tls("127.0.0.2");
    let elsewhere = front(&servers, Some(config), None).address;
    let mut streams = options(&elsewhere);
    streams.kafka_options.tls = true;
    streams.kafka_options.ca_file = authority.path().to_str().unwrap().to_owned();
    let error = Kafka::new(&streams, 17).connect(&Position::default()).unwrap_err();
    assert!(error.contains("not for this host"), "{error}");
}

#[test]
fn a_login_is_proved_over_tls() {
    let (_cluster, servers) = cluster();
    let (config, authority) = tls("127.0.0.1");
    let front = front(&servers, Some(config), Some(b"\0tester\0hunter2"));
    let mut streams = options(&front.address);
    let options = &mut streams.kafka_options;
    (options.tls, options.username) = (true, "tester".to_owned());
    options.ca_file = authority.path().to_str().unwrap().to_owned();
    options.password = Secret::new("wrong".to_owned());
    let error = Kafka::new(&streams, 17).connect(&Position::default()).unwrap_err();
    assert!(error.contains("check `username`") && !error.contains("wrong"), "{error}");
    assert_eq!(front.logins.load(Ordering::SeqCst), 0);
    streams.kafka_options.password = Secret::new("hunter2".to_owned());
    let mut sink = Kafka::new(&streams, 17);
    sink.connect(&Position::default()).unwrap();
    let rows = [row(1, SinkLane::Odds, "{}")];
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    assert!(front.logins.load(Ordering::SeqCst) > 0);
    assert_eq!(records(&servers, "touchline.odds.in.play", 1, 1).len(), 1);
}

#[test]
fn every_mechanism_is_one_that_the_library_has() {
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let mut streams = options("127.0.0.1:1");
        streams.kafka_options.username = "tester".to_owned();
        streams.kafka_options.password = Secret::new("hunter2".to_owned());
        streams.kafka_options.mechanism = mechanism;
        let made: Result<BaseProducer<Reports>, KafkaError> =
            Kafka::new(&streams, 17).config.create_with_context(Reports::default());
        assert!(made.is_ok(), "{mechanism:?}: {:?}", made.err());
    }
}
