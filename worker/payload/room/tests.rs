//! Commands as servers send them and as nobody should, and what becomes of them.

mod hostile;

use super::{Rooms, UserForm};
use crate::payload::{Limits, MatchSlot, Names, Payload, Received, Seen, Sink, TreeError};
use serde_json::{Value, json};
use touchline_common::config::{Ranking, Template};
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{
    Change, ChatLine, Handle, Listing, MarketValue, OddsChange, Register, SelectionValue,
};
use touchline_harness::data;

const SECOND: u64 = 1_000_000_000;

/// What was told, one text each.
#[derive(Default)]
struct Told(Vec<String>);

fn change(change: &Change<'_>) -> String {
    match change {
        Change::Comment { text } => format!("comment {text}"),
        Change::Stat { key, side, text } => {
            assert_eq!(*side, None);
            format!("{key}={text}")
        }
    }
}

fn line(line: &ChatLine<'_>) -> String {
    let ChatLine { kind, id, user, text, amount, feed_at } = line;
    let number = |number: &Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!("{} [{id}] {user}: {text} {} {}", kind.as_str(), number(amount), number(feed_at))
}

impl Names for Told {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no markets");
    }

    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no selections");
    }
}

impl Sink for Told {
    fn base(&mut self, _: MatchSlot, base: MatchBase<'_>) {
        let mut told = vec!["base".to_owned()];
        told.extend(base.registers.iter().map(|(register, value)| format!("{register:?}={value}")));
        told.extend(base.values.iter().map(change));
        self.0.push(told.join(" "));
    }

    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {
        panic!("there are no odds");
    }

    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        assert!(seen.registers.len() + seen.changes.len() > 0);
        assert!(seen.registers.iter().all(|change| change.register == Register::Phase));
        self.0.extend(seen.registers.iter().map(|change| format!("phase={}", change.value)));
        self.0.extend(seen.changes.iter().map(change));
    }

    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {
        panic!("there are no odds");
    }

    fn chat(&mut self, _: MatchSlot, lines: &[ChatLine<'_>], _: Received) {
        assert!(!lines.is_empty());
        self.0.extend(lines.iter().map(line));
    }

    fn touched(&mut self, _: MatchSlot) {}
}

/// Rooms with one room, a clock, and its document's sections.
struct Bed {
    rooms: Rooms,
    slot: MatchSlot,
    told: Told,
    now: u64,
    head: Value,
    tail: Value,
}

impl Bed {
    fn of(users: UserForm, listing: Listing) -> Bed {
        let mut rooms = Rooms::new(Limits::default(), users, Ranking::default());
        let slot = rooms.add_match(&["77".to_owned()], listing).unwrap();
        let (head, tail) = (Value::Null, Value::Null);
        Bed { rooms, slot, told: Told::default(), now: 100 * SECOND, head, tail }
    }

    fn joined() -> Bed {
        let mut bed = Bed::of(UserForm::Keep, Listing::default());
        bed.join();
        bed.told();
        bed
    }

    fn received(&self) -> Received {
        Received { wall_us: 1_000_000, mono_ns: self.now }
    }

    fn join(&mut self) {
        let received = self.received();
        self.rooms.load(b"77", br#"{"code":0}"#, received, &mut self.told).unwrap();
    }

    fn take(&mut self, body: &[u8]) -> Result<(), TreeError> {
        let received = self.received();
        self.rooms.delta(b"77", body, received, &mut self.told)
    }

    fn says(&mut self, command: &Value) -> Vec<String> {
        self.take(command.to_string().as_bytes()).unwrap();
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told.0)
    }

    fn pass(&mut self, nanoseconds: u64) -> Vec<String> {
        self.now += nanoseconds;
        let received = self.received();
        self.rooms.settle(received, &mut self.told);
        self.told()
    }

    /// Renders what is dirty; how many sections that were.
    fn render(&mut self) -> usize {
        let mut sections: Vec<Section<'static>> = Vec::new();
        while let Some((slot, _)) = self.rooms.oldest_dirty() {
            self.rooms.render(slot, &mut self.told, &mut sections);
        }
        for section in &sections {
            let body = serde_json::from_str(section.body.as_ref().unwrap()).unwrap();
            match section.key {
                SectionKey::Head => self.head = body,
                SectionKey::Tail => self.tail = body,
                SectionKey::Market(_) => panic!("there are no markets"),
            }
        }
        sections.len()
    }
}

fn comment(info: &Value) -> Value {
    json!({"cmd": "DANMU_MSG", "info": info})
}

fn sent(at: i64, rnd: i64, extra: &str) -> Value {
    json!([0, 1, 25, 0xffffff, at, rnd, 0, "crc", 0, 0, 5, "", 0, "{}", "{}", {"mode": 0, "extra": extra}, {}])
}

#[test]
fn comments() {
    let by = json!([42, "Ann", 0, 0, 0, 10000, 1, ""]);
    let table = [
        (
            json!([sent(1647777083220, 7, r#"{"id_str":"abc","content":"x"}"#), "hi", by, []]),
            "comment [abc] Ann: hi - 1647777083220000",
        ),
        (
            json!([sent(1647777083220, 7, "{}"), "hi", by]),
            "comment [7-1647777083220] Ann: hi - 1647777083220000",
        ),
        (
            json!([sent(1647777083220, 7, r#"{"id_str":"""#), "hi", by]),
            "comment [7-1647777083220] Ann: hi - 1647777083220000",
        ),
        (json!([sent(1647777083220, 0, "{}"), "hi", by]), "comment [] Ann: hi - 1647777083220000"),
        (json!([[0, 1, 25, 0, 5], "a\"b\r", [42]]), "comment [] : a\"b\r - 5000"),
        (json!([[], 12]), "comment [] : 12 - -"),
        (json!([]), "comment [] :  - -"),
        (json!({"0": 1}), "comment [] :  - -"),
    ];
    let mut bed = Bed::joined();
    for (info, wanted) in table {
        assert_eq!(bed.says(&comment(&info)), [wanted], "{info}");
        let named = json!({"info": info, "cmd": "DANMU_MSG:4:0:2:2:2:0", "dm_v2": ""});
        assert_eq!(bed.says(&named), [wanted], "{named}");
    }
}

#[test]
fn gifts_and_paid_comments() {
    let table = [
        (
            json!({"cmd": "SEND_GIFT", "data": {"tid": "t1", "rnd": "r1", "giftName": "Rose", "num": 3, "total_coin": 300,
                "price": 100, "uid": 42, "uname": "Ann", "timestamp": 1647777083}}),
            "gift [t1] Ann: Rose × 3 300 1647777083000000",
        ),
        (
            json!({"cmd": "SEND_GIFT", "data": {"rnd": 99, "giftName": "Rose", "price": 100, "uname": "Ann"}}),
            "gift [99] Ann: Rose 100 -",
        ),
        (
            json!({"cmd": "SUPER_CHAT_MESSAGE", "data": {"id": 123, "uid": "42", "price": 30, "message": "hello", "ts": 1647777083,
                "user_info": {"uname": "Ann", "face": ""}}}),
            "super_chat [123] Ann: hello 30 1647777083000000",
        ),
        (
            json!({"cmd": "GUARD_BUY", "data": {"uid": 42, "username": "Ann", "guard_level": 3, "num": 1, "price": 198000,
                "gift_id": 10003, "gift_name": "Captain", "start_time": 1647777083, "end_time": 1647777083}}),
            "gift [1647777083-10003-Ann] Ann: Captain × 1 198000 1647777083000000",
        ),
    ];
    let mut bed = Bed::joined();
    for (command, wanted) in table {
        assert_eq!(bed.says(&command), [wanted], "{command}");
    }
    for twin in
        ["COMBO_SEND", "SEND_GIFT_V2", "SUPER_CHAT_MESSAGE_JPN", "USER_TOAST_MSG", "USER_TOAST_MSG_V2"]
    {
        let command = json!({"cmd": twin, "data": {"id": 123, "tid": "t1", "uname": "Ann", "num": 3, "price": 30, "message": "hello"}});
        assert!(bed.says(&command).is_empty());
    }
    bed.pass(SECOND);
    bed.render();
    assert_eq!(bed.tail, json!({"stats": {"comments": 0, "gifts": 3, "super_chats": 1}, "market_order": []}));
}

#[test]
fn what_is_taken_back_is_a_line_for_each_id() {
    let mut bed = Bed::joined();
    assert_eq!(
        bed.says(&json!({"cmd": "RECALL_DANMU_MSG", "data": {"recall_type": 2, "target_id": 77}})),
        ["retract [77] :  - -"]
    );
    assert_eq!(
        bed.says(
            &json!({"cmd": "SUPER_CHAT_MESSAGE_DELETE", "data": {"ids": [123, "x", null, 0]}, "roomid": 1})
        ),
        ["retract [123] :  - -", "retract [x] :  - -"]
    );
    assert!(bed.says(&json!({"cmd": "RECALL_DANMU_MSG"})).is_empty());
}

#[test]
fn people_are_stored_as_the_settings_say() {
    let shown = |users, by: Value| {
        let mut bed = Bed::of(users, Listing::default());
        bed.join();
        bed.told();
        let told = bed.says(&comment(&json!([[], "hi", by])));
        let [line] = &told[..] else { panic!("{told:?}") };
        line.strip_prefix("comment [] ").unwrap().strip_suffix(": hi - -").unwrap().to_owned()
    };
    assert_eq!(shown(UserForm::Keep, json!([42, "Ann"])), "Ann");
    assert_eq!(shown(UserForm::Drop, json!([42, "Ann"])), "");
    let hashed = shown(UserForm::Hash([7; 32]), json!([42, "Ann"]));
    assert!(hashed.len() == 16 && hashed.bytes().all(|b| b.is_ascii_hexdigit()), "{hashed}");
    assert_eq!(shown(UserForm::Hash([7; 32]), json!(["42", "Ann now"])), hashed);
    assert_ne!(shown(UserForm::Hash([8; 32]), json!([42, "Ann"])), hashed);
    assert_ne!(shown(UserForm::Hash([7; 32]), json!([43, "Ann"])), hashed);
    assert_eq!(shown(UserForm::Hash([7; 32]), json!([0, "A***"])), "");
    // Nothing of a person in an id that is made here.
    let mut bed = Bed::of(UserForm::Drop, Listing::default());
    bed.join();
    bed.told();
    let guard = json!({"cmd": "GUARD_BUY", "data": {"uid": 42, "username": "Ann", "start_time": 5, "gift_name": "Captain"}});
    assert_eq!(bed.says(&guard), ["gift [] : Captain - 5000000"]);
}

#[test]
fn statistics_are_told_when_they_change() {
    let mut bed = Bed::joined();
    assert_eq!(
        bed.says(&json!({"cmd": "WATCHED_CHANGE", "data": {"num": 12, "text_small": "12"}})),
        ["viewers=12"]
    );
    assert!(bed.says(&json!({"cmd": "WATCHED_CHANGE", "data": {"num": 12}})).is_empty());
    assert_eq!(bed.says(&json!({"cmd": "LIKE_INFO_V3_UPDATE", "data": {"click_count": 5}})), ["likes=5"]);
    assert_eq!(
        bed.says(&json!({"cmd": "ONLINE_RANK_COUNT", "data": {"count": 10000, "count_text": "x"}})),
        ["online=10000"]
    );
    assert!(bed.says(&json!({"cmd": "ONLINE_RANK_COUNT", "data": {"count": -1}})).is_empty());
    bed.render();
    let stats =
        json!({"viewers": 12, "likes": 5, "online": 10000, "comments": 0, "gifts": 0, "super_chats": 0});
    assert_eq!(bed.tail["stats"], stats);
    bed.join();
    assert_eq!(bed.told(), ["base viewers=12 likes=5 online=10000"]);
}

#[test]
fn popularity_is_told_once_in_ten_seconds_then_its_newest() {
    let mut bed = Bed::joined();
    let says = |bed: &mut Bed, n: u32| {
        bed.take(&n.to_be_bytes()).unwrap();
        bed.told()
    };
    assert_eq!(says(&mut bed, 2466), ["popularity=2466"]);
    bed.now += SECOND;
    assert!(says(&mut bed, 2467).is_empty());
    assert!(says(&mut bed, 2468).is_empty());
    assert_eq!(bed.rooms.settles_at(), Some(110 * SECOND));
    assert!(bed.pass(8 * SECOND).is_empty());
    assert_eq!(bed.pass(SECOND), ["popularity=2468"]);
    assert_eq!(bed.rooms.settles_at(), None);
    // What comes back to what was told is no change.
    assert!(says(&mut bed, 9).is_empty());
    assert!(says(&mut bed, 2468).is_empty());
    assert!(bed.pass(100 * SECOND).is_empty());
    bed.render();
    assert_eq!(bed.tail["stats"]["popularity"], 2468);
}

#[test]
fn a_room_that_goes_off_and_on_takes_nothing_back() {
    let mut bed = Bed::joined();
    bed.render();
    assert_eq!(bed.head, json!({"name": "77", "status": "unknown"}));
    assert_eq!(bed.says(&json!({"cmd": "LIVE", "roomid": 77})), ["phase=1"]);
    assert!(bed.says(&json!({"cmd": "LIVE", "roomid": 77})).is_empty());
    assert_eq!(bed.says(&json!({"cmd": "PREPARING", "roomid": "77"})), ["status=not_started"]);
    bed.join();
    assert_eq!(bed.told(), ["base Phase=1 status=not_started"]);
    assert_eq!(bed.says(&json!({"cmd": "LIVE"})), ["status=in_play"]);
    assert_eq!(bed.says(&json!({"cmd": "CUT_OFF", "msg": "why"})), ["status=suspended"]);
    bed.says(&json!({"cmd": "ROOM_CHANGE", "data": {"title": " New title ", "area_id": 1}}));
    bed.says(&json!({"cmd": "ROOM_CHANGE", "data": {"title": ""}}));
    bed.render();
    assert_eq!(bed.head, json!({"name": "New title", "status": "suspended"}));
    assert_eq!(bed.rooms.name(bed.slot).as_deref(), Some("New title"));
}

#[test]
fn a_room_of_the_ranking_is_live() {
    let listing = Listing { name: Some("Listed".to_owned()), in_play: true, ..Listing::default() };
    let mut bed = Bed::of(UserForm::Keep, listing);
    bed.join();
    assert_eq!(bed.told(), ["base Phase=1 status=in_play"]);
    bed.render();
    assert_eq!(bed.head, json!({"name": "Listed", "status": "in_play"}));
    assert_eq!(bed.says(&json!({"cmd": "PREPARING"})), ["status=not_started"]);
    bed.says(&json!({"cmd": "ROOM_CHANGE", "data": {"title": "Said"}}));
    bed.render();
    assert_eq!(bed.head, json!({"name": "Said", "status": "not_started"}));
    // What it said while nobody listened is not known: the list says that it is live, and what it is called.
    bed.rooms.connection_lost();
    bed.join();
    assert_eq!(bed.told(), ["base Phase=1 status=in_play"]);
    bed.render();
    assert_eq!(bed.head, json!({"name": "Listed", "status": "in_play"}));
    let mut bed = Bed::joined();
    let received = bed.received();
    let listing = Listing { in_play: true, ..Listing::default() };
    bed.rooms.set_listing(bed.slot, listing, received, &mut bed.told);
    assert_eq!(bed.told(), ["phase=1"]);
}

#[test]
fn counts_are_shown_once_a_second() {
    let mut bed = Bed::joined();
    bed.render();
    let hi = comment(&json!([[], "hi"]));
    bed.says(&hi);
    assert_eq!(bed.render(), 1);
    for _ in 0..50 {
        bed.says(&hi);
        assert_eq!(bed.render(), 0);
    }
    bed.says(&json!({"cmd": "NEVER_HEARD_OF"}));
    bed.pass(SECOND);
    assert_eq!(bed.render(), 1);
    assert_eq!(bed.tail["stats"]["comments"], 51);
    assert_eq!(bed.tail["extra"], json!({"NEVER_HEARD_OF": 1}));
    assert_eq!(bed.rooms.settles_at(), None);
    let mut whole = Vec::new();
    bed.rooms.render_whole(bed.slot, &mut bed.told, &mut whole);
    assert_eq!(whole.len(), 2);
}

#[test]
fn a_room_that_is_not_joined_has_no_commands() {
    let mut bed = Bed::of(UserForm::Keep, Listing::default());
    let live = br#"{"cmd":"LIVE"}"#;
    assert!(matches!(bed.take(live), Err(TreeError::MissingTarget { .. })));
    assert!(!bed.rooms.is_live(bed.slot) && bed.render() == 0);
    bed.join();
    assert!(bed.rooms.is_live(bed.slot) && bed.rooms.is_loaded(b"77"));
    bed.rooms.connection_lost();
    assert!(bed.rooms.is_live(bed.slot));
    // Whoever brings a command has joined the room, whatever other rooms have lost.
    assert_eq!(bed.take(live), Ok(()));
    let received = bed.received();
    assert_eq!(bed.rooms.topic_removed(b"77", received, &mut bed.told), Ok(Some(bed.slot)));
    assert!(!bed.rooms.is_live(bed.slot));
    bed.rooms.remove_match(bed.slot);
    assert!(matches!(bed.take(live), Err(TreeError::TopicNotHeld { .. })));
    assert_eq!((bed.rooms.oldest_dirty(), bed.rooms.settles_at()), (None, None));
}

#[test]
fn each_real_command_is_used_or_known() {
    let Some(file) = data::path("danmaku/commands.jsonl") else { return };
    let mut bed = Bed::joined();
    let mut lines = 0;
    for command in std::fs::read_to_string(file).unwrap().lines() {
        bed.take(command.as_bytes()).unwrap();
        lines += bed.told().iter().filter(|told| !told.contains('=')).count();
    }
    assert!(lines > 15, "{lines}");
    bed.pass(SECOND);
    bed.render();
    // The one whose name was made unreadable in the file.
    assert_eq!(bed.tail["extra"], json!({"XXXXXXXXXXXX": 1}));
}

fn ranking(list: &Value) -> Result<Vec<String>, TreeError> {
    let ranking = Ranking { top: 3, ..Ranking::default() };
    let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, ranking);
    rooms.add_list("ranking", "{ID}".parse::<Template>().unwrap(), &[]).unwrap();
    rooms.load(b"ranking", list.to_string().as_bytes(), Received::default(), &mut Told::default())?;
    let mut changes = Vec::new();
    rooms.drain_lists(&mut changes);
    assert_eq!(changes.first(), Some(&ListChange::LoadBegin));
    assert_eq!(changes.pop(), Some(ListChange::LoadEnd));
    Ok(changes
        .drain(1..)
        .map(|change| match change {
            ListChange::Present { id, listing } => {
                assert!(listing.in_play && listing.attributes.is_empty());
                format!("{id} {}", listing.name.unwrap_or_default())
            }
            ListChange::LoadBegin | ListChange::Gone { .. } | ListChange::LoadEnd | ListChange::Lost => {
                panic!("{change:?}")
            }
        })
        .collect())
}

#[test]
fn the_most_popular_rooms_of_a_ranking() {
    let rooms = json!([
        {"roomid": 1, "title": "one", "online": 5},
        {"roomid": "2", "title": " two ", "online": "9"},
        {"roomid": 3, "online": 5},
        {"roomid": 1, "title": "again", "online": 99},
        {"roomid": 4, "title": "unknown"},
        {"title": "no id", "online": 1000},
        7,
    ]);
    assert_eq!(ranking(&json!({"data": {"list": rooms}})).unwrap(), ["2 two", "1 one", "3 "]);
    assert!(ranking(&json!({"data": {"list": []}})).unwrap().is_empty());
}

#[test]
fn a_ranking_that_points_nowhere_says_where() {
    let why = |list: Value| ranking(&list).unwrap_err().to_string();
    assert!(why(json!({"data": {"rooms": []}})).contains("ranking.list"));
    assert!(why(json!({"data": {"list": {}}})).contains("ranking.list"));
    assert!(why(json!({"data": {"list": [{"id": 5}]}})).contains("ranking.id"));
    let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, Ranking::default());
    rooms.add_list("ranking", "{ID}".parse::<Template>().unwrap(), &[]).unwrap();
    let mut told = Told::default();
    for odd in [&b"<html>"[..], b"", b"{\"data\":"] {
        let loaded = rooms.load(b"ranking", odd, Received::default(), &mut told);
        assert!(matches!(loaded, Err(TreeError::Ranking { .. })));
    }
    let mut changes = Vec::new();
    rooms.drain_lists(&mut changes);
    assert!(changes.is_empty() && !rooms.is_loaded(b"ranking"));
    assert_eq!(rooms.topic_removed(b"ranking", Received::default(), &mut told), Ok(None));
    rooms.drain_lists(&mut changes);
    assert_eq!(changes, [ListChange::Lost]);
}

#[test]
fn a_ranking_without_rooms_is_believed_the_second_time() {
    let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, Ranking::default());
    rooms.add_list("ranking", "{ID}".parse::<Template>().unwrap(), &[]).unwrap();
    let mut changes_of = |list: Value| {
        let body = json!({"data": {"list": list}}).to_string();
        rooms.load(b"ranking", body.as_bytes(), Received::default(), &mut Told::default()).unwrap();
        let mut changes = Vec::new();
        rooms.drain_lists(&mut changes);
        changes.len()
    };
    assert_eq!(changes_of(json!([])), 2);
    assert_eq!(changes_of(json!([{"roomid": 1}])), 3);
    assert_eq!(changes_of(json!([])), 0);
    assert_eq!(changes_of(json!([{"roomid": 1}])), 3);
    assert_eq!(changes_of(json!([])), 0);
    assert_eq!(changes_of(json!([])), 2);
    assert_eq!(changes_of(json!([])), 2);
}

#[test]
fn a_large_ranking_comes_in_parts() {
    let ranking = Ranking { top: 5000, ..Ranking::default() };
    let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, ranking);
    rooms.add_list("ranking", "{ID}".parse::<Template>().unwrap(), &[]).unwrap();
    let list: Vec<Value> = (0..2000).map(|n| json!({"roomid": n})).collect();
    let body = json!({"data": {"list": list}}).to_string();
    rooms.load(b"ranking", body.as_bytes(), Received::default(), &mut Told::default()).unwrap();
    let mut all = 0;
    loop {
        let mut changes = Vec::new();
        rooms.drain_lists(&mut changes);
        if changes.is_empty() {
            break;
        }
        assert!(changes.len() <= 512);
        all += changes.len();
    }
    assert_eq!(all, 2002);
}
