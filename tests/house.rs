//! The rules of the house: which library may be named where, who prints, and which way imports point.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src`, with its path from there.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 20);
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of code that hold the word, but for comments and for tests at a file's end.
fn uses<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).filter(|line| line.contains(word)).collect()
}

fn only_in(word: &str, allowed: &[&str]) {
    for (file, text) in sources() {
        let found = uses(&text, word);
        let may = allowed.iter().any(|place| file.starts_with(place)) || file.ends_with("tests.rs");
        assert!(may || found.is_empty(), "{word} in src/{file}: {found:?}; allowed in {allowed:?}");
    }
}

#[test]
fn libraries_are_named_in_their_rooms_only() {
    only_in("etcd_client::", &["kvstore/"]);
    only_in("tonic::", &["kvstore/", "transport/"]);
    only_in("rustls", &["transport/"]);
    only_in("x509_parser", &["transport/tls/certificate.rs"]);
    only_in("serde_yaml::", &["config", "output/yaml.rs", "gc/metadata/schema/document.rs"]);
    only_in("comfy_table", &["output/table.rs"]);
    only_in("indicatif", &["output/progress.rs"]);
    only_in("prost_reflect", &["proto/"]);
    only_in("crate::proto::", &["commands/", "output/"]);
    only_in("clap_complete", &["cli/complete/"]);
    only_in("clap", &["cli/", "commands/", "args.rs", "lib.rs"]);
    only_in("anyhow", &["commands/", "error.rs"]);
}

#[test]
fn only_output_writes() {
    for word in ["println!(", "print!(", "eprintln!(", "eprint!(", "io::stdout()", "io::stderr()"] {
        only_in(word, &["output/"]);
    }
    only_in("process::exit", &[]);
    only_in("env::var", &["config/", "output/mod.rs", "output/settings.rs", "args.rs", "cli/complete/mod.rs"]);
}

#[test]
fn imports_point_one_way() {
    for (file, text) in sources() {
        let forbidden: &[&str] = match file.split('/').next().unwrap() {
            "kvstore" => {
                &["crate::cli", "crate::commands", "crate::context", "crate::config", "crate::output", "crate::error"]
            }
            "output" => &["crate::cli", "crate::commands", "crate::context", "crate::config", "crate::error"],
            "config" => &["crate::cli", "crate::commands", "crate::context", "crate::output", "crate::error"],
            "proto" => &[
                "crate::cli",
                "crate::commands",
                "crate::context",
                "crate::config",
                "crate::output",
                "crate::error",
                "crate::kvstore",
                "std::fs",
                "std::io",
            ],
            "context.rs" | "error.rs" | "signal.rs" => &["crate::cli", "crate::commands"],
            _ => &[],
        };
        for word in forbidden {
            assert!(uses(&text, word).is_empty(), "{word} in src/{file}");
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for (file, text) in sources() {
        for word in ["todo!(", "unimplemented!(", "TODO", "FIXME"] {
            assert!(!text.contains(word), "{word} in src/{file}");
        }
        if file.contains("tests/") || file.ends_with("tests.rs") {
            continue;
        }
        assert!(text.starts_with("//!"), "src/{file} does not say what it is");
        assert!(text.lines().count() <= 400, "src/{file} is too long: split it");
    }
}
