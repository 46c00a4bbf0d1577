//! kvadm administers etcd and the coordination state that clusters keep in it.
//!
//! Imports point one way: `main`, then this file, then `cli`, `context` and `commands`, then `kvstore`; `commands`
//! write through `output`. `etcd_client` is named only in `kvstore`; a test holds the rule.

pub mod allocator;
pub mod args;
pub mod boottime;
pub mod child;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod diagnose;
pub mod duration;
pub mod error;
#[cfg(test)]
mod fuzzing;
pub mod gc;
pub mod kvstore;
pub mod output;
pub mod proto;
pub mod signal;
pub mod transport;

use std::ffi::OsString;
use std::process::ExitCode;

use cli::Cli;
use context::Context;
use error::{Exit, Failure};
use output::{ColorChoice, Format, Out, Settings};
use signal::Signals;

/// The whole grammar; what help, completions and man pages are made of.
pub fn command() -> clap::Command {
    cli::command()
}

/// Runs the program on these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = child::internal(&args) {
        return code;
    }
    if let Some(result) = cli::complete::answer(&args) {
        let plain = Settings { format: None, color: ColorChoice::Auto, quiet: false, verbosity: 0, progress: false };
        return end(&Out::new(plain), None, result);
    }
    let cli = match cli::parse(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &args),
    };
    let out = Out::new(cli.global.output(cli.global.format()));
    if let Some(result) = cli.command.run_alone(&out) {
        return end(&out, None, result);
    }
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return end(&out, None, Err(Failure::from(error).context("cannot listen for signals"))),
    };
    let (out, result) = match prepare(&cli, out.clone(), &signals) {
        Ok(ctx) => {
            let result = on_runtime(&ctx, cli.command);
            (ctx.out, result)
        }
        Err(failure) => (out, Err(failure)),
    };
    end(&out, Some(&signals), result)
}

/// Help and version go to stdout and are no failure; everything else is wrong usage.
fn usage(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if error.use_stderr() && cli::usage::format_asked_for(args) == Some(Format::Json) {
        let color = ColorChoice::Never;
        let out = Settings { format: Some(Format::Json), color, quiet: false, verbosity: 0, progress: false };
        return end(&Out::new(out), None, Err(cli::usage::failure(error)));
    }
    let printed = error.print();
    if error.use_stderr() {
        // Where stderr is gone, nobody can be told so.
        return ExitCode::from(Exit::Usage.code());
    }
    let plain = Settings { format: None, color: ColorChoice::Auto, quiet: false, verbosity: 0, progress: false };
    end(&Out::new(plain), None, printed.map(|()| Exit::Done).map_err(Failure::from))
}

fn prepare(cli: &Cli, out: Out, signals: &Signals) -> Result<Context, Failure> {
    let config = config::load(&cli.global.overrides(), &config::Env::from_process())?;
    let out = match (cli.global.format(), config.output.as_deref().map(str::parse)) {
        (None, Some(Ok(format))) => Out::new(cli.global.output(Some(format))),
        (None, Some(Err(_))) => return Err(Failure::usage("the configured output format is unknown")),
        _ => out,
    };
    for warning in &config.warnings {
        out.warn(warning);
    }
    for detail in &config.details {
        out.detail(detail);
    }
    Ok(Context::new(config, out, signals.clone(), cli.safety, cli.global.deadline()))
}

fn on_runtime(ctx: &Context, command: cli::Command) -> Result<Exit, Failure> {
    // The command itself runs on this thread and may be held up for long by whoever reads its output. Connections and
    // requests run on another, so that their time does not run out meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::from(error).context("cannot start the runtime"))?;
    let result = runtime.block_on(command.run(ctx));
    // A thread that waits for stdin must not keep the program from ending.
    runtime.shutdown_background();
    result
}

/// Writes what is left to say and turns the result into the program's end: the one place that does.
fn end(out: &Out, signals: Option<&Signals>, result: Result<Exit, Failure>) -> ExitCode {
    // What was written before a failure is data too: the message may count it.
    let flushed = out.flush().map_err(Failure::from);
    let result = result.and_then(|exit| flushed.map(|()| exit));
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Done,
        Err(failure) => {
            out.error(&failure.view());
            failure.exit
        }
    };
    if exit == Exit::Interrupted
        && let Some(signals) = signals
    {
        signals.reraise();
    }
    ExitCode::from(exit.code())
}
