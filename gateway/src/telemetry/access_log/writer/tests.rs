use std::os::unix::fs::PermissionsExt;
use std::{env, fs, process};

use super::*;
use crate::telemetry::access_log::tests::{dropped, entry, telemetry};

const LIMIT: Duration = Duration::from_secs(20);

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("access-log-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("access.log")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn start(path: &Path) -> (AccessLogWriter, Arc<Telemetry>) {
    let telemetry = telemetry();
    let target = config::AccessLog::File(path.to_path_buf());
    (
        AccessLogWriter::start(&target, Arc::clone(&telemetry)).unwrap(),
        telemetry,
    )
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let ids = text.lines().map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["request_id"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn lines_of_all_workers_are_appended_whole() {
    let scratch = Scratch::new("workers");
    fs::write(scratch.log(), "{\"request_id\":\"old\"}\n").unwrap();
    let (writer, telemetry) = start(&scratch.log());
    thread::scope(|scope| {
        for worker in 0..4 {
            let log = writer.worker(telemetry.worker(worker));
            scope.spawn(move || {
                for index in 0..500 {
                    if log.line(&entry(&format!("{worker}-{index}"))) {
                        log.flush();
                    }
                }
            });
        }
    });
    writer.shutdown(LIMIT).unwrap();

    // A full queue may drop lines; none may vanish uncounted or come twice or out of order.
    let ids = ids(&scratch.log());
    assert_eq!(ids[0], "old");
    assert!(ids.len() > 1, "nothing was written");
    assert_eq!(
        ids.len() as u64 - 1 + dropped(&telemetry, "queue_full"),
        4 * 500
    );
    for worker in 0..4 {
        let prefix = format!("{worker}-");
        let own = ids.iter().filter_map(|id| id.strip_prefix(&prefix));
        let own: Vec<u32> = own.map(|index| index.parse().unwrap()).collect();
        assert!(own.is_sorted_by(|a, b| a < b), "worker {worker}: {own:?}");
    }
}

#[test]
fn a_new_log_is_not_for_everyone() {
    let scratch = Scratch::new("mode");
    let (writer, _telemetry) = start(&scratch.log());
    writer.shutdown(LIMIT).unwrap();
    let mode = fs::metadata(scratch.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");
}

#[test]
fn rotation() {
    let scratch = Scratch::new("rotation");
    let (writer, telemetry) = start(&scratch.log());
    let log = writer.worker(telemetry.worker(0));
    let rotated = scratch.0.join("access.log.1");

    assert!(log.line(&entry("before")));
    log.flush();
    wait_until("the first line is written", || {
        ids(&scratch.log()).len() == 1
    });
    fs::rename(scratch.log(), &rotated).unwrap();
    assert!(log.line(&entry("between")));
    log.flush();
    wait_until("the old file goes on", || ids(&rotated).len() == 2);
    writer.reopen();
    wait_until("the new file is there", || scratch.log().exists());
    assert!(log.line(&entry("after")));
    drop(log);
    writer.shutdown(LIMIT).unwrap();

    assert_eq!(ids(&rotated), ["before", "between"]);
    assert_eq!(ids(&scratch.log()), ["after"]);
}

#[test]
fn a_failed_rotation_keeps_the_old_file() {
    let scratch = Scratch::new("failed-rotation");
    let directory = scratch.0.join("logs");
    fs::create_dir(&directory).unwrap();
    let (writer, telemetry) = start(&directory.join("access.log"));
    let log = writer.worker(telemetry.worker(0));
    let moved = scratch.0.join("moved");
    fs::rename(&directory, &moved).unwrap();
    writer.reopen();
    assert!(log.line(&entry("after")));
    drop(log);
    writer.shutdown(LIMIT).unwrap();
    assert_eq!(ids(&moved.join("access.log")), ["after"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let target = config::AccessLog::File("/nonexistent/access.log".into());
    let error = AccessLogWriter::start(&target, telemetry()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (writer, telemetry) = start(Path::new("/dev/full"));
    let log = writer.worker(telemetry.worker(0));
    for _ in 0..3 {
        assert!(log.line(&entry("a")));
        assert!(!log.line(&entry("b")));
        log.flush();
    }
    drop(log);
    writer.shutdown(LIMIT).unwrap();
    assert_eq!(dropped(&telemetry, "write_error"), 6);
    assert_eq!(dropped(&telemetry, "queue_full"), 0);
}

/// A pipe that nobody reads blocks the thread, but neither a worker nor the end of the process.
#[test]
fn a_blocked_log_blocks_nobody() {
    let (reader, pipe) = io::pipe().unwrap();
    let telemetry = telemetry();
    let writer = AccessLogWriter::spawn(
        File::from(std::os::fd::OwnedFd::from(pipe)),
        None,
        Arc::clone(&telemetry),
    )
    .unwrap();
    let log = writer.worker(telemetry.worker(0));
    let mut written = 0;
    while dropped(&telemetry, "queue_full") == 0 {
        for _ in 0..5_000 {
            let _flush_is_not_needed = log.line(&entry("a"));
            written += 1;
        }
    }
    drop(log);
    writer.reopen();
    let error = writer.shutdown(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    // Once somebody reads, everything that was not dropped arrives.
    let text = io::read_to_string(reader).unwrap();
    assert_eq!(
        lines(text.as_bytes()) + dropped(&telemetry, "queue_full"),
        written
    );
}

/// Takes so many bytes, then fails once.
struct Stubborn {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Stubborn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room).min(5);
        if taken == 0 {
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_was_cut_short_spoils_no_other() {
    for (room, lost, expected) in [
        (0, 3, "last\n"),
        (2, 3, "on\nlast\n"),
        (4, 2, "one\nlast\n"),
        (9, 1, "one\ntwo\nt\nlast\n"),
        (14, 0, "one\ntwo\nthree\nlast\n"),
    ] {
        let mut output = Output {
            file: Stubborn {
                room,
                taken: Vec::new(),
            },
            torn: false,
        };
        let result = output.write(b"one\ntwo\nthree\n");
        assert_eq!(
            result.map_or_else(|(_, lost)| lost, |()| 0),
            lost,
            "room for {room}"
        );
        output.file.room = usize::MAX;
        output.write(b"last\n").unwrap();
        assert_eq!(
            String::from_utf8(output.file.taken).unwrap(),
            expected,
            "room for {room}"
        );
    }
}

#[test]
fn warnings_are_rare() {
    let scratch = Scratch::new("warnings");
    let mut writer = Writer {
        output: Output {
            file: open(&scratch.log()).unwrap(),
            torn: false,
        },
        path: Some(scratch.log()),
        waiting: Arc::default(),
        flags: Arc::default(),
        telemetry: telemetry(),
        warned: None,
    };
    let error = io::Error::from(io::ErrorKind::StorageFull);
    let start = Instant::now();
    assert!(writer.may_warn(start));
    writer.warn("a test", &error);
    assert!(!writer.may_warn(Instant::now()));
    assert!(writer.may_warn(Instant::now() + WARN_INTERVAL));
}
