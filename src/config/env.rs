//! The environment variables as plain data.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Environment variables. Empty ones count as unset. It does not implement `Debug`, because some may be passwords.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Only the variables that locate the user's files.
    #[must_use]
    pub fn only_paths(&self) -> Self {
        let kept = |name: &OsStr| name == "HOME" || name == "XDG_CONFIG_HOME";
        self.0.iter().filter(|(name, _)| kept(name)).collect()
    }

    /// The names of set variables that begin with this text, as far as they are UTF-8, in order.
    pub(super) fn names(&self, beginning: &str) -> impl Iterator<Item = &str> {
        let set = self.0.iter().filter(|(_, value)| !value.is_empty());
        set.filter_map(|(name, _)| name.to_str()).filter(move |name| name.starts_with(beginning))
    }

    /// The variable's value, unless it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
