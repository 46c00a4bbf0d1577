//! Precedence of every key: option, file named on the command line, `KVADM_*` variable, file found otherwise, variables of
//! other tools, default.

use std::ffi::OsStr;
use std::time::Duration;

use super::document::{Notes, Values};
use super::env::Env;
use super::error::{ConfigError, Source, Sourced, ValueError};
use super::keys::SettingKey;
use super::settings::{Overridden, Setting};
use super::values::in_env;
use crate::duration::format_duration;

/// Parses an environment variable; `None` if it counts as unset.
pub(super) type ReadEnv<T> = fn(&OsStr) -> Result<Option<T>, ValueError>;

/// The sources below the options, and the results of choosing among them.
pub(super) struct Layers<'a> {
    pub env: &'a Env,
    pub values: Values,
    pub notes: Notes,
    pub settings: Vec<Setting>,
}

/// The value of a secret in `kvadm config`.
pub(super) const REDACTED: &str = "(redacted)";

/// The value of a key from its strongest source, and the values that it overrides.
#[derive(Clone)]
pub(super) struct Chosen<T> {
    pub given: Option<Sourced<T>>,
    /// The weaker sources, the strongest first; `None` for an invalid value.
    pub losers: Vec<Sourced<Option<T>>>,
}

impl<T> Chosen<T> {
    /// Adds the next weaker source.
    pub fn add(&mut self, next: Option<Sourced<T>>) {
        match (next, &self.given) {
            (Some(next), None) => self.given = Some(next),
            (Some(next), Some(_)) => {
                self.losers.push(Sourced { value: Some(next.value), source: next.source });
            }
            (None, _) => {}
        }
    }

    /// Makes the winner a loser, and leaves no winner.
    pub fn drop_winner(&mut self) {
        if let Some(Sourced { value, source }) = self.given.take() {
            self.losers.insert(0, Sourced { value: Some(value), source });
        }
    }

    /// Adds an environment variable as the next weaker source; an invalid one is an error only if it is the strongest.
    pub fn add_variable(&mut self, env: &Env, name: &'static str, read: ReadEnv<T>) -> Result<(), ConfigError> {
        let Some(value) = env.get(name) else { return Ok(()) };
        let source = Source::Env(name);
        match read(value) {
            Ok(value) => self.add(value.map(|value| Sourced { value, source })),
            Err(problem) if self.given.is_none() => return Err(problem.in_source(&source)),
            Err(_) => self.losers.push(Sourced { value: None, source }),
        }
        Ok(())
    }
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
    /// The value from the strongest source, and those of the weaker sources. A weaker source with an invalid value is a
    /// loser without a value.
    pub fn choose<T>(
        &self,
        key: &SettingKey,
        flag: Option<T>,
        file: Option<Sourced<T>>,
        read: ReadEnv<T>,
    ) -> Result<Chosen<T>, ConfigError> {
        let mut chosen = Chosen { given: None, losers: Vec::new() };
        chosen.add(flag.map(|value| Sourced { value, source: Source::Flag(key.flag) }));
        let (named, found) = if self.values.named { (file, None) } else { (None, file) };
        chosen.add(named);
        chosen.add_variable(self.env, key.env, read)?;
        chosen.add(found);
        for name in key.fallback {
            chosen.add_variable(self.env, name, read)?;
        }
        Ok(chosen)
    }

    /// The strength of a source; a lower number wins.
    pub fn rank(&self, source: &Source) -> u8 {
        match source {
            Source::Flag(_) => 0,
            Source::File(..) if self.values.named => 1,
            Source::Env(name) if name.starts_with("KVADM_") => 2,
            Source::File(..) => 3,
            Source::Env(_) => 4,
            Source::Default => 5,
        }
    }

    /// Records a chosen value, or its absence, and the values that it overrides.
    pub fn record_chosen<T>(&mut self, key: &SettingKey, chosen: &Chosen<T>, show: impl Fn(&T) -> String) {
        let (value, source) = match &chosen.given {
            Some(given) => (Some(show(&given.value)), given.source.clone()),
            None => (None, Source::Default),
        };
        self.record_over(key, value, source, chosen, show);
    }

    /// Records an effective value that need not be the chosen one.
    pub fn record_over<T>(
        &mut self,
        key: &SettingKey,
        value: Option<String>,
        source: Source,
        chosen: &Chosen<T>,
        show: impl Fn(&T) -> String,
    ) {
        let shown = |loser: &Sourced<Option<T>>| Overridden {
            value: loser.value.as_ref().map_or_else(|| "(invalid)".to_owned(), &show),
            source: loser.source.clone(),
        };
        let overridden: Vec<Overridden> = chosen
            .losers
            .iter()
            .map(shown)
            .filter(|loser| value.as_ref() != Some(&loser.value) || loser.value == REDACTED)
            .collect();
        // Without a value, the weaker ones are withheld, which a warning says.
        for loser in overridden.iter().filter(|_| value.is_some()) {
            let named = |value: &str, source: &Source| match value {
                REDACTED => source.to_string(),
                value => format!("{source} ({value})"),
            };
            let won = named(value.as_deref().unwrap_or_default(), &source);
            let lost = named(&loser.value, &loser.source);
            self.notes.details.push(format!("{}: {won} takes precedence over {lost}", key.name));
        }
        self.settings.push(Setting { key: key.name, value, source, overridden });
    }

    /// Changes the source of a recorded setting.
    pub fn set_source(&mut self, key: &str, source: &Source) {
        self.settings.iter_mut().filter(|setting| setting.key == key).for_each(|one| one.source = source.clone());
    }

    /// A flag that is off by default.
    pub fn switch(&mut self, key: &SettingKey, flag: Option<bool>) -> Result<Sourced<bool>, ConfigError> {
        let file = self.values.flag(key.name)?;
        let chosen = self.choose(key, flag, file, in_env::flag)?;
        let given = chosen.given.clone().unwrap_or(Sourced { value: false, source: Source::Default });
        self.record_over(key, Some(given.value.to_string()), given.source.clone(), &chosen, ToString::to_string);
        Ok(given)
    }

    /// A checked duration, if a source has one.
    pub fn time(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        rules: &DurationRule,
    ) -> Result<Option<Duration>, ConfigError> {
        let chosen = self.chosen_time(key, flag, rules)?;
        self.record_chosen(key, &chosen, |value| format_duration(*value));
        Ok(chosen.given.map(|given| given.value))
    }

    /// A checked duration, or `default`.
    pub fn time_or(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        default: Duration,
        rules: &DurationRule,
    ) -> Result<Duration, ConfigError> {
        let chosen = self.chosen_time(key, flag, rules)?;
        let given = chosen.given.clone().unwrap_or(Sourced { value: default, source: Source::Default });
        self.record_over(key, Some(format_duration(given.value)), given.source, &chosen, |value| {
            format_duration(*value)
        });
        Ok(given.value)
    }

    /// Like [`Layers::time`], but does not record the value.
    pub fn chosen_time(
        &mut self,
        key: &SettingKey,
        flag: Option<Duration>,
        rules: &DurationRule,
    ) -> Result<Chosen<Duration>, ConfigError> {
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
        let chosen = self.choose(key, flag, file, read)?;
        chosen.given.as_ref().map_or(Ok(()), check)?;
        Ok(chosen)
    }

    /// Adds a warning that `--quiet` does not suppress.
    pub fn warn_insecure(&mut self, text: impl Into<String>) {
        self.notes.insecure.push(text.into());
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.notes.warnings.push(text.into());
    }
}
