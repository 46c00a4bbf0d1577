//! The reports of checks, read by the parsers of their formats: whatever the names and values are, the same is read back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use kvadm::check::report::{ReportFormat, nagios_exit_code, render};
use kvadm::check::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit, RuleOutcome, RuleState};
use kvadm::output::{is_safe, sanitize};
use kvadm::time::Time;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::support::binary::python;

/// Texts that mean something in one of the formats.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "# skip",
    "a # SKIP b",
    "a \\# todo",
    "#Skip",
    "##  TODO x",
    "\\",
    "\"",
    "'",
    "''",
    "=",
    "a|b=1;2",
    "]]>",
    "<![CDATA[x]]>",
    "<!-- -- -->",
    "&amp;",
    "&#10;",
    "a\nb",
    "a\r\nb",
    "\n",
    "\t x\t",
    "\n  ...\n",
    "\nnot ok 1 - x",
    "\nBail out! x",
    "1..0",
    "ok 1",
    "---",
    "x\u{0}y",
    "\u{1b}[2J\u{1b}]52;c;eA==\u{7}",
    "\u{9b}2J",
    "\u{85}",
    "\u{2028}",
    "\u{202e}txt",
    "\u{fffe}\u{ffff}",
    "\u{feff}bom",
    "\u{1f980}",
    "\u{10ffff}",
    "grüße",
    "{\"a\": 1}",
    "yes",
    "null",
    "%s%n",
    "$(id)",
];

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        proptest::sample::select(HOSTILE).prop_map(str::to_owned),
        any::<String>(),
        "[a-z]{1,8}",
        proptest::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

fn state() -> impl Strategy<Value = RuleState> {
    prop_oneof![
        2 => Just(RuleState::Pass),
        2 => (text(), text()).prop_map(|(expected, found)| RuleState::Fail { expected, found }),
        1 => text().prop_map(|why| RuleState::Error { why, exit_code: 3 }),
        1 => text().prop_map(|why| RuleState::Skipped { why }),
    ]
}

fn measure() -> impl Strategy<Value = Measure> {
    let value = prop_oneof![
        4 => -1e6..1e12,
        1 => proptest::sample::select(vec![0.0, -0.0, 1e300, 1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ];
    let unit = proptest::sample::select(vec![
        MeasureUnit::Count,
        MeasureUnit::Seconds,
        MeasureUnit::Bytes,
        MeasureUnit::Percent,
    ]);
    (value, unit, proptest::option::of(0.0..1e9)).prop_map(|(value, unit, limit)| Measure { value, unit, limit })
}

fn check() -> impl Strategy<Value = CheckOutcome> {
    let rules = proptest::collection::vec((state(), proptest::option::of(measure())), 1..4).prop_map(|rules| {
        let names = ["healthy", "quota-below", "count", "same-version"];
        let rule = |((state, measure), rule)| RuleOutcome { rule, state, measure };
        rules.into_iter().zip(names).map(rule).collect()
    });
    let took = (0u64..100_000_000).prop_map(Duration::from_micros);
    (text(), 1u64..1000, took, rules).prop_map(|(name, line, took, rules)| CheckOutcome { name, line, took, rules })
}

fn report() -> impl Strategy<Value = CheckReport> {
    let checks = proptest::collection::vec(check(), 0..8).prop_map(|checks| {
        let mut names = BTreeSet::new();
        checks.into_iter().filter(|check: &CheckOutcome| names.insert(check.name.clone())).collect::<Vec<_>>()
    });
    let time = (0i64..4_000_000_000, 0u32..999_999_999).prop_map(|(secs, nanos)| Time { secs, nanos });
    (text(), time, any::<Option<u64>>(), proptest::option::of(1i64..), checks).prop_map(
        |(file, time, cluster, revision, checks)| {
            let took = checks.iter().map(|check| check.took).sum();
            CheckReport { file, time, took, cluster, revision, checks }
        },
    )
}

/// The same random reports in each run.
fn reports(count: usize) -> Vec<CheckReport> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| report().new_tree(&mut runner).unwrap().current()).collect()
}

/// What the parser of the format reads, one value per report.
fn read(reports: &[CheckReport], format: ReportFormat, name: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/junit.xsd");
    let mut args = vec![name.into(), schema.into_os_string()];
    for (index, report) in reports.iter().enumerate() {
        let path = folder.path().join(index.to_string());
        let bytes = render(report, format);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.ends_with('\n'), "{report:?}");
        assert!(text.chars().all(|c| is_safe(c, true) && c != '\t'), "a terminal would act upon {text:?}");
        std::fs::write(&path, bytes).unwrap();
        args.push(path.into_os_string());
    }
    let printed = python("read_reports.py", args, b"");
    let values: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), reports.len());
    values
}

/// What the rules with the state of the check say.
fn message(check: &CheckOutcome) -> String {
    let state = check.state();
    let sentences = check.rules.iter().filter_map(|rule| match (&rule.state, state) {
        (RuleState::Fail { expected, found }, CheckState::Fail) => {
            Some(format!("{}: expected {expected}, found {found}", rule.rule))
        }
        (RuleState::Error { why, .. }, CheckState::Error) => Some(format!("{}: cannot be judged: {why}", rule.rule)),
        (RuleState::Skipped { why }, CheckState::Skipped) => Some(format!("{}: skipped: {why}", rule.rule)),
        _ => None,
    });
    sentences.collect::<Vec<_>>().join("; ")
}

/// How many checks have this state.
fn count(report: &CheckReport, state: CheckState) -> usize {
    report.checks.iter().filter(|check| check.state() == state).count()
}

/// Characters that XML cannot hold are replaced.
fn of_xml(text: &str) -> String {
    let is_held = |c: char| matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    text.chars().map(|c| if is_held(c) { c } else { '\u{fffd}' }).collect()
}

#[test]
fn junit_is_valid_and_says_what_was_found() {
    let reports = reports(150);
    for (report, read) in reports.iter().zip(read(&reports, ReportFormat::Junit, "junit")) {
        let cases = read["cases"].as_array().unwrap();
        assert_eq!(cases.len(), report.checks.len());
        for (check, case) in report.checks.iter().zip(cases) {
            assert_eq!(case["name"], of_xml(&check.name));
            assert_eq!(case["time"], format!("{:.3}", check.took.as_secs_f64()));
            let state = match check.state() {
                CheckState::Fail => "failure",
                other => other.as_str(),
            };
            assert_eq!(case["state"], state);
            if check.state() != CheckState::Pass {
                assert_eq!(case["message"], of_xml(&message(check)));
                let text = case["text"].as_str().unwrap();
                let first = of_xml(&format!("{}:{}\n", report.file, check.line));
                assert!(text.starts_with(&first), "{text:?} {first:?}");
                for rule in &check.rules {
                    assert!(text.contains(rule.rule), "{text:?}");
                }
            }
        }
        let suite = &read["suite"];
        for (attribute, state) in
            [("failures", CheckState::Fail), ("errors", CheckState::Error), ("skipped", CheckState::Skipped)]
        {
            assert_eq!(suite[attribute], count(report, state).to_string(), "{attribute}");
        }
        assert_eq!(suite["tests"], report.checks.len().to_string());
        assert_eq!(read["suites"]["failures"], suite["failures"]);
        let properties = &read["properties"];
        assert_eq!(properties["file"], of_xml(&report.file));
        assert_eq!(properties["time"], format!("{:.3}", report.time));
        assert_eq!(properties["cluster"], json!(report.cluster.map(|id| format!("{id:x}"))));
        assert_eq!(properties["revision"], json!(report.revision.map(|revision| revision.to_string())));
    }
}

/// A number that the reader prints, who writes what JSON cannot hold as text.
fn same_number(read: &Value, value: f64) -> bool {
    let read = match read {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    };
    (read.is_nan() && value.is_nan()) || read == value || (read - value).abs() <= value.abs() * 1e-12
}

#[test]
fn tap_is_read_back_and_no_text_becomes_a_directive() {
    let reports = reports(150);
    for (report, read) in reports.iter().zip(read(&reports, ReportFormat::Tap, "tap")) {
        assert_eq!((&read["version"], &read["plan"]), (&json!(14), &json!(report.checks.len())));
        let points = read["points"].as_array().unwrap();
        assert_eq!(points.len(), report.checks.len());
        for (index, (check, point)) in report.checks.iter().zip(points).enumerate() {
            let state = check.state();
            assert_eq!(point["number"], index + 1);
            assert_eq!(point["ok"], matches!(state, CheckState::Pass | CheckState::Skipped), "{point}");
            assert_eq!(
                (&point["skip"], &point["todo"]),
                (&json!(state == CheckState::Skipped), &json!(false)),
                "{point}"
            );
            let block = &point["block"];
            assert_eq!((&block["name"], &block["state"]), (&json!(check.name), &json!(state.as_str())));
            assert_eq!(block["line"], check.line);
            assert!(same_number(&block["duration_ms"], check.took.as_micros() as f64 / 1000.0), "{block}");
            let expected = message(check);
            assert_eq!(block["message"], if expected.is_empty() { Value::Null } else { expected.into() });
            let rules = block["rules"].as_array().unwrap();
            for (rule, read) in check.rules.iter().zip(rules) {
                assert_eq!(read["rule"], rule.rule);
                match &rule.state {
                    RuleState::Pass => assert_eq!(read["state"], "pass"),
                    RuleState::Fail { expected, found } => {
                        assert_eq!((&read["expected"], &read["found"]), (&json!(expected), &json!(found)));
                    }
                    RuleState::Error { why, .. } | RuleState::Skipped { why } => assert_eq!(read["why"], *why),
                }
                match &rule.measure {
                    Some(measure) => assert!(same_number(&read["value"], measure.value), "{read} {measure:?}"),
                    None => assert!(read.get("value").is_none()),
                }
            }
        }
        let comments = read["comments"].as_array().unwrap();
        assert!(comments.contains(&json!(format!("# file: {}", sanitize(report.file.as_bytes(), false)).trim_end())));
    }
}

/// A label as the Prometheus report has it: what a terminal acts upon is escaped, newlines stay.
fn label(text: &str) -> String {
    text.split('\n').map(|line| sanitize(line.as_bytes(), false)).collect::<Vec<_>>().join("\n")
}

#[test]
fn prometheus_reads_each_series_once_in_base_units() {
    let reports = reports(150);
    for (report, read) in reports.iter().zip(read(&reports, ReportFormat::Prometheus, "prometheus")) {
        let mut samples = BTreeMap::new();
        for family in read["families"].as_array().unwrap() {
            assert_eq!(family["type"], "gauge", "{family}");
            assert!(family["help"].as_str().unwrap().ends_with('.'), "{family}");
            for sample in family["samples"].as_array().unwrap() {
                let of = |name: &str| sample["labels"].get(name).map(|value| value.as_str().unwrap().to_owned());
                assert_eq!(of("file").unwrap(), label(&report.file));
                let series = (sample["name"].as_str().unwrap().to_owned(), of("check"), of("rule"));
                assert!(samples.insert(series, sample["value"].clone()).is_none(), "twice: {sample}");
            }
        }
        let find = |name: &str, check: &str, rule: Option<&str>| {
            samples.get(&(name.to_owned(), Some(label(check)), rule.map(str::to_owned)))
        };
        for check in &report.checks {
            let state = check.state();
            // Two names may differ only in what is not printed.
            if report.checks.iter().filter(|other| label(&other.name) == label(&check.name)).count() > 1 {
                continue;
            }
            let flag = |name| find(name, &check.name, None).map(|value| value.as_f64().unwrap() == 1.0);
            let success = (state != CheckState::Skipped).then_some(state == CheckState::Pass);
            assert_eq!(flag("kvadm_check_success"), success);
            assert_eq!(flag("kvadm_check_error"), Some(state == CheckState::Error));
            assert_eq!(flag("kvadm_check_skipped"), Some(state == CheckState::Skipped));
            for rule in &check.rules {
                let Some(measure) = &rule.measure else { continue };
                let (suffix, factor) = match measure.unit {
                    MeasureUnit::Count => ("count", 1.0),
                    MeasureUnit::Seconds => ("seconds", 1.0),
                    MeasureUnit::Bytes => ("bytes", 1.0),
                    MeasureUnit::Percent => ("ratio", 0.01),
                };
                let of = |what| find(&format!("kvadm_check_{what}_{suffix}"), &check.name, Some(rule.rule));
                assert!(same_number(of("measure").unwrap(), measure.value * factor), "{measure:?} {samples:?}");
                match measure.limit {
                    Some(limit) => assert!(same_number(of("limit").unwrap(), limit * factor)),
                    None => assert!(of("limit").is_none()),
                }
            }
        }
        let success = samples.keys().filter(|(name, _, _)| name == "kvadm_check_success").count();
        assert_eq!(success, report.checks.len() - count(report, CheckState::Skipped));
        let whole = |name: &str| samples.get(&(name.to_owned(), None, None)).and_then(Value::as_f64);
        let time = report.time.secs as f64 + f64::from(report.time.nanos / 1_000_000) / 1000.0;
        assert_eq!(whole("kvadm_check_last_run_timestamp_seconds"), Some(time));
        assert_eq!(whole("kvadm_check_revision"), report.revision.map(|revision| revision as f64));
    }
}

/// A plugin's output by the guidelines of the Monitoring Plugins.
#[derive(Debug)]
struct PluginOutput {
    state: String,
    status: String,
    /// Label, value and unit.
    performance: Vec<(String, String, String)>,
    long: Vec<String>,
}

/// Reads `TEXT|'label'=value[UOM];[warn];[crit];[min];[max] …`, then long output without a second `|`.
fn plugin_output(text: &str) -> PluginOutput {
    let (first, long) = text.split_once('\n').unwrap();
    let (status, mut data) = first.split_once('|').unwrap();
    assert!(!data.contains('|') && !long.contains('|'), "{text:?}");
    let state = status.strip_prefix("KVADM ").unwrap().split(' ').next().unwrap().to_owned();
    let mut performance = Vec::new();
    while !data.is_empty() {
        let mut label = String::new();
        if let Some(mut rest) = data.strip_prefix('\'') {
            loop {
                let (part, after) = rest.split_once('\'').unwrap();
                label.push_str(part);
                match after.strip_prefix('\'') {
                    Some(more) => {
                        label.push('\'');
                        rest = more;
                    }
                    None => {
                        data = after;
                        break;
                    }
                }
            }
        } else {
            let end = data.find('=').unwrap();
            label.push_str(&data[..end]);
            assert!(!label.contains([' ', '\'']), "{label}");
            data = &data[end..];
        }
        assert!(!label.contains('='), "{label}");
        data = data.strip_prefix('=').unwrap_or_else(|| panic!("no value: {data:?}"));
        let (item, rest) = data.split_once(' ').unwrap_or((data, ""));
        data = rest;
        let value = item.split(';').next().unwrap();
        let unit = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
        assert!(["", "s", "B", "%", "U"].contains(&unit), "{item}");
        assert!(unit != "U" || value == "U", "{item}");
        performance.push((label, value.trim_end_matches(unit).to_owned(), unit.to_owned()));
    }
    PluginOutput { state, status: status.to_owned(), performance, long: long.lines().map(str::to_owned).collect() }
}

/// Undoes the escapes of the plugin's output.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, length) = match after.as_bytes()[0] {
            b'\\' => ('\\', 1),
            b'n' => ('\n', 1),
            b't' => ('\t', 1),
            b'r' => ('\r', 1),
            b'x' => (char::from(u8::from_str_radix(&after[1..3], 16).unwrap()), 3),
            b'u' => {
                let end = after.find('}').unwrap();
                (char::from_u32(u32::from_str_radix(&after[2..end], 16).unwrap()).unwrap(), end + 1)
            }
            other => panic!("an unknown escape: {other}"),
        };
        out.push(c);
        rest = &after[length..];
    }
    out + rest
}

#[test]
fn nagios_output_follows_the_guidelines_whatever_it_quotes() {
    for report in &reports(600) {
        let text = String::from_utf8(render(report, ReportFormat::Nagios)).unwrap();
        assert!(text.len() <= 8192, "{}", text.len());
        assert!(text.chars().all(|c| is_safe(c, true) && c != '\t'), "{text:?}");
        let output = plugin_output(&text);
        let (failed, errors) = (count(report, CheckState::Fail), count(report, CheckState::Error));
        let (state, code) = match (failed, errors) {
            (0, 0) => ("OK", 0),
            (0, _) => ("UNKNOWN", 3),
            _ => ("CRITICAL", 2),
        };
        assert_eq!((output.state.as_str(), nagios_exit_code(report)), (state, code));
        assert!(output.status.len() <= 500, "{}", output.status);
        if failed > 0 {
            assert!(output.status.contains(&format!("{failed} of {} check", report.checks.len())), "{output:?}");
        }
        let of = |label: &str| output.performance.iter().find(|(name, _, _)| name == label).unwrap().1.clone();
        assert_eq!((of("failed"), of("errors")), (failed.to_string(), errors.to_string()));
        if text.len() < 3500 {
            let bad = report.checks.iter().filter(|check| check.state() != CheckState::Pass);
            let expected = bad.map(|check| format!("{}: {}: {}", check.state().as_str(), check.name, message(check)));
            let read: Vec<String> = output.long.iter().map(|line| unescaped(line)).collect();
            assert!(
                expected.zip(&read).all(|(expected, read)| expected == *read || read.ends_with("...")),
                "{output:?}"
            );
            let mut labels = report.checks.iter().flat_map(|check| {
                let measured = check.rules.iter().filter(|rule| rule.measure.is_some());
                measured.map(move |rule| format!("{} {}", check.name, rule.rule))
            });
            let mut read = output.performance.iter().skip(5).map(|(label, _, _)| unescaped(label));
            assert!(labels.by_ref().eq(read.by_ref()), "{output:?}");
        }
    }
}

/// Ten thousand failed checks, and one with names of a megabyte.
#[test]
fn nagios_output_is_bounded() {
    let fail = |text: &str| RuleState::Fail { expected: text.to_owned(), found: text.to_owned() };
    let check = |name: String, text: &str| {
        let measure = Some(Measure { value: 1.0, unit: MeasureUnit::Count, limit: None });
        let rules = vec![RuleOutcome { rule: "healthy", state: fail(text), measure }];
        CheckOutcome { name, line: 1, took: Duration::ZERO, rules }
    };
    let report = |checks| {
        let (file, time, took) = ("checks.yaml".to_owned(), Time::default(), Duration::ZERO);
        CheckReport { file, time, took, cluster: None, revision: None, checks }
    };
    let many = report((0..10_000).map(|at| check(format!("check {at}"), "3")).collect());
    let long = report(vec![check("ü|'=".repeat(250_000), &"\u{1b}".repeat(1_000_000)), check("b".to_owned(), "1")]);
    for (report, names) in [(many, "check 0, check 1, "), (long, "ü\\x7c'=")] {
        let text = String::from_utf8(render(&report, ReportFormat::Nagios)).unwrap();
        assert!(text.len() <= 8192 && text.len() > 300, "{}", text.len());
        let output = plugin_output(&text);
        assert!(output.status.contains(names) && output.status.len() <= 500, "{output:?}");
    }
}

/// A report that people read: its whole text in each format.
#[test]
fn a_report_as_its_reader_sees_it() {
    let rule = |rule, state, measure| RuleOutcome { rule, state, measure };
    let took = Duration::from_millis(12);
    let healthy = RuleState::Fail { expected: "3 healthy members".into(), found: "2".into() };
    let error = RuleState::Error { why: "the user may not read HashKV".into(), exit_code: 4 };
    let skipped = RuleState::Skipped { why: "--dry-run".into() };
    let share = Some(Measure { value: 41.5, unit: MeasureUnit::Percent, limit: Some(80.0) });
    let members = vec![rule("healthy", healthy, None), rule("quota-below", RuleState::Pass, share)];
    let report = CheckReport {
        file: "checks.yaml".to_owned(),
        time: Time::from_secs(1_790_000_000),
        took: Duration::from_millis(150),
        cluster: Some(0xcdf8_181e_3277_ddf8),
        revision: Some(4711),
        checks: vec![
            CheckOutcome { name: "members".to_owned(), line: 2, took, rules: members },
            CheckOutcome { name: "flag".to_owned(), line: 5, took, rules: vec![rule("value", RuleState::Pass, None)] },
            CheckOutcome { name: "consistent".to_owned(), line: 6, took, rules: vec![rule("consistent", error, None)] },
            CheckOutcome {
                name: "write".to_owned(),
                line: 9,
                took,
                rules: vec![rule("write-latency-below", skipped, None)],
            },
        ],
    };
    let formats = [ReportFormat::Junit, ReportFormat::Tap, ReportFormat::Nagios, ReportFormat::Prometheus];
    let texts = formats.map(|format| format!("{format:?}:\n{}", String::from_utf8(render(&report, format)).unwrap()));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("support/reports");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(texts.join("\n")));
}
