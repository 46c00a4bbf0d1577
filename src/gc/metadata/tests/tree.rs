//! A key space in memory with etcd's rules for transactions, and a containerd store in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::gc::metadata::mark::{Marking, mark};
use crate::gc::metadata::model::{Model, ModelBuilder, ObjectId};
use crate::gc::metadata::schema::Schema;
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeyRange, KeySelector, KeyValue, Op, Txn};
use crate::time::Time;

/// The moment that the tests call now: 2026-08-01T12:00:00Z.
pub const NOW: Time = Time { secs: 1_785_585_600, nanos: 0 };
pub const PREFIX: &str = "/containerd/";

#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub kvs: BTreeMap<Vec<u8>, KeyValue>,
    pub revision: i64,
}

pub fn schema(name: &str) -> Arc<Schema> {
    static READ: Mutex<BTreeMap<String, Arc<Schema>>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap();
    let parse = || Arc::new(Schema::parse(Schema::built_in(name).unwrap(), name).unwrap());
    Arc::clone(read.entry(name.to_owned()).or_insert_with(parse))
}

pub fn custom(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text, "test.yaml").unwrap())
}

impl Tree {
    pub fn put(&mut self, key: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.revision += 1;
        let key = key.as_bytes().to_vec();
        let old = self.kvs.get(&key);
        let kv = KeyValue {
            create_revision: old.map_or(self.revision, |old| old.create_revision),
            mod_revision: self.revision,
            version: old.map_or(1, |old| old.version + 1),
            value: value.as_ref().to_vec(),
            key: key.clone(),
            lease: None,
        };
        self.kvs.insert(key, kv);
        self
    }

    pub fn delete(&mut self, key: &str) -> &mut Self {
        self.revision += 1;
        assert!(self.kvs.remove(key.as_bytes()).is_some(), "{key}");
        self
    }

    pub fn has(&self, key: &str) -> bool {
        self.kvs.contains_key(key.as_bytes())
    }

    pub fn has_below(&self, prefix: &str) -> bool {
        self.kvs.keys().any(|key| key.starts_with(prefix.as_bytes()))
    }

    fn fields(&mut self, object: &str, fields: &[(&str, &str)], labels: &[(&str, &str)]) -> &mut Self {
        for (field, value) in fields {
            self.put(&format!("{PREFIX}v1/{object}/{field}"), value);
        }
        for (label, value) in labels {
            let label = label.strip_prefix('!').map_or_else(|| format!("containerd.io/gc.{label}"), str::to_owned);
            self.put(&format!("{PREFIX}v1/{object}/labels/{label}"), value);
        }
        self
    }

    pub fn content(&mut self, ns: &str, digest: &str, labels: &[(&str, &str)]) -> &mut Self {
        self.fields(&format!("{ns}/content/blob/{digest}"), &[("createdat", "t"), ("size", "1")], labels)
    }

    pub fn snapshot(&mut self, ns: &str, name: &str, parent: &str, labels: &[(&str, &str)]) -> &mut Self {
        let object = format!("{ns}/snapshots/{name}");
        self.fields(&object, &[("createdat", "t"), ("name", "n"), ("parent", parent)], labels)
    }

    pub fn image(&mut self, ns: &str, name: &str, digest: &str, labels: &[(&str, &str)]) -> &mut Self {
        self.fields(&format!("{ns}/images/{name}"), &[("createdat", "t"), ("target/digest", digest)], labels)
    }

    pub fn container(
        &mut self,
        ns: &str,
        id: &str,
        snapshot: Option<(&str, &str)>,
        labels: &[(&str, &str)],
    ) -> &mut Self {
        let object = format!("{ns}/containers/{id}");
        let mut fields = vec![("createdat", "t"), ("spec", "{}")];
        if let Some((snapshotter, key)) = snapshot {
            fields.extend([("snapshotter", snapshotter), ("snapshotKey", key)]);
        }
        self.fields(&object, &fields, labels)
    }

    pub fn lease(&mut self, ns: &str, id: &str, members: &[&str], labels: &[(&str, &str)]) -> &mut Self {
        let fields: Vec<(&str, &str)> =
            std::iter::once(("createdat", "t")).chain(members.iter().map(|member| (*member, "1"))).collect();
        self.fields(&format!("{ns}/leases/{id}"), &fields, labels)
    }

    pub fn ingest(&mut self, ns: &str, reference: &str, expires: Option<Time>, expected: &str) -> &mut Self {
        let object = format!("{PREFIX}v1/{ns}/content/ingests/{reference}");
        self.put(&format!("{object}/ref"), reference).put(&format!("{object}/expected"), expected);
        if let Some(time) = expires {
            self.put(&format!("{object}/expireat"), go_binary(time));
        }
        self
    }

    pub fn model(&self, schema: &Arc<Schema>) -> Arc<Model> {
        self.model_below(schema, PREFIX)
    }

    pub fn model_below(&self, schema: &Arc<Schema>, prefix: &str) -> Arc<Model> {
        let mut folder = ModelBuilder::new(Arc::clone(schema), prefix.as_bytes(), self.revision);
        for kv in self.kvs.values().filter(|kv| kv.key.starts_with(prefix.as_bytes())) {
            folder.push(kv).unwrap();
        }
        Arc::new(folder.finish().unwrap())
    }

    /// Does the transaction as etcd would; the counts are those of the else-branch's reads.
    pub fn txn(&mut self, txn: &Txn, max_ops: usize) -> Result<(), u64> {
        assert!(txn.compares.len() <= max_ops && txn.then.len() <= max_ops && txn.otherwise.len() <= max_ops);
        if !txn.compares.iter().all(|compare| self.holds(compare)) {
            return Err(txn
                .otherwise
                .iter()
                .map(|op| match op {
                    Op::Get { over, count_only: true, .. } => self.over(over).len() as u64,
                    _ => panic!("nothing but counting"),
                })
                .sum());
        }
        self.revision += 1;
        for op in &txn.then {
            let Op::Delete { over, .. } = op else { panic!("nothing but deleting") };
            for key in self.over(over) {
                self.kvs.remove(&key);
            }
        }
        Ok(())
    }

    fn over(&self, over: &KeySelector) -> Vec<Vec<u8>> {
        let range = match over {
            KeySelector::Key(key) => KeyRange::key(key),
            KeySelector::Range(range) => range.clone(),
        };
        self.kvs.keys().filter(|key| range.contains(key)).cloned().collect()
    }

    fn holds(&self, compare: &Compare) -> bool {
        let CompareTarget::Mod(wanted) = compare.target else { panic!("only modifications are compared") };
        let found = self.over(&compare.over);
        let mut revisions: Vec<i64> = found.iter().map(|key| self.kvs[key].mod_revision).collect();
        if revisions.is_empty() {
            revisions.push(0);
        }
        revisions.into_iter().all(|revision| match compare.op {
            CompareOp::Less => revision < wanted,
            CompareOp::Equal => revision == wanted,
            _ => panic!("an unexpected compare"),
        })
    }
}

pub fn go_binary(time: Time) -> Vec<u8> {
    let secs = (time.secs + 62_135_596_800).to_be_bytes();
    [&[1][..], &secs, &time.nanos.to_be_bytes(), &[0xff, 0xff]].concat()
}

pub fn hours(hours: i64) -> Time {
    Time { secs: NOW.secs + hours * 3600, nanos: 0 }
}

pub fn marked(model: &Model) -> Marking {
    mark(model, NOW, NOW, &[])
}

/// `kind scope/identity`, as the tests write it.
pub fn name(model: &Model, id: ObjectId) -> String {
    let text = |bytes| String::from_utf8(Vec::from(bytes)).unwrap();
    format!("{} {}/{}", model.kind(id).name, text(model.scope(id)), text(model.identity(id)))
}

pub fn find(model: &Model, name: &str) -> ObjectId {
    let (kind, rest) = name.split_once(' ').unwrap();
    let (scope, identity) = rest.split_once('/').unwrap();
    let kind = model.schema().kind_named(kind).unwrap();
    model.find_named(kind, scope.as_bytes(), identity.as_bytes()).unwrap_or_else(|| panic!("no {name}"))
}

pub fn garbage(model: &Model) -> Vec<String> {
    let mut names: Vec<String> = marked(model).garbage(model).into_iter().map(|id| name(model, id)).collect();
    names.sort();
    names
}
