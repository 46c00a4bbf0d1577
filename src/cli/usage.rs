//! Usage errors as ordinary failures, for scripts that request JSON.

use std::ffi::{OsStr, OsString};

use crate::error::{Exit, Failure};
use crate::output::Format;

/// The output format in arguments that clap has rejected.
pub fn requested_format(args: &[OsString]) -> Option<Format> {
    let mut words = args.iter().map(OsString::as_os_str).take_while(|word| *word != "--").map(OsStr::to_string_lossy);
    let mut format = None;
    while let Some(word) = words.next() {
        let value = match word.as_ref() {
            "-o" | "--output" => words.next(),
            word => word
                .strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o").map(|value| value.strip_prefix('=').unwrap_or(value)))
                .map(|value| value.to_owned().into()),
        };
        format = value.and_then(|value| value.parse().ok()).or(format);
    }
    format
}

/// Converts clap's error: the first paragraph is the error, the others are hints.
pub fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let failure = Failure::new(Exit::Usage, first.strip_prefix("error: ").unwrap_or(&first));
    let hints = paragraphs.filter(|part| !part.is_empty());
    hints.fold(failure, |failure, part| failure.hint(part.strip_prefix("tip: ").unwrap_or(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_however_it_is_written() {
        let requested = |line: &str| requested_format(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["-o json x", "x -ojson", "x -o=json", "--output json", "--output=json", "-o text -o json"] {
            assert_eq!(requested(line), Some(Format::Json), "{line}");
        }
        for line in ["x", "x -- -o json", "-o", "-o xml", "--output-json", "-O json"] {
            assert_eq!(requested(line), None, "{line}");
        }
    }
}
