//! Every subject shows that it does the job that is measured.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::Kind;
use crate::order::Request;
use crate::probe;
use crate::scenario::{Logins, PASSWORD, USER, basic};
use crate::target::Target;

/// Succeeds if it answers at all, whatever it says.
pub(super) fn answers(target: &Target) -> Result<()> {
    probe::ask(target, &request(target, "")).map(drop)
}

/// Refuses nobody's request; of the visitor's, the back-end sees the right name and no other, and
/// not the password. Returns how the visitor logs in.
pub(super) fn show(kind: Kind, target: &Target) -> Result<Logins> {
    // The floor has no logins: that is what makes it the floor.
    if kind != Kind::Floor {
        let answer = probe::ask(target, &request(target, ""))?;
        ensure!(answer.status == 401, "answers {} to nobody", answer.status);
    }
    let login = format!("{USER}:{PASSWORD}");
    let fields = format!(
        "Authorization: {}\r\nX-Auth-Username: mallory\r\n",
        basic(&login)
    );
    let answer = probe::ask(target, &request(target, &fields))?;
    ensure!(answer.status == 200, "answers {} to {USER}", answer.status);
    let seen = String::from_utf8(answer.body).context("what the back-end saw")?;
    check(&seen)?;
    Ok(Logins {
        login: Some(login),
        cookie: answer.cookie,
    })
}

/// Whether the head that the back-end saw names the visitor, once.
fn check(seen: &str) -> Result<()> {
    let fields: Vec<(String, &str)> = seen
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let names: BTreeSet<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let of = |wanted: &str| -> Vec<&str> {
        let fields = fields.iter().filter(|(name, _)| name == wanted);
        fields.map(|&(_, value)| value).collect()
    };
    ensure!(
        of("x-auth-username") == [USER],
        "sets the wrong name:\n{seen}"
    );
    ensure!(
        !names.contains("authorization"),
        "passes the password on:\n{seen}"
    );
    ensure!(
        names.contains("x-rsc-request"),
        "sets no X-RSC-Request:\n{seen}"
    );
    ensure!(
        of("x-forwarded-proto") == ["https"],
        "sets no scheme:\n{seen}"
    );
    Ok(())
}

fn request(target: &Target, fields: &str) -> Request {
    Request {
        head: format!(
            "GET /seen HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
            target.host
        ),
        body: 0,
        expect: 200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_job_counts() {
        let good = "GET /seen HTTP/1.1\r\nHost: h\r\nX-Auth-Username: alice\r\n\
                    X-RSC-Request: https://h/seen\r\nX-Forwarded-Proto: https\r\n\r\n";
        assert!(check(good).is_ok());
        for (from, to) in [
            ("alice", "mallory"),
            ("Host: h", "x-auth-username: mallory"),
            ("Host: h", "Authorization: Basic x"),
            ("X-RSC-Request", "X-Other"),
            ("https\r\n\r\n", "http\r\n\r\n"),
        ] {
            assert!(check(&good.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }
}
