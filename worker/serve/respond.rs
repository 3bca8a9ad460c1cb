//! Answers to requests: at once from what is held, or by a question to a thread.

use super::ask::{PoolQuestion, Question};
use super::client::{ClientId, Watching};
use super::frame::{Framing, Why};
use super::http::{self, Answer, For, Request, Route, Side, Status, Wanted, stream_head};
use super::items::{Found, ItemKey, Watcher};
use super::page;
use super::run::{FeedLink, Gateway};
use crate::record::sqlite::Filter;
use crate::wire::websocket::ServerRequest;
use std::time::Instant;

impl Gateway {
    /// Answers a request, or sees to it that an answer comes.
    pub(super) fn respond(&mut self, client: ClientId, request: &Request, now: Instant) {
        match self.connections.get(client).map(|connection| connection.side) {
            Some(Side::Readers) => {}
            Some(Side::Publishers) => return self.respond_to_publisher(client, request, now),
            None => return,
        }
        let mut to = For::request(request, self.access.origin(request));
        // Who asked for a WebSocket has no other use for the connection.
        to.keep_alive &= request.header("upgrade").is_none();
        if let Some(connection) = self.connections.get(client) {
            connection.client.awaits(to.clone());
        }
        let answer = match self.answer_to(client, request, &to, now) {
            Ok(None) => return,
            Ok(Some(answer)) | Err(answer) => answer,
        };
        self.answer(client, &answer, now);
    }

    /// `None`: the answer comes later, or a stream has begun.
    fn answer_to(
        &mut self,
        client: ClientId,
        request: &Request,
        to: &For,
        now: Instant,
    ) -> Result<Option<Answer>, Answer> {
        self.admit(client, request)?;
        let route = http::route(request)?;
        self.access.check(request, &route)?;
        match route {
            Route::Page(file) => Ok(Some(page::answer(file))),
            Route::Preflight => Ok(Some(Answer::text(Status::NoContent, ""))),
            Route::OpenApi => Ok(Some(http::openapi::answer())),
            Route::Health => Ok(Some(Answer::text(Status::Ok, "ok\n"))),
            Route::Ready => Ok(Some(self.ready())),
            Route::Matches => self.matches().map(Some),
            Route::Match(name) => self.document(client, &name),
            Route::Odds { name, market, since, limit } => {
                let (feed, id) = self.stored_name(&name)?;
                let filter = Filter { since, feed, id: Some(id), lane: None, market, types: Vec::new() };
                self.ask(client, Question::Odds { filter, limit })
            }
            Route::Chat { name, since, limit } => {
                let (feed, id) = self.stored_name(&name)?;
                let filter =
                    Filter { since, feed, id: Some(id), lane: None, market: None, types: Vec::new() };
                self.ask(client, Question::Chat { filter, limit })
            }
            Route::Events { name, since, limit } => {
                let named = name.map(|name| self.stored_name(&name)).transpose()?;
                let (feed, id) = named.map_or((None, None), |(feed, id)| (feed, Some(id)));
                let filter = Filter { since, feed, id, lane: None, market: None, types: Vec::new() };
                self.ask(client, Question::Events { filter, limit })
            }
            Route::Pool => self.threads.ask_pool(client, PoolQuestion::Pool).map(|()| None),
            Route::Metrics => self.threads.ask_pool(client, PoolQuestion::Metrics).map(|()| None),
            Route::Socket => self.socket_request(client, request, now).map(|()| None),
            Route::Live(wanted) => self.live(client, request, wanted, to, now).map(|()| None),
        }
    }

    fn ask(&self, client: ClientId, question: Question) -> Result<Option<Answer>, Answer> {
        self.threads.ask(client, question).map(|()| None)
    }

    /// Behind a proxy only the request says whose connection it is.
    fn admit(&mut self, client: ClientId, request: &Request) -> Result<(), Answer> {
        let Some(connection) = self.connections.get(client) else { return Ok(()) };
        let address = self.access.client_of(connection.peer, request);
        if address == connection.peer || connection.count_for(address, &mut self.access) {
            return Ok(());
        }
        self.counters.refused += 1;
        Err(Answer::refused(Status::TooMany, "too many connections of your address"))
    }

    fn ready(&self) -> Answer {
        match &self.feed {
            FeedLink::Open { .. } => Answer::text(Status::Ok, "ready\n"),
            FeedLink::None => Answer::text(Status::Unavailable, "no documents came yet\n"),
            FeedLink::Lost => Answer::text(Status::Unavailable, "the recorder is gone: another is awaited\n"),
        }
    }

    fn matches(&self) -> Result<Answer, Answer> {
        match &self.feed {
            FeedLink::Open { .. } | FeedLink::Lost => Ok(Answer::json(self.items.lines())),
            FeedLink::None => Err(Answer::refused(Status::Unavailable, "no documents came yet: try again")),
        }
    }

    fn document(&mut self, client: ClientId, name: &str) -> Result<Option<Answer>, Answer> {
        if let Found::One(key) = self.items.find(name) {
            return Ok(self.items.newest(&ItemKey::Match(key)).map(|document| Answer::json(document.text())));
        }
        let (feed, id) = self.stored_name(name)?;
        self.ask(client, Question::Document { feed, id })
    }

    /// Feed and id of a match by its name, as the store knows them.
    fn stored_name(&self, name: &str) -> Result<(Option<String>, String), Answer> {
        match self.items.find(name) {
            Found::One(key) => Ok((Some(self.items.feed(&key).to_string()), key.id.to_string())),
            Found::Several => Err(several()),
            Found::None => Ok(match name.split_once('/').filter(|(feed, _)| self.items.has_feed(feed)) {
                Some((feed, id)) => (Some(feed.to_owned()), id.to_owned()),
                None => (None, name.to_owned()),
            }),
        }
    }

    fn live(
        &mut self,
        client: ClientId,
        request: &Request,
        wanted: Wanted,
        to: &For,
        now: Instant,
    ) -> Result<(), Answer> {
        let Wanted { framing, name, had, since } = wanted;
        if matches!(self.feed, FeedLink::None) {
            return Err(Answer::refused(Status::Unavailable, "no documents came yet: try again"));
        }
        let key = match name.as_deref().map(|name| self.items.find(name)) {
            None => ItemKey::List,
            Some(Found::One(key)) => ItemKey::Match(key),
            Some(Found::None) => return Err(Answer::refused(Status::NotFound, "no such match is followed")),
            Some(Found::Several) => return Err(several()),
        };
        let Some(date) = self.connections.get(client).map(|connection| connection.client.date(now)) else {
            return Ok(());
        };
        let head = head(framing, request, to, &date)?;
        let why = if had.is_some() { Why::Unknown } else { Why::First };
        let had = had.and_then(|had| had.parse().ok());
        let Some(known) = self.items.watch(&key, Watcher::Client(client), had) else { return Ok(()) };
        let (watching, first) = Watching::begin(key.clone(), framing, known, why);
        let Some(connection) = self.connections.get(client) else { return Ok(()) };
        connection.watches = Some(key.clone());
        connection.client.stream(head, watching, now);
        if let Some(first) = first {
            connection.client.out.push(first.framed(framing));
        }
        if let Some(since) = since {
            for event in self.events.since(since, &key) {
                connection.client.out.push(event.message.framed(framing));
            }
        }
        Ok(())
    }
}

fn several() -> Answer {
    Answer::refused(Status::Bad, "several feeds have a match of this id: ask for FEED/ID")
}

/// What opens a stream.
fn head(framing: Framing, request: &Request, to: &For, date: &str) -> Result<Vec<u8>, Answer> {
    let mut head = Vec::new();
    match framing {
        Framing::EventStream => stream_head(to, date, &mut head),
        Framing::WebSocket => match ServerRequest::parse(&request.head) {
            Ok(Some((upgrade, _))) => _ = upgrade.accept(None, None, &mut head),
            Ok(None) | Err(_) => {
                return Err(Answer::refused(Status::Upgrade, "expected a WebSocket's opening request"));
            }
        },
    }
    Ok(head)
}
