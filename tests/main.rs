//! The one test target. Each file is a verb or a concern that cuts across them; `support` starts real etcd servers and
//! runs the built binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod advice;
mod allocate;
mod allocate_check;
mod allocate_read;
mod allocate_storm;
mod allocate_watch;
mod at;
mod auth;
mod auth_changes;
mod auth_file;
mod auth_who_can;
mod bulk;
mod check;
mod check_faults;
mod check_files;
mod check_reports;
mod check_rules;
mod check_schema;
mod compact;
mod compact_space;
mod completions;
mod config;
mod consistency;
mod contract;
mod db;
mod db_damage;
mod db_history;
mod db_sources;
mod defrag_rules;
mod delete;
mod delete_full;
mod diagnose;
mod diff;
mod documents;
mod edit;
mod edit_conflicts;
mod errors;
mod etcdctl;
mod failover;
mod forecast;
mod gc_frame;
mod gc_ids;
mod gc_ids_agents;
mod gc_locks;
mod gc_metadata;
mod gc_metadata_races;
mod gc_metadata_safety;
mod gc_metadata_schemas;
mod gc_requests;
mod generated;
mod get;
mod harness;
mod history;
mod hostile;
mod hostile_files;
mod house;
mod kubernetes;
mod lagging;
mod lease;
mod lease_keeper;
mod limits;
mod list;
mod list_much;
mod list_stream;
mod list_tree;
mod lock;
mod lock_command;
mod lock_faults;
mod lock_guardian;
mod lock_helpers;
mod lock_owner;
mod lock_rw;
mod lock_soak;
mod login_sources;
mod long_listings;
mod lost_answers;
mod mirror;
mod mirror_auth;
mod mirror_faults;
mod mirror_lease_faults;
mod mirror_leases;
mod mutated_answers;
mod one_cluster;
mod outcomes;
mod output;
mod proto;
mod put;
mod refused_streams;
mod restore;
mod roundtrip;
mod screens;
mod screens_redrawn;
mod search;
mod serializable;
mod serializable_faults;
mod signals;
mod since_rev;
mod snapshot_faults;
mod snapshot_save;
mod snapshot_unproved;
mod snapshot_verify;
mod snapshots;
mod snapshots_errors;
mod snapshots_screens;
mod snapshots_tables;
mod snapshots_usage;
mod status;
mod status_latency;
mod support;
mod tables;
mod terminal;
mod tls;
mod tls_words;
mod top;
mod trailer;
mod tty;
mod txn;
mod usage;
mod watch;
mod watch_faults;

/// A file that is not in the list above is never compiled, so its tests would pass by not running.
#[test]
fn every_test_file_is_in_the_list() {
    let list = include_str!("main.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let named = list.lines().any(|line| line == format!("mod {name};"));
            assert!(name == "main" || named, "tests/{name}.rs is not in the list of tests/main.rs");
        }
    }
}
