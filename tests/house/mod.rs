//! The architecture of `src`, held by a test: floors, circles, which library is named where, and one meaning for each
//! type name. ARCHITECTURE.md describes it for people.

mod imports;
mod planted;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use imports::Tree;

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
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_source_follows_the_architecture() {
    let tree = Tree::new(&sources());
    assert!(tree.modules.len() > 150, "only {} files were found", tree.modules.len());
    assert!(tree.imports().len() > 400, "only {} imports were found", tree.imports().len());
    let found = rules::violations(&tree);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}
