//! Answers about the bulk stream, from the hour files.

use super::*;
use crate::record::bulk::{Bulk, BulkJob, Job};
use crate::record::ledger::Source;
use crate::record::thread::Chunk;
use std::io::{BufRead, BufReader};
use touchline_common::config::{Config, FeedConfig, FeedKind};
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::data::{BulkBody, BulkFrame, Name, Named};
use touchline_common::model::{
    ChatKind, ChatLine, Epoch, FeedId, Generation, Handle, MatchKey, OddsChange, Price, SlotId,
};

fn ask(documents: &Documents, verb: &str, args: &str) -> Result<Task, Refusal> {
    task(verb, args, documents)
}

#[test]
fn a_follower_of_odds_gets_each_row_once_and_nothing_of_chat() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(FeedConfig { name: "inplay".into(), ..Default::default() });
    let config = Arc::new(RecordConfig::new(&config));
    let documents = Documents::new(Arc::clone(&config), Vec::new(), Vec::new());
    let store = store::open(&config, "p").unwrap();
    let (thread, bulk) = Bulk::open(&config, "p").unwrap();
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    let key = MatchKey { feed: FeedId(0), id: "M".into() };
    let mut bytes = Vec::new();
    let of = Handle(1);
    for (handle, named) in [
        (1, Named::Match { key: key.clone(), epoch: Epoch(1) }),
        (2, Named::Market { of, key: "m".into(), name: "".into() }),
        (3, Named::Selection { of: Handle(2), key: "s".into(), name: "".into() }),
    ] {
        encode_frame(&Name { handle: Handle(handle), named }, 0, 0, &mut bytes).unwrap();
    }
    let frame = |n: u64, bytes: &mut Vec<u8>| {
        let changes =
            vec![OddsChange::Price { selection: Handle(3), price: Some(Price(n as i64)), text: "x".into() }];
        let body = BulkBody::Obs { changes: changes.into(), at: 1 };
        encode_frame(&BulkFrame { n, handle: of, body }, 0, 0, bytes).unwrap();
    };
    let frames = |bytes| {
        let chunk = Chunk { bytes, versions: Vec::new() };
        Job::Frames { source, token: 1, chunk, came: 0 }
    };
    frame(1, &mut bytes);
    bulk.queue.push(&mut vec![
        Job::Open { token: 1, source },
        Job::Own(BulkJob::Adopt { key, epoch: Epoch(1) }),
        frames(bytes),
    ]);
    std::thread::scope(|scope| {
        scope.spawn(|| thread.run(&|| {}));
        bulk.newest.wait_beyond(bulk.newest.wait_beyond(-1, Duration::ZERO), Duration::from_secs(20));
        let serve_all = |verb: &str, args: &str| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let task = ask(&documents, verb, args);
            let (path, shared, bulk) = (config.path.clone(), Arc::clone(&store.shared), Arc::clone(&bulk));
            scope.spawn(move || serve(&theirs, task, &path, &shared.newest, &bulk.newest));
            BufReader::new(ours).lines().map(Result::unwrap)
        };
        let mut follower = serve_all("events", r#"{"lane":"odds","since":0,"follow":true}"#);
        let mut of_match = serve_all("odds", r#"{"match":"M","market":"m","follow":true}"#);
        // One that goes on from a file that was replaced gets what there is.
        let mut of_another_file =
            serve_all("events", r#"{"lane":"odds","since":900000000000000000,"follow":true}"#);
        of_another_file.next();
        assert!(of_another_file.next().unwrap().contains(r#""odds":0.0001,"#));
        let mut of_other = serve_all("odds", r#"{"match":"M","market":"other","follow":true}"#);
        let begins = |answer: String| answer.starts_with(r#"{"ok":true,"result":{"seq":"#);
        assert!(begins(follower.next().unwrap()));
        assert!(follower.next().unwrap().contains(r#""odds":0.0001,"#));
        assert!(begins(of_match.next().unwrap()));
        std::thread::sleep(Duration::from_millis(50));
        let mut bytes = Vec::new();
        frame(2, &mut bytes);
        frame(3, &mut bytes);
        bulk.queue.push(&mut vec![frames(bytes)]);
        for lines in [&mut follower, &mut of_match] {
            assert!(lines.next().unwrap().contains(r#""odds":0.0002,"#));
            assert!(lines.next().unwrap().contains(r#""odds":0.0003,"#));
        }
        let chat: Vec<String> = serve_all("events", r#"{"lane":"chat","since":0}"#).collect();
        assert_eq!(chat, [r#"{"ok":true,"result":null}"#]);
        let none: Vec<String> = serve_all("events", "{}").collect();
        assert_eq!(none, chat, "rows of odds are none of the match stream");
        let all: Vec<String> = serve_all("odds", r#"{"match":"inplay/M"}"#).collect();
        let answer: Value = serde_json::from_str(&all[0]).unwrap();
        assert_eq!(answer["result"].as_array().unwrap().len(), 3);
        let newest: Vec<String> = serve_all("events", r#"{"lane":"odds","limit":1}"#).collect();
        assert!(newest.len() == 2 && newest[1].contains("0.0003"), "{newest:?}");
        bulk.newest.close();
        assert_eq!((follower.next(), of_match.next()), (None, None));
        assert_eq!(of_other.by_ref().count(), 1);
        bulk.queue.push(&mut vec![Job::Stop]);
    });
    assert!(matches!(ask(&documents, "odds", "{}"), Err((Code::Usage, _))));
}

fn documents_of(folder: &tempfile::TempDir) -> (Arc<RecordConfig>, Documents) {
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(FeedConfig { name: "inplay".into(), ..Default::default() });
    let config = Arc::new(RecordConfig::new(&config));
    let documents = Documents::new(Arc::clone(&config), Vec::new(), Vec::new());
    (config, documents)
}

#[test]
fn followers_keep_nobody_from_asking() {
    let folder = tempfile::tempdir().unwrap();
    let (config, documents) = documents_of(&folder);
    let store = store::open(&config, "p").unwrap();
    let (_thread, bulk) = Bulk::open(&config, "p").unwrap();
    let clients = Clients::new(Arc::clone(&config), Arc::clone(&store.shared), bulk);
    let asking = |verb: &str, args: &str| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        clients.answer(verb, args, theirs.into(), &documents);
        BufReader::new(ours).lines().map(Result::unwrap)
    };
    let mut followers: Vec<_> = (0..MAX_FOLLOWING).map(|_| asking("events", r#"{"follow":true}"#)).collect();
    for follower in &mut followers {
        assert_eq!(follower.next().unwrap(), r#"{"ok":true,"result":{"seq":0}}"#);
    }
    let refused = asking("odds", r#"{"match":"M","follow":true}"#).next().unwrap();
    assert!(refused.contains("clients follow already"), "{refused}");
    assert_eq!(asking("gaps", "{}").next().unwrap(), r#"{"ok":true,"result":[]}"#);
    store.shared.newest.close();
    for mut follower in followers {
        assert_eq!(follower.next(), None);
    }
}

#[test]
fn an_id_may_have_a_slash_and_a_lane_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_, documents) = documents_of(&folder);
    assert_eq!(split("90/1", &documents), (None, "90/1"));
    assert_eq!(split("inplay/90/1", &documents), (Some("inplay"), "90/1"));
    assert_eq!(split("90", &documents), (None, "90"));
    let whole = ask(&documents, "events", r#"{"match":"90/1"}"#);
    assert!(matches!(whole, Ok(Task::Events { filter, .. }) if filter.id.as_deref() == Some("90/1")));
    for args in [
        r#"{"lane":"odd"}"#,
        r#"{"market":"m"}"#,
        r#"{"type":"goals"}"#,
        r#"{"type":"goal,gift"}"#,
        r#"{"type":"gift","lane":"odds"}"#,
    ] {
        assert!(matches!(ask(&documents, "events", args), Err((Code::Usage, _))), "{args}");
    }
}

#[test]
fn types_say_which_stream_is_asked() {
    let of = |kinds: &[FeedKind]| {
        let mut config = Config::default();
        for (place, kind) in kinds.iter().enumerate() {
            let name = format!("f{place}");
            config.feed.push(FeedConfig { name, kind: *kind, ..Default::default() });
        }
        let config = Arc::new(RecordConfig::new(&config));
        Documents::new(config, Vec::new(), Vec::new())
    };
    let (mixed, rooms) = (of(&[FeedKind::Diffusion, FeedKind::Rooms]), of(&[FeedKind::Rooms]));
    let asked = |documents: &Documents, args: &str| match ask(documents, "events", args).unwrap() {
        Task::Events { filter, .. } => format!("match {}", filter.types.join("+")),
        Task::Odds { filter, .. } => format!("odds {}", filter.types.join("+")),
        Task::Chat { filter, .. } => {
            assert_eq!(filter.lane, None);
            format!("chat {}", filter.types.join("+"))
        }
        Task::Document(_) | Task::Stored { .. } | Task::AllOdds { .. } | Task::Gaps => "other".to_owned(),
    };
    assert_eq!(asked(&mixed, r#"{"type":"gift, super_chat"}"#), "chat gift+super_chat");
    assert_eq!(asked(&mixed, r#"{"type":"odds_change"}"#), "odds odds_change");
    assert_eq!(asked(&mixed, r#"{"type":"comment"}"#), "match comment");
    assert_eq!(asked(&mixed, r#"{"type":"comment","match":"f1/7"}"#), "chat comment");
    assert_eq!(asked(&mixed, r#"{"type":"comment","match":"f0/7"}"#), "match comment");
    assert_eq!(asked(&mixed, r#"{"type":"comment","lane":"chat"}"#), "chat comment");
    assert_eq!(asked(&rooms, r#"{"type":"comment"}"#), "chat comment");
    assert_eq!(asked(&rooms, r#"{"type":"stat_change"}"#), "match stat_change");
    assert_eq!(asked(&rooms, "{}"), "match ");
}

#[test]
fn a_follower_of_chat_gets_the_lines_of_its_room_and_types() {
    let folder = tempfile::tempdir().unwrap();
    let (config, documents) = documents_of(&folder);
    let store = store::open(&config, "p").unwrap();
    let (thread, bulk) = Bulk::open(&config, "p").unwrap();
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    let mut named = Vec::new();
    for (handle, id) in [(1, "R"), (2, "S")] {
        let key = MatchKey { feed: FeedId(0), id: id.into() };
        let named_match = Named::Match { key, epoch: Epoch(1) };
        encode_frame(&Name { handle: Handle(handle), named: named_match }, 0, 0, &mut named).unwrap();
    }
    let say = |n: u64, handle: u32, kind: ChatKind, bytes: &mut Vec<u8>| {
        let id = n.to_string();
        let line = ChatLine {
            kind,
            id: id.as_str().into(),
            user: "ann".into(),
            text: "hello".into(),
            amount: None,
            feed_at: None,
        };
        let body = BulkBody::Chat { lines: vec![line].into(), at: 1 };
        encode_frame(&BulkFrame { n, handle: Handle(handle), body }, 0, 0, bytes).unwrap();
    };
    let frames = |bytes| {
        let chunk = Chunk { bytes, versions: Vec::new() };
        Job::Frames { source, token: 1, chunk, came: 0 }
    };
    say(1, 1, ChatKind::Comment, &mut named);
    say(2, 2, ChatKind::Comment, &mut named);
    say(3, 1, ChatKind::Gift, &mut named);
    bulk.queue.push(&mut vec![Job::Open { token: 1, source }, frames(named)]);
    std::thread::scope(|scope| {
        scope.spawn(|| thread.run(&|| {}));
        bulk.newest.wait_beyond(bulk.newest.wait_beyond(-1, Duration::ZERO), Duration::from_secs(20));
        let serve_all = |args: &str| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let task = ask(&documents, "events", args);
            let (path, shared, bulk) = (config.path.clone(), Arc::clone(&store.shared), Arc::clone(&bulk));
            scope.spawn(move || serve(&theirs, task, &path, &shared.newest, &bulk.newest));
            BufReader::new(ours).lines().map(Result::unwrap)
        };
        let args = r#"{"lane":"chat","match":"inplay/R","type":"comment","since":0,"follow":true}"#;
        let mut follower = serve_all(args);
        assert!(follower.next().unwrap().starts_with(r#"{"ok":true,"result":{"seq":"#));
        assert!(follower.next().unwrap().contains(r#""match":"R","feed":"inplay","type":"comment""#));
        let mut bytes = Vec::new();
        say(4, 1, ChatKind::Retract, &mut bytes);
        say(5, 2, ChatKind::Comment, &mut bytes);
        say(6, 1, ChatKind::Comment, &mut bytes);
        bulk.queue.push(&mut vec![frames(bytes)]);
        assert!(follower.next().unwrap().contains(r#""id":"6""#));
        let newest: Vec<String> = serve_all(r#"{"lane":"chat","limit":4}"#).skip(1).collect();
        let ids: Vec<bool> = newest
            .iter()
            .zip(["3", "4", "5", "6"])
            .map(|(row, id)| row.contains(&format!(r#""id":"{id}""#)))
            .collect();
        assert_eq!(ids, [true; 4], "{newest:?}");
        assert_eq!(serve_all(r#"{"type":"gift","since":0}"#).count(), 2);
        bulk.newest.close();
        assert_eq!(follower.next(), None);
        bulk.queue.push(&mut vec![Job::Stop]);
    });
}
