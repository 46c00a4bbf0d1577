//! The command line's overrides, and the effective configuration.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Source;
use crate::transport::ConnectOptions;

/// One rule of the `proto` section: what the values of keys with this prefix are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtoRule {
    /// The key prefix.
    pub prefix: String,
    /// The values.
    pub values: ProtoValues,
}

/// What the values of a [`ProtoRule`] are. Files are compiled descriptor sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtoValues {
    /// Messages of this type.
    Message {
        /// The file that defines the message.
        file: PathBuf,
        /// The message's full name.
        message: String,
    },
    /// Values of a Kubernetes API server (`envelope: kubernetes`).
    Kubernetes {
        /// The file that defines the types of the objects.
        file: Option<PathBuf>,
    },
}

/// The options of the command line; `None` for those not given.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `-c`: the configuration file.
    pub config: Option<PathBuf>,
    /// No file applies, also none of a default place.
    pub without_file: bool,
    /// `--context`: the name of a file in the user's configuration directory.
    pub context: Option<String>,
    /// `--strict-config`: unknown keys are errors.
    pub strict: bool,
    /// `--db`: a database file to read instead of a cluster. The settings of the connection are not read then.
    pub database: Option<PathBuf>,
    /// `--endpoints`.
    pub endpoints: Option<Vec<String>>,
    /// `--discovery-srv`.
    pub discovery_srv: Option<String>,
    /// `--discovery-srv-name`.
    pub discovery_srv_name: Option<String>,
    /// `--insecure-discovery`.
    pub insecure_discovery: Option<bool>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--cert-file`.
    pub cert_file: Option<PathBuf>,
    /// `--key-file`.
    pub key_file: Option<PathBuf>,
    /// `--insecure-transport`.
    pub insecure_transport: Option<bool>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: Option<bool>,
    /// `--user`: a name; `NAME:PASSWORD` is rejected.
    pub user: Option<String>,
    /// `--password-file`.
    pub password_file: Option<PathBuf>,
    /// `--token-file`.
    pub token_file: Option<PathBuf>,
    /// `--dial-timeout`.
    pub dial_timeout: Option<Duration>,
    /// `--op-timeout`.
    pub op_timeout: Option<Duration>,
    /// `--connect-wait`; zero disables waiting, whatever the file says.
    pub connect_wait: Option<Duration>,
    /// `--namespace`, decoded.
    pub namespace: Option<Vec<u8>>,
    /// `--qps`; zero means no limit.
    pub qps: Option<f64>,
    /// `--max-ops`.
    pub max_txn_ops: Option<usize>,
    /// `--output`.
    pub output: Option<String>,
}

/// A file that was chosen, before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChoice {
    /// The file.
    pub path: PathBuf,
    /// The context, if it is one.
    pub context: Option<String>,
    /// What names the file, or `None` if it is one of the default places.
    pub named_by: Option<Source>,
}

impl FileChoice {
    /// Why this file is read.
    pub fn reason(&self) -> String {
        match (&self.named_by, &self.context) {
            (Some(source), _) => source.to_string(),
            (None, Some(_)) => "kvadm config use".to_owned(),
            (None, None) => "default file".to_owned(),
        }
    }
}

impl Config {
    /// The context that the command line names.
    pub fn context_option(&self) -> Option<String> {
        let at = self.store_options.iter().position(|word| word == "--context")?;
        Some(self.store_options.get(at.checked_add(1)?)?.to_string_lossy().into_owned())
    }
}

impl Overrides {
    /// The options of the command line that name the store and the way to it, for a command line that continues this one.
    /// None holds a password.
    pub fn store_options(&self) -> Vec<OsString> {
        let file = |file: &Option<PathBuf>| file.clone().map(PathBuf::into_os_string);
        let switch = |on: Option<bool>| on.map(|on| OsString::from(on.to_string()));
        let given = [
            ("--config", file(&self.config)),
            ("--context", self.context.clone().map(OsString::from)),
            ("--db", file(&self.database)),
            ("--endpoints", self.endpoints.as_ref().map(|list| list.join(",").into())),
            ("--discovery-srv", self.discovery_srv.clone().map(OsString::from)),
            ("--discovery-srv-name", self.discovery_srv_name.clone().map(OsString::from)),
            ("--insecure-discovery", switch(self.insecure_discovery)),
            ("--ca-file", file(&self.ca_file)),
            ("--cert-file", file(&self.cert_file)),
            ("--key-file", file(&self.key_file)),
            ("--insecure-transport", switch(self.insecure_transport)),
            ("--insecure-skip-tls-verify", switch(self.insecure_skip_tls_verify)),
            ("--user", self.user.clone().map(OsString::from)),
            ("--password-file", file(&self.password_file)),
            ("--token-file", file(&self.token_file)),
            ("--namespace", self.namespace.clone().map(OsString::from_vec)),
        ];
        let mut words = Vec::new();
        for (name, value) in given {
            let Some(value) = value else { continue };
            // Switches take their value after '=' only, and a value may look like an option.
            if name.starts_with("--insecure") || value.as_encoded_bytes().starts_with(b"-") {
                let mut word = OsString::from(name);
                word.push("=");
                word.push(value);
                words.push(word);
            } else {
                words.extend([name.into(), value]);
            }
        }
        words
    }
}

/// One effective value and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key as in the file.
    pub key: &'static str,
    /// The value, with secrets redacted; `None` if not set.
    pub value: Option<String>,
    /// The source of the value.
    pub source: Source,
    /// The other values of weaker sources, the strongest first.
    pub overridden: Vec<Overridden>,
}

/// A value that a stronger source overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The value, with secrets redacted.
    pub value: String,
    /// Its source.
    pub source: Source,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to connect to etcd.
    pub connect: ConnectOptions,
    /// The output format: one of `text`, `table`, `json`, `yaml`, `raw`.
    pub output: Option<String>,
    /// TTL of session leases (`put --hold`); at least one second.
    pub session_ttl: Duration,
    /// TTL of lock leases; at least one second.
    pub lock_ttl: Duration,
    /// The period of `compact --every`.
    pub auto_compact: Option<Duration>,
    /// `watch` behaves as with `--sync`.
    pub resync_after_reconnect: bool,
    /// The protobuf message types of values, by key prefix.
    pub proto: Vec<ProtoRule>,
    /// The options of the command line that name the store, for a command line that continues this one.
    pub store_options: Vec<OsString>,
    /// The configuration file, if one was read.
    pub file: Option<PathBuf>,
    /// For a verb about contexts, which reads no file: the file that other verbs read.
    pub chosen: Option<FileChoice>,
    /// The context whose file was read, if it is one.
    pub context: Option<String>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Warnings that a connection is not secure, which `--quiet` does not suppress.
    pub insecure: Vec<String>,
    /// Details for `-v`.
    pub details: Vec<String>,
    /// Every key, for `kvadm config`.
    pub settings: Vec<Setting>,
}
