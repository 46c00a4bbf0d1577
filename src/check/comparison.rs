//! The rule `equals`: the keys of a prefix are those of a source, compared in constant memory while the prefix is read.

use super::judgement::{RuleFault, RuleJudgement, shown};
use super::outcome::MeasureUnit;
use crate::kvstore::{Error, KeyRange, KeyValue};
use crate::output::ChangeKind;
use crate::plural::counted;
use crate::sync::{Difference, LeaseRule, Merge, MergeStep, Pair, Records, SyncError, SyncRecord};

/// A source that has been opened.
pub struct OpenedRecords {
    /// Its records, with the keys of this store.
    pub records: Records,
    /// Which leases make a difference.
    pub leases: LeaseRule,
}

/// Compares a source with the pages of a prefix.
pub struct PrefixComparison {
    source: OpenedRecords,
    /// How the file names the source.
    name: String,
    range: KeyRange,
    merge: Merge,
    differences: u64,
    same: u64,
    first: Option<String>,
    fault: Option<RuleFault>,
}

impl PrefixComparison {
    /// Begins a comparison.
    pub fn new(source: OpenedRecords, name: &str, range: KeyRange) -> Self {
        let (differences, same, first, fault) = (0, 0, None, None);
        Self { source, name: name.to_owned(), range, merge: Merge::default(), differences, same, first, fault }
    }

    /// Takes the next page of the store, of which keys outside the prefix do not count.
    ///
    /// # Errors
    /// An error that ends the command.
    pub async fn take_page(&mut self, page: &[KeyValue]) -> Result<(), Error> {
        let records: Vec<SyncRecord> = page
            .iter()
            .filter(|kv| self.range.contains(&kv.key))
            .map(|kv| SyncRecord { kv: kv.clone(), ttl: None })
            .collect();
        if records.is_empty() || self.fault.is_some() {
            return Ok(());
        }
        self.merge.store_page(Some(records));
        self.advance().await
    }

    /// Goes on until a page of the store is needed.
    async fn advance(&mut self) -> Result<(), Error> {
        loop {
            let (leases, same) = (self.source.leases, &mut self.same);
            let step = self.merge.step(|source, store| {
                let equal = source.kv.value == store.kv.value && leases.same(&source.kv, &store.kv);
                *same = same.saturating_add(u64::from(equal));
                equal
            });
            match step {
                MergeStep::NeedStore | MergeStep::End => return Ok(()),
                MergeStep::NeedSource => match self.source.records.next().await {
                    Ok(page) => self.merge.source_page(page),
                    Err(SyncError::Source(error) | SyncError::Store(error)) => {
                        let fault = RuleFault::of(error)?;
                        self.fault =
                            Some(RuleFault { why: format!("cannot read {}: {}", self.name, fault.why), ..fault });
                        return Ok(());
                    }
                    Err(error) => {
                        self.fault = Some(RuleFault::refused(error.to_string()));
                        return Ok(());
                    }
                },
                MergeStep::Pair(Pair { source, store }) => {
                    self.differences = self.differences.saturating_add(1);
                    if self.first.is_none() {
                        let found = Difference { source, store: store.map(|record| record.kv) };
                        let what = match found.from_source() {
                            ChangeKind::Created => "only in the store",
                            ChangeKind::Deleted => "only in the source",
                            ChangeKind::Modified => "different",
                        };
                        self.first = Some(format!("{} ({what})", shown(found.key())));
                    }
                }
            }
        }
    }

    /// Judges the rule after the last page.
    ///
    /// # Errors
    /// An error that ends the command.
    pub async fn finish(mut self) -> Result<RuleJudgement, Error> {
        if self.fault.is_none() {
            self.merge.store_page(None);
            self.advance().await?;
        }
        if let Some(fault) = self.fault {
            return Ok(RuleJudgement::error(fault));
        }
        let expected = format!("the same keys as {}", self.name);
        if self.differences == 0 && self.same == 0 {
            // A mistyped prefix would be no difference.
            return Ok(RuleJudgement::fail(expected, "neither side has a key with this prefix"));
        }
        let first = self.first.unwrap_or_default();
        let found = format!("{}, the first: {first}", counted(self.differences, "difference"));
        Ok(RuleJudgement::of(self.differences == 0, expected, found).measure(
            self.differences,
            MeasureUnit::Count,
            Some(0.0),
        ))
    }
}
