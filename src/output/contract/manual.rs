//! The part of kvadm-json(7) that lists the records, in the markup of the manual pages.

use std::collections::BTreeSet;

use super::cluster::ERROR;
use super::names::name;
use super::spec::{FieldSpec, JsonType, Presence, RecordSpec};
use super::verbs::VERBS;

/// The sections of the records: heading, and the verbs whose records they have. A record is in the first that prints it.
const SECTIONS: &[(&str, &[&str])] = &[
    ("KEYS AND VALUES", &["get", "list", "put", "edit", "delete", "txn"]),
    ("WATCH", &["watch"]),
    ("DIFF, RESTORE AND MIRROR", &["diff", "restore", "mirror"]),
    ("LOCKS AND LEASES", &["lock", "lease"]),
    ("ALLOCATE", &["allocate"]),
    ("GARBAGE COLLECTION", &["gc"]),
    ("STATUS, CONFIG AND VERSION", &["status", "config", "version"]),
    ("MEMBERS", &["member"]),
    ("CHECK AND TOP", &["check", "top"]),
    ("COMPACT", &["compact"]),
    ("SNAPSHOT", &["snapshot"]),
    ("USERS AND ROLES", &["auth", "user", "role"]),
];

/// The sections of all records, the error first. A record is a title, a paragraph, and a list of its fields.
pub fn manual() -> String {
    let mut shown = BTreeSet::new();
    let mut page = format!("=== ERRORS\n{}", record_text(&ERROR));
    for (heading, verbs) in SECTIONS {
        page.push_str(&format!("=== {heading}\n"));
        for spec in VERBS.iter().filter(|spec| spec.words.first().is_some_and(|first| verbs.contains(first))) {
            for record in spec.stdout.iter().chain(spec.stderr).filter(|record| shown.insert(record.id)) {
                page.push_str(&record_text(record));
            }
        }
    }
    page
}

fn record_text(record: &'static RecordSpec) -> String {
    let mut text = format!("== {}\n", record.title);
    if !record.about.is_empty() {
        text.push_str(&format!("{}\n\n", record.about));
    }
    fields_text(record, "", &mut vec![(record.id, "the record".to_owned())], &mut text);
    text.push('\n');
    text
}

/// The fields, and those of objects inside, once each: `listed` has the records that are there already, with their paths.
fn fields_text(record: &'static RecordSpec, within: &str, listed: &mut Vec<(&'static str, String)>, text: &mut String) {
    for field in record.fields {
        let path = format!("{within}{}", field.name);
        let known = field.holds.and_then(|inner| listed.iter().find(|(id, _)| *id == inner.id));
        let same = known.map_or_else(String::new, |(_, path)| format!(", with the fields of {path}"));
        text.push_str(&format!("  {path}  {}{same}\n", meaning(field)));
        if let Some(inner) = field.holds.filter(|_| same.is_empty()) {
            let list = name(field.name).is_some_and(|entry| entry.kind == JsonType::Objects);
            let path = format!("{path}{}", if list { "[]" } else { "" });
            listed.push((inner.id, path.clone()));
            fields_text(inner, &format!("{path}."), listed, text);
        }
    }
}

/// `number, optional: the words`.
fn meaning(field: &FieldSpec) -> String {
    let entry = name(field.name);
    let mut text = field.kind.or(entry.map(|entry| entry.kind)).map_or("", JsonType::words).to_owned();
    if field.presence == Presence::Optional {
        text.push_str(", optional");
    }
    match field.values {
        [] => {}
        [only] => text.push_str(&format!(", always {only}")),
        values => {
            let named: Vec<&str> = values.iter().map(|value| if value.is_empty() { "empty" } else { value }).collect();
            text.push_str(&format!(", one of {}", named.join(", ")));
        }
    }
    let about = if field.about.is_empty() { entry.map_or("", |entry| entry.about) } else { field.about };
    let inner = field.holds.map_or("", |inner| inner.about);
    let sentences: Vec<&str> = [about, inner].into_iter().filter(|sentence| !sentence.is_empty()).collect();
    if !sentences.is_empty() {
        text.push_str(&format!(": {}", sentences.join(". ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_with_records_has_a_section() {
        let sections: BTreeSet<&str> = SECTIONS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for verb in VERBS.iter().filter(|verb| !verb.stdout.is_empty()) {
            assert!(sections.contains(verb.words[0]), "{}", verb.name());
        }
    }
}
