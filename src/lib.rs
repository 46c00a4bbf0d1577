//! kvadm administers etcd and the coordination state that clusters keep in it.
//!
//! Imports point one way: `main`, this file, `cli`, `commands`, `context`, `kvstore`, `transport`. Commands write through
//! `output`, and only `kvstore` names `etcd_client`. `tests/house/mod.rs` checks these rules.

pub mod access;
pub mod activity;
pub mod allocator;
pub mod args;
pub mod atomic_file;
pub mod backup;
pub mod boottime;
pub mod bounded_file;
pub mod check;
pub mod child;
pub mod cli;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod consent;
pub mod context;
pub mod diagnose;
pub mod duration;
pub mod error;
pub mod escaped;
#[cfg(test)]
mod fuzzing;
pub mod gc;
pub mod health;
pub mod kvstore;
pub mod output;
pub mod plural;
pub mod proto;
pub mod regular_expression;
pub mod shell;
pub mod signal;
pub mod size;
pub mod sync;
pub mod time;
pub mod transport;
pub mod unique_names;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use backup::Database;
use cli::Cli;
use commands::config::ConfigScope;
use config::{Config, ConfigError, Env, Overrides};
use context::Context;
use error::{Exit, Failure};
use output::{Format, Out, Settings};
use signal::Signals;

/// The command-line grammar, from which help, completions and man pages are generated.
pub fn command() -> clap::Command {
    cli::command()
}

/// Runs the program with these arguments, of which the first is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = child::internal(&args) {
        return code;
    }
    if let Some(result) = cli::complete::answer(&args) {
        return end(&Out::new(Settings::default()), None, result);
    }
    let cli = match cli::parse(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &args),
    };
    let out = Out::new(cli.global.output(cli.global.format()));
    if let Some(result) = cli.command.run_alone(&out) {
        return end(&out, None, result);
    }
    if let Err(error) = check_descriptors() {
        return end(&out, None, Err(Failure::no_resources("too few file descriptors are left to run", error)));
    }
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return end(&out, None, Err(Failure::no_resources("cannot install signal handlers", error))),
    };
    let (out, result) = match prepare(&cli, out.clone(), &signals) {
        Ok(ctx) => {
            let result = on_runtime(&ctx, cli.command);
            let result = result.map_err(|failure| match ctx.config.context_option() {
                Some(name) => failure.in_context(&name),
                None => failure,
            });
            (ctx.out, result)
        }
        Err(failure) => (out, Err(failure)),
    };
    end(&out, Some(&signals), result)
}

/// Whether one more thread can be started. tokio panics if its worker is refused.
fn check_threads() -> io::Result<()> {
    // The thread does nothing that could fail.
    let _ = thread::Builder::new().spawn(|| {})?.join();
    Ok(())
}

/// Whether as many file descriptors are left as a command needs to start: seven for the runtime, two for signals, and some
/// for files and connections. tokio panics if one of its own is refused.
fn check_descriptors() -> io::Result<()> {
    const NEEDED: usize = 14;
    let stdin = io::stdin();
    let spare: io::Result<Vec<_>> = (0..NEEDED).map(|_| stdin.as_fd().try_clone_to_owned()).collect();
    spare.map(drop)
}

/// Prints help and version to stdout, which is a success, and anything else as a usage error.
fn usage(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if error.use_stderr() && cli::usage::requested_format(args) == Some(Format::Json) {
        let settings = Settings { format: Some(Format::Json), ..Settings::default() };
        return end(&Out::new(settings), None, Err(cli::usage::failure(error)));
    }
    let printed = error.print();
    if error.use_stderr() {
        // A failed write to stderr cannot be reported anywhere.
        return ExitCode::from(Exit::Usage.code());
    }
    end(&Out::new(Settings::default()), None, printed.map(|()| Exit::Done).map_err(Failure::from))
}

fn prepare(cli: &Cli, out: Out, signals: &Signals) -> Result<Context, Failure> {
    let config = load_config(cli, &out)?;
    let out = match (cli.global.format(), config.output.as_deref().map(str::parse)) {
        (None, Some(Ok(format))) => Out::new(cli.global.output(Some(format))),
        (None, Some(Err(_))) => return Err(Failure::usage("the configured output format is unknown")),
        _ => out,
    };
    for warning in &config.warnings {
        out.warn(warning);
    }
    for warning in &config.insecure {
        out.warn_always(warning);
    }
    for detail in &config.details {
        out.detail(detail);
    }
    let database = match cli.global.database() {
        Some(path) => Some(open_database(cli, path, &out, signals)?),
        None => None,
    };
    Ok(Context::new(config, out, signals.clone(), cli.safety, cli.global.deadline()).with_database(database))
}

/// Loads the configuration. 'snapshot verify' needs nothing of it, so that a wrong one does not keep a backup from being
/// verified.
fn load_config(cli: &Cli, out: &Out) -> Result<Config, ConfigError> {
    let (mut overrides, env) = (cli.global.overrides(), Env::from_process());
    match cli.command.config_scope() {
        ConfigScope::Effective => {}
        ConfigScope::Context(name) if overrides.context.is_none() && overrides.config.is_none() => {
            overrides.context = Some(name.to_owned());
        }
        ConfigScope::Context(_) => {}
        ConfigScope::Options => return load_without_file(overrides, &env, &env.only_paths()),
        ConfigScope::WithoutFile => return load_without_file(overrides, &env, &env),
    }
    match config::load(&overrides, &env) {
        Err(error) if cli.verb == "snapshot verify" => {
            let defaults = config::load(&Overrides::default(), &Env::default())?;
            out.warn(&format!("the configuration is not used: {error}"));
            Ok(defaults)
        }
        loaded => loaded.inspect_err(|error| error.warnings.iter().for_each(|warning| out.warn(warning))),
    }
}

/// Loads the configuration for a verb about contexts. A file that is wrong, or missing, does not matter to it.
fn load_without_file(overrides: Overrides, env: &Env, used: &Env) -> Result<Config, ConfigError> {
    let chosen = config::chosen_file(&overrides, env);
    let alone = Overrides { without_file: true, config: None, context: None, ..overrides };
    let mut config = config::load(&alone, used)?;
    match chosen {
        Ok(chosen) => config.chosen = chosen,
        Err(error) => config.warnings.push(error.to_string()),
    }
    Ok(config)
}

/// Opens the file of `--db`, if the verb can read it.
fn open_database(cli: &Cli, path: &Path, out: &Out, signals: &Signals) -> Result<Database, Failure> {
    cli::database::check(&cli.verb, path, cli.global.cluster_option())?;
    Ok(Database::open(path, out.clone(), signals.cancel().clone())?)
}

fn on_runtime(ctx: &Context, command: cli::Command) -> Result<Exit, Failure> {
    check_threads().map_err(|error| Failure::no_resources("cannot start a thread", error))?;
    // The command runs on this thread, which a slow reader of its output may block for long. Connections and requests run
    // on the worker thread, so that they do not time out meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::no_resources("cannot start the runtime", error))?;
    let result = runtime.block_on(command.run(ctx));
    // A thread that is blocked on stdin must not keep the program from exiting.
    runtime.shutdown_background();
    result
}

/// Flushes the output, prints the error and turns the result into the exit code.
fn end(out: &Out, signals: Option<&Signals>, result: Result<Exit, Failure>) -> ExitCode {
    // Output from before a failure is data too, and the message may refer to it.
    let flushed = out.flush().map_err(Failure::from);
    let result = result.and_then(|exit| match flushed {
        // A reader that has gone does not change what the command found.
        Err(failure) if failure.is_broken_pipe() => Ok(exit),
        flushed => flushed.map(|()| exit),
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Done,
        Err(failure) => {
            let mut view = failure.view();
            if failure.exit == Exit::Interrupted {
                view.exit_code = signals.and_then(Signals::exit_code).unwrap_or(view.exit_code);
            }
            out.error(&view);
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
