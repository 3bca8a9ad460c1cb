//! Rules one by one, and two workers at any pace against the truth.

use super::*;
use proptest::prelude::*;

const SETTLE: Duration = Duration::from_secs(2);

struct Bench {
    ledger: Ledger,
    now: Instant,
    rows: Vec<Row>,
}

fn price(n: i64) -> Value {
    Value { price: Some(Price(n)), text: TextId(n as u32), suspended: Some(false), won: None }
}

fn priced(selection: u32, n: i64) -> Change {
    Change::Price(Selection(selection), Some(Price(n)), TextId(n as u32))
}

/// The place of each of the two markets,
#[allow(non_snake_case)]
const fn Market(market: u32) -> Place {
    Place(3 * market)
}

/// and of the four selections, the first two in the first market.
#[allow(non_snake_case)]
const fn Selection(selection: u32) -> Place {
    Place(selection / 2 * 3 + 1 + selection % 2)
}

impl Bench {
    /// A match with two markets of two selections each.
    fn new() -> Bench {
        let mut ledger = Ledger::new(SETTLE);
        for market in 0..2 {
            assert_eq!(ledger.add(None), Market(market));
            assert_eq!(ledger.add(Some(Market(market))), Selection(2 * market));
            assert_eq!(ledger.add(Some(Market(market))), Selection(2 * market + 1));
        }
        Bench { ledger, now: Instant::now(), rows: Vec::new() }
    }

    fn give(&mut self, input: Input<'_>) -> Taken {
        self.rows.clear();
        self.ledger.advance(input, self.now, &mut self.rows)
    }

    fn adopt(&mut self, epoch: u64) -> Taken {
        self.give(Input::Adopt(Epoch(epoch)))
    }

    fn obs(&mut self, epoch: u64, changes: &[Change]) -> Taken {
        self.give(Input::Obs { epoch: Epoch(epoch), changes, at: 0 })
    }

    fn base(&mut self, epoch: u64, markets: &[(u32, bool)], selections: &[(u32, Value)]) -> Taken {
        let markets =
            markets.iter().map(|(market, suspended)| (Market(*market), Value::of_market(*suspended)));
        let selections = selections.iter().map(|(selection, value)| (Selection(*selection), *value));
        let values: Vec<(Place, Value)> = markets.chain(selections).collect();
        self.give(Input::Base { epoch: Epoch(epoch), values: &values, at: 0 })
    }

    fn kinds(&self) -> Vec<(Kind, Place, bool)> {
        self.rows.iter().map(|row| (row.kind, row.place, row.recovered)).collect()
    }

    /// Owned by epoch 1, which has market 0 with both its selections.
    fn owned() -> Bench {
        let mut bench = Bench::new();
        bench.adopt(1);
        bench.base(1, &[(0, false)], &[(0, price(10)), (1, price(20))]);
        bench
    }
}

use Kind::{Base, MarketClose, MarketOpen, OddsChange, Resumed, Suspended};

#[test]
fn what_waited_to_be_adopted_is_as_old_as_its_newest_read() {
    let mut bench = Bench::new();
    let values = [(Market(0), Value::of_market(false)), (Selection(0), price(10))];
    bench.give(Input::Base { epoch: Epoch(1), values: &values, at: 7 });
    bench.give(Input::Obs {
        epoch: Epoch(1),
        changes: &[Change::Price(Selection(0), None, TextId(0))],
        at: 8,
    });
    bench.adopt(1);
    assert!(!bench.rows.is_empty() && bench.rows.iter().all(|row| row.at == 8), "{:?}", bench.rows);
}

#[test]
fn a_value_that_equals_the_last_known_one_is_no_row() {
    let mut bench = Bench::new();
    bench.adopt(1);
    bench.base(1, &[(0, true)], &[(0, price(10))]);
    assert_eq!(bench.kinds(), [(Base, Market(0), true), (Base, Selection(0), true)]);
    let same = [
        priced(0, 10),
        Change::MarketOpen(Market(0), true),
        Change::MarketSuspended(Market(0), true),
        Change::MarketClose(Market(1)),
    ];
    bench.obs(1, &same);
    assert_eq!(bench.kinds(), []);
    bench.obs(
        1,
        &[
            priced(0, 11),
            priced(0, 10),
            Change::SelectionSuspended(Selection(0), true),
            Change::MarketSuspended(Market(0), false),
        ],
    );
    let expected = [
        (OddsChange, Selection(0), false),
        (OddsChange, Selection(0), false),
        (Suspended, Selection(0), false),
        (Resumed, Market(0), false),
    ];
    assert_eq!(bench.kinds(), expected);
    assert_eq!(bench.rows[2].value, Value { suspended: Some(true), ..price(10) });
}

#[test]
fn a_result_is_one_row_with_the_whole_value_and_its_repetition_none() {
    let mut bench = Bench::owned();
    let won = |won| Change::SelectionWon(Selection(0), won);
    bench.obs(1, &[priced(0, 11), won(Some(true)), won(Some(true))]);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(0), false), (OddsChange, Selection(0), false)]);
    bench.obs(1, &[won(None)]);
    assert_eq!(bench.rows[0].value, price(11));
    bench.obs(1, &[Change::Selection(Selection(0), Value { won: Some(false), ..price(11) })]);
    assert_eq!(bench.rows[0].value.won, Some(false));
}

#[test]
fn a_market_opens_with_what_is_reported_in_it_and_its_close_takes_its_selections() {
    let mut bench = Bench::owned();
    bench.obs(1, &[priced(2, 30), Change::MarketOpen(Market(1), false), Change::MarketClose(Market(0))]);
    let expected =
        [(MarketOpen, Market(1), true), (OddsChange, Selection(2), true), (MarketClose, Market(0), false)];
    // The first row of a place since the base may follow values that were not seen.
    assert_eq!(bench.kinds(), expected);
    assert_eq!(bench.ledger.known().count(), 2);
    bench.obs(1, &[priced(0, 10)]);
    assert_eq!(bench.kinds(), [(MarketOpen, Market(0), false), (OddsChange, Selection(0), false)]);
}

#[test]
fn only_an_adoption_makes_an_owner() {
    let mut bench = Bench::owned();
    assert_eq!(bench.base(3, &[(0, false)], &[(0, price(12)), (1, price(20))]), Taken::Candidate);
    assert_eq!(bench.obs(1, &[priced(0, 11)]), Taken::Yes);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(0), false)]);
    assert_eq!(bench.adopt(3), Taken::Yes);
    assert_eq!(bench.adopt(2), Taken::Refused);
    assert_eq!(bench.obs(1, &[priced(0, 13)]), Taken::Refused);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn what_an_owner_sent_before_its_successors_first_frame_counts() {
    let mut bench = Bench::owned();
    assert_eq!(bench.adopt(2), Taken::Yes);
    assert_eq!(bench.obs(1, &[priced(0, 11)]), Taken::Yes);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(0), false)]);
    assert_eq!(bench.adopt(2), Taken::Refused);
    // The selection is gone in it: its last value has its row all the same.
    assert_eq!(bench.base(2, &[(0, false)], &[(1, price(20))]), Taken::Yes);
    assert_eq!(bench.kinds(), []);
    assert_eq!(bench.obs(1, &[priced(1, 21)]), Taken::Refused);
    assert_eq!(bench.obs(2, &[priced(1, 22)]), Taken::Yes);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(1), true)]);
    // One of which nothing ever comes is passed over.
    assert_eq!(bench.adopt(3), Taken::Yes);
    assert_eq!(bench.adopt(4), Taken::Yes);
    assert_eq!(bench.base(3, &[], &[]), Taken::Candidate);
    assert_eq!(bench.obs(2, &[priced(1, 23)]), Taken::Yes);
    assert_eq!(bench.base(4, &[(0, false)], &[(1, price(24))]), Taken::Yes);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(1), true)]);
}

#[test]
fn what_differs_after_an_adoption_is_believed_by_its_next_observation_or_after_settle() {
    let mut bench = Bench::owned();
    bench.base(2, &[(0, false), (1, false)], &[(0, price(9)), (1, price(19))]);
    bench.adopt(2);
    assert_eq!(bench.kinds(), []);
    bench.obs(2, &[priced(0, 12)]);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(0), true)]);
    assert_eq!(bench.rows[0].value, price(12));
    bench.now += SETTLE / 2;
    bench.give(Input::Tick { at: 0 });
    assert_eq!(bench.kinds(), []);
    bench.now = bench.ledger.deadline().unwrap();
    bench.give(Input::Tick { at: 5 });
    assert_eq!(bench.kinds(), [(MarketOpen, Market(1), true), (OddsChange, Selection(1), true)]);
    assert_eq!(bench.ledger.deadline(), None);
}

#[test]
fn a_base_of_the_owner_writes_what_differs_and_closes_what_is_missing() {
    let mut bench = Bench::owned();
    let suspended = Value { suspended: Some(true), ..price(11) };
    bench.base(1, &[(1, true)], &[(2, suspended)]);
    let expected = [
        (MarketClose, Market(0), true),
        (MarketOpen, Market(1), true),
        (Suspended, Market(1), true),
        (OddsChange, Selection(2), true),
        (Suspended, Selection(2), true),
    ];
    assert_eq!(bench.kinds(), expected);
    bench.base(1, &[(1, true)], &[(2, suspended)]);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn before_a_base_nothing_is_known_to_be_absent() {
    let mut bench = Bench::new();
    bench.adopt(1);
    // What a worker sends again to a new recorder: the market was there before.
    bench.obs(1, &[priced(0, 10), Change::MarketClose(Market(1))]);
    assert_eq!(bench.kinds(), [(OddsChange, Selection(0), true), (MarketClose, Market(1), true)]);
    bench.base(1, &[(0, false)], &[(0, price(10)), (1, price(5))]);
    let expected = [(Base, Market(0), true), (Base, Selection(0), true), (Base, Selection(1), true)];
    assert_eq!(bench.kinds(), expected);
}

#[test]
fn three_candidates_stay_the_highest() {
    let mut bench = Bench::owned();
    for epoch in [5, 4, 7, 6, 3] {
        bench.base(epoch, &[(0, false)], &[(0, price(epoch as i64)), (1, price(20))]);
    }
    let mut held: Vec<u64> = bench.ledger.candidates.iter().map(|candidate| candidate.epoch.0).collect();
    held.sort_unstable();
    assert_eq!(held, [5, 6, 7]);
}

/// Of the truth, per place: values in order; what a market's close removes is `None`.
#[derive(Clone, Copy, Debug)]
enum Step {
    Truth(Change),
    /// A worker reads so many of the truth's changes it has not seen.
    Read {
        worker: usize,
        count: usize,
    },
    /// It loads all anew.
    Reload {
        worker: usize,
    },
    /// It follows the match under a higher epoch, with a load.
    Assign {
        worker: usize,
    },
    /// Its epoch becomes the owner.
    Adopt {
        worker: usize,
    },
    Wait,
}

fn step() -> impl Strategy<Value = Step> + use<> {
    let change = prop_oneof![
        6 => (0u32..4, 1i64..4).prop_map(|(selection, n)| priced(selection, n)),
        2 => (0u32..4, any::<bool>()).prop_map(|(selection, to)| Change::SelectionSuspended(Selection(selection), to)),
        1 => (0u32..2, any::<bool>()).prop_map(|(market, to)| Change::MarketSuspended(Market(market), to)),
        1 => (0u32..2, any::<bool>()).prop_map(|(market, suspended)| Change::MarketOpen(Market(market), suspended)),
        1 => (0u32..4, 1i64..4, any::<bool>()).prop_map(|(selection, n, suspended)| {
            let value = Value { suspended: Some(suspended), ..price(n) };
            Change::Selection(Selection(selection), value)
        }),
        1 => (0u32..2).prop_map(|market| Change::MarketClose(Market(market))),
    ];
    prop_oneof![
        8 => change.prop_map(Step::Truth),
        8 => (0usize..2, 1usize..5).prop_map(|(worker, count)| Step::Read { worker, count }),
        1 => (0usize..2).prop_map(|worker| Step::Reload { worker }),
        1 => (0usize..2).prop_map(|worker| Step::Assign { worker }),
        1 => (0usize..2).prop_map(|worker| Step::Adopt { worker }),
        1 => Just(Step::Wait),
    ]
}

/// The truth and its past.
struct Truth {
    values: Values,
    changes: Vec<Change>,
    /// Price and suspension of each selection after each change that concerned it.
    prices: [Vec<Value>; 4],
}

impl Truth {
    /// A change as a server makes it: prices in open markets, and only what differs.
    fn apply(&mut self, change: Change, shape: &Shape) {
        let before = self.values.clone();
        self.values.fold(change, shape);
        if before.0 == self.values.0 {
            return;
        }
        self.changes.push(change);
        for selection in 0..4 {
            let value = self.values.get(Selection(selection));
            // One that appears without a price is as one that is not there.
            if value.unwrap_or_default() != before.get(Selection(selection)).unwrap_or_default() {
                self.prices[selection as usize].extend(value);
            }
        }
    }
}

fn load(bench: &mut Bench, truth: &Truth, epoch: u64, history: &mut Vec<Row>) {
    let markets: Vec<_> =
        (0..2).filter_map(|market| Some((market, truth.values.get(Market(market))?.suspended?))).collect();
    let selections: Vec<_> =
        (0..4).filter_map(|selection| Some((selection, truth.values.get(Selection(selection))?))).collect();
    bench.base(epoch, &markets, &selections);
    history.append(&mut bench.rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn two_workers_at_any_pace_give_the_truth(steps in prop::collection::vec(step(), 1..80)) {
        let mut bench = Bench::new();
        let shape = Bench::new().ledger.shape;
        let mut truth = Truth { values: Values::default(), changes: Vec::new(), prices: Default::default() };
        let mut history = Vec::new();
        // Epoch and place in the truth's changes of each worker; the first owns the match.
        let mut workers = [(1u64, 0usize), (2, 0)];
        let mut epoch = 2;
        bench.adopt(1);
        load(&mut bench, &truth, 1, &mut history);
        load(&mut bench, &truth, 2, &mut history);
        for step in steps {
            match step {
                Step::Truth(change) => truth.apply(change, &shape),
                Step::Read { worker, count } => {
                    let (epoch, seen) = &mut workers[worker];
                    for change in truth.changes.iter().skip(*seen).take(count) {
                        bench.obs(*epoch, &[*change]);
                        history.append(&mut bench.rows);
                        *seen += 1;
                    }
                }
                Step::Reload { worker } => {
                    workers[worker].1 = truth.changes.len();
                    load(&mut bench, &truth, workers[worker].0, &mut history);
                }
                Step::Assign { worker } => {
                    epoch += 1;
                    workers[worker] = (epoch, truth.changes.len());
                    load(&mut bench, &truth, epoch, &mut history);
                }
                // One that three higher ones have replaced is not adopted any more: its values are forgotten.
                Step::Adopt { worker } if epoch - workers[worker].0 >= MAX_CANDIDATES as u64 => {}
                Step::Adopt { worker } => {
                    bench.adopt(workers[worker].0);
                    history.append(&mut bench.rows);
                }
                Step::Wait => {
                    bench.now += SETTLE;
                    bench.give(Input::Tick { at: 0 });
                    history.append(&mut bench.rows);
                }
            }
        }
        let (last, seen) = *workers.iter().max().unwrap();
        bench.adopt(last);
        history.append(&mut bench.rows);
        for change in truth.changes.iter().skip(seen) {
            bench.obs(last, &[*change]);
            history.append(&mut bench.rows);
        }
        bench.now += SETTLE;
        bench.give(Input::Tick { at: 0 });
        history.append(&mut bench.rows);

        let known = bench.ledger.known.clone();
        for market in 0..2 {
            prop_assert_eq!(known.get(Market(market)), truth.values.get(Market(market)));
        }
        for selection in 0..4u32 {
            prop_assert_eq!(known.get(Selection(selection)), truth.values.get(Selection(selection)));
            let past = &truth.prices[selection as usize];
            // A row that is not marked states the truth's next value; one that is marked may stand for some that are left out, and
            // where values repeat, each place that fits is one.
            let mut places = vec![0];
            for row in history.iter().filter(|row| row.place == Selection(selection)) {
                if row.recovered && row.value == Value::default() {
                    // It appeared without a price, which is no row of its own: that may have been at any place.
                    places = (0..=past.len()).collect();
                    continue;
                }
                let fits = |place: &usize| past.get(*place) == Some(&row.value);
                let all = 0..past.len();
                places = if row.recovered { all.filter(fits).collect() } else { places.into_iter().filter(fits).collect() };
                prop_assert!(!places.is_empty(), "{row:?} of {past:?} in {history:?}");
                places.iter_mut().for_each(|place| *place += 1);
            }
        }
    }
}
