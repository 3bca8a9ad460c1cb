//! Lines of rooms: whoever brings them, each id once; those without an id from the owner.

use super::*;
use proptest::prelude::*;
use touchline_common::model::{ChatKind, ChatLine};

fn line<'a>(kind: ChatKind, id: &'a str, text: &'a str) -> ChatLine<'a> {
    ChatLine { kind, id: id.into(), user: "ann".into(), text: text.into(), amount: None, feed_at: None }
}

fn comment<'a>(id: &'a str, text: &'a str) -> ChatLine<'a> {
    line(ChatKind::Comment, id, text)
}

impl Frames {
    fn room(self, handle: u32, id: &str, epoch: u64) -> Frames {
        self.name(handle, Named::Match { key: key(id), epoch: Epoch(epoch) })
    }

    fn say(self, n: u64, handle: u32, lines: &[ChatLine<'_>]) -> Frames {
        let body = BulkBody::Chat { lines: lines.into(), at: 8 };
        self.put(&BulkFrame { n, handle: Handle(handle), body })
    }
}

impl Bench {
    /// `match type id text` of every row of a room.
    fn said(&self) -> Vec<String> {
        let reader = Reader::new(self.folder.path().join("hours"));
        let (lines, _) = reader.chat(&Filter { since: Some(0), ..Default::default() }, 100_000).unwrap();
        let row = |line: &String| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {}", text("match"), text("type"), text("id"), text("text"))
        };
        lines.iter().map(row).collect()
    }
}

#[test]
fn an_incident_has_no_owner_and_is_written_once() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.open(2, B);
    bench.adopt("R", 5);
    bench.send(1, A, Frames::default().room(1, "R", 5).say(1, 1, &[comment("a", "1"), comment("b", "2")]));
    // A candidate, and one whose epoch is over.
    bench.send(2, B, Frames::default().room(7, "R", 6).say(1, 7, &[comment("b", "2"), comment("c", "3")]));
    bench.adopt("R", 6);
    bench.send(2, B, Frames::default().say(2, 7, &[comment("d", "4")]));
    bench.send(1, A, Frames::default().say(2, 1, &[comment("d", "4"), comment("e", "5")]));
    let taken_back = [line(ChatKind::Retract, "b", ""), line(ChatKind::Retract, "b", "")];
    bench.send(1, A, Frames::default().say(3, 1, &taken_back));
    let replies = bench.commit();
    assert!(replies.contains(&Reply::Acked { source: A, n: 3 }), "{replies:?}");
    assert!(replies.contains(&Reply::Acked { source: B, n: 2 }), "{replies:?}");
    let expected = [
        "R comment a 1",
        "R comment b 2",
        "R comment c 3",
        "R comment d 4",
        "R comment e 5",
        "R retract b -",
    ];
    assert_eq!(bench.said(), expected);
    let stats = lock(&bench.shared.stats);
    assert_eq!((stats.bulk, stats.refused), (6, 0));
}

#[test]
fn what_has_no_id_is_the_owners() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.open(2, B);
    bench.send(1, A, Frames::default().room(1, "R", 5).say(1, 1, &[comment("", "nobody owns it yet")]));
    bench.adopt("R", 5);
    bench.send(2, B, Frames::default().room(7, "R", 6).say(1, 7, &[comment("", "a candidate")]));
    bench.send(1, A, Frames::default().say(2, 1, &[comment("", "twice"), comment("", "twice")]));
    bench.adopt("R", 6);
    bench.send(1, A, Frames::default().say(3, 1, &[comment("", "sent before")]));
    bench.send(2, B, Frames::default().say(2, 7, &[comment("", "the new owner")]));
    bench.send(1, A, Frames::default().say(4, 1, &[comment("", "too late")]));
    bench.commit();
    let texts = ["nobody owns it yet", "twice", "twice", "sent before", "the new owner"];
    assert_eq!(bench.said(), texts.map(|text| format!("R comment  {text}")));
}

#[test]
fn a_row_has_all_that_was_said_of_a_line() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("R", 1);
    let gift =
        ChatLine { amount: Some(300), feed_at: Some(1_500_000), ..line(ChatKind::Gift, "g", "rose \"1\"") };
    let nobody = ChatLine { user: "".into(), feed_at: Some(-1), ..line(ChatKind::SuperChat, "s", "") };
    bench.send(1, A, Frames::default().room(1, "R", 1).say(1, 1, &[gift, nobody]));
    bench.commit();
    let newest = bench.shared.newest.wait_beyond(0, Duration::ZERO);
    let reader = Reader::new(bench.folder.path().join("hours"));
    let (rows, last) = reader.chat(&Filter { since: Some(0), ..Default::default() }, 10).unwrap();
    assert_eq!(last, Some(newest));
    let row = |seq, rest: &str| {
        format!(
            r#"{{"seq":{seq},"match":"R","feed":"inplay","type":{rest},"at":"1970-01-01T00:00:00.000008Z","feed_at":"#
        )
    };
    let gift = r#""gift","lane":"chat","id":"g","user":"ann","text":"rose \"1\"","amount":300"#;
    let paid = r#""super_chat","lane":"chat","id":"s","user":null,"text":null,"amount":null"#;
    let expected = [
        format!("{}\"1970-01-01T00:00:01.500000Z\"}}", row(newest - 1, gift)),
        format!("{}null}}", row(newest, paid)),
    ];
    assert_eq!(rows, expected);
    let only = |types: &[&str]| {
        let types = types.iter().map(|&name| name.to_owned()).collect();
        let filter = Filter { since: Some(0), id: Some("R".into()), types, ..Default::default() };
        reader.chat(&filter, 10).unwrap().0.len()
    };
    assert_eq!((only(&["gift"]), only(&["gift", "super_chat"]), only(&["comment"])), (1, 2, 0));
    let view: (String, String, i64) = bench
        .bulk
        .hours
        .connection()
        .query_row("SELECT at, user, amount FROM comments WHERE id = 'g'", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(view, ("1970-01-01T00:00:00.000008Z".to_owned(), "ann".to_owned(), 300));
}

#[test]
fn ids_are_read_again_at_start_from_this_hour_and_the_one_before() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("R", 1);
    bench.send(1, A, Frames::default().room(1, "R", 1).say(1, 1, &[comment("a", "1")]));
    bench.commit();
    bench.bulk.change_hour(wall_us() + 3_600_000_000);
    bench.send(1, A, Frames::default().say(2, 1, &[comment("a", "1"), comment("b", "2")]));
    bench.commit();
    let mut bench = bench.restart();
    bench.open(1, A);
    let again = [comment("a", "1"), comment("b", "2"), comment("c", "3"), line(ChatKind::Retract, "a", "")];
    bench.send(1, A, Frames::default().room(1, "R", 1).say(3, 1, &again));
    bench.commit();
    assert_eq!(bench.said(), ["R comment a 1", "R comment b 2", "R comment c 3", "R retract a -"]);
}

#[test]
fn a_line_after_its_rooms_end_breaks_its_channel() {
    let mut bench = Bench::new();
    bench.open(1, A);
    let frames = Frames::default().room(1, "R", 1).say(1, 1, &[comment("a", "1")]).end(2, 1);
    bench.send(1, A, frames.say(3, 1, &[comment("b", "2")]));
    let replies = bench.commit();
    assert!(replies.contains(&Reply::Acked { source: A, n: 2 }), "{replies:?}");
    let broken =
        replies.iter().any(|reply| matches!(reply, Reply::Broken { what, .. } if what.contains("has ended")));
    assert!(broken, "{replies:?}");
    assert_eq!(bench.said(), ["R comment a 1"]);
}

#[test]
fn a_full_disk_loses_and_doubles_no_line() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("R", 1);
    let pages: i64 =
        bench.bulk.hours.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |bench: &Bench, pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        bench.bulk.hours.connection().query_row(&sql, [], |_| Ok(())).unwrap();
    };
    limit(&bench, pages);
    let mut frames = Frames::default().room(1, "R", 1);
    for n in 1..=2_000 {
        frames = frames.say(n, 1, &[comment(&n.to_string(), "hello, all of you")]);
    }
    bench.send(1, A, frames);
    for _ in 0..2 {
        assert!(bench.bulk.try_commit().unwrap_err().to_string().contains("full"));
        assert_eq!(bench.said().len(), 0);
    }
    limit(&bench, 100_000);
    assert!(bench.commit().contains(&Reply::Acked { source: A, n: 2_000 }));
    let ids: Vec<u64> =
        bench.said().iter().map(|row| row.split(' ').nth(2).unwrap().parse().unwrap()).collect();
    assert_eq!(ids, (1..=2_000).collect::<Vec<_>>());
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The one worker or the other brings these ids, in one frame.
    Say(Source, Vec<u8>),
    Commit,
    Adopt,
    /// Both workers come again; what was not committed they send again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let ids = prop::collection::vec(0_u8..40, 1..6);
    prop_oneof![
        6 => (prop::sample::select(vec![A, B]), ids).prop_map(|(source, ids)| Step::Say(source, ids)),
        2 => Just(Step::Commit),
        1 => Just(Step::Adopt),
        1 => Just(Step::Restart),
    ]
}

/// A worker that follows one room and keeps what is not committed.
struct Worker {
    source: Source,
    epoch: u64,
    n: u64,
    kept: Vec<(u64, Vec<u8>)>,
}

impl Worker {
    fn frames(&self, from: usize, named: bool) -> Frames {
        let mut frames = Frames::default();
        if named {
            frames = frames.room(1, "R", self.epoch);
        }
        for (n, ids) in self.kept.iter().skip(from) {
            let ids: Vec<String> = ids.iter().map(u8::to_string).collect();
            let lines: Vec<_> = ids.iter().map(|id| comment(id, "x")).collect();
            frames = frames.say(*n, 1, &lines);
        }
        frames
    }

    fn acknowledge(&mut self, replies: &[Reply]) {
        for reply in replies {
            if let Reply::Acked { source, n } = reply
                && *source == self.source
            {
                self.kept.retain(|(kept, _)| kept > n);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_order_and_copies_from_two_workers_give_each_id_once(steps in prop::collection::vec(step(), 1..40)) {
        let mut bench = Bench::new();
        let worker = |source, epoch| Worker { source, epoch, n: 0, kept: Vec::new() };
        let mut workers = [worker(A, 1), worker(B, 2)];
        let mut epoch = 0;
        let mut expected = BTreeSet::new();
        for (token, worker) in workers.iter().enumerate() {
            bench.open(token, worker.source);
            bench.send(token, worker.source, worker.frames(0, true));
        }
        for step in steps.into_iter().chain([Step::Commit]) {
            match step {
                Step::Say(source, ids) => {
                    let token = usize::from(source == B);
                    let worker = &mut workers[token];
                    expected.extend(ids.iter().map(|id| format!("R comment {id} x")));
                    worker.n += 1;
                    worker.kept.push((worker.n, ids));
                    let frames = worker.frames(worker.kept.len() - 1, false);
                    bench.send(token, source, frames);
                }
                Step::Commit => {
                    let replies = bench.commit();
                    workers.iter_mut().for_each(|worker| worker.acknowledge(&replies));
                }
                Step::Adopt => {
                    epoch += 1;
                    bench.adopt("R", epoch.min(2));
                }
                Step::Restart => {
                    bench = bench.restart();
                    for (token, worker) in workers.iter().enumerate() {
                        bench.open(token, worker.source);
                        bench.send(token, worker.source, worker.frames(0, true));
                    }
                }
            }
        }
        let mut said = bench.said();
        said.sort();
        let mut expected: Vec<String> = expected.into_iter().collect();
        expected.sort();
        prop_assert_eq!(said, expected);
    }
}

/// What an example of `docs/consumers.md` finds in the current hour file, a row a line.
fn example(bench: &Bench, file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/examples/consumers").join(file);
    let sql = std::fs::read_to_string(path).unwrap();
    let mut statement = bench.bulk.hours.connection().prepare(&sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map(rusqlite::named_params! { ":match": "R" }, |row| {
        let cell = |at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}"));
        (0..columns).map(cell).collect::<rusqlite::Result<Vec<String>>>()
    });
    rows.unwrap().map(|row| row.unwrap().join(" ")).collect()
}

#[test]
fn the_store_answers_the_examples_questions() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("R", 1);
    let by = |user: &'static str, line: ChatLine<'static>| ChatLine { user: user.into(), ..line };
    let lines = [
        comment("a", "hello"),
        comment("b", "spam"),
        by("bob", comment("c", "hi")),
        by("", comment("d", "who")),
        ChatLine { amount: Some(7), ..line(ChatKind::Gift, "g", "rose") },
        ChatLine { amount: Some(30), ..line(ChatKind::SuperChat, "s", "look") },
        line(ChatKind::Retract, "b", ""),
    ];
    bench.send(1, A, Frames::default().room(1, "R", 1).room(2, "S", 2).say(1, 1, &lines).say(2, 2, &lines));
    bench.commit();
    assert_eq!(
        example(&bench, "comments_per_minute.sql"),
        [r#"Text("1970-01-01T00:00") Integer(4) Integer(2)"#]
    );
    let expected = [
        r#"Text("ann") Integer(2) Integer(1) Integer(37)"#,
        "Null Integer(1) Integer(0) Integer(0)",
        r#"Text("bob") Integer(1) Integer(0) Integer(0)"#,
    ];
    assert_eq!(example(&bench, "comments_per_user.sql"), expected);
}
