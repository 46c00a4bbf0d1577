//! The configuration loader.
//!
//! It reads a Ligato `etcd.conf` and a clientv3 (Cilium) `etcd.config` unchanged, and merges them with the command line and
//! the environment. Each key is resolved separately: option, file named on the command line, `KVADM_*` variable, file found
//! otherwise, variables of Ligato and etcdctl, default. The loader never reads the process state: command line and
//! environment are plain data.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod document;
pub(crate) mod document_fault;
pub(crate) mod document_fields;
mod env;
mod error;
mod etcdctl;
mod file;
mod keys;
mod layers;
mod locate;
mod login;
mod proto;
mod reach;
mod settings;
#[cfg(test)]
mod tests;
mod values;
mod yaml;
mod yaml_document;
mod yaml_position;

use crate::duration::format_duration;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use document_fault::{DocumentError, DocumentFault, read_document};
pub use env::Env;
pub use error::{ConfigError, Source};
pub use locate::{CURRENT_CONTEXT, check_context_name, contexts, default_context, user_dir};
pub use settings::{Config, FileChoice, Overridden, Overrides, ProtoRule, ProtoValues, Setting};
pub use yaml::{InTimeError, in_time, parse_document};
pub use yaml_document::{YamlFault, parse_bounded};
pub use yaml_position::{Step, line_of, line_of_duplicate};

use crate::transport::{ConnectOptions, ConnectWait, DEFAULT_TXN_OPS, Endpoint, SrvDiscovery, TlsFiles};
use document::{Notes, Values};
use error::Sourced;
use layers::{Chosen, DurationRule, Layers};
use login::ConfiguredLogin;

const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
const OP_TIMEOUT: Duration = Duration::from_secs(3);
const RECONNECT: Duration = Duration::from_secs(2);
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const SESSION_TTL: Duration = Duration::from_secs(5);
const LOCK_TTL: Duration = Duration::from_secs(25);

/// Loads the configuration.
///
/// # Errors
/// A named file that does not exist, an invalid file or value, or contradicting settings. The error names the option, the
/// variable, or the file, line and key, and never contains a secret.
pub fn load(overrides: &Overrides, env: &Env) -> Result<Config, ConfigError> {
    load_with(overrides, env, Path::new(locate::SYSTEM_FILE))
}

/// The file that [`load`] reads, and why; `None` if none is named and none is found.
///
/// # Errors
/// The name of a context is not valid, or two options name files.
pub fn chosen_file(overrides: &Overrides, env: &Env) -> Result<Option<FileChoice>, ConfigError> {
    locate::choose(overrides, env, Path::new(locate::SYSTEM_FILE))
}

/// [`load`] with another path of the system-wide file.
fn load_with(overrides: &Overrides, env: &Env, system: &Path) -> Result<Config, ConfigError> {
    let mut notes = Notes::default();
    let found = locate::find(overrides, env, system, &mut notes.warnings)?;
    let file = found.as_ref().map(|found| (found.path.clone(), found.context.clone()));
    let values = match found {
        Some(found) => Values::read(found, env, overrides.strict, &mut notes),
        None => Ok(Values::default()),
    };
    let values =
        values.map_err(|error| ConfigError { warnings: std::mem::take(&mut notes.warnings).into(), ..error })?;
    notes.details.push(match &file {
        Some((path, _)) => format!("configuration: {}", path.display()),
        None => "configuration: no file".to_owned(),
    });
    let mut layers = Layers { env, values, notes, settings: Vec::new() };
    let checked = settings(&mut layers, overrides, file);
    // An error must not hide the warnings, which may name its cause.
    checked.map_err(|error| ConfigError { warnings: layers.notes.warnings.into(), ..error })
}

fn settings(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    file: Option<(PathBuf, Option<String>)>,
) -> Result<Config, ConfigError> {
    warn_unsupported(layers)?;
    warn_unknown_variables(layers);
    if overrides.database.is_none() {
        etcdctl::warn_unsupported(layers);
    }
    let connect = connect_options(layers, overrides)?;
    let output = output(layers, overrides)?;
    let lease = |in_seconds| DurationRule { check: values::lease_time, zero_is_default: in_seconds, in_seconds };
    let session_ttl = layers.time_or(&keys::SESSION_TTL, None, SESSION_TTL, &lease(true))?;
    let lock_ttl = layers.time_or(&keys::LOCK_TTL, None, LOCK_TTL, &lease(false))?;
    let period = DurationRule { check: |_| Ok(()), zero_is_default: true, in_seconds: false };
    let auto_compact = layers.time(&keys::AUTO_COMPACT, None, &period)?;
    let resync_after_reconnect = layers.switch(&keys::RESYNC, None)?.value;
    let proto = proto_rules(layers)?;
    let Notes { warnings, insecure, details } = std::mem::take(&mut layers.notes);
    let (file, context) = file.unzip();
    let settings = std::mem::take(&mut layers.settings);
    Ok(Config {
        connect,
        output,
        session_ttl,
        lock_ttl,
        auto_compact: auto_compact.filter(|period| !period.is_zero()),
        resync_after_reconnect,
        proto,
        store_options: overrides.store_options(),
        file,
        chosen: None,
        context: context.flatten(),
        warnings,
        insecure,
        details,
        settings,
    })
}

fn connect_options(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<ConnectOptions, ConfigError> {
    let WayToCluster { endpoints, discovery, tls, login } = way_to_cluster(layers, overrides)?;
    let bound = DurationRule { check: values::positive, zero_is_default: true, in_seconds: false };
    let dial_timeout = layers.time_or(&keys::DIAL_TIMEOUT, overrides.dial_timeout, DIAL_TIMEOUT, &bound)?;
    let op_timeout = layers.time_or(&keys::OP_TIMEOUT, overrides.op_timeout, OP_TIMEOUT, &bound)?;
    let keepalive_time = keepalive_time(layers, &bound)?;
    let keepalive_timeout = layers.time_or(&keys::KEEPALIVE_TIMEOUT, None, KEEPALIVE_TIMEOUT, &bound)?;
    let connect_wait = connect_wait(layers, overrides, &bound)?;
    let namespace = namespace(layers, overrides)?;
    let qps = qps(layers, overrides)?;
    let max_txn_ops = max_txn_ops(layers, overrides)?;
    Ok(ConnectOptions {
        endpoints,
        discovery,
        tls,
        credentials: login.credentials,
        token: login.token,
        dial_timeout,
        op_timeout,
        keepalive_time,
        keepalive_timeout,
        connect_wait,
        namespace,
        qps,
        max_txn_ops,
    })
}

/// The endpoints, the TLS files and the user; nothing for a database file.
#[derive(Default)]
struct WayToCluster {
    endpoints: Vec<Endpoint>,
    discovery: Option<SrvDiscovery>,
    tls: TlsFiles,
    login: ConfiguredLogin,
}

fn way_to_cluster(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<WayToCluster, ConfigError> {
    if let Some(path) = &overrides.database {
        let given = Sourced { value: path.display().to_string(), source: Source::Flag(keys::DATABASE.flag) };
        layers.record_chosen(&keys::DATABASE, &Chosen { given: Some(given), losers: Vec::new() }, Clone::clone);
        return Ok(WayToCluster::default());
    }
    let (endpoints, tls) = reach::endpoints_and_tls(layers, overrides)?;
    let login = login::login(layers, overrides, &endpoints)?;
    let (endpoints, discovery) = (endpoints.list, endpoints.discovery);
    if let Some(secret) = login.secret() {
        reach::warn_plaintext(layers, &endpoints, &secret);
    }
    Ok(WayToCluster { endpoints, discovery, tls, login })
}

/// etcd disconnects clients that ping more often than every 5 s.
fn keepalive_time(layers: &mut Layers<'_>, rules: &DurationRule) -> Result<Duration, ConfigError> {
    const LEAST: Duration = Duration::from_secs(5);
    let key = &keys::KEEPALIVE_TIME;
    let chosen = layers.chosen_time(key, None, rules)?;
    let mut given = chosen.given.clone().unwrap_or(Sourced { value: KEEPALIVE_TIME, source: Source::Default });
    if given.value < LEAST {
        let (value, source) = (format_duration(given.value), &given.source);
        layers.warn(format!(
            "{source}: {}: {value} was raised to 5s, because etcd disconnects clients that ping more often",
            key.name
        ));
        given.value = LEAST;
    }
    let show = |value: &Duration| format_duration(*value);
    layers.record_over(key, Some(show(&given.value)), given.source, &chosen, show);
    Ok(given.value)
}

fn connect_wait(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    rules: &DurationRule,
) -> Result<Option<ConnectWait>, ConfigError> {
    let delayed = layers.switch(&keys::DELAYED_START, None)?.value;
    let interval = layers.time_or(&keys::RECONNECT, None, RECONNECT, rules)?;
    let any = DurationRule { check: |_| Ok(()), zero_is_default: false, in_seconds: false };
    let limit = layers.time(&keys::CONNECT_WAIT, overrides.connect_wait, &any)?;
    Ok(match limit {
        Some(limit) if limit.is_zero() => None,
        Some(limit) => Some(ConnectWait { limit: Some(limit), interval }),
        None => delayed.then_some(ConnectWait { limit: None, interval }),
    })
}

fn namespace(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<Vec<u8>, ConfigError> {
    let file = layers.values.text(keys::NAMESPACE.name)?;
    let file = file.map(|given| Sourced { value: given.value.into_bytes(), source: given.source });
    let chosen = layers.choose(&keys::NAMESPACE, overrides.namespace.clone(), file, values::in_env::bytes)?;
    layers.record_chosen(&keys::NAMESPACE, &chosen, |bytes| match std::str::from_utf8(bytes) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => bytes.escape_ascii().to_string(),
    });
    Ok(chosen.given.map(|given| given.value).unwrap_or_default())
}

fn qps(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<Option<f64>, ConfigError> {
    let file = layers.values.number(keys::QPS.name)?;
    let chosen = layers.choose(&keys::QPS, overrides.qps, file, values::in_env::number)?;
    if let Some(given) = &chosen.given {
        values::rate(given.value).map_err(|problem| problem.at_key(&given.source, keys::QPS.name))?;
    }
    layers.record_chosen(&keys::QPS, &chosen, ToString::to_string);
    Ok(chosen.given.map(|given| given.value).filter(|qps| *qps > 0.0))
}

fn max_txn_ops(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<usize, ConfigError> {
    let file = layers.values.max_ops(keys::MAX_TXN_OPS.name)?;
    let key = &keys::MAX_TXN_OPS;
    let chosen = layers.choose(key, overrides.max_txn_ops, file, values::in_env::max_ops)?;
    let given = chosen.given.clone().unwrap_or(Sourced { value: DEFAULT_TXN_OPS, source: Source::Default });
    layers.record_over(key, Some(given.value.to_string()), given.source, &chosen, ToString::to_string);
    Ok(given.value)
}

fn output(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<Option<String>, ConfigError> {
    let file = layers.values.text(keys::OUTPUT.name)?;
    let check = |given: &Sourced<String>| {
        values::output(&given.value).map_err(|problem| problem.at_key(&given.source, keys::OUTPUT.name))
    };
    // The file's value is checked even if another source overrides it.
    file.as_ref().map_or(Ok(()), check)?;
    let chosen = layers.choose(&keys::OUTPUT, overrides.output.clone(), file, values::in_env::text)?;
    chosen.given.as_ref().map_or(Ok(()), check)?;
    layers.record_chosen(&keys::OUTPUT, &chosen, Clone::clone);
    Ok(chosen.given.map(|given| given.value))
}

fn proto_rules(layers: &mut Layers<'_>) -> Result<Vec<ProtoRule>, ConfigError> {
    let chosen = Chosen { given: layers.values.proto()?, losers: Vec::new() };
    layers.record_chosen(&keys::PROTO, &chosen, |rules| {
        let rules = rules.iter().map(|rule| {
            let values = match &rule.values {
                ProtoValues::Message { message, .. } => message,
                ProtoValues::Kubernetes { .. } => "kubernetes",
            };
            format!("{}={values}", rule.prefix.escape_debug())
        });
        rules.collect::<Vec<_>>().join(",")
    });
    Ok(chosen.given.map(|given| given.value).unwrap_or_default())
}

/// Unknown variables that are named.
const SHOWN_UNKNOWN_VARIABLES: usize = 5;

/// Warns of variables that begin like kvadm's own, but have no effect.
fn warn_unknown_variables(layers: &mut Layers<'_>) {
    let unknown: Vec<String> = layers
        .env
        .names("KVADM_")
        .filter(|name| !keys::is_known_variable(name))
        .take(SHOWN_UNKNOWN_VARIABLES)
        .map(|name| {
            let near = keys::nearest_variable(name).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let shown: String = name.chars().take(64).collect::<String>().escape_debug().to_string();
            format!("env {shown} is unknown and has no effect{near}")
        })
        .collect();
    unknown.into_iter().for_each(|text| layers.warn(text));
}

/// Warns of Ligato's `expand-env-variables`, which would change the file's contents and is not supported.
fn warn_unsupported(layers: &mut Layers<'_>) -> Result<(), ConfigError> {
    if let Some(given) = layers.values.flag("expand-env-variables")?.filter(|given| given.value) {
        layers.warn(format!("{}: expand-env-variables is not supported and has no effect", given.source));
    }
    Ok(())
}
