//! Plans for tests.

use crate::feed::poll::plan::places;
use crate::feed::poll::{Plan, SourceIndex, SourcePlan};
use std::time::Duration;
use touchline_common::config::Role;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn source(name: &str, role: Role, url: &str, every: Duration) -> SourcePlan {
    SourcePlan {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        role,
        every,
        every_scheduled: every,
        spread: every.min(5 * SECOND),
        list: "/m".to_owned(),
        id: "/id".to_owned(),
        page: None,
        after: None,
        needed: Vec::new(),
        whole: 20 * SECOND,
        idle: 20 * SECOND,
    }
}

pub fn list(name: &str) -> SourcePlan {
    source(name, Role::List, "http://h/list", 5 * SECOND)
}

pub fn per_match(name: &str, every: Duration) -> SourcePlan {
    source(name, Role::PerMatch, &format!("http://h/{{ID}}/{name}"), every)
}

pub fn document(name: &str, url: &str) -> SourcePlan {
    source(name, Role::Document, url, 5 * SECOND)
}

/// `source`, asked after the first of the plan, from whose answer it needs `/v`.
pub fn after_first(source: SourcePlan) -> SourcePlan {
    SourcePlan { after: Some(SourceIndex(0)), ..source }
}

pub fn plan(sources: Vec<SourcePlan>) -> Plan {
    Plan {
        places: places(sources.iter().map(|source| source.name.as_str())),
        sources,
        window: 20,
        per_host: 4,
        batch: 0,
        topics_max: 2_000,
        body_limit: 1_000_000,
        headers: Vec::new(),
        stale_after: 60 * SECOND,
        socket: None,
        proxy: String::new(),
        ca_file: String::new(),
        insecure: false,
    }
}
