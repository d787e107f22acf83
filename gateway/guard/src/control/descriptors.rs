//! Sockets on their way from process to process (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sends descriptors, as many with one byte as the kernel takes.
pub(super) fn send(to: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for part in descriptors.chunks(MOST) {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(part));
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&to, &[IoSlice::new(b"s")], &mut ancillary, flags)?;
    }
    Ok(())
}

/// Receives one byte and what comes with it, behind what came before. False if there is nothing to
/// come any more.
pub(super) fn receive(from: impl AsFd, into: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(
        from,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        flags,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            into.extend(descriptors);
        }
    }
    Ok(received.bytes > 0)
}

/// How many messages so many descriptors are.
pub(super) fn messages(descriptors: usize) -> usize {
    descriptors.div_ceil(MOST)
}

/// The kernel's `SCM_MAX_FD`.
const MOST: usize = 253;
const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST));
