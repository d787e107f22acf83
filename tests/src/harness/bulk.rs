//! Bodies that nobody keeps: made in parts, summed up, and watched for the memory that they take.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use aws_lc_rs::digest::{Context, SHA256};

use super::{Backend, Conn, Gateway, OK};

/// In bytes.
pub const MIB: u64 = 1024 * 1024;

/// Hands `size` bytes, in whole MiB, to `take` in parts, and returns their SHA-256.
pub fn summed(size: u64, mut take: impl FnMut(&[u8])) -> Vec<u8> {
    let part = pattern();
    let mut sum = Context::new(&SHA256);
    for _ in 0..size / MIB {
        take(&part);
        sum.update(&part);
    }
    sum.finish().as_ref().to_vec()
}

/// One MiB that does not repeat itself.
pub fn pattern() -> Vec<u8> {
    let mut state = 1_u32;
    (0..MIB)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// Does something that bodies of any size go through: the gateway takes no more than 16 MiB for it.
#[track_caller]
pub fn in_bounded_memory(gateway: &Gateway, work: impl FnOnce()) {
    let before = gateway.reset_peak_memory();
    work();
    let grown = gateway.peak_memory().saturating_sub(before);
    println!("{grown} bytes more resident at the peak");
    assert!(grown < 16 * MIB, "{grown} bytes");
}

/// A back-end that sums up what is sent to `/upload`, and says the SHA-256 on the channel.
pub fn sink() -> (Backend, Receiver<Vec<u8>>) {
    let (sender, sums) = channel();
    let sender = Mutex::new(sender);
    let backend = Backend::scripted(move |conn| swallow(conn, &sender));
    (backend, sums)
}

/// What [`sink`] does with a connection.
pub fn swallow(conn: &mut Conn, sums: &Mutex<Sender<Vec<u8>>>) {
    while let Some(head) = conn.head() {
        if head.target == "/upload" {
            let mut sum = Context::new(&SHA256);
            let mut left = head
                .field("content-length")
                .map(|length| length.parse::<usize>().unwrap());
            loop {
                let part = match &mut left {
                    Some(left) => {
                        let take = (*left).min(65536);
                        *left -= take;
                        conn.exactly(take)
                    }
                    None => conn.chunk(),
                };
                let part = part.expect("the upload comes whole");
                if part.is_empty() {
                    break;
                }
                sum.update(&part);
            }
            let sum = sum.finish().as_ref().to_vec();
            sums.lock().unwrap().send(sum).unwrap();
        } else {
            conn.body_of(&head).expect("the whole of it");
        }
        conn.send(OK);
    }
}
