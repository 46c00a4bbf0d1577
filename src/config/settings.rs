//! What the command line overrides, and what the configuration comes to.

use std::path::PathBuf;
use std::time::Duration;

use super::document::ProtoRule;
use super::error::Source;
use crate::transport::ConnectOptions;

/// What the command line says; nothing where an option is not given.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `-c`: the configuration file.
    pub config: Option<PathBuf>,
    /// `--context`: a file of the user's configuration folder.
    pub context: Option<String>,
    /// `--strict-config`: unknown keys are errors.
    pub strict: bool,
    /// `--endpoints`.
    pub endpoints: Option<Vec<String>>,
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
    /// `--user`: a name; `NAME:PASSWORD` is refused.
    pub user: Option<String>,
    /// `--password-file`.
    pub password_file: Option<PathBuf>,
    /// `--dial-timeout`.
    pub dial_timeout: Option<Duration>,
    /// `--op-timeout`.
    pub op_timeout: Option<Duration>,
    /// `--connect-wait`; zero is not to wait, whatever the file says.
    pub connect_wait: Option<Duration>,
    /// `--namespace`, decoded.
    pub namespace: Option<Vec<u8>>,
    /// `--qps`; zero is no limit.
    pub qps: Option<f64>,
    /// `--output`.
    pub output: Option<String>,
}

/// One effective value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, as in the file.
    pub key: &'static str,
    /// Its value as text; secrets are redacted; nothing where it is not set.
    pub value: Option<String>,
    /// Who said so.
    pub source: Source,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach the store.
    pub connect: ConnectOptions,
    /// The output format: one of `text`, `table`, `json`, `yaml`, `raw`.
    pub output: Option<String>,
    /// Time to live of leases behind sessions (`put --hold`); at least a second.
    pub session_ttl: Duration,
    /// Time to live of leases behind locks; at least a second.
    pub lock_ttl: Duration,
    /// The period of `compact --every`.
    pub auto_compact: Option<Duration>,
    /// `watch` behaves as with `--sync`.
    pub resync_after_reconnect: bool,
    /// Which message types the values of keys have.
    pub proto: Vec<ProtoRule>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What the user may want to know (`-v`).
    pub details: Vec<String>,
    /// Every key, for `kvadm config`.
    pub settings: Vec<Setting>,
}
