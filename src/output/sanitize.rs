//! Sanitizing text for terminals: removes characters that move the cursor, set the title, or make text look different from
//! what it is. Pipes get the bytes as the format defines.

use std::borrow::Cow;

/// Escapes control characters and invisible formatting byte by byte, in the form that `--escape` reads. With `lines`, newlines and tabs stay, for a value shown alone.
pub fn sanitize(bytes: &[u8], lines: bool) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(|c| is_safe(c, lines))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if is_safe(c, lines) => out.push(c),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                c => {
                    let mut utf8 = [0; 4];
                    out.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| format!("\\x{byte:02x}")));
                }
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal shows this character and does nothing else. With `lines`, newlines and tabs are safe.
pub fn is_safe(c: char, lines: bool) -> bool {
    match c {
        '\n' | '\t' => lines,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width and bidirectional controls, line
        // and paragraph separators, invisible operators, the byte order mark, interlinear marks and tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn osc52_cannot_write_the_clipboard() {
        assert_eq!(sanitize(b"\x1b]52;c;cm0gLXJm\x07", false), "\\x1b]52;c;cm0gLXJm\\x07");
    }

    #[test]
    fn c1_csi_cannot_clear_the_screen() {
        assert_eq!(sanitize("\u{9b}2J".as_bytes(), true), "\\xc2\\x9b2J");
        assert_eq!(sanitize(b"\x9b2J", true), "\\x9b2J");
    }

    #[test]
    fn a_carriage_return_cannot_overwrite_the_line() {
        assert_eq!(sanitize(b"rm -rf /\rls       ", true), "rm -rf /\\rls       ");
    }

    #[test]
    fn bidi_override_cannot_turn_a_name_around() {
        assert_eq!(sanitize("a\u{202e}txt.exe".as_bytes(), false), "a\\xe2\\x80\\xaetxt.exe");
    }

    #[test]
    fn zero_width_and_tag_characters_cannot_hide() {
        assert_eq!(sanitize("a\u{200b}b\u{e0041}".as_bytes(), false), "a\\xe2\\x80\\x8bb\\xf3\\xa0\\x81\\x81");
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert!(matches!(sanitize("grüße 🦀".as_bytes(), false), Cow::Borrowed(_)));
        assert_eq!(sanitize(b"a\n\tb", true), "a\n\tb");
        assert_eq!(sanitize(b"a\n\tb", false), "a\\n\\tb");
    }
}
