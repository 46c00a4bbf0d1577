//! Which source file imports which: computed from the tokens of the files, so that comments and strings do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module path from the crate's root: `["kvstore", "lock"]`.
pub type Module = Vec<String>;

/// A path as one file names it, made absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub path: Vec<String>,
    /// Whether the file passes the name on with `pub use`.
    pub exported: bool,
    /// Whether the name comes from a `use`, not from an inline path.
    pub by_use: bool,
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct Source {
    /// The path below `src`.
    pub file: String,
    pub text: String,
    /// The crate's own modules and items that the file names.
    pub named: Vec<Named>,
    /// The first two segments of every other path: libraries.
    pub libraries: BTreeSet<String>,
    /// Macros that the file calls.
    pub macros: BTreeSet<String>,
    /// Child modules that only tests compile.
    test_children: BTreeSet<String>,
    /// Types that the file defines.
    pub types: Vec<String>,
}

/// Every source file, by its module.
#[derive(Debug, Default)]
pub struct Tree {
    pub modules: BTreeMap<Module, Source>,
}

/// One file that names an item of another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: Module,
    pub to: Module,
    /// The path as it was named.
    pub path: String,
}

impl Tree {
    /// Reads the tree from pairs of path (below `src`) and text. Files that only tests compile are left out.
    pub fn new(files: &[(String, String)]) -> Self {
        let names: BTreeSet<Module> = files.iter().map(|(file, _)| module_of(file)).collect();
        let mut modules: BTreeMap<Module, Source> = files
            .iter()
            .map(|(file, text)| {
                let module = module_of(file);
                let mut source = Source { file: file.clone(), text: text.clone(), ..Source::default() };
                let tokens: Vec<TokenTree> = TokenStream::from_str(text)
                    .unwrap_or_else(|error| panic!("src/{file}: {error}"))
                    .into_iter()
                    .collect();
                Reader { module: &module, inline: 0, names: &names, source: &mut source }.read(&tokens);
                (module, source)
            })
            .collect();
        let tests: Vec<Module> = modules
            .iter()
            .flat_map(|(module, source)| {
                source.test_children.iter().map(|child| [module.clone(), vec![child.clone()]].concat())
            })
            .collect();
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { modules }
    }

    /// All imports, each once. A name that a `mod.rs` passes on counts for the file that defines it.
    pub fn imports(&self) -> Vec<Import> {
        let mut found = BTreeSet::new();
        for (from, source) in &self.modules {
            for named in source.named.iter().filter(|named| !(named.exported && is_below(&named.path, from))) {
                let to = self.defining(&named.path);
                if let Some(to) = to.filter(|to| to != from && !to.is_empty()) {
                    found.insert(Import { from: from.clone(), to, path: named.path.join("::") });
                }
            }
        }
        found.into_iter().collect()
    }

    /// The file that a path leads to, without following re-exports.
    pub fn nearest(&self, path: &[String]) -> Option<Module> {
        (0..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| self.modules.contains_key(module))
    }

    /// The file that defines what a path names.
    fn defining(&self, path: &[String]) -> Option<Module> {
        let mut path = path.to_vec();
        for _ in 0..10 {
            let module = self.nearest(&path)?;
            let Some(item) = path.get(module.len()) else { return Some(module) };
            let passed_on = self.modules[&module].named.iter().filter(|named| named.by_use).find(|named| {
                named.path.last() == Some(item)
                    && named.path != path
                    && self.nearest(&named.path).as_ref() != Some(&module)
            });
            let Some(passed_on) = passed_on else { return Some(module) };
            path = [passed_on.path.clone(), path[module.len() + 1..].to_vec()].concat();
        }
        None
    }

    /// The groups of files that import each other in a circle, each group in order.
    pub fn circles(&self) -> Vec<Vec<Module>> {
        let imports = self.imports();
        let mut reach: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for start in self.modules.keys() {
            let mut open = vec![start];
            let seen = reach.entry(start).or_default();
            while let Some(module) = open.pop() {
                for import in imports.iter().filter(|import| &import.from == module) {
                    if seen.insert(&import.to) {
                        open.push(&import.to);
                    }
                }
            }
        }
        let mut circles: Vec<Vec<Module>> = Vec::new();
        for module in self.modules.keys().filter(|module| reach[module].contains(module)) {
            if circles.iter().any(|circle| circle.contains(module)) {
                continue;
            }
            let both = |other: &&Module| reach[module].contains(*other) && reach[*other].contains(module);
            circles.push(self.modules.keys().filter(both).cloned().collect());
        }
        circles
    }
}

fn is_below(path: &[String], module: &[String]) -> bool {
    path.len() > module.len() && path.starts_with(module)
}

/// `kvstore/lock/mod.rs` is the module `kvstore::lock`; `lib.rs` is the root.
fn module_of(file: &str) -> Module {
    let mut module: Module = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || file == "lib.rs" {
        module.pop();
    }
    module
}

struct Reader<'a> {
    module: &'a Module,
    /// How many modules within the file the reader is in.
    inline: usize,
    names: &'a BTreeSet<Module>,
    source: &'a mut Source,
}

impl Reader<'_> {
    fn read(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        let mut test = false;
        let mut public = false;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(TokenTree::Group(group)) = tokens.get(at + 1) {
                        test |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                        at += 2;
                        continue;
                    }
                    at += 1;
                }
                TokenTree::Ident(ident) if ident == "pub" => {
                    public = true;
                    at += 1;
                    let scope = |group: &proc_macro2::Group| group.delimiter() == Delimiter::Parenthesis;
                    if matches!(tokens.get(at), Some(TokenTree::Group(group)) if scope(group)) {
                        at += 1;
                    }
                    continue;
                }
                TokenTree::Ident(ident) if ident == "use" => {
                    let end = (at..tokens.len()).find(|index| is_punct(&tokens[*index], ';')).unwrap_or(tokens.len());
                    if !test {
                        for path in leaves(&tokens[at + 1..end], &[]) {
                            self.name(path, public, true);
                        }
                    }
                    at = end;
                }
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(next)) = (tokens.get(at + 1), tokens.get(at + 2)) {
                        match next {
                            TokenTree::Group(group) if !test => {
                                self.inline += 1;
                                self.read(&group.stream().into_iter().collect::<Vec<_>>());
                                self.inline -= 1;
                            }
                            next if is_punct(next, ';') && test => {
                                self.source.test_children.insert(name.to_string());
                            }
                            _ => {}
                        }
                        at += 2;
                    }
                }
                TokenTree::Ident(ident) if ["struct", "enum", "trait"].iter().any(|word| ident == word) => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 1).filter(|_| !test) {
                        self.source.types.push(name.to_string());
                    }
                }
                TokenTree::Ident(ident) => {
                    let mut path = vec![ident.to_string()];
                    let mut end = at + 1;
                    while let [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(next), ..] = &tokens[end..]
                        && a.as_char() == ':'
                        && b.as_char() == ':'
                    {
                        path.push(next.to_string());
                        end += 3;
                    }
                    if tokens.get(end).is_some_and(|next| is_punct(next, '!')) {
                        self.source.macros.insert(path.join("::"));
                    }
                    if path.len() > 1 && !test {
                        self.name(path, false, false);
                    }
                    at = end;
                    continue;
                }
                TokenTree::Group(group) if !test || group.delimiter() != Delimiter::Brace => {
                    self.read(&group.stream().into_iter().collect::<Vec<_>>());
                }
                _ => {}
            }
            // An attribute and a visibility belong to the item behind them.
            let ends_item =
                matches!(&tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace);
            if ends_item || tokens.get(at).is_some_and(|token| is_punct(token, ';')) {
                test = false;
                public = false;
            }
            at += 1;
        }
    }

    fn name(&mut self, path: Vec<String>, exported: bool, by_use: bool) {
        let mut base = self.module.clone();
        let rest = match path[0].as_str() {
            "crate" => {
                base.clear();
                &path[1..]
            }
            "self" => &path[1..],
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                base.truncate(base.len().saturating_sub(ups.saturating_sub(self.inline)));
                &path[ups..]
            }
            child if self.names.contains(&[self.module.clone(), vec![child.to_owned()]].concat()) => &path[..],
            _ => {
                self.source.libraries.insert(path.iter().take(3).cloned().collect::<Vec<_>>().join("::"));
                return;
            }
        };
        base.extend(rest.iter().filter(|segment| *segment != "*" && *segment != "self").cloned());
        self.source.named.push(Named { path: base, exported, by_use });
    }
}

/// The paths of a `use`: groups are taken apart, `as` is left out.
fn leaves(tokens: &[TokenTree], before: &[String]) -> Vec<Vec<String>> {
    let mut path = before.to_vec();
    let mut found = Vec::new();
    let mut renamed = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "as" => renamed = true,
            TokenTree::Ident(_) if renamed => {}
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|token| is_punct(token, ',')).filter(|part| !part.is_empty()) {
                    found.extend(leaves(part, &path));
                }
                return found;
            }
            _ => {}
        }
    }
    vec![path]
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
