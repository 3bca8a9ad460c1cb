use super::*;
use proptest::prelude::*;

/// The longest wait.
const MOST: u64 = u64::MAX;

/// A first attempt that is under way.
fn begun(now: Instant) -> Reconnect {
    let mut reconnect = Reconnect::new(now);
    assert_eq!(reconnect.due(now), Due::Attempt(0));
    reconnect
}

/// The next attempt at its time, with a permit.
fn again(reconnect: &mut Reconnect) -> Instant {
    let mut now = reconnect.deadline().unwrap();
    if reconnect.due(now) == Due::Permit {
        reconnect.permit(now);
        now = reconnect.deadline().unwrap();
        assert!(matches!(reconnect.due(now), Due::Attempt(_)));
    }
    now
}

#[test]
fn the_bound_doubles_up_to_the_cap_and_begins_anew_after_a_connection_that_served() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    let waits: Vec<u128> = (0..9).map(|_| reconnect.failed(MOST, now).as_millis()).collect();
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    reconnect.opened(now);
    assert_eq!(reconnect.ended(End::Broken, MOST, now).after, CAP, "open is not enough");
    reconnect.opened(now);
    reconnect.served();
    assert_eq!(reconnect.ended(End::Broken, MOST, now).after, BASE);
}

#[test]
fn the_jitter_is_full() {
    let now = Instant::now();
    assert_eq!(begun(now).failed(0, now), Duration::ZERO);
    assert_eq!(begun(now).failed(u64::MAX / 2, now).as_millis(), 124);
}

#[test]
fn each_attempt_but_the_first_waits_for_a_permit_or_its_deadline() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    reconnect.permit(now);
    let due = now + reconnect.failed(MOST, now);
    assert_eq!(reconnect.due(due - Duration::from_nanos(1)), Due::Nothing);
    assert_eq!(reconnect.due(due), Due::Permit);
    assert_eq!(reconnect.due(due), Due::Nothing, "it is asked for once");
    reconnect.permit(due);
    assert_eq!(reconnect.due(due), Due::Attempt(1));
    reconnect.permit(due);
    assert_eq!(reconnect.due(due), Due::Nothing, "a permit is for one attempt");
    let due = due + reconnect.failed(MOST, due);
    assert_eq!(reconnect.due(due), Due::Permit);
    assert_eq!(reconnect.deadline(), Some(due + PERMIT_DEADLINE));
    assert_eq!(reconnect.due(due + PERMIT_DEADLINE), Due::Attempt(2), "nobody answers");
}

#[test]
fn a_connection_after_one_that_served_nothing_is_on_probation_until_it_serves() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    assert_eq!(reconnect.opened(now), Health::Good, "nothing is known against it");
    assert_eq!(reconnect.deadline(), None);
    assert_eq!(reconnect.ended(End::Broken, MOST, now).stage, Stage::Open);
    let now = again(&mut reconnect);
    assert_eq!(reconnect.opened(now), Health::Probation);
    assert_eq!(reconnect.deadline(), Some(now + STANDS));
    assert!(reconnect.served());
    assert!(!reconnect.served() && reconnect.deadline().is_none(), "once");
    assert_eq!(reconnect.ended(End::Broken, MOST, now).stage, Stage::Serving);
    assert_eq!(reconnect.opened(now), Health::Good, "it served before it was lost");
}

#[test]
fn standing_for_long_is_as_good_as_serving() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    reconnect.opened(now);
    assert!(!reconnect.stands(now + STANDS - Duration::from_millis(1)));
    reconnect.ended(End::Broken, MOST, now);
    reconnect.opened(now);
    assert!(reconnect.stands(now + STANDS));
    assert!(!reconnect.stands(now + STANDS));
    reconnect.ended(End::Broken, MOST, now);
    assert_eq!(reconnect.opened(now), Health::Good);
    assert_eq!(
        reconnect.ended(End::Broken, MOST, now + STANDS).stage,
        Stage::Serving,
        "nobody looked before"
    );
}

#[test]
fn what_was_never_open_is_judged_by_the_one_before_and_what_was_refused_is_on_probation() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    assert_eq!(reconnect.ended(End::Broken, MOST, now).stage, Stage::Connecting);
    assert_eq!(reconnect.opened(now), Health::Good);
    reconnect.served();
    reconnect.ended(End::SessionRefused("2"), MOST, now);
    reconnect.ended(End::Broken, MOST, now);
    assert_eq!(reconnect.opened(now), Health::Probation, "although it had served");
}

#[test]
fn an_earlier_session_that_is_refused_is_followed_by_a_fresh_one_at_once() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    assert_eq!(reconnect.ended(End::ResumeRefused, MOST, now).after, Duration::ZERO);
    assert_eq!(reconnect.due(now), Due::Permit);
}

#[test]
fn a_refused_login_waits_long_and_is_new_once() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    let mut refuse = |why| reconnect.ended(End::LoginRefused(why), 0, now);
    let first = refuse("wrong");
    assert_eq!((first.after, first.refusal), (LOGIN_WAIT, Refusal::New));
    assert_eq!(refuse("wrong").refusal, Refusal::Repeated);
    assert_eq!(refuse("rejected").refusal, Refusal::New);
    reconnect.opened(now);
    assert_eq!(reconnect.ended(End::LoginRefused("rejected"), 0, now).refusal, Refusal::New);
    assert_eq!(reconnect.ended(End::Broken, 0, now).refusal, Refusal::New);
    assert_eq!(reconnect.ended(End::LoginRefused("rejected"), 0, now).refusal, Refusal::New);
}

#[test]
fn a_session_that_was_accepted_before_it_is_refused_is_new_once_too() {
    let now = Instant::now();
    let mut reconnect = begun(now);
    let mut refuse = |why| {
        reconnect.opened(now);
        reconnect.ended(End::SessionRefused(why), MOST, now)
    };
    assert_eq!(refuse("2").refusal, Refusal::New);
    let second = refuse("2");
    assert_eq!((second.refusal, second.after), (Refusal::Repeated, LOGIN_WAIT + BASE * 2));
    assert_eq!(refuse("3").refusal, Refusal::New);
    reconnect.opened(now);
    reconnect.served();
    assert_eq!(reconnect.ended(End::SessionRefused("3"), MOST, now).refusal, Refusal::New);
}

proptest! {
    #[test]
    fn no_wait_passes_its_bound_and_every_wait_ends_in_an_attempt(
        steps in prop::collection::vec((0u8..6, any::<u64>()), 1..200)
    ) {
        let mut now = Instant::now();
        let mut reconnect = Reconnect::new(now);
        let mut number = None;
        for (step, random) in steps {
            let retry = match step {
                0 => reconnect.failed(random, now),
                1 => reconnect.ended(End::Broken, random, now).after,
                2 => reconnect.ended(End::LoginRefused("no"), random, now).after,
                3 => {
                    reconnect.opened(now);
                    reconnect.ended(End::SessionRefused("no"), random, now).after
                }
                4 => {
                    reconnect.opened(now);
                    reconnect.served();
                    let retry = reconnect.ended(End::Broken, random, now);
                    prop_assert!(retry.after <= BASE);
                    retry.after
                }
                _ => reconnect.ended(End::ResumeRefused, random, now).after,
            };
            prop_assert!(retry <= LOGIN_WAIT + CAP);
            prop_assert_eq!(reconnect.deadline(), Some(now + retry));
            now += retry;
            let due = reconnect.due(now);
            let due = if due == Due::Permit {
                now += PERMIT_DEADLINE;
                reconnect.due(now)
            } else {
                due
            };
            let Due::Attempt(attempt) = due else { panic!("no attempt") };
            prop_assert!(number.is_none_or(|before| before <= attempt));
            number = Some(attempt);
        }
    }
}
