//! The rules find what they are for: violations planted in small trees.

use super::imports::Tree;
use super::rules::violations;

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(String, String)> =
        files.iter().map(|(file, text)| ((*file).to_owned(), format!("//! A file.\n{text}"))).collect();
    violations(&Tree::new(&files))
}

const UP: &str =
    "src/kvstore/store.rs (floor 3) imports config::load from src/config/mod.rs (floor 4): imports must point down";

#[test]
fn a_sound_tree_passes() {
    let tree = [
        ("lib.rs", "mod cli; mod kvstore; use kvstore::Store;"),
        ("kvstore/mod.rs", "mod store; mod lock; pub use store::Store; pub use lock::Lock;"),
        ("kvstore/store.rs", "pub struct Store;"),
        ("kvstore/lock.rs", "use crate::kvstore::store::Store; pub struct Lock(Store);"),
        ("cli/mod.rs", "use crate::kvstore::{Lock, Store}; // use crate::lib::x"),
    ];
    assert_eq!(found(&tree), Vec::<String>::new());
}

#[test]
fn an_import_that_points_up_is_found_however_it_is_written() {
    for text in [
        "use crate::config::load;",
        "use super::super::config::load;",
        "use crate::{kvstore::types::Key, config::{load}};",
        "fn f() { crate::config::load(); }",
        "fn f() { other!(x, crate::config::load()); }",
        "mod inner { fn f() { crate::config::load() } }",
    ] {
        let tree = [
            ("config/mod.rs", "pub fn load() {}"),
            ("kvstore/store.rs", text),
            ("kvstore/types.rs", "pub struct Key;"),
        ];
        assert_eq!(found(&tree), [UP], "{text}");
    }
}

#[test]
fn a_re_export_is_followed_to_the_file_that_defines_the_item() {
    let tree = [
        ("config/mod.rs", "mod load; pub use load::Config;"),
        ("config/load.rs", "pub struct Config;"),
        ("transport/dial.rs", "use crate::config::Config;"),
    ];
    let expected = "src/transport/dial.rs (floor 2) imports config::Config from src/config/load.rs (floor 4): imports must point down";
    assert_eq!(found(&tree), [expected]);
}

#[test]
fn circles_of_two_and_three_files_are_found() {
    let two = [("gc/a.rs", "use super::b::B; pub struct A;"), ("gc/b.rs", "use super::a::A; pub struct B;")];
    assert_eq!(found(&two), ["these files import each other in a circle: src/gc/a.rs, src/gc/b.rs"]);
    let three = [
        ("gc/a.rs", "use super::b::B; pub struct A;"),
        ("gc/b.rs", "fn f() { super::c::g() } pub struct B;"),
        ("gc/c.rs", "use crate::gc::a; pub fn g() {}"),
    ];
    assert_eq!(found(&three), ["these files import each other in a circle: src/gc/a.rs, src/gc/b.rs, src/gc/c.rs"]);
    let parent =
        [("gc/mod.rs", "mod a; use a::A; pub struct Shared;"), ("gc/a.rs", "use super::Shared; pub struct A;")];
    assert_eq!(found(&parent), ["these files import each other in a circle: src/gc/mod.rs, src/gc/a.rs"]);
}

#[test]
fn what_only_tests_compile_does_not_count() {
    let tree = [
        ("kvstore/store.rs", "#[cfg(test)] mod tests { use crate::config::load; }"),
        ("kvstore/lock.rs", "#[cfg(test)]\nmod checks;"),
        ("kvstore/lock/checks.rs", "use crate::config::load;"),
        ("config/mod.rs", "pub fn load() {}"),
    ];
    assert_eq!(found(&tree), Vec::<String>::new());
}

#[test]
fn libraries_and_printing_have_their_places() {
    let tree = [
        ("gc/a.rs", "use etcd_client::Client;"),
        ("gc/b.rs", "fn f() { println!(\"x\") }"),
        ("kvstore/store.rs", "use tonic::{Code, transport::Channel};"),
    ];
    let expected = [
        "src/gc/a.rs names etcd_client, which only kvstore may name",
        "src/gc/b.rs calls println!, which only output may call",
        "src/kvstore/store.rs names tonic::transport, which only transport may name",
    ];
    assert_eq!(found(&tree), expected);
}

#[test]
fn kvstore_imports_the_defining_file() {
    let tree = [
        ("kvstore/mod.rs", "mod store; pub use store::Store;"),
        ("kvstore/store.rs", "pub struct Store;"),
        ("kvstore/lock.rs", "use crate::kvstore::Store;"),
    ];
    assert_eq!(
        found(&tree),
        ["src/kvstore/lock.rs imports kvstore::Store through src/kvstore/mod.rs: import the file that defines it"]
    );
}

#[test]
fn a_file_needs_a_floor_a_sentence_and_an_end() {
    assert_eq!(found(&[("helpers.rs", "")]), ["src/helpers.rs has no floor"]);
    let bare = [("gc/a.rs".to_owned(), "pub fn f() { todo!() }".to_owned())];
    let expected = ["src/gc/a.rs does not begin with a sentence about itself (//!)", "src/gc/a.rs calls todo!"];
    assert_eq!(violations(&Tree::new(&bare)), expected);
    let long = "const X: u8 = 1;\n".repeat(401);
    assert_eq!(found(&[("gc/a.rs", &long)]), ["src/gc/a.rs has 402 lines: split it, or say in LONG_FILES why not"]);
}

#[test]
fn a_module_within_a_file_belongs_to_the_file() {
    let tree = [
        ("config/mod.rs", "mod values; use values::rate; pub fn load() {}"),
        ("config/values.rs", "pub fn rate() {} pub mod text { use super::*; fn f() { super::rate() } }"),
    ];
    assert_eq!(found(&tree), Vec::<String>::new());
}

#[test]
fn a_leaf_imports_nothing() {
    let tree = [("time.rs", "use crate::duration::parse;"), ("duration.rs", "pub fn parse() {}")];
    assert_eq!(found(&tree), ["src/time.rs (floor 1) imports duration::parse: a leaf imports nothing of the crate"]);
}

#[test]
fn a_type_name_has_one_meaning() {
    let tree = [("gc/a.rs", "pub struct Plan;"), ("gc/b.rs", "enum Plan {}")];
    assert_eq!(found(&tree), ["the type name Plan has several meanings: src/gc/a.rs, src/gc/b.rs"]);
}
