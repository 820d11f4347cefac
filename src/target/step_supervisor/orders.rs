//! What a controller says to its supervisor, and what that answers.
//!
//! They speak through a socket that keeps the bounds of messages. The description of a step goes as
//! a descriptor of a file in memory: it may be large, it may hold secrets, and a controller must not
//! wait for a supervisor that is slow to read.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Longest message: a tag and a path.
const LONGEST: usize = 1 + 4096;

const START: u8 = b'S';
const END: u8 = b'E';
const END_NOW: u8 = b'N';

/// What a supervisor is to do.
pub(crate) enum Order {
    /// Run a step: its directory, and the file with its description.
    Start(PathBuf, File),
    /// End the step in flight, with its grace.
    End,
    /// Kill the step in flight.
    EndNow,
}

/// A supervisor's answer when a step is over, or was not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// As the exit status of a supervisor: 0 when `exit` is there.
    pub status: u8,
    /// Will it take on another step?
    pub ready: bool,
}

/// The two ends of a link.
pub(crate) fn link() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends an order. It never waits.
///
/// # Errors
/// `BrokenPipe` when there is no supervisor any more; the order was not heard then.
pub(crate) fn send(link: impl AsFd, order: &Order) -> io::Result<()> {
    let send = |bytes: &[IoSlice<'_>], file: Option<&File>| {
        let fds = file.map(|file| [file.as_fd()]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if let Some(fds) = &fds {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::sendmsg(&link, bytes, &mut ancillary, flags)
    };
    match order {
        Order::Start(dir, spec) => {
            let dir = dir.as_os_str().as_bytes();
            if dir.len() >= LONGEST {
                return Err(io::Error::other("the path of its directory is too long"));
            }
            send(&[IoSlice::new(&[START]), IoSlice::new(dir)], Some(spec))
        }
        Order::End => send(&[IoSlice::new(&[END])], None),
        Order::EndNow => send(&[IoSlice::new(&[END_NOW])], None),
    }?;
    Ok(())
}

/// Does this failure to send mean that there is nobody at the other end? A peer that died with
/// something unread resets the link first.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// Takes the next order; `None` when the controller is gone.
///
/// # Errors
/// `WouldBlock` when there is none now; anything else for one that cannot be understood.
pub(crate) fn receive(link: impl AsFd) -> io::Result<Option<Order>> {
    let mut bytes = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = rustix::net::recvmsg(
        link,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        flags,
    )?;
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next().map(File::from),
        _ => None,
    });
    match (bytes[..got.bytes].split_first(), file) {
        (None, _) => Ok(None),
        (Some((&START, dir)), Some(spec)) => {
            let dir = Path::new(OsStr::from_bytes(dir)).to_owned();
            Ok(Some(Order::Start(dir, spec)))
        }
        (Some((&END, [])), None) => Ok(Some(Order::End)),
        (Some((&END_NOW, [])), None) => Ok(Some(Order::EndNow)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Answers. A controller that is gone is not an error: it learns of the step from its directory.
pub(crate) fn answer(link: impl AsFd, answer: Answer) {
    let bytes = [answer.status, u8::from(answer.ready)];
    let _ = rustix::net::send(link, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

/// Takes an answer; `None` when the supervisor is gone.
///
/// # Errors
/// `WouldBlock` when there is none now.
pub(crate) fn hear(link: impl AsFd) -> io::Result<Option<Answer>> {
    let mut bytes = [0; 2];
    match rustix::net::recv(link, &mut bytes, RecvFlags::DONTWAIT) {
        Ok((2, _)) => Ok(Some(Answer {
            status: bytes[0],
            ready: bytes[1] == 1,
        })),
        // A supervisor that died with an order unread resets the link.
        Ok(_) | Err(rustix::io::Errno::CONNRESET) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::target::step_supervisor::child::memory_file;

    #[test]
    fn orders_and_answers_arrive_one_by_one() {
        let (ours, theirs) = link().unwrap();
        let blocked = |e: io::Error| e.kind() == io::ErrorKind::WouldBlock;
        assert!(receive(&theirs).err().is_some_and(blocked));
        let spec = memory_file("t", b"spec").unwrap();
        send(&ours, &Order::Start("/a b/ä".into(), spec)).unwrap();
        send(&ours, &Order::End).unwrap();
        send(&ours, &Order::EndNow).unwrap();
        let Ok(Some(Order::Start(dir, mut spec))) = receive(&theirs) else {
            panic!("no order")
        };
        let mut text = String::new();
        spec.read_to_string(&mut text).unwrap();
        assert_eq!((dir.to_str(), text.as_str()), (Some("/a b/ä"), "spec"));
        assert!(matches!(receive(&theirs), Ok(Some(Order::End))));
        assert!(matches!(receive(&theirs), Ok(Some(Order::EndNow))));
        assert!(hear(&ours).err().is_some_and(blocked));
        let said = Answer {
            status: 73,
            ready: true,
        };
        answer(&theirs, said);
        assert_eq!(hear(&ours).unwrap(), Some(said));
        drop(theirs);
        assert_eq!(hear(&ours).unwrap(), None);
        let broken = send(&ours, &Order::End).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_no_order_is_refused_and_a_silent_controller_is_gone() {
        let (ours, theirs) = link().unwrap();
        rustix::net::send(&ours, b"S/no/spec", SendFlags::empty()).unwrap();
        rustix::net::send(&ours, b"what", SendFlags::empty()).unwrap();
        for _ in 0..2 {
            let error = receive(&theirs).err().expect("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let long = PathBuf::from("x".repeat(LONGEST));
        let spec = memory_file("t", b"").unwrap();
        assert!(send(&ours, &Order::Start(long, spec)).is_err());
        drop(ours);
        assert!(matches!(receive(&theirs), Ok(None)));
    }
}
