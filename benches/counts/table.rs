//! The table of counts, and what moved against an earlier one. Pure.

use std::fmt::Write;

/// A count moved if it differs by more than this many percent.
pub const MOVED_PERCENT: f64 = 3.0;

/// What counts depend on, and when they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub date: String,
    pub rustc: String,
    pub valgrind: String,
    pub architecture: String,
    pub kvadm: String,
    pub records: String,
}

/// The counts of one build profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    pub origin: Origin,
    /// The names of the cases and their counts.
    pub counts: Vec<(String, u64)>,
}

const HEADING: &str = "| case | count |\n|---|---:|\n";
const FIELDS: [&str; 6] = ["date", "rustc", "valgrind", "architecture", "kvadm", "records"];

impl Origin {
    fn values(&self) -> [&String; 6] {
        [&self.date, &self.rustc, &self.valgrind, &self.architecture, &self.kvadm, &self.records]
    }

    fn line(&self) -> String {
        FIELDS.iter().zip(self.values()).map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split("; ");
        let mut value = |name: &str| Some(parts.next()?.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
        let [date, rustc, valgrind, architecture, kvadm, records] = FIELDS.map(&mut value);
        Some(Self {
            date: date?,
            rustc: rustc?,
            valgrind: valgrind?,
            architecture: architecture?,
            kvadm: kvadm?,
            records: records?,
        })
    }
}

impl Section {
    /// The section as Markdown, without its heading.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n{HEADING}", self.origin.line());
        for (name, count) in &self.counts {
            let _ = writeln!(text, "| {name} | {} |", grouped(*count));
        }
        text
    }

    /// The section with this heading of a file; `None` if it has none.
    pub fn find(file: &str, heading: &str) -> Option<Self> {
        let mut lines = file.lines().skip_while(|line| *line != format!("## {heading}")).skip(1);
        let origin = Origin::parse(lines.by_ref().find(|line| !line.is_empty())?)?;
        let mut counts = Vec::new();
        for line in lines.take_while(|line| !line.starts_with("## ")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            if let [name, count] = cells[..]
                && let Ok(count) = count.replace(' ', "").parse()
            {
                counts.push((name.to_owned(), count));
            }
        }
        Some(Self { origin, counts })
    }

    /// The file with this section in the place of the one with the same heading, or at its end.
    pub fn replace_in(&self, file: &str, heading: &str) -> String {
        let line = format!("## {heading}\n");
        let new = format!("{line}\n{}", self.markdown());
        let Some(start) = file.find(&line) else { return format!("{}\n\n{new}", file.trim_end()) };
        let after = start + line.len();
        match file[after..].find("\n## ") {
            Some(end) => format!("{}{new}{}", &file[..start], &file[after + end..]),
            None => format!("{}{new}", &file[..start]),
        }
    }
}

/// A number with a space before each group of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// What moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The counts cannot be compared; the reason.
    Incomparable(String),
    /// A line for each case that moved, is new, or is gone; and the number of cases that were compared.
    Compared { moved: Vec<String>, cases: usize },
}

impl Comparison {
    /// One sentence.
    pub fn summary(&self) -> String {
        match self {
            Self::Incomparable(why) => format!("NOT compared: {why}"),
            Self::Compared { moved, cases } if moved.is_empty() => {
                format!("no count moved by more than {MOVED_PERCENT} % ({cases} cases)")
            }
            Self::Compared { moved, .. } => {
                format!("moved by more than {MOVED_PERCENT} %: {}", moved.join("; "))
            }
        }
    }
}

/// Compares the counts of a run with those of the table.
pub fn compare(table: Option<&Section>, run: &Section) -> Comparison {
    let Some(table) = table else {
        return Comparison::Incomparable("the table has no counts of this build".to_owned());
    };
    let conditions = |origin: &Origin| {
        let Origin { rustc, architecture, records, .. } = origin;
        [("rustc", rustc.clone()), ("architecture", architecture.clone()), ("number of records", records.clone())]
    };
    for ((name, then), (_, now)) in conditions(&table.origin).into_iter().zip(conditions(&run.origin)) {
        if then != now {
            return Comparison::Incomparable(format!("the table's {name} is {then}, this one is {now}"));
        }
    }
    let (mut moved, mut cases) = (Vec::new(), 0);
    for (name, now) in &run.counts {
        let Some((_, then)) = table.counts.iter().find(|(known, _)| known == name) else {
            moved.push(format!("{name}: new, {}", grouped(*now)));
            continue;
        };
        cases += 1;
        let percent = (*now as f64 - *then as f64) / (*then).max(1) as f64 * 100.0;
        if percent.abs() > MOVED_PERCENT {
            moved.push(format!("{name}: {percent:+.1} % ({} to {})", grouped(*then), grouped(*now)));
        }
    }
    for (name, _) in table.counts.iter().filter(|(name, _)| !run.counts.iter().any(|(known, _)| known == name)) {
        moved.push(format!("{name}: gone"));
    }
    Comparison::Compared { moved, cases }
}

/// The number of instructions of a file that callgrind has written.
pub fn instructions(profile: &str) -> Option<u64> {
    let total = |name: &str| profile.lines().rev().find_map(|line| line.strip_prefix(name));
    total("totals: ").or_else(|| total("summary: "))?.split_whitespace().next()?.parse().ok()
}
