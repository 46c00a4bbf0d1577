//! The records of `auth diff`, `auth apply`, `auth export` and `auth who-can` that other verbs do not have.

use super::access::PERMISSION;
use super::spec::{JsonType, RecordSpec, has, may, record};

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

pub(super) static ACCESS_FILE: RecordSpec = record(
    "access-file",
    "auth export",
    "One object: the file of users and roles, as 'auth diff' and 'auth apply' read it (see kvadm-auth(5)). 'kvadm auth export \
     --schema' prints the schema of what is inside.",
    &[
        has("roles", "the roles by their names, each with its permissions").typed(JsonType::Facts),
        has("users", "the users by their names, each with its roles").typed(JsonType::Facts),
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
