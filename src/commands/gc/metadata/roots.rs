//! The file that lists roots outside etcd.

use crate::commands::input::{InputSource, read_all};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Trailer, key_of_record};

/// Reads keys, one per line: as they are, or JSON records with a key as `list -o json` prints them. Empty lines and
/// lines that begin with `#` are ignored.
///
/// # Errors
/// A usage error that names the file and the line.
pub async fn read(ctx: &Context, source: InputSource<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let text = read_all(ctx, source).await?;
    let mut keys = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            None | Some(b'#') => {}
            Some(b'{') if Trailer::parse(line).is_some() => {}
            Some(b'{') => keys.push(key_of_record(line).ok_or_else(|| {
                Failure::usage(format!("--roots {}, line {number}: not a record with a key", source.name()))
            })?),
            Some(_) => keys.push(line.to_vec()),
        }
    }
    Ok(keys)
}
