//! The judge accepts every history that is promised, and rejects everything else.

use super::{Course, Judge, Kind, MatchTruth, OddsReport, Row};
use crate::model::odds::{Cause, State};
use crate::model::state::Odds;
use proptest::prelude::*;

const MATCH: &str = "match";
const MARKET: &str = "market";

/// A row that owns its texts.
#[derive(Clone, Debug)]
struct Written {
    selection: Option<String>,
    kind: Kind,
    odds: Odds,
    suspended: bool,
    recovered: bool,
}

impl Written {
    fn of(selection: Option<&str>, state: &State) -> Written {
        let kind = match (state.cause, state.suspended) {
            (Cause::Price, _) => Kind::OddsChange,
            (Cause::Suspension, true) => Kind::Suspended,
            (Cause::Suspension, false) => Kind::Resumed,
            (Cause::Opened, _) => Kind::MarketOpen,
            (Cause::Closed, _) => Kind::MarketClose,
            (Cause::Found | Cause::Gone, _) => Kind::Base,
        };
        let selection = selection.map(str::to_owned);
        Written { selection, kind, odds: state.odds, suspended: state.suspended, recovered: false }
    }

    fn marked(mut self, kind: Kind) -> Written {
        (self.kind, self.recovered) = (kind, true);
        self
    }

    fn priced(mut self, price: u32) -> Written {
        self.odds = Odds::Fraction(price, 1);
        self
    }
}

fn judged(courses: &[Course], rows: &[Written], gaps: &[(i64, i64)]) -> OddsReport {
    judged_match(courses, false, rows, gaps)
}

fn judged_match(courses: &[Course], over: bool, rows: &[Written], gaps: &[(i64, i64)]) -> OddsReport {
    let courses = courses.to_vec();
    let truth = MatchTruth { id: MATCH.to_owned(), begun: true, over, courses, states_dropped: 0 };
    let mut judge = Judge::new(vec![truth]);
    gaps.iter().for_each(|(from, to)| judge.gap(MATCH, *from, *to));
    for (n, row) in rows.iter().enumerate() {
        let text = crate::truth::expected::odds_text(row.odds);
        let is_selection = row.selection.is_some();
        judge.row(&Row {
            seq: n as i64 + 1,
            id: MATCH,
            market: MARKET,
            selection: row.selection.as_deref(),
            kind: row.kind,
            odds: row.odds.decimal().map(|odds| odds as f64 / 10_000.0),
            odds_text: is_selection.then_some(text.as_str()),
            suspended: Some(row.suspended),
            recovered: row.recovered,
        });
    }
    judge.finish()
}

fn course(selection: Option<&str>, states: Vec<State>) -> Course {
    Course { market: MARKET.to_owned(), selection: selection.map(str::to_owned), states, is_cut: false }
}

fn state(cause: Cause, price: u32, suspended: bool, at: i64) -> State {
    State { n: 0, at, cause, odds: Odds::Fraction(price, 1), suspended }
}

/// A selection whose prices are these, one a second, after the first.
fn prices(prices: &[u32]) -> Course {
    let cause = |place| if place == 0 { Cause::Found } else { Cause::Price };
    let states = prices.iter().enumerate();
    course(Some("s"), states.map(|(place, price)| state(cause(place), *price, false, place as i64)).collect())
}

fn rows(of: &[u32]) -> Vec<Written> {
    of.iter().map(|price| Written::of(Some("s"), &state(Cause::Price, *price, false, 0))).collect()
}

#[test]
fn each_value_once_in_order_is_accepted_and_nothing_else() {
    let truth = [prices(&[1, 2, 3, 2, 4])];
    let equal = |of: &[u32]| judged(&truth, &rows(of), &[]).is_equal();
    assert!(equal(&[2, 3, 2, 4]));
    assert!(equal(&[1, 2, 3, 2, 4]), "the first price may have a row");
    for wrong in
        [&[2, 3, 2][..], &[2, 3, 4], &[3, 2, 4], &[2, 3, 2, 4, 4], &[2, 2, 3, 2, 4], &[2, 3, 2, 5], &[]]
    {
        assert!(!equal(wrong), "{wrong:?}");
    }
    let doubled = judged(&truth, &rows(&[2, 2, 3, 2, 4]), &[]);
    assert_eq!((doubled.different, doubled.doubled), (1, 1), "{doubled:?}");
}

#[test]
fn what_happens_in_a_gap_in_which_the_match_ends_leaves_no_row() {
    let truth = [prices(&[1, 2, 3, 4, 5, 6, 7, 8])];
    let equal = |over: bool, gap: (i64, i64)| judged_match(&truth, over, &rows(&[2, 3]), &[gap]).is_equal();
    assert!(equal(true, (4, 20)));
    assert!(!equal(false, (4, 20)), "it goes on: its next load would show the newest");
    assert!(!equal(true, (6, 20)), "4 was before the gap");
    assert!(!equal(true, (2, 4)), "8 was after it");
}

#[test]
fn a_marked_row_may_stand_anywhere_with_its_value_and_what_follows_decides_where() {
    let truth = [prices(&[1, 2, 3, 2, 4])];
    let with = |of: &[u32], marked: usize| {
        let mut rows = rows(of);
        rows[marked].recovered = true;
        judged(&truth, &rows, &[]).is_equal()
    };
    assert!(with(&[2, 4], 0) && with(&[2, 3, 2, 4], 0), "either 2");
    assert!(with(&[4], 0) && with(&[2, 3, 2, 4, 4], 4), "values miss, values repeat");
    assert!(with(&[2, 3, 2, 4, 3, 2, 4], 4), "back, and on from there");
    assert!(!with(&[2, 4, 4], 0) && !with(&[2], 0), "what follows has to, and the end has to be there");
    assert!(!with(&[9, 4], 0), "a value that never was");
    assert!(!with(&[3, 4], 0) && with(&[3, 2, 4], 0), "after it each value once");
    let base = |of: &[u32]| {
        let rows = rows(of).into_iter().map(|row| row.marked(Kind::Base)).collect::<Vec<_>>();
        judged(&truth, &rows, &[]).is_equal()
    };
    assert!(base(&[4]) && base(&[1, 2, 4]) && !base(&[4, 3]));
    let mut unmarked = rows(&[4]);
    unmarked[0].kind = Kind::Base;
    assert!(!judged(&truth, &unmarked, &[]).is_equal(), "a base row is always marked");
}

#[test]
fn an_hour_begins_with_what_stands_and_nothing_else() {
    let truth = [prices(&[1, 2, 3, 2, 4])];
    let with = |price: u32| {
        let mut all = rows(&[2, 3, 2, 4]);
        let base = Written { kind: Kind::Base, ..rows(&[price]).remove(0) };
        all.insert(2, base);
        judged(&truth, &all, &[]).is_equal()
    };
    assert!(with(3) && !with(2) && !with(4));
}

#[test]
fn price_and_suspension_of_a_marked_row_may_come_in_two() {
    let states = vec![
        state(Cause::Found, 1, false, 0),
        state(Cause::Price, 2, false, 1),
        state(Cause::Suspension, 2, true, 2),
        state(Cause::Price, 3, true, 3),
    ];
    let truth = [course(Some("s"), states)];
    let row = |price, suspended, kind| {
        Written::of(Some("s"), &state(Cause::Price, price, suspended, 0)).marked(kind)
    };
    let pair = [row(3, false, Kind::OddsChange), row(3, true, Kind::Suspended)];
    assert!(judged(&truth, &pair, &[]).is_equal());
    assert!(judged(&truth, &[row(3, true, Kind::OddsChange)], &[]).is_equal(), "one row with both");
    let report = judged(&truth, &pair[..1], &[]);
    assert!(report.differences[0].contains("last known value"), "its suspension is wrong: {report:?}");
    let wrong = [row(2, true, Kind::OddsChange), row(2, true, Kind::Suspended)];
    assert!(!judged(&truth, &wrong, &[]).is_equal(), "the price is not the newest");
}

#[test]
fn the_two_columns_of_a_price_agree() {
    let truth = prices(&[1, 2]);
    let judge = |odds: Option<f64>, text: &str| {
        let truth = MatchTruth {
            id: MATCH.into(),
            begun: true,
            over: false,
            courses: vec![truth.clone()],
            states_dropped: 0,
        };
        let mut judge = Judge::new(vec![truth]);
        judge.row(&Row {
            seq: 1,
            id: MATCH,
            market: MARKET,
            selection: Some("s"),
            kind: Kind::OddsChange,
            odds,
            odds_text: Some(text),
            suspended: None,
            recovered: false,
        });
        judge.finish().is_equal()
    };
    assert!(judge(Some(3.0), "2/1"));
    assert!(
        !judge(Some(3.5), "2/1") && !judge(None, "2/1") && !judge(Some(3.0), "") && !judge(Some(3.0), "2")
    );
}

fn market() -> Vec<Course> {
    let states = vec![
        state(Cause::Opened, 0, true, 10),
        state(Cause::Suspension, 0, false, 11),
        state(Cause::Closed, 0, false, 20),
        state(Cause::Opened, 0, false, 30),
    ];
    let of_selection = vec![
        state(Cause::Found, 1, false, 10),
        state(Cause::Price, 2, false, 12),
        state(Cause::Gone, 0, false, 20),
        state(Cause::Found, 5, false, 30),
        state(Cause::Price, 6, false, 31),
    ];
    vec![course(None, states), course(Some("s"), of_selection)]
}

/// All rows of [`market`].
fn market_rows() -> Vec<Written> {
    let all = market();
    let row = |of: usize, n: usize| Written::of(all[of].selection.as_deref(), &all[of].states[n]);
    vec![row(0, 0), row(0, 1), row(1, 1), row(0, 2), row(0, 3), row(1, 4)]
}

#[test]
fn a_market_may_close_and_open_again() {
    let truth = market();
    let all = market_rows();
    assert!(judged(&truth, &all, &[]).is_equal(), "{:?}", judged(&truth, &all, &[]));
    for missing in 0..all.len() {
        let mut rows = all.clone();
        rows.remove(missing);
        assert!(!judged(&truth, &rows, &[]).is_equal(), "without row {missing}");
    }
    let mut late = all.clone();
    late.swap(2, 3);
    let report = judged(&truth, &late, &[]);
    assert!(report.differences[0].contains("its market closes"), "a price after the close: {report:?}");
}

#[test]
fn a_marked_close_stands_for_what_was_left_out_before_it() {
    let truth = market();
    let mut rows = market_rows();
    rows.remove(2);
    rows[2].recovered = true;
    assert!(judged(&truth, &rows, &[]).is_equal());
    rows.remove(1);
    assert!(judged(&truth, &rows, &[]).is_equal(), "the market's own, too");
    rows.remove(0);
    assert!(judged(&truth, &rows, &[]).is_equal());
    rows.remove(1);
    assert!(!judged(&truth, &rows, &[]).is_equal(), "not what came after it");
}

#[test]
fn what_comes_and_goes_within_a_gap_leaves_no_row() {
    let mut truth = market();
    truth[0].states.truncate(3);
    truth[1].states.truncate(3);
    assert!(judged(&truth, &[], &[(8, 22)]).is_equal());
    assert!(judged(&truth, &[], &[(12, 18)]).is_equal(), "some slack");
    assert!(!judged(&truth, &[], &[(14, 22)]).is_equal(), "it was opened before");
    assert!(!judged(&truth, &[], &[]).is_equal());
    let opened = &market_rows()[..2];
    let report = judged(&truth, opened, &[(14, 22)]);
    assert!(!report.is_equal(), "that it is closed has to be there: {report:?}");
    // A selection that disappears from a market which stays.
    let gone = course(Some("s"), truth[1].states.clone());
    assert!(judged(std::slice::from_ref(&gone), &[], &[(14, 22)]).is_equal());
    assert!(
        !judged(std::slice::from_ref(&gone), &[], &[(16, 22)]).is_equal(),
        "its price was before the gap"
    );
}

#[test]
fn of_a_cut_course_the_states_that_are_kept_are_compared() {
    let truth = [Course { is_cut: true, ..prices(&[4, 5, 6]) }];
    let equal = |of: &[u32]| judged(&truth, &rows(of), &[]).is_equal();
    assert!(equal(&[1, 9, 1, 5, 6]) && equal(&[5, 6]));
    assert!(!equal(&[1, 9, 1, 6]) && !equal(&[1, 5]) && !equal(&[5, 6, 6]));
}

#[test]
fn rows_of_what_never_was_are_found() {
    let truth = [prices(&[1])];
    let mut strange = rows(&[1]);
    strange[0].selection = Some("other".to_owned());
    assert_eq!(judged(&truth, &strange, &[]).doubled, 1);
    assert_eq!(judged(&truth, &[], &[]).without_rows, 1);
}

/// A course: prices, each another than all before if they are `unique`, and suspensions.
fn any_course(unique: bool) -> impl Strategy<Value = Vec<State>> {
    let step = (any::<bool>(), 0..4_u32);
    prop::collection::vec(step, 0..30).prop_map(move |steps| {
        let mut states = vec![state(Cause::Found, 1, false, 0)];
        for (n, (is_price, price)) in steps.into_iter().enumerate() {
            let last = states[states.len() - 1];
            let price = if unique { n as u32 + 2 } else { price };
            let at = n as i64 + 1;
            let same = last.odds.decimal() == Odds::Fraction(price, 1).decimal();
            if is_price && !same {
                states.push(state(Cause::Price, price, last.suspended, at));
            } else if !unique || last.cause != Cause::Suspension {
                states.push(State { cause: Cause::Suspension, suspended: !last.suspended, at, ..last });
            }
        }
        states
    })
}

/// What a recorder may write of a course: each change, but at some places it goes on elsewhere, with a marked row; and where each
/// row stands.
fn promised(states: &[State], jumps: &[(usize, usize, bool)]) -> Vec<(usize, Written)> {
    let mut rows = Vec::new();
    let mut place = 0;
    let mut jumps = jumps.iter();
    let mut jump = jumps.next();
    let marked = |at: usize, is_base: bool| {
        let row = Written::of(Some("s"), &states[at]);
        let base = is_base || states[at].cause == Cause::Found;
        let kind = if base { Kind::Base } else { row.kind };
        (at, row.marked(kind))
    };
    let mut steps = 0;
    loop {
        if let Some((after, to, is_base)) = jump
            && steps >= *after
        {
            place = to % states.len();
            rows.push(marked(place, *is_base));
            (jump, steps) = (jumps.next(), 0);
        } else if place + 1 < states.len() {
            place += 1;
            steps += 1;
            rows.push((place, Written::of(Some("s"), &states[place])));
        } else {
            return rows;
        }
    }
}

fn jumps() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    prop::collection::vec((0..8_usize, 0..40_usize, any::<bool>()), 0..5)
}

fn plain(rows: &[(usize, Written)]) -> Vec<Written> {
    rows.iter().map(|(_, row)| row.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_promised_history_is_accepted(states in any_course(false), jumps in jumps()) {
        let rows = promised(&states, &jumps);
        let report = judged(&[course(Some("s"), states)], &plain(&rows), &[]);
        prop_assert!(report.is_equal(), "{:?}", report);
    }

    #[test]
    fn no_other_history_is_accepted(
        states in any_course(true), jumps in jumps(), at in any::<prop::sample::Index>(), how in 0..5_usize,
    ) {
        let mut rows = promised(&states, &jumps);
        prop_assume!(!rows.is_empty());
        let at = at.index(rows.len());
        let before = at.checked_sub(1).map_or(0, |before| rows[before].0);
        let (place, row) = rows[at].clone();
        let is_last = at + 1 == rows.len();
        match how {
            // A value is missing: nothing marked stands for it.
            0 => {
                prop_assume!(!row.recovered && (is_last || !rows[at + 1].1.recovered));
                rows.remove(at);
            }
            // A value is there twice.
            1 => {
                let unmarked = Written { recovered: false, ..row };
                prop_assume!(unmarked.kind != Kind::Base);
                rows.insert(at + 1, (place, unmarked));
            }
            // The last value is another one.
            2 => {
                let last = rows.len() - 1;
                let other = rows[last].1.clone().priced(1_000);
                prop_assume!(matches!(other.kind, Kind::OddsChange | Kind::Base));
                rows[last].1 = other;
            }
            // A jump is not marked.
            3 => {
                prop_assume!(row.recovered && place != before + 1);
                // What stands may be stated again, as at the begin of an hour.
                prop_assume!(row.kind != Kind::Base || place != before);
                rows[at].1.recovered = false;
            }
            // The last value is an older one.
            _ => {
                prop_assume!(states.len() > 1);
                let older = &states[at % (states.len() - 1)];
                rows.push((0, Written::of(Some("s"), older).marked(Kind::Base)));
            }
        }
        // An unmarked first row may stand for the first value.
        prop_assume!(!(how == 3 && at == 0 && place == 0));
        let report = judged(&[course(Some("s"), states)], &plain(&rows), &[]);
        prop_assert!(!report.is_equal(), "how {}: {:?}", how, plain(&rows));
    }
}

#[test]
fn what_is_not_stated_anew_after_a_start_of_the_recorder_is_gone_without_a_row() {
    let mut gone = prices(&[2]);
    gone.states.push(state(Cause::Gone, 2, false, 10));
    let market = course(None, vec![state(Cause::Found, 0, false, 0), state(Cause::Closed, 0, false, 10)]);
    let mut other = prices(&[3]);
    other.selection = Some("t".to_owned());
    let courses = [gone, market, other];
    let base = |selection: Option<&str>, price| {
        Written::of(selection, &state(Cause::Found, price, false, 0)).marked(Kind::Base)
    };
    let known = [base(Some("s"), 2), base(None, 0), base(Some("t"), 3)];
    let anew: Vec<Written> = known.iter().cloned().chain([base(Some("t"), 3)]).collect();
    assert!(judged(&courses, &anew, &[]).is_equal());
    assert!(!judged(&courses, &known, &[(9, 11)]).is_equal(), "nothing was stated anew");
    let again: Vec<Written> = anew.iter().cloned().chain([base(None, 0)]).collect();
    assert!(!judged(&courses, &again, &[]).is_equal(), "it was stated to be there");
}

#[test]
fn what_came_back_while_values_were_left_out_shows_in_the_next_marked_row_only() {
    let equal = |prices_of_s: &[u32], rows_of_s: &[u32], other: Written, other_first: bool| {
        let mut t = prices(&[5, 6]);
        t.selection = Some("t".to_owned());
        let mut written = rows(rows_of_s);
        written.insert(if other_first { 0 } else { written.len() }, other);
        judged(&[prices(prices_of_s), t], &written, &[]).is_equal()
    };
    let plain = Written::of(Some("t"), &state(Cause::Price, 6, false, 0));
    let marked = plain.clone().marked(Kind::OddsChange);
    assert!(equal(&[1, 2, 3, 2], &[2], marked.clone(), false));
    assert!(!equal(&[1, 2, 3, 2], &[2], plain, false), "nothing was left out");
    assert!(!equal(&[1, 2, 3, 2], &[2], marked.clone(), true), "what was left out came before its row");
    assert!(!equal(&[1, 2, 3, 4], &[2], marked.clone(), false), "it did not come back");
    // That it disappears afterwards changes nothing of that.
    let gone_after = |prices_of_s: &[u32]| {
        let mut s = prices(prices_of_s);
        s.states.push(state(Cause::Gone, 0, false, 30));
        let mut t = prices(&[5, 6]);
        t.selection = Some("t".to_owned());
        judged(&[s, t], &[rows(&[2]), vec![marked.clone()]].concat(), &[]).is_equal()
    };
    assert!(gone_after(&[1, 2, 3, 2]) && !gone_after(&[1, 2, 3, 4]));
}
