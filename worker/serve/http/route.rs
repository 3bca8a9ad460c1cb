//! What a request is for.

use super::answer::{Answer, Status};
use super::request::{Method, Request};
use crate::serve::frame::Framing;

/// Rows that one answer has at most, and by default.
const MOST_ROWS: usize = 10_000;
const USUAL_ROWS: usize = 100;
/// Bytes of a match's name at most.
const NAME: usize = 256;
/// Bytes of a body at most.
const BODY: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum PageFile {
    Index,
    Style,
    App,
    Dom,
    Stream,
    List,
    Match,
    Charts,
    Chat,
    Pool,
}

impl PageFile {
    fn at(path: &str) -> Option<PageFile> {
        match path {
            "/" | "/index.html" => Some(PageFile::Index),
            "/style.css" => Some(PageFile::Style),
            "/app.js" => Some(PageFile::App),
            "/dom.js" => Some(PageFile::Dom),
            "/stream.js" => Some(PageFile::Stream),
            "/list.js" => Some(PageFile::List),
            "/match.js" => Some(PageFile::Match),
            "/charts.js" => Some(PageFile::Charts),
            "/chat.js" => Some(PageFile::Chat),
            "/pool.js" => Some(PageFile::Pool),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Route {
    Page(PageFile),
    Matches,
    /// By its name: `FEED/ID`, or `ID` where only one feed has it.
    Match(String),
    Odds {
        name: String,
        market: Option<String>,
        since: Option<i64>,
        limit: usize,
    },
    Events {
        name: Option<String>,
        since: Option<i64>,
        limit: usize,
    },
    /// What is said in a room.
    Chat {
        name: String,
        since: Option<i64>,
        limit: usize,
    },
    Pool,
    Metrics,
    /// What may be asked, for programs.
    OpenApi,
    /// Whether this process serves.
    Health,
    /// Whether it has documents to serve.
    Ready,
    Live(Wanted),
    /// Engine.IO, with Socket.IO in it.
    Socket,
    /// A browser asks what another origin's page may do.
    Preflight,
}

/// What a client wants to be sent as it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Wanted {
    pub framing: Framing,
    /// One match, else the list of all.
    pub name: Option<String>,
    /// What it had last, `<epoch>-<version>`.
    pub had: Option<String>,
    /// Events above this `seq` come first, as far as they are at hand.
    pub since: Option<i64>,
}

impl Route {
    /// Whether anybody may ask it, even where readers must have a token: it shows nothing of the matches.
    pub(in crate::serve) fn is_open(&self) -> bool {
        match self {
            Route::Page(_) | Route::OpenApi | Route::Health | Route::Ready | Route::Preflight => true,
            Route::Matches
            | Route::Match(_)
            | Route::Odds { .. }
            | Route::Chat { .. }
            | Route::Events { .. }
            | Route::Pool
            | Route::Metrics
            | Route::Live(_) => false,
            // Its token may come in the first message.
            Route::Socket => true,
        }
    }
}

type Lead = fn(&Request) -> Result<Route, Answer>;

/// Where a path that has no names in it leads. The OpenAPI document describes each.
pub(super) const FIXED: [(&str, Lead); 9] = [
    ("/healthz", |_| Ok(Route::Health)),
    ("/readyz", |_| Ok(Route::Ready)),
    ("/metrics", |_| Ok(Route::Metrics)),
    ("/api/openapi.json", |_| Ok(Route::OpenApi)),
    ("/api/pool", |_| Ok(Route::Pool)),
    ("/api/matches", |_| Ok(Route::Matches)),
    ("/api/events", events),
    ("/stream", |request| live(request, Framing::EventStream)),
    ("/ws", |request| live(request, Framing::WebSocket)),
];

/// Where a request leads.
///
/// # Errors
/// The answer to one that leads nowhere.
pub(in crate::serve) fn route(request: &Request) -> Result<Route, Answer> {
    match request.method {
        Method::Options => return Ok(Route::Preflight),
        _ if is_socket(request) => return Ok(Route::Socket),
        Method::Get | Method::Head => {}
        Method::Post | Method::Other => {
            return Err(Answer::refused(Status::NotAllowed, "expected GET, HEAD or OPTIONS"));
        }
    }
    let nowhere = || Answer::refused(Status::NotFound, "there is nothing here: see docs/gateway.md");
    if let Some(file) = PageFile::at(&request.path) {
        return Ok(Route::Page(file));
    }
    if let Some((_, lead)) = FIXED.iter().find(|(path, _)| *path == request.path) {
        return lead(request);
    }
    let name = request.path.strip_prefix("/api/matches/").ok_or_else(nowhere)?;
    match name.rsplit_once('/') {
        Some((name, "odds")) => odds(request, checked(name)?),
        Some((name, "chat")) => {
            Ok(Route::Chat { name: checked(name)?, since: since(request)?, limit: limit(request)? })
        }
        Some(_) | None => checked(name).map(Route::Match),
    }
}

fn is_socket(request: &Request) -> bool {
    matches!(request.path.as_str(), "/socket.io/" | "/socket.io")
}

/// Who connects to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Side {
    Readers,
    Publishers,
}

/// Where a publisher's request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Publisher {
    Publish,
    Health,
}

/// # Errors
/// The answer to one that leads nowhere.
pub(in crate::serve) fn publisher_route(request: &Request) -> Result<Publisher, Answer> {
    if request.header("origin").is_some() {
        return Err(Answer::refused(Status::Forbidden, "no page publishes here: ask from a server"));
    }
    match (request.path.as_str(), request.method) {
        ("/pub", Method::Post) => Ok(Publisher::Publish),
        ("/pub", Method::Get | Method::Head | Method::Options | Method::Other) => {
            Err(Answer::refused(Status::NotAllowed, "expected POST"))
        }
        ("/healthz", Method::Get | Method::Head) => Ok(Publisher::Health),
        (_, _) => Err(Answer::refused(Status::NotFound, "there is nothing here but POST /pub")),
    }
}

/// Bytes that a request's body may have; `None`: it may have none.
pub(in crate::serve) fn body_limit(side: Side, request: &Request) -> Option<usize> {
    let may = request.method == Method::Post
        && match side {
            Side::Readers => is_socket(request),
            Side::Publishers => request.path == "/pub",
        };
    may.then_some(BODY)
}

fn events(request: &Request) -> Result<Route, Answer> {
    let name = request.parameter("match").map(checked).transpose()?;
    Ok(Route::Events { name, since: since(request)?, limit: limit(request)? })
}

fn odds(request: &Request, name: String) -> Result<Route, Answer> {
    let market = request.parameter("market").map(str::to_owned);
    Ok(Route::Odds { name, market, since: since(request)?, limit: limit(request)? })
}

fn live(request: &Request, framing: Framing) -> Result<Route, Answer> {
    if request.method != Method::Get {
        return Err(Answer::refused(Status::NotAllowed, "expected GET"));
    }
    let name = request.parameter("match").filter(|name| !name.is_empty()).map(checked).transpose()?;
    // A browser that reconnects sends the header; who connects anew may say it in the query.
    let had = request.header("last-event-id").or_else(|| request.parameter("last"));
    Ok(Route::Live(Wanted { framing, name, had: had.map(str::to_owned), since: since(request)? }))
}

fn checked(name: &str) -> Result<String, Answer> {
    let is_name = !name.is_empty() && name.len() <= NAME;
    is_name.then(|| name.to_owned()).ok_or_else(|| Answer::refused(Status::Bad, "expected a match's id"))
}

fn since(request: &Request) -> Result<Option<i64>, Answer> {
    let given = request.parameter("since").filter(|text| !text.is_empty());
    let wrong = || Answer::refused(Status::Bad, "`since` is no number of a row");
    given.map(|text| text.parse().ok().filter(|since| *since >= 0).ok_or_else(wrong)).transpose()
}

fn limit(request: &Request) -> Result<usize, Answer> {
    let given = request.parameter("limit").filter(|text| !text.is_empty());
    let wrong = || Answer::refused(Status::Bad, format!("`limit` is no number from 1 to {MOST_ROWS}"));
    given.map_or(Ok(USUAL_ROWS), |text| {
        text.parse().ok().filter(|limit| (1..=MOST_ROWS).contains(limit)).ok_or_else(wrong)
    })
}
