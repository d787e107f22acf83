//! The instructions of each stage of a request's way. `cargo xtask bench instructions` runs it.
//!
//! callgrind counts from the beginning of these functions to their end. What they are given was
//! made before, and lives on behind them; so nothing but the stage is counted.

#![expect(missing_docs, reason = "gungraun makes modules and functions public")]

use std::process::exit;

use bytes::{Bytes, BytesMut};
use gateway_instructions::{Visit, Way};
use gungraun::{library_benchmark, library_benchmark_group, main};
use policy::Forward;
use wire::h1::{Answer, Request};

#[library_benchmark(teardown = kept)]
#[bench::kib_1(arrived(1 << 10))]
#[bench::kib_16(arrived(1 << 14))]
fn record_in(way: &'static mut Way) -> Option<BytesMut> {
    way.record_in()
}

#[library_benchmark(teardown = kept)]
#[bench::signed_deploy(opened(Visit::SignedDeploy))]
#[bench::user(opened(Visit::User))]
fn parse_request(at: Opened) -> Option<Request> {
    let Opened { way, data } = at;
    way.parse(data)
}

#[library_benchmark(teardown = kept)]
#[bench::signed_deploy(parsed(Visit::SignedDeploy))]
#[bench::user(parsed(Visit::User))]
fn decide(at: Parsed) -> Option<Forward> {
    let Parsed { way, request } = at;
    way.decide(request)
}

#[library_benchmark]
#[bench::signed_deploy(decided(Visit::SignedDeploy))]
#[bench::user(decided(Visit::User))]
fn emit_request(at: Decided) -> Bytes {
    let Decided {
        way,
        request,
        forward,
    } = at;
    way.emit_request(request, forward)
}

#[library_benchmark(teardown = kept)]
#[bench::user(decided(Visit::User))]
fn parse_answer(at: Decided) -> Option<Answer> {
    let Decided { way, request, .. } = at;
    way.parse_answer(request)
}

#[library_benchmark]
#[bench::user(answered(Visit::User))]
fn emit_answer(at: Answered) -> Bytes {
    let Answered {
        way,
        forward,
        answer,
    } = at;
    way.emit_answer(forward, answer)
}

#[library_benchmark(teardown = kept)]
#[bench::kib_1(payload(1 << 10))]
#[bench::kib_16(payload(1 << 14))]
fn record_out(at: Payload) -> Option<&'static [u8]> {
    let Payload { way, payload } = at;
    way.record_out(payload)
}

#[library_benchmark(teardown = kept)]
#[bench::user(visited(Visit::User))]
fn whole_request(way: &'static mut Way) -> Option<&'static [u8]> {
    way.whole()
}

library_benchmark_group!(
    name = stages,
    benchmarks = [
        record_in,
        parse_request,
        decide,
        emit_request,
        parse_answer,
        emit_answer,
        record_out,
        whole_request,
    ]
);

main!(library_benchmark_groups = stages);

struct Opened {
    way: &'static mut Way,
    data: &'static mut BytesMut,
}

struct Parsed {
    way: &'static mut Way,
    request: &'static Request,
}

struct Decided {
    way: &'static mut Way,
    request: &'static Request,
    forward: &'static Forward,
}

struct Answered {
    way: &'static mut Way,
    forward: &'static Forward,
    answer: &'static Answer,
}

struct Payload {
    way: &'static mut Way,
    payload: &'static mut &'static [u8],
}

fn arrived(length: usize) -> &'static mut Way {
    kept(Way::trodden().and_then(|way| way.upload(length)))
}

fn visited(visit: Visit) -> &'static mut Way {
    kept(Way::trodden().and_then(|way| way.visit(visit)))
}

fn opened(visit: Visit) -> Opened {
    let way = visited(visit);
    let data = kept(way.record_in());
    Opened { way, data }
}

fn parsed(visit: Visit) -> Parsed {
    let Opened { way, data } = opened(visit);
    let request = kept(way.parse(data));
    Parsed { way, request }
}

fn decided(visit: Visit) -> Decided {
    let Parsed { way, request } = parsed(visit);
    let forward = kept(way.decide(request));
    Decided {
        way,
        request,
        forward,
    }
}

fn answered(visit: Visit) -> Answered {
    let Decided {
        way,
        request,
        forward,
    } = decided(visit);
    let answer = kept(way.parse_answer(request));
    Answered {
        way,
        forward,
        answer,
    }
}

fn payload(length: usize) -> Payload {
    let payload: &'static [u8] = kept(Some(vec![b'x'; length]));
    Payload {
        way: kept(Way::trodden()),
        payload: kept(Some(payload)),
    }
}

/// Lives to the process's end, so that no stage is charged with what frees it. None means that a
/// stage gave up, which would look cheap.
fn kept<T>(made: Option<T>) -> &'static mut T {
    match made {
        Some(made) => Box::leak(Box::new(made)),
        None => {
            eprintln!("a stage did not go on");
            exit(1)
        }
    }
}
