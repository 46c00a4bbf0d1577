//! The options that every verb takes, grouped as the help shows them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::args::{parse_duration, parse_qps};
use crate::config::Overrides;
use crate::context::Safety;
use crate::output::{ColorChoice, Format, Settings};

/// The options that every verb takes.
#[derive(Args, Debug)]
pub struct Global {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    safety: SafetyArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
struct Connection {
    /// The YAML etcd config, Ligato's or clientv3's [env: ETCD_CONFIG]
    #[arg(short, long, visible_alias = "etcd-config", global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    context: Option<String>,
    /// Refuse a config with unknown keys instead of warning
    #[arg(long, global = true, hide_short_help = true)]
    strict_config: bool,
    /// Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',')]
    endpoints: Option<Vec<String>>,
    /// PEM certificates to trust [env: KVADM_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    ca_file: Option<PathBuf>,
    /// PEM certificate to present [env: KVADM_CERT_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    cert_file: Option<PathBuf>,
    /// PEM key of that certificate [env: KVADM_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Speak plaintext, and do not open the TLS files
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_transport: Option<bool>,
    /// Accept whatever certificate the server shows
    #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_tls_verify: Option<bool>,
    /// The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    user: Option<String>,
    /// A file that holds the password [env: KVADM_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// Bound on reaching an endpoint, such as 500ms [default: 1s]
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    dial_timeout: Option<Duration>,
    /// Bound on each request; ten times that where a range is read and its member shows life [default: 3s]
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    op_timeout: Option<Duration>,
    /// Bound on the whole command
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    deadline: Option<Duration>,
    /// Keep trying so long until the store answers
    #[arg(long, global = true, value_name = "D", value_parser = parse_duration, hide_short_help = true)]
    connect_wait: Option<Duration>,
    /// Put this before every key, and take it off again
    #[arg(long, global = true, value_name = "P", hide_short_help = true)]
    namespace: Option<OsString>,
    /// At most so many requests a second
    #[arg(long, global = true, value_name = "N", value_parser = parse_qps, hide_short_help = true)]
    qps: Option<f64>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct Output {
    /// text, table, json, yaml or raw [default: table on a terminal, else text]
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = ["text", "table", "json", "yaml", "raw"], hide_possible_values = true)]
    output: Option<String>,
    /// Colour: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"], hide_possible_values = true, default_value = "auto", hide_default_value = true, hide_short_help = true)]
    color: String,
    /// No notes and no warnings
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: -v what is decided, -vv every request (never values)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// No progress bars
    #[arg(long, global = true, hide_short_help = true)]
    no_progress: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Safety")]
struct SafetyArgs {
    /// Do not ask before something that cannot be undone
    #[arg(long, global = true)]
    yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
}

impl Global {
    /// What the command line says about the configuration.
    pub fn overrides(&self) -> Overrides {
        let connection = &self.connection;
        Overrides {
            config: connection.config.clone(),
            context: connection.context.clone(),
            strict: connection.strict_config,
            endpoints: connection.endpoints.clone(),
            ca_file: connection.ca_file.clone(),
            cert_file: connection.cert_file.clone(),
            key_file: connection.key_file.clone(),
            insecure_transport: connection.insecure_transport,
            insecure_skip_tls_verify: connection.insecure_skip_tls_verify,
            user: connection.user.clone(),
            password_file: connection.password_file.clone(),
            dial_timeout: connection.dial_timeout,
            op_timeout: connection.op_timeout,
            connect_wait: connection.connect_wait,
            namespace: connection.namespace.clone().map(OsString::into_vec),
            qps: connection.qps,
            output: self.output.output.clone(),
        }
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

    /// What the user agreed to.
    pub fn safety(&self) -> Safety {
        Safety { yes: self.safety.yes, dry_run: self.safety.dry_run }
    }
}
