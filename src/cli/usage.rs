//! Wrong usage as a failure like any other, for scripts that asked for JSON.

use std::ffi::{OsStr, OsString};

use crate::error::{Exit, Failure};
use crate::output::Format;

/// The format that these arguments ask for, read where the parser gives up.
pub fn format_asked_for(args: &[OsString]) -> Option<Format> {
    let mut words = args.iter().map(OsString::as_os_str).take_while(|word| *word != "--").map(OsStr::to_string_lossy);
    let mut asked = None;
    while let Some(word) = words.next() {
        let value = match word.as_ref() {
            "-o" | "--output" => words.next(),
            word => word
                .strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o").map(|value| value.strip_prefix('=').unwrap_or(value)))
                .map(|value| value.to_owned().into()),
        };
        asked = value.and_then(|value| value.parse().ok()).or(asked);
    }
    asked
}

/// The parser's error: its first paragraph is what is wrong, the others say what to do.
pub fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let wrong = Failure::new(Exit::Usage, first.strip_prefix("error: ").unwrap_or(&first));
    paragraphs.filter(|part| !part.is_empty()).fold(wrong, |wrong, part| match part.strip_prefix("tip: ") {
        Some(tip) => wrong.hint(tip),
        None => wrong.hint(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_however_it_is_written() {
        let asked = |line: &str| format_asked_for(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["-o json x", "x -ojson", "x -o=json", "--output json", "--output=json", "-o text -o json"] {
            assert_eq!(asked(line), Some(Format::Json), "{line}");
        }
        for line in ["x", "x -- -o json", "-o", "-o xml", "--output-json", "-O json"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
