//! The records of `auth diff`, `auth apply` and `auth who-can` that other verbs do not have.

use super::access::PERMISSION;
use super::spec::{RecordSpec, has, may, record};

pub(super) static ACCESS_SUMMARY: RecordSpec = record(
    "access-summary",
    "auth diff, auth apply: summary",
    "The last object, on standard error.",
    &[
        has("additions", ""),
        has("replacements", ""),
        has("removals", ""),
        may("made", "number of changes that were made; absent if none were to be made"),
    ],
);

pub(super) static WHO_CAN: RecordSpec = record(
    "who-can",
    "auth who-can",
    "One object per user. If authentication is off, everyone may: then there is one object without a user.",
    &[
        may("user", "the user"),
        has("access", "what the user may do with all of the keys").one_of(&["read", "write", "readwrite"]),
        may("permissions", "the permissions that allow it, each with its role").of(&PERMISSION),
    ],
);
