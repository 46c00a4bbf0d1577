//! The options of `mirror`.

use std::ffi::OsString;
use std::time::Duration;

use crate::args::{KeyText, parse_period, safety_options};
use crate::error::Failure;
use crate::gc::Limits;
use crate::output::bytes;
use crate::sync::SourceWord;

/// Keep a prefix equal to a prefix of another cluster
///
/// The first run makes PREFIX of this store equal to the source: it creates, changes
/// and deletes keys, and asks before it changes or deletes any. Then it applies the
/// source's changes in the source's order, each once, until a signal ends it.
///
/// The place key holds the source's revision up to which PREFIX is mirrored. It is
/// written in the same transaction as the changes: the same command continues there,
/// and of two mirrors with one place, one exits with 5.
///
/// No other client may write to PREFIX. If one does, the mirror exits with 5: when
/// the source changes the same key, or at the next start.
///
/// If the source has compacted changes that were not applied yet, the mirror copies
/// the present state, and says so.
///
/// Without --with-leases the copy has no leases: a key is deleted when the source's
/// lease ends. Memory: about 60 bytes for each key. The source's user needs read
/// permission for the source's prefix; this store's needs to read and write PREFIX
/// and the place key.
///
/// Exit codes:
///   0  --once: caught up
///   1  --verify: different
///   4  the place belongs to another source, or etcd refused a request
///   5  another client or mirror wrote to PREFIX, or a safety rule refused
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm mirror /app/ --source context:old --once --verify
  kvadm mirror /copies/app/ --source context:prod --source-prefix /app/ -o json
  kvadm mirror '' --source context:old --place mirror.place --yes",
    args = safety_options()
)]
pub struct Args {
    /// Prefix of this store that is kept equal; '' for all keys
    #[arg(value_name = "PREFIX")]
    pub(super) prefix: OsString,
    #[command(flatten)]
    pub(super) text: KeyText,
    /// Store to mirror: context:NAME
    ///
    /// Only the file of the context applies to the source; options and environment are about this store, the destination.
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    pub(super) source: SourceWord,
    /// Prefix of the keys in the source [default: PREFIX]
    #[arg(long, value_name = "P", help_heading = "Source")]
    pub(super) source_prefix: Option<OsString>,

    /// Key that holds the place [default: PREFIX without its /, plus .kvadm-mirror]
    ///
    /// A key of this store, which is left out on both sides. It is required for a prefix that does not end with a slash.
    /// Without the key, the next run begins with a copy.
    #[arg(long, value_name = "KEY")]
    pub(super) place: Option<OsString>,
    /// End when the source's present revision is mirrored
    #[arg(long)]
    pub(super) once: bool,
    /// Compare both sides at the end, and exit 1 if they differ
    #[arg(long, requires = "once")]
    pub(super) verify: bool,
    /// Attach keys to leases as in the source
    ///
    /// For each lease of the source that has keys with the prefix, the mirror grants one lease with the same TTL, and renews
    /// it as long as the source's lease exists. When that ends, the keys are deleted like others, and the mirror's lease
    /// expires. A restarted mirror uses the same leases.
    ///
    /// What differs from the source: If the source's lease ends while the source, the destination or the mirror is away, its
    /// keys stay for one more TTL at most. If one of them is away for longer than a TTL, or after --once, the keys of living
    /// leases expire here; the mirror writes them again when it is back. A lease whose keys two mirrors share becomes one
    /// lease for each mirror. Clients renew the source's lease, not the mirror's.
    ///
    /// No more permissions are needed. A mirror that was begun without this option may continue with it, and the other way
    /// round.
    #[arg(long)]
    pub(super) with_leases: bool,
    /// Report the position every D [default: 10s]
    #[arg(long, value_name = "D", value_parser = parse_period, hide_short_help = true)]
    pub(super) report: Option<Duration>,

    /// Write over what other clients change in PREFIX, instead of ending with 5
    #[arg(long, help_heading = "Safety")]
    pub(super) overwrite: bool,
    /// Accept a source without keys, which deletes all keys with the prefix
    #[arg(long, help_heading = "Safety", hide_short_help = true)]
    pub(super) allow_empty: bool,
    /// Copy nothing if the copy would delete more than N keys
    #[arg(long, value_name = "N", help_heading = "Safety", hide_short_help = true)]
    pub(super) max_delete: Option<u64>,
    /// Copy nothing if it would delete more than P percent [default: 50, above 20 keys]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Safety", hide_short_help = true)]
    pub(super) max_percent: Option<u8>,
}

impl Args {
    pub(super) fn limits(&self) -> Limits {
        Limits { count: self.max_delete, percent: self.max_percent }
    }

    /// The name of the source's context.
    pub(super) fn context(&self) -> Result<&str, Failure> {
        let advice = |failure: Failure| failure.hint("follow the latest revision of a context: --source context:NAME");
        match &self.source {
            SourceWord::Context { name, revision: None } => Ok(name),
            SourceWord::Context { .. } => Err(advice(Failure::usage("a mirror cannot follow a single revision"))),
            SourceWord::Database(_) => {
                Err(Failure::usage("a mirror cannot follow a database file, which does not change")
                    .hint("'kvadm restore PREFIX --source db:FILE' makes PREFIX equal to the file once"))
            }
            _ => Err(advice(Failure::usage("a mirror can only follow another context"))),
        }
    }

    /// The place key.
    pub(super) fn place_key(&self, prefix: &[u8], namespace: &[u8]) -> Result<Vec<u8>, Failure> {
        if let Some(place) = &self.place {
            return self.text.key(place, namespace);
        }
        match prefix.strip_suffix(b"/") {
            Some(base) => Ok([base, b".kvadm-mirror"].concat()),
            None => Err(Failure::usage(format!("no default place for the prefix {}", bytes::name(prefix)))
                .hint("end the prefix with a slash, or add --place KEY: the key that holds the mirror's position")),
        }
    }
}
