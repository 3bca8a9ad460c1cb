//! What a server does above its cap, in each of its ways.

use super::*;
use crate::options::OverCap;

const FIRST: &str = "6V90000001C1A_1_3";
const SECOND: &str = "6V90000002C13A_1_3";

/// A client that holds one subscription where one is allowed, and asked for another.
fn above(over_cap: OverCap) -> (super::super::Handle, Client, Vec<Received>) {
    let server = Simulator::start(&Options { cap: Some(1), over_cap, rate: 2_000.0, ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), "");
    client.send(0x16, FIRST);
    assert_eq!(client.next().1, format!("{FIRST}!m1"));
    client.send(0x16, SECOND);
    let received = client.settle();
    (server, client, received)
}

fn of_second(received: &[Received]) -> Vec<&Received> {
    received
        .iter()
        .filter(|(_, headers, _)| headers.starts_with(SECOND) || headers.starts_with("!m2"))
        .collect()
}

fn after(client: &mut Client, messages: usize) -> Vec<Received> {
    (0..messages).map(|_| client.next()).collect()
}

#[test]
fn an_error_is_a_status_that_is_not_the_removal() {
    let (server, mut client, received) = above(OverCap::Error);
    assert_eq!(of_second(&received), [&(0x23, format!("{SECOND}\u{2}cap"), String::new())]);
    assert!(of_second(&after(&mut client, 300)).is_empty());
    let report = server.stop();
    assert_eq!((report.denied, report.over_cap, report.most_subscriptions), (1, 0, 1));
}

#[test]
fn ignored_it_brings_nothing_until_there_is_room() {
    let (server, mut client, received) = above(OverCap::Ignore);
    assert!(of_second(&received).is_empty());
    assert!(of_second(&after(&mut client, 300)).is_empty());
    client.send(0x17, FIRST);
    client.send(0x16, SECOND);
    assert_eq!(of_second(&client.settle())[0].0, 0x14);
    assert_eq!(server.stop().denied, 1);
}

#[test]
fn without_a_load_deltas_come_by_name() {
    let (server, mut client, received) = above(OverCap::NoLoad);
    client.send(0x17, FIRST);
    let _ = client.settle();
    let deltas = after(&mut client, 200);
    assert!(received.iter().chain(&deltas).all(|(kind, ..)| *kind == 0x15), "no load at all");
    assert!(!of_second(&deltas).is_empty() && deltas.iter().all(|(_, topic, _)| !topic.starts_with('!')));
    client.send(0x16, SECOND);
    assert!(of_second(&client.settle()).iter().any(|(kind, ..)| *kind == 0x14), "there is room now");
    client.send(0x17, SECOND);
    let _ = client.settle();
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(client.held.is_empty() && client.stream.read(&mut [0; 1]).is_err(), "given up for good");
    drop(server);
}

#[test]
fn thinly_served_it_gets_its_load_and_a_delta_in_ten() {
    let (server, mut client, received) = above(OverCap::Thin);
    assert_eq!(of_second(&received)[0].0, 0x14);
    // Both matches change equally often; one is followed in full.
    let all = after(&mut client, 2_000);
    let roots = all.iter().filter(|(_, topic, _)| topic.starts_with(SECOND)).count();
    let full = all.iter().filter(|(_, topic, _)| topic == "!m1").count();
    assert!(roots * 4 < full, "{roots} of the thin one, {full} of the full one");
    assert_eq!(server.stop().over_cap, 0);
}

#[test]
fn a_match_is_thinned_out_where_a_test_asks_for_it_until_it_is_subscribed_again() {
    let server = Simulator::start(&Options { rate: 2_000.0, ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), FIRST);
    client.send(0x16, SECOND);
    let _ = client.settle();
    let share = |client: &mut Client| {
        let all = after(client, 2_000);
        all.iter().filter(|(_, topic, _)| topic == "!m2" || topic == SECOND).count()
    };
    let full = share(&mut client);
    server.thin_out("90000002C13A_1_3");
    let _ = after(&mut client, 500);
    let thin = share(&mut client);
    assert!(thin * 4 < full, "{thin} instead of {full}");
    client.send(0x16, SECOND);
    assert!(of_second(&client.settle()).iter().any(|(kind, ..)| *kind == 0x14), "a load");
    let again = share(&mut client);
    assert!(again * 2 > full, "{again} instead of {full}");
    assert_eq!(server.stop().most_subscriptions, 2);
}

#[test]
fn above_the_cap_nothing_is_left_behind_when_the_client_goes() {
    for over_cap in [OverCap::NoLoad, OverCap::Thin] {
        let (server, client, _) = above(over_cap);
        drop(client);
        let (mut other, _) = Client::connect(server.address(), FIRST);
        for _ in 0..300 {
            assert!(!other.next().1.starts_with(SECOND));
        }
    }
}
