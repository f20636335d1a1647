//! Whether a lottery was fair: Pearson's chi-square test against equal chances. Not here: who plays.

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// Sum of squared deviations, each over its expectation.
    pub statistic: f64,
    /// Number of players less one.
    pub freedom: u32,
    /// How likely a fair lottery deviates this much or more.
    pub p_value: f64,
}

/// Tests wins for equal chances; `None` with fewer than two players or no wins.
pub fn test(wins: &[u64]) -> Option<Test> {
    let total: u64 = wins.iter().sum();
    if wins.len() < 2 || total == 0 {
        return None;
    }
    let expected = total as f64 / wins.len() as f64;
    let statistic = wins.iter().map(|won| (*won as f64 - expected).powi(2) / expected).sum();
    let freedom = wins.len() as u32 - 1;
    Some(Test { statistic, freedom, p_value: survival(statistic, freedom) })
}

/// The chance of more than `x` with `freedom` degrees: for even degrees a finite sum, for odd ones the sum
/// that begins with the normal distribution's tail.
fn survival(x: f64, freedom: u32) -> f64 {
    let half = x / 2.0;
    let (mut term, mut sum, mut step) = match freedom.is_multiple_of(2) {
        true => ((-half).exp(), 0.0, 0.0),
        false => {
            ((-half).exp() * (half / std::f64::consts::PI).sqrt() * 2.0, erfc(half.sqrt()), 0.5)
        }
    };
    let mut left = freedom / 2;
    while left > 0 {
        sum += term;
        step += 1.0;
        term *= half / step;
        left -= 1;
    }
    sum.clamp(0.0, 1.0)
}

/// The complementary error function, by its series or its continued fraction.
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = 0.0;
    for n in (1..60).rev() {
        fraction = f64::from(n) / 2.0 / (x + fraction);
    }
    (-x * x).exp() / std::f64::consts::PI.sqrt() / (x + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values from tables: at 5 % and at 1 %.
    #[test]
    fn critical_values() {
        let cases = [
            (1, 3.841, 6.635),
            (2, 5.991, 9.210),
            (3, 7.815, 11.345),
            (6, 12.592, 16.812),
            (9, 16.919, 21.666),
        ];
        for (freedom, five, one) in cases {
            assert!((survival(five, freedom) - 0.05).abs() < 1e-4, "{freedom}");
            assert!((survival(one, freedom) - 0.01).abs() < 1e-4, "{freedom}");
        }
    }

    #[test]
    fn fair_and_unfair() {
        assert!(test(&[100, 105, 95, 100]).unwrap().p_value > 0.9);
        assert!(test(&[200, 100, 100, 100]).unwrap().p_value < 0.001);
        assert_eq!(test(&[5]), None);
    }
}
