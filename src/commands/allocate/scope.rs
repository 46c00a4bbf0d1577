//! The options that say which allocator is meant. `gc ids` and `gc locks` share them.

use std::ffi::{OsStr, OsString};

use clap::Args;

use crate::allocator::{DEFAULT_BASE, IdRange, Layout, check_key, check_node};
use crate::args::{KeyText, bytes_of};
use crate::error::{Exit, Failure};
use crate::output::bytes;

/// Where an allocator keeps its keys.
#[derive(Args, Clone, Debug)]
pub struct BaseArgs {
    /// What the allocator's keys begin with
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_BASE, help_heading = "Allocator")]
    base: OsString,
}

impl BaseArgs {
    /// As it was given, for messages.
    pub fn text(&self) -> String {
        bytes::escape(&bytes_of(&self.base))
    }

    /// The paths below it.
    ///
    /// # Errors
    /// A usage error for a base that Cilium's path cleaning would alter.
    pub fn layout(&self) -> Result<Layout, Failure> {
        Layout::new(&bytes_of(&self.base)).map_err(|error| Failure::usage(format!("--base: {error}")))
    }
}

/// Which IDs an allocator gives away.
#[derive(Args, Clone, Copy, Debug)]
pub struct IdRangeArgs {
    /// The smallest ID
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = parse_number, help_heading = "Allocator")]
    min: u64,
    /// The largest ID
    #[arg(long, value_name = "N", default_value_t = 65535, value_parser = parse_number, help_heading = "Allocator")]
    max: u64,
    /// Bits set in every ID on top, such as a cluster's ID shifted left by 16; decimal or 0x…
    #[arg(long, value_name = "BITS", default_value_t = 0, value_parser = parse_number, help_heading = "Allocator")]
    prefix_mask: u64,
}

impl IdRangeArgs {
    /// The IDs.
    ///
    /// # Errors
    /// A usage error for a range without an ID.
    pub fn range(&self) -> Result<IdRange, Failure> {
        IdRange::new(self.min, self.max, self.prefix_mask)
            .map_err(|error| Failure::usage(error.to_string()).hint("see --min, --max and --prefix-mask"))
    }
}

/// Whose references are meant.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// The node whose references they are, such as its IP address [default: the host's name]
    #[arg(long, value_name = "NAME", help_heading = "Allocator")]
    node: Option<OsString>,
}

impl NodeArgs {
    /// Its name.
    ///
    /// # Errors
    /// A usage error for a name that cannot be the last part of a path.
    pub fn name(&self) -> Result<Vec<u8>, Failure> {
        let name = match &self.node {
            Some(name) => name.clone(),
            None => nix::unistd::gethostname()
                .map_err(|error| Failure::new(Exit::Bug, format!("cannot read the host's name: {error}")))?,
        };
        let name = bytes_of(&name);
        check_node(&name).map_err(|error| Failure::usage(format!("--node: '{}' {error}", bytes::escape(&name))))?;
        Ok(name)
    }
}

/// The bytes of an allocator's key.
///
/// # Errors
/// A usage error for a bad escape, and for a key that Cilium's path cleaning would alter.
pub fn parse_key(text: KeyText, given: &OsStr) -> Result<Vec<u8>, Failure> {
    let key = text.bytes(given)?;
    validate_key(key)
}

/// The key, if it can be one.
///
/// # Errors
/// A usage error for a key that Cilium's path cleaning would alter.
pub fn validate_key(key: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match check_key(&key) {
        Ok(()) => Ok(key),
        Err(error) => Err(Failure::usage(format!("the key '{}' {error}", bytes::escape(&key)))
            .hint("two keys could become one and share an ID; write the key as it is kept")),
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}
