//! The user and the password, or the token that takes their place.

use std::path::{Path, PathBuf};

use super::document::exposed;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::keys;
use super::layers::{Chosen, Layers, REDACTED};
use super::locate::{read_limited, unreadable};
use super::reach::ConfiguredEndpoints;
use super::settings::Overrides;
use super::values::in_env;
use crate::transport::{Credentials, Secret};

/// Maximum size of a password file.
const MAX_PASSWORD: u64 = 64 << 10;

/// A password, or the file that contains it.
#[derive(Clone)]
enum Password {
    Text(Secret),
    File(PathBuf),
}

/// Why a password is not used.
enum Withheld {
    /// Its own source names another user.
    OtherUser,
    /// A stronger source names other endpoints.
    Endpoints,
}

/// How requests prove whose they are.
#[derive(Default)]
pub(super) struct ConfiguredLogin {
    pub credentials: Option<Credentials>,
    pub token: Option<Secret>,
}

impl ConfiguredLogin {
    /// What is secret about it, for a warning; `None` without a user and a token.
    pub fn secret(&self) -> Option<String> {
        match (&self.credentials, &self.token) {
            (_, Some(_)) => Some("the token".to_owned()),
            (Some(credentials), None) => Some(format!("the password of user '{}'", credentials.user.escape_debug())),
            (None, None) => None,
        }
    }
}

/// The token, if its source is stronger than the user's, or else the user and the password. A token is not sent to endpoints
/// that a stronger source names, as a password is not.
pub(super) fn login(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    endpoints: &ConfiguredEndpoints,
) -> Result<ConfiguredLogin, ConfigError> {
    let (files, texts) = token_sources(layers, overrides)?;
    let mut tokens: Vec<Sourced<Token>> = files.into_iter().chain(texts).collect();
    tokens.sort_by_key(|token| layers.rank(&token.source));
    let user = users(layers, overrides)?.0.given;
    let chosen = tokens.into_iter().next();
    let chosen = chosen.filter(|token| user.is_none_or(|user| layers.rank(&user.source) >= layers.rank(&token.source)));
    let Some(Sourced { value, source }) = chosen else {
        let credentials = credentials(layers, overrides, endpoints, None)?;
        return Ok(ConfiguredLogin { credentials, token: None });
    };
    let token = match value {
        Token::Text(token) => check_token(token, "the token").map_err(|problem| problem.in_source(&source))?,
        Token::File(path) => token_of_file(layers, &path).map_err(|problem| problem.in_source(&source))?,
    };
    let token = Sourced { value: token, source };
    credentials(layers, overrides, endpoints, Some(&token))?;
    if is_for_other_endpoints(layers, layers.rank(&token.source), endpoints) {
        let text = format!(
            "the token ({}) is not used, because the endpoints are from {}; add --token-file to send it there",
            token.source, endpoints.source
        );
        layers.warn(text);
        return Ok(ConfiguredLogin::default());
    }
    Ok(ConfiguredLogin { credentials: None, token: Some(token.value) })
}

/// Refuses a token that a request header cannot carry.
fn check_token(token: Secret, about: &str) -> Result<Secret, ValueError> {
    match token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => {
            Err(ValueError::new(format!("{about} has a character that no token has, such as a space or a line break")))
        }
    }
}

/// The token in a file, without the line breaks at its end.
fn token_of_file(layers: &mut Layers<'_>, path: &Path) -> Result<Secret, ValueError> {
    if !path.exists() && path.to_str().is_some_and(looks_like_token) {
        let problem = ValueError::new("the value looks like a token, and there is no file of that name");
        return Err(problem.hint("write the token to a file that only you can read, and give the name of the file"));
    }
    let token = from_file(layers, path, "token")?;
    let token = Secret::new(token.expose().trim_end_matches(['\r', '\n']));
    match token.expose().is_empty() {
        true => Err(ValueError::new(format!("the token in {} is empty", path.display()))),
        false => check_token(token, &format!("the token in {}", path.display())),
    }
}

/// Whether a text has the form of a JWT, or of a simple token of etcd: 16 letters, a dot and a number.
fn looks_like_token(text: &str) -> bool {
    let is_jwt = text.starts_with("eyJ") && text.matches('.').count() == 2;
    is_jwt
        || text.split_once('.').is_some_and(|(letters, number)| {
            letters.len() == 16
                && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// A token, or the file that contains it.
enum Token {
    Text(Secret),
    File(PathBuf),
}

/// The strongest file with a token, and the strongest token of a variable.
type TokenChoice = (Option<Sourced<Token>>, Option<Sourced<Token>>);

fn token_sources(layers: &mut Layers<'_>, overrides: &Overrides) -> Result<TokenChoice, ConfigError> {
    let file = layers.values.path(keys::TOKEN_FILE.name)?;
    let file = file.map(|given| Sourced { value: given.value.path, source: given.source });
    let files = layers.choose(&keys::TOKEN_FILE, overrides.token_file.clone(), file, in_env::path)?;
    layers.record_chosen(&keys::TOKEN_FILE, &files, |path| path.display().to_string());
    let texts = layers.choose(&keys::TOKEN, None, None, in_env::text)?;
    layers.record_chosen(&keys::TOKEN, &texts, |_| REDACTED.to_owned());
    if let (Some(file), Some(text)) = (&files.given, &texts.given)
        && layers.rank(&file.source) == layers.rank(&text.source)
    {
        let problem = ValueError::new(format!("cannot be used together with {}", text.source));
        return Err(problem.in_source(&file.source));
    }
    let files = files.given.map(|given| Sourced { value: Token::File(given.value), source: given.source });
    let texts = texts.given.map(|given| Sourced { value: Token::Text(Secret::new(given.value)), source: given.source });
    Ok((files, texts))
}

/// The user from the strongest source that names one, and the strongest password that belongs to this user and may be
/// sent to the endpoints. A password belongs to the user that its own source names; if that names none, to any user.
fn credentials(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    endpoints: &ConfiguredEndpoints,
    token: Option<&Sourced<Secret>>,
) -> Result<Option<Credentials>, ConfigError> {
    let (mut users, embedded) = users(layers, overrides)?;
    if let Some(token) = token {
        if let Some(user) = &users.given
            && layers.rank(&user.source) == layers.rank(&token.source)
        {
            let problem = ValueError::new(format!("the token ({}) cannot be used together with a user", token.source));
            let hint = "a token takes the place of a login: set a user with a password, or a token";
            return Err(problem.hint(hint).at_key(&user.source, keys::USERNAME.name));
        }
        // The token is from the stronger source, or withheld from the endpoints; so are a user and a password then.
        users.drop_winner();
    }
    let mut passwords = Chosen { given: None, losers: Vec::new() };
    let mut withheld = None;
    for candidate in passwords_in_order(layers, overrides, embedded)? {
        if let (Some(found), None, None) = (&candidate.value, &passwords.given, token) {
            match why_withheld(layers, &candidate.source, &users, endpoints) {
                None => {
                    let value = found.clone();
                    passwords.given = Some(Sourced { value, source: candidate.source });
                    continue;
                }
                Some(why) => withheld = withheld.or(Some((candidate.source.clone(), why))),
            }
        }
        passwords.losers.push(candidate);
    }
    let password = match passwords.given.clone() {
        Some(Sourced { value: Password::File(path), source }) => {
            Some(from_file(layers, &path, "password").map_err(|problem| problem.in_source(&source))?)
        }
        Some(Sourced { value: Password::Text(password), .. }) => Some(password),
        None => None,
    };
    let credentials = match (&users.given, password, withheld) {
        (Some(user), Some(password), _) => Some(Credentials { user: user.value.clone(), password }),
        // The source of the endpoints names no login.
        (Some(user), None, Some((source, Withheld::Endpoints)))
            if layers.rank(&user.source) > layers.rank(&endpoints.source) =>
        {
            let text = format!(
                "user '{}' ({}) and the password ({source}) are not used, because the endpoints are from {}; add --user \
                 to log in there",
                user.value.escape_debug(),
                user.source,
                endpoints.source
            );
            layers.warn(text);
            users.drop_winner();
            None
        }
        (Some(user), None, withheld) => return Err(without_password(user, withheld, endpoints)),
        (None, _, _) => {
            if let Some(password) = &passwords.given {
                let text = format!("the password from {} is ignored, because no user is set", password.source);
                layers.warn(text);
            }
            None
        }
    };
    layers.record_chosen(&keys::USERNAME, &users, Clone::clone);
    layers.record_chosen(&keys::PASSWORD, &passwords, |_| REDACTED.to_owned());
    Ok(credentials)
}

fn without_password(
    user: &Sourced<String>,
    withheld: Option<(Source, Withheld)>,
    endpoints: &ConfiguredEndpoints,
) -> ConfigError {
    let problem = ValueError::new(format!("user '{}' has no password", user.value.escape_debug()));
    let hint = match withheld {
        None => "add --password-file FILE, set KVADM_PASSWORD, or set 'password' in the configuration file".to_owned(),
        Some((source, Withheld::OtherUser)) => {
            format!("add --password-file FILE; the password from {source} belongs to another user")
        }
        Some((source, Withheld::Endpoints)) => format!(
            "add --password-file FILE; the password from {source} is not sent to the endpoints from {}",
            endpoints.source
        ),
    };
    problem.hint(hint).at_key(&user.source, "username")
}

/// Why the password from `source` is not used for the strongest user and the endpoints; `None` if it is.
///
/// It is not sent to endpoints that a stronger source names, unless the password's source, or the next weaker one, names
/// the same endpoints. With `--user`, kvadm's own variables count as the command line: no option takes a password.
fn why_withheld(
    layers: &Layers<'_>,
    source: &Source,
    users: &Chosen<String>,
    endpoints: &ConfiguredEndpoints,
) -> Option<Withheld> {
    let rank = layers.rank(source);
    let user = users.given.as_ref();
    let weaker = users.losers.iter().map(|loser| (loser.value.as_ref(), &loser.source));
    let named = user.map(|user| (Some(&user.value), &user.source)).into_iter().chain(weaker);
    let mut owners = named.filter(|(_, owner)| layers.rank(owner) == rank);
    if owners.any(|(owner, _)| owner != user.map(|user| &user.value)) {
        return Some(Withheld::OtherUser);
    }
    let typed = user.is_some_and(|user| matches!(user.source, Source::Flag(_)));
    let own_variable = matches!(source, Source::Env(name) if name.starts_with("KVADM_"));
    let other = !(typed && own_variable) && is_for_other_endpoints(layers, rank, endpoints);
    other.then_some(Withheld::Endpoints)
}

/// Whether a stronger source than that of a secret names endpoints that neither the source of the secret nor the next weaker
/// one names.
fn is_for_other_endpoints(layers: &Layers<'_>, rank: u8, endpoints: &ConfiguredEndpoints) -> bool {
    if layers.rank(&endpoints.source) >= rank {
        return false;
    }
    let own = endpoints.weaker.iter().find(|weaker| layers.rank(&weaker.source) >= rank);
    !own.is_some_and(|own| endpoints.list.iter().all(|endpoint| own.value.contains(endpoint)))
}

/// The user of each source, and the password that `ETCDCTL_USER` may contain.
fn users(
    layers: &Layers<'_>,
    overrides: &Overrides,
) -> Result<(Chosen<String>, Option<Sourced<Password>>), ConfigError> {
    let file = layers.values.text(keys::USERNAME.name)?;
    let mut users = layers.choose(&keys::USERNAME, overrides.user.clone(), file, in_env::text)?;
    let mut embedded = None;
    let given = users.given.iter_mut().map(|given| (&mut given.value, &given.source));
    let losers = users.losers.iter_mut().filter_map(|loser| Some((loser.value.as_mut()?, &loser.source)));
    for (name, source) in given.chain(losers) {
        if *source != Source::Env("ETCDCTL_USER") {
            continue;
        }
        if let Some((user, password)) = name.split_once(':') {
            let text = Some(password).filter(|password| !password.is_empty());
            embedded = text.map(|text| Sourced { value: Password::Text(Secret::new(text)), source: source.clone() });
            *name = user.to_owned();
        }
    }
    if let Some(user) = &users.given {
        check_name(user)?;
    }
    Ok((users, embedded))
}

fn check_name(user: &Sourced<String>) -> Result<(), ConfigError> {
    // A file has a key for the password, so that a ':' in `username` can only be part of the name.
    if user.value.contains(':') && !matches!(user.source, Source::File(..)) {
        let problem = ValueError::new("'NAME:PASSWORD' is not accepted here; give only the name");
        let hint = "add --password-file FILE, or set KVADM_PASSWORD; 'username' in a configuration file may have a ':'";
        return Err(problem.hint(hint).in_source(&user.source));
    }
    if user.value.is_empty() {
        return Err(ValueError::new("the user name is empty").in_source(&user.source));
    }
    Ok(())
}

/// The password of each source, the strongest first; `None` for an invalid one.
fn passwords_in_order(
    layers: &mut Layers<'_>,
    overrides: &Overrides,
    embedded: Option<Sourced<Password>>,
) -> Result<Vec<Sourced<Option<Password>>>, ConfigError> {
    let beside = layers.values.path(keys::PASSWORD_FILE.name)?;
    let beside = beside.map(|given| Sourced { value: given.value.path, source: given.source });
    let files = layers.choose(&keys::PASSWORD_FILE, overrides.password_file.clone(), beside.clone(), in_env::path)?;
    layers.record_chosen(&keys::PASSWORD_FILE, &files, |path| path.display().to_string());
    let file = layers.values.text(keys::PASSWORD.name)?;
    let file = file.map(|given| Sourced { value: Password::Text(Secret::new(given.value)), source: given.source });
    let beside = beside.map(|given| Sourced { value: Password::File(given.value), source: given.source });
    let file = match (file, beside) {
        (Some(_), Some(file)) => {
            let problem = ValueError::new("cannot be used together with 'password'");
            return Err(problem.at_key(&file.source, keys::PASSWORD_FILE.name));
        }
        (text, file) => text.or(file),
    };
    let (named, found) = if layers.values.named { (file, None) } else { (None, file) };
    let flag = overrides.password_file.clone();
    let mut all = Chosen { given: None, losers: Vec::new() };
    all.add(flag.map(|path| Sourced { value: Password::File(path), source: Source::Flag(keys::PASSWORD_FILE.flag) }));
    all.add(named);
    all.add_variable(layers.env, keys::PASSWORD_FILE.env, |value| Ok(in_env::path(value)?.map(Password::File)))?;
    let secret = |value: &std::ffi::OsStr| Ok(in_env::text(value)?.map(|text| Password::Text(Secret::new(text))));
    all.add_variable(layers.env, keys::PASSWORD.env, secret)?;
    all.add(found);
    for name in keys::PASSWORD.fallback {
        all.add_variable(layers.env, name, secret)?;
    }
    all.add(embedded);
    let winner = all.given.map(|given| Sourced { value: Some(given.value), source: given.source });
    Ok(winner.into_iter().chain(all.losers).collect())
}

/// The password or the token in a file, without a trailing line break.
fn from_file(layers: &mut Layers<'_>, path: &Path, kind: &str) -> Result<Secret, ValueError> {
    let found = read_limited(path, MAX_PASSWORD).map_err(|e| unreadable(path, &e))?;
    let wrong = |what| ValueError::new(format!("the {kind} in {} {what}", path.display()));
    let text = std::str::from_utf8(&found.bytes).map_err(|_| wrong("is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if found.is_exposed() {
        layers.warn(exposed(&found, kind));
    }
    Ok(Secret::new(text))
}
