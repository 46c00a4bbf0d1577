//! kvadm-json(7): the fields of `-o json` and `-o yaml`.

/// The sections of the page, each a heading and its text.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "DESCRIPTION",
        "\
With -o json, each record is one JSON object on one line of standard output. -o yaml has the same fields, one document per
record. Field names are stable; new fields may be added, so ignore fields that you do not know.

- A field whose bytes are not UTF-8 is called NAME_base64 instead of NAME, and its value is base64.
- 64-bit identifiers (leases, members, clusters) are strings of hexadecimal digits.
- Allocator IDs are strings of decimal digits.
- Revisions, versions and counts are numbers.
- A field without a value is absent.

'put --from' reads what 'list -o json' prints.",
    ),
    (
        "ERRORS",
        "\
With -o json, an error is one object on standard error:

  error      what failed
  caused_by  list of causes, the outermost first
  hints      list of suggestions
  exit_code  the exit code; see kvadm(1)",
    ),
    (
        "KEYS AND VALUES",
        "
  get, list     key, value, create_revision, mod_revision, version, lease. With --with-leases also ttl (granted, in
                seconds). With --keys-only without value and lease.
  list --count  count, revision
  put KEY       outcome, key, mod_revision, lease, ttl, written
  put --from    written (or would_write), unchanged, exists, unknown, leases
  delete        deleted (or would_delete), kept, revision. With --prev first the deleted records.
  lease         lease, ttl (granted), left (in seconds), keys: the number of keys, or for 'lease show' a list of objects
                with the field key
  txn           branch, revision, succeeded, dry_run, results: one object per operation with op and, for put: prev; for
                get: count, more, kvs; for delete: deleted, prev; for txn: branch, succeeded, results",
    ),
    (
        "WATCH",
        "\
The field event says what kind of record it is:

  created, modified, deleted  key, value, prev_value (with --prev), create_revision, mod_revision, version, lease. A
                              deleted key has no value; its mod_revision is the revision of the deletion. It is absent if
                              --sync found the key missing after a compaction.
  list-done                   revision: the initial listing is complete
  status                      status (wait-for-datastore, resync-in-progress or in-sync), revision
  error                       key, error, field, mod_revision: the value of the previous event is not a valid message",
    ),
    (
        "LOCKS",
        "
  lock NAME    key, revision, token, lease, ttl, shared
  lock --list  name, state, order, mode, shared, lease, left, ttl, create_revision, key",
    ),
    (
        "STATUS",
        "
  status             health, quorum, quorum_ms, cluster, revision, complaints, members. A member has endpoint, name, health,
                     latency_ms, version, db_size, in_use, quota, role, term, index, applied, revision, id, leader, learner,
                     alarms.
  status --revision  revision
  status --diagnose  One object per endpoint: endpoint, ok, serves, steps. A step has step (resolve, tcp, socket, tls,
                     http2, auth, leader, quorum, alarms or quota), state (ok, failed or skipped), ms, detail, facts (an
                     object), error, remedy.
  config             key, value, source
  version            version",
    ),
    (
        "COMPACT",
        "
  compact           compacted (the revision; absent if nothing was compacted), removed (true if a member has removed the
                    old revisions), disarmed (member IDs), already, current, members, complaints. With --dry-run dry_run,
                    would_compact, would_defrag (endpoints in order) and would_disarm replace the first three. A member has
                    endpoint, name, id, role, db_size_before, db_size_after, in_use_before, in_use_after, revision_before,
                    revision_after, quota (etcd 3.6 and later), defrag (done, failed, unknown, left, or skipped for a
                    learner), alarms, error.
  compact --every   One object per round: round, outcome (compacted, already, nothing or failed), compacted, current,
                    took_ms, error.",
    ),
    (
        "ALLOCATE",
        "
  get     id, key, nodes (their number), state, store
  lookup  id, key, store
  list    id, key, nodes (objects with node, lease, ttl and, with --ttl, left), state, left, store
  watch   event (created, modified or deleted), id, key, prev_key, mod_revision. A deleted ID has the key that it had, if
          kvadm still knows it. list-done and status records are those of 'watch'.
  check   severity, problem, id, key, text, repair (restore or restored), keys (objects with key)

store is absent for the store of the command itself; see --remote.",
    ),
    (
        "GARBAGE COLLECTION",
        "\
One object per candidate:

  all kinds  state (garbage or young; with --apply removed, changed, busy or failed), key, why, seen (seconds), error
  ids        id, value (the allocator's key), mod_revision
  locks      lease, left, ttl, waiting, create_revision
  metadata   kind, scope, identity, keys, bytes, mod_revision, expired. The state may also be gone or held-back.

The summary is one object on standard error at the end; with --every it is one object per round on standard output:

  all kinds  time, round, kind, revision, looked_at, garbage, young, skipped, agreed, removed, changed, busy, failed,
             took_ms, error
  metadata   parts: objects with kind, objects, keys, bytes, roots, edges, reachable, garbage, garbage_bytes, removed,
             removed_keys, removed_bytes, skipped, gone, failed. phases: objects with phase (read, mark or sweep), took_ms,
             transactions, refused, memory.

  gc metadata --explain  verdict (root, kept, garbage, not-collected or absent), kind, key, scope, identity, why, path (the
                         root first), referrers. An element of path or referrers has step (root, keeps, refers or idle),
                         kind, key, by, flat.
  gc metadata --check    severity (problem or note), finding, key, text",
    ),
];
