//! Numbers that rules compare, and their limits. Pure.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// A number. Integers are compared exactly, however large they are.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// An integer of up to 64 bits, signed or not.
    Int(i128),
    /// Any other number; never NaN.
    Float(f64),
}

impl Figure {
    /// The number in a JSON value: a number, or a text that is a decimal number, as which protobuf writes integers of 64 bits.
    pub fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::of_number(number),
            Value::String(text) => Self::parse(text),
            _ => None,
        }
    }

    fn of_number(number: &Number) -> Option<Self> {
        let int = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        int.map(Self::Int).or_else(|| number.as_f64().filter(|float| !float.is_nan()).map(Self::Float))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_decimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        if !is_decimal || text.len() > 64 {
            return None;
        }
        let int = text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from));
        int.map(Self::Int).ok().or_else(|| text.parse().ok().filter(|float: &f64| float.is_finite()).map(Self::Float))
    }

    /// The nearest floating-point number.
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one.cmp(&other),
            (Self::Float(one), Self::Float(other)) => one.total_cmp(&other),
            (Self::Int(int), Self::Float(float)) => int_and_float(int, float),
            (Self::Float(float), Self::Int(int)) => int_and_float(int, float).reverse(),
        }
    }
}

/// Compares exactly: an integer of 64 bits can lie between two neighbouring floating-point numbers.
fn int_and_float(int: i128, float: f64) -> Ordering {
    if float.abs() >= 1e30 {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    let floor = float.floor();
    #[expect(clippy::cast_possible_truncation, reason = "below 10^30, and whole")]
    let whole = floor as i128;
    match int.cmp(&whole) {
        Ordering::Equal if float > floor => Ordering::Less,
        order => order,
    }
}

impl PartialEq for Figure {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Ordering::Equal
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => write!(f, "{float}"),
        }
    }
}

/// The limits of a number; all that are given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FigureLimits {
    /// The number itself.
    pub equals: Option<Figure>,
    /// The smallest number that is allowed.
    pub at_least: Option<Figure>,
    /// The largest number that is allowed.
    pub at_most: Option<Figure>,
    /// All numbers above this one are allowed.
    pub above: Option<Figure>,
    /// All numbers below this one are allowed.
    pub below: Option<Figure>,
}

impl FigureLimits {
    /// At most this number.
    pub fn at_most(count: u64) -> Self {
        Self { at_most: Some(Figure::Int(count.into())), ..Self::default() }
    }

    /// Exactly this number.
    pub fn equals(count: u64) -> Self {
        Self { equals: Some(Figure::Int(count.into())), ..Self::default() }
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn all(&self) -> [(&'static str, Option<Figure>); 5] {
        [
            ("", self.equals),
            ("at least ", self.at_least),
            ("at most ", self.at_most),
            ("above ", self.above),
            ("below ", self.below),
        ]
    }

    /// Whether the number is within all limits.
    pub fn holds(&self, figure: Figure) -> bool {
        let is = |limit: Option<Figure>, wanted: fn(Ordering) -> bool| {
            limit.is_none_or(|limit| wanted(figure.compare(limit)))
        };
        is(self.equals, Ordering::is_eq)
            && is(self.at_least, Ordering::is_ge)
            && is(self.at_most, Ordering::is_le)
            && is(self.above, Ordering::is_gt)
            && is(self.below, Ordering::is_lt)
    }

    /// The limits cannot hold together.
    pub fn is_impossible(&self) -> bool {
        let lowest = [self.equals, self.at_least, self.above];
        let highest = [self.equals, self.at_most, self.below];
        let crossed =
            lowest.iter().flatten().any(|low| highest.iter().flatten().any(|high| low.compare(*high).is_gt()));
        crossed || self.equals.is_some_and(|equals| !self.holds(equals))
    }

    /// The limit to show beside the number in a graph: the first one.
    pub fn first(&self) -> Option<f64> {
        self.all().iter().find_map(|(_, limit)| *limit).map(Figure::as_f64)
    }
}

/// `at least 2, at most 5`.
impl fmt::Display for FigureLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.all();
        let given = limits.iter().filter_map(|(words, limit)| limit.map(|limit| format!("{words}{limit}")));
        f.write_str(&given.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn figure() -> impl Strategy<Value = Figure> {
        prop_oneof![
            any::<i64>().prop_map(|int| Figure::Int(int.into())),
            any::<u64>().prop_map(|int| Figure::Int(int.into())),
            (-20i64..20).prop_map(|int| Figure::Int(int.into())),
            (-40i32..40).prop_map(|half| Figure::Float(f64::from(half) / 2.0)),
            (1u64 << 52..u64::MAX).prop_map(|int| Figure::Float(Figure::Int(int.into()).as_f64())),
        ]
    }

    proptest! {
        /// The order of numbers is total and agrees with that of rational numbers.
        #[test]
        fn numbers_are_ordered(a in figure(), b in figure(), c in figure()) {
            prop_assert_eq!(a.compare(b), b.compare(a).reverse());
            if a.compare(b).is_le() && b.compare(c).is_le() {
                prop_assert!(a.compare(c).is_le(), "{} {} {}", a, b, c);
            }
            let limits = FigureLimits { at_least: Some(b), at_most: Some(c), ..FigureLimits::default() };
            prop_assert_eq!(limits.holds(a), a.compare(b).is_ge() && a.compare(c).is_le());
            prop_assert_eq!(limits.is_impossible(), b.compare(c).is_gt());
            let open = FigureLimits { above: Some(b), below: Some(c), ..FigureLimits::default() };
            prop_assert_eq!(open.holds(a), b.compare(a).is_lt() && a.compare(c).is_lt());
        }

        #[test]
        fn integers_of_json_are_exact(int: i64, unsigned: u64) {
            prop_assert_eq!(Figure::of_json(&json!(int)), Some(Figure::Int(int.into())));
            prop_assert_eq!(Figure::of_json(&json!(unsigned.to_string())), Some(Figure::Int(unsigned.into())));
        }
    }

    #[test]
    fn neighbours_are_told_apart() {
        let large = |text: &str| Figure::of_json(&json!(text));
        assert!(large("18446744073709551615") != large("18446744073709551614"));
        assert_eq!(large("2.0"), Some(Figure::Int(2)));
        for text in ["", "x", "0x10", "inf", "nan", "1_000", " 1", "1e999"] {
            assert_eq!(large(text).map(Figure::as_f64), None, "{text}");
        }
        let limits = FigureLimits { at_least: large("1"), below: large("2.5"), ..FigureLimits::default() };
        assert_eq!(limits.to_string(), "at least 1, below 2.5");
        assert_eq!(FigureLimits::equals(3).to_string(), "3");
    }
}
