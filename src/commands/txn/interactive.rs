//! `txn --interactive`: reads the dialogue from a terminal, line by line with prompts, or from a pipe.

use std::io::{self, IsTerminal};

use super::dialogue::Dialogue;
use crate::commands::input::{InputSource, cannot_read, read_all};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Txn;

/// Reads the transaction from standard input. The inner error says what is wrong with it.
///
/// # Errors
/// Standard input cannot be read, or an interruption.
pub async fn read(ctx: &Context) -> Result<Result<Txn, String>, Failure> {
    if io::stdin().is_terminal() {
        return ask(ctx).await;
    }
    let text = read_all(ctx, InputSource::Stdin).await?;
    let mut dialogue = Dialogue::default();
    let parsed = text.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| dialogue.push(line));
    Ok(parsed.and_then(|()| dialogue.finish()))
}

/// Prompts for each section, and asks again for a line that is wrong.
async fn ask(ctx: &Context) -> Result<Result<Txn, String>, Failure> {
    let mut dialogue = Dialogue::default();
    let mut shown = "";
    while let Some(prompt) = dialogue.prompt() {
        if shown != prompt {
            ctx.out.plain_note(prompt);
            shown = prompt;
        }
        let line = read_line(ctx).await?;
        if line.is_empty() {
            break;
        }
        if let Err(why) = dialogue.push(line.as_bytes()) {
            ctx.out.warn(&format!("{why}; type the line again, or press Ctrl-C"));
        }
    }
    Ok(dialogue.finish())
}

/// The next line with its end; empty at the end of the input. The terminal limits its length.
async fn read_line(ctx: &Context) -> Result<String, Failure> {
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        read = reading => {
            let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
            read.map_err(|error| cannot_read("stdin", &error))
        }
    }
}
