//! `kvadm config list`: the contexts, and which file is in use.

use crate::config::{self, Config, Env, FileChoice, Overrides};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::ContextRow;
use crate::transport::Scheme;

pub fn run(ctx: &Context) -> Result<Exit, Failure> {
    let env = Env::from_process();
    let chosen = ctx.config.chosen.as_ref();
    let mut sink = ctx.out.stream();
    let mut listed = false;
    let paths = env.only_paths();
    for name in config::contexts(&env) {
        let overrides = Overrides { context: Some(name.clone()), ..Overrides::default() };
        let Ok(Some(choice)) = config::chosen_file(&overrides, &paths) else { continue };
        let used = chosen.filter(|chosen| chosen.path == choice.path);
        listed |= used.is_some();
        push(&mut sink, Some(&name), &choice, used, config::load(&overrides, &paths))?;
    }
    // The file in use need not be a context.
    if let Some(chosen) = chosen.filter(|_| !listed) {
        let overrides = Overrides { config: Some(chosen.path.clone()), ..Overrides::default() };
        push(&mut sink, None, chosen, Some(chosen), config::load(&overrides, &paths))?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}

fn push(
    sink: &mut crate::output::Sink,
    name: Option<&str>,
    choice: &FileChoice,
    used: Option<&FileChoice>,
    loaded: Result<Config, config::ConfigError>,
) -> Result<(), Failure> {
    let file = choice.path.display().to_string();
    let chosen_by = used.map(FileChoice::reason);
    let row = ContextRow { context: name, chosen_by: chosen_by.as_deref(), file: &file, ..ContextRow::default() };
    match loaded {
        Ok(config) => {
            let connect = &config.connect;
            let endpoints: Vec<String> = connect.endpoints.iter().map(ToString::to_string).collect();
            let tls = connect.endpoints.iter().any(|endpoint| matches!(endpoint.scheme, Scheme::Tls | Scheme::Srv));
            let user = connect.credentials.as_ref().map(|credentials| credentials.user.as_str());
            let user = user.or(connect.token.as_ref().map(|_| "(token)"));
            sink.push(&ContextRow { endpoints: &endpoints, user, tls: Some(tls), ..row })?;
        }
        Err(error) => {
            let text = error.to_string();
            sink.push(&ContextRow { error: Some(&text), ..row })?;
        }
    }
    Ok(())
}
