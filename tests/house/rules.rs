//! The rules, as data, and what breaks them.

use std::collections::BTreeMap;

use super::imports::{Module, Tree};

/// A floor of the house: its number, and the top-level files and folders of `src` on it.
pub struct Floor {
    pub number: u8,
    pub places: &'static [&'static str],
}

/// The floors from the top. An import points to a floor further down, or stays on its own.
pub const FLOORS: &[Floor] = &[
    Floor { number: 9, places: &["main", "lib"] },
    Floor { number: 8, places: &["cli"] },
    Floor { number: 7, places: &["commands"] },
    Floor { number: 6, places: &["child"] },
    Floor { number: 6, places: &["context", "error", "args"] },
    Floor { number: 5, places: &["access", "activity", "check", "gc", "diagnose", "health", "sync"] },
    Floor { number: 4, places: &["allocator", "backup", "output", "config", "command_line"] },
    Floor { number: 3, places: &["kvstore"] },
    Floor { number: 2, places: &["transport"] },
    Floor {
        number: 1,
        places: &[
            "atomic_file",
            "bounded_file",
            "boottime",
            "consent",
            "duration",
            "escaped",
            "fuzzing",
            "plural",
            "proto",
            "regular_expression",
            "shell",
            "signal",
            "size",
            "time",
            "unique_names",
        ],
    },
];

/// A library, and the only places that may name it.
pub const LIBRARIES: &[(&str, &[&str])] = &[
    ("clap", &["cli", "commands", "args", "lib"]),
    ("clap_complete", &["cli"]),
    ("aws_lc_rs", &["access", "backup"]),
    ("crc32c", &["backup"]),
    ("anyhow", &["context", "error", "args"]),
    ("comfy_table", &["output::table"]),
    ("indicatif", &["output::progress"]),
    ("serde_yaml", &["config", "output::yaml", "gc::metadata::schema", "commands::txn"]),
    ("etcd_client", &["kvstore"]),
    ("tonic::transport", &["transport"]),
    ("hyper", &["transport"]),
    ("rustls", &["transport"]),
    ("hickory_resolver", &["transport::discovery"]),
    ("x509_parser", &["transport"]),
    ("prost_reflect", &["proto"]),
    ("tempfile", &["atomic_file", "commands::edit::file", "commands::list::history", "sync"]),
    // Only the prompt gives consent to functions that destroy data.
    ("Consent::granted", &["context"]),
    // The signal leaf listens for and raises again the signals that end the program.
    ("nix::sys::signal", &["child", "signal"]),
    // The allocator's default node is the name of the host; the signal leaf names a process.
    ("nix::unistd", &["child", "commands::allocate::scope", "signal"]),
    ("std::process::exit", &[]),
    ("std::io::stdout", &["output"]),
    ("std::io::stderr", &["output"]),
    ("io::stdout", &["output"]),
    ("io::stderr", &["output"]),
    ("std::env::var", &["config", "output", "args"]),
    ("env::var", &["config", "output", "args"]),
    ("std::env::var_os", &["config", "output", "args", "cli"]),
    ("env::var_os", &["config", "output", "args", "cli"]),
];

/// Macros that write, which only `output` may call.
pub const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Files of more than 400 lines, and why each ends where it ends.
pub const LONG_FILES: &[(&str, &str)] = &[
    ("allocator/allocate.rs", "one allocation from its lock to its ID; each part needs the others' state"),
    ("commands/delete/range.rs", "one deletion of a range with its batches, its full-store path and its report"),
];

/// Names that several types may have: clap's convention for a verb's options, and Rust's for an error.
pub const SHARED_TYPE_NAMES: &[&str] = &["Args", "Error"];

/// Every rule that the tree breaks, one sentence each, in order.
pub fn violations(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(floors(tree));
    found.extend(circles(tree));
    found.extend(defining_files(tree));
    found.extend(libraries(tree));
    found.extend(files(tree));
    found.extend(type_names(tree));
    found
}

/// Where the place of a module stands among the floors, counted from the top.
fn row(module: &Module) -> Option<usize> {
    let place = module.first().map_or("lib", String::as_str);
    FLOORS.iter().position(|floor| floor.places.contains(&place))
}

fn described(tree: &Tree, module: &Module) -> String {
    let number = row(module).map_or(0, |row| FLOORS[row].number);
    format!("src/{} (floor {number})", tree.modules[module].file)
}

fn floors(tree: &Tree) -> Vec<String> {
    let mut found: Vec<String> = tree
        .modules
        .iter()
        .filter(|(module, _)| row(module).is_none())
        .map(|(_, source)| format!("src/{} has no floor", source.file))
        .collect();
    for import in tree.imports() {
        let (Some(from), Some(to)) = (row(&import.from), row(&import.to)) else { continue };
        if to < from {
            found.push(format!(
                "{} imports {} from {}: imports must point down",
                described(tree, &import.from),
                import.path,
                described(tree, &import.to),
            ));
        }
        let leaf = FLOORS[from].number == 1 && import.from.first() != import.to.first();
        if leaf {
            found.push(format!(
                "{} imports {}: a leaf imports nothing of the crate",
                described(tree, &import.from),
                import.path
            ));
        }
    }
    found
}

fn circles(tree: &Tree) -> Vec<String> {
    let files = |circle: &Vec<Module>| {
        circle.iter().map(|module| format!("src/{}", tree.modules[module].file)).collect::<Vec<_>>().join(", ")
    };
    tree.circles()
        .iter()
        .map(|circle| format!("these files import each other in a circle: {}", files(circle)))
        .collect()
}

/// Inside kvstore and transport, an import names the file that defines the item, never the re-export in `mod.rs`.
fn defining_files(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (module, source) in &tree.modules {
        let Some(room @ ("kvstore" | "transport")) = module.first().map(String::as_str) else { continue };
        for named in source.named.iter().filter(|named| !named.exported) {
            let reaches_room = tree.nearest(&named.path).is_some_and(|nearest| nearest == [room.to_owned()]);
            if reaches_room && named.path.len() > 1 {
                found.push(format!(
                    "src/{} imports {} through src/{room}/mod.rs: import the file that defines it",
                    source.file,
                    named.path.join("::"),
                ));
            }
        }
    }
    found
}

fn libraries(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (module, source) in &tree.modules {
        let name = if module.is_empty() { "lib".to_owned() } else { module.join("::") };
        for (library, places) in LIBRARIES {
            let allowed = places.iter().any(|place| name == *place || name.starts_with(&format!("{place}::")));
            let prefix = format!("{library}::");
            let names = source.libraries.iter().any(|path| path == library || path.starts_with(&prefix));
            if names && !allowed {
                found.push(format!("src/{} names {library}, which only {} may name", source.file, places.join(", ")));
            }
        }
        for printing in PRINTING.iter().filter(|name| source.macros.contains(**name)) {
            if module.first().is_none_or(|place| place != "output") {
                found.push(format!("src/{} calls {printing}!, which only output may call", source.file));
            }
        }
    }
    found
}

fn files(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree.modules.values() {
        if !source.text.starts_with("//!") {
            found.push(format!("src/{} does not begin with a sentence about itself (//!)", source.file));
        }
        for unfinished in ["todo", "unimplemented"] {
            if source.macros.contains(unfinished) {
                found.push(format!("src/{} calls {unfinished}!", source.file));
            }
        }
        for mark in ["TODO", "FIXME"] {
            if source.text.contains(mark) {
                found.push(format!("src/{} holds a {mark}", source.file));
            }
        }
        let lines = source.text.lines().count();
        if lines > 400 && !LONG_FILES.iter().any(|(file, _)| *file == source.file) {
            found.push(format!("src/{} has {lines} lines: split it, or say in LONG_FILES why not", source.file));
        }
    }
    found
}

fn type_names(tree: &Tree) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in tree.modules.values() {
        for name in source.types.iter().filter(|name| !SHARED_TYPE_NAMES.contains(&name.as_str())) {
            places.entry(name).or_default().push(&source.file);
        }
    }
    let shared = places.into_iter().filter(|(_, files)| files.len() > 1);
    shared
        .map(|(name, files)| format!("the type name {name} has several meanings: src/{}", files.join(", src/")))
        .collect()
}
