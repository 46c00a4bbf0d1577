//! The endpoints, and whether they use TLS.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::document::FoundPath;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::etcdctl;
use super::keys::{self, SettingKey};
use super::layers::{Chosen, Layers};
use super::settings::Overrides;
use super::values::{in_env, split};
use crate::transport::{Endpoint, Scheme, TlsFiles};

const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// The configured TLS files.
struct ConfiguredTlsFiles {
    ca: Option<Sourced<FoundPath>>,
    cert: Option<Sourced<FoundPath>>,
    key: Option<Sourced<FoundPath>>,
}

impl ConfiguredTlsFiles {
    fn all(&self) -> impl Iterator<Item = (&'static str, &Sourced<FoundPath>)> {
        let named = [("ca-file", &self.ca), ("cert-file", &self.cert), ("key-file", &self.key)];
        named.into_iter().filter_map(|(name, given)| Some((name, given.as_ref()?)))
    }
}

/// The effective endpoints, and those of each weaker source.
pub(super) struct ConfiguredEndpoints {
    pub list: Vec<Endpoint>,
    pub source: Source,
    /// The endpoints that a weaker source names, the strongest first; the default endpoint comes last.
    pub weaker: Vec<Sourced<Vec<Endpoint>>>,
}

/// Resolves the endpoints, each with its scheme, and the TLS files.
pub(super) fn endpoints_and_tls(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
) -> Result<(ConfiguredEndpoints, TlsFiles), ConfigError> {
    let (texts, losers) = endpoint_texts(layers, overrides)?;
    let files = files(layers, overrides)?;
    let mut insecure = layers.switch(&keys::INSECURE_TRANSPORT, overrides.insecure_transport)?;
    let tls_by_variable = etcdctl::wants_tls(layers);
    if tls_by_variable && insecure.source == Source::Default {
        insecure.source = Source::Env(etcdctl::INSECURE_TRANSPORT);
        layers.set_source(keys::INSECURE_TRANSPORT.name, &insecure.source);
    }
    let skip_verify = layers.switch(&keys::SKIP_VERIFY, overrides.insecure_skip_tls_verify)?;
    let tls = !insecure.value && (files.all().next().is_some() || skip_verify.value || tls_by_variable);
    let list = parse(&texts, tls)?;
    let uses_tls = list.iter().any(|endpoint| endpoint.scheme == Scheme::Tls);
    if uses_tls || !insecure.value {
        check_key_pair(&files)?;
    }
    warn(layers, &files, &insecure, &skip_verify, uses_tls);
    let elsewhere = files.all().filter_map(|(_, given)| Some((given.value.path.clone(), given.value.missing.clone()?)));
    let elsewhere = elsewhere.filter(|(path, _)| !path.exists()).collect();
    let value = |given: Option<Sourced<FoundPath>>| given.map(|given| given.value.path);
    let tls_files = TlsFiles {
        ca: value(files.ca),
        cert: value(files.cert),
        key: value(files.key),
        skip_verify: skip_verify.value,
        elsewhere,
    };
    let weaker = losers.into_iter().filter_map(|loser| {
        let texts = Sourced { value: loser.value?, source: loser.source };
        let value = parse(&texts, tls).ok()?;
        Some(Sourced { value, source: texts.source })
    });
    Ok((ConfiguredEndpoints { list, source: texts.source, weaker: weaker.collect() }, tls_files))
}

type Texts = Sourced<Vec<String>>;
type WeakerTexts = Vec<Sourced<Option<Vec<String>>>>;

/// The endpoints from the strongest source, and those of the weaker ones.
fn endpoint_texts(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<(Texts, WeakerTexts), ConfigError> {
    let key = &keys::ENDPOINTS;
    let flag = overrides.endpoints.as_ref().map(|texts| texts.iter().flat_map(|text| split(text)).collect::<Vec<_>>());
    if flag.as_ref().is_some_and(Vec::is_empty) {
        return Err(ValueError::new("contains no endpoint").in_source(&Source::Flag(key.flag)));
    }
    let file = layers.values.texts(key.name)?;
    let chosen = layers.choose(key, flag, file, in_env::texts)?;
    let default = Sourced { value: vec![DEFAULT_ENDPOINT.to_owned()], source: Source::Default };
    let winner = chosen.given.clone().unwrap_or_else(|| default.clone());
    let show = |texts: &Vec<String>| shown(texts);
    layers.record_over(key, Some(shown(&winner.value)), winner.source.clone(), &chosen, show);
    let mut losers = chosen.losers;
    losers.push(Sourced { value: Some(default.value), source: default.source });
    Ok((winner, losers))
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
        && ca.value.path != trusted.value.path
    {
        let problem = ValueError::new("differs from trusted-ca-file, which is another name of the same setting");
        return Err(problem.at_key(&ca.source, keys::CA_FILE.name));
    }
    let ca = choose_path(layers, &keys::CA_FILE, overrides.ca_file.as_ref(), ca.or(trusted))?;
    let file = layers.values.path(keys::CERT_FILE.name)?;
    let mut cert = choose_path(layers, &keys::CERT_FILE, overrides.cert_file.as_ref(), file)?;
    let file = layers.values.path(keys::KEY_FILE.name)?;
    let mut key = choose_path(layers, &keys::KEY_FILE, overrides.key_file.as_ref(), file)?;
    // The strongest source that names one of them must name both.
    let rank = |chosen: &Chosen<FoundPath>| chosen.given.as_ref().map(|given| layers.rank(&given.source));
    match (rank(&cert), rank(&key)) {
        (Some(cert_rank), Some(key_rank)) if cert_rank < key_rank => key.drop_winner(),
        (Some(cert_rank), Some(key_rank)) if cert_rank > key_rank => cert.drop_winner(),
        _ => {}
    }
    for (name, chosen) in [(&keys::CA_FILE, &ca), (&keys::CERT_FILE, &cert), (&keys::KEY_FILE, &key)] {
        layers.record_chosen(name, chosen, |found| found.path.display().to_string());
        if let Some(Sourced { value: FoundPath { path, missing: Some(missing) }, .. }) = &chosen.given
            && path.exists()
        {
            let text = format!("{}: {} (not {}, which does not exist)", name.name, path.display(), missing.display());
            layers.notes.details.push(text);
        }
    }
    Ok(ConfiguredTlsFiles { ca: ca.given, cert: cert.given, key: key.given })
}

fn choose_path(
    layers: &Layers<'_>,
    key: &SettingKey,
    flag: Option<&PathBuf>,
    file: Option<Sourced<FoundPath>>,
) -> Result<Chosen<FoundPath>, ConfigError> {
    let read = |value: &OsStr| Ok(in_env::path(value)?.map(FoundPath::from));
    layers.choose(key, flag.cloned().map(FoundPath::from), file, read)
}

fn check_key_pair(files: &ConfiguredTlsFiles) -> Result<(), ConfigError> {
    let (half, name, other) = match (&files.cert, &files.key) {
        (Some(cert), None) => (cert, "cert-file", "key-file"),
        (None, Some(key)) => (key, "key-file", "cert-file"),
        _ => return Ok(()),
    };
    let problem = ValueError::new(format!("{name} is set without {other}"));
    Err(problem
        .hint("a client certificate needs both cert-file and key-file, from the same source")
        .at_key(&half.source, name))
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
        layers.warn_insecure(format!("insecure-skip-tls-verify ({source}): the server certificate is not verified"));
    }
    if uses_tls {
        return;
    }
    if skip_verify.value && !insecure.value {
        let source = &skip_verify.source;
        layers.warn(format!(
            "insecure-skip-tls-verify ({source}) has no effect, because no endpoint uses TLS; write https://"
        ));
    }
    for (name, given) in files.all() {
        if !insecure.value {
            layers.warn(format!("{name} ({}) has no effect, because no endpoint uses TLS", given.source));
        } else if layers.rank(&given.source) < layers.rank(&insecure.source) {
            layers.warn(format!(
                "{name} ({}) has no effect, because insecure-transport is true ({})",
                given.source, insecure.source
            ));
        }
    }
}

/// Warns that a password is sent without encryption to another machine.
pub(super) fn warn_plaintext(layers: &mut Layers<'_>, endpoints: &[Endpoint], user: &str) {
    let exposed = |endpoint: &&Endpoint| endpoint.scheme == Scheme::Plain && !endpoint.is_local();
    if let Some(endpoint) = endpoints.iter().find(exposed) {
        let user = user.escape_debug();
        layers.warn_insecure(format!(
            "the password of user '{user}' is sent to {endpoint} without encryption; use https://, or set ca-file"
        ));
    }
}
