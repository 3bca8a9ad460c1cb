//! Every sink of a recorder: made from the configuration, started, shown, and told what operators want.

use super::Sink;
use super::asker::Asker;
use super::driver::Timing;
#[cfg(feature = "kafka")]
use super::kafka::Kafka;
use super::ndjson::Ndjson;
use super::rabbitmq::RabbitMq;
use super::redis::Redis;
use super::thread::{Documents, Order, Plan, Runner, Shared, Streams};
use crate::record::RecordError;
use crate::record::config::RecordConfig;
use crate::record::queue::lock;
use crate::record::{bulk, store};
use serde_json::{Map, Value};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use touchline_common::config::SinkLane;
use touchline_common::control::{Answer, Code};
use touchline_common::ipc::messages::data::Stream;
use touchline_common::ipc::messages::recorder::SinkStats;

/// Orders that may wait for a sink's thread.
const ORDERS: usize = 16;

/// A thread that is so long in one step is stuck: a pipe that nobody reads has no timeout.
const STUCK: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(in crate::record) struct Sinks {
    handles: Vec<Handle>,
}

#[derive(Debug)]
struct Handle {
    name: &'static str,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What is made of the configuration: each sink that is on.
fn plans(config: &RecordConfig, token: u64) -> Vec<(Plan, Box<dyn Sink>)> {
    let streams = &config.streams;
    let timing = Timing {
        retry_max: streams.retry_max.get(),
        down_after: streams.down_after.get(),
        lag_after: streams.lag_after.get(),
    };
    let plan = |name, lanes: &[SinkLane], batch: u32, documents| Plan {
        name,
        kind: name,
        lanes: lanes.to_vec(),
        batch: batch as usize,
        documents,
        timing,
    };
    let mut plans: Vec<(Plan, Box<dyn Sink>)> = Vec::new();
    if !streams.redis.is_empty() {
        let options = &streams.redis_options;
        let documents = if options.documents { Documents::Wanted } else { Documents::NotWanted };
        let plan = plan("redis", &options.lanes, options.batch, documents);
        plans.push((plan, Box::new(Redis::new(config, token))));
    }
    if !streams.ndjson.is_empty() {
        let options = &streams.ndjson_options;
        let plan = plan("ndjson", &options.lanes, options.batch, Documents::NotWanted);
        plans.push((plan, Box::new(Ndjson::new(&streams.ndjson))));
    }
    if !streams.rabbitmq.is_empty() {
        let options = &streams.rabbitmq_options;
        let plan = plan("rabbitmq", &options.lanes, options.batch, Documents::NotWanted);
        plans.push((plan, Box::new(RabbitMq::new(streams, token))));
    }
    #[cfg(feature = "kafka")]
    if !streams.kafka.is_empty() {
        let options = &streams.kafka_options;
        let plan = plan("kafka", &options.lanes, options.batch, Documents::NotWanted);
        plans.push((plan, Box::new(Kafka::new(streams, token))));
    }
    plans
}

impl Sinks {
    /// Starts each sink's thread; before the streams' threads commit anything, so that a new sink gets all that comes.
    ///
    /// # Errors
    /// [`RecordError::Kernel`].
    pub(in crate::record) fn start(
        config: &Arc<RecordConfig>,
        token: u64,
        matches: &Arc<store::Shared>,
        bulk: &Arc<bulk::Shared>,
    ) -> Result<Sinks, RecordError> {
        let streams = Streams { matches: Arc::clone(matches), bulk: Arc::clone(bulk) };
        let mut handles = Vec::new();
        for (plan, sink) in plans(config, token) {
            let (name, shared) = (plan.name, Arc::new(Shared::default()));
            let (own, config) = (Arc::clone(&shared), Arc::clone(config));
            let runner = Runner::new(plan, sink, own, streams.clone(), config, token);
            let started = std::thread::Builder::new().name(name.into()).spawn(move || runner.run());
            let thread = started
                .map_err(|source| RecordError::Kernel { operation: "start a sink's thread", source })?;
            handles.push(Handle { name, shared, thread });
        }
        Ok(Sinks { handles })
    }

    pub(in crate::record) fn stats(&self) -> Vec<SinkStats> {
        self.handles.iter().map(Handle::stats).collect()
    }

    /// Whether no thread is left.
    pub(in crate::record) fn are_over(&self) -> bool {
        self.handles.iter().all(|handle| handle.thread.is_finished())
    }

    /// Files that sinks write were moved.
    pub(in crate::record) fn reopen(&self) {
        self.handles.iter().for_each(|handle| drop(handle.order(Order::Reopen)));
    }

    /// Carries out an operator's `sink`, whose arguments these are: who waits on `socket` is answered by the sink's thread, once it is
    /// stored.
    pub(in crate::record) fn answer(&self, args: &str, socket: OwnedFd) {
        let asker = Asker::new(socket);
        match self.rewind_of(args) {
            Ok((handle, stream, since)) => handle.rewind(stream, since, asker),
            Err((code, error)) => asker.answer(&Answer::refused(code, error)),
        }
    }

    /// The sink that is to be rewound, and to where.
    fn rewind_of(&self, args: &str) -> Result<(&Handle, Stream, i64), (Code, String)> {
        let usage = |text: String| (Code::Usage, text);
        let args: Map<String, Value> = serde_json::from_str(args)
            .map_err(|error| usage(format!("the arguments are no object: {error}")))?;
        let text = |name: &str| args.get(name).and_then(Value::as_str);
        if text("action") != Some("rewind") {
            return Err(usage("sink takes the action `rewind`".into()));
        }
        let since = args.get("since").and_then(Value::as_u64);
        let since = since.ok_or_else(|| usage("rewind wants `since`, a sequence number".into()))?;
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let stream = match text("lane").map(|name| (name, SinkLane::by_name(name))) {
            None => Stream::Match,
            Some((_, Some(lane))) => lane.stream(),
            Some((name, None)) => {
                let known = "priority, normal, odds or chat";
                return Err(usage(format!("no lane is called {name:?}: {known}")));
            }
        };
        let name = text("name").unwrap_or_default();
        let Some(handle) = self.handles.iter().find(|handle| handle.name == name) else {
            let names: Vec<&str> = self.handles.iter().map(|handle| handle.name).collect();
            let known = if names.is_empty() { "none is configured".into() } else { names.join(", ") };
            return Err((Code::Failed, format!("no sink is called {name:?}: {known}")));
        };
        Ok((handle, stream, since))
    }
}

impl Handle {
    fn stats(&self) -> SinkStats {
        let mut stats = lock(&self.shared.stats).clone();
        let stands = lock(&self.shared.shown_at).map_or(Duration::ZERO, |at| at.elapsed());
        if stands >= STUCK && !self.thread.is_finished() {
            stats.trouble = format!("whoever reads there has taken nothing for {} s", stands.as_secs());
        }
        stats
    }

    fn rewind(&self, stream: Stream, since: i64, asker: Asker) {
        match self.order(Order::Rewind { stream, since, asker }) {
            Some(Order::Rewind { asker, .. }) => {
                let error = format!("sink {} does not come to its orders: see `touchline status`", self.name);
                asker.answer(&Answer::refused(Code::Failed, error));
            }
            Some(Order::Reopen) | None => {}
        }
    }

    /// Gives it back where there is no room for it, or nobody to carry it out.
    fn order(&self, order: Order) -> Option<Order> {
        let mut orders = lock(&self.shared.orders);
        if orders.len() >= ORDERS || self.thread.is_finished() {
            return Some(order);
        }
        orders.push(order);
        None
    }
}
