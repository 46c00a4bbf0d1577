//! One run of a mirror: finds the place, brings the prefix up to date, and follows the source.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::options::Args;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, Refusal, Revision, Store};
use crate::output::{MirrorRow, bytes};
use crate::sync::KeyMapping;
use crate::sync::mirror::{
    BatchLimits, ComparePass, KnownRevisions, LeaseMapping, MirrorError, MirrorIdentity, MirrorLeases, MirrorPlace,
    MirrorPosition, Outage, Overlay, PassRevisions, PlaceError, PlaceState, PlaceWriter,
};

/// The pause before a run starts over whose connection was lost outside of the following.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A mirror, with what outlives a lost connection.
pub(super) struct MirrorSession<'a> {
    pub(super) ctx: &'a Context,
    pub(super) args: &'a Args,
    pub(super) source: Store,
    /// How messages name the source.
    pub(super) source_name: String,
    /// The destination; signals do not cancel its requests.
    pub(super) destination: Store,
    pub(super) mapping: KeyMapping,
    pub(super) place: Vec<u8>,
    pub(super) known: KnownRevisions,
    pub(super) limits: BatchLimits,
    pub(super) outage: Outage,
    pub(super) leases: MirrorLeases,
    /// The task that renews the leases.
    lease_keeper: JoinSet<()>,
    pub(super) totals: MirrorTotals,
    /// Whether the user has agreed to the first copy.
    pub(super) consented: bool,
    /// Whether both sides have answered.
    begun: bool,
}

/// What this command has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MirrorTotals {
    pub(super) changes: u64,
    pub(super) copied: u64,
    pub(super) overwritten: u64,
}

/// Why a part of the run has ended.
#[derive(Debug)]
pub(super) enum MirrorStop {
    Mirror(MirrorError),
    Failed(Failure),
}

impl From<MirrorError> for MirrorStop {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}

impl From<Failure> for MirrorStop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<std::io::Error> for MirrorStop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> MirrorSession<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        args: &'a Args,
        source: Store,
        source_name: String,
        mapping: KeyMapping,
        place: Vec<u8>,
    ) -> Self {
        let destination = ctx.store().with_cancel(CancellationToken::new());
        let outage = Outage::default();
        let leases = MirrorLeases::new(&source, &destination, &outage, LeaseMapping::default());
        Self {
            ctx,
            args,
            source,
            source_name,
            limits: BatchLimits::of(&destination),
            destination,
            mapping,
            place,
            known: KnownRevisions::default(),
            outage,
            leases,
            lease_keeper: JoinSet::new(),
            totals: MirrorTotals::default(),
            consented: false,
            begun: false,
        }
    }

    /// Mirrors to the end. A connection that is lost between two steps starts the run over from the place.
    ///
    /// # Errors
    /// Any end other than a requested one.
    pub(super) async fn run(mut self) -> Result<Exit, Failure> {
        loop {
            match self.attempt().await {
                Ok(exit) => return Ok(exit),
                Err(MirrorStop::Mirror(error))
                    if self.begun && (error.is_transient() || Self::is_compacted(&error)) =>
                {
                    let failure = self.failure(MirrorStop::Mirror(error));
                    self.ctx.out.warn(&format!("the mirror is interrupted and will resume: {}", failure.one_line()));
                    self.ctx.sleep(RESTART_PAUSE).await?;
                }
                Err(stop) => {
                    let failure = self.failure(stop);
                    if failure.is_end_by_signal() {
                        self.ctx.out.note("interrupted before the source was followed; the same command begins again");
                        return Ok(Exit::Interrupted);
                    }
                    return Err(failure);
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Exit, MirrorStop> {
        // A signal ends reads before anything is written.
        let read = self.ctx.store().get(&self.place, 0, None).await;
        let (found, _) = read.map_err(MirrorError::Destination)?;
        let now = self.source_revision().await?;
        self.begun = true;
        let identity = MirrorIdentity {
            source_cluster: self.source.cluster().unwrap_or(0),
            source_prefix: self.source.absolute(self.mapping.source_prefix()),
            prefix: self.destination.absolute(self.mapping.store_prefix()),
        };
        let place = self.check_place(found.as_ref(), &identity, now)?;
        let mod_revision = found.map_or(0, |kv| kv.mod_revision);
        if self.args.with_leases && !self.leases.mapping().is_on() {
            let mapping = LeaseMapping::new(identity.source_cluster, &self.destination.absolute(&self.place));
            self.leases = MirrorLeases::new(&self.source, &self.destination, &self.outage, mapping);
        }
        let had_leases = place.as_ref().is_some_and(MirrorPlace::leases);
        let mut writer = PlaceWriter::new(&self.place, identity, mod_revision, self.args.with_leases || had_leases);
        if self.ctx.safety.dry_run {
            return self.dry_run(place.as_ref()).await;
        }
        if self.args.with_leases && self.lease_keeper.is_empty() {
            self.lease_keeper.spawn(self.leases.clone().keep());
        }
        let position = match place {
            None => self.first_copy(&mut writer).await?,
            Some(place) if place.state() == PlaceState::Copying => self.copy_again(&mut writer, &place).await?,
            Some(place) => self.resume(&mut writer, place.position()).await?,
        };
        writer.set_leases(self.args.with_leases);
        self.follow(writer, position).await
    }

    /// The source's revision; its request needs no permission but that for the prefix.
    pub(super) async fn source_revision(&self) -> Result<Revision, MirrorError> {
        self.source.revision_for(&self.mapping.source_range()).await.map_err(MirrorError::Source)
    }

    fn check_place(
        &self,
        found: Option<&KeyValue>,
        identity: &MirrorIdentity,
        now: Revision,
    ) -> Result<Option<MirrorPlace>, Failure> {
        let Some(kv) = found else { return Ok(None) };
        let place = MirrorPlace::parse(&kv.value).and_then(|place| place.check(identity, now).map(|()| place));
        place.map(Some).map_err(|error| {
            let delete = self.ctx.command_line(&["delete"]).key(&self.place);
            let hint = match error {
                // A key that the user has named may hold data.
                PlaceError::NoPlace(_) if self.args.place.is_some() => "choose another key with --place KEY".to_owned(),
                PlaceError::NoPlace(_) => {
                    format!("choose another key with --place KEY; if this one is a damaged place: '{delete}'")
                }
                PlaceError::Format(_) => "use the version of kvadm that wrote the key".to_owned(),
                _ => format!("'{delete}' makes the next run begin with a copy"),
            };
            Failure::new(Exit::Refused, format!("the place key {} cannot be used: {error}", bytes::name(&self.place)))
                .hint(hint)
        })
    }

    /// Compares both sides.
    pub(super) fn pass(&self, at: PassRevisions, overlay: Overlay) -> ComparePass {
        // Reads end with a signal.
        ComparePass::new(&self.source, self.ctx.store(), &self.mapping, &self.place, at, overlay, &self.leases)
    }

    /// Prints a report in JSON and YAML; in text, the note beside it says the same.
    pub(super) fn print_row(&self, row: MirrorRow) -> Result<(), Failure> {
        if self.ctx.out.is_data() {
            self.ctx.out.live(&row)?;
        }
        Ok(())
    }

    /// A report of this event at a position.
    pub(super) fn row(&self, event: &'static str, position: MirrorPosition) -> MirrorRow {
        let MirrorTotals { changes, copied, overwritten } = self.totals;
        MirrorRow { event, revision: position.revision, changes, copied, overwritten, ..MirrorRow::default() }
    }

    /// Whether an error says that the revision to be read is compacted.
    pub(super) fn is_compacted(error: &MirrorError) -> bool {
        match error {
            MirrorError::Source(error) | MirrorError::Destination(error) => error.is_refusal(Refusal::Compacted),
            _ => false,
        }
    }
}
