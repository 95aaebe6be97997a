//! Progress bars, which tell the work when the user interrupts it.

use crate::interrupt;
use atelier_train::trainer::TrainEvent;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;

const COUNT: &str = "{msg:22} {wide_bar} {pos}/{len} {elapsed} left {eta} {per_sec}";
const STEPS: &str = "{prefix:12} {wide_bar} {pos}/{len} {elapsed} left {eta} {per_sec} {msg}";

fn bar(template: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("█▉▊▋▌▍▎▏ "))
}

/// A bar for things that are counted, from any thread.
pub struct Counter {
    bar: ProgressBar,
}

/// Begins to count up to `total`.
pub fn counter(what: &'static str, total: u64) -> Counter {
    // From here on, the work is asked to stop.
    let _ = interrupt::going_on();
    tracing::info!(total, "{what}");
    Counter { bar: bar(COUNT, total).with_message(what) }
}

impl Counter {
    /// Shows `done`; breaks after an interrupt.
    pub fn set(&self, done: u64) -> ControlFlow<()> {
        self.bar.set_position(done);
        interrupt::going_on()
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The bars of a training run, one at a time.
pub struct Progress {
    bar: ProgressBar,
    what: String,
}

impl Progress {
    /// No bar yet.
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden(), what: String::new() }
    }

    /// Shows `event`; breaks after an interrupt.
    pub fn show(&mut self, event: TrainEvent) -> ControlFlow<()> {
        let next = interrupt::going_on();
        match event {
            TrainEvent::Preparing { what, done, total } => {
                self.begin(&what, total as u64, COUNT);
                self.bar.set_position(done as u64);
            }
            TrainEvent::Step { stage, step, total, loss, learning_rate } => {
                if self.begin(stage, total, STEPS) {
                    // A resumed run must not count the steps of its predecessor into its rate.
                    self.bar.set_position(step - 1);
                    self.bar.reset_eta();
                    self.bar.set_prefix(stage);
                }
                if loss.is_finite() {
                    self.bar.set_message(format!("loss {loss:.4} lr {learning_rate:.1e}"));
                }
                self.bar.set_position(step);
            }
            TrainEvent::Saved(path) => self.bar.println(format!("saved {}", path.display())),
        }
        next
    }

    /// Whether a new bar was begun.
    fn begin(&mut self, what: &str, total: u64, template: &str) -> bool {
        if self.what == what {
            return false;
        }
        self.bar.finish_and_clear();
        what.clone_into(&mut self.what);
        tracing::info!(total, "{what}");
        self.bar = bar(template, total).with_message(what.to_owned());
        true
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
