//! `kvadm check`: smoke checks for CI, cron, readiness probes and monitoring.

mod files;
mod reports;
mod rounds;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction};

use files::{FileSources, load_schemas, read_check_file};
use reports::{ReportTarget, answer_of, exit_of, parse_report, render_report, stdout_report, unjudged, write_files};
use rounds::{EndedRounds, evaluate};

use crate::args::parse_duration;
use crate::check::report::{ReportFormat, nagios_without_result, render_nagios_fault, summary_text};
use crate::check::{
    CheckFile, CheckItem, CheckReport, CheckRule, Evaluation, NamedRule, Notify, RuleSubject, Stage, explain_rules,
    file_schema, rule_list,
};
use crate::commands::proto::ProtoArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{CheckAnswer, CheckPlanRow, Out};

/// What a table of 80 columns shows of the texts of a rule, about.
const FITTING_CHARS: usize = 36;

const EXAMPLES: &str = "\
Examples:
  kvadm check smoke.yaml
  kvadm check smoke.yaml --wait 2m --report junit=report.xml
  kvadm check smoke.yaml --only members --report nagios
  kvadm check smoke.yaml --explain";

const FILE_FORMAT: &str = "

The file:
  checks:
    - {name: members, healthy: 3, no-alarms: true}
    - {name: mode, key: /app/mode, value: blue}
    - name: workers
      prefix: /app/workers/
      count: {at-least: 2}
      all-leased: true";

/// Examples, the file, and the list of all rules.
fn long_help() -> String {
    format!("{EXAMPLES}{FILE_FORMAT}{}", rule_list())
}

/// `--dry-run`, with what it means here.
fn dry_run_option() -> [Arg; 1] {
    let help = "Skip rules that write: 'quorum: write' and 'write-latency-below'";
    [Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help(help)]
}

/// Check assertions about the cluster and its keys, for CI and monitoring
///
/// FILE is a YAML file with a list of named checks. A check has one or more rules, and
/// passes if all of them hold. Rules about keys are judged at one revision: all checks
/// see the same state of the store.
///
/// A check fails if a rule does not hold, and is an error if a rule cannot be judged,
/// for example because a member does not answer. The table has a row for each check
/// that passes, and for each rule that does not hold.
///
/// The rules are listed below, each with an example; kvadm-check(5) describes them.
/// Unknown keys, wrong types and names that are used twice are errors with their line.
///
/// Exit codes:
///   0  all checks pass
///   1  a check fails, or does so when the time of --wait or --deadline is over
///   2  the file is not valid
///   3  no check fails, but the cluster, or a member, does not answer
///   4  no check fails, but a rule cannot be judged for another reason
///   6  all checks pass, but a report cannot be written
/// With --report nagios on stdout: 0 (OK), 2 (CRITICAL), 3 (UNKNOWN)
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = EXAMPLES,
    after_long_help = long_help(),
    args = dry_run_option()
)]
pub struct Args {
    /// Check file; - for stdin
    #[arg(value_name = "FILE", required_unless_present = "schema", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Run only the check with this name (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Report as junit, tap, nagios, prometheus or json, to stdout or a file (repeatable)
    ///
    /// Without =FILE, or with =-, the report goes to stdout instead of the table, which one report can do. FILE is replaced at
    /// once, so that a program that reads it, such as node_exporter, sees all of the old report or all of the new one. A new
    /// file can be read by others as the umask allows. A FIFO or a device is written to. If a report cannot be written, kvadm
    /// warns and prints the results all the same.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = parse_report)]
    report: Vec<ReportTarget>,
    /// Repeat until all checks pass, for up to D
    ///
    /// The first evaluation is always completed. A later one ends when the time is over; what it could not judge by then keeps
    /// the verdict of the evaluation before. After --deadline, Ctrl-C or SIGTERM kvadm prints the results of the last one.
    /// A rule changes-within waits in each evaluation again.
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Print what each rule reads and asks for; do not connect
    #[arg(long, conflicts_with_all = ["wait", "report"])]
    explain: bool,
    /// Print the JSON Schema of check files
    #[arg(long, exclusive = true)]
    schema: bool,
    #[command(flatten)]
    proto: ProtoArgs,
}

impl Args {
    /// Whether the verb needs neither the configuration nor a file.
    pub fn prints_schema(&self) -> bool {
        self.schema
    }
}

/// Prints the JSON Schema.
///
/// # Errors
/// The output is closed or full.
pub fn print_schema(out: &Out) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&file_schema()).unwrap_or_default();
    out.bytes(text.as_bytes())?;
    out.bytes(b"\n")?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Runs the verb.
///
/// # Errors
/// A file that is not valid, reports that cannot be written, a signal, or unusable TLS files.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.schema {
        return print_schema(&ctx.out);
    }
    let on_stdout = stdout_report(&args.report)?;
    let as_nagios = on_stdout.is_some_and(|target| target.format == Some(ReportFormat::Nagios));
    match run_checks(ctx, args, on_stdout).await {
        Ok(ended) => ended,
        Err(failure) if as_nagios => {
            ctx.out.bytes(nagios_without_result(&failure.one_line()).as_bytes())?;
            ctx.out.flush()?;
            if failure.exit == Exit::Interrupted {
                return Err(failure);
            }
            ctx.out.error(&failure.view());
            // A monitor takes the exit code 2 of a usage error for a critical state.
            Ok(Exit::Plugin(3))
        }
        Err(failure) => Err(failure),
    }
}

/// The inner result is that of a run whose results are printed already.
async fn run_checks(
    ctx: &Context,
    args: &Args,
    on_stdout: Option<&ReportTarget>,
) -> Result<Result<Exit, Failure>, Failure> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let mut file = read_check_file(ctx, path).await?;
    file.select(&args.only).map_err(|why| {
        Failure::usage(format!("--only: {why}")).hint(format!("'kvadm check {} --explain' lists the checks", file.name))
    })?;
    if args.explain {
        return explain(ctx, &file).map(Ok);
    }
    if let Some(database) = ctx.database() {
        refuse_cluster_rules(&file, &crate::kvstore::LocalStore::name(database))?;
    }
    let schemas = load_schemas(&file, path)?;
    let codec = args.proto.codec(ctx)?;
    ctx.limit_endless_connect(args.wait.unwrap_or(Duration::ZERO));
    if !ctx.safety.dry_run && file.rules().any(|(_, rule)| writes(&rule.rule)) {
        // The probe key is removed after a signal.
        ctx.signals.hold();
    }
    let out = ctx.out.clone();
    let notify: Notify = Arc::new(move |text| out.note(text));
    let sources = FileSources { ctx, check_file: path, codec: Arc::clone(&codec) };
    let evaluation = Evaluation {
        store: ctx.store().clone(),
        codec,
        schemas: &schemas,
        sources: &sources,
        dry_run: ctx.safety.dry_run,
        notify,
        stage: Stage::default(),
    };
    let EndedRounds { report, interrupted } = match evaluate(ctx, &evaluation, &file, args.wait).await {
        // An empty report would look like one without checks. Files keep their earlier report.
        Err(failure) if failure.exit == Exit::Interrupted => {
            if let Some(target) = on_stdout.filter(|target| target.format != Some(ReportFormat::Nagios)) {
                ctx.out.bytes(&render_report(&unjudged(&file), target.format))?;
                ctx.out.flush()?;
            }
            return Err(failure);
        }
        ended => ended?,
    };
    // Files first: a Nagios plugin says in its only line whether one of them is missing.
    let unwritten = write_files(ctx, &report, &args.report).await;
    // A signal may end the wait for the reader of a FIFO.
    let signalled = || ctx.signals.cancel().is_cancelled().then(|| Failure::new(Exit::Interrupted, "interrupted"));
    let interrupted = interrupted.or_else(signalled);
    if interrupted.is_some() && on_stdout.is_none() {
        ctx.out.note("interrupted: these are the results of the last evaluation");
    }
    let shown = match on_stdout {
        Some(ReportTarget { format: Some(ReportFormat::Nagios), .. }) if interrupted.is_some() => {
            let line = nagios_without_result(&format!("interrupted; the last results: {}", summary_text(&report)));
            ctx.out.bytes(line.as_bytes()).and_then(|()| ctx.out.flush()).map_err(Failure::from)
        }
        on_stdout => show(ctx, &report, on_stdout, unwritten.as_deref()),
    };
    match shown {
        // A reader that has gone does not change what the checks have found.
        Err(failure) if failure.is_broken_pipe() => {}
        shown => shown?,
    }
    let as_nagios = on_stdout.is_some_and(|target| target.format == Some(ReportFormat::Nagios));
    Ok(match (interrupted, exit_of(&report, as_nagios), unwritten) {
        (Some(failure), ..) => Err(failure),
        (None, Exit::Done, Some(_)) if as_nagios => Ok(Exit::Plugin(3)),
        (None, Exit::Done, Some(_)) => Ok(Exit::Partial),
        (None, exit, _) => Ok(exit),
    })
}

/// Prints the results. `fault` is why a Nagios plugin cannot vouch for them.
fn show(
    ctx: &Context,
    report: &CheckReport,
    on_stdout: Option<&ReportTarget>,
    fault: Option<&str>,
) -> Result<(), Failure> {
    match (on_stdout, fault) {
        (Some(ReportTarget { format: Some(ReportFormat::Nagios), .. }), Some(why)) => {
            ctx.out.bytes(&render_nagios_fault(report, why))?;
            ctx.out.flush()?;
        }
        (Some(target), _) => {
            ctx.out.bytes(&render_report(report, target.format))?;
            ctx.out.flush()?;
        }
        (None, _) => {
            let answer = answer_of(report);
            ctx.out.report(&answer)?;
            if ctx.out.is_terminal() && !ctx.out.is_data() {
                print_long(ctx, &answer);
            }
        }
    }
    if !ctx.out.is_data() {
        let at = report.revision.map_or_else(String::new, |revision| format!(" (revision {revision})"));
        ctx.out.note(&format!("{}{at}", summary_text(report)));
    }
    Ok(())
}

/// Prints what a narrow table may have cut.
fn print_long(ctx: &Context, answer: &CheckAnswer) {
    for (check, rule) in answer.checks.iter().flat_map(|check| check.rules.iter().map(move |rule| (check, rule))) {
        let found = rule.found.as_ref().or(rule.error.as_ref());
        let (expected, found) = (rule.expected.as_deref().unwrap_or_default(), found.map_or("", String::as_str));
        if expected.chars().count() + found.chars().count() > FITTING_CHARS {
            let expected = if expected.is_empty() { String::new() } else { format!("expected {expected}, found ") };
            ctx.out.plain_note(&format!("{}: {}: {expected}{found}", check.name, rule.rule));
        }
    }
}

fn explain(ctx: &Context, file: &CheckFile) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for row in explain_rules(file) {
        sink.push(&CheckPlanRow {
            check: &row.check,
            line: row.line,
            rule: row.rule,
            reads: &row.reads,
            expected: &row.expected,
        })?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

/// Whether the rule writes to the store.
fn writes(rule: &CheckRule) -> bool {
    matches!(rule, CheckRule::WriteLatencyBelow(_))
}

/// A database file has keys, but no members, no leases that count down, and no changes.
fn refuse_cluster_rules(file: &CheckFile, database: &str) -> Result<(), Failure> {
    let needs_cluster = |rule: &NamedRule| {
        rule.info.subject == RuleSubject::Cluster
            || matches!(rule.rule, CheckRule::ChangesWithin(_) | CheckRule::LeaseLeftAtLeast(_))
    };
    let Some((check, rule)) = file.rules().find(|(_, rule)| needs_cluster(rule)) else { return Ok(()) };
    let asks = |check: &CheckItem| check.rules.iter().any(needs_cluster);
    let possible: Vec<&str> =
        file.checks.iter().filter(|check| !asks(check)).map(|check| check.name.as_str()).collect();
    let message = format!(
        "{}:{}: check '{}': the rule '{}' needs a cluster, and {database} is a database file",
        file.name,
        check.line,
        check.name.escape_debug(),
        rule.info.name
    );
    let failure = Failure::usage(message);
    Err(match possible.as_slice() {
        [] => failure.hint("omit --db to check the cluster"),
        names => failure.hint(format!("choose the checks about keys with --only: {}", names.join(", "))),
    })
}
