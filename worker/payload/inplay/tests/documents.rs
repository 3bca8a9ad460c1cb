//! Random edits: the forest's documents equal the plain model's after each step; what was reported in steps adds up.

use super::model::Plain;
use super::{Log, Single};
use crate::payload::Payload;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use touchline_common::model::{Register, Registers};

#[derive(Clone, Debug)]
enum Edit {
    Update(String, Vec<(String, String)>),
    Insert { parent: String, it: String, kind: String, attributes: Vec<(String, String)> },
    Delete(String),
    Render,
}

const START: &[(usize, &str)] = &[
    (0, "CL;ID=1;IT=n0;NA=Soccer;"),
    (1, "CT;IT=n1;NA=Cup;ID=1;"),
    (2, "EV;IT=n2;NA=A v B;SS=0-0;FS=1;MD=0;TT=1;TM=3;TS=1;TU=20190517140307;S1=Corners;S2=Fouls;XY=;"),
    (3, "TG;IT=n3;"),
    (4, "TE;IT=n4;OR=0;NA=A;S1=1;S2=x;"),
    (4, "TE;IT=n5;OR=1;NA=;S1=;KC=#fff;"),
    (3, "SG;IT=n6;"),
    (4, "ST;IT=n7;LA=log \"1\";"),
    (3, "ES;IT=n17;"),
    (4, "SC;IT=n18;NA=ICorner;"),
    (5, "SL;IT=n19;OR=0;D1=5;"),
    (5, "SL;IT=n20;OR=1;D1=-;"),
    (4, "SC;IT=n21;NA=;SY=1;"),
    (5, "SL;IT=n22;OR=0;D1=A;"),
    (3, "MG;IT=n8;NA=Main;"),
    (4, "MA;IT=n9;ID=1777;NA=Result;SU=0;"),
    (5, "PA;IT=n10;ID=1;NA=A;OD=5/4;OR=0;"),
    (5, "PA;IT=n11;ID=2;NA=B;OD=0/0;OR=1;SU=1;"),
    (4, "MA;IT=n12;NA=Race;"),
    (5, "CO;IT=n13;NA=Win;"),
    (6, "PA;IT=n14;OD=1/3;HA=+1;"),
    (5, "CO;IT=n15;NA=;CN=2;"),
    (6, "PA;IT=n16;OD=;NC=1;"),
];

fn id() -> impl Strategy<Value = String> {
    (0..28_u8).prop_map(|n| format!("n{n}"))
}

fn attribute() -> impl Strategy<Value = (String, String)> {
    let fixed = |key: &'static str, values: &'static [&'static str]| {
        select(values).prop_map(move |value| (key.to_owned(), value.to_owned())).boxed()
    };
    prop_oneof![
        4 => fixed("OD", &["5/4", "6/4", "12/8", "0/0", "", "1/0", "10/1", "x"]),
        1 => fixed("SU", &["0", "1", "", "x"]),
        2 => fixed("SS", &["0-0", "1-0", "1-1", "", "6-4,3-2", "6-4,x-1", "2"]),
        1 => fixed("XP", &["", "40-A", "15-0"]),
        1 => fixed("CP", &["", "1st Half", "HT", "FT", "Q3", "odd"]),
        1 => fixed("FS", &["0", "1", "", "2"]),
        1 => fixed("CL", &["", "1", "13", "999"]),
        1 => fixed("MD", &["0", "1", ""]),
        1 => fixed("TM", &["", "45", "90", "x"]),
        1 => fixed("TS", &["", "0", "59"]),
        1 => fixed("TT", &["0", "1"]),
        1 => fixed("TU", &["", "20190517140307", "2019"]),
        1 => fixed("PI", &["1,0", "0,1", ""]),
        1 => fixed("S1", &["", "Corner", "4", "yellow", "-7"]),
        1 => fixed("S2", &["", "Corners ", "5", "half"]),
        2 => fixed("D1", &["", "-", "5", "6", " 7", "x", "-3"]),
        1 => fixed("OR", &["", "0", "1", "2", "9", "x"]),
        2 => fixed("NA", &["", "C v D", " E ", "ICorner", "ithrowin ", "\"q\"\\", "tab\t", "\u{00e9}"]),
        1 => fixed("ID", &["", "1", "13", "7"]),
        1 => fixed("UC", &["", "Goal", "Time-out"]),
        1 => fixed("LONGNAME", &["", "a=b", "c"]),
        1 => fixed("nodes", &["1"]).prop_map(|(_, value)| ("ZC".to_owned(), value)),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let attributes = || prop::collection::vec(attribute(), 0..4);
    let kinds: &[&str] =
        &["EV", "TE", "MA", "PA", "PA", "MA", "CO", "MG", "TG", "XX", "CT", "ST", "SC", "SL", "SL"];
    prop_oneof![
        6 => (id(), attributes()).prop_map(|(it, attributes)| Edit::Update(it, attributes)),
        4 => (id(), id(), select(kinds), attributes()).prop_map(|(parent, it, kind, attributes)| {
            Edit::Insert { parent, it, kind: kind.to_owned(), attributes }
        }),
        1 => id().prop_map(Edit::Delete),
        2 => Just(Edit::Render),
    ]
}

/// Each key once: what two values of one attribute in one message mean is nobody's rule.
fn once(attributes: &[(String, String)]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (key, value) in attributes {
        if !out.iter().any(|(held, _)| held == key) {
            out.push((key.clone(), value.clone()));
        }
    }
    out
}

fn text(attributes: &[(String, String)]) -> String {
    attributes.iter().map(|(key, value)| format!("{key}={value};")).collect()
}

fn apply(edit: &Edit, plain: &mut Plain, single: &mut Single) {
    match edit {
        Edit::Update(it, attributes) => {
            let attributes = once(attributes);
            let expected = plain.update(it, &attributes);
            let got = single.delta(it, &format!("U|{}|", text(&attributes)));
            assert_eq!(got.is_ok(), expected, "{edit:?} {got:?}");
        }
        Edit::Insert { parent, it, kind, attributes } => {
            let node = format!("{kind};IT={it};{}", text(&once(attributes)));
            let expected = plain.insert(parent, it, &node);
            let got = single.delta(&format!("{parent}/{it}"), &format!("I|{node}|"));
            assert_eq!(got.is_ok(), expected, "{edit:?} {got:?}");
        }
        Edit::Delete(it) => {
            let expected = plain.delete(it);
            let got = single.delta(&format!("T/x/{it}"), "D||");
            assert_eq!(got.is_ok(), expected, "{edit:?} {got:?}");
        }
        Edit::Render => {
            if single.forest.is_live(single.slot) {
                assert_eq!(single.document(), plain.document());
            }
        }
    }
}

/// The registers as the recorder would hold them.
fn reported(log: &Log) -> Registers {
    let mut held: BTreeMap<Register, i64> = log.bases.last().unwrap().1.registers.clone();
    for (_, observation) in &log.seen {
        for change in &observation.registers {
            assert_ne!(
                held.insert(change.register, change.value),
                Some(change.value),
                "reported without a change"
            );
        }
        assert!(observation.registers.windows(2).all(|pair| pair[0].register < pair[1].register));
        assert!(!observation.registers.is_empty() || !observation.changes.is_empty());
    }
    held
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn documents_equal_a_plain_models(edits in prop::collection::vec(edit(), 1..60)) {
        let mut plain = Plain::load(START);
        let body: String = START.iter().map(|(_, text)| format!("{text}|")).collect();
        let mut single = Single::loaded(&format!("F|{body}"));
        prop_assert_eq!(single.document(), plain.document());
        for edit in &edits {
            // A new base begins the registers anew.
            let bases = single.log.bases.len();
            apply(edit, &mut plain, &mut single);
            if single.log.bases.len() > bases {
                single.log.seen.clear();
            }
        }
        prop_assert_eq!(single.whole(), plain.document());
        let nodes: usize = plain.root.preorder().len() - 1;
        prop_assert_eq!(single.forest.nodes("T"), Some(nodes));
        let held = reported(&single.log);
        super::check_odds(&mut single.forest, single.slot, &mut single.log);
        single.forest.report(single.slot, super::at(0), &mut single.log);
        let (_, now) = single.log.bases.pop().unwrap();
        for (register, value) in now.registers {
            prop_assert_eq!(held.get(&register), Some(&value), "{:?}", register);
        }
        prop_assert_eq!(now.facts, single.log.bases.last().unwrap().1.facts.clone());
    }
}
