//! The one command that says whether everything works.

use crate::{
    command::{command, run},
    lint, setup, site,
};
use anyhow::{Result, bail};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// Installs what is missing, then checks, builds and tests everything. What fails keeps nothing else from running, but what
/// needs it; the last lines say how everything went.
///
/// # Errors
/// If anything failed.
pub fn all() -> Result<()> {
    setup::all()?;
    let mut summary = Summary::default();
    for (name, check) in lint::checks() {
        summary.step(&name, check);
    }
    let has_page = summary.step("the page", site::build);
    summary.step("tests", || run(&mut command("cargo", TESTS)));
    // One browser at a time: each of them would take every core. `--workspace` here too: the same features.
    let options = ["--test", "browser", "--", "--ignored", "--skip", "screenshots", "--test-threads=1"];
    let mut browser = command("cargo", TESTS.iter().chain(&options));
    if has_page {
        summary.step("tests in a browser", || run(&mut browser));
    } else {
        summary.skip("tests in a browser", "there is no page to test");
    }
    println!("\n{}", summary.text());
    summary.result()
}

/// The tests of every crate, to the end.
const TESTS: [&str; 4] = ["test", "--workspace", "--release", "--no-fail-fast"];

/// How the steps went.
#[derive(Debug, Default)]
struct Summary {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Passed(Duration),
    Failed(String),
    Skipped(&'static str),
}

impl Summary {
    /// Makes a step and says whether it passed.
    fn step(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        let started = Instant::now();
        let outcome = match step() {
            Ok(()) => Outcome::Passed(started.elapsed()),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        let passed = matches!(outcome, Outcome::Passed(_));
        self.steps.push(Step { name: name.to_owned(), outcome });
        passed
    }

    /// Notes a step that cannot be made.
    fn skip(&mut self, name: &str, reason: &'static str) {
        self.steps.push(Step { name: name.to_owned(), outcome: Outcome::Skipped(reason) });
    }

    /// A line for every step.
    fn text(&self) -> String {
        self.steps.iter().fold("Summary\n".to_owned(), |mut text, Step { name, outcome }| {
            let written = match outcome {
                Outcome::Passed(time) => writeln!(text, "  passed   {name} ({} s)", time.as_secs()),
                Outcome::Failed(error) => writeln!(text, "  FAILED   {name}: {error}"),
                Outcome::Skipped(reason) => writeln!(text, "  skipped  {name}: {reason}"),
            };
            written.expect("a string takes all text");
            text
        })
    }

    /// Whether nothing failed.
    fn result(&self) -> Result<()> {
        let failed = self.steps.iter().filter(|step| !matches!(step.outcome, Outcome::Passed(_)));
        let names: Vec<&str> = failed.map(|step| step.name.as_str()).collect();
        if names.is_empty() { Ok(()) } else { bail!("not everything passed: {}", names.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_reported_at_the_end_and_stops_nothing() {
        let mut summary = Summary::default();
        assert!(summary.step("first", || Ok(())));
        assert!(summary.result().is_ok());
        assert!(!summary.step("second", || bail!("it broke")));
        assert!(summary.step("third", || Ok(())));
        summary.skip("fourth", "second failed");
        let expected = "Summary\n  passed   first (0 s)\n  FAILED   second: it broke\n  passed   third (0 s)\n  \
                        skipped  fourth: second failed\n";
        assert_eq!(summary.text(), expected);
        assert_eq!(summary.result().unwrap_err().to_string(), "not everything passed: second, fourth");
    }
}
