//! Rounds to figures, figures to a table.

use crate::cases::{Case, How, Target};
use crate::floors;
use crate::measure::Cost;

/// What was measured of one case, a round an element.
#[derive(Default)]
pub struct Rounds {
    pub kvadm: Vec<Cost>,
    pub other: Vec<Cost>,
    pub floor: Vec<Cost>,
    pub bounded: Vec<Cost>,
    /// The gaps of the floor of a lock, milliseconds.
    pub floor_waits: Vec<f64>,
    /// Milliseconds beside kvadm and beside the other: a neighbour's longest put, how far a watcher was behind, or the
    /// gaps between the holders of a lock.
    pub waits: (Vec<f64>, Vec<f64>),
}

/// The heading of the table, Markdown.
pub const HEADING: &str = "\
| case | kvadm: wall (spread) / CPU / memory | etcdctl or the compared case | wall ratio (spread) | CPU ratio | ratio to floor | targets |
|---|---|---|---|---|---|---|";

/// How to read the tables.
pub const LEGEND: &str = "\
Each cell has the median wall time with the least and the greatest one, the median CPU time, and the greatest peak memory of one
process. The programs run in turn, and change places from round to round; ratios are medians of the ratios of the rounds. A first
round of less than 5 s is a warm-up and is not measured; a case takes no further round after 45 s. A floor is a bare gRPC client
that does what the case needs and prints nothing.";

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that so many hundredths of the sorted values are not above.
fn hundredth(sorted: &[f64], part: usize) -> f64 {
    sorted.get((sorted.len() * part / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    hundredth(&sorted(values), 50)
}

/// Round by round, so that a drift of the machine's speed cancels out.
fn ratios(a: &[Cost], b: &[Cost], figure: fn(&Cost) -> f64) -> Vec<f64> {
    sorted(a.iter().zip(b).map(|(a, b)| figure(a) / figure(b).max(1e-9)))
}

fn time(seconds: f64) -> String {
    if seconds < 0.2 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// As `4.3 (4.1-5.0) ms`.
fn span(seconds: impl Iterator<Item = f64>) -> String {
    let sorted = sorted(seconds);
    let half = hundredth(&sorted, 50);
    let (factor, digits, unit) = if half < 0.2 { (1e3, 1, "ms") } else { (1.0, 2, "s") };
    let show = |seconds: f64| format!("{:.digits$}", seconds * factor);
    let (least, most) = (hundredth(&sorted, 0), hundredth(&sorted, 100));
    format!("{} ({}-{}) {unit}", show(half), show(least), show(most))
}

fn costs(costs: &[Cost]) -> String {
    if costs.is_empty() {
        return "-".to_owned();
    }
    let wall = span(costs.iter().map(|cost| cost.wall));
    let cpu = median(costs.iter().map(|cost| cost.cpu));
    let memory = costs.iter().map(|cost| cost.memory).fold(0.0, f64::max);
    format!("{wall} / {} / {memory:.1} MiB", time(cpu))
}

/// As `1.71 (87.0 ms), bounded 1.20 (120.0 ms)`.
fn to_floors(rounds: &Rounds) -> String {
    let one = |label: &str, floor: &[Cost]| match ratios(&rounds.kvadm, floor, |cost| cost.wall)[..] {
        [] => None,
        ref ratios => {
            let wall = time(median(floor.iter().map(|cost| cost.wall)));
            Some(format!("{label}{:.2} ({wall})", hundredth(ratios, 50)))
        }
    };
    let found: Vec<String> = [one("", &rounds.floor), one("bounded ", &rounds.bounded)].into_iter().flatten().collect();
    if found.is_empty() { "-".to_owned() } else { found.join(", ") }
}

fn queue(gaps: &[f64]) -> String {
    let gaps = sorted(gaps.iter().copied());
    format!("p50 {:.1} ms, p90 {:.1} ms", hundredth(&gaps, 50), hundredth(&gaps, 90))
}

/// One row of the table.
pub fn row(case: &Case, rounds: &Rounds) -> String {
    if matches!(case.how, How::Queue | How::BackToBack) {
        let judged: Vec<String> = case.targets.iter().map(|target| shown(judge(*target, case, rounds))).collect();
        let ratio = median(rounds.waits.0.iter().copied()) / median(rounds.waits.1.iter().copied());
        let (ours, theirs) = (queue(&rounds.waits.0), queue(&rounds.waits.1));
        let floor = if rounds.floor_waits.is_empty() { "-".to_owned() } else { queue(&rounds.floor_waits) };
        return format!("| {} | {ours} | {theirs} | {ratio:.2} | - | {floor} | {} |", case.name, judged.join(", "));
    }
    let wall = ratios(&rounds.kvadm, &rounds.other, |cost| cost.wall);
    let short = |ratios: &[f64]| match ratios {
        [] => "-".to_owned(),
        some => format!("{:.2}", hundredth(some, 50)),
    };
    let spread = match (wall.first(), wall.last()) {
        (Some(least), Some(most)) => format!("{:.2} ({least:.2}-{most:.2})", hundredth(&wall, 50)),
        _ => "-".to_owned(),
    };
    let judged: Vec<String> = case.targets.iter().map(|target| shown(judge(*target, case, rounds))).collect();
    format!(
        "| {} | {} | {} | {spread} | {} | {} | {} |",
        case.name,
        costs(&rounds.kvadm),
        costs(&rounds.other),
        short(&ratios(&rounds.kvadm, &rounds.other, |cost| cost.cpu)),
        to_floors(rounds),
        judged.join(", ")
    )
}

fn shown((reached, what): (bool, String)) -> String {
    if reached { what } else { format!("**missed:** {what}") }
}

/// Whether the target is reached, and what it is.
fn judge(target: Target, case: &Case, rounds: &Rounds) -> (bool, String) {
    let ratio = |other: &[Cost], figure| hundredth(&ratios(&rounds.kvadm, other, figure), 50);
    let seconds = median(rounds.kvadm.iter().map(|cost| cost.wall));
    let most_of = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (ours, theirs) = (&rounds.waits.0, &rounds.waits.1);
    match target {
        Target::Wall(most) => (ratio(&rounds.other, |cost| cost.wall) <= most, format!("wall ≤ {most}")),
        Target::Cpu(most) => (ratio(&rounds.other, |cost| cost.cpu) <= most, format!("CPU ≤ {most}")),
        Target::Floor(most) => (ratio(&rounds.floor, |cost| cost.wall) <= most, format!("floor ≤ {most}")),
        Target::Millis(most) => (seconds * 1e3 <= most, format!("≤ {most} ms")),
        Target::Core(most) => {
            let share = median(rounds.kvadm.iter().map(|cost| cost.cpu / cost.wall.max(1e-9)));
            (share <= most, format!("{share:.3} ≤ {most} of a core"))
        }
        Target::Memory(most) => {
            (most_of(&rounds.kvadm.iter().map(|cost| cost.memory).collect::<Vec<_>>()) <= most, format!("≤ {most} MiB"))
        }
        Target::Rate(least) => {
            let rate = case.keys as f64 / seconds;
            (rate >= least, format!("{rate:.0} ≥ {least} keys/s"))
        }
        Target::Neighbour(most) => {
            let (ours, theirs) = (most_of(ours), most_of(theirs));
            (ours <= most, format!("another client's put {ours:.0} ≤ {most} ms (etcdctl {theirs:.0})"))
        }
        Target::Behind(most) => {
            let (ours, theirs) = (most_of(ours), most_of(theirs));
            (ours <= most, format!("lag {ours:.0} ≤ {most} ms (etcdctl {theirs:.0})"))
        }
        Target::Handoff(half, most) => {
            let gaps = sorted(ours.iter().copied());
            let reached = hundredth(&gaps, 50) <= half && hundredth(&gaps, 90) <= most;
            (reached, format!("p50 ≤ {half} ms, p90 ≤ {most} ms"))
        }
    }
}

/// The missed targets of a case, and what the floors say of them; `None` if all are reached.
pub fn missed(case: &Case, rounds: &Rounds) -> Option<String> {
    let (mut targets, mut sentences) = (Vec::new(), Vec::new());
    for target in &case.targets {
        if let (false, what) = judge(*target, case, rounds) {
            targets.push(what);
            sentences.extend(limit(*target, case, rounds).map(|sentence| format!(" {sentence}")));
        }
    }
    (!targets.is_empty()).then(|| format!("{}: {}.{}", case.name, targets.join(", "), sentences.concat()))
}

/// What the floor says of a missed target.
fn limit(target: Target, case: &Case, rounds: &Rounds) -> Option<String> {
    let ratio = |floor: &[Cost], other: &[Cost]| match ratios(floor, other, |cost| cost.wall)[..] {
        [] => None,
        ref ratios => Some(hundredth(ratios, 50)),
    };
    let meaning = case.floor.as_ref().map_or("no floor", floors::meaning);
    let verdict = |beyond: bool| if beyond { "the server is the limit" } else { "the server would allow it" };
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall));
    Some(match target {
        Target::Wall(most) => {
            let floor = ratio(&rounds.floor, &rounds.other)?;
            format!("The floor ({meaning}) takes {floor:.2} of the compared time: {}.", verdict(floor > most))
        }
        Target::Floor(most) => {
            let bounded = ratio(&rounds.bounded, &rounds.floor)?;
            let what = case.bounded.as_ref().map_or("", floors::meaning);
            format!("The bounded floor ({what}) takes {bounded:.2} of the floor's time: {}.", verdict(bounded > most))
        }
        Target::Millis(most) if !rounds.floor.is_empty() => {
            let floor = wall(&rounds.floor) * 1e3;
            format!("The floor ({meaning}) takes {floor:.1} ms: {}.", verdict(floor > most))
        }
        Target::Rate(least) if !rounds.floor.is_empty() => {
            let floor = case.keys as f64 / wall(&rounds.floor);
            format!("The floor ({meaning}) reaches {floor:.0} keys/s: {}.", verdict(floor < least))
        }
        Target::Handoff(half, most) if !rounds.floor_waits.is_empty() => {
            let gaps = sorted(rounds.floor_waits.iter().copied());
            let beyond = hundredth(&gaps, 50) > half || hundredth(&gaps, 90) > most;
            format!("The floor ({meaning}) takes {}: {}.", queue(&gaps), verdict(beyond))
        }
        _ => return None,
    })
}
