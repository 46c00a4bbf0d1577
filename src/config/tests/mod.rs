//! The loader as a whole, over files in a temporary folder and an environment made of plain data.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod damage;
mod files;
mod keys;
mod precedence;
mod secrets;
mod tls;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A folder with a home, a place for the machine's file, and what the command line and the environment say.
struct Setup {
    dir: TempDir,
    overrides: Overrides,
    env: Vec<(String, String)>,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = vec![("HOME".to_owned(), dir.path().join("home").to_str().unwrap().to_owned())];
        Self { dir, overrides: Overrides::default(), env }
    }

    /// With `text` in the file that is found without being named.
    fn found(text: &str) -> Self {
        let setup = Self::new();
        setup.write("machine.yaml", text);
        setup
    }

    /// With `text` in the file that `-c` names.
    fn with(text: &str) -> Self {
        let mut setup = Self::new();
        setup.overrides.config = Some(setup.write("etcd.yaml", text));
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.chmod(&path, 0o600);
        path
    }

    fn chmod(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn set(mut self, change: impl FnOnce(&mut Overrides)) -> Self {
        change(&mut self.overrides);
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        load_with(&self.overrides, &self.env.iter().cloned().collect(), &self.path("machine.yaml"))
    }

    fn ok(&self) -> Config {
        self.load().unwrap_or_else(|e| panic!("{e}"))
    }

    /// The error's text and hint, with the temporary folder taken out.
    fn error(&self) -> String {
        let error = self.load().map(|_| ()).expect_err("it should be refused");
        let hint = error.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        self.plain(&format!("{error}{hint}"))
    }

    fn warnings(&self) -> Vec<String> {
        self.ok().warnings.iter().map(|text| self.plain(text)).collect()
    }

    fn insecure(&self) -> Vec<String> {
        self.ok().insecure.iter().map(|text| self.plain(text)).collect()
    }

    fn details(&self) -> Vec<String> {
        self.ok().details.iter().map(|text| self.plain(text)).collect()
    }

    fn plain(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "D")
    }

    /// `value (source)` of a setting.
    fn setting(&self, key: &str) -> String {
        let config = self.ok();
        let mut found = config.settings.iter().filter(|setting| setting.key == key);
        let setting = found.next().unwrap_or_else(|| panic!("no setting {key}"));
        assert!(found.next().is_none(), "{key} is there twice");
        self.plain(&format!("{} ({})", setting.value.as_deref().unwrap_or("-"), setting.source))
    }
}

fn endpoints(config: &Config) -> Vec<String> {
    config.connect.endpoints.iter().map(ToString::to_string).collect()
}
