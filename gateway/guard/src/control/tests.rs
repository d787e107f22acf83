use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::*;
use crate::scratch::Scratch;
use crate::status::tests::status;

const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn questions_reach_the_service_and_answers_come_back() {
    let service = Service::start(Right::All);
    assert_eq!(ask_status(&service.socket, LIMIT).unwrap(), status());
    let set = Ask::Set { mode: Mode::Detach };
    let reply = ask(&service.socket, &set, LIMIT).unwrap();
    assert_eq!(reply, Reply::Error("cannot detach today".into()));
    assert_eq!(service.asked(), [Ask::Status, set]);
}

#[test]
fn the_protocol_is_an_api() {
    for (line, ask) in [
        (r#"{"ask":"clear"}"#, Ask::Clear),
        (
            r#"{"ask":"explain","what":"127.0.0.1:3939"}"#,
            Ask::Explain {
                what: "127.0.0.1:3939".into(),
            },
        ),
        (
            concat!(
                r#"{"ask":"join","generation":3,"fixed":true,"keys":{"conceal":[1,2],"#,
                r#""prove":[3,18446744073709551615]},"addresses":2,"workers":4}"#
            ),
            Ask::Join(Join {
                generation: 3,
                fixed: true,
                keys: IdKeys {
                    conceal: [1, 2],
                    prove: [3, u64::MAX],
                },
                addresses: 2,
                workers: 4,
            }),
        ),
        (
            r#"{"ask":"set","mode":"detach"}"#,
            Ask::Set { mode: Mode::Detach },
        ),
        (r#"{"ask":"status"}"#, Ask::Status),
    ] {
        assert_eq!(serde_json::to_string(&ask).unwrap(), line);
        assert_eq!(serde_json::from_str::<Ask>(line).unwrap(), ask);
    }
    let error = serde_json::to_string(&Reply::Error("no".into())).unwrap();
    assert_eq!(error, r#"{"error":"no"}"#);
    let done = Reply::Ok(Answer::Status(Box::new(status())));
    let text = serde_json::to_string(&done).unwrap();
    assert!(text.starts_with(r#"{"ok":{"version":"#), "{text}");
    assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), done);
}

#[test]
fn a_peer_with_the_right_to_status_gets_nothing_else() {
    let service = Service::start(Right::Gateway);
    ask_status(&service.socket, LIMIT).unwrap();
    let what = || "1".into();
    for forbidden in [
        Ask::Clear,
        Ask::Explain { what: what() },
        Ask::Set { mode: Mode::Detach },
    ] {
        let reply = ask(&service.socket, &forbidden, LIMIT).unwrap();
        assert_eq!(reply, Reply::Error("only root may ask that".into()));
    }
    assert_eq!(service.asked(), [Ask::Status]);
}

#[test]
fn the_gateway_may_hand_over_its_sockets_and_all_of_them_arrive() {
    let service = Service::start(Right::Gateway);
    // Fewer than one message holds, as many, and more.
    for count in [1, 253, 254, 512] {
        let sockets: Vec<_> = (0..count)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let joined = ask_join(&service.socket, &join(count), &borrowed(&sockets), LIMIT).unwrap();
        assert_eq!(joined, sum_of(&sockets), "{count}");
    }
    assert_eq!(service.asked().len(), 4);
}

#[test]
fn more_sockets_than_may_be_are_not_waited_for() {
    let service = Service::start(Right::Gateway);
    let sockets = [UdpSocket::bind("127.0.0.1:0").unwrap()];
    let refused = ask_join(&service.socket, &join(513), &borrowed(&sockets), LIMIT).unwrap_err();
    assert!(
        matches!(&refused, AskError::Refused(why) if why == "expected at most 512 sockets"),
        "{refused}"
    );
    // Fewer than were announced are counted by the service.
    let joined = ask_join(&service.socket, &join(2), &borrowed(&sockets), LIMIT).unwrap();
    assert_eq!(joined, sum_of(&sockets));
    assert!(service.asked().len() == 1);
}

#[test]
fn keys_are_not_shown() {
    let text = format!("{:?}", Ask::Join(join(1)));
    assert!(text.contains("IdKeys(..)"), "{text}");
}

#[test]
fn a_peer_without_rights_is_told_so() {
    let service = Service::start(Right::Nothing);
    // Again and again: whether it is cut off before or after it has asked is chance.
    for _ in 0..50 {
        let refused = ask_status(&service.socket, LIMIT).unwrap_err();
        assert!(
            matches!(&refused, AskError::Refused(why) if why == "only root and the gateway may ask"),
            "{refused}"
        );
    }
    assert_eq!(service.asked(), []);
}

#[test]
fn what_is_no_question_is_answered_and_changes_nothing() {
    let service = Service::start(Right::All);
    for (line, expected) in [
        ("{}\n", "not understood"),
        ("status\n", "not understood"),
        ("{\"ask\":\"set\",\"mode\":\"off\"}\n", "not understood"),
        (
            "{\"ask\":\"set\",\"mode\":\"audit\",\"x\":1}\n",
            "not understood",
        ),
        ("{\"ask\":\"status\"}", "expected one line"),
        ("", "expected one line"),
        (&"x".repeat(5000), "expected one line"),
    ] {
        let answer = converse(&service.socket, line.as_bytes());
        assert!(answer.starts_with(r#"{"error":""#), "{line}: {answer}");
        assert!(answer.contains(expected), "{line}: {answer}");
    }
    assert_eq!(service.asked(), []);
}

/// Whoever asks nothing takes a place only for a while, and leaves others theirs.
#[test]
fn silent_peers_end_and_too_many_are_turned_away() {
    let service = Service::start(Right::All);
    let started = Instant::now();
    let silent: Vec<_> = (0..8)
        .map(|_| UnixStream::connect(&service.socket).unwrap())
        .collect();
    let turned_away = ask_status(&service.socket, LIMIT).unwrap_err();
    assert!(
        matches!(&turned_away, AskError::Refused(why) if why == "too many ask at once"),
        "{turned_away}"
    );
    for mut stream in silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "it was cut off without an answer");
    }
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    ask_status(&service.socket, LIMIT).unwrap();
}

/// However many of the gateway's slice ask nothing: root is heard.
#[test]
fn places_of_root_are_apart() {
    let service = Service::start_as(|count| {
        if count < 16 {
            Right::Gateway
        } else {
            Right::All
        }
    });
    let silent: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(&service.socket).unwrap())
        .collect();
    ask_status(&service.socket, LIMIT).unwrap();
    drop(silent);
}

#[test]
fn nobody_there_is_told_from_somebody_who_does_not_answer() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("guard.sock");
    let nobody = ask_status(&socket, LIMIT).unwrap_err();
    assert!(matches!(nobody, AskError::Absent { .. }), "{nobody}");

    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let started = Instant::now();
    let silent = ask_status(&socket, Duration::from_millis(200)).unwrap_err();
    let waited = started.elapsed();
    assert!(
        matches!(&silent, AskError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut),
        "{silent}"
    );
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    drop(listener);
    let dead = ask_status(&socket, LIMIT).unwrap_err();
    assert!(matches!(dead, AskError::Absent { .. }), "{dead}");
}

/// A backlog that nobody empties must not hold a client up.
#[test]
fn a_full_backlog_is_bounded() {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
    };
    let scratch = Scratch::new();
    let path = scratch.path().join("guard.sock");
    let flags = SocketFlags::CLOEXEC;
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let started = Instant::now();
    let refused = ask_status(&path, Duration::from_millis(200)).unwrap_err();
    let waited = started.elapsed();
    assert!(
        matches!(&refused, AskError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut),
        "{refused}"
    );
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

/// The last to close a socket waits for its peer if whoever sent it wants that (socket(7), `SO_LINGER`).
/// The gateway, taken over, can make the conversation wait, and must not make the service.
#[test]
fn closing_what_a_peer_sent_does_not_stop_the_service() {
    for question in [
        br#"{"ask":"status"}"#.as_slice(),
        b"no question",
        br#"{"ask":"join","generation":3,"fixed":true,"keys":{"conceal":[1,2],"prove":[3,4]},"addresses":1,"workers":1}"#,
    ] {
        let service = Service::start(Right::Gateway);
        let joins = question.starts_with(br#"{"ask":"join""#);
        let gate = Arc::clone(&service.gate);
        let (held, _silent) = lingering();
        // Nothing is closed on the other side before it is here.
        let mut shut = (!joins).then(|| gate.lock().unwrap());
        let mut peer = UnixStream::connect(&service.socket).unwrap();
        peer.write_all(question).unwrap();
        if joins {
            peer.write_all(b"\n").unwrap();
            let mut send = [0; 7];
            peer.read_exact(&mut send).unwrap();
            assert_eq!(&send, b"\"send\"\n");
            shut = Some(gate.lock().unwrap());
        }
        send_beside(&peer, held.as_fd());
        drop(held);
        drop(shut);
        if joins {
            assert!(service.hears(), "the question itself is answered");
        }
        // The conversation is held up, once it has come to it: else this shows nothing.
        let deadline = Instant::now() + LIMIT;
        while ask_status(&service.socket, Duration::from_millis(500)).is_ok() {
            assert!(Instant::now() < deadline, "nothing is held up");
        }
        let turns = service.turns.load(Ordering::Relaxed);
        while service.turns.load(Ordering::Relaxed) < turns + 10 {
            assert!(Instant::now() < deadline, "the service stands still");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A connection whose close waits for a minute, and its other end, which takes nothing.
fn lingering() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (silent, _) = listener.accept().unwrap();
    held.set_nonblocking(true).unwrap();
    while (&held).write(&[0; 65536]).is_ok() {}
    let minute = Some(Duration::from_secs(60));
    rustix::net::sockopt::set_socket_linger(&held, minute).unwrap();
    (held, silent)
}

/// The end of a line, and what comes with it.
fn send_beside(stream: &UnixStream, descriptor: BorrowedFd<'_>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [std::io::IoSlice::new(b"\n")];
    sendmsg(stream, &bytes, &mut beside, SendFlags::NOSIGNAL).unwrap();
}

/// A server with a service behind it that notes what it is asked.
struct Service {
    socket: PathBuf,
    asked: std::sync::mpsc::Receiver<Ask>,
    /// How often it could have looked after the guard.
    turns: Arc<AtomicUsize>,
    /// While it is locked nobody is given a right, or an answer.
    gate: Arc<Mutex<()>>,
    _stop: tokio::sync::oneshot::Sender<()>,
    _scratch: Scratch,
}

impl Service {
    fn start(given: Right) -> Self {
        Self::start_as(move |_| given)
    }

    /// The rights of each peer follow from how many there were before.
    fn start_as(given: impl Fn(usize) -> Right + Send + 'static) -> Self {
        let scratch = Scratch::new();
        let socket = scratch.path().join("guard.sock");
        let listener = Seat::take(&socket).unwrap().listen().unwrap();
        let (note, asked) = std::sync::mpsc::channel();
        let (sender, mut questions) = mpsc::channel(1);
        let count = AtomicUsize::new(0);
        let gate = Arc::new(Mutex::new(()));
        let [rights, answers] = [(); 2].map(|()| Arc::clone(&gate));
        let stop = start(listener, Asker::new(sender), move |peer| {
            drop(rights.lock().unwrap());
            assert_eq!(peer.uid(), geteuid().as_raw());
            assert_eq!(peer.pid(), Some(std::process::id().cast_signed()));
            given(count.fetch_add(1, Ordering::Relaxed))
        })
        .unwrap();
        let turns = Arc::new(AtomicUsize::new(0));
        let turned = Arc::clone(&turns);
        // The thread ends with the test's process: nothing in it needs an end.
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut look = tokio::time::interval(Duration::from_millis(1));
                loop {
                    let question = tokio::select! {
                        _ = look.tick() => {
                            turned.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        Some(question) = questions.recv() => question,
                    };
                    let Question {
                        ask,
                        sockets,
                        reply,
                    } = question;
                    let answer = match ask {
                        Ask::Status => Reply::Ok(Answer::Status(Box::new(status()))),
                        Ask::Join(_) => Reply::Ok(Answer::Joined(sum_of(&sockets))),
                        _ => Reply::Error("cannot detach today".into()),
                    };
                    // A test that is over does not listen any more.
                    let _ = note.send(ask);
                    drop(answers.lock().unwrap());
                    reply.send((answer, sockets)).unwrap();
                }
            });
        });
        Self {
            socket,
            asked,
            turns,
            gate,
            _stop: stop,
            _scratch: scratch,
        }
    }

    /// Whether a question comes in time.
    fn hears(&self) -> bool {
        self.asked.recv_timeout(LIMIT).is_ok()
    }

    fn asked(&self) -> Vec<Ask> {
        self.asked.try_iter().collect()
    }
}

fn converse(socket: &Path, line: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(line).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = vec![0; 4096];
    // Not to the end: what the server left unread resets the connection.
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

fn join(count: u16) -> Join {
    Join {
        generation: 0,
        fixed: false,
        keys: IdKeys {
            conceal: [1, 2],
            prove: [3, 4],
        },
        addresses: 1,
        workers: count,
    }
}

fn borrowed(sockets: &[UdpSocket]) -> Vec<BorrowedFd<'_>> {
    sockets.iter().map(AsFd::as_fd).collect()
}

/// A number that only those sockets make, in that order.
fn sum_of<T: AsFd>(sockets: &[T]) -> Joined {
    let cookie = |socket: &T| rustix::net::sockopt::socket_cookie(socket).unwrap() as u16;
    let generation = sockets.iter().fold(0u16, |number, socket| {
        number.wrapping_mul(31).wrapping_add(cookie(socket))
    });
    Joined { generation }
}
