//! Precedence of every key: option, `KVADM_*` variable, file, variables of other tools, default.

use std::ffi::OsStr;
use std::time::Duration;

use super::document::{Notes, Values};
use super::env::Env;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::keys::SettingKey;
use super::settings::Setting;
use super::values::in_env;
use crate::duration::format_duration;

/// Parses an environment variable.
type ReadEnv<T> = fn(&OsStr) -> Result<T, ValueError>;

/// The sources below the options, and the results of choosing among them.
pub(super) struct Layers<'a> {
    pub env: &'a Env,
    pub values: Values,
    pub notes: Notes,
    pub settings: Vec<Setting>,
}

/// How a duration is parsed and checked.
pub(super) struct DurationRule {
    /// Rejects invalid durations.
    pub check: fn(Duration) -> Result<(), ValueError>,
    /// Zero in the file means the default, like Go's zero values.
    pub zero_is_default: bool,
    /// A bare number in the file or a variable is seconds.
    pub in_seconds: bool,
}

impl Layers<'_> {
    /// The value from the source with the highest precedence.
    pub fn choose<T>(
        &self,
        key: &SettingKey,
        flag: Option<T>,
        file: Option<Sourced<T>>,
        read: ReadEnv<T>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        if let Some(value) = flag {
            return Ok(Some(Sourced { value, source: Source::Flag(key.flag) }));
        }
        if let Some(given) = self.variable(key.env, read)? {
            return Ok(Some(given));
        }
        if file.is_some() {
            return Ok(file);
        }
        for name in key.fallback {
            if let Some(given) = self.variable(name, read)? {
                return Ok(Some(given));
            }
        }
        Ok(None)
    }

    /// The parsed value of an environment variable.
    pub fn variable<T>(&self, name: &'static str, read: ReadEnv<T>) -> Result<Option<Sourced<T>>, ConfigError> {
        let Some(value) = self.env.get(name) else { return Ok(None) };
        let source = Source::Env(name);
        read(value)
            .map(|value| Some(Sourced { value, source: source.clone() }))
            .map_err(|problem| problem.in_source(&source))
    }

    /// Records the value of `key` for `kvadm config`.
    pub fn record(&mut self, key: &'static str, value: Option<String>, source: Source) {
        self.settings.push(Setting { key, value, source });
    }

    /// Records a chosen value, or its absence.
    pub fn record_given<T>(&mut self, key: &SettingKey, given: Option<&Sourced<T>>, show: impl FnOnce(&T) -> String) {
        let (value, source) = match given {
            Some(given) => (Some(show(&given.value)), given.source.clone()),
            None => (None, Source::Default),
        };
        self.record(key.name, value, source);
    }

    /// A flag that is off by default.
    pub fn switch(&mut self, key: &SettingKey, flag: Option<bool>) -> Result<Sourced<bool>, ConfigError> {
        let file = self.values.flag(key.name)?;
        let given = self.choose(key, flag, file, in_env::flag)?;
        let given = given.unwrap_or(Sourced { value: false, source: Source::Default });
        self.record(key.name, Some(given.value.to_string()), given.source.clone());
        Ok(given)
    }

    /// A checked duration, if a source has one.
    pub fn time(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        rules: &DurationRule,
    ) -> Result<Option<Duration>, ConfigError> {
        let given = self.chosen_time(key, flag, rules)?;
        self.record_given(key, given.as_ref(), |value| format_duration(*value));
        Ok(given.map(|given| given.value))
    }

    /// A checked duration, or `default`.
    pub fn time_or(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        default: Duration,
        rules: &DurationRule,
    ) -> Result<Duration, ConfigError> {
        let given = self.chosen_time(key, flag, rules)?;
        let given = given.unwrap_or(Sourced { value: default, source: Source::Default });
        self.record(key.name, Some(format_duration(given.value)), given.source);
        Ok(given.value)
    }

    /// Like [`Layers::time`], but does not record the value.
    pub fn chosen_time(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        rules: &DurationRule,
    ) -> Result<Option<Sourced<Duration>>, ConfigError> {
        let (file, read): (_, ReadEnv<Duration>) = match rules.in_seconds {
            true => (self.values.seconds(key.name, &mut self.notes)?, in_env::seconds),
            false => (self.values.duration(key.name, &mut self.notes)?, in_env::duration),
        };
        let file = file.filter(|given| !(rules.zero_is_default && given.value.is_zero()));
        let check = |given: &Sourced<Duration>| {
            (rules.check)(given.value).map_err(|problem| problem.at_key(&given.source, key.name))
        };
        // The file's value is checked even if another source overrides it.
        file.as_ref().map_or(Ok(()), check)?;
        let given = self.choose(key, flag, file, read)?;
        given.as_ref().map_or(Ok(()), check)?;
        Ok(given)
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.notes.warnings.push(text.into());
    }
}
