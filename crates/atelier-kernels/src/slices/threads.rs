//! Work that may be shared among threads.

#[cfg(feature = "threads")]
mod shared {
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
            // A thread of the pool shares its work without a detour through others.
            let inside = || items.into_iter().map(work).collect();
            return if count() == 1 { inside() } else { rayon::scope(|_| inside()) };
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
