//! Incidents through the store, which is killed at every point: what is committed is what it is without that.

use super::*;
use proptest::prelude::*;
use std::borrow::Cow;
use touchline_common::config::Dur;
use touchline_common::model::{IncidentListing, IncidentOrder, Register, RegisterChange, Registers, Side};

const SOURCE: Source = Source { slot: SlotId(1), generation: Generation(1) };
const KINDS: [&str; 4] = ["goal", "corner", "foul", "card"];

/// What a worker reports, and whether the store commits behind it.
#[derive(Clone, Debug)]
struct Step {
    body: MatchBody<'static>,
    commits: bool,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Home), Just(Side::Away)]
}

/// A few happenings, some with an id of the source, some edited, some alike.
fn incident() -> impl Strategy<Value = StatedIncident> {
    let id = prop::option::weighted(0.7, 0..5_u8);
    (id, 0..4_usize, prop::option::weighted(0.9, side()), 1..6_u32, 0..3_u8).prop_map(
        |(id, kind, side, minute, player)| {
            // An id is of one type; an edit may say another time.
            let kind = id.map_or(kind, |id| usize::from(id) % KINDS.len());
            let mut details = std::collections::BTreeMap::from([("player".to_owned(), format!("p{player}"))]);
            if kind == 3 {
                details.insert("color".to_owned(), "yellow".to_owned());
            }
            StatedIncident {
                kind: KINDS[kind].to_owned(),
                source_id: id.map(|id| id.to_string()),
                side,
                period: Some(1),
                clock: Some(60 * minute),
                feed_at: None,
                details,
            }
        },
    )
}

fn statement(order: IncidentOrder) -> impl Strategy<Value = MatchBody<'static>> {
    let listing = prop_oneof![
        Just(IncidentListing::Single),
        Just(IncidentListing::Whole),
        Just(IncidentListing::Window)
    ];
    let deleted = prop::collection::vec((0..7_u8).prop_map(|id| id.to_string()), 0..2);
    let stated = (listing, prop::collection::vec(incident(), 0..4), deleted);
    stated.prop_map(move |(listing, incidents, deleted)| MatchBody::Incidents {
        stated: Incidents { listing, order, incidents, deleted },
        at: 5,
    })
}

fn change() -> impl Strategy<Value = MatchBody<'static>> {
    let register = prop_oneof![side().prop_map(Register::Score), side().prop_map(Register::Corners)];
    (register, 0..4_i64).prop_map(|(register, value)| MatchBody::Obs {
        registers: Cow::Owned(vec![RegisterChange { register, value }]),
        changes: Cow::Borrowed(&[]),
        clock: None,
        at: 6,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![Just(IncidentOrder::AsSent), Just(IncidentOrder::ByClock)].prop_flat_map(|order| {
        let step = (prop_oneof![3 => statement(order), 1 => change()], any::<bool>());
        prop::collection::vec(step.prop_map(|(body, commits)| Step { body, commits }), 1..10)
    })
}

/// The match's name and its first load, which each of a worker's channels begins with.
fn begun() -> Job {
    let facts = Facts { sport: Some("soccer".into()), scoring: Scoring::Goals };
    let registers = Registers::from_iter(
        Side::BOTH
            .into_iter()
            .flat_map(|side| [Register::Score(side), Register::Corners(side)].map(|register| (register, 0))),
    );
    sent(1, &MatchBody::Base(MatchBase { facts, registers, at: 1, ..MatchBase::default() }))
}

fn sent(n: u64, body: &MatchBody<'static>) -> Job {
    let named = Named::Match { key: MatchKey { feed: FeedId(0), id: "M1".into() }, epoch: Epoch(1) };
    let mut bytes = Vec::new();
    encode_frame(&Name { handle: Handle(1), named }, 0, 0, &mut bytes).unwrap();
    encode_frame(&MatchFrame { n, handle: Handle(1), body: body.clone() }, 0, 0, &mut bytes).unwrap();
    frames(SOURCE.slot.0, bytes)
}

/// Starts, or starts again, and takes the worker's channel; what it has of that.
fn start(config: &Arc<RecordConfig>) -> (Store, u64) {
    let Opened { mut store, .. } = open(config, "parent").unwrap();
    let held = sqlite::position(&store.positions, SOURCE);
    store.take(Job::Open { token: 1, source: SOURCE });
    (store, held)
}

fn ordered(folder: &tempfile::TempDir) -> Arc<RecordConfig> {
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    // What waits for its place is told by number alone: a slow machine changes nothing.
    let (order_window, order_wait) = (2, Dur::secs(3_600));
    config.feed.push(FeedConfig { name: "inplay".into(), order_window, order_wait, ..Default::default() });
    Arc::new(RecordConfig::new(&config))
}

/// All that is committed of events and ledgers when the store is killed behind this step; none: never.
fn run(steps: &[Step], killed_behind: Option<usize>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let config = ordered(&folder);
    let (mut store, _) = start(&config);
    store.take(begun());
    store.commit(false);
    for (place, step) in steps.iter().enumerate() {
        store.take(sent(place as u64 + 2, &step.body));
        if step.commits {
            store.commit(false);
        }
        if killed_behind == Some(place) {
            drop(store);
            let held;
            (store, held) = start(&config);
            for (n, step) in (2..).zip(&steps[..=place]).filter(|(n, _)| *n > held) {
                store.take(sent(n, &step.body));
            }
        }
    }
    store.commit(false);
    let mut rows = Vec::new();
    for (table, order) in [("events", "seq"), ("ledgers", "match"), ("ledger_parts", "part")] {
        let mut statement =
            store.connection.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at));
            values.collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = statement.query_map([], row).unwrap();
        rows.extend(found.map(|values| format!("{table} {:?}", values.unwrap())));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_that_is_killed_at_any_point_ends_as_one_that_was_not(steps in steps()) {
        let whole = run(&steps, None);
        for place in 0..steps.len() {
            prop_assert_eq!(&run(&steps, Some(place)), &whole, "killed behind step {}", place);
        }
    }
}
