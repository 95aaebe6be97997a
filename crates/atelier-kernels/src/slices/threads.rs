//! Work that may be shared among threads.

#[cfg(feature = "threads")]
mod shared {
    use super::awake::with_all_threads_awake;
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    use std::cell::Cell;
    use std::panic::resume_unwind;
    use std::thread;

    thread_local! {
        /// Whether all other threads have work of their own.
        static ALONE: Cell<bool> = const { Cell::new(false) };
    }

    /// Calls `work` once for every task, in any order, on all threads that have nothing else to do.
    pub fn for_each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
        if tasks.len() < 2 || count() == 1 {
            tasks.into_iter().for_each(work);
        } else {
            tasks.into_par_iter().for_each(work);
        }
    }

    /// How many threads there are to share work among.
    pub fn count() -> usize {
        if ALONE.get() { 1 } else { rayon::current_num_threads() }
    }

    /// `work` of every item, in order, in a thread each; one item has all threads. Where they are as many as there are processors, each keeps to its
    /// own: to hand over the small parts of a small operation takes as long as to do them.
    pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
        if items.len() < 2 {
            let inside = || items.into_iter().map(work).collect();
            return if count() == 1 { inside() } else { with_all_threads_awake(inside) };
        }
        let alone = items.len() >= count();
        let work = |item| {
            let before = ALONE.replace(alone || ALONE.get());
            let result = work(item);
            ALONE.set(before);
            result
        };
        let mut items = items.into_iter();
        let first = items.next();
        thread::scope(|scope| {
            let others: Vec<_> = items.map(|item| scope.spawn(|| work(item))).collect();
            let first = first.map(&work);
            let join = |thread: thread::ScopedJoinHandle<'_, R>| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            first.into_iter().chain(others.into_iter().map(join)).collect()
        })
    }
}

#[cfg(feature = "threads")]
mod awake {
    use rayon::Yield;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Threads that are kept awake, at most.
    const AWAKE: usize = 8;
    /// How often a thread looks in vain before it sleeps all the same: some tenths of a millisecond, longer than what is not
    /// shared out of a small model. On a machine that is busy with other things, a thread that waits awake takes the time of
    /// those that work.
    const PATIENCE: usize = 1000;
    /// Looks are so far apart, in turns of an empty loop.
    const TURNS: usize = 16;

    /// `work` on a thread of the pool, while the others look out for parts of it: to wake a thread takes longer than most
    /// operations of a small model, of which there are hundreds.
    pub fn with_all_threads_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        let done = AtomicBool::new(false);
        rayon::scope(|scope| {
            let own = rayon::current_thread_index();
            let done = &done;
            scope.spawn_broadcast(move |_, context| {
                if Some(context.index()) != own && context.index() < AWAKE {
                    look_out(done);
                }
            });
            let _end = SetInTheEnd(done);
            work()
        })
    }

    fn look_out(done: &AtomicBool) {
        let mut vain = 0;
        while vain < PATIENCE && !done.load(Ordering::Acquire) {
            if rayon::yield_now() == Some(Yield::Executed) {
                vain = 0;
            } else {
                vain += 1;
                (0..TURNS).for_each(|_| std::hint::spin_loop());
            }
        }
    }

    /// Also if there is a panic.
    struct SetInTheEnd<'a>(&'a AtomicBool);

    impl Drop for SetInTheEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
}

#[cfg(not(feature = "threads"))]
mod shared {
    /// Calls `work` once for every task.
    pub fn for_each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
        tasks.into_iter().for_each(work);
    }

    /// How many threads there are to share work among.
    pub fn count() -> usize {
        1
    }

    /// `work` of every item, in order.
    pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
        items.into_iter().map(work).collect()
    }
}

pub use shared::{count, for_each, side_by_side};
