//! Where results go: one rule for all commands.
//!
//! * What Atelier did not write itself is never deleted or replaced. A folder that is written as a whole may take the place
//!   of nothing, of an empty folder, or of one in which a hidden [ledger](Ledger) proves that Atelier wrote every file and
//!   nobody has changed one since. A file may take the place of one of its own kind.
//! * The place is tried before the work begins: folders are made and a file is written, so that a wrong name, a missing
//!   permission or a read-only disk does not cost hours. What was made for that goes again if nothing came of it.
//! * A folder in use is locked, and new names are taken so that of two programs one gets them.

mod error;
mod file;
mod folder;
mod ledger;
mod lock;
mod place;

pub use error::OutputError;
pub use file::OutputFile;
pub use folder::OutputFolder;
pub(crate) use folder::temporary_folder;
pub use ledger::{Entry, LEDGER, Ledger};
pub use lock::{FolderLock, LOCK};
pub use place::{OutputPlace, refuse_input};
