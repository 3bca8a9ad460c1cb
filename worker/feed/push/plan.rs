//! What a feed's settings make of its connection.

use super::session::SessionConfig;
use crate::feed::polled::PolledPlan;
use crate::net::{TlsPlan, Trust};
use crate::wire::websocket;
use std::sync::Arc;
use touchline_common::config::{Config, FeedConfig};

#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port`.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) tls: Option<TlsPlan>,
    pub(super) limits: websocket::Limits,
    /// Bytes that wait to be sent at most.
    pub(super) out_limit: usize,
    pub(super) session: Arc<SessionConfig>,
    /// Empty: there is no list.
    pub(super) list_topic: String,
    /// None: the list is a topic of the server, or there is none.
    pub(super) list: Option<PolledPlan>,
    /// Bytes of a polled list.
    pub(super) list_limit: usize,
}

impl Plan {
    /// From the settings of a feed.
    ///
    /// # Errors
    /// Why TLS cannot be set up; names the feed.
    pub fn new(config: &Config, feed: &FeedConfig) -> Result<Plan, String> {
        let list = &feed.push.list;
        Ok(Plan {
            authority: feed.url.authority(),
            target: if feed.url.path.is_empty() { "/".to_owned() } else { feed.url.path.clone() },
            headers: feed.headers.expose().clone().into_iter().collect(),
            tls: tls(feed)?,
            limits: websocket::Limits {
                frame: config.limits.frame.len(),
                inflated: config.limits.inflated.len(),
                ratio: config.limits.inflate_ratio as usize,
            },
            out_limit: config.limits.out_queue.len(),
            session: Arc::new(SessionConfig::new(config, feed)),
            list_topic: list.topic().to_owned(),
            list: feed.push.has_polled_list().then(|| PolledPlan {
                what: "the list",
                url: list.url.clone(),
                every: list.every.get(),
                ca_file: feed.ca_file.clone(),
                insecure: feed.insecure,
            }),
            list_limit: config.limits.inflated.len(),
        })
    }
}

fn tls(feed: &FeedConfig) -> Result<Option<TlsPlan>, String> {
    if !feed.url.transport.has_tls() {
        return Ok(None);
    }
    let trust = if feed.insecure { Trust::Any } else { Trust::Authorities { ca_file: feed.ca_file.clone() } };
    TlsPlan::new(&feed.url.host, &trust).map(Some).map_err(|error| format!("{error} (feed {})", feed.name))
}
