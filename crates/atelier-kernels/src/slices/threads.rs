//! Work that may be shared among threads.
//!
//! No thread of the pool ever waits for a thread outside of it, which may wait for the pool in turn.

#[cfg(feature = "threads")]
mod shared {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    use std::cell::Cell;
    use std::panic::resume_unwind;
    use std::thread;

    thread_local! {
        /// Whether this thread does all its work itself, because others have work of their own.
        static KEEPS_TO_ITSELF: Cell<bool> = const { Cell::new(false) };
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
        if KEEPS_TO_ITSELF.get() { 1 } else { rayon::current_num_threads() }
    }

    /// Whether this is a thread of the pool.
    pub fn is_in_pool() -> bool {
        rayon::current_thread_index().is_some()
    }

    /// Runs `work`, and all kernels in it, on this thread alone.
    ///
    /// For threads of which there are as many as processors: to hand over the small parts of a small operation takes as long
    /// as to do them.
    pub fn on_one_thread<R>(work: impl FnOnce() -> R) -> R {
        struct Restore(bool);
        impl Drop for Restore {
            fn drop(&mut self) {
                KEEPS_TO_ITSELF.set(self.0);
            }
        }
        let _restore = Restore(KEEPS_TO_ITSELF.replace(true));
        work()
    }

    /// Runs `work` on every item, each in a thread of its own, and returns the results in order. If there are at least as
    /// many items as processors, each stays [on its one thread](on_one_thread).
    ///
    /// A single item runs where this is called, and so do all on a thread of the pool, one after another.
    pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
        if items.len() < 2 || is_in_pool() {
            return items.into_iter().map(work).collect();
        }
        let each_alone = items.len() >= count();
        let work = |item| if each_alone { on_one_thread(|| work(item)) } else { work(item) };
        let mut items = items.into_iter();
        let first = items.next();
        thread::scope(|scope| {
            let work = &work;
            let others: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
            let first = first.map(work);
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

    /// Runs `work` on a thread of the pool, while the others look out for parts of it: to wake a thread takes longer than
    /// most operations of a small model, of which there are hundreds.
    pub fn on_all_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        if super::count() == 1 || super::is_in_pool() {
            return work();
        }
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

    /// Whether this is a thread of the pool.
    pub fn is_in_pool() -> bool {
        false
    }

    /// Runs `work`.
    pub fn on_one_thread<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    /// Runs `work` on every item and returns the results in order.
    pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
        items.into_iter().map(work).collect()
    }
}

#[cfg(not(feature = "threads"))]
mod awake {
    /// Runs `work`.
    pub fn on_all_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        work()
    }
}

pub use awake::on_all_threads;
pub use shared::{count, for_each, is_in_pool, on_one_thread, side_by_side};

#[cfg(all(test, feature = "threads"))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// As a kernel does.
    fn kernel() -> usize {
        let sum = AtomicUsize::new(0);
        for_each((1..=100).collect(), |number| {
            sum.fetch_add(number, Ordering::Relaxed);
        });
        sum.into_inner()
    }

    /// As a batch of a model does.
    fn pass() -> usize {
        side_by_side(vec![0, 1], |_| on_all_threads(kernel)).into_iter().sum()
    }

    #[test]
    fn work_ends_however_it_is_nested() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        // From threads of the pool, from more threads than it has, and both.
        let batches = || for_each((0..50).collect::<Vec<usize>>(), |_| assert_eq!(pass(), 2 * 5050));
        pool.install(batches);
        let threads = side_by_side((0..20).collect(), |_: usize| {
            batches();
            pass() + pool.install(pass)
        });
        assert_eq!(threads, vec![4 * 5050; 20]);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let before = count();
        let items: Vec<usize> = (0..2 * before).collect();
        let panics = || side_by_side(items.clone(), |item| assert!(item > 0, "the first"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| on_all_threads(|| panic!("alone")))).is_err());
        assert_eq!((count(), pass()), (before, 2 * 5050));
    }
}
