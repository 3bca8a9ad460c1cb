//! Recordings that the tests write themselves: what comes out, and what a hole does.

use super::*;
use crate::raw::{MAGIC, put_bytes, put_mark};
use crate::wire::diffusion::{self, ConnectResponse, ResponseCode, TopicRef};
use serde_json::json;
use tempfile::TempDir;
use touchline_common::ipc::messages::worker::ReleaseReason;
use touchline_common::model::{Epoch, Listing};

const LOAD: &str = "F|EV;IT=e;ID=1;NA=A v B;CL=1;SS=0-0;|TG;IT=tg;|TE;IT=t1;NA=A;OR=0;|TE;IT=t2;NA=B;OR=1;|\
                    MA;IT=m1;ID=10;NA=M;|PA;IT=p1;ID=11;NA=A;OD=1/2;|";
/// A second, in microseconds; times count from the first record.
const S: i64 = 1_000_000;

struct Recorded {
    folder: TempDir,
    bytes: Vec<u8>,
}

impl Recorded {
    /// Of a worker that follows a match on its first connection.
    fn new() -> Recorded {
        let mut recorded = Recorded { folder: tempfile::tempdir().unwrap(), bytes: MAGIC.to_vec() };
        let feed = "inplay".to_owned();
        recorded.mark(0, &Mark::Worker { feed, slot: SlotId(1), generation: Generation(1) });
        let (topics, listing) = (vec!["6V1".to_owned()], Listing::default());
        recorded.mark(0, &Mark::Assigned { id: "1".into(), epoch: Epoch(7), topics, listing });
        recorded
    }

    fn mark(&mut self, at: i64, mark: &Mark) {
        put_mark(&mut self.bytes, at, 1, mark);
    }

    fn read(&mut self, at: i64, connection: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        put_bytes(&mut self.bytes, at, connection, &bytes);
    }

    fn open(&mut self, at: i64, connection: u64) {
        self.read(at, connection, |out| {
            let client_id = b"c";
            ConnectResponse::Accepted { version: diffusion::VERSION, code: ResponseCode::Ok, client_id }
                .encode(out)
                .unwrap();
        });
    }

    fn load(&mut self, at: i64, connection: u64, body: &str) {
        self.read(at, connection, |out| diffusion::load(out, named("6V1"), body.as_bytes()).unwrap());
    }

    fn delta(&mut self, at: i64, connection: u64, path: &str, body: &str) {
        self.read(at, connection, |out| diffusion::delta(out, named(path), body.as_bytes()).unwrap());
    }

    fn replay(&self) -> (Vec<Value>, Vec<Value>, Summary) {
        let path = self.folder.path().join("x.raw");
        std::fs::write(&path, &self.bytes).unwrap();
        replayed(&[path]).unwrap()
    }
}

fn named(topic: &str) -> TopicRef<'_> {
    TopicRef::Named { name: topic.as_bytes(), alias: None }
}

fn replayed(files: &[PathBuf]) -> Result<(Vec<Value>, Vec<Value>, Summary), ReplayError> {
    replayed_with("[[feed]]\nurl = \"dpt://127.0.0.1:1\"\n", files)
}

fn replayed_with(config: &str, files: &[PathBuf]) -> Result<(Vec<Value>, Vec<Value>, Summary), ReplayError> {
    let config = Config::parse(config, "t").unwrap();
    let (mut events, mut documents) = (Vec::new(), Vec::new());
    let summary = replay(&config, files, &mut |outcome| match outcome {
        Outcome::Event(event) => events.push(event),
        Outcome::Document(document) => documents.push(document),
    })?;
    Ok((events, documents, summary))
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn what_was_received_gives_its_events_and_its_document() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    recorded.delta(3 * S, 1, "6V1/e", "U|SS=1-0;|");
    recorded.delta(4 * S, 1, "6V1/p1", "U|OD=5/4;|");
    let (events, documents, summary) = recorded.replay();
    assert_eq!(types(&events), ["match_listed", "goal"]);
    let goal = &events[1];
    assert_eq!(
        (&goal["side"], &goal["score"], &goal["epoch"]),
        (&json!("home"), &json!({"home": 1, "away": 0}), &json!(7))
    );
    assert_eq!((&goal["at"], &goal["lane"]), (&json!("1970-01-01T00:00:03.000000Z"), &json!("priority")));
    let [document] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(
        (&document["match"], &document["feed"], &document["score"]["text"]),
        (&json!("1"), &json!("inplay"), &json!("1-0"))
    );
    assert_eq!(document["markets"]["m1"]["selections"]["p1"]["odds"], 2.25);
    assert_eq!((summary.events, summary.documents, summary.unusable, summary.skipped_bytes), (2, 1, 0, 0));
    assert_eq!(recorded.replay().0, events, "the same again");
}

#[test]
fn a_message_may_stand_in_two_records() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    let mut goal = Vec::new();
    diffusion::delta(&mut goal, named("6V1/e"), b"U|SS=1-0;|").unwrap();
    let (head, tail) = goal.split_at(7);
    recorded.read(3 * S, 1, |out| out.extend_from_slice(head));
    recorded.read(4 * S, 1, |out| out.extend_from_slice(tail));
    let (events, _, _) = recorded.replay();
    assert_eq!(types(&events), ["match_listed", "goal"]);
    assert_eq!(events[1]["at"], "1970-01-01T00:00:04.000000Z", "when it was whole");
}

#[test]
fn a_lost_connection_is_a_gap_and_an_end_gives_the_last_document() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    recorded.mark(3 * S, &Mark::Lost);
    recorded.open(4 * S, 2);
    recorded.load(5 * S, 2, &LOAD.replace("SS=0-0;", "SS=0-1;"));
    recorded.mark(9 * S, &Mark::Released { id: "1".into(), epoch: Epoch(7), why: ReleaseReason::Ended });
    let (events, documents, _) = recorded.replay();
    let goal = events.iter().find(|event| event["type"] == "goal").unwrap();
    assert_eq!((&goal["recovered"], &goal["side"]), (&json!(true), &json!("away")));
    let kinds = types(&events);
    assert!(kinds.contains(&"gap_start") && kinds.contains(&"gap_end"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"match_ended"));
    assert_eq!(documents.len(), 1);
}

#[test]
fn behind_a_hole_a_connection_is_passed_over_and_the_next_one_is_not() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    recorded.mark(3 * S, &Mark::Dropped { bytes: 9 });
    recorded.delta(4 * S, 1, "6V1/e", "U|SS=1-0;|");
    recorded.mark(5 * S, &Mark::Lost);
    recorded.open(6 * S, 2);
    recorded.load(7 * S, 2, &LOAD.replace("SS=0-0;", "SS=2-0;"));
    let (events, documents, summary) = recorded.replay();
    assert!(summary.skipped_bytes > 0 && summary.dropped_bytes == 9, "{summary:?}");
    assert_eq!(types(&events).iter().filter(|kind| **kind == "goal").count(), 2);
    assert_eq!(documents[0]["score"]["home"], 2);
}

#[test]
fn bytes_whose_beginning_is_missing_are_counted() {
    let mut recorded = Recorded::new();
    recorded.load(2 * S, 3, LOAD);
    recorded.delta(3 * S, 3, "6V1/e", "U|SS=1-0;|");
    let (events, documents, summary) = recorded.replay();
    assert!(events.is_empty() && documents.is_empty(), "{events:?} {documents:?}");
    assert!(summary.skipped_bytes > 0, "{summary:?}");
}

#[test]
fn a_cut_file_gives_what_is_whole_and_says_so() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    recorded.delta(3 * S, 1, "6V1/e", "U|SS=1-0;|");
    recorded.bytes.truncate(recorded.bytes.len() - 3);
    let (events, _, summary) = recorded.replay();
    assert_eq!(types(&events), ["match_listed"]);
    assert!(summary.faults[0].contains("ends in the midst of a record"), "{summary:?}");
}

#[test]
fn an_audit_keeps_what_is_remembered_of_prices() {
    let mut recorded = Recorded::new();
    recorded.open(S, 1);
    recorded.load(2 * S, 1, LOAD);
    recorded.delta(3 * S, 1, "6V1/p1", "U|OD=5/4;|");
    recorded.mark(4 * S, &Mark::Audited { id: "1".into() });
    recorded.load(5 * S, 1, &LOAD.replace("OD=1/2;", "OD=5/4;"));
    let (_, documents, _) = recorded.replay();
    let selection = &documents[0]["markets"]["m1"]["selections"]["p1"];
    assert_eq!((&selection["open"], &selection["move"]), (&json!(1.5), &json!(1)));
}

#[test]
fn what_is_no_recording_or_of_another_feed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.raw");
    std::fs::write(&path, b"nonsense").unwrap();
    assert!(replayed(std::slice::from_ref(&path)).unwrap_err().to_string().contains("not a recording"));
    let mut bytes = MAGIC.to_vec();
    let worker = Mark::Worker { feed: "other".into(), slot: SlotId(1), generation: Generation(1) };
    put_mark(&mut bytes, 0, 0, &worker);
    std::fs::write(&path, &bytes).unwrap();
    assert!(replayed(&[path]).unwrap_err().to_string().contains("the feed \"other\""));
}

/// A packet of a room.
fn packet(operation: crate::wire::rooms::Operation, body: &str) -> impl FnOnce(&mut Vec<u8>) {
    use crate::wire::rooms::{BodyForm, write_packet};
    move |out| write_packet(out, BodyForm::Plain, operation, body.as_bytes())
}

#[test]
fn what_was_said_in_rooms_gives_its_lines_its_gaps_and_its_documents() {
    use crate::wire::rooms::Operation::{JoinReply, Message};
    let mut recorded = Recorded { folder: tempfile::tempdir().unwrap(), bytes: MAGIC.to_vec() };
    let (feed, room) = ("live".to_owned(), "77".to_owned());
    recorded.mark(0, &Mark::Worker { feed, slot: SlotId(1), generation: Generation(1) });
    let listing = Listing { name: Some("A room".to_owned()), in_play: true, ..Listing::default() };
    let assigned = Mark::Assigned { id: "77".into(), epoch: Epoch(7), topics: vec![room.clone()], listing };
    recorded.mark(0, &assigned);
    let joined = |recorded: &mut Recorded, at: i64, connection: u64| {
        put_mark(&mut recorded.bytes, at, connection, &Mark::Joined { topic: "77".to_owned() });
        recorded.read(at, connection, packet(JoinReply, "{\"code\":0}"));
    };
    let chat = r#"{"cmd":"SUPER_CHAT_MESSAGE","data":{"id":5,"uid":1,"message":"hello","price":30,"user_info":{"uname":"n"}}}"#;
    recorded.read(S, 9, packet(Message, chat));
    joined(&mut recorded, S, 1);
    recorded.read(2 * S, 1, packet(Message, chat));
    recorded.mark(70 * S, &Mark::Interrupted { topic: room, unheard_us: 65_000_000 });
    recorded.read(71 * S, 1, packet(Message, chat));
    joined(&mut recorded, 72 * S, 2);
    recorded.read(73 * S, 2, packet(Message, chat));
    recorded.read(74 * S, 2, packet(Message, r#"{"cmd":"WATCHED_CHANGE","data":{"num":12}}"#));
    let path = recorded.folder.path().join("x.raw");
    std::fs::write(&path, &recorded.bytes).unwrap();
    let text = "[[feed]]\nname = \"live\"\nkind = \"rooms\"\nurl = \"tcp://127.0.0.1:1\"\nrooms = [\"77\"]\n";
    let (events, documents, summary) = replayed_with(text, &[path]).unwrap();
    let lines: Vec<&Value> = events.iter().filter(|event| event["lane"] == "chat").collect();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&line["type"], &line["text"], &line["user"]),
        (&json!("super_chat"), &json!("hello"), &json!("n"))
    );
    assert_eq!(line["at"], "1970-01-01T00:00:02.000000Z");
    let gap = events.iter().find(|event| event["type"] == "gap_start").unwrap();
    assert_eq!(gap["at"], "1970-01-01T00:00:05.000000Z", "with what came last: {gap}");
    assert!(types(&events).contains(&"gap_end"), "{events:?}");
    let [document] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!((&document["name"], &document["stats"]["viewers"]), (&json!("A room"), &json!(12)));
    assert_eq!(summary.unusable, 0);
    assert!(summary.skipped_bytes > 0, "of a connection that was not joined, and of one that was over");
}
