//! A row of bars, one character each.

/// The bars from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws the values in order, the largest as the highest bar. The lowest bar is 0, and only 0.
pub fn sparkline(values: &[u64]) -> String {
    let max = values.iter().copied().max().unwrap_or(0);
    let bar = |value: &u64| {
        let highest = BARS.len() as u128 - 1;
        let height = (u128::from(*value) * highest).div_ceil(u128::from(max.max(1)));
        BARS.get(height as usize).copied().unwrap_or('█')
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_grow_with_the_values() {
        assert_eq!(sparkline(&[0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[0, 1, 1000]), "▁▂█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[u64::MAX, 1]), "█▂");
    }

    proptest! {
        #[test]
        fn the_order_of_the_bars_is_that_of_the_values(values in proptest::collection::vec(any::<u64>(), 1..40)) {
            let bars: Vec<char> = sparkline(&values).chars().collect();
            prop_assert_eq!(bars.len(), values.len());
            for (a, one) in values.iter().enumerate() {
                prop_assert_eq!(bars[a] == '▁', *one == 0);
                for (b, other) in values.iter().enumerate() {
                    prop_assert!(one > other || bars[a] <= bars[b]);
                }
            }
        }
    }
}
