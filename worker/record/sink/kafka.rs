//! Kafka: each row a record of the topic of its feed, under the key of its match, so that a match stays in order.
//!
//! Topics are `{prefix}.ev.{feed}`, `{prefix}.odds.{feed}` and `{prefix}.chat.{feed}`; the header `id` has the row's name (`message`). The
//! producer is idempotent: what it sends again by itself the broker takes once. A batch is settled when the report of each record is
//! there. TLS and the login are librdkafka's (`security`). Only in builds with the feature `kafka`; librdkafka has threads of its own,
//! this one alone takes their reports.

use super::message::name;
use super::pace::{Blame, Pace, Stop};
use super::{Delivery, Position, Row, Sink};
use crate::record::queue::lock;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use security::{explain, secure};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use touchline_common::config::{SinkLane, StreamsConfig};

mod security;

/// How long a look for reports may wait before the clock is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What the library calls lines about a connection that failed.
const FAILED: &str = "FAIL";
/// How long records are collected for one request, in milliseconds.
const LINGER_MS: &str = "2";

pub(super) struct Kafka {
    config: ClientConfig,
    servers: String,
    prefix: String,
    /// Of the store, for the names of rows.
    token: u64,
    patience: Duration,
    producer: Option<BaseProducer<Reports>>,
    pace: Pace,
}

impl Kafka {
    /// Not connected yet; `token` is the store's.
    pub(super) fn new(streams: &StreamsConfig, token: u64) -> Kafka {
        let patience = streams.kafka_options.timeout.get();
        let ms = patience.as_millis().to_string();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", streams.kafka.as_str())
            .set("client.id", "touchline")
            .set("enable.idempotence", "true")
            // As clients in other languages do, so that one key means one partition to all.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", LINGER_MS)
            // A record that takes longer is given up, and with it the batch.
            .set("message.timeout.ms", ms.as_str())
            .set("request.timeout.ms", ms.as_str());
        secure(&mut config, &streams.kafka_options);
        // Those of connections that failed are among them; none is written anywhere.
        config.set_log_level(RDKafkaLogLevel::Info);
        Kafka {
            config,
            servers: streams.kafka.clone(),
            prefix: streams.prefix.clone(),
            token,
            patience,
            producer: None,
            pace: Pace::default(),
        }
    }

    /// A row of its topic; the reports call it by its place.
    fn send(&self, producer: &BaseProducer<Reports>, place: usize, row: &Row) -> Result<(), KafkaError> {
        let (topic, id) = (self.topic(row), name(row, self.token));
        let record = BaseRecord::with_opaque_to(&topic, place)
            .key(row.id.as_str())
            .payload(row.json.as_str())
            .headers(OwnedHeaders::new().insert(Header { key: "id", value: Some(id.as_str()) }));
        producer.send(record).map_err(|(error, _)| error)
    }

    fn topic(&self, row: &Row) -> String {
        let queue = match row.lane {
            SinkLane::Priority | SinkLane::Normal => "ev",
            SinkLane::Odds => "odds",
            SinkLane::Chat => "chat",
        };
        format!("{}.{queue}.{}", self.prefix, row.feed)
    }

    fn publish(&self, rows: &[Row]) -> Result<(), Stop> {
        let broker = |why: String| Stop { settled: 0, blame: Blame::Broker, why };
        let Some(producer) = &self.producer else { return Err(broker("there is no connection".to_owned())) };
        producer.context().begin(rows.len());
        for (place, row) in rows.iter().enumerate() {
            if let Err(error) = self.send(producer, place, row) {
                producer.context().report(place, Some(error));
            }
        }
        // Its own deadline, a little beyond the records': each has a report by then.
        let until = Instant::now() + self.patience + LOOK;
        while !producer.context().is_over() && Instant::now() < until {
            producer.poll(LOOK);
        }
        producer.context().judge(&self.servers)
    }
}

impl Sink for Kafka {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        self.disconnect();
        let failed = |error: KafkaError| format!("no connection to {}: {error}", self.servers);
        let producer: BaseProducer<Reports> =
            self.config.create_with_context(Reports::default()).map_err(failed)?;
        if let Err(error) = producer.client().fetch_metadata(None, self.patience) {
            producer.poll(LOOK);
            let why = lock(&producer.context().state).trouble.take();
            return Err(
                why.map_or_else(|| failed(error), |why| format!("no connection to {}: {why}", self.servers))
            );
        }
        self.producer = Some(producer);
        Ok(held.clone())
    }

    fn deliver(&mut self, rows: &[Row], _meanwhile: &mut dyn FnMut()) -> Delivery {
        let mut pace = self.pace;
        let delivery = pace.deliver(rows, |part| self.publish(part));
        self.pace = pace;
        delivery
    }

    fn disconnect(&mut self) {
        // Whatever is still under way goes with it, and comes again.
        self.producer = None;
    }
}

/// What became of each record of a batch.
#[derive(Debug, Default)]
struct Reports {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By its place: `None` while nothing is known.
    records: Vec<Option<Result<(), KafkaError>>>,
    left: usize,
    /// The first word of the library on why it waits.
    trouble: Option<String>,
}

impl Reports {
    fn begin(&self, records: usize) {
        let mut state = lock(&self.state);
        state.records.clear();
        state.records.resize(records, None);
        state.left = records;
        state.trouble = None;
    }

    fn report(&self, place: usize, error: Option<KafkaError>) {
        let mut state = lock(&self.state);
        let result = error.map_or(Ok(()), Err);
        let Some(record) = state.records.get_mut(place).filter(|record| record.is_none()) else { return };
        *record = Some(result);
        state.left -= 1;
    }

    fn is_over(&self) -> bool {
        lock(&self.state).left == 0
    }

    fn judge(&self, servers: &str) -> Result<(), Stop> {
        let state = lock(&self.state);
        let is_delivered = |record: &&Option<Result<(), KafkaError>>| matches!(record, Some(Ok(())));
        let settled = state.records.iter().take_while(is_delivered).count();
        if settled == state.records.len() {
            return Ok(());
        }
        let mut failed = state.records.iter().flatten().filter_map(|record| record.as_ref().err());
        let too_large =
            |error: &&KafkaError| error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
        if let Some(error) = failed.clone().find(too_large) {
            return Err(Stop { settled, blame: Blame::Message, why: error.to_string() });
        }
        let why = match (failed.next(), &state.trouble) {
            (Some(error), Some(trouble)) => format!("{servers} did not take a record: {error} ({trouble})"),
            (Some(error), None) => format!("{servers} did not take a record: {error}"),
            (None, _) => format!("{servers} gave no word on {} records in time", state.left),
        };
        Err(Stop { settled, blame: Blame::Broker, why })
    }
}

impl ClientContext for Reports {
    /// The library's own lines are of other words and levels than ours: of those of a connection that failed the first is kept, for it
    /// is behind what follows.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        if facility == FAILED {
            let said = text.split_once("]: ").map_or(text, |(_thread, said)| said);
            lock(&self.state).trouble.get_or_insert_with(|| explain(said));
        }
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        lock(&self.state).trouble.get_or_insert_with(|| explain(reason));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        self.report(place, result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

#[cfg(test)]
mod tests;
