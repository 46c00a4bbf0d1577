//! `compact --dry-run`: prints the steps.

use super::defrag::DefragOptions;
use super::disarm;
use super::job::{CompactJob, CompactResult};
use super::ledger::MemberLedger;
use super::plan::{self, Headroom, answering, leader, next_member};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::ClusterScan;
use crate::kvstore::Revision;
use crate::output::CompactAnswer;

impl CompactJob {
    pub(super) async fn dry_run(
        &self,
        ctx: &Context,
        target: Option<Revision>,
        done: &mut CompactResult,
        ledger: &MemberLedger,
        scan: Option<&ClusterScan>,
        selected: &[u64],
    ) -> Result<Exit, Failure> {
        let mut already = false;
        if let Some(revision) = target {
            already = ctx.store().is_compacted(revision).await?;
            let suffix = if already { " (already done)" } else { "" };
            ctx.out.note(&format!("dry run: the store would be compacted at revision {revision}{suffix}"));
        }
        let order = match (&self.defrag, scan) {
            (Some(options), Some(scan)) => defrag_order(ctx, scan, options, selected),
            _ => Vec::new(),
        };
        if !order.is_empty() {
            ctx.out.note(&format!("dry run: these members would be defragmented, in this order: {}", order.join(", ")));
        }
        if let (true, Some(scan)) = (self.disarm, scan) {
            self.dry_run_disarm(ctx, scan, done).await?;
        }
        let rows = ledger.rows();
        ctx.out.report(&CompactAnswer {
            dry_run: true,
            compacted: target,
            already,
            current: done.current,
            order: &order,
            disarmed: &done.disarmed,
            members: &rows,
            complaints: &done.complaints,
            ..CompactAnswer::default()
        })?;
        let changes = target.is_some_and(|_| !already) || !order.is_empty() || !done.disarmed.is_empty();
        // As the real run.
        Ok(match (self.disarm && !done.complaints.is_empty(), changes) {
            (false, _) => Exit::Done,
            (true, true) => Exit::Partial,
            (true, false) => Exit::Conflict,
        })
    }

    async fn dry_run_disarm(&self, ctx: &Context, scan: &ClusterScan, done: &mut CompactResult) -> Result<(), Failure> {
        let raised = ctx.store().alarms().await?;
        if self.clears_corrupt {
            let found = disarm::judge_corrupt(ctx, &raised).await?;
            for id in found.clear {
                ctx.out.note(&format!("dry run: the CORRUPT alarm of member {id:x} would be cleared"));
                done.disarmed.push(format!("{id:x}"));
            }
            done.complaints.extend(found.remaining);
        }
        let found = plan::alarms(&raised, scan);
        let ids: Vec<u64> = if self.defrag.is_some() {
            raised.iter().filter(|alarm| alarm.kind == plan::NOSPACE).map(|alarm| alarm.member).collect()
        } else {
            done.complaints.extend(found.remaining);
            found.clear
        };
        for id in ids {
            let status = answering(scan).find(|(_, status)| status.id == id);
            let certain = status.is_some_and(|(_, status)| plan::headroom(status) == Headroom::Yes);
            let suffix = if certain { "" } else { ", if there is space by then" };
            ctx.out.note(&format!("dry run: the NOSPACE alarm of member {id:x} would be cleared{suffix}"));
            done.disarmed.push(format!("{id:x}"));
        }
        Ok(())
    }
}

fn defrag_order(ctx: &Context, scan: &ClusterScan, options: &DefragOptions, selected: &[u64]) -> Vec<String> {
    let mut left = selected.to_vec();
    let mut order = Vec::new();
    while let Some(id) = next_member(&left, leader(scan)) {
        left.retain(|other| *other != id);
        let found = answering(scan).find(|(_, status)| status.id == id);
        let Some((member, status)) = found else { continue };
        match options.reason_to_skip(status) {
            Some(reason) => ctx.out.note(&format!("dry run: {} would be skipped: {reason}", member.endpoint)),
            None => order.push(member.endpoint.clone()),
        }
    }
    order
}
