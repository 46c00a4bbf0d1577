//! Counted nouns in messages.

/// Formats a count with its noun: "1 key", "2 keys", "300,000 keys", "2 entries".
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", grouped(number), if number == 1 { noun.to_owned() } else { plural(noun) })
}

/// Formats a count for people, its digits in groups of three: "300,000". Data (JSON, YAML, text, raw) has no separators.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The regular plural: "keys", "entries", "branches".
fn plural(noun: &str) -> String {
    let consonant_before = |stem: &str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match noun.strip_suffix('y') {
        Some(stem) if consonant_before(stem) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x', 'z']) || noun.ends_with("ch") || noun.ends_with("sh") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (300_000, "300,000"),
            (1_000_000, "1,000,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        for (number, noun, text) in [
            (1, "key", "1 key"),
            (0, "key", "0 keys"),
            (2_000, "key", "2,000 keys"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (2, "branch", "2 branches"),
            (2, "lock key", "2 lock keys"),
            (2, "alias", "2 aliases"),
            (2, "unused ID", "2 unused IDs"),
        ] {
            assert_eq!(counted(number, noun), text);
        }
    }
}
