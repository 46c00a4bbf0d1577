//! `kvadm config use`: the default context.

use std::io;

use crate::atomic_file;
use crate::config::{self, CURRENT_CONTEXT, Env, Overrides, Source};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::ChosenContext;

/// The options of `config use`.
#[derive(clap::Args, Debug)]
pub struct DefaultContextArgs {
    /// Context to use by default
    #[arg(value_name = "CONTEXT", required_unless_present = "none", conflicts_with = "none")]
    name: Option<String>,
    /// Use no context by default
    #[arg(long)]
    none: bool,
}

pub fn run(ctx: &Context, args: &DefaultContextArgs) -> Result<Exit, Failure> {
    let env = Env::from_process();
    let Some(dir) = config::user_dir(&env) else {
        return Err(Failure::usage("there are no contexts, because HOME and XDG_CONFIG_HOME are not set"));
    };
    let path = dir.join(CURRENT_CONTEXT);
    // A damaged file is no reason not to write a good one.
    let previous = config::default_context(&env).ok().flatten();
    let unwritable = |error: io::Error| {
        Failure::new(
            Exit::Partial,
            format!("cannot change {}: {error}; the default context is as before", path.display()),
        )
        .hint("check the permissions of the folder and the space on its disk")
    };
    if let Some(name) = &args.name {
        // Every command would fail with a context that cannot be loaded.
        let overrides = Overrides { context: Some(name.clone()), ..Overrides::default() };
        config::load(&overrides, &env.only_paths()).map_err(|error| {
            let origin = error.origin.filter(|origin| *origin != Source::Flag("--context"));
            Failure::from(config::ConfigError { origin, ..error }).hint("the default context was not changed")
        })?;
        if !ctx.safety.dry_run {
            atomic_file::replace_unfollowed(&path, format!("{name}\n").as_bytes()).map_err(unwritable)?;
        }
    } else if !ctx.safety.dry_run {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {
                let _ = atomic_file::sync_folder(&path);
            }
        }
    }
    let stronger = config::chosen_file(&Overrides::default(), &env).ok().flatten().and_then(|choice| choice.named_by);
    if let Some(Source::Env(variable)) = stronger {
        ctx.out.warn(&format!("env {variable} names another file, and is stronger than the default context"));
    }
    let dry_run = ctx.safety.dry_run;
    ctx.out.one(&ChosenContext { context: args.name.as_deref(), previous: previous.as_deref(), dry_run })?;
    Ok(Exit::Done)
}
