//! The endpoints, and whether they use TLS.

use std::path::PathBuf;

use super::error::{ConfigError, Source, Sourced, ValueError};
use super::keys::{self, SettingKey};
use super::layers::Layers;
use super::settings::Overrides;
use super::values::{in_env, split};
use crate::transport::{Endpoint, Scheme, TlsFiles};

const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// The configured TLS files.
struct ConfiguredTlsFiles {
    ca: Option<Sourced<PathBuf>>,
    cert: Option<Sourced<PathBuf>>,
    key: Option<Sourced<PathBuf>>,
}

impl ConfiguredTlsFiles {
    fn all(&self) -> impl Iterator<Item = (&'static str, &Sourced<PathBuf>)> {
        let named = [("ca-file", &self.ca), ("cert-file", &self.cert), ("key-file", &self.key)];
        named.into_iter().filter_map(|(name, given)| Some((name, given.as_ref()?)))
    }
}

/// Resolves the endpoints, each with its scheme, and the TLS files.
pub(super) fn endpoints_and_tls(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
) -> Result<(Vec<Endpoint>, TlsFiles), ConfigError> {
    let texts = endpoint_texts(layers, overrides)?;
    let files = files(layers, overrides)?;
    let insecure = layers.switch(&keys::INSECURE_TRANSPORT, overrides.insecure_transport)?;
    let skip_verify = layers.switch(&keys::SKIP_VERIFY, overrides.insecure_skip_tls_verify)?;
    let tls = !insecure.value && files.all().next().is_some();
    let endpoints = parse(&texts, tls)?;
    let uses_tls = endpoints.iter().any(|endpoint| endpoint.scheme == Scheme::Tls);
    if uses_tls || !insecure.value {
        check_key_pair(&files)?;
    }
    warn(layers, &files, &insecure, &skip_verify, uses_tls);
    let value = |given: Option<Sourced<PathBuf>>| given.map(|given| given.value);
    let tls = TlsFiles {
        ca: value(files.ca),
        cert: value(files.cert),
        key: value(files.key),
        skip_verify: skip_verify.value,
    };
    Ok((endpoints, tls))
}

/// The endpoints from the source with the highest precedence. `-v` reports sources with other endpoints.
fn endpoint_texts(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<Sourced<Vec<String>>, ConfigError> {
    let key = &keys::ENDPOINTS;
    let flag = overrides.endpoints.as_ref().map(|texts| texts.iter().flat_map(|text| split(text)).collect::<Vec<_>>());
    if flag.as_ref().is_some_and(Vec::is_empty) {
        return Err(ValueError::new("contains no endpoint").in_source(&Source::Flag(key.flag)));
    }
    let flag = flag.map(|value| Sourced { value, source: Source::Flag(key.flag) });
    let mut given: Vec<Sourced<Vec<String>>> = flag.into_iter().collect();
    let file = layers.values.texts(key.name)?;
    add_variable(layers, key.env, &mut given)?;
    given.extend(file);
    for name in key.fallback {
        add_variable(layers, name, &mut given)?;
    }
    let mut given = given.into_iter();
    let Some(winner) = given.next() else {
        let winner = Sourced { value: vec![DEFAULT_ENDPOINT.to_owned()], source: Source::Default };
        layers.record(key.name, Some(DEFAULT_ENDPOINT.to_owned()), Source::Default);
        return Ok(winner);
    };
    for loser in given.filter(|loser| loser.value != winner.value) {
        let (won, lost) = (shown(&winner.value), shown(&loser.value));
        layers
            .notes
            .details
            .push(format!("endpoints: {} ({won}) takes precedence over {} ({lost})", winner.source, loser.source));
    }
    layers.record(key.name, Some(shown(&winner.value)), winner.source.clone());
    Ok(winner)
}

/// Adds the endpoints of a variable. An unreadable variable is an error only if no higher source has endpoints.
fn add_variable(
    layers: &Layers<'_>,
    name: &'static str,
    given: &mut Vec<Sourced<Vec<String>>>,
) -> Result<(), ConfigError> {
    match layers.variable(name, in_env::texts) {
        Ok(found) => given.extend(found.filter(|found| !found.value.is_empty())),
        Err(error) if given.is_empty() => return Err(error),
        Err(_) => {}
    }
    Ok(())
}

/// Endpoints for display. Text before an `@` is hidden, because it could be a password.
fn shown(texts: &[String]) -> String {
    let hide = |text: &String| text.rfind('@').map_or_else(|| text.clone(), |at| format!("(redacted){}", &text[at..]));
    texts.iter().map(hide).collect::<Vec<_>>().join(",")
}

fn parse(texts: &Sourced<Vec<String>>, tls: bool) -> Result<Vec<Endpoint>, ConfigError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in &texts.value {
        if text.contains('@') && !text.starts_with("unix:") {
            let problem = ValueError::new("an endpoint must not contain a user ('NAME@')");
            let problem = problem.hint("use 'username' and 'password', or --user NAME --password-file FILE");
            return Err(problem.at_key(&texts.source, keys::ENDPOINTS.name));
        }
        let endpoint = Endpoint::parse(text, tls).map_err(|e| {
            let message = if e.to_string().contains(text.as_str()) { e.to_string() } else { format!("'{text}': {e}") };
            ValueError::new(if text.is_empty() { e.to_string() } else { message })
                .at_key(&texts.source, keys::ENDPOINTS.name)
        })?;
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(endpoints)
}

fn files(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<ConfiguredTlsFiles, ConfigError> {
    let trusted = layers.values.path("trusted-ca-file")?;
    let ca = layers.values.path(keys::CA_FILE.name)?;
    if let (Some(ca), Some(trusted)) = (&ca, &trusted)
        && ca.value != trusted.value
    {
        let problem = ValueError::new("differs from trusted-ca-file, which is another name of the same setting");
        return Err(problem.at_key(&ca.source, keys::CA_FILE.name));
    }
    let ca = pick(layers, &keys::CA_FILE, overrides.ca_file.as_ref(), ca.or(trusted))?;
    let file = layers.values.path(keys::CERT_FILE.name)?;
    let cert = pick(layers, &keys::CERT_FILE, overrides.cert_file.as_ref(), file)?;
    let file = layers.values.path(keys::KEY_FILE.name)?;
    let key = pick(layers, &keys::KEY_FILE, overrides.key_file.as_ref(), file)?;
    Ok(ConfiguredTlsFiles { ca, cert, key })
}

fn pick(
    layers: &mut Layers<'_>,
    key: &SettingKey,
    flag: Option<&PathBuf>,
    file: Option<Sourced<PathBuf>>,
) -> Result<Option<Sourced<PathBuf>>, ConfigError> {
    let given = layers.choose(key, flag.cloned(), file, in_env::path)?;
    layers.record_given(key, given.as_ref(), |path| path.display().to_string());
    Ok(given)
}

fn check_key_pair(files: &ConfiguredTlsFiles) -> Result<(), ConfigError> {
    let (half, name, other) = match (&files.cert, &files.key) {
        (Some(cert), None) => (cert, "cert-file", "key-file"),
        (None, Some(key)) => (key, "key-file", "cert-file"),
        _ => return Ok(()),
    };
    let problem = ValueError::new(format!("{name} is set without {other}"));
    Err(problem.hint("a client certificate needs both cert-file and key-file").at_key(&half.source, name))
}

fn warn(
    layers: &mut Layers<'_>,
    files: &ConfiguredTlsFiles,
    insecure: &Sourced<bool>,
    skip_verify: &Sourced<bool>,
    uses_tls: bool,
) {
    if skip_verify.value && uses_tls {
        let source = &skip_verify.source;
        layers.warn(format!("insecure-skip-tls-verify ({source}): the server certificate is not verified"));
    }
    if uses_tls {
        return;
    }
    if skip_verify.value && !insecure.value {
        let source = &skip_verify.source;
        layers.warn(format!(
            "insecure-skip-tls-verify ({source}) has no effect, because no endpoint uses TLS; write https://, or set ca-file"
        ));
    }
    for (name, given) in files.all() {
        if !insecure.value {
            layers.warn(format!("{name} ({}) has no effect, because no endpoint uses TLS", given.source));
        } else if rank(&given.source) < rank(&insecure.source) {
            layers.warn(format!(
                "{name} ({}) has no effect, because insecure-transport is true ({})",
                given.source, insecure.source
            ));
        }
    }
}

/// The precedence of a source; a lower rank wins.
fn rank(source: &Source) -> u8 {
    match source {
        Source::Flag(_) => 0,
        Source::Env(name) if name.starts_with("KVADM_") => 1,
        Source::File(..) => 2,
        Source::Env(_) => 3,
        Source::Default => 4,
    }
}
