//! One module for each command.

pub mod annotate;
pub mod calibrate;
pub mod convert;
pub mod criteria;
pub mod demo;
pub mod devices;
pub mod explain;
pub mod plan;
pub mod sample;
pub mod studio;
pub mod train;

use atelier_criteria::{CriteriaError, CriteriaTree};
use clap::Args;
use std::{borrow::Cow, path::PathBuf};

/// Which tree of criteria is used.
#[derive(Debug, Args)]
pub struct TreeArguments {
    /// Folder with your own criteria, one TOML file per dimension [default: the embedded criteria of painting]
    #[arg(long, value_name = "DIR", global = true)]
    pub criteria: Option<PathBuf>,
}

impl TreeArguments {
    /// Loads the tree.
    pub fn load(&self) -> Result<Cow<'static, CriteriaTree>, CriteriaError> {
        match &self.criteria {
            Some(folder) => CriteriaTree::from_dir(folder).map(Cow::Owned),
            None => Ok(Cow::Borrowed(CriteriaTree::embedded())),
        }
    }
}
