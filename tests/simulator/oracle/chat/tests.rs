//! The comparison refuses what is missing, doubled, altered or invented, and excuses only what a gap covers.

use super::*;

const ROOM: &str = "7";
/// When lines are sent, microseconds.
const NOON: i64 = 1_000_000_000;

fn line(kind: Kind, id: u64, text: &str, amount: Option<i64>) -> Line {
    Line { kind, id, uid: 5, user: "小明".to_owned(), text: text.to_owned(), amount }
}

fn lines() -> Vec<SentLine> {
    let lines = [
        line(Kind::Comment, 1, "hello", None),
        line(Kind::Comment, 0, "without an id", None),
        line(Kind::Gift, 2, "rose", Some(100)),
        line(Kind::Gift, 0, "guard", Some(198_000)),
        line(Kind::SuperChat, 3, "paid", Some(30)),
        Line { user: String::new(), ..line(Kind::Retract, 1, "", None) },
    ];
    let sent = |(place, line)| SentLine { place, at: NOON + place as i64, due: Due::Yes, line };
    (0..).zip(lines).map(sent).collect()
}

fn row(sent: &SentLine) -> ChatRow {
    let Line { kind, id, user, text, amount, .. } = sent.line.clone();
    let id = if id == 0 { String::new() } else { id.to_string() };
    ChatRow { room: ROOM.to_owned(), id, kind: kind.name().to_owned(), user, text, amount }
}

fn compare(rows: &[ChatRow], gaps: Vec<GapTimes>, sent: Vec<SentLine>, names: Names) -> ChatReport {
    let mut comparison = Comparison::new(vec![(7, sent)], names);
    rows.iter().for_each(|row| comparison.row(row));
    comparison.finish(gaps)
}

fn found(rows: &[ChatRow]) -> ChatReport {
    compare(rows, Vec::new(), lines(), Names::Kept)
}

fn gap(from: i64, to: i64) -> GapTimes {
    GapTimes { feed: "rooms".to_owned(), id: ROOM.to_owned(), from, to }
}

#[test]
fn what_was_sent_and_stored_once_is_equal() {
    let rows: Vec<ChatRow> = lines().iter().map(row).collect();
    let report = found(&rows);
    assert!(report.is_equal(), "{report:#?}");
    assert_eq!((report.sent, report.rows, report.retracts), (6, 6, 1));
}

#[test]
fn a_missing_a_doubled_an_altered_and_an_invented_row_are_refused() {
    let rows: Vec<ChatRow> = lines().iter().map(row).collect();
    for at in 0..rows.len() {
        let mut missing = rows.clone();
        missing.remove(at);
        let report = found(&missing);
        assert_eq!((report.missing, report.different()), (1, 1), "{at}: {report:#?}");
        let mut doubled = rows.clone();
        doubled.push(rows[at].clone());
        let report = found(&doubled);
        assert_eq!((report.doubled, report.different()), (1, 1), "{at}: {report:#?}");
    }
    let altered: [fn(&mut ChatRow); 3] =
        [|row| row.text.push('!'), |row| row.user = "someone".to_owned(), |row| row.amount = Some(7)];
    for alter in altered {
        let mut rows = rows.clone();
        alter(&mut rows[0]);
        let report = found(&rows);
        assert_eq!((report.altered, report.different()), (1, 1), "{report:#?}");
    }
    let others: [fn(&mut ChatRow); 3] = [
        |row| row.id = "99".to_owned(),
        |row| row.room = "8".to_owned(),
        |row| row.kind = "shout".to_owned(),
    ];
    for other in others {
        let mut rows = rows.clone();
        let mut invented = rows[4].clone();
        other(&mut invented);
        rows.push(invented);
        let report = found(&rows);
        assert_eq!((report.invented, report.different()), (1, 1), "{report:#?}");
    }
}

#[test]
fn only_a_gap_that_covers_it_excuses_a_missing_line() {
    let rows: Vec<ChatRow> = lines().iter().skip(1).map(row).collect();
    let with = |gaps| compare(&rows, gaps, lines(), Names::Kept);
    assert!(with(vec![gap(NOON - 5, NOON + 5)]).is_equal());
    // It was under way when the connection broke.
    assert!(with(vec![gap(NOON + 900_000, NOON + 2_000_000)]).is_equal());
    assert_eq!(with(vec![gap(NOON - 9, NOON - 1)]).missing, 1, "the gap was over");
    assert_eq!(with(vec![gap(NOON + 1_100_000, NOON + 2_000_000)]).missing, 1, "it began long after");
    let elsewhere = GapTimes { id: "8".to_owned(), ..gap(NOON - 5, NOON + 5) };
    assert_eq!(with(vec![elsewhere]).missing, 1, "another room's");
    let unsure = lines().into_iter().map(|sent| SentLine { due: Due::Unsure, ..sent }).collect();
    let report = compare(&rows, Vec::new(), unsure, Names::Kept);
    assert_eq!((report.excused, report.different()), (1, 0));
}

#[test]
fn where_names_are_hidden_a_name_is_refused() {
    let named: Vec<ChatRow> = lines().iter().map(row).collect();
    let hidden: Vec<ChatRow> =
        named.iter().map(|row| ChatRow { user: "5f3a".to_owned(), ..row.clone() }).collect();
    assert!(compare(&hidden, Vec::new(), lines(), Names::Hidden).is_equal());
    let report = compare(&named, Vec::new(), lines(), Names::Hidden);
    assert_eq!((report.altered, report.different()), (5, 5), "{report:#?}");
}
