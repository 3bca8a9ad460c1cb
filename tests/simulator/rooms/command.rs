//! Commands as the server writes them: what happens, in JSON, each with the twins that repeat it.
//!
//! The shapes are those of recorded commands; fields that no reader asks for are few.

use super::script::{GiftOf, Happening, Line, Look};
use serde_json::{Value, json};

/// When a message is sent, milliseconds since 1970.
pub(super) type Millis = i64;

/// Gives the commands of what happens in `room`, in their order, to `take`.
pub(super) fn write(room: u64, happening: &Happening, at: Millis, take: &mut dyn FnMut(&[u8])) {
    match happening {
        Happening::Comment { line, look, rnd } => give(take, &comment(room, line, *look, *rnd, at)),
        Happening::Gift(line, of) => {
            give(take, &gift(line, *of, at));
            if of.number > 1 {
                give(take, &combo(line, *of));
            }
        }
        Happening::SuperChat(line) => {
            give(take, &super_chat(line, at));
            give(take, &super_chat_again(room, line, at));
        }
        Happening::Guard(line) => {
            give(take, &guard(line, at));
            give(take, &toast(line, at));
            give(take, &toast_again(line));
        }
        Happening::Recall(line) => {
            give(take, &json!({"cmd": "RECALL_DANMU_MSG", "data": {"recall_type": 1, "target_id": line.id}}));
        }
        Happening::Delete(line) => {
            let ids = [line.id];
            give(take, &json!({"cmd": "SUPER_CHAT_MESSAGE_DELETE", "data": {"ids": ids}, "roomid": room}));
        }
        Happening::Watched(viewers) => give(
            take,
            &json!({"cmd": "WATCHED_CHANGE", "data": {"num": viewers, "text_small": viewers.to_string(),
                "text_large": format!("{viewers}人看过")}}),
        ),
        Happening::Likes(likes) => {
            give(take, &json!({"cmd": "LIKE_INFO_V3_UPDATE", "data": {"click_count": likes}}));
        }
        Happening::Live => give(
            take,
            &json!({"cmd": "LIVE", "live_key": "1", "live_platform": "pc", "roomid": room, "live_time": seconds(at)}),
        ),
        Happening::Preparing => {
            give(take, &json!({"cmd": "PREPARING", "roomid": room.to_string(), "round": 1}));
        }
        Happening::Title(title) => give(
            take,
            &json!({"cmd": "ROOM_CHANGE", "data": {"title": title, "area_id": 1, "area_name": "games",
                "parent_area_id": 2, "parent_area_name": "all"}}),
        ),
        Happening::Other(which) => give(take, &other(room, *which)),
    }
}

fn give(take: &mut dyn FnMut(&[u8]), command: &Value) {
    take(command.to_string().as_bytes());
}

fn seconds(at: Millis) -> i64 {
    at / 1_000
}

fn comment(room: u64, line: &Line, look: Look, rnd: u64, at: Millis) -> Value {
    let Line { uid, user, text, .. } = line;
    let cmd = match look {
        Look::Suffixed => "DANMU_MSG:4:0:2:2:2:0",
        Look::Usual | Look::Short | Look::Emoticon | Look::Nameless => "DANMU_MSG",
    };
    let (dm_type, emoticon) = match look {
        Look::Emoticon => {
            (1, json!({"emoticon_unique": "official_331", "height": 60, "width": 200, "url": ""}))
        }
        Look::Usual | Look::Suffixed | Look::Short | Look::Nameless => (0, json!("{}")),
    };
    let extra = match look {
        Look::Nameless => json!({}),
        Look::Usual | Look::Suffixed | Look::Short | Look::Emoticon => {
            let extra = json!({"content": text, "id_str": line.id.to_string(), "show_reply": true});
            json!({"mode": 0, "show_player_type": 0, "extra": extra.to_string(),
                "user": {"uid": uid, "base": {"name": user, "face": ""}}})
        }
    };
    let meta = json!([
        0, 1, 25, 16_777_215, at, rnd, 0, "00000000", 0, 0, 0, "", dm_type, emoticon, "{}", extra,
        {"activity_identity": "", "activity_source": 0, "not_show": 0}, 0
    ]);
    let mut info = vec![
        meta,
        json!(text),
        json!([uid, user, 0, 0, 0, 10_000, 1, ""]),
        json!([
            21, "medal", "anchor", room, 1_725_515, "", 0, 6_809_855, 1_725_515, 5_414_290, 3, 1, 100_001
        ]),
        json!([5, 0, 9_868_950, ">50000", 0]),
        json!(["", ""]),
        json!(0),
        json!(0),
        Value::Null,
        json!({"ts": seconds(at), "ct": "7581F4E3"}),
    ];
    if look != Look::Short {
        info.extend([json!(0), json!(0), Value::Null, Value::Null, json!(0), json!(105), json!([0])]);
    }
    json!({"cmd": cmd, "info": info})
}

fn gift(line: &Line, of: GiftOf, at: Millis) -> Value {
    let id = line.id.to_string();
    json!({"cmd": "SEND_GIFT", "data": {
        "action": "投喂", "batch_combo_id": format!("batch:{id}"), "coin_type": if of.price > 0 { "gold" } else { "silver" },
        "giftId": of.gift, "giftName": line.text, "giftType": 0, "num": of.number, "price": of.price,
        "discount_price": of.price, "total_coin": line.amount, "tid": id, "rnd": id, "timestamp": seconds(at),
        "uid": line.uid, "uname": line.user, "medal_info": {"medal_level": 1, "medal_name": ""},
    }})
}

/// The same gift as a combination of several.
fn combo(line: &Line, of: GiftOf) -> Value {
    json!({"cmd": "COMBO_SEND", "data": {
        "action": "投喂", "batch_combo_id": format!("batch:{}", line.id), "batch_combo_num": of.number, "combo_num": of.number,
        "combo_total_coin": line.amount, "gift_id": of.gift, "gift_name": line.text, "gift_num": of.number,
        "total_num": of.number, "uid": line.uid, "uname": line.user,
    }})
}

fn super_chat(line: &Line, at: Millis) -> Value {
    json!({"cmd": "SUPER_CHAT_MESSAGE", "data": {
        "id": line.id, "uid": line.uid, "price": line.amount, "rate": 1_000, "message": line.text, "message_trans": "",
        "time": 60, "start_time": seconds(at), "end_time": seconds(at) + 60, "ts": seconds(at),
        "gift": {"gift_id": 12_000, "gift_name": "醒目留言", "num": 1},
        "user_info": {"uname": line.user, "face": "", "user_level": 5},
    }})
}

/// The same in another language, with its id as a text.
fn super_chat_again(room: u64, line: &Line, at: Millis) -> Value {
    json!({"cmd": "SUPER_CHAT_MESSAGE_JPN", "data": {
        "id": line.id.to_string(), "uid": line.uid.to_string(), "price": line.amount, "message": line.text,
        "message_jpn": "", "time": 60, "start_time": seconds(at), "end_time": seconds(at) + 60, "ts": seconds(at),
        "user_info": {"uname": line.user, "face": ""},
    }, "roomid": room.to_string()})
}

fn guard(line: &Line, at: Millis) -> Value {
    json!({"cmd": "GUARD_BUY", "data": {
        "uid": line.uid, "username": line.user, "guard_level": 3, "num": 1, "price": line.amount, "gift_id": 10_003,
        "gift_name": line.text, "start_time": seconds(at), "end_time": seconds(at),
    }})
}

fn toast(line: &Line, at: Millis) -> Value {
    json!({"cmd": "USER_TOAST_MSG", "data": {
        "uid": line.uid, "username": line.user, "guard_level": 3, "num": 1, "price": line.amount, "role_name": line.text,
        "unit": "月", "op_type": 1, "payflow_id": payflow(line), "start_time": seconds(at), "end_time": seconds(at),
        "toast_msg": "…",
    }})
}

fn payflow(line: &Line) -> String {
    format!("{}_{}", line.uid, line.amount.unwrap_or_default())
}

fn toast_again(line: &Line) -> Value {
    json!({"cmd": "USER_TOAST_MSG_V2", "data": {
        "sender_uinfo": {"uid": line.uid, "base": {"name": line.user}}, "guard_info": {"guard_level": 3, "role_name": line.text},
        "pay_info": {"payflow_id": payflow(line), "price": line.amount, "num": 1, "unit": "月"},
        "gift_info": {"gift_id": 10_003},
    }})
}

fn other(room: u64, which: usize) -> Value {
    match which % 6 {
        0 => {
            json!({"cmd": "INTERACT_WORD", "data": {"uid": 1, "uname": "someone", "msg_type": 1, "roomid": room}})
        }
        1 => json!({"cmd": "ONLINE_RANK_COUNT", "data": {"count": 9_999, "count_text": "9999+"}}),
        2 => json!({"cmd": "STOP_LIVE_ROOM_LIST", "data": {"room_id_list": (0..50).collect::<Vec<u32>>()}}),
        3 => json!({"cmd": "NOTICE_MSG", "full": {"color": "#FFF"}, "msg_common": "…", "roomid": room}),
        4 => json!({"cmd": "SOME_COMMAND_OF_TOMORROW", "data": [null, {"deep": [[[1.5e300]]]}], "info": {}}),
        _ => json!({"cmd": "ENTRY_EFFECT", "data": {"id": 4, "uid": 1, "copy_writing": "<%someone%>"}}),
    }
}
