//! Progress bars, and the interrupt that ends a run cleanly.

use atelier_train::trainer::TrainEvent;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// One bar at a time, for what is being done now.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Begins to listen for interrupts.
    pub fn new() -> Result<Self, ctrlc::Error> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || {
            // The second interrupt does not wait for the step.
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })?;
        Ok(Self { bar: ProgressBar::hidden(), what: String::new(), interrupted })
    }

    /// Shows `event`; breaks after an interrupt.
    pub fn show(&mut self, event: TrainEvent) -> ControlFlow<()> {
        match event {
            TrainEvent::Preparing { what, done, total } => {
                self.begin(&what, total as u64, "{msg:22} {wide_bar} {pos}/{len} {elapsed} left {eta}");
                self.bar.set_position(done as u64);
            }
            TrainEvent::Step { stage, step, total, loss, learning_rate } => {
                let template =
                    "{prefix:12} {wide_bar} {pos}/{len} {elapsed} left {eta} {per_sec} {msg}";
                self.begin(stage, total, template);
                if self.bar.position() == 0 && step > 1 {
                    self.bar.reset_eta();
                    self.bar.set_position(step - 1);
                    self.bar.reset_eta();
                }
                self.bar.set_prefix(stage);
                if loss.is_finite() {
                    self.bar.set_message(format!("loss {loss:.4} lr {learning_rate:.1e}"));
                }
                self.bar.set_position(step);
            }
            TrainEvent::Saved(path) => self.bar.println(format!("saved {}", path.display())),
        }
        if self.interrupted.load(Ordering::SeqCst) {
            self.bar.println("stopping after this step; interrupt again to quit at once");
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn begin(&mut self, what: &str, total: u64, template: &str) {
        if self.what == what {
            return;
        }
        self.bar.finish_and_clear();
        what.clone_into(&mut self.what);
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(total).with_style(style.progress_chars("█▉▊▋▌▍▎▏ ")).with_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
