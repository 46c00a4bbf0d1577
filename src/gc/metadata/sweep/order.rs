//! The order of the sweep, and the facts that each removal depends on.

use super::super::mark::Marking;
use super::super::model::{Edge, FactKind, Model, ObjectId};
use super::item::{SweepItem, SweepVerdict};

/// Position of an object that is not swept.
const NOT_SWEPT: u32 = u32::MAX;

/// The items in the order of the sweep, and their facts.
pub(super) fn plan(model: &Model, marking: &Marking, selected: &[ObjectId]) -> (Vec<SweepItem>, Vec<u32>) {
    let size = model.count() as usize;
    let mut chosen = vec![false; size];
    let mut ids: Vec<ObjectId> = Vec::with_capacity(selected.len());
    for id in selected.iter().copied().filter(|id| marking.is_garbage(model, *id)) {
        if !std::mem::replace(&mut chosen[id as usize], true) {
            ids.push(id);
        }
    }
    ids.sort_by(|a, b| model.order(*a).cmp(&model.order(*b)));
    let mut expired = Vec::new();
    let mut rest = Vec::new();
    for id in ids {
        if marking.expired(model, id).is_some() { expired.push(id) } else { rest.push(id) }
    }
    let ordered: Vec<(ObjectId, bool)> = [(expired, true), (rest, false)]
        .into_iter()
        .flat_map(|(ids, expired)| referrers_first(model, &ids).into_iter().map(move |id| (id, expired)))
        .collect();
    let mut positions = vec![NOT_SWEPT; size];
    for ((id, _), position) in ordered.iter().zip(0..) {
        positions[*id as usize] = position;
    }
    let facts = supporting_facts(model, marking, &positions);
    let mut items = Vec::with_capacity(ordered.len());
    let mut numbers = Vec::new();
    for (id, expired) in ordered {
        let from = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let own = facts.partition_point(|(other, _)| *other < id);
        numbers.extend(facts[own..].iter().take_while(|(other, _)| *other == id).map(|(_, fact)| *fact));
        let to = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        items.push(SweepItem { id, verdict: SweepVerdict::Waiting, expired, facts: from..to });
    }
    (items, numbers)
}

/// Sorts objects, which come kind by kind: within a kind, referring objects before the objects they refer to, otherwise
/// unchanged. In a cycle, one object is arbitrarily first.
fn referrers_first(model: &Model, ids: &[ObjectId]) -> Vec<ObjectId> {
    const UNKNOWN: u8 = 0;
    const WAITING: u8 = 1;
    const ANOTHER: u8 = 2;
    let mut state = vec![ANOTHER; model.count() as usize];
    ids.iter().for_each(|id| state[*id as usize] = UNKNOWN);
    let mut order = Vec::with_capacity(ids.len());
    for kind in ids.chunk_by(|a, b| model.kind_id(*a) == model.kind_id(*b)) {
        let first = order.len();
        for root in kind.iter().rev() {
            let mut open = vec![(*root, false)];
            while let Some((id, left)) = open.pop() {
                if left {
                    order.push(id);
                    continue;
                }
                if state[id as usize] != UNKNOWN {
                    continue;
                }
                state[id as usize] = WAITING;
                open.push((id, true));
                let same = |edge: &&Edge| model.kind_id(edge.to) == model.kind_id(id);
                let next = model.edges(id).iter().filter(same).map(|edge| edge.to);
                open.extend(next.filter(|to| state[*to as usize] == UNKNOWN).map(|to| (to, false)));
            }
        }
        order[first..].reverse();
    }
    order
}

/// Pairs of an object and a fact without which it might not be garbage: its own expiry or owner; the expiry or owner of
/// an object that would otherwise be a root and keep it, and that exists when the object is removed, because it is not
/// swept or comes later; the flat field of an object that would otherwise keep it.
fn supporting_facts(model: &Model, marking: &Marking, positions: &[u32]) -> Vec<(ObjectId, u32)> {
    let mut pairs = Vec::new();
    let mut seen = vec![0_u32; positions.len()];
    let mut round = 0;
    for (fact, number) in model.all_facts().iter().zip(0_u32..) {
        let id = fact.object;
        // An object that is not swept comes after all that are.
        let position = positions[id as usize];
        let mut open: Vec<ObjectId> = match fact.what {
            FactKind::Moment(_) => continue,
            FactKind::Expiry(_) if fact.time.is_none() || marking.is_reached_fully(id) => continue,
            FactKind::Owner(_) if marking.is_reached_fully(id) => continue,
            FactKind::Expiry(_) | FactKind::Owner(_) => {
                if position != NOT_SWEPT {
                    pairs.push((id, number));
                }
                vec![id]
            }
            FactKind::Flat if !marking.is_reached_fully(id) => continue,
            FactKind::Flat => {
                let members = model.edges(id).iter().filter(|edge| model.rule(**edge).members);
                members.map(|edge| edge.to).collect()
            }
        };
        round += 1;
        while let Some(reached) = open.pop() {
            if marking.is_reached_fully(reached) || std::mem::replace(&mut seen[reached as usize], round) == round {
                continue;
            }
            if positions[reached as usize] < position {
                pairs.push((reached, number));
            }
            let conditional = model.conditional_from(reached);
            open.extend(model.edges(reached).iter().copied().chain(conditional).map(|edge| edge.to));
        }
    }
    pairs.sort_unstable();
    pairs
}
