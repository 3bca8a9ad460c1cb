use super::*;

const ME: ClientId = ClientId { slot: 0, birth: 1 };
const OTHER: ClientId = ClientId { slot: 1, birth: 2 };

fn message() -> Vec<Published> {
    read(None, br#"{"itemId":1,"channel":"bid","message":5}"#, Retain::No).unwrap()
}

fn new(publications: &mut Publications, key: Option<&str>, now: Instant) -> PublicationId {
    match publications.begin(ME, key, message(), now) {
        Begun::New(id) => id,
        other @ (Begun::Waits | Begun::Answered(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_retry_is_answered_as_the_first_and_published_once() {
    let now = Instant::now();
    let mut publications = Publications::default();
    let id = new(&mut publications, Some("k"), now);
    assert!(matches!(publications.begin(OTHER, Some("k"), message(), now), Begun::Waits));
    let done = publications.finish(id, &Outcome::Accepted, now).unwrap();
    assert_eq!(done.clients, [ME, OTHER]);
    assert!(publications.finish(id, &Outcome::Accepted, now).is_none());
    let later = now + KEPT - Duration::from_secs(1);
    match publications.begin(ME, Some("k"), message(), later) {
        Begun::Answered(answer) => assert_eq!(answer, Answer::text(Status::Ok, "ok")),
        other @ (Begun::Waits | Begun::New(_)) => panic!("{other:?}"),
    }
    new(&mut publications, Some("k"), now + KEPT);
    new(&mut publications, None, now);
    new(&mut publications, None, now);
}

#[test]
fn what_failed_is_tried_anew() {
    let now = Instant::now();
    let mut publications = Publications::default();
    let id = new(&mut publications, Some("k"), now);
    let refused = Outcome::Refused("no".into());
    publications.finish(id, &refused, now);
    assert_eq!(refused.answer().status, Status::Unavailable);
    let again = new(&mut publications, Some("k"), now);
    assert!(publications.late(now + PATIENCE - Duration::from_millis(1)).is_empty());
    assert_eq!(publications.late(now + PATIENCE), [again]);
}

#[test]
fn what_waits_and_what_is_remembered_is_bounded() {
    let now = Instant::now();
    let mut publications = Publications::default();
    for _ in 0..WAITING {
        new(&mut publications, None, now);
    }
    assert!(matches!(publications.begin(ME, None, message(), now), Begun::Answered(_)));
    let mut publications = Publications::default();
    for n in 0..KEYS + 10 {
        let id = new(&mut publications, Some(&n.to_string()), now);
        publications.finish(id, &Outcome::Accepted, now);
    }
    assert!(publications.keys.len() <= KEYS + 1 && publications.accepted.len() <= KEYS + 1);
    let long = "x".repeat(KEY + 1);
    assert!(matches!(publications.begin(ME, Some(&long), message(), now), Begun::Answered(_)));
}
