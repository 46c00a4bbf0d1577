//! The options that every verb takes, grouped as the help shows them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::args::{parse_duration, parse_max_ops, parse_qps};
use crate::config::Overrides;
use crate::output::{ColorChoice, Format, Settings};

/// The options that every verb takes. `-h` shows the common ones.
#[derive(Args, Debug)]
pub struct Global {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
struct Connection {
    /// YAML configuration file [env: ETCD_CONFIG]
    ///
    /// The files of Ligato (etcd.conf) and of clientv3 and Cilium (etcd.config) are read unchanged. --etcd-config is
    /// the same option.
    #[arg(short, long, alias = "etcd-config", global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Use NAME.yaml in the configuration folder [env: KVADM_CONTEXT]
    ///
    /// The folder is $XDG_CONFIG_HOME/kvadm, by default ~/.config/kvadm.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Refuse a configuration file with unknown keys instead of warning
    #[arg(long, global = true, hide_short_help = true)]
    strict_config: bool,
    /// Endpoints, separated by commas [env: KVADM_ENDPOINTS]
    ///
    /// host, host:port, http://host:port, https://host:port or unix:///path. http and https choose plaintext or TLS for
    /// that endpoint. Passwords of weaker sources are not sent to endpoints that are named here; see kvadm-config(5).
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',')]
    endpoints: Option<Vec<String>>,
    /// Read a database file instead of a cluster
    ///
    /// FILE is a snapshot, or a copy of a member's database (member/snap/db). get, list, diff, the plans of gc,
    /// allocate get, list, lookup and check, and the rules of check about keys read it, at any revision that it holds. The SHA-256 of a snapshot is checked at each
    /// use. A listing keeps about 100 bytes and the key in memory for each key. --context and -c still give the namespace and the rules for protobuf values.
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    db: Option<PathBuf>,
    /// Find the endpoints by the SRV records of this domain [env: KVADM_DISCOVERY_SRV]
    ///
    /// kvadm asks for _etcd-client-ssl._tcp.DOMAIN, once for each command. DNS answers can be forged: the certificate of a
    /// member must be for DOMAIN, or for a host in DOMAIN; see kvadm-config(5).
    #[arg(long, global = true, value_name = "DOMAIN", hide_short_help = true)]
    discovery_srv: Option<String>,
    /// Suffix of the SRV service's name, for one of several clusters of a domain
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    discovery_srv_name: Option<String>,
    /// Use SRV records without TLS, and do not compare certificates with the domain (insecure)
    ///
    /// The records _etcd-client._tcp.DOMAIN count too.
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_discovery: Option<bool>,
    /// PEM file of CA certificates to trust [env: KVADM_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    ca_file: Option<PathBuf>,
    /// PEM file of the client certificate [env: KVADM_CERT_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key [env: KVADM_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Use plaintext and ignore the TLS files
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_transport: Option<bool>,
    /// Do not verify the server certificate (insecure)
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_tls_verify: Option<bool>,
    /// etcd user; the password is in KVADM_PASSWORD [env: KVADM_USER]
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// File that holds the password [env: KVADM_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// File that holds an auth token to send instead of logging in [env: KVADM_TOKEN_FILE]
    ///
    /// Such as a JWT that etcd's --auth-token verifies. kvadm never replaces a token that etcd refuses by a login. KVADM_TOKEN
    /// holds the token itself.
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Timeout for connecting to an endpoint, such as 500ms [default: 1s]
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    dial_timeout: Option<Duration>,
    /// Timeout per request (range reads: up to 10x while the server stays responsive) [default: 3s]
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    op_timeout: Option<Duration>,
    /// Timeout for the whole command, such as 30s
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// Retry for up to D until etcd answers [default: do not retry]
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    connect_wait: Option<Duration>,
    /// Key prefix added to requests and removed from output
    #[arg(long, global = true, value_name = "P")]
    namespace: Option<OsString>,
    /// Limit to N requests per second
    #[arg(long, global = true, value_name = "N", value_parser = parse_qps, hide_short_help = true)]
    qps: Option<f64>,
    /// Maximum operations per transaction, as the servers' --max-txn-ops [default: 128]
    #[arg(long, global = true, value_name = "N", value_parser = parse_max_ops, hide_short_help = true)]
    max_ops: Option<usize>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct Output {
    /// text, table, json, yaml or raw [default: table on a terminal, else text]
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = ["text", "table", "json", "yaml", "raw"], hide_possible_values = true)]
    output: Option<String>,
    /// Color: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"], hide_possible_values = true, default_value = "auto", hide_default_value = true, hide_short_help = true)]
    color: String,
    /// Print no notes; warn only of insecure connections and bad backups
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more: -v decisions, -vv every request (never values)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Show no progress bars
    #[arg(long, global = true, hide_short_help = true)]
    no_progress: bool,
}

impl Global {
    /// What the command line says about the configuration.
    pub fn overrides(&self) -> Overrides {
        let connection = &self.connection;
        Overrides {
            config: connection.config.clone(),
            context: connection.context.clone(),
            strict: connection.strict_config,
            database: connection.db.clone(),
            without_file: false,
            endpoints: connection.endpoints.clone(),
            discovery_srv: connection.discovery_srv.clone(),
            discovery_srv_name: connection.discovery_srv_name.clone(),
            insecure_discovery: connection.insecure_discovery,
            ca_file: connection.ca_file.clone(),
            cert_file: connection.cert_file.clone(),
            key_file: connection.key_file.clone(),
            insecure_transport: connection.insecure_transport,
            insecure_skip_tls_verify: connection.insecure_skip_tls_verify,
            user: connection.user.clone(),
            password_file: connection.password_file.clone(),
            token_file: connection.token_file.clone(),
            dial_timeout: connection.dial_timeout,
            op_timeout: connection.op_timeout,
            connect_wait: connection.connect_wait,
            namespace: connection.namespace.clone().map(OsString::into_vec),
            qps: connection.qps,
            max_txn_ops: connection.max_ops,
            output: self.output.output.clone(),
        }
    }

    /// The database file that is read instead of a cluster.
    pub fn database(&self) -> Option<&Path> {
        self.connection.db.as_deref()
    }

    /// An option of the command line that is about the way to a cluster.
    pub fn cluster_option(&self) -> Option<&'static str> {
        let connection = &self.connection;
        let given = [
            (connection.endpoints.is_some(), "--endpoints"),
            (connection.discovery_srv.is_some(), "--discovery-srv"),
            (connection.discovery_srv_name.is_some(), "--discovery-srv-name"),
            (connection.insecure_discovery.is_some(), "--insecure-discovery"),
            (connection.user.is_some(), "--user"),
            (connection.token_file.is_some(), "--token-file"),
            (connection.password_file.is_some(), "--password-file"),
            (connection.ca_file.is_some(), "--ca-file"),
            (connection.cert_file.is_some(), "--cert-file"),
            (connection.key_file.is_some(), "--key-file"),
            (connection.insecure_transport.is_some(), "--insecure-transport"),
            (connection.insecure_skip_tls_verify.is_some(), "--insecure-skip-tls-verify"),
            (connection.connect_wait.is_some(), "--connect-wait"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }

    /// The bound on the whole command.
    pub fn deadline(&self) -> Option<Duration> {
        self.connection.deadline
    }

    /// How to write, given the format that configuration and command line agree on.
    pub fn output(&self, format: Option<Format>) -> Settings {
        Settings {
            format,
            color: match self.output.color.as_str() {
                "always" => ColorChoice::Always,
                "never" => ColorChoice::Never,
                _ => ColorChoice::Auto,
            },
            quiet: self.output.quiet,
            verbosity: self.output.verbose,
            progress: !self.output.no_progress,
        }
    }

    /// The format asked for by flag; for messages before the configuration is read.
    pub fn format(&self) -> Option<Format> {
        self.output.output.as_deref().and_then(|name| name.parse().ok())
    }
}
