//! One edit: the editor, the difference, the write, and what follows if another client was faster.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use super::editor;
use super::file::TextFile;
use super::text::Form;
use crate::commands::conditions::Conditions;
use crate::commands::put::plan::{LeaseRequest, PutOutcome, PutRequest};
use crate::commands::put::single;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, LockGuard, OpResult};
use crate::output::{Confirm, PutAnswer, ValueDiff, bytes};
use crate::proto::Codec;
use crate::shell;

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
        Ok(Self { ctx, subject, base, file, first, original: text.clone(), opened: text, value: None, conflicts: 0 })
    }

    /// Edits and writes. After a failure, a changed text stays in its file, which the failure names.
    ///
    /// # Errors
    /// As the verb.
    pub async fn run(mut self) -> Result<Exit, Failure> {
        let result = self.edit().await;
        let changed = match self.file.read() {
            Ok(text) => text != self.original,
            // A text that cannot be read is a text all the same, such as one that is too large.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        match result {
            // A file that no note names would be in the way.
            Ok(exit) if changed && self.ctx.safety.dry_run && self.ctx.out.notes() => {
                let ctx = self.ctx;
                self.keep().iter().for_each(|line| ctx.out.note(line));
                Ok(exit)
            }
            Ok(exit) => Ok(exit),
            // The editor may still be saving its text.
            Err(failure) if changed || failure.exit == Exit::Interrupted => {
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
                return self.unchanged();
            }
            let Subject { key, form, codec, .. } = &self.subject;
            let value = match form.value_of(&text, key, &self.first, codec) {
                Ok(value) => value,
                Err(why) => {
                    self.ask_to_correct(why).await?;
                    continue;
                }
            };
            self.value = Some(value.clone());
            if self.base.as_ref().is_some_and(|base| base.value == value) {
                return self.unchanged();
            }
            if untouched && self.conflicts > 0 {
                self.consent_to_overwrite().await?;
            }
            self.consent_to_value(&value).await?;
            let name = bytes::name(&self.subject.key);
            let about = match &self.base {
                Some(base) => format!("change of {name} since revision {}:", base.mod_revision),
                None => format!("value of the new key {name}:"),
            };
            self.show(&about, self.base.as_ref(), Some(&value));
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
            match single::write(ctx.store(), &request, guard).await? {
                (PutOutcome::Refused(answers), _) => match self.conflict(&request, &answers).await? {
                    AfterConflict::Edit => return Ok(None),
                    AfterConflict::Write => {}
                    AfterConflict::Nothing => return self.unchanged().map(Some),
                },
                (outcome, revision) => return single::report(ctx, &request, None, outcome, revision).map(Some),
            }
        }
    }

    fn request(&self, value: Vec<u8>) -> PutRequest {
        let revision = self.base.as_ref().map(|base| base.mod_revision);
        let conditions = Conditions { create: revision.is_none(), revision, ..Conditions::default() };
        let lease = if revision.is_some() { LeaseRequest::Keep } else { LeaseRequest::None };
        PutRequest { key: self.subject.key.clone(), value, conditions, only_if_different: false, lease }
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
            self.show(&about, before.as_ref(), now.as_ref().map(|now| now.value.as_slice()));
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
        self.show(&about, Some(before), Some(&now.value));
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
        let had_value = self.base.as_ref().is_some_and(|base| !base.value.is_empty());
        let question = if value.is_empty() && had_value {
            format!("store an empty value in {name}")
        } else if self.subject.form.breaks_json(value) {
            format!("store text that is not valid JSON in {name}, whose value is JSON")
        } else {
            return Ok(());
        };
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
        let asking = tokio::task::spawn_blocking(move || out.confirm(&question));
        tokio::select! {
            biased;
            () = self.ctx.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted")),
            answer = asking => Ok(answer.unwrap_or(Confirm::No)),
        }
    }

    fn show(&self, about: &str, old: Option<&KeyValue>, new: Option<&[u8]>) {
        let old = old.map(|old| old.value.as_slice());
        self.ctx.out.note_value_diff(about, &ValueDiff::of(old, new, &self.subject.key, &self.subject.codec));
    }

    fn unchanged(&self) -> Result<Exit, Failure> {
        if self.ctx.out.is_data() {
            let (base, dry_run) = (self.base.as_ref(), self.ctx.safety.dry_run);
            let (mod_revision, lease) = (base.map(|base| base.mod_revision), base.and_then(|base| base.lease));
            let key = &self.subject.key;
            self.ctx.out.one(&PutAnswer { key, mod_revision, lease, ttl: None, written: false, dry_run })?;
        } else {
            self.ctx.out.note("unchanged; nothing was written");
        }
        Ok(Exit::Done)
    }

    /// Keeps the text, and says where it is and how to write it.
    fn keep(self) -> Vec<String> {
        let Self { ctx, subject, base, file, value, .. } = self;
        let (kept, written) = file.keep(value.as_deref());
        if let Err(error) = written {
            ctx.out.warn(&format!("cannot write {}: {error}", kept.value.display()));
        }
        let key = OsString::from_vec(subject.key);
        let mut line: Vec<OsString> = vec!["kvadm".into(), "put".into()];
        // A key that looks like an option comes last.
        let last = key.as_encoded_bytes().starts_with(b"-");
        line.extend((!last).then(|| key.clone()));
        match base {
            Some(base) => line.extend(["--if-rev".into(), base.mod_revision.to_string().into(), "--keep-lease".into()]),
            None => line.push("--create".into()),
        }
        line.extend(subject.lock_option);
        match value {
            // The file holds the value as it is stored.
            Some(_) if subject.codec.knows(key.as_encoded_bytes()) => line.push("--no-proto".into()),
            Some(_) => {}
            None => line.extend(subject.proto_options),
        }
        line.extend(["--file".into(), kept.value.into()]);
        line.extend(last.then(|| ["--".into(), key]).into_iter().flatten());
        let line = shell::line(line.iter().map(|word| word.as_encoded_bytes()));
        vec![format!("your text is kept in {}", kept.text.display()), format!("'{line}' writes it")]
    }
}
