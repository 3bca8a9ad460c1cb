//! A load against what is held: what counts as missing, and that a load in which nothing is leaves no trace.

use super::{Log, Single, at, forest};
use crate::payload::{Differing, Payload};
use serde_json::json;
use touchline_common::model::{Listing, Register, Side};

const LOAD: &str = "F|EV;IT=T;CL=1;FS=1;NA=A v B;SS=0-0;|TG;IT=g;OR=0;|TE;IT=h;OR=0;|TE;IT=a;OR=1;|\
                    MG;IT=mg;NA=Main;OR=0;|MA;IT=m;ID=1777;NA=Result;OR=0;SU=0;|PA;IT=p;NA=A;OR=0;OD=5/4;SU=0;|\
                    PA;IT=q;NA=B;OR=1;OD=2/1;|MA;IT=n;ID=9;NA=Other;OR=1;|PA;IT=r;NA=C;OD=1/1;|";

impl Single {
    fn audit(&mut self, body: &str) -> Option<usize> {
        self.differing(body).map(|differing| differing.nodes)
    }

    fn differing(&mut self, body: &str) -> Option<Differing> {
        let topic = self.topic.clone();
        self.forest.audit(topic.as_bytes(), body.as_bytes(), at(1), &mut self.log).unwrap()
    }
}

/// A match that is loaded, changed and published.
fn changed() -> Single {
    let mut single = Single::loaded(LOAD);
    single.document();
    for (path, body) in [
        ("p", "U|OD=6/4;|"),
        ("q", "U|OD=9/4;|"),
        ("q", "U|OD=2/1;|"),
        ("T", "U|SS=1-0;UC=Goal;|"),
        ("T/mg/k", "I|MA;IT=k;NA=New;OR=2;|"),
        ("T/k/s", "I|PA;IT=s;NA=D;OD=3/1;|"),
        ("T/mg/n", "D|"),
    ] {
        single.delta(path, body).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    single.document();
    single
}

/// What the server would send now, with siblings numbered anew and attributes in another order.
const NOW: &str = "F|EV;IT=T;CL=1;FS=1;NA=A v B;UC=Goal;SS=1-0;|TG;IT=g;OR=0;|TE;IT=h;OR=0;|TE;IT=a;OR=1;|\
                   MG;IT=mg;NA=Main;OR=0;|MA;IT=m;ID=1777;NA=Result;OR=0;SU=0;|PA;IT=p;NA=A;OR=0;OD=6/4;SU=0;|\
                   PA;IT=q;NA=B;OR=1;OD=2/1;|MA;IT=k;NA=New;OR=1;|PA;IT=s;NA=D;OD=3/1;|";

#[test]
fn a_load_that_says_what_is_held_misses_nothing_tells_nothing_and_shows_nothing_new() {
    let mut single = changed();
    let (before, reported) = (single.document(), (single.log.bases.len(), single.log.seen.len()));
    let prices = json!([
        before["markets"]["m"]["selections"]["p"]["open"],
        before["markets"]["m"]["selections"]["q"]["move"]
    ]);
    assert_eq!(prices, json!([2.25, -1]), "{before}");
    assert_eq!(single.audit(NOW), Some(0));
    assert_eq!((single.log.bases.len(), single.log.seen.len()), reported);
    let mut sections = Vec::new();
    single.forest.render(single.slot, &mut single.log, &mut sections);
    assert_eq!(sections, []);
    assert_eq!(single.whole(), before);
}

#[test]
fn each_node_that_a_delta_would_have_changed_made_or_removed_is_missed() {
    for (from, to, nodes) in [
        ("SS=1-0;", "SS=2-0;", 1),
        ("OD=6/4;SU=0;", "OD=6/4;SU=1;", 1),
        ("OD=6/4;", "OD=;", 1),
        ("UC=Goal;", "UC=Goal;XY=1;", 1),
        ("PA;IT=q;NA=B;OR=1;OD=2/1;|", "", 1),
        ("MA;IT=k;NA=New;OR=1;|PA;IT=s;NA=D;OD=3/1;|", "", 2),
        ("|TE;IT=h;", "|PA;IT=new;NA=E;|TE;IT=h;", 1),
        ("MG;IT=mg;", "MX;IT=mg;", 1),
    ] {
        let mut single = changed();
        assert!(NOW.contains(from), "{from}");
        assert_eq!(single.audit(&NOW.replace(from, to)), Some(nodes), "{from} became {to}");
        assert_eq!(single.whole(), Single::loaded(&NOW.replace(from, to)).kept_as(&single.whole()));
    }
}

impl Single {
    /// The document, with what depends on when a subscription began taken from `other`.
    fn kept_as(&mut self, other: &serde_json::Value) -> serde_json::Value {
        let mut document = self.whole();
        for (key, market) in document["markets"].as_object_mut().unwrap() {
            for (name, selection) in market["selections"].as_object_mut().unwrap() {
                for member in ["open", "move"] {
                    match other["markets"][key]["selections"][name].get(member) {
                        Some(value) => selection[member] = value.clone(),
                        None => drop(selection.as_object_mut().unwrap().remove(member)),
                    }
                }
            }
        }
        document
    }
}

#[test]
fn the_first_node_that_differs_is_named_as_a_delta_would_name_it() {
    for (from, to, first) in [
        ("OD=6/4;", "OD=7/4;", "T/p"),
        ("|TE;IT=h;", "|PA;IT=new;NA=E;|TE;IT=h;", "T/new"),
        ("PA;IT=s;NA=D;OD=3/1;|", "", "T/s"),
        ("UC=Goal;", "UC=Goal;", ""),
    ] {
        let found = changed().differing(&NOW.replace(from, to)).unwrap();
        assert_eq!(found.first, first, "{from} became {to}");
    }
}

#[test]
fn what_was_missed_is_true_afterwards_and_reported() {
    let mut single = changed();
    let bases = single.log.bases.len();
    assert_eq!(single.audit(&NOW.replace("SS=1-0;", "SS=2-0;").replace("OD=6/4;", "OD=7/4;")), Some(2));
    let document = single.document();
    assert_eq!(document["score"]["home"], 2);
    assert_eq!(document["markets"]["m"]["selections"]["p"]["odds"], 2.75);
    assert_eq!(single.log.bases.len(), bases + 1);
    let (_, base) = single.log.bases.last().unwrap();
    assert_eq!(base.registers.get(&Register::Score(Side::Home)), Some(&2));
}

#[test]
fn neither_an_attribute_that_only_we_hold_nor_an_empty_one_nor_a_second_node_of_one_id_is_missed() {
    let mut single = changed();
    single.delta("T", "U|OI=7;ZZ=;|").unwrap();
    assert_eq!(single.audit(&NOW.replace("UC=Goal;", "UC=Goal;YY=;")), Some(0), "empty is absent");
    let twice = format!("{NOW}PA;IT=s;NA=Other;OD=1/9;|XX;NA=without an id;|");
    assert_eq!(single.audit(&twice), Some(0));
}

#[test]
fn a_register_that_changed_without_a_difference_is_reported_all_the_same() {
    let mut single = changed();
    single.delta("a", "U|S1=4;|").unwrap();
    single.delta("T", "U|S1=Corners;|").unwrap();
    let bases = single.log.bases.len();
    // What only we hold is no sign of a missed delta, but it is gone now.
    assert_eq!(single.audit(NOW), Some(0));
    assert_eq!(single.log.bases.len(), bases + 1);
}

#[test]
fn without_something_on_both_sides_there_is_nothing_to_compare() {
    let mut single = Single::new("T");
    assert_eq!(single.audit(LOAD), None);
    assert_eq!(single.audit("EMPTY"), None);
    assert_eq!(single.audit("F|"), None);
    let mut forest = forest();
    forest.add_match(&["T".to_owned()], Listing::default()).unwrap();
    assert!(forest.audit(b"T", b"nonsense", at(0), &mut Log::default()).is_err());
    assert!(forest.audit(b"U", LOAD.as_bytes(), at(0), &mut Log::default()).is_err());
}

#[test]
fn each_topic_of_a_match_is_compared_by_itself() {
    let mut forest = forest();
    let mut log = Log::default();
    let slot = forest.add_match(&["T".to_owned(), "U".to_owned()], Listing::default()).unwrap();
    let second = "F|EV;IT=e;NA=x;|MA;IT=m;NA=Shared;|PA;IT=z;OD=1/1;|";
    let body = |text: &str| text.as_bytes().to_vec();
    forest.load(b"T", &body(LOAD), at(0), &mut log).unwrap();
    forest.load(b"U", &body(second), at(0), &mut log).unwrap();
    forest.delta(b"z", b"U|OD=2/1;|", at(0), &mut log).unwrap();
    let mut audit = |topic: &[u8], text: &str| {
        let found = forest.audit(topic, text.as_bytes(), at(1), &mut log).unwrap();
        found.map(|differing| differing.nodes)
    };
    assert_eq!(audit(b"T", LOAD), Some(0), "a node of the same id in the other topic does not count");
    assert_eq!(audit(b"U", second), Some(1));
    assert_eq!(audit(b"U", second), Some(0));
    assert!(forest.is_live(slot));
}
