//! Rooms: each has a connection of its own, so what happens to one is that match's alone. How a room is held does not matter here: the
//! answer to a join is a load of the payload that the other tests use.

use super::*;
use crate::feed::rooms;
use crate::wire::rooms::{BodyForm, Decoder, Limits, Operation, write_packet};
use std::net::SocketAddr;
use std::thread;
use touchline_common::config::Config;
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::worker::ConnectionState;

/// A server that answers the join of each connection, by its number, and then keeps it or closes it.
fn serve(answer: impl Fn(usize) -> (&'static str, After) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let (body, after) = answer(number);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            read_until(&mut stream, Operation::Join);
            let mut packet = Vec::new();
            write_packet(&mut packet, BodyForm::Plain, Operation::JoinReply, body.as_bytes());
            stream.write_all(&packet).unwrap();
            match after {
                After::Keeps => kept.push(stream),
                // The client has seen the answer once it sends a heartbeat.
                After::Closes => read_until(&mut stream, Operation::Heartbeat),
            }
        }
    });
    address
}

#[derive(Clone, Copy)]
enum After {
    Keeps,
    Closes,
}

fn read_until(stream: &mut TcpStream, wanted: Operation) {
    let mut decoder = Decoder::new(Limits::default());
    let mut bytes = [0; 1024];
    loop {
        match decoder.next() {
            Some(Ok(packet)) if packet.operation == wanted => return,
            Some(_) => continue,
            None => {}
        }
        match stream.read(&mut bytes) {
            Ok(count) if count > 0 => decoder.push(&bytes[..count]),
            Ok(_) | Err(_) => return,
        }
    }
}

/// A worker with room 7.
fn stage(address: SocketAddr) -> Stage {
    let text = format!("[[feed]]\nkind = \"rooms\"\nurl = \"tcp://{address}\"\nrooms = [\"7\"]\n");
    let config = Config::parse(&text, "a test").unwrap();
    let plan = rooms::Plan::new(&config, &config.feed[0]).unwrap();
    let wish = Wish { list_topic: "", ..Wish::default() };
    let mut stage = Stage::following(&wish, |_, _| Plan::Rooms(Box::new(plan)));
    stage.connect_recorder();
    stage.assign("7", 1, &["7"]);
    stage
}

fn lost_connections(stage: &Stage) -> usize {
    let down = |message: &&FromWorker| {
        matches!(message, FromWorker::Connection { state: ConnectionState::Down, .. })
    };
    stage.heard.iter().filter(down).count()
}

fn gaps(stage: &Stage) -> usize {
    let lost = |body: &MatchBody<'_>| matches!(body, MatchBody::End { why: EndReason::ConnectionLost, .. });
    stage.matches().filter(|(_, body)| lost(body)).count()
}

#[test]
fn a_room_that_is_lost_begins_a_gap_that_its_next_join_ends() {
    let address = serve(|number| (LOAD, if number == 0 { After::Closes } else { After::Keeps }));
    let mut stage = stage(address);
    stage.until("the first join", |stage| (stage.bases() == 1).then_some(()));
    stage.until("the gap", |stage| (gaps(stage) == 1).then_some(()));
    stage.until("the second join", |stage| (stage.bases() == 2).then_some(()));
    stage.until_state("7", MatchState::Live);
    let told = |stage: &Stage| {
        let kinds = stage.matches().filter_map(|(_, body)| match body {
            MatchBody::Base(_) => Some("base"),
            MatchBody::End { .. } => Some("end"),
            _ => None,
        });
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(told(&stage), ["base", "end", "base"]);
    assert_eq!(lost_connections(&stage), 0, "the worker has no single connection to lose");
}

#[test]
fn a_room_that_is_refused_again_and_again_is_reported_as_that_and_no_more() {
    let address = serve(|_| ("{\"code\":-101}", After::Keeps));
    let mut stage = stage(address);
    stage.until_state("7", MatchState::Refused);
    assert_eq!((gaps(&stage), stage.bases(), lost_connections(&stage)), (0, 0, 0));
    let report = stage.report(1);
    assert_eq!((report.matches, report.live, report.stale, report.unanswered), (1, 0, 0, 0));
}
