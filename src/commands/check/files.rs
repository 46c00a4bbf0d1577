//! Reads what a check names: the file itself, schemas, and sources to compare with.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::args::KeyText;
use crate::bounded_file;
use crate::check::{CheckFile, CheckRule, MAX_FILE_BYTES, OpenedRecords, RuleFault, SourceOpener, SourceTest};
use crate::commands::input::{cannot_read, read_document_file};
use crate::commands::serializable::{ReadStore, SerializableArgs};
use crate::commands::source::SourceArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::metadata::schema::{BUILT_IN, Schema};
use crate::proto::Codec;
use crate::sync::{LeaseRule, SourceWord};

/// The largest schema file.
const MAX_SCHEMA_BYTES: u64 = 1 << 20;

/// Reads the check file, or stdin for `-`.
///
/// # Errors
/// A usage error that names the file and the line.
pub async fn read_check_file(ctx: &Context, path: &Path) -> Result<CheckFile, Failure> {
    let read = read_document_file(ctx, path, MAX_FILE_BYTES, "check files", "split the file").await;
    let (bytes, name) = read.map_err(|failure| match path.to_str() {
        // Words of etcdctl.
        Some(word @ ("perf" | "datascale")) => failure.hint(format!(
            "there is no load test 'check {word}': 'kvadm status --latency' measures each member without loading it"
        )),
        _ => failure,
    })?;
    Ok(CheckFile::parse(&bytes, &name)?)
}

/// A path that a check file names: relative to the folder of the check file.
fn beside(check_file: &Path, path: &Path) -> PathBuf {
    let folder = if check_file.as_os_str() == "-" { None } else { check_file.parent() };
    folder.map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

/// Loads the schemas of all `tree` rules, by the names in the file.
///
/// # Errors
/// A usage error for a schema that does not exist or is not valid.
pub fn load_schemas(file: &CheckFile, path: &Path) -> Result<HashMap<String, Arc<Schema>>, Failure> {
    let mut schemas = HashMap::new();
    for (check, rule) in file.rules() {
        let CheckRule::Tree(test) = &rule.rule else { continue };
        if schemas.contains_key(&test.schema) {
            continue;
        }
        let schema = load_schema(&test.schema, path);
        let schema =
            schema.map_err(|failure| failure.context(format!("{}:{}: tree: schema", file.name, check.line)))?;
        schemas.insert(test.schema.clone(), Arc::new(schema));
    }
    Ok(schemas)
}

fn load_schema(name: &str, check_file: &Path) -> Result<Schema, Failure> {
    let text = match Schema::built_in(name) {
        Some(text) => text.to_owned(),
        None => {
            let path = beside(check_file, Path::new(name));
            let shown = path.display().to_string();
            let read = bounded_file::read(&path, MAX_SCHEMA_BYTES).map_err(|error| {
                let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                cannot_read(&shown, &error).hint(format!("built-in schemas: {}", built_in.join(", ")))
            })?;
            String::from_utf8(read.bytes).map_err(|_| Failure::usage(format!("{shown} is not UTF-8")))?
        }
    };
    Schema::parse(&text, name).map_err(|error| Failure::usage(error.to_string()))
}

/// Opens the sources that the check file names.
pub struct FileSources<'a> {
    pub ctx: &'a Context,
    pub check_file: &'a Path,
    pub codec: Arc<Codec>,
}

impl SourceOpener for FileSources<'_> {
    async fn open(&self, test: &SourceTest, prefix: &[u8]) -> Result<OpenedRecords, RuleFault> {
        let word = match &test.source {
            SourceWord::File(path) => SourceWord::File(beside(self.check_file, path)),
            SourceWord::Database(path) => SourceWord::Database(beside(self.check_file, path)),
            other => other.clone(),
        };
        let args = SourceArgs::new(word, test.source_prefix.clone().map(OsString::from));
        let here = ReadStore::of_cluster(self.ctx.store());
        let plain = (SerializableArgs::default(), KeyText::default());
        let opened = args.open(self.ctx, &here, plain.0, prefix, plain.1, &self.codec).await;
        let opened = opened.map_err(|failure| {
            let why = failure.one_line();
            match failure.exit {
                Exit::Unreachable | Exit::Interrupted => RuleFault::unreachable(why),
                _ => RuleFault::refused(why),
            }
        })?;
        let (records, leases) = opened.into_records(&here);
        Ok(OpenedRecords { records, leases: if test.ignore_leases { LeaseRule::Ignore } else { leases } })
    }
}
