use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Bed {
    life: Life,
    timing: Timing,
    jitter: Jitter,
}

impl Bed {
    fn new() -> Self {
        Bed { life: Life::new(Peers::Many, Generation(0)), timing: Timing::default(), jitter: Jitter::new(7) }
    }
    fn at(&mut self, now: Duration, event: Event) -> Outcome {
        self.life.advance(event, now, &self.timing, &mut self.jitter)
    }
    fn up(&mut self, now: Duration) {
        self.at(now, Event::Spawn);
        assert!(self.life.is_starting(), "{:?}", self.life.state);
        self.at(now, Event::Ready);
        assert!(self.life.is_ready());
    }
}

const SEGV: Exit = Exit::Signal { number: 11, core: true };

#[test]
fn a_start_that_misses_its_deadline_is_aborted_then_killed_and_counts_as_a_death() {
    let mut bed = Bed::new();
    bed.at(s(0), Event::Spawn);
    assert_eq!(bed.at(Duration::from_millis(9_999), Event::Tick), Outcome::Quiet);
    assert_eq!(bed.at(s(10), Event::Tick), Outcome::Send(Signal::Abort));
    assert_eq!(bed.at(s(11), Event::Tick), Outcome::Quiet);
    assert_eq!(bed.at(s(12), Event::Tick), Outcome::Send(Signal::Kill));
    assert_eq!(bed.at(s(20), Event::Tick), Outcome::Quiet, "KILL is sent once");
    let gone = bed.at(s(21), Event::Exited(Exit::Signal { number: 9, core: false }));
    assert_eq!(gone, Outcome::Gone(Departure::Died { suspicious: false }));
    assert!(matches!(bed.life.state, State::Backoff { .. }));
}

#[test]
fn a_late_coordinator_does_not_judge_a_start() {
    let mut bed = Bed::new();
    bed.at(s(0), Event::Spawn);
    bed.life.forgive(s(30), s(30));
    assert_eq!(bed.at(s(35), Event::Tick), Outcome::Quiet);
    assert_eq!(bed.at(s(40), Event::Tick), Outcome::Send(Signal::Abort));
}

#[test]
fn back_off_doubles_with_jitter_up_to_its_limit_and_health_resets_it() {
    let mut bed = Bed::new();
    bed.timing.deaths.slot_deaths = 100;
    let mut now = s(0);
    for round in 0..12 {
        bed.up(now);
        now += s(1);
        bed.at(now, Event::Exited(SEGV));
        let State::Backoff { until } = bed.life.state else { panic!("{:?}", bed.life.state) };
        let ideal = (0.5 * f64::from(1u32 << round.min(10))).min(30.0);
        let delay = (until - now).as_secs_f64();
        assert!(delay >= 0.5 && delay >= ideal * 0.79 && delay <= ideal * 1.21, "{round}: {delay}");
        assert!(!bed.life.may_spawn(until - Duration::from_millis(1)) && bed.life.may_spawn(until));
        now = until;
    }
    bed.up(now);
    now += s(60);
    bed.at(now, Event::Exited(SEGV));
    assert_eq!(bed.life.state, State::Dead, "healthy for 60 s: no back-off");
    bed.up(now);
    bed.at(now + s(1), Event::Exited(SEGV));
    let State::Backoff { until } = bed.life.state else { panic!() };
    assert!(until <= now + s(1) + Duration::from_millis(600), "the count began anew");
    assert_eq!(bed.life.restarts, 13);
}

#[test]
fn six_deaths_in_a_minute_park_then_one_on_probation() {
    let mut bed = Bed::new();
    bed.timing.deaths.backoff_min = Duration::from_millis(1);
    let mut now = s(0);
    for _ in 0..6 {
        bed.up(now);
        bed.at(now, Event::Exited(SEGV));
        now += s(2);
    }
    let State::Parked { until: Some(until) } = bed.life.state else { panic!("{:?}", bed.life.state) };
    assert_eq!(until, now - s(2) + s(300));
    bed.at(now, Event::Spawn);
    assert!(bed.life.is_parked(), "a parked slot does not start");
    bed.up(until);
    bed.at(until + s(1), Event::Exited(SEGV));
    assert_eq!(bed.life.state, State::Parked { until: Some(until + s(301)) }, "probation failed");
    bed.up(until + s(301));
    bed.at(until + s(400), Event::Exited(SEGV));
    assert_eq!(bed.life.state, State::Dead, "probation was passed");
}

#[test]
fn deaths_spread_over_more_than_the_window_do_not_park() {
    let mut bed = Bed::new();
    let mut now = s(0);
    for _ in 0..20 {
        bed.up(now);
        bed.at(now, Event::Exited(SEGV));
        assert!(!bed.life.is_parked());
        now += s(40);
    }
}

#[test]
fn exit_code_2_parks_for_good() {
    let mut bed = Bed::new();
    bed.up(s(0));
    bed.at(s(100), Event::Exited(Exit::Code(2)));
    assert!(bed.life.is_refused());
    assert!(!bed.life.may_spawn(s(1_000_000)));
}

#[test]
fn what_was_asked_or_announced_is_no_death() {
    let mut bed = Bed::new();
    bed.up(s(0));
    bed.at(s(1), Event::Stop { deadline: s(21) });
    assert_eq!(bed.at(s(2), Event::Exited(Exit::Code(0))), Outcome::Gone(Departure::Asked));
    assert_eq!(bed.life.state, State::Empty);
    bed.up(s(3));
    bed.at(s(4), Event::Announced);
    assert_eq!(bed.at(s(5), Event::Exited(Exit::Code(0))), Outcome::Gone(Departure::Left));
    assert!(matches!(bed.life.state, State::Backoff { .. }), "no hot loop of leaving and starting");
    assert_eq!(bed.life.restarts, 0);
}

#[test]
fn a_stop_climbs_its_ladder_and_is_never_eased() {
    let mut bed = Bed::new();
    bed.up(s(0));
    bed.at(s(1), Event::Stop { deadline: s(21) });
    assert_eq!(bed.at(s(20), Event::Tick), Outcome::Quiet);
    bed.at(s(20), Event::Stop { deadline: s(40) });
    assert_eq!(bed.at(s(21), Event::Tick), Outcome::Send(Signal::Term), "the later deadline did not count");
    assert_eq!(bed.at(s(25), Event::Tick), Outcome::Quiet);
    assert_eq!(bed.at(s(26), Event::Tick), Outcome::Send(Signal::Kill));
}

#[test]
fn only_what_the_work_may_have_caused_is_suspicious() {
    for (exit, expected) in [
        (SEGV, true),
        (Exit::Signal { number: 6, core: false }, true),
        (Exit::Code(101), true),
        (Exit::Code(1), false),
        (Exit::Signal { number: 9, core: false }, false),
        (Exit::Signal { number: 15, core: false }, false),
    ] {
        let mut bed = Bed::new();
        bed.up(s(0));
        let gone = bed.at(s(1), Event::Exited(exit));
        assert_eq!(gone, Outcome::Gone(Departure::Died { suspicious: expected }), "{exit}");
    }
    let mut hung = Bed::new();
    hung.up(s(0));
    hung.at(s(1), Event::Condemn { signal: Signal::Abort });
    let gone = hung.at(s(4), Event::Exited(Exit::Signal { number: 9, core: false }));
    assert_eq!(gone, Outcome::Gone(Departure::Died { suspicious: true }), "a hang is");
}

#[test]
fn the_first_reason_of_this_very_process_counts() {
    let mut bed = Bed::new();
    bed.up(s(0));
    bed.life.blame("silent");
    bed.life.blame("did not leave");
    assert_eq!(bed.life.take_reason(), "silent");
    bed.life.blame("silent");
    bed.at(s(1), Event::Exited(SEGV));
    bed.up(s(60));
    assert_eq!(bed.life.take_reason(), "", "that was another");
}
