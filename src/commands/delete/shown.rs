//! What a deletion shows of its keys before it, and of its result.

use crate::context::Context;
use crate::error::Failure;
use crate::output::{DeleteAnswer, bytes};
use crate::plural::{counted, grouped};

/// Keys that a dry run names.
pub const MAX_SHOWN: usize = 20;

/// Names the first keys of `total` that a dry run would delete. Programs get the number only.
pub fn show_would_delete<'a>(ctx: &Context, keys: impl Iterator<Item = &'a [u8]>, total: u64) {
    if ctx.out.is_data() {
        return;
    }
    let mut shown = 0;
    for key in keys.take(MAX_SHOWN) {
        ctx.out.plain_note(&format!("would delete {}", bytes::name(key)));
        shown += 1;
    }
    if let Some(more) = total.checked_sub(shown).filter(|more| *more > 0 && shown > 0) {
        ctx.out.plain_note(&format!("… and {} more", grouped(more)));
    }
}

/// Prints the result: a sentence on a terminal, unless a note has said it, and otherwise the record. `named`: the keys were
/// named one by one, and each missing one was noted.
pub fn print_answer(ctx: &Context, answer: &DeleteAnswer, named: bool) -> Result<(), Failure> {
    match answer.would_delete {
        _ if !ctx.out.is_for_people() => ctx.out.one(answer)?,
        // A note has said it.
        Some(_) => {}
        None if answer.deleted == 0 && named => {}
        None => ctx.out.bytes(format!("Deleted {}\n", counted(answer.deleted, "key")).as_bytes())?,
    }
    Ok(())
}
