//! `kvadm edit`: change a value in the user's editor.

mod editor;
mod file;
mod mistake;
mod session;
mod text;

use std::ffi::OsString;

use session::{EditSession, Subject};
use text::{Form, NotEditable};

use crate::args::{KeyText, chosen_editor, safety_options};
use crate::commands::conditions::{Conditions, IfLockedArgs};
use crate::commands::proto::{ProtoArgs, warn_of_bypass};
use crate::commands::put::plan::{LeaseRequest, PutRequest};
use crate::commands::put::single::{condition_failed, get_result};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::KeyRange;
use crate::output::{bytes, is_text};

/// Change the value of a key in your editor
///
/// kvadm opens the value in $VISUAL, else $EDITOR, else vi, prints the difference
/// to stderr, and writes the new value only if nobody else has changed the key.
/// The key keeps its lease. An unchanged text writes nothing.
///
/// JSON on one line is formatted for the editor and stored on one line again, with
/// spaces after commas and colons if most of them had one. Numbers, strings and the
/// order of names stay as they are. A protobuf value is shown as JSON if --proto or
/// the config's proto section covers the key. If the value had no newline at its
/// end, one that the editor adds is dropped.
///
/// If another client changes the key meanwhile, kvadm prints that change and opens
/// your text again, at most 5 times without a terminal. Only if you save another
/// text, or confirm, is it written over the other change.
///
/// kvadm asks before it stores an empty value, bytes that are not text, or broken
/// JSON in place of JSON. It shows the difference first.
///
/// After a failure, a signal or a dry run, your text stays in a file that only you
/// can read, in the form that 'kvadm put' takes (after a signal, as the editor left
/// it). kvadm names the file and a command that writes it. The command repeats the
/// options that name the store. You may correct the file before you run it.
///
/// Exit codes:
///   0  written, or unchanged
///   1  the key does not exist (see --create), or a new key's text is unchanged
///   2  the value is binary, or the editor cannot be started
///   5  the editor failed, the key was changed meanwhile, or you did not confirm
///   7  the reply was lost; etcd may have written the key
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm edit /app/config.yaml
  kvadm edit /app/mode --create
  EDITOR='code --wait' kvadm edit /app/limits
  EDITOR='sed -i s/blue/green/' kvadm edit /app/mode --dry-run",
    args = safety_options()
)]
pub struct Args {
    /// Key to edit
    #[arg(value_name = "KEY")]
    key: OsString,
    /// Begin with an empty text, and write only if the key does not exist
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    proto: ProtoArgs,
    #[command(flatten)]
    text: KeyText,
}

/// Runs the verb.
///
/// # Errors
/// A key that is missing or, with `--create`, exists; a value that cannot be edited; an editor that fails; a change by
/// another client; an unknown outcome, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    if chosen_editor().is_none() && !ctx.out.can_ask() {
        return Err(Failure::usage("vi needs a terminal, and neither VISUAL nor EDITOR names another editor")
            .hint("set EDITOR to a command that changes the file it is given, or use 'kvadm put'"));
    }
    let guard = args.if_locked.guard(ctx).await?;
    let codec = args.proto.codec(ctx)?;
    let key = args.text.key(&args.key, ctx.store().namespace())?;
    let (base, revision) = ctx.store().get(&key, 0, guard.as_ref()).await?;
    let name = bytes::name(&key);
    let line = |verb: &str| ctx.command_line(&[verb]).key(&key);
    if args.create && base.is_some() {
        let conditions = Conditions { create: true, ..Conditions::default() };
        let request = PutRequest {
            key: key.clone(),
            value: Vec::new(),
            keep_value: false,
            prev: false,
            conditions,
            only_if_different: false,
            lease: LeaseRequest::None,
        };
        return Err(condition_failed(&request, &[get_result(base)])
            .hint(format!("'{}' edits the existing value", line("edit"))));
    }
    if !args.create && base.is_none() {
        return Err(Failure::new(Exit::No, format!("key not found: {name} (revision {revision})"))
            .hint(format!("'{}' creates it", line("edit").words(["--create"]))));
    }
    let value = base.as_ref().map(|base| base.value.as_slice());
    let (form, text) = Form::of(&key, value, &codec).map_err(|why| match why {
        NotEditable::Binary(size) => {
            let get = line("get").words(["-o", "raw"]);
            let revision = base.as_ref().map_or(0, |base| base.mod_revision).to_string();
            let put = line("put").words(["--if-rev", &revision, "--keep-lease", "--file"]);
            Failure::usage(format!("the value of {name} is binary ({size})"))
                .hint(format!("'{get} > FILE' saves it, '{put} FILE' writes it"))
        }
        NotEditable::Message(why) => {
            let failure = Failure::usage(format!("cannot edit {name} as a message: {why}"));
            match value.is_some_and(is_text) {
                true => failure.hint("to edit the bytes as text, add --no-proto"),
                false => failure.hint(format!("'{} > FILE' saves the bytes", line("get").words(["-o", "raw"]))),
            }
        }
    })?;
    warn_of_bypass(ctx, [KeyRange::key(&key)]);
    let (proto_options, lock_option) = (args.proto.words(), args.if_locked.words());
    let subject = Subject { key, form, codec, guard, proto_options, lock_option };
    EditSession::begin(ctx, subject, base, text)?.run().await
}
