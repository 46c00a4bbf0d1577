//! The text of the manual pages that goes beyond the options: kvadm(1), kvadm-auth(5), kvadm-check(5),
//! kvadm-config(5), kvadm-json(7), kvadm-schema(7).
//!
//! A section is a heading and a text made of blocks, which are separated by blank lines. A block whose first line begins
//! with four spaces is printed as it stands; with two spaces it is a list of terms (`  term  what it means`, continued on
//! lines that are indented further); with `- ` it is a list of points. Every other block is a paragraph, which is filled.
//! The section named EXAMPLE is printed as it stands. A text that begins with a list begins with a line break. In the files, `=== ` begins a heading,
//! and `== ` a sub-heading, whose lists are set closely.

mod synopsis;

use crate::output::contract;

pub use crate::cli::manual::synopsis::forms;

/// The sections of kvadm(1) other than OPTIONS.
pub const KVADM: &str = include_str!("kvadm.1.txt");
/// kvadm-config(5).
pub const CONFIG: &str = include_str!("kvadm-config.5.txt");
/// kvadm-auth(5).
pub const AUTH: &str = include_str!("kvadm-auth.5.txt");
/// kvadm-check(5).
pub const CHECK: &str = include_str!("kvadm-check.5.txt");
/// kvadm-json(7) up to the lists of fields.
const JSON: &str = include_str!("kvadm-json.7.txt");
/// kvadm-schema(7).
pub const SCHEMA: &str = include_str!("kvadm-schema.7.txt");

/// kvadm-json(7). The lists of fields are those of the contract.
pub fn json() -> String {
    format!("{JSON}\n{}", contract::manual())
}

/// The sections of a page, each a heading and its text.
pub fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = page.split("=== ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(heading, text)| (heading, text.trim_end()))
}
