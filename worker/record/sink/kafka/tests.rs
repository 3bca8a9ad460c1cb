//! The sink against the cluster that librdkafka plays in this process.

use super::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Message, Offset, TopicPartitionList};
use touchline_common::config::Dur;

mod consumer;
mod front;
mod secure;

fn sink(servers: &str) -> Kafka {
    let mut streams = StreamsConfig { kafka: servers.to_owned(), ..StreamsConfig::default() };
    streams.kafka_options.timeout = Dur::secs(5);
    Kafka::new(&streams, 17)
}

fn row(seq: i64, lane: SinkLane, json: &str) -> Row {
    let (feed, id, kind) = ("in.play".to_owned(), format!("m{}", seq % 2), "goal".to_owned());
    Row { seq, feed, id, kind, lane, json: json.to_owned() }
}

/// Key, name and row of so many records of a topic.
fn records(servers: &str, topic: &str, partitions: i32, count: usize) -> Vec<(String, String, String)> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "tests").create().unwrap();
    // Not as a member of a group: the cluster takes its time to form one.
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partitions {
        wanted.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&wanted).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let mut records = Vec::new();
    while records.len() < count {
        assert!(Instant::now() < until, "{records:?}");
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = record.unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let header = record.headers().unwrap().get(0);
        assert_eq!(header.key, "id");
        records.push((text(record.key()), text(header.value), text(record.payload())));
    }
    records
}

#[test]
fn rows_go_to_the_topics_of_their_feed_under_the_key_of_their_match() {
    let cluster = MockCluster::new(1).unwrap();
    let servers = cluster.bootstrap_servers();
    for topic in ["touchline.ev.in.play", "touchline.odds.in.play", "touchline.chat.in.play"] {
        cluster.create_topic(topic, 2, 1).unwrap();
    }
    let mut sink = sink(&servers);
    let held = Position { mark: "m".into(), ..Position::default() };
    assert_eq!(sink.connect(&held), Ok(held.clone()));
    let event = |id: &str| format!("{{\"id\":\"{id}\",\"revision\":0}}");
    let events = [
        row(1, SinkLane::Priority, &event("a")),
        row(2, SinkLane::Normal, &event("b")),
        row(3, SinkLane::Priority, &event("c")),
    ];
    assert_eq!(sink.deliver(&events, &mut || ()), Delivery::all(&events));
    let odds = [row(9, SinkLane::Odds, "{}")];
    assert_eq!(sink.deliver(&odds, &mut || ()), Delivery::all(&odds));
    let said = [row(10, SinkLane::Chat, "{\"id\":\"c\"}")];
    assert_eq!(sink.deliver(&said, &mut || ()), Delivery::all(&said));
    assert_eq!(
        records(&servers, "touchline.chat.in.play", 2, 1),
        [("m0".into(), "17-10".into(), "{\"id\":\"c\"}".into())]
    );
    let found = records(&servers, "touchline.ev.in.play", 2, 3);
    let of_one: Vec<&str> =
        found.iter().filter(|(key, ..)| key == "m1").map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(of_one, ["a", "c"], "a match is in order");
    assert_eq!(
        records(&servers, "touchline.odds.in.play", 2, 1),
        [("m1".into(), "17-9".into(), "{}".into())]
    );
}

#[test]
fn a_record_that_is_too_large_is_refused_alone() {
    let cluster = MockCluster::new(1).unwrap();
    let servers = cluster.bootstrap_servers();
    cluster.create_topic("touchline.odds.in.play", 1, 1).unwrap();
    let mut sink = sink(&servers);
    // Beyond what the library takes.
    let rows = [row(1, SinkLane::Odds, "{}"), row(2, SinkLane::Odds, &"x".repeat(2_000_000))];
    sink.connect(&Position::default()).unwrap();
    let first = sink.deliver(&rows, &mut || ());
    assert_eq!((first.settled, first.refused.len()), (1, 0), "{first:?}");
    sink.connect(&Position::default()).unwrap();
    let second = sink.deliver(&rows[1..], &mut || ());
    assert_eq!((second.settled, second.refused.len()), (1, 1), "{second:?}");
    // Beyond what the broker takes.
    sink.connect(&Position::default()).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let third = sink.deliver(&rows[..1], &mut || ());
    assert_eq!((third.settled, third.refused.len()), (1, 1), "{third:?}");
    assert!(third.failure.is_some());
}

#[test]
fn a_broker_that_stumbles_gets_each_record_once() {
    let cluster = MockCluster::new(1).unwrap();
    let servers = cluster.bootstrap_servers();
    cluster.create_topic("touchline.odds.in.play", 1, 1).unwrap();
    let mut sink = sink(&servers);
    sink.connect(&Position::default()).unwrap();
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT; 2];
    cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let rows = [row(1, SinkLane::Odds, "{}"), row(2, SinkLane::Odds, "{}"), row(3, SinkLane::Odds, "{}")];
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    let names: Vec<String> =
        records(&servers, "touchline.odds.in.play", 1, 3).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(names, ["17-1", "17-2", "17-3"]);
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let mut streams = StreamsConfig { kafka: "127.0.0.1:1".to_owned(), ..StreamsConfig::default() };
    streams.kafka_options.timeout = Dur::secs(1);
    let mut sink = Kafka::new(&streams, 17);
    let error = sink.connect(&Position::default()).unwrap_err();
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(sink.deliver(&[row(1, SinkLane::Odds, "{}")], &mut || ()).failure.is_some());
}
