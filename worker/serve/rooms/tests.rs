use super::*;

fn session(slot: usize) -> SessionId {
    SessionId { slot, birth: slot as u64 }
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

fn to(rooms: &[&str], except: &[&str]) -> Broadcast {
    Broadcast {
        namespace: Namespace::main(),
        rooms: rooms.iter().map(|name| room(name)).collect(),
        except: except.iter().map(|name| room(name)).collect(),
        event: Emitted::new("bid", "1"),
        delivery: Delivery::Ordered,
    }
}

fn selected(rooms: &Rooms, message: &Broadcast) -> Vec<usize> {
    let mut selected: Vec<usize> = rooms.select(message).iter().map(|session| session.slot).collect();
    selected.sort_unstable();
    selected
}

#[test]
fn a_message_goes_to_each_member_once() {
    let (mut rooms, main) = (Rooms::default(), Namespace::main());
    for slot in 0..4 {
        rooms.enter(session(slot), &main);
    }
    assert_eq!(rooms.join(session(0), &main, &room("a")), Joined::First);
    assert_eq!(rooms.join(session(0), &main, &room("a")), Joined::Already);
    assert_eq!(rooms.join(session(1), &main, &room("a")), Joined::Another);
    assert_eq!(rooms.join(session(1), &main, &room("b")), Joined::First);
    assert_eq!(rooms.join(session(2), &main, &room("b")), Joined::Another);
    assert_eq!(rooms.join(session(9), &main, &room("b")), Joined::Refused);
    assert_eq!(selected(&rooms, &to(&["a"], &[])), [0, 1]);
    assert_eq!(selected(&rooms, &to(&["a", "b"], &[])), [0, 1, 2]);
    assert_eq!(selected(&rooms, &to(&["a", "b", "c"], &["b"])), [0]);
    assert_eq!(selected(&rooms, &to(&[], &[])), [0, 1, 2, 3]);
    assert_eq!(selected(&rooms, &to(&[], &["a"])), [2, 3]);
    let other = Broadcast { namespace: Namespace::new("other").unwrap(), ..to(&[], &[]) };
    assert!(rooms.select(&other).is_empty());
}

#[test]
fn a_room_ends_with_its_last_member() {
    let (mut rooms, main) = (Rooms::default(), Namespace::main());
    for slot in 0..2 {
        rooms.enter(session(slot), &main);
        rooms.join(session(slot), &main, &room("a"));
    }
    rooms.join(session(1), &main, &room("b"));
    assert_eq!((rooms.count(), rooms.all().count()), (2, 2));
    assert!(!rooms.leave(session(0), &main, &room("a")));
    assert!(!rooms.leave(session(0), &main, &room("a")), "it was in there no more");
    let mut ended = rooms.exit(session(1), &main);
    ended.sort();
    assert_eq!(ended, [room("a"), room("b")]);
    assert!(rooms.exit(session(0), &main).is_empty());
    assert!(rooms.count() == 0 && rooms.all().next().is_none() && !rooms.has(&main, &room("a")));
}

#[test]
fn rooms_of_a_session_and_names_are_bounded() {
    let (mut rooms, main) = (Rooms::default(), Namespace::main());
    rooms.enter(session(0), &main);
    let joins = (0..100).map(|n| rooms.join(session(0), &main, &room(&n.to_string())));
    assert_eq!(joins.filter(|joined| *joined == Joined::First).count(), ROOMS_PER_SESSION);
    assert_eq!(rooms.of(session(0), &main).len(), ROOMS_PER_SESSION);
    assert!(RoomName::new("").is_none() && RoomName::new(&"x".repeat(129)).is_none());
    assert!(Namespace::new("a,b").is_none() && Namespace::new(&"x".repeat(129)).is_none());
    assert_eq!(Namespace::new("/a"), Namespace::new("a"));
}
