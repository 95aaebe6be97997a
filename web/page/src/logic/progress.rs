//! How far a painting is, and how long it will take.

/// The weight of the newest step in the mean time of a step.
const NEWEST: f64 = 0.25;

/// Steps done, and the time that a step takes: an exponential moving average, which forgets slow beginnings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepClock {
    /// When the last step ended, in milliseconds.
    last: Option<f64>,
    /// Mean time of a step, in milliseconds.
    mean: Option<f64>,
}

impl StepClock {
    /// A step ended at `now`, in milliseconds of any clock. The first one starts the clock: shaders are compiled in it.
    pub fn step(&mut self, now: f64) {
        if let Some(last) = self.last.replace(now) {
            let time = (now - last).max(0.0);
            self.mean = Some(self.mean.map_or(time, |mean| mean + NEWEST * (time - mean)));
        }
    }

    /// Steps per second; none before the second step.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.mean.filter(|&mean| mean > 0.0).map(|mean| 1000.0 / mean)
    }

    /// Seconds that `steps` more steps will take; none before the second step.
    #[must_use]
    pub fn seconds_for(&self, steps: u32) -> Option<f64> {
        self.mean.map(|mean| mean * f64::from(steps) / 1000.0)
    }
}

/// How far a job of several pictures is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// Pictures that are finished.
    pub finished: u32,
    /// Pictures of the job.
    pub pictures: u32,
    /// Steps done of the picture in work.
    pub step: u32,
    /// Steps of a picture.
    pub steps: u32,
}

impl Steps {
    /// Steps done of all pictures.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.finished * self.steps + self.step
    }

    /// Steps of all pictures.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.pictures * self.steps
    }

    /// Steps that are still to be done.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.total().saturating_sub(self.done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_beginning_is_forgotten() {
        let mut clock = StepClock::default();
        assert_eq!((clock.rate(), clock.seconds_for(3)), (None, None));
        let mut now = 9000.0;
        clock.step(now);
        assert_eq!(clock.rate(), None);
        for _ in 0..50 {
            now += 100.0;
            clock.step(now);
        }
        assert!((clock.rate().unwrap() - 10.0).abs() < 1e-9);
        assert!((clock.seconds_for(20).unwrap() - 2.0).abs() < 1e-9);
        now += 300.0;
        clock.step(now);
        assert!((clock.seconds_for(1).unwrap() - 0.15).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_stands_still_gives_no_infinite_rate() {
        let mut clock = StepClock::default();
        clock.step(5.0);
        clock.step(5.0);
        assert_eq!((clock.rate(), clock.seconds_for(9)), (None, Some(0.0)));
    }

    #[test]
    fn steps_count_over_all_pictures() {
        let steps = Steps { finished: 1, pictures: 4, step: 10, steps: 30 };
        assert_eq!((steps.done(), steps.total(), steps.left()), (40, 120, 80));
    }
}
