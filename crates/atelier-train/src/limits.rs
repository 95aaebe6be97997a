//! Where numbers of options must lie. NaN lies nowhere.

use crate::error::TrainError;
use std::ops::{Bound, RangeBounds};

/// Refuses a `value` of `--flag` that is not within `bounds`.
///
/// # Errors
/// [`TrainError::Option`] with flag, bounds and value.
pub fn check(flag: &str, value: f64, bounds: impl RangeBounds<f64>) -> Result<(), TrainError> {
    match problem(value, bounds) {
        None => Ok(()),
        Some(problem) => Err(TrainError::Option(format!("--{flag} {problem}"))),
    }
}

/// What is wrong with a `value` that is not within `bounds`: "must be at least 1 and at most 8, not 9".
pub fn problem(value: f64, bounds: impl RangeBounds<f64>) -> Option<String> {
    if bounds.contains(&value) && value.is_finite() {
        return None;
    }
    let least = match bounds.start_bound() {
        Bound::Included(least) => Some(format!("at least {}", number(*least))),
        Bound::Excluded(least) => Some(format!("above {}", number(*least))),
        Bound::Unbounded => None,
    };
    let most = match bounds.end_bound() {
        Bound::Included(most) => Some(format!("at most {}", number(*most))),
        Bound::Excluded(most) => Some(format!("below {}", number(*most))),
        Bound::Unbounded => None,
    };
    let range: Vec<String> = least.into_iter().chain(most).collect();
    let range = if range.is_empty() { "a finite number".to_owned() } else { range.join(" and ") };
    Some(format!("must be {range}, not {}", number(value)))
}

/// As people write it: without three hundred digits.
fn number(value: f64) -> String {
    let usual = value == 0.0 || (1e-4..1e10).contains(&value.abs());
    if usual || !value.is_finite() { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_has_flag_bounds_and_value() {
        let message =
            |value, bounds: (Bound<f64>, Bound<f64>)| check("rate", value, bounds).unwrap_err().to_string();
        let (above, below) = (Bound::Excluded(0.0), Bound::Excluded(1.0));
        assert_eq!(message(f64::NAN, (above, below)), "--rate must be above 0 and below 1, not NaN");
        assert_eq!(
            message(1e300, (above, Bound::Included(10.0))),
            "--rate must be above 0 and at most 10, not 1e300"
        );
        assert_eq!(
            message(f64::INFINITY, (Bound::Included(1e-6), Bound::Unbounded)),
            "--rate must be at least 1e-6, not inf"
        );
        assert_eq!(
            message(f64::NAN, (Bound::Unbounded, Bound::Unbounded)),
            "--rate must be a finite number, not NaN"
        );
    }

    proptest! {
        #[test]
        fn what_lies_within_is_taken_and_nothing_else(value in any::<f64>(), least in -1e3..0.0_f64, most in 0.0..1e3_f64) {
            let within = least <= value && value <= most;
            prop_assert_eq!(check("x", value, least..=most).is_ok(), within);
        }
    }
}
