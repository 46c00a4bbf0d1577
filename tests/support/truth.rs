//! What is in a store as etcdctl tells it: kvadm's answers are no proof of kvadm's deeds.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::etcd::Etcd;

/// One key as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The absolute key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision of the creation.
    pub created: i64,
    /// The revision of the last change.
    pub modified: i64,
    /// The number of changes since the creation.
    pub version: i64,
    /// The lease's ID in hex, or nothing.
    pub lease: Option<String>,
}

impl Held {
    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

impl Etcd {
    /// The key, if it is there.
    #[track_caller]
    pub fn held(&self, key: impl AsRef<[u8]>) -> Option<Held> {
        self.range(&[], key.as_ref()).pop()
    }

    /// Every key with the prefix, in order.
    #[track_caller]
    pub fn held_under(&self, prefix: impl AsRef<[u8]>) -> Vec<Held> {
        self.range(&["--prefix"], prefix.as_ref())
    }

    /// The store's revision.
    #[track_caller]
    pub fn revision(&self) -> i64 {
        json(&self.etcdctl_ok(&["get", "/", "-w", "json"]))["header"]["revision"].as_i64().unwrap()
    }

    /// Every lease's ID in hex.
    #[track_caller]
    pub fn leases(&self) -> Vec<String> {
        let told = json(&self.etcdctl_ok(&["lease", "list", "-w", "json"]));
        let id =
            |lease: &Value| format!("{:x}", lease.get("id").or_else(|| lease.get("ID")).unwrap().as_i64().unwrap());
        told["leases"].as_array().map_or_else(Vec::new, |leases| leases.iter().map(id).collect())
    }

    /// Grants a lease and gives its ID in hex.
    #[track_caller]
    pub fn grant(&self, seconds: u32) -> String {
        let told = self.etcdctl_ok(&["lease", "grant", &seconds.to_string()]);
        // It pads to 16 digits; the lease itself is written without.
        told.split_whitespace().nth(1).unwrap().trim_start_matches('0').to_owned()
    }

    /// Takes a lock's key as etcd's mutex would have it, and gives what `--if-locked` takes.
    #[track_caller]
    pub fn lock_token(&self, key: &str) -> String {
        self.etcdctl_ok(&["put", key, ""]);
        format!("{key}@{}", self.held(key).unwrap().created)
    }

    #[track_caller]
    fn range(&self, flags: &[&str], key: &[u8]) -> Vec<Held> {
        let mut args: Vec<OsString> = vec!["get".into(), "-w".into(), "json".into()];
        args.extend(flags.iter().map(OsString::from));
        args.extend(["--".into(), OsStr::from_bytes(key).to_owned()]);
        let told = json(&self.etcdctl_ok(&args));
        told["kvs"].as_array().map_or_else(Vec::new, |kvs| kvs.iter().map(held).collect())
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("etcdctl should print JSON: {why}\n{text}"))
}

fn held(kv: &Value) -> Held {
    let bytes = |name: &str| BASE64_STANDARD.decode(kv[name].as_str().unwrap_or_default()).unwrap();
    let number = |name: &str| kv[name].as_i64().unwrap_or(0);
    let lease = Some(number("lease")).filter(|id| *id != 0).map(|id| format!("{id:x}"));
    Held {
        key: bytes("key"),
        value: bytes("value"),
        created: number("create_revision"),
        modified: number("mod_revision"),
        version: number("version"),
        lease,
    }
}
