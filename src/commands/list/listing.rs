//! Reads and prints the keys of a listing.

use super::filter::RecordFilter;
use super::options::{Args, SortOrder};
use crate::commands::lease_cache::LeaseCache;
use crate::commands::serializable::ReadStore;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, KeyRange, KeyValue, LockGuard, RangeReader, Refusal, Revision};
use crate::output::{Count, KeyOnly, LeasedRecord, Sink, Trailer, TrailerLine};
use crate::plural::counted;

pub(super) struct Listing<'a> {
    pub(super) ctx: &'a Context,
    pub(super) args: &'a Args,
    pub(super) filter: RecordFilter,
    pub(super) source: &'a ReadStore,
    pub(super) range: KeyRange,
    pub(super) guard: Option<LockGuard>,
    pub(super) matched: u64,
    /// The revision of the listing; until the first page, the requested one.
    pub(super) revision: Revision,
    pub(super) leases: LeaseCache,
}

impl Listing<'_> {
    pub(super) async fn stream(&mut self, mut reader: RangeReader) -> Result<(), Failure> {
        let mut sink = self.ctx.out.stream();
        let progress = self.ctx.out.progress("listing", None);
        'pages: while let Some(page) = self.page(&mut reader).await? {
            progress.set_total(reader.total());
            progress.inc(page.len() as u64);
            for kv in &page {
                if self.limit_reached() {
                    break 'pages;
                }
                if self.accept(kv) && !self.args.count {
                    self.print(&mut sink, kv).await?;
                }
            }
        }
        progress.finish();
        if self.args.trailer {
            let (prefix, revision) = (self.range.start.clone(), reader.revision());
            sink.push(&TrailerLine(&Trailer { prefix, count: self.matched, revision }))?;
        }
        sink.finish()?;
        if self.args.count {
            self.ctx.out.one(&Count { count: self.matched, revision: reader.revision() })?;
        }
        Ok(())
    }

    /// Prints the keys sorted; with a limit, at most twice as many keys are in memory.
    pub(super) async fn sorted(&mut self, mut reader: RangeReader) -> Result<(), Failure> {
        let limit = self.args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut selected: Vec<KeyValue> = Vec::new();
        let progress = self.ctx.out.progress("sorting", None);
        while let Some(page) = self.page(&mut reader).await? {
            progress.set_total(reader.total());
            progress.inc(page.len() as u64);
            selected.extend(page.into_iter().filter(|kv| self.accept(kv)));
            if selected.len() / 2 > limit {
                self.sort(&mut selected);
                selected.truncate(limit);
            }
        }
        progress.finish();
        self.sort(&mut selected);
        selected.truncate(limit);
        let mut sink = self.ctx.out.stream();
        for kv in &selected {
            self.print(&mut sink, kv).await?;
        }
        Ok(sink.finish()?)
    }

    pub(super) fn sort(&self, selected: &mut [KeyValue]) {
        selected.sort_by(|a, b| {
            let by = match self.args.sort.unwrap_or(SortOrder::Key) {
                SortOrder::Key => std::cmp::Ordering::Equal,
                SortOrder::Create => a.create_revision.cmp(&b.create_revision),
                SortOrder::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortOrder::Version => a.version.cmp(&b.version),
                SortOrder::Value => a.value.cmp(&b.value),
                SortOrder::Size => a.size().cmp(&b.size()),
            };
            let sort = by.then_with(|| a.key.cmp(&b.key));
            if self.args.desc { sort.reverse() } else { sort }
        });
    }

    pub(super) async fn page(&mut self, reader: &mut RangeReader) -> Result<Option<Vec<KeyValue>>, Failure> {
        let page = reader.next().await;
        self.revision = reader.revision();
        self.check_since(&page)?;
        page.map_err(|error| {
            let compacted = error.is_refusal(Refusal::Compacted) && reader.revision() > 0;
            let failure = self.source.explain(error.into());
            let (rev, seen) = (reader.revision(), counted(self.matched, "key"));
            if self.matched == 0 || failure.exit == Exit::Interrupted {
                return failure;
            }
            if !compacted {
                return failure
                    .hint(format!("the listing is incomplete: it ended after {seen} of revision {rev}"));
            }
            failure
                .context(format!("revision {rev} was compacted during the listing, after {seen}"))
                .hint("the listing is incomplete; run it again, and let auto-compaction keep revisions for longer than a listing takes")
        })
    }

    /// Refuses a revision of `--since-rev` after that of the listing.
    fn check_since(&self, page: &Result<Option<Vec<KeyValue>>, Error>) -> Result<(), Failure> {
        let (Some(since), Ok(_)) = (self.args.since_rev, page) else { return Ok(()) };
        if since <= self.revision {
            return Ok(());
        }
        let hint = if self.args.serializable.serializable {
            "the member may be behind the other members: try another endpoint, or omit --serializable"
        } else {
            "if an earlier listing was at that revision, the store was restored from a backup, or it is a different \
             store: list without --since-rev"
        };
        let store = self.revision;
        Err(Failure::new(Exit::Refused, format!("--since-rev {since}: the store is at revision {store}")).hint(hint))
    }

    pub(super) fn accept(&mut self, kv: &KeyValue) -> bool {
        let accept = self.filter.matches(kv);
        self.matched += u64::from(accept);
        accept
    }

    pub(super) fn limit_reached(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.matched >= limit)
    }

    pub(super) async fn print(&mut self, sink: &mut Sink, kv: &KeyValue) -> Result<(), Failure> {
        if self.args.keys_only {
            return Ok(sink.push(&KeyOnly(kv))?);
        }
        let Some(lease) = kv.lease.filter(|_| self.args.with_leases) else {
            return Ok(sink.push(kv)?);
        };
        let ttl = self.leases.grant(self.ctx.store(), lease).await?.map(|grant| grant.ttl);
        Ok(sink.push(&LeasedRecord { kv, ttl })?)
    }
}
