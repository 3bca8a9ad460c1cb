//! Rooms whose servers send what they should not: each costs its own connection, while another room of the same worker goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;
use touchline_e2e::{ANSWER, rooms::JOINED};
use touchline_harness::fixture::{Config, Fixture, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_worker::wire::rooms::{BodyForm, Decoder, Limits, Operation, write_packet};

/// The room that is as it should be.
const GOOD: u64 = 1;
/// Between two things that a slow server sends.
const PACE: Duration = Duration::from_millis(20);

/// What a room sends after its join was accepted: one after the other from room 100 on.
static TABLE: LazyLock<[(&str, Vec<u8>); 14]> = LazyLock::new(|| {
    [
        ("a packet shorter than its head", head(15, 16, 0, 5, b"{}")),
        ("a packet of no length", head(0, 16, 0, 5, b"{}")),
        ("a packet of 4 GB", head(u32::MAX, 16, 0, 5, b"{}")),
        ("every field at its most", [0xff; 64].to_vec()),
        ("a head of no length", head(18, 0, 0, 5, b"{}")),
        ("a head longer than its packet", head(18, 60_000, 0, 5, b"{}")),
        ("a body in no known form", head(18, 16, 9, 5, b"{}")),
        ("an operation that nobody knows", head(18, 16, 0, 4_000_000_000, b"{}")),
        ("a bomb", packed(BodyForm::Zlib, &zlib(&vec![b' '; 64_000_000]))),
        ("a bomb in a bomb", nested(&zlib(&vec![b' '; 50_000_000]), 2)),
        ("nesting without end", nested(b"{}", 200)),
        ("garbage in brotli", packed(BodyForm::Brotli, &[0x5b; 5_000])),
        ("JSON nested a million deep", plain("[".repeat(1_000_000).as_bytes())),
        ("text that is none", [plain(&[0xc3; 100]), plain(b"nonsense"), plain(b"{\"cmd\":7}")].concat()),
    ]
});
/// As many of them leave no way to find the next packet.
const FATAL: usize = 4;
/// Rooms that are slow, or say nothing.
const SILENT: u64 = 50;
const TRICKLE: u64 = 51;

/// A packet with a head of these fields.
fn head(length: u32, head: u16, version: u16, operation: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = length.to_be_bytes().to_vec();
    packet.extend(head.to_be_bytes());
    packet.extend(version.to_be_bytes());
    packet.extend(operation.to_be_bytes());
    packet.extend(1_u32.to_be_bytes());
    packet.extend(body);
    packet
}

/// A packet with a body that is compressed already.
fn packed(form: BodyForm, body: &[u8]) -> Vec<u8> {
    head(16 + body.len() as u32, 16, form.to_wire(), 5, body)
}

fn plain(body: &[u8]) -> Vec<u8> {
    head(16 + body.len() as u32, 16, 0, 5, body)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A packet in a packet in a packet.
fn nested(innermost: &[u8], depth: usize) -> Vec<u8> {
    (0..depth).fold(packed(BodyForm::Zlib, innermost), |inner, _| packed(BodyForm::Zlib, &zlib(&inner)))
}

/// How often each room was joined.
type Joins = Arc<Mutex<HashMap<u64, u64>>>;

/// A server that ends with the test's process.
fn hostile(joins: Joins) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, joins) = (stream.unwrap(), Arc::clone(&joins));
            thread::spawn(move || serve(stream, &joins));
        }
    });
    address
}

fn serve(mut stream: TcpStream, joins: &Joins) -> Option<()> {
    stream.set_read_timeout(Some(PACE)).ok()?;
    let room = joined(&mut stream)?;
    *joins.lock().unwrap().entry(room).or_default() += 1;
    match room {
        SILENT => while pause(&mut stream).is_some() {},
        TRICKLE => {
            let mut reply = Vec::new();
            write_packet(&mut reply, BodyForm::Control, Operation::JoinReply, b"{\"code\":0}");
            for byte in reply {
                // A byte a second: 50 pauses.
                (0..50).try_for_each(|_| pause(&mut stream))?;
                stream.write_all(&[byte]).ok()?;
            }
        }
        GOOD => {
            accept(&mut stream)?;
            for n in 0_u64.. {
                stream.write_all(&plain(comment(n).as_bytes())).ok()?;
                pause(&mut stream)?;
            }
        }
        bad => {
            accept(&mut stream)?;
            let (_, bytes) = TABLE.get(usize::try_from(bad).ok()?.checked_sub(100)?)?;
            stream.write_all(bytes).ok()?;
            while pause(&mut stream).is_some() {}
        }
    }
    Some(())
}

/// Reads what the client says until the join, and gives its room.
fn joined(stream: &mut TcpStream) -> Option<u64> {
    let mut decoder = Decoder::new(Limits { packet: 65_536, inflated: 65_536, ratio: 200, depth: 1 });
    let mut bytes = [0; 4_096];
    loop {
        let count = match stream.read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) if is_late(&error) => continue,
            Err(_) => return None,
        };
        decoder.push(&bytes[..count]);
        if let Some(Ok(packet)) = decoder.next() {
            let join: Value = serde_json::from_slice(packet.body).ok()?;
            return join["roomid"].as_u64();
        }
    }
}

fn accept(stream: &mut TcpStream) -> Option<()> {
    let mut reply = Vec::new();
    write_packet(&mut reply, BodyForm::Control, Operation::JoinReply, b"{\"code\":0}");
    stream.write_all(&reply).ok()
}

/// Waits as long as a read may take; none at the client's end of the connection.
fn pause(stream: &mut TcpStream) -> Option<()> {
    match stream.read(&mut [0; 4_096]) {
        Ok(0) => None,
        Ok(_) => Some(()),
        Err(error) if is_late(&error) => Some(()),
        Err(_) => None,
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn comment(n: u64) -> String {
    let extra = format!("{{\\\"id_str\\\":\\\"{}\\\"}}", n + 1);
    format!(
        r#"{{"cmd":"DANMU_MSG","info":[[0,1,25,1,1700000000000,5,0,"",0,0,0,"",0,"{{}}","{{}}",{{"extra":"{extra}"}}],"line {n}",[7,"somebody",0]]}}"#
    )
}

/// The ids of the lines that are stored of a room, in their order.
fn stored(folder: &Path, room: u64) -> Vec<u64> {
    let Ok(files) = std::fs::read_dir(folder.join("hours")) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "db"));
    files.sort();
    let of_file = |file: &Path| -> rusqlite::Result<Vec<u64>> {
        let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        database.busy_timeout(Duration::from_secs(5))?;
        let mut rows = database.prepare("SELECT id FROM comments WHERE match = ?1 ORDER BY seq")?;
        let ids = rows.query_map([room.to_string()], |row| row.get::<_, String>(0))?;
        ids.map(|id| id.map(|id| id.parse().unwrap())).collect()
    };
    files.iter().flat_map(|file| of_file(file).unwrap_or_default()).collect()
}

#[test]
fn a_room_with_bad_input_costs_its_own_connection_and_another_room_goes_on() {
    let _reaper = Reaper::new();
    let joins = Joins::default();
    let address = hostile(Arc::clone(&joins));
    let bad: Vec<u64> = (100..).take(TABLE.len()).chain([SILENT, TRICKLE]).collect();
    let rooms: Vec<String> = bad.iter().chain([&GOOD]).map(|room| format!("\"{room}\"")).collect();
    let folder = tempfile::tempdir().unwrap();
    let feed = format!("kind = \"rooms\"\nconnects_per_s = 100.0\nrooms = [{}]\n", rooms.join(", "));
    Config { url: format!("tcp://{address}"), feed, ..Config::default() }.write(folder.path());
    let site = Fixture::start(folder, run_command(process::program()), ANSWER);

    wait::until("a join of every room", JOINED, || {
        let joins = joins.lock().unwrap();
        bad.iter().chain([&GOOD]).all(|room| joins.contains_key(room)).then_some(())
    });
    // What must end the connection does: the room is joined again. Without a join's answer that takes 5 s.
    let ends = |room: &u64| {
        let joins = joins.lock().unwrap();
        joins.get(room).is_some_and(|count| *count >= 2)
    };
    let fatal = (100..).zip(TABLE.iter().take(FATAL)).map(|(room, (what, _))| (*what, room));
    for (what, room) in fatal.chain([("silence", SILENT), ("a byte a second", TRICKLE)]) {
        wait::until(&format!("another join after {what}"), JOINED, || ends(&room).then_some(()));
    }
    let before = stored(site.path(), GOOD).len();
    wait::until("lines of the good room", JOINED, || {
        (stored(site.path(), GOOD).len() >= before + 100).then_some(())
    });
    let ids = stored(site.path(), GOOD);
    let first = ids[0];
    assert!(ids.iter().copied().eq(first..first + ids.len() as u64), "each line once and in order: {ids:?}");
    assert_eq!(joins.lock().unwrap()[&GOOD], 1, "its connection stood");
    assert_eq!(site.count("/workers/restarts"), 0, "no worker dies of it: {}", site.daemon.log());
    let good = GOOD.to_string();
    let of_good = |gap: &&Value| gap["match"] == good;
    let gaps = site.gaps();
    assert_eq!(gaps.iter().filter(of_good).count(), 0, "{gaps:#?}");
    let (_, worker) = site.workers().unwrap()[0];
    let peak = process::status_field(worker, "VmHWM:").unwrap();
    let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes < 200_000, "the worker took {peak}");
}
