use super::*;
use std::io::Read;

fn get(api: &Api, path: &str, more: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0; 1];
    while !answer.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "a whole head");
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head + &String::from_utf8(body).unwrap())
}

#[test]
fn it_serves_lists_bodies_and_tags() {
    let api = Api::start(&ApiOptions { documents: 2, rate: 0.0, ..ApiOptions::default() }).unwrap();
    let (status, list) = get(&api, "/matches?page=1&page_size=10", "");
    assert_eq!(status, 200);
    assert!(list.contains("\"totalPages\":5"), "{list}");
    let id = api.listed().remove(0);
    let (_, body) = get(&api, &format!("/matches/{id}"), "");
    assert!(body.contains("\"currentMatchMinute\":0"), "{body}");
    let tag = body.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim().to_owned();
    let (status, _) = get(&api, &format!("/matches/{id}"), &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(status, 304);
    assert_eq!(api.asked()[&format!("/matches/{id}")].unchanged, 1);
    assert_eq!(get(&api, "/catalogue/1", "").0, 200);
    assert_eq!(get(&api, "/catalogue/2", "").0, 404);
}

#[test]
fn it_fails_as_told() {
    let api = Api::start(&ApiOptions::default()).unwrap();
    api.behave("/matches/", Behaviour::TooMany(Duration::from_secs(7)));
    let id = api.listed().remove(0);
    let (status, head) = get(&api, &format!("/matches/{id}"), "");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 7\r\n"), "{head}");
    assert_eq!(get(&api, "/matches", "").0, 200, "only where it was told to");
}
