//! A job, and how it is cancelled.

use super::failure::Failure;
use atelier_web_messages::{JobId, Request};
use gloo_timers::future::TimeoutFuture;
use std::cell::Cell;

thread_local! {
    /// The job that the page wants no more.
    static CANCELLED: Cell<Option<JobId>> = const { Cell::new(None) };
}

/// Lets `job` end at its next [`Job::pause`].
pub fn cancel(job: JobId) {
    CANCELLED.set(Some(job));
}

/// The job that is being done.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// When it began, in milliseconds.
    started: f64,
}

impl Job {
    /// Begins a job.
    pub fn start(id: JobId) -> Self {
        Self { id, started: now() }
    }

    /// The number of the job that `request` asks for.
    pub fn of(request: &Request) -> Option<JobId> {
        match request {
            Request::Paint { job, .. }
            | Request::Explain { job, .. }
            | Request::OpenPicture { job, .. }
            | Request::StudioExample { job, .. }
            | Request::Benchmark { job } => Some(*job),
            Request::Open { .. } | Request::Cancel { .. } | Request::ClearModels => None,
        }
    }

    /// Milliseconds since the job began.
    pub fn milliseconds(&self) -> f64 {
        now() - self.started
    }

    /// Lets the worker receive messages: between two of these nothing is heard, on the processor.
    ///
    /// # Errors
    /// [`Failure::Cancelled`] if the page asked for it.
    pub async fn pause(&self) -> Result<(), Failure> {
        TimeoutFuture::new(0).await;
        if CANCELLED.get() == Some(self.id) { Err(Failure::Cancelled) } else { Ok(()) }
    }
}

/// Milliseconds on a clock that never goes back.
pub fn now() -> f64 {
    super::link::scope().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}
