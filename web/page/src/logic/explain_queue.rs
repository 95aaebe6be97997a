//! Which explanation the worker works on.
//!
//! The worker takes jobs in their order, and an explanation takes a while. So the page hands over one task at a time: a leaf
//! that was asked for goes before all others and interrupts a long task, of which the rest is done later; so does a painting.

use atelier_web_messages::JobId;
use std::collections::VecDeque;

/// Leaves to read in one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The explanation that the readings belong to.
    pub explanation: u32,
    /// Ids of leaves; empty for all that the model was taught.
    pub leaves: Vec<String>,
    /// Whether the reader asked for just these.
    pub asked: bool,
}

/// Why a running task is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The rest comes later.
    Interrupted,
    /// Nobody wants it any more.
    Dropped,
}

#[derive(Debug)]
struct Running {
    job: JobId,
    task: Task,
    stop: Option<Stop>,
}

/// Tasks, of which one at most is with the worker.
#[derive(Debug, Default)]
pub struct ExplainQueue {
    running: Option<Running>,
    waiting: VecDeque<Task>,
    paused: bool,
}

impl ExplainQueue {
    /// Adds a task. Returns a job to cancel, if the task may not wait for it.
    #[must_use]
    pub fn push(&mut self, task: Task) -> Option<JobId> {
        if !task.asked {
            self.waiting.push_back(task);
            return None;
        }
        let place = self.waiting.iter().take_while(|waiting| waiting.asked).count();
        self.waiting.insert(place, task);
        self.interrupt(|running| !running.asked)
    }

    /// The task to hand to the worker as `job` now, if there is one.
    #[must_use]
    pub fn next(&mut self, job: JobId) -> Option<Task> {
        if self.paused || self.running.is_some() {
            return None;
        }
        let task = self.waiting.pop_front()?;
        self.running = Some(Running { job, task: task.clone(), stop: None });
        Some(task)
    }

    /// The worker is done with `job`. Returns its task if it was interrupted: the rest of it is to be added again.
    #[must_use]
    pub fn ended(&mut self, job: JobId) -> Option<Task> {
        let ended = self.running.take_if(|running| running.job == job)?;
        (ended.stop == Some(Stop::Interrupted)).then_some(ended.task)
    }

    /// Whether a task of an explanation waits or runs.
    #[must_use]
    pub fn has(&self, explanation: u32) -> bool {
        let running = self.running.as_ref().map(|running| &running.task);
        running.into_iter().chain(&self.waiting).any(|task| task.explanation == explanation)
    }

    /// Forgets the tasks of an explanation. Returns the job to cancel, if the worker has one of them.
    #[must_use]
    pub fn drop_explanation(&mut self, explanation: u32) -> Option<JobId> {
        self.waiting.retain(|task| task.explanation != explanation);
        let running = self.running.as_mut().filter(|running| running.task.explanation == explanation)?;
        let was_stopped = running.stop.replace(Stop::Dropped).is_some();
        (!was_stopped).then_some(running.job)
    }

    /// Hands out nothing until [`ExplainQueue::resume`]. Returns the job to cancel, if the worker has one.
    #[must_use]
    pub fn pause(&mut self) -> Option<JobId> {
        self.paused = true;
        self.interrupt(|_| true)
    }

    /// Ends [`ExplainQueue::pause`].
    pub const fn resume(&mut self) {
        self.paused = false;
    }

    fn interrupt(&mut self, which: impl Fn(&Task) -> bool) -> Option<JobId> {
        let running =
            self.running.as_mut().filter(|running| running.stop.is_none() && which(&running.task))?;
        running.stop = Some(Stop::Interrupted);
        Some(running.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(explanation: u32, asked: bool) -> Task {
        Task { explanation, leaves: Vec::new(), asked }
    }

    #[test]
    fn one_task_at_a_time() {
        let mut queue = ExplainQueue::default();
        assert_eq!(queue.push(task(1, false)), None);
        assert_eq!(queue.push(task(2, false)), None);
        assert_eq!(queue.next(10), Some(task(1, false)));
        assert_eq!(queue.next(11), None);
        assert_eq!(queue.ended(10), None);
        assert_eq!(queue.next(12), Some(task(2, false)));
    }

    #[test]
    fn what_is_asked_for_interrupts_the_rest_once() {
        let mut queue = ExplainQueue::default();
        assert_eq!(queue.push(task(1, false)), None);
        assert!(queue.next(10).is_some());
        assert_eq!(queue.push(task(1, true)), Some(10));
        assert_eq!(queue.push(task(2, true)), None);
        assert_eq!(queue.ended(10), Some(task(1, false)));
        assert_eq!(queue.push(task(1, false)), None);
        let order: Vec<_> = (11..14)
            .map(|job| {
                let task = queue.next(job);
                assert_eq!(queue.ended(job), None);
                task.map(|task| (task.explanation, task.asked))
            })
            .collect();
        assert_eq!(order, [Some((1, true)), Some((2, true)), Some((1, false))]);
    }

    #[test]
    fn nothing_is_handed_out_in_a_pause() {
        let mut queue = ExplainQueue::default();
        assert_eq!(queue.push(task(1, false)), None);
        assert!(queue.next(10).is_some());
        assert_eq!(queue.pause(), Some(10));
        let rest = queue.ended(10).expect("the rest");
        assert_eq!(queue.push(rest), None);
        assert_eq!(queue.next(11), None);
        queue.resume();
        assert!(queue.next(12).is_some());
    }

    #[test]
    fn a_dropped_explanation_does_not_come_back() {
        let mut queue = ExplainQueue::default();
        assert_eq!(queue.push(task(1, false)), None);
        assert_eq!(queue.push(task(2, false)), None);
        assert!(queue.next(10).is_some());
        assert!(queue.has(1) && queue.has(2));
        assert_eq!(queue.drop_explanation(1), Some(10));
        assert_eq!(queue.drop_explanation(2), None);
        assert_eq!(queue.ended(10), None);
        assert!(!queue.has(1) && !queue.has(2));
        assert_eq!(queue.next(11), None);
    }
}
