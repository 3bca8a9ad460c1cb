//! The life of a room in simulated time.

use super::*;
use proptest::prelude::*;

const HEARTBEAT: Duration = Duration::from_secs(30);
/// The longest wait of the back-off.
const LONGEST: Duration = Duration::from_secs(30);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A room and its clock.
struct Bench {
    room: Room,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::now();
        Bench { room: Room::new(HEARTBEAT, 1, now), now }
    }

    /// The longest wait that jitter gives.
    fn give(&mut self, input: Input) -> Action {
        self.room.step(input, u64::MAX, self.now)
    }

    /// Passes to what is due next, and does it.
    fn next_due(&mut self) -> Action {
        self.now = self.now.max(self.room.deadline().unwrap());
        self.give(Input::Time)
    }

    fn connect(&mut self) {
        assert_eq!(self.next_due(), Action::GetInLine);
        assert!(matches!(self.give(Input::Permit), Action::Connect { .. }));
        assert_eq!(self.give(Input::Opened), Action::Nothing);
    }

    fn live() -> Bench {
        let mut bench = Bench::new();
        bench.connect();
        assert_eq!(bench.give(Input::Accepted), Action::Nothing);
        bench
    }
}

#[test]
fn a_room_comes_to_be_live_step_by_step_and_is_sent_heartbeats() {
    let mut bench = Bench::live();
    assert_eq!(bench.next_due(), Action::Heartbeat, "the first at once");
    for _ in 0..5 {
        let before = bench.now;
        bench.give(Input::Heard);
        assert_eq!(bench.next_due(), Action::Heartbeat);
        assert_eq!(bench.now - before, HEARTBEAT);
    }
}

#[test]
fn silence_ends_a_live_room_after_two_heartbeats_and_a_little() {
    let mut bench = Bench::live();
    let since = bench.now;
    let mut heartbeats = 0;
    let retry = loop {
        match bench.next_due() {
            Action::Heartbeat => heartbeats += 1,
            Action::Lost { retry } => break retry,
            other @ (Action::Nothing | Action::GetInLine | Action::Connect { .. } | Action::Park { .. }) => {
                panic!("{other:?}")
            }
        }
    };
    assert_eq!((heartbeats, bench.now - since), (3, ms(65_000)));
    assert_eq!(retry, ms(250), "it stood, so this failure is the first");
}

#[test]
fn a_join_that_nobody_answers_ends_after_five_seconds_and_is_no_refusal() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.connect();
        let since = bench.now;
        assert!(matches!(bench.next_due(), Action::Lost { .. }));
        assert_eq!(bench.now - since, JOIN_DEADLINE);
    }
}

#[test]
fn three_refusals_in_a_row_park_it_for_longer_and_longer() {
    let mut bench = Bench::new();
    let mut parked = Vec::new();
    for refusal in 0..12 {
        bench.connect();
        match bench.give(Input::Ended(End::Refused)) {
            Action::Lost { .. } => assert!(refusal < 2),
            Action::Park { retry } => parked.push(retry.as_secs() / 60),
            other @ (Action::Nothing | Action::GetInLine | Action::Connect { .. } | Action::Heartbeat) => {
                panic!("{other:?}")
            }
        }
    }
    assert_eq!(parked, [10, 20, 40, 80, 160, 320, 360, 360, 360, 360]);
    bench.connect();
    bench.give(Input::Accepted);
    bench.give(Input::Ended(End::Broken));
    bench.connect();
    assert!(matches!(bench.give(Input::Ended(End::Refused)), Action::Lost { .. }), "it counts anew");
}

#[test]
fn what_came_to_no_join_is_neither_a_refusal_nor_disproves_one() {
    let mut bench = Bench::new();
    for end in [End::Refused, End::Broken, End::Refused, End::Broken] {
        bench.connect();
        assert!(matches!(bench.give(Input::Ended(end)), Action::Lost { .. }));
    }
    bench.connect();
    assert_eq!(bench.give(Input::Ended(End::Refused)), Action::Park { retry: PARK });
}

#[test]
fn a_room_of_many_hosts_is_parked_once_each_has_refused_it() {
    let mut bench = Bench::new();
    bench.room = Room::new(HEARTBEAT, 5, bench.now);
    for _ in 0..4 {
        bench.connect();
        assert!(matches!(bench.give(Input::Ended(End::Refused)), Action::Lost { .. }));
    }
    bench.connect();
    assert_eq!(bench.give(Input::Ended(End::Refused)), Action::Park { retry: PARK });
}

#[test]
fn renewed_it_comes_back_at_once_from_wherever_it_is() {
    let mut bench = Bench::live();
    assert_eq!(bench.give(Input::Renew), Action::Lost { retry: Duration::ZERO });
    assert_eq!(bench.give(Input::Time), Action::GetInLine);
    assert_eq!(bench.give(Input::Renew), Action::Nothing, "it waits for its turn already");
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.connect();
        bench.give(Input::Ended(End::Refused));
    }
    assert!(matches!(bench.room.state(), State::Parked { .. }));
    assert_eq!(bench.give(Input::Renew), Action::Nothing);
    assert_eq!(bench.give(Input::Time), Action::GetInLine);
}

#[test]
fn a_room_that_is_thrown_out_at_once_waits_longer_and_longer() {
    let mut bench = Bench::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.connect();
        bench.give(Input::Accepted);
        let Action::Lost { retry } = bench.give(Input::Ended(End::Broken)) else { panic!() };
        waits.push(retry.as_millis());
    }
    assert_eq!(waits, [250, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn an_outage_is_over_before_it_has_taken_twice_its_time() {
    for outage in [100, 1_000, 3_000, 20_000] {
        let mut bench = Bench::live();
        bench.now += ms(60_000);
        let began = bench.now;
        bench.give(Input::Ended(End::Broken));
        loop {
            assert_eq!(bench.next_due(), Action::GetInLine);
            bench.give(Input::Permit);
            if bench.now - began >= ms(outage) {
                break;
            }
            bench.give(Input::Ended(End::Broken));
        }
        assert!(bench.now - began <= ms(2 * outage + 250), "{outage} ms: {:?}", bench.now - began);
    }
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => Just(Input::Time),
        2 => Just(Input::Permit),
        2 => Just(Input::Opened),
        2 => Just(Input::Accepted),
        2 => Just(Input::Heard),
        2 => Just(Input::Ended(End::Broken)),
        2 => Just(Input::Ended(End::Refused)),
        1 => Just(Input::Renew),
    ]
}

proptest! {
    /// Whatever comes in whatever order: one connection at a time, each attempt after a turn in line, each wait within its bounds.
    #[test]
    fn never_two_connections_and_never_an_attempt_out_of_turn(
        steps in proptest::collection::vec((input(), 0u64..40_000, any::<u64>()), 0..200),
    ) {
        let mut now = Instant::now();
        let mut room = Room::new(HEARTBEAT, 1, now);
        let (mut connected, mut in_line, mut attempts) = (false, false, 0u64);
        for (input, passed, random) in steps {
            now += ms(passed);
            let before = room.state();
            match room.step(input, random, now) {
                Action::GetInLine => {
                    prop_assert!(!in_line && !connected);
                    in_line = true;
                }
                Action::Connect { attempt } => {
                    prop_assert!(in_line && !connected && attempt == attempts);
                    (connected, in_line) = (true, false);
                    attempts += 1;
                }
                Action::Lost { retry } => {
                    prop_assert!(connected && retry <= LONGEST);
                    connected = false;
                }
                Action::Park { retry } => {
                    prop_assert!(connected && (PARK..=PARK_MAX).contains(&retry));
                    connected = false;
                }
                Action::Heartbeat => {
                    let is_live = matches!(before, State::Live { .. });
                    prop_assert!(connected && is_live);
                }
                Action::Nothing => {}
            }
            let holds = matches!(room.state(), State::Connecting | State::Joining { .. } | State::Live { .. });
            prop_assert_eq!(holds, connected);
            prop_assert_eq!(room.state() == State::InLine, in_line);
            if let State::Live { silent_at, .. } = room.state() {
                prop_assert!(silent_at <= now + room.silence());
            }
        }
    }

    /// A server that refuses every time is tried at most so often in a day.
    #[test]
    fn attempts_in_a_day_of_refusals_are_few(randoms in proptest::collection::vec(any::<u64>(), 64)) {
        let start = Instant::now();
        let mut now = start;
        let mut room = Room::new(HEARTBEAT, 1, now);
        let mut attempts = 0;
        for random in randoms {
            now = now.max(room.deadline().unwrap());
            if now > start + Duration::from_secs(86_400) {
                break;
            }
            room.step(Input::Time, random, now);
            room.step(Input::Permit, random, now);
            attempts += 1;
            room.step(Input::Opened, random, now);
            room.step(Input::Ended(End::Refused), random, now);
        }
        prop_assert!(attempts <= 12, "{attempts}");
    }
}

#[test]
fn how_long_nothing_came_is_known_of_a_live_room() {
    let mut bench = Bench::live();
    bench.give(Input::Heard);
    let (heard, state) = (bench.now, bench.room.state());
    for seconds in [0, 7, 64, 65, 3_600] {
        let now = heard + Duration::from_secs(seconds);
        assert_eq!(bench.room.unheard(state, now), Duration::from_secs(seconds));
        assert_eq!(bench.room.is_silent(now), seconds >= 65, "two heartbeats and five seconds");
    }
    assert_eq!(bench.room.unheard(State::InLine, heard), Duration::ZERO);
}
