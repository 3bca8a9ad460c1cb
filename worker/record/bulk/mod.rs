//! The bulk stream's thread: frames in as bytes, rows of the hour files out.
//!
//! Each [`bulk_commit`](crate::record::config::RecordConfig) what came is committed with the workers' positions in one transaction;
//! replies follow the commit. A batch that the disk refuses is kept and tried again with no new work taken meanwhile, so nothing is
//! lost or doubled; the workers' windows then hold them. A frame that cannot be understood breaks its own channel only.
//! At its start the loop sends an [`BulkJob::Adopt`] for each match that the match stream's store has an owner of.

mod channel;
mod chat;
mod handles;
pub mod ledger;
mod matches;
mod recent;
#[cfg(test)]
mod tests;

use super::RecordError;
use super::config::RecordConfig;
use super::hours::{self, Hours, Kind, Limits, OddsRow, Writer, write_positions};
use super::ledger::Source;
use super::queue::{Cost, lock};
use super::sqlite::{self, Positions};
use super::thread::{BACKOFF, Gone, LAST_ATTEMPTS, OwnJob, Reply};
use super::time::{micros, wall_us};
use channel::Channel;
use chat::Lines;
use hashbrown::HashMap;
use ledger::{Input, Place, Row, Taken};
use matches::{Matches, Texts};
use recent::Recent;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::recorder::RecorderStats;
use touchline_common::model::{Epoch, MatchKey};

/// Bytes that may wait for the thread.
const LIMIT: usize = 32 * 1024 * 1024;
/// Rows after which a batch is committed before `bulk_commit` is over.
const MAX_ROWS: usize = 50_000;

/// What the loop asks of the bulk stream's thread alone.
#[derive(Debug)]
pub enum BulkJob {
    /// The match stream made this epoch the owner.
    Adopt { key: MatchKey, epoch: Epoch },
}

impl Cost for BulkJob {
    fn cost(&self) -> usize {
        0
    }

    fn is_urgent(&self) -> bool {
        false
    }
}

impl OwnJob for BulkJob {
    const FRAMES_ARE_URGENT: bool = false;
}

pub type Job = super::thread::Job<BulkJob>;
pub type Shared = super::thread::Shared<BulkJob>;

/// What waits for its commit. Made once from each job, so that another attempt writes the same again.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<Row>,
    /// Whose rows they are: a match's place, and where its rows end.
    groups: Vec<(usize, usize)>,
    chat: Lines,
    positions: Positions,
    replies: Vec<Reply>,
    refused: u64,
    conflated: u64,
}

#[derive(Debug)]
pub struct Bulk {
    config: Arc<RecordConfig>,
    shared: Arc<Shared>,
    hours: Hours,
    channels: HashMap<Source, Channel>,
    positions: Positions,
    matches: Matches,
    texts: Texts,
    /// Which lines of chat are in the files or in the batch.
    recent: Recent,
    /// Matches in which time alone may change something.
    timed: BTreeSet<usize>,
    batch: Batch,
    /// What an attempt put into the file, to be taken back where it fails.
    fresh: Vec<Fresh>,
    attempts: u32,
    /// When the next hour's file is tried again, where the disk refused it.
    hour_retry: Option<Instant>,
}

/// Something that stands in the current file since this transaction.
#[derive(Debug)]
enum Fresh {
    Text(ledger::TextId),
    Part(usize, Place),
}

impl Bulk {
    /// Opens the hour files beside the store. `parent` names the coordinator's process.
    ///
    /// # Errors
    /// [`RecordError::OpenHours`].
    pub fn open(config: &Arc<RecordConfig>, parent: &str) -> Result<(Bulk, Arc<Shared>), RecordError> {
        let (files, positions) = Hours::open(&config.path, parent, wall_us())?;
        let recent = Recent::read_again(&hours::folder(&config.path), &config.feeds, Instant::now());
        let shared = Arc::new(Shared::new(LIMIT, RecorderStats::default(), files.seq()));
        let bulk = Bulk {
            config: Arc::clone(config),
            shared: Arc::clone(&shared),
            hours: files,
            channels: HashMap::new(),
            positions,
            matches: Matches::default(),
            texts: Texts::default(),
            recent,
            timed: BTreeSet::new(),
            batch: Batch::default(),
            fresh: Vec::new(),
            attempts: 0,
            hour_retry: None,
        };
        Ok((bulk, shared))
    }

    /// The thread's whole life. `wake` is called when replies wait for the loop.
    pub fn run(mut self, wake: &dyn Fn()) {
        let mut jobs = Vec::new();
        let mut seen_second = Instant::now();
        loop {
            self.shared.queue.take(&mut jobs, Instant::now() + self.config.store.bulk_commit.get());
            self.change_hour(wall_us());
            let mut stop = false;
            let mut cost = 0;
            for job in jobs.drain(..) {
                stop |= matches!(job, Job::Stop);
                cost += job.cost();
                self.take(job, Instant::now());
                if self.batch.rows.len() + self.batch.chat.len() >= MAX_ROWS {
                    self.commit(stop);
                }
            }
            self.pass_time(Instant::now(), wall_us());
            self.commit(stop);
            if stop {
                self.batch.replies.push(Reply::Stopped);
                self.shared.queue.reply(&mut self.batch.replies);
            }
            if self.shared.queue.done(cost) | self.shared.queue.has_reply(Reply::is_urgent) {
                wake();
            }
            if stop {
                return;
            }
            if seen_second.elapsed() >= Duration::from_secs(1) {
                seen_second = Instant::now();
                self.each_second(wall_us(), wake);
            }
        }
    }

    fn take(&mut self, job: Job, now: Instant) {
        match job {
            Job::Open { token, source } => self.attach(token, source, now),
            Job::Frames { source, token, chunk, .. } => self.frames(source, token, &chunk, now),
            Job::Own(BulkJob::Adopt { key, epoch }) => {
                let place = self.matches.place(&key, self.config.store.settle.get());
                if let Some(one) = self.matches.slab.get_mut(place) {
                    one.over = None;
                }
                self.advance(place, Input::Adopt(epoch), now);
            }
            Job::Ended { key, epoch } => {
                let found = self.matches.find(&key).and_then(|place| self.matches.slab.get_mut(place));
                // One that no epoch owned yet is of what is assigned since, or goes with its channels.
                if let Some(one) = found
                    && one.ledger.owner().is_some_and(|owner| owner <= epoch)
                {
                    one.over = Some(now);
                }
            }
            Job::Gone(Gone { source, .. }) => self.detach(source, now),
            Job::Stop => {}
        }
    }

    fn attach(&mut self, token: usize, source: Source, now: Instant) {
        self.detach(source, now);
        self.channels.insert(source, Channel::default());
        let resume_after = sqlite::position(&self.positions, source);
        self.batch.replies.push(Reply::Opened { token, resume_after });
    }

    fn detach(&mut self, source: Source, now: Instant) {
        let Some(mut channel) = self.channels.remove(&source) else { return };
        for place in channel.handles.clear() {
            self.unfollow(place, now);
        }
    }

    fn unfollow(&mut self, place: usize, now: Instant) {
        if let Some(one) = self.matches.slab.get_mut(place) {
            one.channels = one.channels.saturating_sub(1);
            // Of a match that no epoch ever owned no `End` comes.
            if one.channels == 0 && one.ledger.owner().is_none() {
                one.over.get_or_insert(now);
            }
        }
    }

    /// Runs one ledger and keeps what follows for the commit.
    fn advance(&mut self, place: usize, input: Input<'_>, now: Instant) -> Taken {
        let Some(one) = self.matches.slab.get_mut(place) else { return Taken::Refused };
        let Batch { rows, groups, refused, .. } = &mut self.batch;
        let first = rows.len();
        let taken = one.ledger.advance(input, now, rows);
        // Of an old owner's chat what has an id counts.
        *refused += u64::from(taken == Taken::Refused && !matches!(input, Input::Said { .. }));
        if one.ledger.deadline().is_some() {
            self.timed.insert(place);
        }
        match groups.last_mut() {
            _ if rows.len() == first => {}
            Some((last, end)) if *last == place => *end = rows.len(),
            Some(_) | None => groups.push((place, rows.len())),
        }
        taken
    }

    fn pass_time(&mut self, now: Instant, at: i64) {
        let mut timed = std::mem::take(&mut self.timed);
        timed.iter().for_each(|place| _ = self.advance(*place, Input::Tick { at }, now));
        let slab = &self.matches.slab;
        timed.retain(|place| slab.get(*place).is_some_and(|one| one.ledger.deadline().is_some()));
        self.timed = timed;
    }

    /// Begins the next hour's file when the last is over. Refused by the disk, the last one goes on: `seq` rises all the same.
    fn change_hour(&mut self, now: i64) {
        let waits = self.hour_retry.is_some_and(|at| Instant::now() < at) || !self.batch.rows.is_empty();
        let Some(hour) = self.hours.next(now).filter(|_| !waits) else { return };
        self.matches.new_file();
        self.texts.new_file();
        let (matches, texts, positions) = (&mut self.matches, &mut self.texts, &self.positions);
        let config = &self.config;
        let places: Vec<usize> =
            matches.slab.iter().filter(|(_, one)| one.over.is_none()).map(|(place, _)| place).collect();
        let (mut rows, mut fresh) = (Vec::new(), Vec::new());
        let rolled = self.hours.roll(hour, &mut |writer| {
            write_positions(writer, positions)?;
            // Match by match: the rows of all would take as much memory as what they state.
            for place in &places {
                let Some(one) = matches.slab.get(*place) else { continue };
                rows.clear();
                let base =
                    |(of, value)| Row { kind: Kind::Base, place: of, value, recovered: false, at: now };
                rows.extend(one.ledger.known().map(base));
                write_rows(writer, *place, &rows, config, matches, texts, &mut fresh)?;
            }
            Ok(())
        });
        match rolled {
            Ok(()) => {
                if self.hour_retry.take().is_some() {
                    self.report_recovery();
                }
                self.shared.newest.set(self.hours.seq());
            }
            Err(error) => {
                // Numbers in the last file are forgotten, so what is used again is named again in it.
                take_back(&mut fresh, &mut self.matches, &mut self.texts);
                self.report_trouble(&error, BACKOFF.1);
                self.hour_retry = Some(Instant::now() + BACKOFF.1);
            }
        }
    }

    /// Commits the batch, however long the disk refuses it; asked to stop, it gives up after a few attempts.
    fn commit(&mut self, stop: bool) {
        let mut backoff = BACKOFF.0;
        while let Err(error) = self.try_commit() {
            self.report_trouble(&error.to_string(), backoff);
            if stop && self.attempts >= LAST_ATTEMPTS {
                log::error!(rows = self.batch.rows.len() + self.batch.chat.len(); "hour.given_up");
                self.batch = Batch::default();
                return;
            }
            // It may be full of old files.
            self.retain(wall_us());
            std::thread::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn report_trouble(&mut self, error: &str, retry: Duration) {
        self.attempts += 1;
        let (attempt, retry_ms) = (self.attempts, retry.as_millis() as u64);
        if attempt.is_power_of_two() {
            log::error!(error = error, attempt = attempt, retry_ms = retry_ms; "hour.trouble");
        } else {
            log::debug!(error = error, attempt = attempt, retry_ms = retry_ms; "hour.trouble");
        }
        lock(&self.shared.stats).trouble = error.to_owned();
    }

    fn report_recovery(&mut self) {
        log::info!("hour.recovered");
        self.attempts = 0;
        lock(&self.shared.stats).trouble.clear();
    }

    fn try_commit(&mut self) -> rusqlite::Result<()> {
        let Batch { rows, groups, chat, positions, .. } = &self.batch;
        if !rows.is_empty() || !chat.is_empty() || !positions.is_empty() {
            let (matches, texts, fresh) = (&mut self.matches, &mut self.texts, &mut self.fresh);
            let config = &self.config;
            let written = self.hours.write(&mut |writer| {
                let mut first = 0;
                for (place, end) in groups {
                    let rows = rows.get(first..*end).unwrap_or_default();
                    write_rows(writer, *place, rows, config, matches, texts, fresh)?;
                    first = *end;
                }
                chat.write(writer, config, matches)?;
                write_positions(writer, positions)
            });
            if written.is_err() {
                take_back(&mut self.fresh, &mut self.matches, &mut self.texts);
                return written;
            }
            self.fresh.clear();
            if self.attempts > 0 && self.hour_retry.is_none() {
                self.report_recovery();
            }
        }
        self.committed();
        Ok(())
    }

    fn committed(&mut self) {
        let Batch { rows, groups, chat, positions, replies, refused, conflated } = &mut self.batch;
        replies.extend(positions.drain().map(|(slot, (generation, n))| {
            let source = Source { slot, generation };
            Reply::Acked { source, n }
        }));
        {
            let mut stats = lock(&self.shared.stats);
            stats.bulk += (rows.len() + chat.len()) as u64;
            stats.refused += std::mem::take(refused);
            stats.odds_conflated += std::mem::take(conflated);
        }
        self.shared.queue.reply(replies);
        if !rows.is_empty() || !chat.is_empty() {
            rows.clear();
            groups.clear();
            chat.clear();
            self.shared.newest.set(self.hours.seq());
        }
    }

    fn each_second(&mut self, now: i64, wake: &dyn Fn()) {
        let look = self.hours.look(now);
        if let Some(path) = look.moved {
            self.shared.queue.reply(&mut vec![Reply::Moved { path }]);
            wake();
        }
        self.matches.sweep(Instant::now());
        self.texts.sweep(&self.matches);
        self.recent.sweep(Instant::now());
        self.retain(now);
        if self.attempts == 0 {
            lock(&self.shared.stats).trouble = look.trouble.unwrap_or_default();
        }
    }

    /// Deletes files that are too old or too much.
    fn retain(&mut self, now: i64) {
        let RecordConfig { store, path, .. } = &*self.config;
        let read = self.shared.readers.low_water();
        let limits = || Limits {
            odds_us: micros(store.keep_odds.get()),
            chat_us: micros(store.keep_chat.get()),
            bytes: store.max_size.get().saturating_sub(sqlite::bytes(path)),
            read,
        };
        let lost = self.hours.retain(limits, now);
        self.shared.readers.lose(lost);
    }
}

/// Writes the rows of the match at `place` and, before the first row of each, the names of what they are about.
fn write_rows(
    writer: &mut Writer<'_>,
    place: usize,
    rows: &[Row],
    config: &RecordConfig,
    matches: &mut Matches,
    texts: &mut Texts,
    fresh: &mut Vec<Fresh>,
) -> rusqlite::Result<()> {
    let Some(one) = matches.slab.get_mut(place) else { return Ok(()) };
    for row in rows {
        let Some(part) = one.part(row.place) else { continue };
        let (mut number, is_market) = (part.in_file, part.is_market());
        if number == 0 {
            let feed = config.feed(&one.key).unwrap_or_default();
            let Some(named) = one.named(row.place, feed) else { continue };
            number = writer.selection(&named)?;
            fresh.push(Fresh::Part(place, row.place));
            if let Some(part) = one.part(row.place) {
                part.in_file = number;
            }
        }
        let text = match texts.get(row.value.text).filter(|_| !is_market) {
            Some((text, in_file)) => {
                if *in_file == 0 {
                    *in_file = writer.text(text)?;
                    fresh.push(Fresh::Text(row.value.text));
                }
                Some(*in_file)
            }
            None => None,
        };
        let Row { kind, value, recovered, at, .. } = *row;
        let ledger::Value { price, suspended, won, .. } = value;
        writer.odds(&OddsRow { at, selection: number, kind, price, text, suspended, recovered, won })?;
    }
    Ok(())
}

/// After a transaction that failed: what it named does not stand in the file.
fn take_back(fresh: &mut Vec<Fresh>, matches: &mut Matches, texts: &mut Texts) {
    for one in fresh.drain(..) {
        match one {
            Fresh::Text(id) => {
                if let Some((_, in_file)) = texts.get(id) {
                    *in_file = 0;
                }
            }
            Fresh::Part(place, of) => {
                if let Some(part) = matches.slab.get_mut(place).and_then(|one| one.part(of)) {
                    part.in_file = 0;
                }
            }
        }
    }
}
