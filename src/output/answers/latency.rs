//! Records of `status --latency`.

use super::{Borrowed, Field, Record, Report, Tone, Value, Visibility, always, data, spare};

/// The probes of one kind at one member, of `status --latency`.
pub struct LatencyRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's name.
    pub name: &'a str,
    /// `serializable-read`, `linearizable-read` or `write`.
    pub probe: &'static str,
    /// The number of probes that were answered.
    pub count: u64,
    /// The number of probes that failed.
    pub failures: u64,
    /// The 50th, 90th and 99th percentile, and the longest time, in milliseconds.
    pub times_ms: Option<[f64; 4]>,
    /// How the times are spread; only on a terminal.
    pub spread: Option<&'a str>,
    /// Whether the user may not send such probes.
    pub denied: bool,
    /// Why the last failed probe failed.
    pub error: Option<&'a str>,
}

impl Record for LatencyRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let time = |index: usize| {
            self.times_ms.and_then(|times| times.get(index).copied()).map_or(Value::Absent, Value::Millis)
        };
        let (word, tone) = match (self.count, self.failures) {
            _ if self.denied => ("denied", Tone::Warning),
            (_, 0) => ("ok", Tone::Good),
            (0, _) => ("failed", Tone::Bad),
            _ => ("partial", Tone::Warning),
        };
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("name", Value::Str(self.name)));
        visit(always("probe", Value::Str(self.probe)));
        visit(always("state", Value::Word(word, tone)));
        visit(spare("count", Value::Uint(self.count)));
        visit(spare("failures", Value::Uint(self.failures)));
        visit(always("p50_ms", time(0)));
        visit(always("p90_ms", time(1)));
        visit(always("p99_ms", time(2)));
        visit(always("max_ms", time(3)));
        visit(Field { name: "spread", value: Value::str(self.spread), show: Visibility::Table });
        visit(data("error", Value::str(self.error)));
    }
}

/// `status --latency`.
pub struct LatencyAnswer<'a> {
    /// The length of the measurement, in milliseconds.
    pub took_ms: f64,
    /// Whether the measurement ended before its time.
    pub interrupted: bool,
    /// The probes, by member and kind.
    pub probes: &'a [LatencyRow<'a>],
    /// All problems found.
    pub complaints: &'a [String],
}

impl Record for LatencyAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("took_ms", Value::Millis(self.took_ms)));
        visit(data("interrupted", Value::Bool(self.interrupted)));
        visit(data("probes", Value::records(self.probes.iter())));
        visit(data("complaints", Value::Strings(self.complaints)));
    }
}

impl Report for LatencyAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.probes).collect()
    }

    fn remarks(&self) -> &[String] {
        self.complaints
    }
}
