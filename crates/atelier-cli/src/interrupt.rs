//! Interrupts: the first one asks the work to stop, the second one ends the program.

use crate::{failure::Exit, output};
use std::{
    ops::ControlFlow,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether the user has interrupted the program.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether work has begun that asks for interrupts, and takes away what it has written when it ends early.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Begins to listen, for the whole program.
pub fn listen() {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            process::exit(Exit::Interrupted as i32);
        }
        if !ASKED.load(Ordering::SeqCst) {
            output::message("stopped: interrupted before there was any result");
            process::exit(Exit::Interrupted as i32);
        }
        output::message("stopping after this step; interrupt again to quit at once");
    });
    if let Err(error) = listening {
        output::warning(format_args!("an interrupt will end the program at once: {error}"));
    }
}

/// Breaks after an interrupt. Work that lasts asks before it writes anything, and after every step.
pub fn going_on() -> ControlFlow<()> {
    ASKED.store(true, Ordering::SeqCst);
    if INTERRUPTED.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
