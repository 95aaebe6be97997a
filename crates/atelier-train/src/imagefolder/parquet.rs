//! `metadata.parquet`: one row for each picture, in columns.
//!
//! What pandas, pyarrow, Polars and DuckDB write by default is read: columns of strings and of lists of strings, plain or with a
//! dictionary, without compression or with Snappy or Zstandard. Everything else is named. The crate `parquet` reads all of the
//! format, but with it burn would be built with other features than without, and so twice.

mod column;
mod levels;
mod thrift;

use super::{ImageFolderError, Row, columns};
use atelier_criteria::Labels;
use column::Column;
use std::{fs, path::Path};
use thrift::Struct;

/// The first and the last bytes of a file.
const MAGIC: &[u8] = b"PAR1";

/// What is wrong with a file.
type Reason = String;

/// The rows of the file at `path`; lines are numbers of rows, from 1.
pub fn read(path: &Path) -> Result<Vec<Row>, ImageFolderError> {
    let bytes = fs::read(path).map_err(|source| ImageFolderError::Read { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|reason| ImageFolderError::Parquet { path: path.to_owned(), reason })
}

fn parse(bytes: &[u8]) -> Result<Vec<Row>, Reason> {
    let footer = footer(bytes)?;
    let schema = Column::all(&footer.list(2)?)?;
    let groups = footer.list(4)?;
    let names: Vec<&str> = schema.iter().map(Column::name).collect();
    let column = |name: &str| schema.iter().position(|column| column.name() == name);
    let file_name = columns::file_name(&names).map_err(|reason| format!("no column file_name{reason}"))?;
    let captions =
        column(columns::TEXT).ok_or_else(|| format!("no column text{}", columns::instead_of_text(&names)))?;
    let lists = |index: Option<usize>| match index {
        Some(index) => schema[index].read(bytes, &groups, index),
        None => Ok(Vec::new()),
    };
    let file_names = lists(column(file_name))?;
    let (texts, positive, negative) =
        (lists(Some(captions))?, lists(column("positive"))?, lists(column("negative"))?);
    let one = |name: &str, line: usize, cells: &[Vec<String>]| match cells.get(line - 1).map(Vec::as_slice) {
        Some([cell]) => Ok(cell.clone()),
        _ => Err(format!(
            "{name} is null in row {line}, expected a string; a picture without a caption has an empty one"
        )),
    };
    // A column of strings has one cell in a row, which names several labels as in a table.
    let ids = |line: usize, cells: &[Vec<String>]| -> Vec<String> {
        cells.get(line - 1).into_iter().flatten().flat_map(|cell| columns::ids_in_cell(cell)).collect()
    };
    let row = |line: usize| {
        Ok(Row {
            line,
            file_name: one(file_name, line, &file_names)?,
            text: one(columns::TEXT, line, &texts)?,
            labels: Labels { positive: ids(line, &positive), negative: ids(line, &negative) },
        })
    };
    (1..=file_names.len()).map(row).collect()
}

/// What the file says of itself, at its end.
fn footer(bytes: &[u8]) -> Result<Struct<'_>, Reason> {
    let damaged = || "is no whole Parquet file".to_owned();
    let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_suffix(MAGIC)).ok_or_else(damaged)?;
    let (body, length) = body.split_last_chunk::<4>().ok_or_else(damaged)?;
    let start = body.len().checked_sub(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    Ok(Struct::parse(&body[start..])?.0)
}

#[cfg(test)]
mod tests;
