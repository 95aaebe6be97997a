//! Messages from and to the page.

use super::{
    job::{Job, cancel},
    session::Session,
};
use atelier_web_messages::{Reply, Request, from_bytes, to_bytes};
use js_sys::Uint8Array;
use std::{cell::RefCell, collections::VecDeque, rc::Rc};
use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

/// The worker's global scope.
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Sends `reply` to the page.
pub fn reply(reply: &Reply) {
    let bytes = Uint8Array::from(to_bytes(reply).as_slice());
    let buffer = js_sys::Array::of1(&bytes.buffer());
    // It fails for what cannot be cloned, and bytes can.
    let _ = scope().post_message_with_transfer(&bytes, &buffer);
}

/// Answers requests one after the other, and says that it does.
pub fn serve(session: Session) {
    let waiting: Rc<RefCell<VecDeque<Request>>> = Rc::default();
    let session = Rc::new(RefCell::new(Some(session)));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let bytes = Uint8Array::new(&event.data()).to_vec();
        match from_bytes::<Request>(&bytes) {
            Ok(Request::Cancel { job }) => {
                let is_waiting = |request: &Request| Job::of(request) == Some(job);
                let mut waiting = waiting.borrow_mut();
                if waiting.iter().any(is_waiting) {
                    waiting.retain(|request| !is_waiting(request));
                    reply(&Reply::Cancelled { job });
                } else {
                    cancel(job);
                }
            }
            Ok(request) => {
                waiting.borrow_mut().push_back(request);
                // Whoever holds the session takes what waits.
                if let Some(session_taken) = session.borrow_mut().take() {
                    spawn_local(answer_all(session_taken, Rc::clone(&session), Rc::clone(&waiting)));
                }
            }
            Err(error) => {
                web_sys::console::warn_1(&format!("a message is not for this worker: {error}").into());
            }
        }
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    reply(&Reply::Ready);
}

async fn answer_all(
    mut session: Session,
    home: Rc<RefCell<Option<Session>>>,
    waiting: Rc<RefCell<VecDeque<Request>>>,
) {
    loop {
        let Some(request) = waiting.borrow_mut().pop_front() else { break };
        session.answer(request).await;
    }
    *home.borrow_mut() = Some(session);
}
