//! Channels whose frames make no sense: each ends alone.

use super::*;

/// Sends a worker's frames and waits until its channel is closed; another worker's goes on.
fn breaks(send: impl FnOnce(&mut peer::Peer)) {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let (mut bad, mut good) = (coordinator.worker(1, 1), coordinator.worker(2, 1));
    bad.base("M1", 5, 0);
    bad.acknowledged();
    send(&mut bad);
    bad.closed();
    good.base("M2", 6, 0);
    good.price("M2", 6, ("K", "S"), "5/4");
    good.acknowledged();
    let store = coordinator.stop();
    assert_eq!(
        count(&store, "SELECT count(*) FROM events WHERE type = 'match_listed'"),
        2,
        "nothing committed is lost"
    );
}

#[test]
fn handles_that_were_never_named_are_named_twice_or_have_ended_end_their_channel_alone() {
    let (registers, changes) = (|| (&[][..]).into(), || (&[][..]).into());
    breaks(|worker| {
        worker.body(
            Handle(99),
            MatchBody::Obs { registers: registers(), changes: changes(), clock: None, at: 1 },
        );
    });
    breaks(|worker| worker.bulk(Handle(99), BulkBody::Obs { changes: (&[][..]).into(), at: 1 }));
    breaks(|worker| {
        let changes = vec![OddsChange::MarketClose { market: Handle(99) }];
        let handle = worker.of("M1", 5);
        worker.bulk(handle, BulkBody::Obs { changes: changes.into(), at: 1 });
    });
    breaks(|worker| {
        let handle = worker.of("M1", 5);
        worker.send(&Name { handle, named: Named::Match { key: key("M1"), epoch: Epoch(5) } });
    });
    breaks(|worker| {
        let of = worker.market("M1", 5, "K");
        let selection = worker.name(Named::Selection { of: Handle(98), key: "S".into(), name: "".into() });
        worker.send(&Name {
            handle: Handle(97),
            named: Named::Market { of, key: "L".into(), name: "".into() },
        });
        assert_ne!(selection, of);
    });
    breaks(|worker| {
        worker.end("M1", 5, EndReason::Moved);
        worker.obs("M1", 5, 1);
    });
    breaks(|worker| {
        worker.send(&Publish {
            handle: Handle(99),
            extent: Extent::Whole,
            sections: Vec::new(),
            stamp: Stamp::default(),
        });
    });
}
