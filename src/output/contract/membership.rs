//! Records of the membership.

use super::spec::{RecordSpec, has, may, record};

pub(super) static CLUSTER_MEMBER: RecordSpec = record(
    "cluster-member",
    "member list",
    "One object per member, in the order of the cluster's list.",
    &[
        has("id", "the member's ID"),
        has("name", "the name of the member; empty until it has started"),
        has("state", "").one_of(&["started", "unstarted"]),
        has("role", "").one_of(&["voter", "learner", "leader"]),
        may("health", "absent if the member has not started").one_of(&["healthy", "unhealthy", "unreachable"]),
        has("peer_urls", ""),
        has("client_urls", ""),
    ],
);

pub(super) static MEMBERSHIP_CHANGE: RecordSpec = record(
    "membership-change",
    "member add, remove, promote, update, move-leader, replace",
    "One object per step. unchanged: there was nothing to do. With --dry-run outcome begins with would-.",
    &[
        has("outcome", "").one_of(&[
            "added",
            "started",
            "promoted",
            "removed",
            "updated",
            "leader-moved",
            "unchanged",
            "would-add",
            "would-promote",
            "would-remove",
            "would-update",
            "would-move-leader",
        ]),
        may("member", "the ID of the member; absent if it is not added yet"),
        has("name", "the name of the member; empty until it has started"),
        has("peer_urls", ""),
        may("learner", "with added: whether the member has no vote yet"),
        may("voters", ""),
        may("voters_answering", ""),
        may("environment", ""),
        may("command", "with added: the command line of the new process"),
        may("dry_run", ""),
    ],
);
