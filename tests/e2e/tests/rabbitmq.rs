//! A real RabbitMQ behind the daemon, and the example consumer behind that: each event once, whoever dies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use touchline_e2e::brokers::{Consumer, RabbitMq};
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::fixture::{INPLAY, quoted};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

/// How long messages may take through broker and consumer, a reconnection included.
const THROUGH: Duration = Duration::from_secs(60);

fn feed(folder: &Path, rabbit: &RabbitMq) -> String {
    let password = folder.join("password");
    std::fs::write(&password, "guest\n").unwrap();
    format!(
        "{INPLAY}max_subscriptions = 5\n[streams]\nrabbitmq = \"{}\"\nretry_max = \"1s\"\n[streams.rabbitmq_options]\n\
         password_file = {}\ntimeout = \"5s\"\nheartbeat = \"2s\"\n",
        rabbit.address(),
        quoted(&password)
    )
}

/// The names of the committed events, as messages carry them.
fn names(events: &[Value]) -> BTreeSet<String> {
    let name = |event: &Value| {
        let id = event["id"].as_str().unwrap();
        match event["revision"].as_u64().unwrap() {
            0 => id.to_owned(),
            revision => format!("{id}.{revision}"),
        }
    };
    events.iter().map(name).collect()
}

/// Waits until the consumer took so many events more.
fn wait_for_more(consumer: &Consumer, more: usize) {
    let before = consumer.events().len();
    wait::until("more events at the consumer", THROUGH, || {
        (consumer.events().len() >= before + more).then_some(())
    });
}

/// Pauses the server; then the consumer has every event that is committed, and no other.
fn assert_all_arrived(site: &Site, consumer: &Consumer) {
    site.simulator.pause();
    // Which also shows that every event is committed.
    site.assert_events_are_true();
    wait::until("every event at the consumer, and no other", THROUGH, || {
        (consumer.events() == names(&site.events())).then_some(())
    });
    assert!(!consumer.odds().is_empty(), "prices come, too");
    let status = site.ask("status", json!({}));
    let sink = &status["recorder"]["sinks"][0];
    assert_eq!((&sink["state"], &sink["refused"]), (&json!("delivering"), &json!(0)), "{status}");
}

#[test]
fn a_broker_without_memory_is_said_to_be_so_and_waited_for() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = rabbit.url();
    let Some(consumer) = Consumer::start(folder.path(), "queue", "rabbitmq_queue.py", &["--url", &url])
    else {
        return;
    };
    let options = Options { matches: 8, rate: 300.0, speed: 100.0, cap: Some(5), ..Options::default() };
    let site = Site::configured(&options, |folder, _| feed(folder, &rabbit));
    site.wait_live(8);
    site.wait_until_recorded(8, LIVE);
    wait_for_more(&consumer, 20);

    rabbit.control(&["set_vm_memory_high_watermark", "0"]);
    site.wait_for_status("a sink that is blocked", BACK, |status| {
        let sink = &status["recorder"]["sinks"][0];
        let error = sink["last_error"].as_str().unwrap_or_default();
        sink["state"] == "backing off" && error.contains("takes no messages for now")
    });
    site.wait_for_rows(100);
    rabbit.control(&["set_vm_memory_high_watermark", "0.4"]);
    wait_for_more(&consumer, 20);
    assert_all_arrived(&site, &consumer);
    drop(consumer);
    drop(rabbit);
}

#[test]
fn a_consumer_that_knows_copies_has_each_event_once_across_deaths_of_recorder_and_broker() {
    let Some(mut rabbit) = RabbitMq::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Before the daemon: the exchange keeps nothing for a queue that is still to come.
    let url = rabbit.url();
    let Some(consumer) = Consumer::start(folder.path(), "queue", "rabbitmq_queue.py", &["--url", &url])
    else {
        return;
    };
    let options = Options { matches: 8, rate: 300.0, speed: 100.0, cap: Some(5), ..Options::default() };
    let site = Site::configured(&options, |folder, _| feed(folder, &rabbit));
    site.wait_live(8);
    site.wait_until_recorded(8, LIVE);
    wait_for_more(&consumer, 20);

    let first = site.ready_recorder().unwrap();
    process::send(first, Signal::SIGKILL);
    wait::until("another recorder", BACK, || site.ready_recorder().filter(|pid| *pid != first));
    wait_for_more(&consumer, 20);

    rabbit.kill();
    site.wait_for_status("a sink that is down", BACK, |status| {
        status["recorder"]["sinks"][0]["state"] != "delivering"
    });
    rabbit.start_again();
    wait_for_more(&consumer, 20);

    assert_all_arrived(&site, &consumer);
    // The site's last look is for processes that were left.
    drop(consumer);
    drop(rabbit);
}
