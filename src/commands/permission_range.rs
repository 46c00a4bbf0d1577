//! The keys of a permission on the command line.

use std::ffi::OsString;

use clap::Args;

use crate::access::state::canonical;
use crate::args::KeyText;
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::KeyRange;
use crate::output::bytes;

/// One key, a prefix, a range or all keys.
#[derive(Args, Clone, Debug)]
pub struct PermissionRange {
    /// One key
    #[arg(value_name = "KEY", conflicts_with_all = ["prefix", "from", "to", "all"])]
    key: Option<OsString>,
    /// All keys that begin with P
    #[arg(long, help_heading = "Which keys", value_name = "P", conflicts_with_all = ["from", "to", "all"])]
    prefix: Option<OsString>,
    /// First key of a range
    #[arg(long, help_heading = "Which keys", value_name = "KEY", conflicts_with = "all")]
    from: Option<OsString>,
    /// End of the range; this key is not included
    #[arg(long, help_heading = "Which keys", value_name = "KEY", conflicts_with = "all")]
    to: Option<OsString>,
    /// All keys of the store
    #[arg(long, help_heading = "Which keys")]
    all: bool,
    #[command(flatten)]
    text: KeyText,
}

/// Says that a namespace does not apply to permissions, if there is one.
pub fn note_namespace(ctx: &Context) {
    let namespace = ctx.store().namespace();
    if !namespace.is_empty() {
        let namespace = bytes::name(namespace);
        ctx.out.note(&format!("permissions name keys of the whole store: the namespace {namespace} does not apply"));
    }
}

impl PermissionRange {
    /// The range. It names keys of the whole store.
    ///
    /// # Errors
    /// A usage error if no keys are named, the range is empty, or there is a namespace.
    pub fn range(&self, ctx: &Context) -> Result<KeyRange, Failure> {
        let namespace = ctx.store().namespace();
        if !namespace.is_empty() {
            return Err(Failure::usage(format!(
                "permissions name keys of the whole store: the namespace {} does not apply to them",
                bytes::name(namespace)
            ))
            .hint("add --namespace '' and write the whole keys"));
        }
        self.of_options()
    }

    fn of_options(&self) -> Result<KeyRange, Failure> {
        let bytes = |text: &OsString| self.text.bytes(text);
        if self.all {
            return Ok(KeyRange::prefix(b""));
        }
        if let Some(key) = &self.key {
            return Ok(KeyRange::key(&self.text.key(key, b"")?));
        }
        if let Some(prefix) = &self.prefix {
            let prefix = bytes(prefix)?;
            return match prefix.is_empty() {
                true => Err(Failure::usage("the prefix is empty").hint("write --all for all keys of the store")),
                false => Ok(KeyRange::prefix(&prefix)),
            };
        }
        if self.from.is_none() && self.to.is_none() {
            return Err(Failure::usage("no keys are named")
                .hint("name one KEY, or add --prefix P, --from KEY [--to KEY], or --all"));
        }
        let from = self.from.as_ref().map(bytes).transpose()?.unwrap_or_default();
        let to = self.to.as_ref().map(bytes).transpose()?;
        let range = KeyRange::between(&from, to.as_deref());
        if range.is_empty() {
            let (from, to) = (bytes::name(&from), bytes::name(&to.unwrap_or_default()));
            return Err(Failure::usage(format!("empty range: --from {from} is not less than --to {to}")));
        }
        Ok(canonical(range))
    }
}
