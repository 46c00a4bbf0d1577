//! Output settings.

use std::str::FromStr;

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One record per line, tab-separated and escaped.
    Text,
    /// A table with a header.
    Table,
    /// One object per line.
    Json,
    /// One document per record.
    Yaml,
    /// The exact bytes of values.
    Raw,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "text" => Self::Text,
            "table" => Self::Table,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "raw" => Self::Raw,
            _ => return Err(()),
        })
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    pub(super) fn on(self, terminal: bool) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !set("NO_COLOR") && !is_dumb_terminal(),
        }
    }
}

pub(super) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Output settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `None`: a table on a terminal, otherwise text.
    pub format: Option<Format>,
    /// When to use colours.
    pub color: ColorChoice,
    /// Suppresses notes and warnings.
    pub quiet: bool,
    /// 1 prints details, 2 every request.
    pub verbosity: u8,
    /// Whether progress bars may be shown.
    pub progress: bool,
}
