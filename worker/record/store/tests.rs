//! The store's thread, step by step.

use super::*;
use touchline_common::config::{Config, FeedConfig};
use touchline_common::model::{Facts, FeedId, Scoring};

fn base(id: &str) -> Job {
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    let frame = ToRecorderData::Base {
        n: 1,
        key: MatchKey { feed: FeedId(0), id: id.into() },
        epoch: Epoch(1),
        facts: Facts { sport: None, scoring: Scoring::Goals },
        registers: Default::default(),
        clock: None,
        received_at: 1,
    };
    Job::Frame { source, frame, version: 0 }
}

#[test]
fn what_comes_while_a_commit_is_made_is_later_than_what_the_store_says_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(FeedConfig { name: "inplay".into(), ..Default::default() });
    let Opened { mut store, shared, .. } = open(&Arc::new(RecordConfig::new(&config)), "parent").unwrap();
    shared.queue.push(&mut vec![base("M1")]);
    let mut jobs = Vec::new();
    let looked_at = store.gather(&mut jobs);
    assert_eq!(jobs.len(), 1);
    let arrived_at = wall_us();
    shared.queue.push(&mut vec![base("M2")]);
    store.take_up(looked_at, &mut jobs, &|| {});
    store.commit(false);
    let says = schema::meta_number(&store.connection, "alive_at").unwrap();
    assert_eq!(says, looked_at);
    assert!(says <= arrived_at);
}
