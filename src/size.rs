//! Parses sizes in bytes as the command line has them.

/// The units, and their bytes.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
];

/// Parses `200MiB`, `1.5GiB`, `2GB` or a number of bytes. Units are not case-sensitive.
///
/// # Errors
/// The text is not a size; a suggestion if the unit is one that most people mean.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    let invalid = || format!("'{text}' is not a size (use e.g. 200MiB, 8GiB or a number of bytes)");
    let scale = match unit {
        "" => 1,
        unit => match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, scale)) => *scale,
            None => {
                let meant = UNITS.iter().find(|(name, _)| name.len() == 3 && name[..1].eq_ignore_ascii_case(unit));
                return Err(match meant {
                    Some((name, _)) if !number.is_empty() => {
                        format!("'{text}' has no complete unit; did you mean {number}{name}?")
                    }
                    _ => invalid(),
                });
            }
        },
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(fraction) || (number.contains('.') && (fraction.is_empty() || unit.is_empty())) {
        return Err(invalid());
    }
    let too_large = || format!("'{text}' is too large");
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(scale)).ok_or_else(too_large)?;
    // Nine digits after the point are more than anybody writes.
    let fraction = &fraction[..fraction.len().min(9)];
    let part = match fraction {
        "" => 0,
        digits => {
            let power = 10_u128.pow(u32::try_from(digits.len()).unwrap_or(0));
            u128::from(digits.parse::<u64>().map_err(|_| invalid())?) * u128::from(scale) / power
        }
    };
    u64::try_from(part).ok().and_then(|part| whole.checked_add(part)).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("1KiB", 1024),
            ("1.5KiB", 1536),
            ("200 MiB", 200 << 20),
            ("8gib", 8 << 30),
            ("2GB", 2_000_000_000),
            ("0.5B", 0),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1e3",
            "1.5",
            "1.MiB",
            ".5MiB",
            "1..5MiB",
            "99999999999999999999",
            "16777216TiB",
            "5 apples",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_size("200M"), Err("'200M' has no complete unit; did you mean 200MiB?".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_size(&text);
        }

        #[test]
        fn what_is_written_is_read(bytes in any::<u64>()) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }
    }
}
