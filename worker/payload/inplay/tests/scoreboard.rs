//! The scoreboard's columns as statistics, registers and periods, and what is left of them in `extra`.

use super::{Document, Log, Single, at, forest};
use crate::payload::{Forest, Limits, Mapping, MatchSlot, Payload};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use touchline_common::model::{Listing, Register, Side};

const SOCCER: &str = "F|EV;IT=T;CL=1;FS=1;NA=Rovers v Albion;SS=1-0;|TG;IT=g;|TE;IT=h;OR=0;NA=Rovers;|TE;IT=a;OR=1;NA=Albion;|\
                      ES;IT=s;NA=;OR=0;|SC;IT=s0;NA=;OR=0;|SL;IT=s0h;OR=0;D1=Rovers;|SL;IT=s0a;OR=1;D1=Albion;|\
                      SC;IT=s1;NA=IGoal;OR=1;|SL;IT=s1h;OR=0;D1=1;|SL;IT=s1a;OR=1;D1=0;|\
                      SC;IT=s2;NA=ICorner;OR=2;|SL;IT=s2h;OR=0;D1=37;|SL;IT=s2a;OR=1;D1=2;|\
                      SC;IT=s3;NA=IYellowCard;OR=3;|SL;IT=s3h;OR=0;D1=1;|SL;IT=s3a;OR=1;D1=0;|\
                      SC;IT=s5;NA=IThrowIn;OR=4;|SL;IT=s5h;OR=0;D1=-;|SL;IT=s5a;OR=1;D1=;|";

fn laid_over(over: &str, load: &str) -> Single {
    let mapping = Mapping::overlaid(over).unwrap();
    let forest = Forest::new(mapping, Limits::default(), TimeZone::UTC);
    let mut single = Single::with("T", Listing::default(), forest);
    single.load(load);
    single
}

/// What the newest observation says, after those counted in `before`.
fn seen(single: &Single, before: usize) -> (Vec<(Register, i64)>, Vec<String>) {
    assert_eq!(single.log.seen.len(), before + 1);
    let saw = &single.log.seen[before].1;
    let registers = saw.registers.iter().map(|change| (change.register, change.value)).collect();
    (registers, saw.changes.clone())
}

fn column(id: &str, name: &str) -> Value {
    json!({"type": "SC", "id": id, "parent": "s", "extra": {"NA": name}})
}

/// Of home's side, or of away's where the id ends in `a`.
fn line(id: &str, parent: &str, value: &str) -> Value {
    let order = if id.ends_with('a') { "1" } else { "0" };
    json!({"type": "SL", "id": id, "parent": parent, "extra": {"OR": order, "D1": value}})
}

#[test]
fn columns_of_soccer_are_statistics() {
    let mut single = Single::loaded(SOCCER);
    let document = single.document();
    let sides = |home: u8, away: u8| json!({"home": home, "away": away});
    let stats = json!({"goals": sides(1, 0), "corners": sides(37, 2), "yellow_cards": sides(1, 0)});
    assert_eq!(document["stats"], stats);
    let names = json!([line("s0h", "s0", "Rovers"), line("s0a", "s0", "Albion")]);
    assert_eq!(document["extra"]["nodes"], names, "nobody reads the teams there");
    let (_, base) = &single.log.bases[0];
    let known = |register| base.registers.get(&register).copied();
    assert_eq!(known(Register::Corners(Side::Home)), Some(37));
    assert_eq!(known(Register::Corners(Side::Away)), Some(2));
    assert_eq!(known(Register::YellowCards(Side::Home)), Some(1));
    assert_eq!(known(Register::RedCards(Side::Home)), None);
    assert_eq!(known(Register::Score(Side::Home)), Some(1));
    assert_eq!(base.values, ["goals home 1", "goals away 0"]);
}

#[test]
fn a_line_tells_each_step() {
    let mut single = Single::loaded(SOCCER);
    single.document();
    single.delta("s2h", "U|D1=38;|").unwrap();
    assert_eq!(seen(&single, 0), (vec![(Register::Corners(Side::Home), 38)], vec![]));
    single.delta("s3a", "U|D1=1;XX=1;|").unwrap();
    assert_eq!(seen(&single, 1), (vec![(Register::YellowCards(Side::Away), 1)], vec![]));
    single.delta("s1a", "U|D1=1;|").unwrap();
    assert_eq!(seen(&single, 2), (vec![], vec!["goals away 1".to_owned()]));
    single.delta("s5h", "U|D1=4;|").unwrap();
    assert_eq!(seen(&single, 3), (vec![], vec!["throw_ins home 4".to_owned()]));
    for nothing in ["-", ""] {
        single.delta("s2h", &format!("U|D1={nothing};|")).unwrap();
        assert_eq!(single.log.seen.len(), 4, "unknown moves nothing");
        assert_eq!(single.document()["stats"]["corners"], json!({"away": 2}));
    }
    single.delta("s2h", "U|D1=39;|").unwrap();
    assert_eq!(seen(&single, 4), (vec![(Register::Corners(Side::Home), 39)], vec![]));
    single.delta("s2h", "U|OR=9;|").unwrap();
    let document = single.document();
    assert_eq!(document["stats"]["corners"], json!({"away": 2}));
    let of_no_side = json!({"type": "SL", "id": "s2h", "parent": "s2", "extra": {"OR": "9", "D1": "39"}});
    assert!(document["extra"]["nodes"].as_array().unwrap().contains(&of_no_side));
    single.delta("s2", "U|NA=IPenalty;|").unwrap();
    assert_eq!(seen(&single, 5), (vec![(Register::Penalties(Side::Away), 2)], vec![]));
    assert_eq!(single.document(), single.whole());
}

#[test]
fn columns_come_and_go() {
    let mut single = Single::loaded(SOCCER);
    single.delta("s/s9", "I|SC;IT=s9;NA=ISubstitution;|").unwrap();
    assert_eq!(single.log.seen.len(), 0);
    single.delta("s9/s9h", "I|SL;IT=s9h;OR=0;D1=1;|").unwrap();
    assert_eq!(seen(&single, 0), (vec![(Register::Substitutions(Side::Home), 1)], vec![]));
    single.delta("s/s8", "I|SC;IT=s8;NA=ifreekick;|").unwrap();
    single.delta("s8/s8a", "I|SL;IT=s8a;OR=1;D1=2;|").unwrap();
    assert_eq!(seen(&single, 1), (vec![], vec!["free_kicks away 2".to_owned()]));
    single.delta("s8/s8a", "I|SL;IT=s8a;OR=1;D1=3;|").unwrap();
    assert_eq!(seen(&single, 2), (vec![], vec!["free_kicks away 3".to_owned()]));
    assert_eq!(single.document()["stats"]["substitutions"], json!({"home": 1}));
    single.delta("T/s/s9", "D||").unwrap();
    assert_eq!(single.log.seen.len(), 3);
    assert_eq!(single.document()["stats"].get("substitutions"), None);
    assert_eq!(single.document(), single.whole());
}

#[test]
fn other_columns_give_what_the_scoreboard_lacks() {
    let mut single = Single::loaded(
        "F|EV;IT=T;CL=1;S1=Corners;S2=Fouls;|TG;IT=g;|TE;IT=h;OR=0;S1=9;S2=3;|TE;IT=a;OR=1;S1=8;S2=;|\
         ES;IT=s;|SC;IT=c;NA=ICorner;|SL;IT=ch;OR=0;D1=5;|SL;IT=ca;OR=1;D1=-;|",
    );
    let stats = json!({"corners": {"home": 5, "away": 8}, "Fouls": {"home": 3}});
    assert_eq!(single.document()["stats"], stats);
    single.delta("h", "U|S1=10;|").unwrap();
    assert_eq!(single.log.seen.len(), 0, "the scoreboard says it");
    single.delta("ch", "U|D1=;|").unwrap();
    assert_eq!(seen(&single, 0), (vec![(Register::Corners(Side::Home), 10)], vec![]));
    assert_eq!(single.document()["stats"]["corners"], json!({"home": 10, "away": 8}));
}

#[test]
fn what_is_not_understood_stays_in_extra() {
    let load = "F|EV;IT=T;CL=91;|ES;IT=s;|SC;IT=x;NA=IWoodwork;|SL;IT=xh;OR=0;D1=3;|SL;IT=xa;OR=1;D1=-;|\
                SC;IT=c;NA=ICorner;|SL;IT=ch;OR=0;D1=5;|SC;IT=d;NA=ICorner;|SL;IT=dh;OR=0;D1=6;|SL;IT=da;OR=1;D1=1;|";
    let mut single = Single::loaded(load);
    let document = single.document();
    assert_eq!(document["stats"], json!({"corners": {"home": 5, "away": 1}}));
    let unread = [column("x", "IWoodwork"), line("xh", "x", "3"), line("xa", "x", "-")];
    let second = [column("d", "ICorner"), line("dh", "d", "6")];
    assert_eq!(document["extra"]["nodes"], json!([unread.to_vec(), second.to_vec()].concat()));
    let mut single = laid_over("[scoreboard]\niwoodwork = \"woodwork\"", load);
    let document = single.document();
    let stats = json!({"woodwork": {"home": 3}, "corners": {"home": 5, "away": 1}});
    assert_eq!((&document["stats"], &document["extra"]["nodes"]), (&stats, &json!(second)));
    let message = |text: &str| Mapping::overlaid(text).unwrap_err().to_string();
    assert!(message("[scoreboard]\nIWoodwork = 3").contains("scoreboard.IWoodwork"));
}

#[test]
fn a_line_that_is_left_says_whose_it_is_and_one_that_says_nothing_is_not_left() {
    let mut single =
        Single::loaded("F|EV;IT=T;CL=91;|SL;IT=xa;OR=1;D1=3;|SL;IT=xh;OR=0;|SL;IT=yh;OR=0;D1=;XX=1;|");
    let shown = single.document();
    let other = json!({"type": "SL", "id": "yh", "parent": "T", "extra": {"XX": "1"}});
    assert_eq!(shown["extra"]["nodes"], json!([line("xa", "T", "3"), other]), "no column is above them");
    single.delta("xa", "U|OR=0;|").unwrap();
    assert_eq!(single.document()["extra"]["nodes"][0]["extra"], json!({"OR": "0", "D1": "3"}));
    assert_eq!(single.document(), single.whole());
}

#[test]
fn columns_of_basketball_are_periods() {
    let load = "F|EV;IT=T;CL=18;SS=37-52;|ES;IT=s;|SC;IT=p;NA=1;|SL;IT=ph;OR=0;D1=19;|SL;IT=pa;OR=1;D1=27;|\
                SC;IT=q;NA=2;|SL;IT=qh;OR=0;D1=18;|SL;IT=qa;OR=1;D1=;|SC;IT=r;NA=3;|SL;IT=rh;OR=0;D1=;|SL;IT=ra;OR=1;D1=;|\
                SC;IT=t;NA=T;|SL;IT=th;OR=0;D1=37;|SL;IT=ta;OR=1;D1=52;|";
    let mut single = Single::loaded(load);
    let document = single.document();
    assert_eq!(document["score"]["periods"], json!([{"home": 19, "away": 27}]));
    let total = [column("t", "T"), line("th", "t", "37"), line("ta", "t", "52")];
    let half = [column("q", "2"), line("qh", "q", "18")];
    assert_eq!(document["extra"]["nodes"], json!([half.to_vec(), total.to_vec()].concat()));
    single.delta("qa", "U|D1=25;|").unwrap();
    let document = single.document();
    assert_eq!(document["score"]["periods"], json!([{"home": 19, "away": 27}, {"home": 18, "away": 25}]));
    assert_eq!((&document["extra"]["nodes"], single.log.seen.len()), (&json!(total), 0));
    // In another sport nothing says what they count.
    single.delta("T", "U|CL=1;|").unwrap();
    let document = single.document();
    assert_eq!(document["score"].get("periods"), None);
    assert_eq!(document["extra"]["nodes"].as_array().unwrap().len(), 3 + 3 + 1 + 3);
    assert_eq!(document, single.whole());
    let mut single = laid_over("[scoreboard]\nT = \"total\"", load);
    let document = single.document();
    assert_eq!(document["stats"], json!({"total": {"home": 37, "away": 52}}));
    assert_eq!(document["score"]["periods"], json!([{"home": 19, "away": 27}]));
}

#[test]
fn periods_are_shown_without_a_score() {
    let load = "F|EV;IT=T;CL=18;SS=;|ES;IT=s;|SC;IT=p;NA=1;|SL;IT=ph;OR=0;D1=19;|SL;IT=pa;OR=1;D1=27;|";
    let mut single = Single::loaded(load);
    let document = single.document();
    assert_eq!(document["score"], json!({"periods": [{"home": 19, "away": 27}]}));
    assert_eq!(document.get("extra"), None);
    single.delta("pa", "U|D1=;|").unwrap();
    let document = single.document();
    assert_eq!(document.get("score"), None);
    assert_eq!(document["extra"]["nodes"], json!([column("p", "1"), line("ph", "p", "19")]));
    assert_eq!(document, single.whole());
}

/// A match of two topics, as it is shown and reported after the load of both.
struct Double {
    forest: Forest,
    slot: MatchSlot,
    log: Log,
    document: Document,
}

impl Double {
    fn loaded(first: &str, second: &str) -> Self {
        let mut forest = forest();
        let topics = ["A".to_owned(), "B".to_owned()];
        let slot = forest.add_match(&topics, Listing::default()).unwrap();
        let mut double = Self { forest, slot, log: Log::default(), document: Document::default() };
        for (topic, load) in [("A", first), ("B", second)] {
            double.forest.load(topic.as_bytes(), load.as_bytes(), at(0), &mut double.log).unwrap();
        }
        double
    }

    fn delta(&mut self, path: &str, body: &str) {
        self.forest.delta(path.as_bytes(), body.as_bytes(), at(0), &mut self.log).unwrap();
    }

    fn document(&mut self) -> Value {
        let mut sections = Vec::new();
        self.forest.render(self.slot, &mut self.log, &mut sections);
        self.document.apply(sections);
        self.document.to_value(&self.log)
    }
}

#[test]
fn periods_of_a_topic_that_the_score_leaves_out_stay_in_extra() {
    let mut double = Double::loaded(
        "F|EV;IT=e;CL=18;SS=1-2;|ES;IT=s;|SC;IT=c;NA=1;|SL;IT=ch;OR=0;D1=5;|SL;IT=ca;OR=1;D1=-;|",
        "F|EV;IT=f;|ES;IT=u;|SC;IT=d;NA=1;|SL;IT=dh;OR=0;D1=5;|SL;IT=da;OR=1;D1=7;|",
    );
    let shown = double.document();
    assert_eq!(shown["score"]["periods"], json!([{"home": 5, "away": 7}]), "the first topic has none");
    assert_eq!(shown["extra"]["nodes"], json!([column("c", "1"), line("ch", "c", "5")]));
    double.delta("ca", "U|D1=6;|");
    let shown = double.document();
    assert_eq!(shown["score"]["periods"], json!([{"home": 5, "away": 6}]));
    let name = json!({"type": "SC", "id": "d", "parent": "u", "extra": {"NA": "1"}});
    assert_eq!(shown["extra"]["nodes"], json!([name, line("dh", "d", "5"), line("da", "d", "7")]));
}

#[test]
fn two_topics_fill_each_other() {
    let mut double = Double::loaded(
        "F|EV;IT=e;CL=1;|ES;IT=s;|SC;IT=c;NA=ICorner;|SL;IT=ch;OR=0;D1=-;|SL;IT=ca;OR=1;D1=4;|",
        "F|EV;IT=f;|ES;IT=u;|SC;IT=d;NA=ICorner;|SL;IT=dh;OR=0;D1=2;|SL;IT=da;OR=1;D1=3;|",
    );
    let (_, base) = double.log.bases.last().unwrap();
    assert_eq!(base.registers.get(&Register::Corners(Side::Home)), Some(&2));
    assert_eq!(base.registers.get(&Register::Corners(Side::Away)), Some(&4));
    let shown = double.document();
    assert_eq!(shown["stats"]["corners"], json!({"home": 2, "away": 4}));
    let left = json!({"type": "SC", "id": "d", "parent": "u", "extra": {"NA": "ICorner"}});
    assert_eq!(shown["extra"]["nodes"], json!([left, line("da", "d", "3")]));
}

#[test]
fn names_laid_over_built_in_ones_count_in_any_case_and_with_any_blanks() {
    let over = "[scoreboard]\n\"icorner \" = \"corner_kicks\"\n[statistics]\n\"off target \" = \"wide\"";
    let mut single = laid_over(
        over,
        "F|EV;IT=T;CL=1;S1=OFF target;|TG;IT=g;|TE;IT=h;OR=0;S1=3;|\
         ES;IT=s;|SC;IT=c;NA= ICorner;|SL;IT=ch;OR=0;D1=5;|",
    );
    assert_eq!(single.document()["stats"], json!({"corner_kicks": {"home": 5}, "wide": {"home": 3}}));
    for (section, again) in [("scoreboard", " WOOD "), ("statistics", "Wood")] {
        let text = format!("[{section}]\nwood = \"a\"\n\"{again}\" = \"b\"");
        let message = Mapping::overlaid(&text).unwrap_err().to_string();
        assert!(message.contains(section) && message.contains("twice"), "{message}");
    }
}
