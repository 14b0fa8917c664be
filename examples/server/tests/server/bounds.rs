//! Uploads that are too large, too slow or never end; clients that go away; too many at once; and the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Answer, Running, photograph, send, wait};

const TILE: Duration = Duration::from_millis(150);

#[test]
fn an_upload_that_is_too_large_is_refused_announced_or_not() {
    let server = Running::new("--upload-mib 1", Duration::ZERO);
    // Announced: before a byte of it is read.
    let mut stream = server.connect();
    send(&mut stream, "POST /segment\nContent-Length: 1048577", b"");
    Answer::read(&mut stream).expect(413, "too_large", "1048576 bytes");
    // Endless: the client sends until it is cut off.
    let mut stream = server.connect();
    send(
        &mut stream,
        "POST /segment\nTransfer-Encoding: chunked",
        b"",
    );
    let mut reader = stream.try_clone().unwrap();
    let answer = std::thread::spawn(move || Answer::read(&mut reader));
    let chunk = [b"10000\r\n".as_slice(), &[7; 0x10000], b"\r\n"].concat();
    let sent = (0..10_000)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    assert!(sent < 10_000, "all of 655 MB were taken");
    answer
        .join()
        .unwrap()
        .expect(413, "too_large", "1048576 bytes");
    assert_eq!(server.health(), (0, 0));
    assert!(server.end());
}

#[test]
fn an_upload_that_never_ends_is_given_up() {
    let server = Running::new("--upload-time 0.4", Duration::ZERO);
    let begun = Instant::now();
    let mut stream = server.connect();
    send(
        &mut stream,
        "POST /segment\nContent-Length: 1000",
        b"the beginning",
    );
    Answer::read(&mut stream).expect(408, "slow", "0.4 seconds");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    // One byte now and then is no progress.
    let mut stream = server.connect();
    send(&mut stream, "POST /segment\nContent-Length: 100000", b"");
    let mut reader = stream.try_clone().unwrap();
    let answer = std::thread::spawn(move || Answer::read(&mut reader));
    let limit = Instant::now() + Duration::from_secs(30);
    while stream.write_all(b"x").is_ok() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Instant::now() < limit);
    answer.join().unwrap().expect(408, "slow", "0.4 seconds");
    assert!(server.end());
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let server = Running::new("--head-time 0.3", Duration::ZERO);
    let mut stream = server.connect();
    stream
        .write_all(b"POST /segment HTTP/1.1\r\nHost: t")
        .unwrap();
    let mut rest = Vec::new();
    // Closed, and at once: the reader's own time is a minute.
    let begun = Instant::now();
    let _ = stream.read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(server.end());
}

#[test]
fn more_than_may_wait_are_refused_at_once() {
    let server = Running::new("--workers 1 --waiting 1", Duration::ZERO);
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = server.connect();
            send(&mut stream, "POST /segment\nContent-Length: 1000", b"");
            stream
        })
        .collect();
    wait(|| server.health().1 == 2);
    let (_, png) = photograph(40, 30);
    let answer = server.ask("POST /segment", &png);
    answer.expect(503, "busy", "try again");
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    // They go away, and their places are free.
    drop(held);
    wait(|| server.health() == (0, 0));
    assert_eq!(server.ask("POST /segment", &png).status, 200);
    assert!(server.end());
}

#[test]
fn who_goes_away_is_not_worked_for() {
    let server = Running::new("--workers 1", TILE);
    // Six tiles.
    let (_, png) = photograph(1500, 1100);
    let mut stream = server.connect();
    send(&mut stream, "POST /segment", &png);
    wait(|| server.calls() > 0);
    assert_eq!(server.health().0, 1);
    drop(stream);
    wait(|| server.health() == (0, 0));
    assert!(server.calls() < 6, "{} tiles were seen", server.calls());
    assert!(server.end());
}

#[test]
fn all_that_is_asked_at_once_is_answered_in_its_turn() {
    let server = Running::new("--workers 2 --waiting 6", Duration::from_millis(20));
    let (_, png) = photograph(60, 40);
    let statuses = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| server.ask("POST /segment", &png).status))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(statuses, [200; 8]);
    assert!(server.end());
}

#[test]
fn stopped_it_answers_what_it_has_begun_and_nothing_else() {
    let mut server = Running::new("--workers 1 --grace 300", TILE);
    let (_, png) = photograph(1500, 1100);
    let mut begun = server.connect();
    send(&mut begun, "POST /segment\nAccept: application/json", &png);
    wait(|| server.calls() > 0);
    server.stop();
    wait(|| TcpStream::connect(server.address).is_err());
    assert_eq!(Answer::read(&mut begun).status, 200);
    assert!(server.end());
}

#[test]
fn stopped_it_does_not_wait_longer_than_it_may() {
    let mut server = Running::new("--workers 1 --grace 0.2", TILE);
    let (_, png) = photograph(1500, 1100);
    let mut begun = server.connect();
    send(&mut begun, "POST /segment", &png);
    wait(|| server.calls() > 0);
    server.stop();
    let calls = server.calls.clone();
    assert!(!server.end());
    assert!(calls.load(std::sync::atomic::Ordering::SeqCst) < 6);
    let mut rest = Vec::new();
    let _ = begun.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
