//! Keys to which Cilium gives fixed IDs. Pure.
//!
//! Wire format: `pkg/identity` of Cilium. IDs below 256 are reserved; agents know them without etcd.

use super::Id;

/// The smallest ID that Cilium's allocator gives to a key.
pub const MIN_ALLOCATED: u64 = 256;

/// A label with a fixed ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedLabel {
    /// The label's key; its source is `reserved`.
    pub name: &'static str,
    /// The fixed ID.
    pub id: u64,
}

const RESERVED: [ReservedLabel; 11] = [
    ReservedLabel { name: "host", id: 1 },
    ReservedLabel { name: "world", id: 2 },
    ReservedLabel { name: "unmanaged", id: 3 },
    ReservedLabel { name: "health", id: 4 },
    ReservedLabel { name: "init", id: 5 },
    ReservedLabel { name: "remote-node", id: 6 },
    ReservedLabel { name: "kube-apiserver", id: 7 },
    ReservedLabel { name: "ingress", id: 8 },
    ReservedLabel { name: "world-ipv4", id: 9 },
    ReservedLabel { name: "world-ipv6", id: 10 },
    ReservedLabel { name: "encrypted-overlay", id: 11 },
];

/// The reserved label of a key; `None` for a key that has other labels, too.
pub fn reserved_label(key: &[u8]) -> Option<ReservedLabel> {
    let labels = key.strip_suffix(b";").unwrap_or(key).split(|byte| *byte == b';');
    let mut found = labels.map(|label| {
        let name = label.strip_prefix(b"reserved:")?;
        let name = name.strip_suffix(b"=").unwrap_or(name);
        RESERVED.into_iter().find(|reserved| reserved.name.as_bytes() == name)
    });
    let first = found.next()??;
    found.all(|label| label.is_some()).then_some(first)
}

/// The label to which Cilium gives this ID.
pub fn label_with_id(id: Id) -> Option<ReservedLabel> {
    RESERVED.into_iter().find(|reserved| reserved.id == id.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_reserved_labels_have_fixed_ids() {
        for (key, id) in [
            ("reserved:host=;", Some(1)),
            ("reserved:host", Some(1)),
            ("reserved:world-ipv6=;", Some(10)),
            ("reserved:kube-apiserver=;reserved:remote-node=;", Some(7)),
            ("reserved:host=;k8s:a=b;", None),
            ("k8s:a=b;reserved:host=;", None),
            ("reserved:hosts=;", None),
            ("reserved:host=x;", None),
            ("unspec:host=;", None),
            ("host", None),
            ("", None),
            (";", None),
        ] {
            assert_eq!(reserved_label(key.as_bytes()).map(|label| label.id), id, "{key}");
        }
        assert_eq!(Id::new(6).and_then(label_with_id).map(|label| label.name), Some("remote-node"));
        assert_eq!(Id::new(100).and_then(label_with_id), None);
    }
}
