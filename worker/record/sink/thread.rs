//! A sink's thread: does what `driver` says, with the sink itself, the store's rows and the sink's place.
//!
//! Each turn: orders of operators, what is committed by now, one step. A step ends within the sink's own timeout; the waits between them
//! are short, so that orders and the recorder's end are seen. Nothing waits for this thread but the recorder's end, and that not for long:
//! what is not told by then is told by the next recorder.

use super::asker::Asker;
use super::driver::{Driver, News, State, Step};
use super::places::{Places, Refused};
use super::tail::{DOCUMENTS, Tail};
use super::{Delivery, Position, Row, Sink, Timing};
use crate::record::bulk;
use crate::record::config::RecordConfig;
use crate::record::queue::lock;
use crate::record::store;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use touchline_common::config::SinkLane;
use touchline_common::control::{Answer, Code};
use touchline_common::ipc::messages::data::{PerStream, Stream};
use touchline_common::ipc::messages::recorder::SinkStats;

/// How often orders, the bulk stream's rows and the recorder's end are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long rows are still told once the recorder leaves.
const LAST: Duration = Duration::from_millis(500);

/// The least time between two log lines about a store that cannot be read, and between two about refused rows.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// What a sink is to get, and when it is tried again.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// As operators call it.
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) lanes: Vec<SinkLane>,
    /// Rows of one delivery at most.
    pub(super) batch: usize,
    pub(super) documents: Documents,
    pub(super) timing: Timing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Documents {
    Wanted,
    NotWanted,
}

impl Plan {
    pub(super) fn takes(&self) -> PerStream<bool> {
        let any = |stream| self.lanes.iter().any(|lane| lane.stream() == stream);
        PerStream { matches: any(Stream::Match), bulk: any(Stream::Bulk) }
    }
}

#[derive(Debug)]
pub(super) enum Order {
    Rewind { stream: Stream, since: i64, asker: Asker },
    Reopen,
}

/// What others see of a sink's thread, and tell it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) orders: Mutex<Vec<Order>>,
    pub(super) stats: Mutex<SinkStats>,
    /// When those were true: a thread that stands still in a delivery cannot say so itself.
    pub(super) shown_at: Mutex<Option<Instant>>,
}

/// The two streams as their threads share them.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) matches: Arc<store::Shared>,
    pub(super) bulk: Arc<bulk::Shared>,
}

impl Streams {
    fn newest(&self) -> PerStream<i64> {
        PerStream { matches: self.matches.newest.get(), bulk: self.bulk.newest.get() }
    }
}

pub(super) struct Runner {
    plan: Plan,
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    streams: Streams,
    config: Arc<RecordConfig>,
    /// The store's.
    token: u64,
    driver: Driver,
    tail: Tail,
    places: Option<Places>,
    /// What retention looks at, for each stream that it takes.
    marks: PerStream<Option<Arc<AtomicI64>>>,
    /// Refused rows that are not set aside yet.
    refused: Vec<Refused>,
    /// Where it is as it is stored.
    stored: Option<Position>,
    /// Where a sink begins that was never anywhere: with what comes after the recorder's start.
    first: PerStream<i64>,
    shown_at: Option<Instant>,
    /// When the log last said that the store could not be read,
    unread_at: Option<Instant>,
    /// and that rows were refused.
    refused_at: Option<Instant>,
}

impl Runner {
    /// Before the streams' threads commit anything.
    pub(super) fn new(
        plan: Plan,
        sink: Box<dyn Sink>,
        shared: Arc<Shared>,
        streams: Streams,
        config: Arc<RecordConfig>,
        token: u64,
    ) -> Runner {
        let takes = plan.takes();
        let documents = match plan.documents {
            Documents::Wanted => Some(Instant::now()),
            Documents::NotWanted => None,
        };
        // Until it is known where the sink is, nothing counts as read.
        let marks = PerStream {
            matches: takes.matches.then(|| streams.matches.readers.add(0)),
            bulk: takes.bulk.then(|| streams.bulk.readers.add(0)),
        };
        let first = streams.newest();
        let mut runner = Runner {
            driver: Driver::new(plan.timing, takes, documents, Position::default()),
            tail: Tail::new(&config),
            plan,
            sink,
            shared,
            streams,
            config,
            token,
            places: None,
            marks,
            refused: Vec::new(),
            stored: None,
            first,
            shown_at: None,
            unread_at: None,
            refused_at: None,
        };
        runner.show(Instant::now());
        runner
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) {
        let mut leaves_at = None;
        loop {
            let now = Instant::now();
            if self.streams.matches.newest.is_closing() {
                leaves_at.get_or_insert(now + LAST);
            }
            self.take_orders();
            self.driver.see(now, self.streams.newest());
            let (step, news) = self.driver.next(now);
            self.report(news);
            let goes_on = match step {
                Step::Deliver(_) => leaves_at.is_none_or(|at| now < at),
                Step::Connect | Step::Documents | Step::Idle | Step::Wait(_) => leaves_at.is_none(),
                Step::Stop => false,
            };
            if !goes_on {
                break;
            }
            self.step(step);
            if self.shown_at.is_none_or(|at| now >= at + LOOK) {
                self.show(now);
            }
        }
        self.sink.disconnect();
        self.driver.stop();
        // Whoever waits for one is told so.
        lock(&self.shared.orders).clear();
        self.show(Instant::now());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect => self.connect(),
            Step::Deliver(stream) => self.deliver(stream),
            Step::Documents => self.documents(),
            Step::Idle => match self.sink.idle() {
                Ok(()) => self.rest(),
                Err(error) => self.fail(error),
            },
            Step::Wait(time) => _ = self.streams.matches.newest.closes_within(time.min(LOOK)),
            Step::Stop => {}
        }
    }

    /// Until rows of the match stream come, but no longer than rows of the other may wait.
    fn rest(&self) {
        let newest = &self.streams.matches.newest;
        if self.marks.matches.is_some() {
            newest.wait_beyond(self.driver.seen(), LOOK);
        } else {
            newest.closes_within(LOOK);
        }
    }

    fn take_orders(&mut self) {
        let orders = std::mem::take(&mut *lock(&self.shared.orders));
        for order in orders {
            match order {
                Order::Rewind { stream, since, asker } => self.rewind(stream, since, asker),
                Order::Reopen => self.reopen(),
            }
        }
    }

    /// Whoever asked is answered once it is stored: from then on no death of the recorder forgets it.
    fn rewind(&mut self, stream: Stream, since: i64, asker: Asker) {
        // Where it is must be known first: else that would be taken up after this.
        let done = self.open_places().and_then(|()| {
            self.driver.rewind(stream, since, *self.streams.newest().get(stream));
            self.save()
        });
        match done {
            Ok(()) => {
                let (sink, since) = (self.plan.name, *self.driver.position().seq.get(stream));
                log::info!(sink = sink, stream:? = stream, since = since; "sink.rewound");
                let which = match stream {
                    Stream::Match => "match",
                    Stream::Bulk => "bulk",
                };
                let done = format!("sink {sink} goes on after {since} in the {which} stream");
                asker.answer(&Answer::Ok(done.into()));
            }
            Err(error) => {
                asker.answer(&Answer::refused(Code::Failed, error.as_str()));
                self.fail(error);
            }
        }
    }

    fn reopen(&mut self) {
        if !matches!(self.driver.state(), State::Delivering { .. }) {
            // It is opened anew anyhow.
            return;
        }
        let reopened = self.sink.reopen().and_then(|mark| {
            self.driver.set_mark(mark);
            self.save()
        });
        if let Err(error) = reopened {
            self.fail(error);
        }
    }

    fn connect(&mut self) {
        let connected = self.open_places().and_then(|()| self.save()).and_then(|()| {
            let position = self.sink.connect(self.driver.position())?;
            self.tail.forget_documents();
            let news = self.driver.connected(Instant::now(), position);
            self.save()?;
            Ok(news)
        });
        match connected {
            Ok(news) => self.report(news),
            Err(error) => self.fail(error),
        }
    }

    /// Takes up where the sink was.
    fn open_places(&mut self) -> Result<(), String> {
        if self.places.is_some() {
            return Ok(());
        }
        let open = || -> rusqlite::Result<_> {
            let places = Places::open(&self.config.path, self.token, self.plan.name)?;
            let found = places.load()?;
            Ok((places, found))
        };
        let (places, found) = open().map_err(|error| self.not_stored(&error))?;
        let (position, refused) =
            found.unwrap_or_else(|| (Position { seq: self.first, mark: String::new() }, 0));
        self.places = Some(places);
        self.driver.take_up(position);
        self.driver.count_refused(refused);
        Ok(())
    }

    fn deliver(&mut self, stream: Stream) {
        // What was not stored the last time comes first.
        if let Err(error) = self.save() {
            return self.fail(error);
        }
        let since = *self.driver.position().seq.get(stream);
        let newest = *self.streams.newest().get(stream);
        let rows = match self.tail.read(stream, since, self.plan.batch) {
            Ok(rows) => rows,
            Err(error) => {
                self.report_unread(&error);
                return self.driver.unreadable(Instant::now(), stream, error);
            }
        };
        // Without any what was there is deleted.
        let through = rows.last().map_or(newest, |row| row.seq);
        let wanted: Vec<Row> = rows.into_iter().filter(|row| self.plan.lanes.contains(&row.lane)).collect();
        let Runner { sink, tail, plan, .. } = self;
        let mut meanwhile = || tail.read_ahead(stream, through, plan.batch);
        let delivery =
            if wanted.is_empty() { Delivery::default() } else { sink.deliver(&wanted, &mut meanwhile) };
        self.settle(stream, through, wanted, delivery);
    }

    fn settle(&mut self, stream: Stream, through: i64, wanted: Vec<Row>, delivery: Delivery) {
        let Delivery { settled, refused, mark, mut failure } = delivery;
        let left = wanted.get(settled).map(|row| row.seq);
        if left.is_some() && settled == 0 && failure.is_none() {
            failure = Some("it took no row and does not say why".to_owned());
        }
        // Up to the first that is not settled.
        let through = left.map_or(through, |seq| seq - 1);
        let settled = settled.min(wanted.len());
        let refused_now = self.set_aside(wanted, refused);
        let delivered = (settled as u64).saturating_sub(refused_now);
        let news = self.driver.settled(stream, through, (delivered, refused_now), mark);
        self.report(news);
        let saved = self.save();
        if let Some(error) = failure.or(saved.err()) {
            self.fail(error);
        }
    }

    /// Keeps what was refused until it is set aside; how many rows that are.
    fn set_aside(&mut self, rows: Vec<Row>, refused: Vec<(usize, String)>) -> u64 {
        if refused.is_empty() {
            return 0;
        }
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        let before = self.refused.len();
        for (place, error) in refused {
            let row = rows.get_mut(place).and_then(Option::take);
            self.refused.extend(row.map(|row| Refused { row, error }));
        }
        let fresh = self.refused.get(before..).unwrap_or_default();
        if let Some(Refused { row, error }) = fresh.first()
            && is_due(&mut self.refused_at)
        {
            log::warn!(
                sink = self.plan.name, rows = fresh.len(), seq = row.seq, error = error.as_str();
                "sink.refused"
            );
        }
        fresh.len() as u64
    }

    fn documents(&mut self) {
        let changed = match self.tail.documents() {
            Ok(changed) => changed,
            Err(error) => return self.report_unread(&error),
        };
        if changed.is_empty() {
            return;
        }
        match self.sink.documents(&changed) {
            Ok(()) => {
                self.tail.documents_sent(&changed);
                if changed.len() >= DOCUMENTS {
                    self.driver.more_documents(Instant::now());
                }
                let news = self.driver.is_well();
                self.report(news);
            }
            Err(error) => self.fail(error),
        }
    }

    /// The store could not be read, which the log says now and then.
    fn report_unread(&mut self, error: &str) {
        if is_due(&mut self.unread_at) {
            log::warn!(sink = self.plan.name, error = error; "sink.unread");
        }
    }

    /// Stores where the sink is, if that changed, and what was refused.
    fn save(&mut self) -> Result<(), String> {
        let position = self.driver.position();
        if self.stored.as_ref() != Some(position) || !self.refused.is_empty() {
            let Some(places) = &mut self.places else { return Ok(()) };
            let total = match places.save(position, &self.refused) {
                Ok(total) => total,
                Err(error) => return Err(self.not_stored(&error)),
            };
            self.stored = Some(position.clone());
            self.driver.count_refused(total);
            self.refused.clear();
        }
        let seq = self.driver.position().seq;
        for (mark, seq) in [(&self.marks.matches, seq.matches), (&self.marks.bulk, seq.bulk)] {
            if let Some(mark) = mark {
                mark.store(seq, Ordering::Release);
            }
        }
        Ok(())
    }

    fn not_stored(&self, error: &rusqlite::Error) -> String {
        let path = super::places::path(&self.config.path);
        format!("where it is cannot be stored in {}: {error}", path.display())
    }

    fn fail(&mut self, error: String) {
        self.sink.disconnect();
        let news = self.driver.failed(Instant::now(), error);
        self.report(news);
    }

    fn report(&mut self, news: Option<News>) {
        let name = self.plan.name;
        match news {
            None => return,
            Some(News::Up) => log::info!(sink = name; "sink.up"),
            Some(News::Down { error, retry }) => {
                let retry_ms = retry.as_millis() as u64;
                log::warn!(sink = name, error = error.as_str(), retry_ms = retry_ms; "sink.down");
            }
        }
        self.show(Instant::now());
    }

    fn show(&mut self, now: Instant) {
        self.shown_at = Some(now);
        *lock(&self.shared.shown_at) = Some(now);
        let shown = self.driver.show(now);
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        *lock(&self.shared.stats) = SinkStats {
            name: self.plan.name.to_owned(),
            kind: self.plan.kind.to_owned(),
            state: shown.state.to_owned(),
            lag_rows: shown.lag_rows,
            lag_ms: ms(shown.lag),
            delivered: shown.delivered,
            refused: shown.refused,
            error: shown.error,
            retry_ms: shown.retry.map(ms),
            trouble: shown.trouble,
        };
    }
}

/// Whether what was last logged then is to be logged again, as of now.
fn is_due(logged_at: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let is_due = logged_at.is_none_or(|at| now >= at + LOG_AGAIN);
    if is_due {
        *logged_at = Some(now);
    }
    is_due
}
