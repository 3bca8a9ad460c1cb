//! What a session is made with.

use crate::feed::push::dialect::Dialect;
use crate::feed::push::order::Bounds;
use crate::feed::push::subscriptions::{Batches, Leaves, Settings};
use std::time::Duration;
use touchline_common::config::{
    Alive, Config, FeedConfig, Heartbeat, MessagePlace, MessageTemplate, Packed, Secret,
};

/// Everything a session must know before its first byte.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    pub(in crate::feed::push) dialect: Dialect,
    pub(in crate::feed::push) subscriptions: Settings,
    pub login: MessageTemplate,
    pub username: String,
    pub password: Secret,
    /// Each step up to an open session must be done in this time.
    pub deadline: Duration,
    pub subscribe: MessageTemplate,
    pub each: MessageTemplate,
    pub unsubscribe: MessageTemplate,
    /// Empty: nothing is resumed.
    pub resume: MessageTemplate,
    pub resume_each: MessageTemplate,
    pub heartbeat: Heartbeat,
    /// Zero: none.
    pub idle_limit: Duration,
    pub alive: Alive,
    pub refusing_codes: Vec<u16>,
    pub packed: Packed,
    /// Bytes of a binary frame once it is unpacked.
    pub unpack_limit: usize,
}

impl SessionConfig {
    pub fn new(config: &Config, feed: &FeedConfig) -> SessionConfig {
        let push = &feed.push;
        let dialect = Dialect::new(push);
        SessionConfig {
            subscriptions: Settings {
                limit: feed.max_subscriptions as usize,
                topics_per_s: feed.subscribes_per_s,
                messages_per_s: push.messages_per_s,
                batches: Batches {
                    ask: batch(&push.subscribe, push.batch),
                    resume: batch(&push.resume.subscribe, push.batch),
                    leave: batch(&push.unsubscribe, push.batch),
                },
                leaves: if push.unsubscribe.is_empty() { Leaves::No } else { Leaves::Yes },
                rule: dialect.rule(),
                bounds: Bounds { deltas: push.held_deltas as usize, bytes: config.limits.inflated.len() },
            },
            dialect,
            login: push.login.send.clone(),
            username: feed.username.clone(),
            password: feed.password.clone(),
            deadline: push.login.deadline.get(),
            subscribe: push.subscribe.clone(),
            each: push.each.clone(),
            unsubscribe: push.unsubscribe.clone(),
            resume: push.resume.subscribe.clone(),
            resume_each: push.resume.each.clone(),
            heartbeat: feed.beats.heartbeat.clone(),
            idle_limit: push.idle_limit.get(),
            alive: push.alive,
            refusing_codes: push.refusing_codes.clone(),
            packed: push.packed,
            unpack_limit: config.limits.inflated.len(),
        }
    }
}

/// Topics of one message of this template.
fn batch(template: &MessageTemplate, most: u32) -> usize {
    if template.has(&MessagePlace::Topics) { (most as usize).max(1) } else { 1 }
}
