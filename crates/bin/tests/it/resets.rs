//! DOS-03: clients of HTTP/2 that ask and take it back, as fast as they can write.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::limits::{is_served, started};
use crate::program::Program;

/// Streams that are opened and reset in each test.
const RESETS: u32 = 20_000;
/// How much memory a flood may cost.
const MEMORY: u64 = 48 << 20;

/// The frames of RFC 9113 section 6 that are spoken here.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// A request for `/healthz`, its headers as literals (RFC 7541 section 6.2.2).
fn ask(program: &Program, stream: u32) -> Vec<u8> {
    let host = program.address().as_bytes();
    let length = u8::try_from(host.len()).expect("a short name");
    let path = b"/healthz";
    let block = [&[0x82, 0x86, 0x04, 8][..], path, &[0x01, length], host].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

fn take_back(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A connection that speaks HTTP/2 from its first byte.
async fn connection(program: &Program) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = TcpStream::connect(program.address()).await;
    let (read, mut write) = stream.expect("a connection").into_split();
    let opening = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frame(SETTINGS, 0, 0, &[]),
        &frame(SETTINGS, ACK, 0, &[]),
    ];
    write.write_all(&opening.concat()).await.expect("sent");
    (read, write)
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

/// The next frame; `None` when the server has closed.
async fn next(read: &mut OwnedReadHalf) -> Option<Frame> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    read.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        payload,
    })
}

/// Reads until the server closes; the error code of its farewell.
async fn farewell(mut read: OwnedReadHalf) -> Option<u32> {
    let mut code = None;
    while let Some(frame) = next(&mut read).await {
        if frame.kind == GOAWAY {
            let bytes = frame.payload.get(4..8).expect("an error code");
            code = Some(u32::from_be_bytes(bytes.try_into().expect("four bytes")));
        }
    }
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dos_03_flood_of_resets_is_sent_away_and_costs_nobody_else() {
    let (program, _folder) = started();
    is_served(&program).await;
    let before = program.memory();
    let (mut sent, mut calmed) = (0, 0);
    while sent < RESETS {
        let (read, mut write) = connection(&program).await;
        let farewell = tokio::spawn(farewell(read));
        let flood: Vec<u8> = (0..1_000)
            .flat_map(|number| [ask(&program, 2 * number + 1), take_back(2 * number + 1)])
            .flatten()
            .collect();
        // The server may close before it is all written; that is the point.
        let _cut_off = write.write_all(&flood).await;
        sent += 1_000;
        is_served(&program).await;
        let code = tokio::time::timeout(Duration::from_secs(10), farewell).await;
        let code = code.expect("the server ends it").expect("a task");
        assert!(
            code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
            "{code:?}"
        );
        calmed += usize::from(code == Some(ENHANCE_YOUR_CALM));
    }
    assert!(calmed > 0, "nobody was told to be calm");
    let grown = program.memory().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more");
    finished_streams_are_answered(&program).await;
}

/// The patient way: never more resets at once than the budget allows, and a sign of life after each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dos_03_steady_resets_cost_no_memory_and_nobody_else() {
    let (program, _folder) = started();
    is_served(&program).await;
    let before = program.memory();
    let started = Instant::now();
    let mut tried = 0;
    while tried < RESETS && started.elapsed() < Duration::from_secs(20) {
        // Whoever is sent away comes again.
        tried += resets_until_sent_away(&program, RESETS - tried).await;
        is_served(&program).await;
    }
    assert!(tried > 1_000, "{tried} resets were tried");
    let grown = program.memory().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more after {tried} resets");
    finished_streams_are_answered(&program).await;
}

/// A few resets and a sign of life, again and again on one connection; how many there were.
async fn resets_until_sent_away(program: &Program, most: u32) -> u32 {
    let (mut read, mut write) = connection(program).await;
    let mut number = 0;
    while number < most {
        let mut some = Vec::new();
        for _ in 0..20 {
            some.extend([ask(program, 2 * number + 1), take_back(2 * number + 1)].concat());
            number += 1;
        }
        some.extend(frame(PING, 0, 0, &[7; 8]));
        if write.write_all(&some).await.is_err() {
            break;
        }
        let mut sign = next(&mut read).await;
        while sign.as_ref().is_some_and(|frame| frame.kind != PING) {
            sign = next(&mut read).await;
        }
        if sign.is_none() {
            break;
        }
    }
    number
}

/// The legitimate twin: as many streams on one connection as anybody likes, each heard to its end.
async fn finished_streams_are_answered(program: &Program) {
    let (mut read, mut write) = connection(program).await;
    for number in 0..500 {
        let asked = ask(program, 2 * number + 1);
        write.write_all(&asked).await.expect("sent");
        let mut body = Vec::new();
        loop {
            let frame = next(&mut read).await.expect("an answer");
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if [DATA, HEADERS].contains(&frame.kind) && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(body, b"ok\n", "stream {number}");
    }
}
