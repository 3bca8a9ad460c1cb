//! The example consumer against what the sink writes: each event once, though both die and send or read again.

use super::*;
use rdkafka::consumer::Consumer as _;
use std::collections::BTreeSet;
use touchline_harness::consumer::Consumer;
use touchline_harness::wait;

/// How long rows may take through the cluster and the consumer; a group waits for a member that died.
const THROUGH: Duration = Duration::from_secs(60);
const TOPIC: &str = "touchline.ev.in.play";
const PARTITIONS: i32 = 3;

fn event(seq: i64) -> Row {
    let (id, revision) = (seq / 2, seq % 2);
    let json = format!(
        r#"{{"seq":{seq},"id":"e{id}","revision":{revision},"match":"m{}","type":"goal","lane":"priority"}}"#,
        seq % 2
    );
    row(seq, SinkLane::Priority, &json)
}

fn deliver(sink: &mut Kafka, rows: &[Row]) {
    sink.connect(&Position::default()).unwrap();
    assert_eq!(sink.deliver(rows, &mut || ()), Delivery::all(rows));
}

/// Records that the topic has, and those that the group has behind it.
fn ends(servers: &str) -> (i64, i64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "table").create().unwrap();
    let mut asked = TopicPartitionList::new();
    let mut there = 0;
    for partition in 0..PARTITIONS {
        asked.add_partition(TOPIC, partition);
        there += consumer.fetch_watermarks(TOPIC, partition, THROUGH).unwrap().1;
    }
    let committed = consumer.committed_offsets(asked, THROUGH).unwrap();
    let behind =
        committed.elements().iter().filter_map(|one| one.offset().to_raw().filter(|at| *at > 0)).sum();
    (there, behind)
}

#[test]
fn the_example_consumer_has_each_event_once_across_its_death() {
    let cluster = MockCluster::new(1).unwrap();
    let servers = cluster.bootstrap_servers();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let args = ["--servers", &servers, "--feed", "in.play", "--session", "6000"];
    let Some(mut one) = Consumer::start(folder.path(), "one", "kafka_group.py", &args) else { return };
    let rows: Vec<Row> = (2..2_002).map(event).collect();
    let (first, rest) = rows.split_at(1_500);
    let mut sink = sink(&servers);
    deliver(&mut sink, first);
    wait::until("rows at the first consumer", THROUGH, || (one.events().len() >= 100).then_some(()));
    one.kill();
    // As after an end of the recorder that did not store where it was.
    deliver(&mut sink, &first[500..]);
    deliver(&mut sink, rest);
    let two = Consumer::start(folder.path(), "two", "kafka_group.py", &args).unwrap();
    let all = (rows.len() + first.len() - 500) as i64;
    wait::until("the group to have read every record", THROUGH, || {
        (ends(&servers) == (all, all)).then_some(())
    });
    let names: BTreeSet<String> = rows.iter().map(|row| name(row, 17)).collect();
    assert_eq!((two.count(), two.events()), (rows.len() as u64, names));
}
