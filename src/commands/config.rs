//! `kvadm config`.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::SettingRow;

/// Show the effective configuration, and where each value came from; secrets are redacted.
///
/// Nothing is dialled. The sources, strongest first: flags, KVADM_* variables, the file, ETCD_ENDPOINTS and
/// ETCDV3_ENDPOINTS, ETCDCTL_* variables, defaults.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm config
  kvadm -c etcd.conf config -o json
  KVADM_ENDPOINTS=other:2379 kvadm config -v")]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// Nothing but a closed output.
pub async fn run(ctx: &Context, _args: &Args) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for setting in &ctx.config.settings {
        let source = setting.source.to_string();
        sink.push(&SettingRow { key: setting.key, value: setting.value.as_deref(), source: &source })?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}
