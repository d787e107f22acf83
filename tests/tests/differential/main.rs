//! Promise P4, against two independent parsers (h11 and llhttp) on a generated corpus.
//!
//! Ours may refuse what others accept: each kind of such a disagreement is in a table here, with its
//! reason. It must never accept what both others refuse, nor read a message otherwise than any
//! parser that accepts it, on whatever side of us that may sit: method, target, fields, body and the
//! start of the next message.
//!
//! `GATEWAY_TEST_SEED` sets the seed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod generate;
mod oracles;
mod ours;
mod tables;

use std::collections::BTreeMap;

use gateway_tests::harness::{Random, scale, seed};
use serde::Deserialize;

use self::oracles::Others;

/// What a parser makes of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A message, whose body may be incomplete.
    Message(Message),
    /// No message, for a reason.
    Refused(String),
    /// A head that has not ended.
    Waiting,
}

/// A message as a parser sees it. Each character is a byte.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Method, target, version; or version, status, reason.
    pub start: [String; 3],
    /// Names in lower case, values as they are.
    pub fields: Vec<(String, String)>,
    /// As much as is there.
    pub body: String,
    /// Where the next message begins; none if this one is incomplete.
    pub end: Option<usize>,
}

#[test]
fn requests_mean_the_same_to_others() {
    compare(b'Q', ours::request, generate::request, &tables::REQUESTS);
}

#[test]
fn answers_mean_the_same_to_others() {
    compare(b'A', ours::answer, generate::answer, &tables::ANSWERS);
}

/// The disagreements that are explained, the reason last.
struct Explained {
    /// What we refuse and another accepts: the name of our error.
    refused_here: &'static [(&'static str, &'static str)],
    /// What we accept and one other refuses: which, and a part of its message.
    refused_there: &'static [(&'static str, &'static str, &'static str)],
    /// What we accept and both others refuse: a part of the message of h11, and of llhttp.
    refused_by_both: &'static [(&'static str, &'static str, &'static str)],
    read_otherwise: &'static [Otherwise],
}

/// Messages that another parser reads otherwise.
struct Otherwise {
    /// Which parser.
    who: &'static str,
    /// Whether a message is such a one.
    is_such: fn(&Message) -> bool,
    #[expect(dead_code, reason = "for whoever reads the table")]
    why: &'static str,
}

fn compare(
    kind: u8,
    ours: fn(&[u8]) -> Verdict,
    generate: fn(&mut Random) -> Vec<u8>,
    explained: &Explained,
) {
    let (seed, count) = (seed(), scale(6000, 200_000));
    println!("GATEWAY_TEST_SEED={seed}, {count} cases");
    let cases: Vec<_> = (0..count)
        .map(|case| generate(&mut Random::new(seed, case)))
        .collect();
    let mut seen = Seen::default();
    oracles::judge(kind, &cases, |case, others| {
        let ours = ours(case);
        if let Err(fault) = seen.judge(&ours, &others, explained) {
            let faults = seen.faults.entry(fault).or_default();
            faults.push(format!(
                "  {}\n  ours: {ours:?}\n  h11: {:?}\n  llhttp: {:?}",
                case.escape_ascii(),
                others.h11,
                others.llhttp
            ));
        }
    });
    println!(
        "{} agreed upon, {} disagreements: {:#?}",
        seen.agreed,
        seen.counts.values().sum::<usize>(),
        seen.counts
    );
    let faults = seen
        .faults
        .iter()
        .map(|(fault, all)| format!("{fault} ({} times):\n{}\n", all.len(), all[0]));
    assert!(
        seen.faults.is_empty(),
        "unexplained:\n{}",
        faults.collect::<String>()
    );
    // Nothing is explained that does not happen: in a corpus of that size, everything does.
    let rows = explained.refused_here.len()
        + explained.refused_there.len()
        + explained.refused_by_both.len()
        + explained.read_otherwise.len();
    let expected = scale(seen.counts.len(), rows);
    assert_eq!(
        seen.counts.len(),
        expected,
        "of the disagreements explained"
    );
    assert!(
        seen.agreed * 3 > count as usize,
        "only {} agreed upon",
        seen.agreed
    );
}

#[derive(Default)]
struct Seen {
    /// Messages that all three read in one way.
    agreed: usize,
    counts: BTreeMap<String, usize>,
    /// By kind.
    faults: BTreeMap<String, Vec<String>>,
}

impl Seen {
    fn judge(
        &mut self,
        ours: &Verdict,
        others: &Others,
        explained: &Explained,
    ) -> Result<(), String> {
        let each = [("h11", &others.h11), ("llhttp", &others.llhttp)];
        match ours {
            Verdict::Message(ours) => return self.judge_accepted(ours, others, explained),
            Verdict::Refused(error) => {
                if each
                    .iter()
                    .all(|(_, other)| matches!(other, Verdict::Refused(_)))
                {
                    return Ok(());
                }
                if !explained.refused_here.iter().any(|(name, _)| name == error) {
                    return Err(format!("{error}, which others accept"));
                }
                self.count(error.clone());
            }
            Verdict::Waiting => {
                if each
                    .iter()
                    .any(|(_, other)| matches!(other, Verdict::Message(_)))
                {
                    return Err("others see the end of the head".to_owned());
                }
            }
        }
        Ok(())
    }

    fn judge_accepted(
        &mut self,
        ours: &Message,
        others: &Others,
        explained: &Explained,
    ) -> Result<(), String> {
        if let (Verdict::Refused(h11), Verdict::Refused(llhttp)) = (&others.h11, &others.llhttp) {
            let rows = explained.refused_by_both.iter();
            let row = rows
                .map(|row| (row.0, row.1))
                .find(|row| h11.contains(row.0) && llhttp.contains(row.1));
            let (h11, llhttp) = row.ok_or_else(|| format!("both others refuse: {llhttp}"))?;
            self.count(format!("both: {h11}, {llhttp}"));
            return Ok(());
        }
        let mut agreed = true;
        for (name, other) in [("h11", &others.h11), ("llhttp", &others.llhttp)] {
            match other {
                Verdict::Message(theirs) => {
                    let Err(what) = same(ours, theirs) else {
                        continue;
                    };
                    let rows = explained.read_otherwise.iter();
                    if !rows
                        .clone()
                        .any(|row| row.who == name && (row.is_such)(ours))
                    {
                        return Err(format!("{name} reads another {what}"));
                    }
                    self.count(format!("{name} reads otherwise"));
                }
                Verdict::Waiting => return Err(format!("{name} waits for more of the head")),
                Verdict::Refused(why) => {
                    let rows = explained.refused_there.iter();
                    let row = rows
                        .map(|row| (row.0, row.1))
                        .find(|(who, part)| *who == name && why.contains(part));
                    let (_, part) = row.ok_or_else(|| format!("{name} refuses: {why}"))?;
                    self.count(format!("{name}: {part}"));
                }
            }
            agreed = false;
        }
        self.agreed += usize::from(agreed);
        Ok(())
    }

    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// Whether two parsers read the same message; else what differs.
fn same(ours: &Message, theirs: &Message) -> Result<(), &'static str> {
    let [method, target, version] = &theirs.start;
    if [&ours.start[0], &ours.start[2]] != [method, version] || ours.start[1] != origin_form(target)
    {
        return Err("start line");
    }
    let lines =
        |message: &Message| -> Vec<(String, String)> { message.fields.iter().map(line).collect() };
    if lines(ours) != lines(theirs) {
        return Err("field");
    }
    if ours.body != theirs.body {
        return Err("body");
    }
    if ours.end != theirs.end {
        return Err("end");
    }
    Ok(())
}

/// A target without scheme and authority, as it is forwarded (RFC 9112 §3.2.2).
fn origin_form(target: &str) -> String {
    let lower = target.to_ascii_lowercase();
    let Some(scheme) = ["http://", "https://"]
        .iter()
        .find(|scheme| lower.starts_with(**scheme))
    else {
        return target.to_owned();
    };
    let rest = &target[scheme.len()..];
    match rest.find(['/', '?']) {
        None => "/".to_owned(),
        Some(at) if rest[at..].starts_with('?') => format!("/{}", &rest[at..]),
        Some(at) => rest[at..].to_owned(),
    }
}

/// A field line without what does not change its meaning: blanks around the value (RFC 9110 §5.5),
/// which llhttp leaves at its end, and the letters' case of a coding, which h11 lowers.
fn line((name, value): &(String, String)) -> (String, String) {
    let value = value.trim_matches([' ', '\t']);
    let value = match name.as_str() {
        "transfer-encoding" => value.to_ascii_lowercase(),
        _ => value.to_owned(),
    };
    (name.clone(), value)
}
