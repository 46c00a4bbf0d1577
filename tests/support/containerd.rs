//! A containerd metadata tree in a real store, one key a field.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Etcd, Kvadm, Run};

/// The moment that these tests call now, long past on any machine: 2024-08-01T12:00:00Z.
pub const NOW: &str = "2024-08-01T12:00:00Z";
const NOW_SECONDS: i64 = 1_722_513_600;
/// An hour before and after.
pub const EARLIER: &str = "2024-08-01T11:00:00Z";
pub const LATER: &str = "2024-08-01T13:00:00Z";

/// Labels, without `containerd.io/gc.` unless they begin with `!`.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A tree below a prefix of its own.
pub struct Tree<'e> {
    pub etcd: &'e Etcd,
    /// It ends with a slash.
    pub prefix: String,
    new: BTreeMap<String, Vec<u8>>,
}

impl<'e> Tree<'e> {
    pub fn new(etcd: &'e Etcd, prefix: &str) -> Self {
        Self { etcd, prefix: prefix.to_owned(), new: BTreeMap::new() }
    }

    /// A key below the prefix.
    pub fn put(&mut self, key: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.new.insert(format!("{}{key}", self.prefix), value.as_ref().to_vec());
        self
    }

    fn object(&mut self, object: &str, fields: &[(&str, &str)], labels: Labels<'_>) -> &mut Self {
        for (field, value) in fields {
            self.put(&format!("v1/{object}/{field}"), value);
        }
        for (label, value) in labels {
            let label = label.strip_prefix('!').map_or_else(|| format!("containerd.io/gc.{label}"), str::to_owned);
            self.put(&format!("v1/{object}/labels/{label}"), value);
        }
        self
    }

    pub fn content(&mut self, ns: &str, digest: &str, labels: Labels<'_>) -> &mut Self {
        self.object(&format!("{ns}/content/blob/{digest}"), &[("createdat", "t"), ("size", "1")], labels)
    }

    /// The name is `SNAPSHOTTER/KEY`.
    pub fn snapshot(&mut self, ns: &str, name: &str, parent: &str, labels: Labels<'_>) -> &mut Self {
        self.object(&format!("{ns}/snapshots/{name}"), &[("createdat", "t"), ("parent", parent)], labels)
    }

    pub fn image(&mut self, ns: &str, name: &str, digest: &str, labels: Labels<'_>) -> &mut Self {
        self.object(&format!("{ns}/images/{name}"), &[("createdat", "t"), ("target/digest", digest)], labels)
    }

    pub fn container(&mut self, ns: &str, id: &str, snapshot: Option<(&str, &str)>, labels: Labels<'_>) -> &mut Self {
        let mut fields = vec![("createdat", "t")];
        fields.extend(
            snapshot.iter().flat_map(|(snapshotter, key)| [("snapshotter", *snapshotter), ("snapshotKey", *key)]),
        );
        self.object(&format!("{ns}/containers/{id}"), &fields, labels)
    }

    pub fn lease(&mut self, ns: &str, id: &str, members: &[&str], labels: Labels<'_>) -> &mut Self {
        let members = members.iter().map(|member| (*member, ""));
        self.object(
            &format!("{ns}/leases/{id}"),
            &std::iter::once(("createdat", "t")).chain(members).collect::<Vec<_>>(),
            labels,
        )
    }

    /// It expires so many hours from now.
    pub fn ingest(&mut self, ns: &str, reference: &str, expires: Option<i64>, expected: &str) -> &mut Self {
        self.object(&format!("{ns}/content/ingests/{reference}"), &[("ref", reference), ("expected", expected)], &[]);
        if let Some(hours) = expires {
            self.put(&format!("v1/{ns}/content/ingests/{reference}/expireat"), go_binary(hours));
        }
        self
    }

    /// Writes what is new.
    #[track_caller]
    pub fn load(&mut self) -> &mut Self {
        let mut lines = Vec::new();
        for (key, value) in std::mem::take(&mut self.new) {
            let line = json!({"key": key, "value_base64": BASE64_STANDARD.encode(value)});
            lines.extend_from_slice(format!("{line}\n").as_bytes());
        }
        Kvadm::new().endpoint(self.etcd).args(["put", "--from", "-"]).stdin(lines).run().ok();
        self
    }

    /// `gc metadata` with these rules, at [`NOW`].
    pub fn gc_by(&self, schema: &str) -> Kvadm {
        let kvadm = Kvadm::new().endpoint(self.etcd).args(["gc", "metadata", &self.prefix, "--schema", schema]);
        kvadm.args(["--now", NOW, "--skew", "0s"])
    }

    pub fn gc(&self) -> Kvadm {
        self.gc_by("containerd").args(["-o", "json"])
    }

    /// Removes what two looks in quick succession agree on, however much that is.
    pub fn apply(&self) -> Kvadm {
        permit(self.gc()).args(["--grace", "1ms"])
    }

    /// Everything that would go, as `kind ns/name`, sorted.
    #[track_caller]
    pub fn plan(&self) -> Vec<String> {
        let run = self.gc().run();
        let names = named(&run, "garbage");
        run.code(i32::from(!names.is_empty()));
        names
    }

    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        self.etcd.held_under(&self.prefix).into_iter().map(|held| String::from_utf8(held.key).unwrap()).collect()
    }

    /// Plans and removes. Exactly what was planned went, with all its keys and the links that named it, nothing else
    /// did, and nothing else is garbage now.
    #[track_caller]
    pub fn swept(&mut self) -> Vec<String> {
        self.load();
        let (planned, before) = (self.plan(), self.keys());
        let run = self.apply().run();
        run.ok();
        assert_eq!(named(&run, "removed"), planned, "{}", run.stderr_text());
        let gone: Vec<Value> = run.json_lines();
        let left: Vec<String> = before.into_iter().filter(|key| !gone.iter().any(|row| went_with(key, row))).collect();
        assert_eq!(self.keys(), left);
        assert_eq!(self.plan(), [""; 0], "a second collection finds something else");
        planned
    }
}

/// Whether a key is the object's, or a link in a parent that names it.
fn went_with(key: &str, row: &Value) -> bool {
    let (object, identity) = (row["key"].as_str().unwrap(), row["identity"].as_str().unwrap());
    let name = identity.split_once('/').map_or(identity, |(_, name)| name);
    key.starts_with(&format!("{object}/")) || (row["kind"] == "snapshot" && key.ends_with(&format!("/children/{name}")))
}

/// However much goes, and without being asked.
pub fn permit(gc: Kvadm) -> Kvadm {
    let kinds = ["snapshot", "content", "image"].into_iter().flat_map(|kind| ["--allow-empty", kind]);
    gc.args(["--apply", "--yes", "--roots-complete", "--max-percent", "100"]).args(kinds)
}

/// The objects in this state, as `kind ns/name`, sorted.
#[track_caller]
pub fn named(run: &Run, state: &str) -> Vec<String> {
    let rows = run.json_lines();
    let of = rows.iter().filter(|row| row["state"] == state);
    let name = |row: &Value| {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        format!("{} {}/{}", text("kind"), text("scope"), text("identity"))
    };
    let mut names: Vec<String> = of.map(name).collect();
    names.sort();
    names
}

/// So many hours from [`NOW`] as Go writes a moment.
pub fn go_binary(hours: i64) -> Vec<u8> {
    let seconds = (NOW_SECONDS + hours * 3600 + 62_135_596_800).to_be_bytes();
    [&[1][..], &seconds, &[0; 4], &[0xff, 0xff]].concat()
}
