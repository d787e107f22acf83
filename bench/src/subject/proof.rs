//! Every subject shows that it does the job that is measured.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustls::{CipherSuite, NamedGroup};

use super::Kind;
use crate::http::SERVED;
use crate::order::Request;
use crate::probe::{self, Tls};
use crate::scenario::{Logins, PASSWORD, USER, basic};
use crate::target::Target;
use crate::tls;

/// Succeeds if it answers at all, whatever it says.
pub(super) fn answers(target: &Target) -> Result<()> {
    probe::ask(target, &request(target, "")).map(drop)
}

/// Speaks TLS as all of them; refuses who has no password or a wrong one; of the visitor's requests,
/// the back-end sees the right name and no other, and not the password, on connections that are
/// kept. Returns how the visitor logs in.
pub(super) fn show(kind: Kind, target: &Target, chain: &Path) -> Result<Logins> {
    // The floor has no logins: that is what makes it the floor.
    if kind != Kind::Floor {
        let wrong = format!("Authorization: {}\r\n", basic(&format!("{USER}:wrong")));
        for fields in ["", &wrong] {
            let answer = probe::ask(target, &request(target, fields))?;
            let status = answer.status;
            ensure!(status == 401, "answers {status} to who has no password");
        }
    }
    let login = format!("{USER}:{PASSWORD}");
    let fields = format!(
        "Authorization: {}\r\nX-Auth-Username: mallory\r\n",
        basic(&login)
    );
    let mut cookie = None;
    for _ in 0..REUSE {
        let answer = probe::ask(target, &request(target, &fields))?;
        ensure!(answer.status == 200, "answers {} to {USER}", answer.status);
        speaks(&answer.tls, chain)?;
        let seen = String::from_utf8(answer.body).context("what the back-end saw")?;
        let served = check(&seen)?;
        cookie = cookie.or(answer.cookie);
        if served > 0 {
            return Ok(Logins {
                login: Some(login),
                cookie,
            });
        }
    }
    bail!("keeps no connection to the back-end")
}

/// The same over HTTP/3, by a server that has shown it over HTTP/1.1.
pub(super) fn show_http3(target: &Target, chain: &Path) -> Result<()> {
    let ask = |fields: &str| probe::ask_http3(target, &request(target, fields));
    let (status, ..) = ask("")?;
    ensure!(status == 401, "answers {status} to who has no password");
    let login = basic(&format!("{USER}:{PASSWORD}"));
    let fields = format!("Authorization: {login}\r\nX-Auth-Username: mallory\r\n");
    let (status, seen, certificate) = ask(&fields)?;
    ensure!(status == 200, "answers {status} to {USER}");
    ensure!(
        certificate == tls::certificates(chain)?.into_iter().next(),
        "shows another certificate"
    );
    check(&String::from_utf8(seen).context("what the back-end saw")?)?;
    Ok(())
}

/// Whether a server has chosen what all shall have.
fn speaks(tls: &Tls, chain: &Path) -> Result<()> {
    let wanted = Tls {
        suite: Some(CipherSuite::TLS13_AES_256_GCM_SHA384),
        group: Some(NamedGroup::X25519),
        certificate: tls::certificates(chain)?.into_iter().next(),
    };
    ensure!(
        *tls == wanted,
        "chooses {:?} and {:?}, or another certificate",
        tls.suite,
        tls.group
    );
    Ok(())
}

/// Whether the head that the back-end saw names the visitor, once. How many requests came before it
/// on its connection.
fn check(seen: &str) -> Result<u64> {
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
    let [served] = of(SERVED)[..] else {
        bail!("answers by itself:\n{seen}");
    };
    served.parse().context("a number of requests")
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

/// How many requests one of which must come on a connection that is used again.
const REUSE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_job_counts() {
        let good = "GET /seen HTTP/1.1\r\nHost: h\r\nX-Auth-Username: alice\r\n\
                    X-RSC-Request: https://h/seen\r\nX-Forwarded-Proto: https\r\n\r\nbench-served: 2\r\n";
        assert_eq!(check(good).unwrap(), 2);
        for (from, to) in [
            ("alice", "mallory"),
            ("Host: h", "x-auth-username: mallory"),
            ("Host: h", "Authorization: Basic x"),
            ("X-RSC-Request", "X-Other"),
            ("https\r\n\r\n", "http\r\n\r\n"),
            ("bench-served: 2", "x: 2"),
        ] {
            assert!(check(&good.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }
}
