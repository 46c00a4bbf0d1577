//! `kvadm config`: the effective configuration.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::SettingRow;

/// Show the effective configuration and the source of each value; secrets are redacted
///
/// No connection is made. Sources, strongest first: flags, the file of -c or
/// --context, KVADM_* variables, a file that was found otherwise, ETCD_ENDPOINTS
/// and ETCDV3_ENDPOINTS, ETCDCTL_* variables, defaults. OVERRIDDEN shows the
/// values of weaker sources.
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm config
  kvadm -c etcd.conf config -o json
  KVADM_ENDPOINTS=other:2379 kvadm config -v"
)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// The output cannot be written.
pub async fn run(ctx: &Context, _args: &Args) -> Result<Exit, Failure> {
    let mut sink = ctx.out.stream();
    for setting in &ctx.config.settings {
        let source = setting.source.to_string();
        let overridden: Vec<String> =
            setting.overridden.iter().map(|loser| format!("{} ({})", loser.value, loser.source)).collect();
        let (key, value) = (setting.key, setting.value.as_deref());
        sink.push(&SettingRow { key, value, source: &source, overridden: &overridden })?;
    }
    sink.finish()?;
    Ok(Exit::Done)
}
