//! `kvadm member list`.

use super::judge::voter_state;
use super::view::{ClusterView, MemberView};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::ClusterMemberRow;

/// Lists the members.
pub async fn run(ctx: &Context, serializable: bool) -> Result<Exit, Failure> {
    let view = if serializable {
        ClusterView::load_serializable(ctx).await?
    } else {
        ClusterView::load(ctx).await.map_err(|failure| {
            let hint = "add --serializable to list what one member knows, without a quorum";
            if failure.exit == Exit::Unreachable { failure.hint(hint) } else { failure }
        })?
    };
    let mut sink = ctx.out.stream();
    for member in &view.members {
        sink.push(&row(&view, member))?;
    }
    sink.finish()?;
    let count = view.count();
    if !serializable {
        let state = voter_state(count, view.only_unstarted_are_missing());
        ctx.out.note(&format!("{state}: {}", count.meaning()));
    }
    Ok(Exit::Done)
}

fn row<'a>(view: &ClusterView, one: &'a MemberView) -> ClusterMemberRow<'a> {
    let role = match &one.member {
        member if member.learner => "learner",
        member if member.id == view.leader => "leader",
        _ => "voter",
    };
    ClusterMemberRow {
        id: one.member.id,
        name: &one.member.name,
        state: if one.started() { "started" } else { "unstarted" },
        role,
        health: one.health,
        peer_urls: &one.member.peer_urls,
        client_urls: &one.member.client_urls,
    }
}
