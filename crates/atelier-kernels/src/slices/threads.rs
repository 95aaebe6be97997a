//! Work that may be shared among threads.

/// Calls `work` once for every task, in any order, on all threads of the pool.
#[cfg(feature = "threads")]
pub fn for_each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    if tasks.len() < 2 || rayon::current_num_threads() == 1 {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}

/// Calls `work` once for every task.
#[cfg(not(feature = "threads"))]
pub fn for_each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
    tasks.into_iter().for_each(work);
}

/// How many threads there are to share work among.
#[cfg(feature = "threads")]
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// How many threads there are to share work among.
#[cfg(not(feature = "threads"))]
pub fn count() -> usize {
    1
}
