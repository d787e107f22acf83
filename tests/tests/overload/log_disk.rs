//! The file system that holds the access log is full.

use std::path::PathBuf;

use gateway_tests::harness::{ALICE, Backend, Gateway, Request, Setup, poll, tool};

#[test]
fn a_full_log_disk_costs_lines_and_nothing_else() {
    let backend = Backend::recording();
    let setup = Setup::connect(&backend).line("log", "access = \"log/access.log\"");
    let directory = setup.path().join("log");
    std::fs::create_dir(&directory).unwrap();
    let directory = directory.to_str().unwrap().to_owned();
    let prepared = setup.prepare();
    // A file system that only the gateway sees, and that ends with it; all but a page is taken.
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=755 tmpfs '{directory}' && \
         head -c 61440 /dev/zero > '{directory}/filler' && exec \"$0\" \"$@\""
    );
    let unshare = tool("unshare");
    let launcher = [
        unshare.to_str().unwrap(),
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        &script,
    ];
    let gateway = prepared.start_by(&launcher);
    let log = seen_by(&gateway, &format!("{directory}/access.log"));
    let mut client = gateway.client();
    let lost = || {
        let labels = [("cause", "write_error")];
        let metrics = gateway.metrics();
        metrics.sum("connect_gateway_access_log_dropped_total", &labels)
    };
    let mut asked = 0;
    poll::until("lines are lost", || {
        for _ in 0..50 {
            client.ask(&Request::get("/full").by(&ALICE)).expect(200);
            asked += 1;
        }
        (lost() >= 1.0).then_some(())
    });
    gateway.said(&["access log", "os error 28"]);
    client.ask(&Request::get("/full").by(&ALICE)).expect(200);
    asked += 1;

    // By itself: there is room again, and the next lines are there, whole.
    std::fs::remove_file(seen_by(&gateway, &format!("{directory}/filler"))).unwrap();
    client.ask(&Request::get("/room").by(&ALICE)).expect(200);
    asked += 1;
    let text = poll::until("the log goes on", || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("\"/room\"").then_some(text)
    });
    // Every line is there or counted, but for one that the full disk cut.
    let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    let written = text.lines().filter(whole).count();
    let torn = text.lines().count() - written;
    assert!(torn <= 1, "{text}");
    assert_eq!(written as f64 + lost(), f64::from(asked));
}

/// A path of the gateway's mount namespace.
fn seen_by(gateway: &Gateway, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", gateway.pid()))
}
