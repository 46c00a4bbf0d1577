//! One edit: the editor, the difference, the write, and what follows if another client was faster.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::editor;
use super::file::TextFile;
use super::mistake;
use super::text::Form;
use crate::commands::conditions::Conditions;
use crate::commands::put::plan::{LeaseRequest, PutOutcome, PutRequest};
use crate::commands::put::single;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, LeaseId, LockGuard, OpResult};
use crate::output::{Confirm, PutAnswer, ValueDiff, bytes};
use crate::proto::Codec;

/// How often the text is opened again if nobody can be asked: an editor that is a script would go on for ever.
const MAX_UNATTENDED_CONFLICTS: u32 = 5;

/// What an edit works with.
pub struct Subject {
    /// The key.
    pub key: Vec<u8>,
    /// The form in which the value is edited.
    pub form: Form,
    /// Decodes the value.
    pub codec: Arc<Codec>,
    /// The lock that guards the write.
    pub guard: Option<LockGuard>,
    /// The options for protobuf values on the command line.
    pub proto_options: Vec<OsString>,
    /// The option `--if-locked` on the command line.
    pub lock_option: Option<OsString>,
}

/// An edit that has begun: the text is in a file.
pub struct EditSession<'a> {
    ctx: &'a Context,
    subject: Subject,
    /// The key as it was read last.
    base: Option<KeyValue>,
    file: TextFile,
    /// The value that the edit began with. Its style is that of the new value, whatever other clients write meanwhile.
    first: Vec<u8>,
    /// The text that the edit began with.
    original: Vec<u8>,
    /// The text that the editor was opened with.
    opened: Vec<u8>,
    /// The value of the edited text, once it is known.
    value: Option<Vec<u8>>,
    conflicts: u32,
    /// The lease of the key that another client has deleted.
    lost_lease: Option<LeaseId>,
    /// Whether the key has the value of the text: only the output can fail.
    settled: bool,
    /// Whether the last text was not a value.
    is_invalid: bool,
}

/// What to do after another client has changed the key.
enum AfterConflict {
    /// Edit the text again.
    Edit,
    /// Write the value: the other client has not changed the key's own one.
    Write,
    /// Nothing: the other client has written the same value.
    Nothing,
}

impl<'a> EditSession<'a> {
    /// Writes the text to its file.
    ///
    /// # Errors
    /// The system refuses the file.
    pub fn begin(ctx: &'a Context, subject: Subject, base: Option<KeyValue>, text: Vec<u8>) -> Result<Self, Failure> {
        let file = TextFile::create(&subject.form.file_name(&subject.key), &text).map_err(|error| {
            Failure::usage(format!("cannot create a file for the editor: {error}"))
                .hint("set TMPDIR to a folder that you can write to")
        })?;
        // From here on, a signal must leave time to keep the text.
        ctx.signals.hold();
        let first = base.as_ref().map(|base| base.value.clone()).unwrap_or_default();
        Ok(Self {
            ctx,
            subject,
            base,
            file,
            first,
            original: text.clone(),
            opened: text,
            value: None,
            conflicts: 0,
            lost_lease: None,
            settled: false,
            is_invalid: false,
        })
    }

    /// Edits and writes. After a failure, a changed text stays in its file, which the failure names.
    ///
    /// # Errors
    /// As the verb.
    pub async fn run(mut self) -> Result<Exit, Failure> {
        let result = self.edit().await;
        let changed = match self.file.read() {
            Ok(_) if self.settled => false,
            Ok(text) => {
                let Subject { key, form, codec, .. } = &self.subject;
                // The editor may still be saving its text after a signal.
                let whole = !matches!(&result, Err(failure) if failure.exit == Exit::Interrupted);
                if whole && self.value.is_none() {
                    self.value = form.value_of(&text, key, &self.first, codec).ok();
                }
                text != self.original
            }
            // A text that cannot be read is a text all the same, such as one that is too large.
            Err(error) => !self.settled && error.kind() != io::ErrorKind::NotFound,
        };
        match result {
            // A file that no note names would be in the way.
            Ok(exit) if changed && self.ctx.safety.dry_run && self.ctx.out.notes() => {
                let ctx = self.ctx;
                self.keep().iter().for_each(|line| ctx.out.note(line));
                Ok(exit)
            }
            Ok(exit) => Ok(exit),
            Err(failure) if changed || (failure.exit == Exit::Interrupted && !self.settled) => {
                Err(self.keep().into_iter().fold(failure, Failure::hint))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn edit(&mut self) -> Result<Exit, Failure> {
        loop {
            self.value = None;
            editor::run(self.ctx, self.file.path()).await?;
            let text = self.file.read().map_err(|error| {
                Failure::conflict(format!("cannot read the text that the editor left, so nothing was written: {error}"))
            })?;
            let untouched = text == std::mem::replace(&mut self.opened, text.clone());
            if untouched && self.conflicts == 0 && text == self.original {
                return if self.base.is_some() { self.unchanged() } else { Err(self.not_created()) };
            }
            let Subject { key, form, codec, .. } = &self.subject;
            let value = match form.value_of(&text, key, &self.first, codec) {
                Ok(value) => value,
                Err(why) => {
                    self.is_invalid = true;
                    self.ask_to_correct(why).await?;
                    continue;
                }
            };
            self.is_invalid = false;
            self.value = Some(value.clone());
            if self.base.as_ref().is_some_and(|base| base.value == value) {
                return self.unchanged();
            }
            let name = bytes::name(&self.subject.key);
            let about = match &self.base {
                Some(base) => format!("change of {name} since revision {}:", base.mod_revision),
                None => format!("value of the new key {name}:"),
            };
            self.ctx.out.note_value_diff(&about, &self.diff(self.base.as_ref(), Some(&value)));
            if untouched && self.conflicts > 0 {
                self.consent_to_overwrite().await?;
            }
            self.consent_to_value(&value).await?;
            if let Some(exit) = self.write(value).await? {
                return Ok(exit);
            }
        }
    }

    /// Writes the value; `None` if the text is to be edited again.
    async fn write(&mut self, value: Vec<u8>) -> Result<Option<Exit>, Failure> {
        let ctx = self.ctx;
        loop {
            let request = self.request(value.clone());
            let guard = self.subject.guard.as_ref();
            if ctx.safety.dry_run {
                return single::dry_run(ctx, &request, guard).await.map(Some);
            }
            match single::write(ctx, &request, guard).await? {
                (PutOutcome::Refused(answers), _) => match self.conflict(&request, &answers).await? {
                    AfterConflict::Edit => return Ok(None),
                    AfterConflict::Write => {}
                    AfterConflict::Nothing => return self.unchanged().map(Some),
                },
                (outcome, revision) => {
                    self.settled = true;
                    return single::report(ctx, &request, None, outcome, revision).map(Some);
                }
            }
        }
    }

    fn request(&self, value: Vec<u8>) -> PutRequest {
        let revision = self.base.as_ref().map(|base| base.mod_revision);
        let conditions = Conditions { create: revision.is_none(), revision, ..Conditions::default() };
        let lease = if revision.is_some() { LeaseRequest::Keep } else { LeaseRequest::None };
        PutRequest {
            key: self.subject.key.clone(),
            value,
            keep_value: false,
            prev: false,
            conditions,
            only_if_different: false,
            lease,
        }
    }

    /// Shows what another client did to the key.
    async fn conflict(&mut self, request: &PutRequest, answers: &[OpResult]) -> Result<AfterConflict, Failure> {
        let failure = single::condition_failed(request, answers);
        let Some(OpResult::Get { kvs, .. }) = answers.first() else { return Err(failure) };
        let now = kvs.first().cloned();
        let name = bytes::name(&self.subject.key);
        let before = std::mem::replace(&mut self.base, now.clone());
        let (Some(before), Some(now)) = (&before, &now) else {
            let what = if now.is_some() { "created" } else { "deleted" };
            let about = format!("another client has {what} {name} meanwhile:");
            self.show_other(&about, before.as_ref(), now.as_ref());
            self.lost_lease = before.and_then(|before| before.lease);
            return Err(failure);
        };
        self.conflicts += 1;
        let revision = now.mod_revision;
        if now.value == request.value {
            return Ok(AfterConflict::Nothing);
        }
        if before.value == now.value {
            self.ctx.out.note(&format!("another client has written the same value to {name} (revision {revision})"));
            return if self.conflicts > MAX_UNATTENDED_CONFLICTS { Err(failure) } else { Ok(AfterConflict::Write) };
        }
        let about = format!("another client has changed {name} meanwhile (revision {revision}):");
        self.show_other(&about, Some(before), Some(now));
        match self.ask(format!("edit your text again, to write it over revision {revision}")).await? {
            Confirm::Yes => Ok(AfterConflict::Edit),
            Confirm::NoTerminal if self.conflicts <= MAX_UNATTENDED_CONFLICTS => Ok(AfterConflict::Edit),
            Confirm::No | Confirm::NoTerminal => Err(failure),
        }
    }

    /// Asks before a text that was not edited after another client's change is written over that change.
    async fn consent_to_overwrite(&self) -> Result<(), Failure> {
        let name = bytes::name(&self.subject.key);
        if self.ctx.safety.yes {
            return Ok(());
        }
        match self.ask(format!("the text is the same as before; write it over the other change of {name}")).await? {
            Confirm::Yes => Ok(()),
            Confirm::No => Err(Failure::conflict("not confirmed; nothing was written")),
            Confirm::NoTerminal => Err(Failure::conflict(format!(
                "another client has changed {name}, and the editor left the text as it was; nothing was written"
            ))),
        }
    }

    /// Asks before a value is stored that is probably a mistake.
    async fn consent_to_value(&self, value: &[u8]) -> Result<(), Failure> {
        let name = bytes::name(&self.subject.key);
        // The encoding of a message is not text.
        let as_text = self.subject.form != Form::Message || value.is_empty();
        let question = as_text.then(|| mistake::question(&name, &self.first, value)).flatten();
        let Some(question) = question else { return Ok(()) };
        if self.ctx.safety.yes || self.ctx.safety.dry_run {
            return Ok(());
        }
        match self.ask(question.clone()).await? {
            Confirm::Yes => Ok(()),
            Confirm::No => Err(Failure::conflict("not confirmed; nothing was written")),
            Confirm::NoTerminal => {
                Err(Failure::usage(format!("{question}: cannot ask for confirmation without a terminal"))
                    .hint("add --yes to confirm, or --dry-run to see what would be done"))
            }
        }
    }

    /// Asks whether to correct a text that has no value.
    async fn ask_to_correct(&self, why: String) -> Result<(), Failure> {
        match self.ask(format!("{why}; edit the text again")).await? {
            Confirm::Yes => Ok(()),
            Confirm::No | Confirm::NoTerminal => {
                let name = bytes::name(&self.subject.key);
                Err(Failure::usage(why).context(format!("the text is not a value for {name}; nothing was written")))
            }
        }
    }

    /// Asks on the terminal. A signal ends the wait for the answer.
    async fn ask(&self, question: String) -> Result<Confirm, Failure> {
        let out = self.ctx.out.clone();
        let cancel = self.ctx.signals.cancel().clone();
        let asking = tokio::task::spawn_blocking(move || out.confirm(&question, &|| cancel.is_cancelled()));
        tokio::select! {
            biased;
            () = self.ctx.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted")),
            answer = asking => Ok(answer.unwrap_or(Confirm::No)),
        }
    }

    fn diff(&self, old: Option<&KeyValue>, new: Option<&[u8]>) -> ValueDiff {
        ValueDiff::of(old.map(|old| old.value.as_slice()), new, &self.subject.key, &self.subject.codec)
    }

    /// Shows what another client did. The user must know it before the text is written over it.
    fn show_other(&self, about: &str, old: Option<&KeyValue>, new: Option<&KeyValue>) {
        self.ctx.out.value_diff_always(about, &self.diff(old, new.map(|new| new.value.as_slice())));
    }

    fn not_created(&self) -> Failure {
        let key = &self.subject.key;
        let failure = Failure::new(Exit::No, format!("the text was not changed; {} was not created", bytes::name(key)));
        if self.subject.form == Form::Message {
            return failure;
        }
        let line = self.ctx.command_line(&["put"]).key(key).words(["--create", "--file", "/dev/null"]);
        failure.hint(format!("'{line}' creates the key with an empty value"))
    }

    fn unchanged(&mut self) -> Result<Exit, Failure> {
        self.settled = true;
        if self.ctx.out.is_data() {
            let (base, dry_run) = (self.base.as_ref(), self.ctx.safety.dry_run);
            let (mod_revision, lease) = (base.map(|base| base.mod_revision), base.and_then(|base| base.lease));
            let key = &self.subject.key;
            let answer = PutAnswer { key, mod_revision, lease, ttl: None, written: false, dry_run, prev: None };
            self.ctx.out.one(&answer)?;
        } else {
            self.ctx.out.note("unchanged; nothing was written");
        }
        Ok(Exit::Done)
    }

    /// Keeps the text, and says where it is and how to write it.
    fn keep(self) -> Vec<String> {
        let Self { ctx, subject, base, file, value, lost_lease, is_invalid, .. } = self;
        // A message is kept as JSON, which 'put' encodes.
        let value = value.filter(|_| subject.form != Form::Message);
        let (kept, replaced) = file.keep(value.as_deref());
        let mut lines = vec![format!("your text is kept in {}", kept.path.display())];
        if let Err(error) = &replaced {
            ctx.out.warn(&format!(
                "cannot write the value to {}, which keeps the text as it was edited: {error}",
                kept.path.display()
            ));
        }
        // No command writes less, or something else, than the edit would have.
        if replaced.is_err() || !kept.is_file {
            return lines;
        }
        let mut line = ctx.command_line(&["put"]).key(&subject.key);
        line = match &base {
            Some(base) => line.words(["--if-rev", &base.mod_revision.to_string(), "--keep-lease"]),
            None => line.words(["--create"]),
        };
        line = line.words(subject.lock_option).words(subject.proto_options).words(["--file"]).path(&kept.path);
        lines.push(match is_invalid {
            true => format!("correct it, then '{line}' writes it"),
            false => format!("'{line}' writes it"),
        });
        if let Some(lease) = lost_lease {
            lines.push(format!(
                "the deleted key was on lease {lease}, and this command creates the key without a lease; add --lease \
                 {lease} if that lease still exists"
            ));
        }
        lines
    }
}
