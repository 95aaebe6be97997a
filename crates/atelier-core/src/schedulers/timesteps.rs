//! Which training timesteps are sampled.

use super::{DiffusionConfig, SchedulerError, TimestepSpacing, noise_schedule::linspace};

/// `n` whole timesteps, falling, as `DDPMScheduler` and `DDIMScheduler` choose them.
pub(super) fn discrete(config: &DiffusionConfig, n: usize) -> Result<Vec<f64>, SchedulerError> {
    Ok(match config.timestep_spacing {
        TimestepSpacing::Linspace => fractional(config, n)?.into_iter().map(f64::round_ties_even).collect(),
        _ => fractional(config, n)?,
    })
}

/// `n` timesteps, falling, as `EulerDiscreteScheduler` chooses them: those of `linspace` are not rounded.
pub(super) fn fractional(config: &DiffusionConfig, n: usize) -> Result<Vec<f64>, SchedulerError> {
    let train = config.num_train_timesteps;
    check(n, train, train)?;
    Ok(match config.timestep_spacing {
        TimestepSpacing::Linspace => linspace(0.0, (train - 1) as f64, n).into_iter().rev().collect(),
        TimestepSpacing::Leading => leading(config, train / n, 0..n)?,
        TimestepSpacing::Trailing => trailing(train, n),
    })
}

/// `n` whole timesteps, falling, as `DPMSolverMultistepScheduler` chooses them: one more, of which the last
/// is left to the step to the clean sample.
pub(super) fn without_last(config: &DiffusionConfig, n: usize) -> Result<Vec<f64>, SchedulerError> {
    let train = config.num_train_timesteps;
    let most = if config.timestep_spacing == TimestepSpacing::Trailing { train } else { train - 1 };
    check(n, most, train)?;
    Ok(match config.timestep_spacing {
        TimestepSpacing::Linspace => {
            let all = linspace(0.0, (train - 1) as f64, n + 1);
            all.into_iter().skip(1).rev().map(f64::round_ties_even).collect()
        }
        TimestepSpacing::Leading => leading(config, train / (n + 1), 1..n + 1)?,
        TimestepSpacing::Trailing => trailing(train, n),
    })
}

/// Refuses a number of steps `n` outside 1 to `most`.
pub(super) fn check(n: usize, most: usize, train: usize) -> Result<(), SchedulerError> {
    if (1..=most).contains(&n) {
        return Ok(());
    }
    let problem = format!("with `num_train_timesteps` = {train}, choose 1 to {most}");
    Err(SchedulerError::Steps { steps: n, problem })
}

fn leading(
    config: &DiffusionConfig,
    stride: usize,
    multiples: std::ops::Range<usize>,
) -> Result<Vec<f64>, SchedulerError> {
    let (steps, offset, train) = (multiples.len(), config.steps_offset, config.num_train_timesteps);
    let timesteps: Vec<usize> = multiples.rev().map(|multiple| multiple * stride + offset).collect();
    if timesteps.first().is_some_and(|&first| first >= train) {
        let problem = format!(
            "`steps_offset` = {offset} moves the first timestep to {}, beyond the last of {train}; \
             choose fewer steps",
            timesteps[0]
        );
        return Err(SchedulerError::Steps { steps, problem });
    }
    Ok(timesteps.into_iter().map(|timestep| timestep as f64).collect())
}

/// diffusers lets NumPy's `arange` count the steps, which for some `n` gives one more, at the timestep -1.
fn trailing(train: usize, n: usize) -> Vec<f64> {
    let start = train as f64;
    // NumPy adds multiples of the first difference; the same rounding decides ties in the same way.
    let difference = (start - start / n as f64) - start;
    (0..n).map(|index| (start + difference * index as f64).round_ties_even() - 1.0).collect()
}
