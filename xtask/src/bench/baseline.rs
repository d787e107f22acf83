//! Recorded counts of instructions, and how others compare with them.

use anyhow::{Context, Result, bail};

/// Counts, and what they depend on beside the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    pub(super) tools: Vec<Tool>,
    pub(super) counts: Vec<Count>,
}

/// A tool or the like, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) version: String,
}

/// One benchmark's count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) stage: String,
    pub(super) case: String,
    pub(super) instructions: u64,
}

impl Baseline {
    /// Reads what [`Baseline::render`] wrote.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let file: toml::Table = text.parse()?;
        let table = |name: &str| {
            let table = file.get(name).and_then(toml::Value::as_table);
            table.with_context(|| format!("no table [{name}]"))
        };
        let mut baseline = Self::default();
        for (name, version) in table("tools")? {
            let version = version.as_str();
            baseline.tools.push(Tool {
                name: name.clone(),
                version: version
                    .with_context(|| format!("{name}: no text"))?
                    .to_owned(),
            });
        }
        for (stage, cases) in table("instructions")? {
            let cases = cases
                .as_table()
                .with_context(|| format!("{stage}: no case"))?;
            for (case, count) in cases {
                let count = count.as_integer().and_then(|count| count.try_into().ok());
                baseline.counts.push(Count {
                    stage: stage.clone(),
                    case: case.clone(),
                    instructions: count.with_context(|| format!("{stage}.{case}: no count"))?,
                });
            }
        }
        Ok(baseline)
    }

    /// The file.
    pub(super) fn render(&self) -> String {
        let mut text = HEAD.to_owned();
        text += "\n[tools]\n";
        for Tool { name, version } in &self.tools {
            text += &format!("{name} = {version:?}\n");
        }
        text += "\n[instructions]\n";
        for Count {
            stage,
            case,
            instructions,
        } in &self.counts
        {
            text += &format!("{stage}.{case} = {instructions}\n");
        }
        text
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for count in &self.counts {
            text += &format!("{:>10}  {}\n", count.instructions, count.name());
        }
        text
    }

    /// Compares counts with these.
    ///
    /// # Errors
    ///
    /// One is more than [`LIMIT`] % off, or is there on one side only; says which, and what to do.
    pub(super) fn compare(&self, now: &Self) -> Result<()> {
        let mut wrong = Vec::new();
        for new in &now.counts {
            match self.find(new) {
                Some(old) if is_near(old.instructions, new.instructions) => {}
                Some(old) => wrong.push(difference(old, new)),
                None => wrong.push(format!("{} is not recorded", new.name())),
            }
        }
        for old in &self.counts {
            if now.find(old).is_none() {
                wrong.push(format!(
                    "{} is recorded, but not counted any more",
                    old.name()
                ));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        for old in &self.tools {
            let new = now.tools.iter().find(|new| new.name == old.name);
            let new = new.map_or("nothing", |new| &new.version);
            if new != old.version {
                let Tool { name, version } = old;
                wrong.push(format!(
                    "(perhaps because of {name}: recorded with {version}, here {new})"
                ));
            }
        }
        bail!(
            "counts of instructions are more than {LIMIT} % off bench/instructions/baseline.toml, \
             or missing:\n  {}\n\
             What is slower by mistake, mend. Where the change means it, or is faster: `{RECORD}`,\n\
             commit the file with the change, and say why.",
            wrong.join("\n  "),
        );
    }

    fn find(&self, other: &Count) -> Option<&Count> {
        let same = |one: &&Count| one.stage == other.stage && one.case == other.case;
        self.counts.iter().find(same)
    }
}

impl Count {
    fn name(&self) -> String {
        format!("{}.{}", self.stage, self.case)
    }
}

fn is_near(old: u64, new: u64) -> bool {
    u128::from(old.abs_diff(new)) * 100 <= u128::from(old) * u128::from(LIMIT)
}

fn difference(old: &Count, new: &Count) -> String {
    let name = new.name();
    let (old, new) = (old.instructions, new.instructions);
    let percent = 100.0 * old.abs_diff(new) as f64 / old as f64;
    let word = if new > old { "more" } else { "fewer" };
    format!("{name}: {new} instead of {old}, {percent:.1} % {word}")
}

/// In percent of what was recorded, more or fewer.
const LIMIT: u64 = 3;

/// What writes the file.
pub(super) const RECORD: &str = "cargo xtask bench instructions --record";

const HEAD: &str = "\
# How many instructions each stage of a request takes, as callgrind counts them; docs/performance.md,
# \"Instructions\". `cargo xtask test` fails where a count is more than 3 % off, up or down. Written by
#
#     cargo xtask bench instructions --record
#
# The counts include the C library's and the cipher's. They are the same for each run and each build
# with these tools. Of the processor they depend by AVX2 alone: valgrind shows programs one that has
# it, and nothing newer, wherever it runs.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, &str, u64)]) -> Baseline {
        let count = |&(stage, case, instructions): &(&str, &str, u64)| Count {
            stage: stage.into(),
            case: case.into(),
            instructions,
        };
        Baseline {
            tools: vec![Tool {
                name: "rustc".into(),
                version: "rustc 1.95.0 (\"x\")".into(),
            }],
            counts: counts.iter().map(count).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = baseline(&[
            ("decide", "user", 4000),
            ("record_in", "kib_1", u64::MAX / 2),
        ]);
        assert_eq!(Baseline::parse(&written.render()).unwrap(), written);
        for text in [
            "",
            "[tools]\n",
            "[instructions]\n",
            "[tools]\nrustc = 1\n[instructions]\n",
            "[tools]\n[instructions]\ndecide = 1\n",
            "[tools]\n[instructions]\ndecide.user = -1\n",
        ] {
            assert!(Baseline::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn three_percent_either_way_are_near() {
        for (old, new, near) in [
            (1000, 1000, true),
            (1000, 1030, true),
            (1000, 1031, false),
            (1000, 970, true),
            (1000, 969, false),
            (0, 0, true),
            (0, 1, false),
        ] {
            assert_eq!(is_near(old, new), near, "{old} {new}");
        }
    }

    #[test]
    fn what_is_off_is_named_with_what_to_do() {
        let old = baseline(&[
            ("a", "x", 1000),
            ("b", "x", 1000),
            ("c", "x", 1),
            ("d", "x", 7),
        ]);
        assert!(old.compare(&old).is_ok());
        let mut new = baseline(&[
            ("a", "x", 1050),
            ("b", "x", 900),
            ("d", "x", 7),
            ("e", "x", 1),
        ]);
        let said = old.compare(&new).unwrap_err().to_string();
        for part in [
            "a.x: 1050 instead of 1000, 5.0 % more",
            "b.x: 900 instead of 1000, 10.0 % fewer",
            "c.x is recorded, but not counted any more",
            "e.x is not recorded",
            RECORD,
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("d.x") && !said.contains("rustc"), "{said}");
        for tool in &mut new.tools {
            tool.version = "rustc 1.96.0".into();
        }
        let said = old.compare(&new).unwrap_err().to_string();
        assert!(said.contains("rustc: recorded with rustc 1.95.0"), "{said}");
    }
}
