//! Records of authentication, users and roles.

use super::spec::{RecordSpec, has, may, record};

const RANGES: &[&str] = &["key", "prefix", "range", "from", "all"];
const ACCESS: &[&str] = &["read", "write", "readwrite"];

pub(super) static AUTH_STATUS: RecordSpec = record(
    "auth-status",
    "auth status",
    "What etcd does not tell to the user of the command is absent.",
    &[
        has("authentication", "").one_of(&["enabled", "disabled", "unknown"]),
        may("auth_revision", ""),
        may("user", "the user of the command"),
        may("login", "").one_of(&["password", "certificate", "token"]),
        may("administrator", ""),
        may("root_ready", ""),
    ],
);

pub(super) static AUTH_CHANGE: RecordSpec = record(
    "auth-change",
    "auth, user, role: changes",
    "One object per change. found-applied: the answer of etcd was lost, and etcd is in the state that was asked for. With \
     --dry-run the outcome is would-apply.",
    &[
        has("change", "").one_of(&[
            "add-user",
            "delete-user",
            "set-password",
            "grant-role",
            "revoke-role",
            "add-role",
            "delete-role",
            "grant-permission",
            "revoke-permission",
            "enable",
            "disable",
        ]),
        has("outcome", "").one_of(&["applied", "found-applied", "unchanged", "would-apply"]),
        may("user", "the user"),
        may("role", "the role"),
        may("access", "").one_of(ACCESS),
        may("range", "").one_of(RANGES),
        may("key", "the key, the prefix, or the first key of the range; absent for all"),
        may("range_end", ""),
        may("dry_run", ""),
    ],
);

pub(super) static USER_NAME: RecordSpec = record("user-name", "user list", "", &[has("user", "the user")]);

pub(super) static ROLE_NAME: RecordSpec = record("role-name", "role list", "", &[has("role", "the role")]);

pub(super) static USER: RecordSpec = record(
    "user",
    "user show",
    "",
    &[
        has("user", "the user"),
        has("user_roles", ""),
        may("permissions", "with --detail: what the roles allow").of(&PERMISSION),
    ],
);

pub(super) static ROLE: RecordSpec =
    record("role", "role show", "", &[has("role", "the role"), has("permissions", "").of(&PERMISSION)]);

pub(super) static PERMISSION: RecordSpec = record(
    "permission",
    "",
    "",
    &[
        may("role", "user show --detail, auth who-can: the role"),
        has("access", "").one_of(ACCESS),
        has("range", "").one_of(RANGES),
        may("key", "the key, the prefix, or the first key of the range; absent for all"),
        may("range_end", ""),
    ],
);
