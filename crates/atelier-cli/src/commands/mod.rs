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

use atelier_core::explanation::ExplanationOptions;
use atelier_criteria::{CriteriaError, CriteriaTree};
use clap::{Args, builder::RangedU64ValueParser};
use std::{borrow::Cow, ops::RangeInclusive, path::PathBuf};

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

/// Reads a whole number; clap's message names the flag and the `range`.
pub fn number<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(range)
}

/// How many pictures or paintings one command takes.
pub const COUNTS: RangeInclusive<u64> = 1..=1_000_000;

/// Seeds: as many as TOML has, into which runs write theirs.
pub const SEEDS: RangeInclusive<u64> = 0..=i64::MAX as u64;

/// Draws of noise for each leaf of an explanation.
pub const DRAWS: RangeInclusive<u64> =
    ExplanationOptions::LEAST_DRAWS as u64..=ExplanationOptions::MOST_DRAWS as u64;
