//! The way to the worker, which has the models.

use super::{alert::Notices, settings};
use atelier_web_messages::{DeviceChoice, DeviceReport, JobId, Reply, Request, from_bytes, to_bytes};
use gloo_events::EventListener;
use js_sys::{Array, Uint8Array};
use leptos::prelude::*;
use std::{collections::HashMap, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, Event, MessageEvent, WorkerOptions, WorkerType};

/// What is known of the device.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceState {
    /// The worker looks for one.
    Opening,
    /// This one computes.
    Open(DeviceReport),
    /// There is no worker.
    Stopped,
}

/// Takes the replies to one job.
type Receiver = Rc<dyn Fn(Reply)>;

/// The worker, which is started when it is needed.
#[derive(Clone, Copy)]
pub struct Worker {
    /// The device that computes.
    pub device: RwSignal<DeviceState>,
    /// How often downloaded models were deleted.
    pub models_cleared: RwSignal<u32>,
    state: StoredValue<State, LocalStorage>,
    notices: Notices,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    receivers: HashMap<JobId, Receiver>,
    jobs: JobId,
}

struct Running {
    worker: web_sys::Worker,
    /// Requests that wait for the worker to be ready; none once it is.
    queue: Option<Vec<Uint8Array>>,
    _listeners: [EventListener; 3],
}

impl Worker {
    pub fn provide(notices: Notices) -> Self {
        let worker = Self {
            device: RwSignal::new(DeviceState::Opening),
            models_cleared: RwSignal::new(0),
            state: StoredValue::new_local(State::default()),
            notices,
        };
        provide_context(worker);
        worker
    }

    /// A number for a job.
    pub fn next_job(self) -> JobId {
        self.state
            .try_update_value(|state| {
                state.jobs = state.jobs.wrapping_add(1);
                state.jobs
            })
            .unwrap_or_default()
    }

    /// Moves the models to another device, or starts the worker with it.
    pub fn open(self, device: DeviceChoice) {
        if self.state.with_value(|state| state.running.is_some()) {
            self.device.set(DeviceState::Opening);
            self.post(&Request::Open { device });
        } else {
            self.start(device);
        }
    }

    /// Sends a request that is no job.
    pub fn send(self, request: &Request) {
        if self.state.with_value(|state| state.running.is_none()) {
            self.start(settings::saved_device());
        }
        self.post(request);
    }

    /// Sends the request of `job`; `receiver` gets the replies, the last of which ends it.
    pub fn run(self, job: JobId, request: &Request, receiver: impl Fn(Reply) + 'static) {
        self.state.update_value(|state| {
            state.receivers.insert(job, Rc::new(receiver));
        });
        self.send(request);
    }

    pub fn cancel(self, job: JobId) {
        self.send(&Request::Cancel { job });
    }

    fn start(self, device: DeviceChoice) {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = match web_sys::Worker::new_with_options("worker.js", &options) {
            Ok(worker) => worker,
            Err(error) => return self.stop(&describe(&error)),
        };
        let listeners = [
            EventListener::new(&worker, "message", move |event| self.receive(event)),
            EventListener::new(&worker, "messageerror", move |_| self.stop("a message could not be read")),
            EventListener::new(&worker, "error", move |event| self.stop(&cause(event))),
        ];
        let running = Running { worker, queue: Some(Vec::new()), _listeners: listeners };
        self.state.update_value(|state| state.running = Some(running));
        self.device.set(DeviceState::Opening);
        self.post(&Request::Open { device });
    }

    fn post(self, request: &Request) {
        let bytes = Uint8Array::from(to_bytes(request).as_slice());
        let posted = self.state.try_update_value(|state| match &mut state.running {
            Some(Running { queue: Some(queue), .. }) => {
                queue.push(bytes);
                Ok(())
            }
            Some(Running { worker, queue: None, .. }) => transfer(worker, &bytes),
            None => Ok(()),
        });
        if let Some(Err(error)) = posted {
            self.stop(&describe(&error));
        }
    }

    fn receive(self, event: &Event) {
        let data = event.unchecked_ref::<MessageEvent>().data();
        let reply = data.dyn_into::<Uint8Array>().ok().and_then(|bytes| from_bytes(&bytes.to_vec()).ok());
        match reply {
            None => self.stop("it does not speak this page's language: reload the page"),
            Some(Reply::Ready) => self.release_queue(),
            Some(Reply::Device(report)) => self.device.set(DeviceState::Open(report)),
            Some(Reply::ModelsCleared) => self.models_cleared.update(|count| *count += 1),
            Some(Reply::NotStored { reason }) => self.notices.alert(reason),
            Some(reply) => self.deliver(reply),
        }
    }

    fn release_queue(self) {
        let sent = self.state.try_update_value(|state| -> Result<(), JsValue> {
            if let Some(running) = &mut state.running {
                for bytes in running.queue.take().unwrap_or_default() {
                    transfer(&running.worker, &bytes)?;
                }
            }
            Ok(())
        });
        if let Some(Err(error)) = sent {
            self.stop(&describe(&error));
        }
    }

    fn deliver(self, reply: Reply) {
        let Some((job, is_last)) = job_of(&reply) else { return };
        let receiver = self.state.try_update_value(|state| {
            if is_last { state.receivers.remove(&job) } else { state.receivers.get(&job).cloned() }
        });
        // The receiver is called outside, as it may well send the next request.
        if let Some(receiver) = receiver.flatten() {
            receiver(reply);
        }
    }

    /// Ends the worker and all of its jobs.
    fn stop(self, cause: &str) {
        let message = format!("The painter stopped ({cause}); the next action starts it again.");
        let receivers = self.state.try_update_value(|state| {
            if let Some(running) = state.running.take() {
                running.worker.terminate();
                // An event handler that runs may not be dropped.
                set_timeout(move || drop(running), std::time::Duration::ZERO);
            }
            std::mem::take(&mut state.receivers)
        });
        self.device.set(DeviceState::Stopped);
        self.notices.alert(message.clone());
        for (job, receiver) in receivers.unwrap_or_default() {
            receiver(Reply::Failed { job, message: message.clone() });
        }
    }
}

/// The job of a reply, and whether it is the last one.
fn job_of(reply: &Reply) -> Option<(JobId, bool)> {
    match reply {
        Reply::Ready | Reply::Device(_) | Reply::NotStored { .. } | Reply::ModelsCleared => None,
        Reply::Download { job, .. }
        | Reply::Step { job, .. }
        | Reply::Painted { job, .. }
        | Reply::Taught { job, .. }
        | Reply::Leaf { job, .. } => Some((*job, false)),
        Reply::Opened { job, .. }
        | Reply::StudioExample { job, .. }
        | Reply::Finished { job, .. }
        | Reply::Cancelled { job }
        | Reply::Failed { job, .. }
        | Reply::Benchmark { job, .. } => Some((*job, true)),
    }
}

fn transfer(worker: &web_sys::Worker, bytes: &Uint8Array) -> Result<(), JsValue> {
    worker.post_message_with_transfer(bytes, &Array::of1(&bytes.buffer()))
}

fn cause(event: &Event) -> String {
    let message = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message).unwrap_or_default();
    if message.is_empty() { "its program could not be loaded".to_owned() } else { message }
}

/// An exception in words.
pub fn describe(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}
