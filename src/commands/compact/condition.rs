//! The condition of `compact --defrag --if`: which members are worth a defragmentation. No I/O.
//!
//! `TERM [and|or TERM]...`; `and` binds tighter than `or`. A term compares one figure of a member.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::kvstore::MemberStatus;
use crate::plural::counted;
use crate::size::parse_size;

/// A condition on a member's database: it holds if all terms of one group hold.
#[derive(Clone, Debug, PartialEq)]
pub struct DefragCondition {
    /// The groups between `or`; each has at least one term.
    groups: Vec<Vec<DefragTerm>>,
    text: String,
}

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
enum DefragTerm {
    /// The share of the file that is in use, in percent.
    InUseBelow(f64),
    /// The free bytes of the file.
    FreeAbove(u64),
    /// The size of the file.
    SizeAbove(u64),
    /// The share of the quota that the file has, in percent.
    QuotaAbove(f64),
}

/// Why a text is not a condition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} at character {position}")]
pub struct DefragConditionError {
    what: String,
    /// Counted from 1.
    position: usize,
}

/// What a condition says of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the condition holds.
    pub holds: bool,
    /// The figures that it compares.
    pub figures: String,
}

const NAMES: [&str; 4] = ["in-use-below", "free-above", "size-above", "quota-above"];

impl DefragCondition {
    /// Judges a member. An empty database has nothing free. `quota-above` does not hold if the member does not tell its quota.
    pub fn judge(&self, status: &MemberStatus) -> Judgement {
        let holds = self.groups.iter().any(|group| group.iter().all(|term| term.holds(status)));
        let mut figures = vec![match percent(status.db_in_use, status.db_size) {
            Some(percent) => format!("{percent:.0} % in use"),
            None => "the file is empty".to_owned(),
        }];
        figures.push(format!("{} free", counted(free_bytes(status), "byte")));
        let terms = || self.groups.iter().flatten();
        if terms().any(|term| matches!(term, DefragTerm::SizeAbove(_))) {
            figures.push(format!("{} in all", counted(status.db_size, "byte")));
        }
        if terms().any(|term| matches!(term, DefragTerm::QuotaAbove(_))) {
            figures.push(match status.quota.and_then(|quota| percent(status.db_size, quota)) {
                Some(percent) => format!("{percent:.0} % of the quota"),
                None => "quota unknown (etcd tells it since 3.6)".to_owned(),
            });
        }
        Judgement { holds, figures: figures.join(", ") }
    }
}

impl fmt::Display for DefragCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl DefragTerm {
    fn holds(self, status: &MemberStatus) -> bool {
        match self {
            Self::InUseBelow(limit) => percent(status.db_in_use, status.db_size).is_some_and(|share| share < limit),
            Self::FreeAbove(limit) => free_bytes(status) > limit,
            Self::SizeAbove(limit) => status.db_size > limit,
            Self::QuotaAbove(limit) => {
                status.quota.and_then(|quota| percent(status.db_size, quota)).is_some_and(|share| share > limit)
            }
        }
    }
}

fn free_bytes(status: &MemberStatus) -> u64 {
    status.db_size.saturating_sub(status.db_in_use)
}

/// `None` if there is no whole.
#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more digits")]
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

impl FromStr for DefragCondition {
    type Err = DefragConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut groups: Vec<Vec<DefragTerm>> = vec![Vec::new()];
        let mut needs_term = true;
        for (position, word) in words(text) {
            let failed = |what: String| DefragConditionError { what, position };
            match (needs_term, word) {
                (true, "and" | "or") => return Err(failed(format!("a term is missing before '{word}'"))),
                (true, word) => {
                    let term = parse_term(word).map_err(failed)?;
                    groups.last_mut().into_iter().for_each(|group| group.push(term));
                }
                (false, "and") => {}
                (false, "or") => groups.push(Vec::new()),
                (false, word) => {
                    return Err(failed(format!(
                        "'{}' follows a term: write 'and' or 'or' between two terms",
                        shown(word)
                    )));
                }
            }
            needs_term = !needs_term;
        }
        if needs_term {
            let (what, position) =
                (format!("a term is missing (one of {})", NAMES.join(", ")), text.chars().count() + 1);
            return Err(DefragConditionError { what, position });
        }
        Ok(Self { groups, text: text.trim().to_owned() })
    }
}

/// The words, each with its position in characters, counted from 1.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    let mut position = 1;
    std::iter::from_fn(move || {
        let trimmed = rest.trim_start();
        position += rest.chars().count() - trimmed.chars().count();
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        let (word, tail) = trimmed.split_at(end);
        let start = position;
        position += word.chars().count();
        rest = tail;
        (!word.is_empty()).then_some((start, word))
    })
}

fn parse_term(word: &str) -> Result<DefragTerm, String> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let needs = |example: &str| format!("'{}' needs a value: {name}={example}", shown(name));
    match name {
        "in-use-below" | "quota-above" if value.is_empty() => Err(needs("50%")),
        "free-above" | "size-above" if value.is_empty() => Err(needs("200MiB")),
        "in-use-below" => parse_percent(name, value).map(DefragTerm::InUseBelow),
        "quota-above" => parse_percent(name, value).map(DefragTerm::QuotaAbove),
        "free-above" => parse_size(value).map(DefragTerm::FreeAbove).map_err(|why| format!("{name}: {why}")),
        "size-above" => parse_size(value).map(DefragTerm::SizeAbove).map_err(|why| format!("{name}: {why}")),
        _ => {
            let nearest = NAMES.iter().min_by_key(|known| strsim::levenshtein(known, name));
            let near = nearest.filter(|known| strsim::levenshtein(known, name) <= 6);
            let all = NAMES.join(", ");
            Err(match near {
                Some(near) => format!("there is no term '{}'; did you mean '{near}'?", shown(name)),
                None => format!("there is no term '{}' (terms are {all})", shown(name)),
            })
        }
    }
}

fn parse_percent(name: &str, value: &str) -> Result<f64, String> {
    let number = value.strip_suffix('%').unwrap_or(value);
    let valid = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>() {
        Ok(_) if !value.ends_with('%') && valid => {
            Err(format!("{name}: '{value}' has no unit; did you mean {value}%?"))
        }
        Ok(share) if valid && (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err(format!("{name}: '{}' is not a share from 0% to 100%", shown(value))),
    }
}

/// A word for a message, without what could control a terminal.
fn shown(word: &str) -> String {
    word.chars().take(40).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn status(db_size: u64, db_in_use: u64, quota: Option<u64>) -> MemberStatus {
        MemberStatus {
            cluster: 1,
            id: 1,
            version: "3.6.5".to_owned(),
            db_size,
            db_in_use,
            quota,
            leader: 1,
            raft_term: 1,
            raft_index: 1,
            raft_applied: 1,
            learner: false,
            revision: 1,
            errors: Vec::new(),
            storage_version: None,
            downgrade: None,
            latency: Duration::ZERO,
        }
    }

    fn holds(text: &str, status: &MemberStatus) -> bool {
        text.parse::<DefragCondition>().unwrap().judge(status).holds
    }

    fn error(text: &str) -> String {
        text.parse::<DefragCondition>().unwrap_err().to_string()
    }

    #[test]
    fn each_term_compares_its_figure() {
        let half = status(1000, 500, Some(2000));
        assert!(holds("in-use-below=51%", &half) && !holds("in-use-below=50%", &half));
        assert!(holds("free-above=499", &half) && !holds("free-above=500", &half));
        assert!(holds("size-above=999", &half) && !holds("size-above=1000", &half));
        assert!(holds("quota-above=49.9%", &half) && !holds("quota-above=50%", &half));
        assert!(!holds("quota-above=0%", &status(1000, 500, None)), "an unknown quota");
        assert!(!holds("in-use-below=100%", &status(0, 0, None)), "an empty file");
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let half = status(1000, 500, None);
        assert!(holds("in-use-below=60% or in-use-below=10% and size-above=5", &half));
        assert!(!holds("in-use-below=10% or in-use-below=60% and size-above=1GiB", &half));
        assert!(holds("size-above=1GiB and size-above=1 or free-above=1", &half));
    }

    #[test]
    fn the_figures_are_those_that_are_compared() {
        let figures =
            |text: &str, quota| text.parse::<DefragCondition>().unwrap().judge(&status(1000, 400, quota)).figures;
        assert_eq!(figures("in-use-below=1%", None), "40 % in use, 600 bytes free");
        assert_eq!(
            figures("size-above=1 or quota-above=1%", Some(2000)),
            "40 % in use, 600 bytes free, 1,000 bytes in all, 50 % of the quota"
        );
        assert!(figures("quota-above=1%", None).contains("quota unknown"));
    }

    #[test]
    fn errors_say_where_and_suggest() {
        assert_eq!(
            error("in-use-bellow=50%"),
            "there is no term 'in-use-bellow'; did you mean 'in-use-below'? at character 1"
        );
        assert_eq!(
            error("size-above=1 xor free-above=1"),
            "'xor' follows a term: write 'and' or 'or' between two terms at character 14"
        );
        assert_eq!(error("free-above=5 and or"), "a term is missing before 'or' at character 18");
        assert!(error("free-above=5 or ").ends_with("at character 17") && error("").ends_with("at character 1"));
        assert_eq!(error("in-use-below=50"), "in-use-below: '50' has no unit; did you mean 50%? at character 1");
        assert!(error("quota-above=101%").contains("is not a share from 0% to 100%"));
        assert!(error("free-above=200M").contains("did you mean 200MiB?"));
        assert!(error("free-above").contains("needs a value: free-above=200MiB"));
        assert!(error("frobnicate=12").contains("terms are in-use-below, free-above, size-above, quota-above"));
        assert!(!error("\u{1b}[2J=1").contains('\u{1b}'));
        assert!(
            error("in-use-below=NaN%").contains("is not a share")
                && error("in-use-below=1e1%").contains("is not a share")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", size in any::<u64>(), used in any::<u64>(), quota in any::<Option<u64>>()) {
            if let Ok(condition) = text.parse::<DefragCondition>() {
                let _ = condition.judge(&status(size, used, quota));
            }
        }

        #[test]
        fn a_condition_is_the_or_of_its_groups(bits in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..4), 1..4)) {
            let term = |holds: &bool| if *holds { "size-above=1" } else { "size-above=9GiB" };
            let group = |group: &Vec<bool>| group.iter().map(term).collect::<Vec<_>>().join(" and ");
            let text = bits.iter().map(group).collect::<Vec<_>>().join(" or ");
            let wanted = bits.iter().any(|group| group.iter().all(|holds| *holds));
            prop_assert_eq!(holds(&text, &status(1000, 10, None)), wanted, "{}", text);
        }
    }
}
