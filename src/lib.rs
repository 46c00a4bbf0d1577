//! kvadm administers etcd and the coordination state that clusters keep in it.
//!
//! Imports point one way: `main`, then this file, then `cli`, `context` and `commands`, then `kvstore`; `commands`
//! write through `output`. `etcd_client` is named only in `kvstore`; a test holds the rule.

pub mod boottime;
pub mod child;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod error;
pub mod kvstore;
pub mod manual;
pub mod output;
pub mod signal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::Cli;
use context::Context;
use error::{Exit, Failure};
use output::Out;
use signal::Signals;

/// The whole grammar; what help, completions and man pages are made of.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program on these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = child::internal(&args) {
        return code;
    }
    let cli = match command().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let out = Out::new(cli.global.output(cli.global.format()));
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
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(Exit::Bug.code()),
        _ => ExitCode::from(code.code()),
    }
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
    Ok(Context::new(config, out, signals.clone(), cli.global.safety(), cli.global.deadline()))
}

fn on_runtime(ctx: &Context, command: cli::Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from(error).context("cannot start the runtime"))?;
    let result = runtime.block_on(commands::run(ctx, command));
    // A thread that waits for stdin must not keep the program from ending.
    runtime.shutdown_background();
    result
}

/// Writes what is left to say and turns the result into the program's end: the one place that does.
fn end(out: &Out, signals: Option<&Signals>, result: Result<Exit, Failure>) -> ExitCode {
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
