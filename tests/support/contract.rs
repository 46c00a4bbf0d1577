//! Compares the JSON that kvadm prints with its contract (`kvadm::output::contract`). Each run of the tests goes through here.

use std::ffi::OsString;
use std::sync::OnceLock;

use kvadm::output::contract::{self, FieldSpec, JsonType, Presence, RecordSpec, VerbSpec};
use serde_json::Value;

/// Lines that are compared at the beginning and at the end of an output.
const COMPARED_LINES: (usize, usize) = (5_000, 100);

/// A run of kvadm with `-o json`.
#[derive(Clone, Copy, Debug)]
pub struct JsonRun {
    /// What its verb prints; `None` if the command line names no verb.
    pub verb: Option<&'static VerbSpec>,
    /// Whether only kvadm writes to standard output, and writes records.
    pure: bool,
}

/// A stream of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// The grammar, with the options of all verbs.
fn grammar() -> &'static clap::Command {
    static GRAMMAR: OnceLock<clap::Command> = OnceLock::new();
    GRAMMAR.get_or_init(|| {
        let mut command = kvadm::command();
        command.build();
        command
    })
}

/// An option of the command line, as `--name`, `--name=value`, `-n` or `-nvalue`: its name, its value if the same word has
/// it, and whether the next word is its value otherwise.
fn option<'a>(command: &clap::Command, word: &'a str) -> Option<(String, Option<&'a str>, bool)> {
    let (name, value) = match word.strip_prefix("--") {
        Some(long) => long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value))),
        None => {
            let rest = word.strip_prefix('-').filter(|rest| !rest.is_empty())?;
            let (short, value) = rest.split_at(rest.chars().next()?.len_utf8());
            (short, Some(value).filter(|value| !value.is_empty()).map(|value| value.trim_start_matches('=')))
        }
    };
    let found = command.get_arguments().find(|arg| match word.starts_with("--") {
        true => arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name)),
        false => arg.get_short().is_some_and(|short| name.starts_with(short)),
    });
    let takes_value = found.is_some_and(|arg| {
        arg.get_action().takes_values()
            && !arg.is_require_equals_set()
            && arg.get_num_args().is_none_or(|num| num.min_values() > 0)
    });
    let name = found.map_or(name.to_owned(), |arg| arg.get_id().to_string());
    Some((name, value, takes_value && value.is_none()))
}

impl JsonRun {
    /// The run with these arguments and this `KVADM_OUTPUT`, if it prints JSON.
    pub fn of(args: &[OsString], output: Option<&str>) -> Option<Self> {
        let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let mut command = grammar();
        let mut path: Vec<String> = Vec::new();
        let mut format = output.map(str::to_owned);
        let mut pure = true;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                // A command that kvadm runs.
                pure = false;
                break;
            }
            if let Some((name, value, next_is_value)) = option(command, word) {
                let value =
                    if next_is_value { rest.next().map(|next| next.to_string()) } else { value.map(str::to_owned) };
                match name.as_str() {
                    "output" => format = value,
                    "help" | "version" | "h" | "V" | "exec" | "graph" => pure = false,
                    _ => {}
                }
            } else if let Some(verb) = command.find_subcommand(word.as_ref()) {
                path.push(verb.get_name().to_owned());
                command = verb;
            } else if word == "-" {
                // The file of a snapshot goes to standard output.
                pure = false;
            }
        }
        let verb = contract::verb(&path);
        pure &= verb.is_some_and(|verb| !verb.stdout.is_empty()) && path != ["edit"];
        (format.as_deref() == Some("json")).then_some(Self { verb, pure })
    }

    /// The first line that the contract does not allow, and why.
    pub fn violation(&self, stdout: &[u8], stderr: &[u8]) -> Option<String> {
        let on_stdout = self.pure.then(|| self.first_wrong(Stream::Stdout, stdout)).flatten();
        on_stdout.or_else(|| self.first_wrong(Stream::Stderr, stderr))
    }

    fn first_wrong(&self, stream: Stream, bytes: &[u8]) -> Option<String> {
        // What has no end of line was cut off.
        let lines: Vec<&[u8]> =
            bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).collect();
        let (first, last) = COMPARED_LINES;
        let skipped = first..lines.len().saturating_sub(last).max(first);
        let compared = lines.iter().enumerate().filter(|(index, _)| !skipped.contains(index));
        compared.into_iter().find_map(|(index, line)| {
            let why = self.wrong(stream, line)?;
            Some(format!("{stream:?}, line {}: {why}\n  {}", index + 1, String::from_utf8_lossy(line).trim_end()))
        })
    }

    /// Why the contract does not allow the line.
    pub fn wrong(&self, stream: Stream, line: &[u8]) -> Option<String> {
        let value = match (serde_json::from_slice::<Value>(line), stream) {
            (Ok(value @ Value::Object(_)), _) => value,
            // Notes, and what programs print that kvadm runs.
            (_, Stream::Stderr) => return None,
            (_, Stream::Stdout) => return Some("is not a JSON object".to_owned()),
        };
        let records: Vec<&RecordSpec> = match stream {
            Stream::Stdout => self.verb.map_or(&[][..], |verb| verb.stdout).to_vec(),
            Stream::Stderr => {
                self.verb.map_or(&[][..], |verb| verb.stderr).iter().copied().chain([&contract::ERROR]).collect()
            }
        };
        let tried = records.iter().map(|record| (record.id, differences(record, &value)));
        let nearest = tried.min_by_key(|(_, differences)| differences.len());
        match nearest {
            Some((_, differences)) if differences.is_empty() => None,
            Some((id, differences)) => Some(format!("as the record {id}: {}", differences.join("; "))),
            None => Some("this command line prints no record".to_owned()),
        }
    }
}

/// What distinguishes an object from its record: the path of each field, and what is wrong with it.
pub fn differences(record: &RecordSpec, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(record, value, "", &mut found);
    found
}

fn kind(field: &FieldSpec) -> JsonType {
    field.kind.unwrap_or_else(|| contract::name(field.name).expect("a name of the contract").kind)
}

fn compare(record: &RecordSpec, value: &Value, path: &str, found: &mut Vec<String>) {
    let Value::Object(object) = value else {
        found.push(format!("{path} is not an object"));
        return;
    };
    for (name, value) in object {
        let path = format!("{path}{name}");
        let field_of = |name: &str| record.fields.iter().find(|field| field.name == name);
        let bytes = |field: &&FieldSpec| matches!(kind(field), JsonType::Bytes | JsonType::Message);
        if let Some(field) = field_of(name) {
            compare_field(field, value, &path, found);
        } else if name.strip_suffix("_base64").and_then(field_of).filter(bytes).is_some() {
            if !value.is_string() {
                found.push(format!("{path} is not a string"));
            }
        } else if name.strip_suffix("_decoded").and_then(field_of).is_some_and(|field| kind(field) == JsonType::Message)
        {
            if !value.is_object() {
                found.push(format!("{path} is not an object"));
            }
        } else {
            found.push(format!("{path} is unknown"));
        }
    }
    for field in record.fields {
        let encoded = object.contains_key(&format!("{}_base64", field.name));
        let plain = object.contains_key(field.name);
        if field.presence == Presence::Always && !plain && !encoded {
            found.push(format!("{path}{} is missing", field.name));
        }
        if plain && encoded {
            found.push(format!("{path}{} is there twice", field.name));
        }
    }
}

fn compare_field(field: &FieldSpec, value: &Value, path: &str, found: &mut Vec<String>) {
    let is_id = |text: &str| !text.is_empty() && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let fits = match kind(field) {
        JsonType::Bytes | JsonType::Text => value.is_string(),
        JsonType::Message => value.is_string() || value.is_object(),
        JsonType::Id => value.as_str().is_some_and(is_id),
        JsonType::Int => value.is_i64() || value.is_u64(),
        JsonType::Number => value.is_number(),
        JsonType::Bool => value.is_boolean(),
        JsonType::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
        JsonType::Object | JsonType::Facts => value.is_object(),
        JsonType::Objects => value.is_array(),
    };
    if !fits {
        found.push(format!("{path} is no {}: {value}", kind(field).words()));
        return;
    }
    if let Some(text) = value.as_str()
        && !field.values.is_empty()
        && !field.values.contains(&text)
    {
        found.push(format!("{path} is '{text}', not one of {}", field.values.join(", ")));
    }
    let Some(inner) = field.holds else { return };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(inner, item, &format!("{path}[{index}]."), found);
            }
        }
        other => compare(inner, other, &format!("{path}."), found),
    }
}
