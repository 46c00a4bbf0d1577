//! Rounds to figures, figures to a table.

use crate::cases::{Case, How, Target};
use crate::measure::Cost;

/// What was measured of one case, a round an element.
#[derive(Default)]
pub struct Rounds {
    pub kvadm: Vec<Cost>,
    pub other: Vec<Cost>,
    pub floor: Vec<Cost>,
    /// Milliseconds beside kvadm and beside the other: a neighbour's longest put, how far a watcher was behind, or the
    /// gaps between the holders of a lock.
    pub waits: (Vec<f64>, Vec<f64>),
    /// The handoffs of a lock by the least client, milliseconds.
    pub floor_waits: Vec<f64>,
}

/// The heading of the table, Markdown.
pub const HEADING: &str = "\
| case | kvadm: wall / CPU / memory | etcdctl or the compared case | wall ratio (spread) | CPU ratio | ratio to floor | targets |
|---|---|---|---|---|---|---|";

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

fn costs(costs: &[Cost]) -> String {
    if costs.is_empty() {
        return "-".to_owned();
    }
    let wall = median(costs.iter().map(|cost| cost.wall));
    let cpu = median(costs.iter().map(|cost| cost.cpu));
    let memory = costs.iter().map(|cost| cost.memory).fold(0.0, f64::max);
    format!("{} / {} / {memory:.1} MiB", time(wall), time(cpu))
}

fn queue(gaps: &[f64]) -> String {
    let gaps = sorted(gaps.iter().copied());
    format!("p50 {:.1} ms, p90 {:.1} ms", hundredth(&gaps, 50), hundredth(&gaps, 90))
}

/// One row of the table.
pub fn row(case: &Case, rounds: &Rounds) -> String {
    if matches!(case.how, How::Queue | How::BackToBack) {
        let judged: Vec<String> = case.targets.iter().map(|target| judge(*target, case, rounds)).collect();
        let ratio = median(rounds.waits.0.iter().copied()) / median(rounds.waits.1.iter().copied());
        let (ours, theirs) = (queue(&rounds.waits.0), queue(&rounds.waits.1));
        let floor = match rounds.floor_waits.as_slice() {
            [] => "-".to_owned(),
            waits => {
                let ratio = median(rounds.waits.0.iter().copied()) / median(waits.iter().copied());
                format!("{ratio:.2} ({})", queue(waits))
            }
        };
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
    let judged: Vec<String> = case.targets.iter().map(|target| judge(*target, case, rounds)).collect();
    format!(
        "| {} | {} | {} | {spread} | {} | {} | {} |",
        case.name,
        costs(&rounds.kvadm),
        costs(&rounds.other),
        short(&ratios(&rounds.kvadm, &rounds.other, |cost| cost.cpu)),
        short(&ratios(&rounds.kvadm, &rounds.floor, |cost| cost.wall)),
        judged.join(", ")
    )
}

fn judge(target: Target, case: &Case, rounds: &Rounds) -> String {
    let ratio = |other: &[Cost], figure| hundredth(&ratios(&rounds.kvadm, other, figure), 50);
    let seconds = median(rounds.kvadm.iter().map(|cost| cost.wall));
    let most_of = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (ours, theirs) = (&rounds.waits.0, &rounds.waits.1);
    let (reached, what) = match target {
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
    };
    if reached { what } else { format!("**missed:** {what}") }
}
