//! Bodies of every wrong kind: an error or nothing, never a panic, and nothing that grows.

use super::*;
use proptest::prelude::*;

#[test]
fn what_is_no_command_is_an_error_that_says_why() {
    let deep = format!("{}{}", r#"{"cmd":"LIVE","data":"#, "[".repeat(1_000_000));
    let mut bed = Bed::joined();
    for body in [
        "",
        "{",
        "[]",
        "7",
        "null ",
        "{}",
        r#"{"cmd":""}"#,
        r#"{"cmd":[]}"#,
        r#"{"cmd":"LIVE"} x"#,
        "\u{0}",
        &deep,
    ] {
        let Err(error @ TreeError::Command { .. }) = bed.take(body.as_bytes()) else { panic!("{body:.40}") };
        assert!(error.to_string().contains("\"77\""), "{error}");
    }
    assert!(bed.take(b"{\"cmd\":\"LI\xffVE\"}").is_err());
    assert!(bed.told().is_empty());
}

#[test]
fn every_wrong_type_is_nothing_known() {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({"a": {"b": [1]}}),
    ];
    let names = [
        "DANMU_MSG",
        "SEND_GIFT",
        "SUPER_CHAT_MESSAGE",
        "GUARD_BUY",
        "RECALL_DANMU_MSG",
        "SUPER_CHAT_MESSAGE_DELETE",
        "WATCHED_CHANGE",
        "LIKE_INFO_V3_UPDATE",
        "ONLINE_RANK_COUNT",
        "ROOM_CHANGE",
        "LIVE",
        "PREPARING",
        "CUT_OFF",
    ];
    let members = [
        "uid",
        "uname",
        "user_info",
        "giftName",
        "num",
        "total_coin",
        "tid",
        "timestamp",
        "id",
        "ids",
        "message",
        "target_id",
        "click_count",
        "count",
        "title",
    ];
    let mut bed = Bed::joined();
    for name in names {
        for value in &odd {
            bed.says(&json!({"cmd": name, "info": value, "data": value}));
            bed.says(&json!({"cmd": name, "info": [value, value, value, value]}));
            bed.says(&json!({"cmd": name, "info": [[0, 0, 0, 0, value, value, 0, 0, 0, 0, 0, 0, 0, 0, 0, value], value, [value, value]]}));
            bed.says(&json!({"cmd": name, "info": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {"extra": value}]]}));
            for member in members {
                bed.says(&json!({"cmd": name, "data": {member: value}}));
            }
        }
    }
    bed.pass(SECOND);
    bed.render();
}

#[test]
fn what_is_long_is_cut() {
    let mut bed = Bed::joined();
    let long = "é".repeat(100_000);
    let told = bed.says(&comment(&json!([[0, 0, 0, 0, 1, long], long, [1, long]])));
    assert!(told[0].len() < 5000, "{}", told[0].len());
    bed.says(&json!({"cmd": "ROOM_CHANGE", "data": {"title": long}}));
    assert_eq!(bed.rooms.name(bed.slot).unwrap().len(), 1024);
    let ids: Vec<u32> = (1..10_000).collect();
    assert_eq!(bed.says(&json!({"cmd": "SUPER_CHAT_MESSAGE_DELETE", "data": {"ids": ids}})).len(), 256);
    bed.says(&json!({"cmd": long}));
    for n in 0..1000 {
        bed.says(&json!({"cmd": format!("NEW_{n}")}));
    }
    bed.pass(SECOND);
    bed.render();
    let extra = bed.tail["extra"].as_object().unwrap();
    assert!(extra.len() <= 65, "{}", extra.len());
    assert_eq!(extra.values().map(|count| count.as_i64().unwrap()).sum::<i64>(), 1001);
    assert!(bed.tail.to_string().len() < 10_000);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:{}\"]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("uid".to_owned()),
        Just("ids".to_owned()),
        Just("extra".to_owned()),
        Just("title".to_owned()),
        Just("user_info".to_owned()),
        "[a-z_]{1,8}",
    ];
    leaf.prop_recursive(4, 60, 18, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..18).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_taken_and_nothing_grows(
        commands in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "DANMU_MSG", "SEND_GIFT", "SUPER_CHAT_MESSAGE", "GUARD_BUY", "RECALL_DANMU_MSG", "WATCHED_CHANGE", "ROOM_CHANGE",
                    "LIVE", "PREPARING", "CUT_OFF", "UNHEARD_OF",
                ]),
                any_json(),
                any_json(),
                0..3_u64,
            ),
            0..20,
        ),
    ) {
        let mut bed = Bed::joined();
        for (name, info, data, seconds) in commands {
            bed.says(&json!({"cmd": name, "info": info, "data": data}));
            bed.pass(seconds * SECOND);
        }
        bed.pass(100 * SECOND);
        bed.render();
        prop_assert!(bed.rooms.settles_at().is_none());
        prop_assert!(bed.head.to_string().len() + bed.tail.to_string().len() < 12_000);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bed = Bed::joined();
        let _ = bed.take(&body);
        let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, Ranking::default());
        rooms.add_list("ranking", "{ID}".parse::<Template>().unwrap(), &[]).unwrap();
        let _ = rooms.load(b"ranking", &body, Received::default(), &mut Told::default());
    }
}
