//! What the page computes, without a browser.

pub mod bench;
pub mod caption;
pub mod decisiveness;
pub mod explain_queue;
pub mod figures;
pub mod overlay;
pub mod progress;
pub mod radar;
pub mod route;
pub mod verdict;
pub mod words;
