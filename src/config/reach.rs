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
use crate::transport::discovery::check_domain;
use crate::transport::resolv_conf::RESOLV_CONF;
use crate::transport::{Endpoint, Scheme, SrvDiscovery, TlsFiles};

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
    /// Where they are looked up, if they are; the list then has one endpoint that stands for the domain.
    pub discovery: Option<SrvDiscovery>,
    pub source: Source,
    /// The endpoints that a weaker source names, the strongest first; the default endpoint comes last.
    pub weaker: Vec<Sourced<Vec<Endpoint>>>,
}

/// Resolves the endpoints, each with its scheme, and the TLS files.
pub(super) fn endpoints_and_tls(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
) -> Result<(ConfiguredEndpoints, TlsFiles), ConfigError> {
    let EndpointChoices { winner: texts, weaker: losers, discovery } = places(layers, overrides)?;
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
    let uses_tls = list.iter().any(|endpoint| matches!(endpoint.scheme, Scheme::Tls | Scheme::Srv));
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
        discovered: None,
    };
    let weaker = losers.into_iter().filter_map(|loser| {
        let texts = Sourced { value: loser.value?, source: loser.source };
        let value = parse(&texts, tls).ok()?;
        Some(Sourced { value, source: texts.source })
    });
    Ok((ConfiguredEndpoints { list, discovery, source: texts.source, weaker: weaker.collect() }, tls_files))
}

/// Endpoints, or the domain whose SRV records name them.
#[derive(Clone)]
enum EndpointChoice {
    Texts(Vec<String>),
    Domain(String),
}

impl EndpointChoice {
    fn shown(&self) -> String {
        match self {
            Self::Texts(texts) => shown(texts),
            Self::Domain(domain) => Endpoint::of_domain(domain).to_string(),
        }
    }
}

/// The place from the strongest source, and those of the weaker ones.
struct EndpointChoices {
    winner: Sourced<EndpointChoice>,
    weaker: Vec<Sourced<Option<EndpointChoice>>>,
    discovery: Option<SrvDiscovery>,
}

/// Endpoints and a domain are one setting: the stronger source wins.
fn places(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<EndpointChoices, ConfigError> {
    let key = &keys::ENDPOINTS;
    let flag = overrides.endpoints.as_ref().map(|texts| texts.iter().flat_map(|text| split(text)).collect::<Vec<_>>());
    if flag.as_ref().is_some_and(Vec::is_empty) {
        return Err(ValueError::new("contains no endpoint").in_source(&Source::Flag(key.flag)));
    }
    let file = layers.values.texts(key.name)?;
    let endpoints = layers.choose(key, flag, file, in_env::texts)?;
    let file = layers.values.text(keys::DISCOVERY_SRV.name)?;
    let domains = layers.choose(&keys::DISCOVERY_SRV, overrides.discovery_srv.clone(), file, in_env::text)?;
    let discovers = match (&domains.given, &endpoints.given) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(domain), Some(endpoints)) => is_stronger(layers, &domain.source, &endpoints.source)?,
    };
    let default =
        Sourced { value: Some(EndpointChoice::Texts(vec![DEFAULT_ENDPOINT.to_owned()])), source: Source::Default };
    let ranked =
        all(endpoints, EndpointChoice::Texts).chain(all(domains.clone(), EndpointChoice::Domain)).chain([default]);
    let mut ranked: Vec<Sourced<Option<EndpointChoice>>> = ranked.collect();
    let is_weak_kind =
        |place: &Sourced<Option<EndpointChoice>>| matches!(place.value, Some(EndpointChoice::Domain(_))) != discovers;
    ranked.sort_by_key(|place| (layers.rank(&place.source), is_weak_kind(place)));
    let strongest = ranked.iter().position(|place| place.value.is_some()).unwrap_or_default();
    let winner = ranked.remove(strongest);
    let value = winner.value.unwrap_or_else(|| EndpointChoice::Texts(vec![DEFAULT_ENDPOINT.to_owned()]));
    let value = match value {
        // As it is looked up and compared.
        EndpointChoice::Domain(domain) => EndpointChoice::Domain(check_domain(&domain, None).unwrap_or(domain)),
        texts => texts,
    };
    let winner = Sourced { value, source: winner.source };
    let named = ranked.iter().filter(|place| place.source != Source::Default).cloned().collect();
    let over = Chosen { given: Some(winner.clone()), losers: named };
    layers.record_over(key, Some(winner.value.shown()), winner.source.clone(), &over, EndpointChoice::shown);
    let discovery = discovery(layers, overrides, &domains, discovers)?;
    Ok(EndpointChoices { winner, weaker: ranked, discovery })
}

/// The values of all sources, the strongest first.
fn all<T>(chosen: Chosen<T>, place: fn(T) -> EndpointChoice) -> impl Iterator<Item = Sourced<Option<EndpointChoice>>> {
    let winner = chosen.given.map(|given| Sourced { value: Some(given.value), source: given.source });
    winner.into_iter().chain(chosen.losers).map(move |one| Sourced { value: one.value.map(place), source: one.source })
}

/// Whether the domain's source is the stronger one. Of etcdctl's own variables the domain is, as in etcdctl.
fn is_stronger(layers: &Layers<'_>, domain: &Source, endpoints: &Source) -> Result<bool, ConfigError> {
    let (left, right) = (layers.rank(domain), layers.rank(endpoints));
    let is_foreign = |source: &Source| matches!(source, Source::Env(name) if !name.starts_with("KVADM_"));
    if left != right {
        return Ok(left < right);
    }
    if is_foreign(domain) && is_foreign(endpoints) {
        return Ok(*endpoints == Source::Env("ETCDCTL_ENDPOINTS"));
    }
    let problem = ValueError::new(format!("cannot be used together with the endpoints from {endpoints}"));
    Err(problem.hint("set endpoints or discovery-srv, not both").at_key(domain, keys::DISCOVERY_SRV.name))
}

/// How the endpoints are looked up. The name of the service and the permission of endpoints without TLS count only if they
/// are from a source that is as strong as the domain's.
fn discovery(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    domains: &Chosen<String>,
    discovers: bool,
) -> Result<Option<SrvDiscovery>, ConfigError> {
    let domain = domains.given.as_ref().filter(|_| discovers);
    let rank = domain.map(|domain| layers.rank(&domain.source));
    let is_weaker = |layers: &Layers<'_>, source: &Source| rank.is_some_and(|rank| layers.rank(source) > rank);
    layers.record_chosen(&keys::DISCOVERY_SRV, domains, Clone::clone);
    let file = layers.values.text(keys::DISCOVERY_SRV_NAME.name)?;
    let flag = overrides.discovery_srv_name.clone();
    let mut name = layers.choose(&keys::DISCOVERY_SRV_NAME, flag, file, in_env::text)?;
    if name.given.as_ref().is_some_and(|name| is_weaker(layers, &name.source)) {
        name.drop_winner();
    }
    layers.record_chosen(&keys::DISCOVERY_SRV_NAME, &name, Clone::clone);
    let mut insecure = layers.switch(&keys::INSECURE_DISCOVERY, overrides.insecure_discovery)?;
    if let Some(domain) = domain.filter(|_| insecure.value && is_weaker(layers, &insecure.source)) {
        let text = format!(
            "insecure-discovery ({}) does not count, because the domain is from {}; add --insecure-discovery",
            insecure.source, domain.source
        );
        layers.warn(text);
        insecure.value = false;
    }
    let file = layers.values.path(keys::RESOLV_CONF.name)?;
    let resolv_conf = choose_path(layers, &keys::RESOLV_CONF, None, file)?;
    layers.record_chosen(&keys::RESOLV_CONF, &resolv_conf, |found| found.path.display().to_string());
    let Some(domain) = domain else { return Ok(None) };
    let name = name.given;
    let checked = check_domain(&domain.value, name.as_ref().map(|name| name.value.as_str()));
    let checked = checked.map_err(|text| ValueError::new(text).at_key(&domain.source, keys::DISCOVERY_SRV.name))?;
    Ok(Some(SrvDiscovery {
        domain: checked,
        name: name.map(|name| name.value),
        insecure: insecure.value,
        resolv_conf: resolv_conf.given.map_or_else(|| PathBuf::from(RESOLV_CONF), |given| given.value.path),
        outcome: None,
    }))
}

/// Endpoints for display. Text before an `@` is hidden, because it could be a password.
fn shown(texts: &[String]) -> String {
    let hide = |text: &String| text.rfind('@').map_or_else(|| text.clone(), |at| format!("(redacted){}", &text[at..]));
    texts.iter().map(hide).collect::<Vec<_>>().join(",")
}

fn parse(place: &Sourced<EndpointChoice>, tls: bool) -> Result<Vec<Endpoint>, ConfigError> {
    let texts = match &place.value {
        EndpointChoice::Domain(domain) => return Ok(vec![Endpoint::of_domain(domain)]),
        EndpointChoice::Texts(texts) => texts,
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in texts {
        if text.contains('@') && !text.starts_with("unix:") {
            let problem = ValueError::new("an endpoint must not contain a user ('NAME@')");
            let problem = problem.hint("use 'username' and 'password', or --user NAME --password-file FILE");
            return Err(problem.at_key(&place.source, keys::ENDPOINTS.name));
        }
        let endpoint = Endpoint::parse(text, tls).map_err(|e| {
            let message = if e.to_string().contains(text.as_str()) { e.to_string() } else { format!("'{text}': {e}") };
            ValueError::new(if text.is_empty() { e.to_string() } else { message })
                .at_key(&place.source, keys::ENDPOINTS.name)
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

/// Warns that a password or a token is sent without encryption to another machine.
pub(super) fn warn_plaintext(layers: &mut Layers<'_>, endpoints: &[Endpoint], secret: &str) {
    let exposed = |endpoint: &&Endpoint| endpoint.scheme == Scheme::Plain && !endpoint.is_local();
    if let Some(endpoint) = endpoints.iter().find(exposed) {
        layers
            .warn_insecure(format!("{secret} is sent to {endpoint} without encryption; use https://, or set ca-file"));
    }
}
