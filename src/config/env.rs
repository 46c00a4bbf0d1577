//! The environment as plain data.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The variables of an environment. Empty values count as unset. It has no `Debug`: passwords may be among them.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The environment this process was started with.
    pub fn from_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Only what says where files are.
    #[must_use]
    pub fn places(&self) -> Self {
        let places = ["HOME", "XDG_CONFIG_HOME"];
        self.0.iter().filter(|(name, _)| places.iter().any(|place| *place == name.as_os_str())).collect()
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
