//! `metadata.csv`: one row for each picture, under a header.

use super::{ImageFolderError, Row, columns, text};
use atelier_criteria::Labels;
use csv_core::{ReadFieldResult, Reader};
use std::{mem, path::Path};

/// A table as it is in the file.
struct Table {
    header: Vec<String>,
    /// With the line that each begins in.
    records: Vec<(usize, Vec<String>)>,
}

impl Table {
    fn read(path: &Path, content: &str) -> Result<Self, ImageFolderError> {
        let mut records = records(content.trim_start_matches(text::BYTE_ORDER_MARK));
        if records.is_empty() {
            return Err(ImageFolderError::Empty { path: path.to_owned(), unread: String::new() });
        }
        let (_, header) = records.remove(0);
        if let [only] = &header[..]
            && let Some((_, separator)) = [(";", "semicolons"), ("\t", "tabs")]
                .into_iter()
                .find(|(separator, _)| only.contains(separator))
        {
            let reason =
                format!("its cells are separated by {separator}, expected commas (CSV UTF-8 in Excel)");
            return Err(ImageFolderError::Format { path: path.to_owned(), reason });
        }
        if let Some((line, record)) = records.iter().find(|(_, record)| record.len() != header.len()) {
            let reason = format!(
                "{} cells under a header of {}; put captions with commas in double quotes, and double the quotes in them",
                record.len(),
                header.len()
            );
            return Err(ImageFolderError::Row { path: path.to_owned(), line: *line, reason });
        }
        Ok(Self { header, records })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column.trim() == name)
    }
}

/// The records of a table with the lines that they begin in; blank lines are none.
fn records(content: &str) -> Vec<(usize, Vec<String>)> {
    let bytes = content.as_bytes();
    let mut reader = Reader::new();
    // Room for the longest cell that there can be.
    let mut cell = vec![0; bytes.len() + 1];
    let (mut position, mut length) = (0, 0);
    let (mut begin, mut line) = (0, 1);
    let mut record = Vec::new();
    let mut records = Vec::new();
    loop {
        if record.is_empty() && length == 0 {
            let blank = bytes[position..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
            let next = position + blank;
            line += text::line_at(&content[begin..next], next - begin) - 1;
            begin = next;
        }
        let (result, read, written) = reader.read_field(&bytes[position..], &mut cell[length..]);
        position += read;
        length += written;
        match result {
            // At the end of the bytes: the next look is at nothing, which ends the last cell.
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
            ReadFieldResult::Field { record_end } => {
                record.push(String::from_utf8_lossy(&cell[..length]).into_owned());
                length = 0;
                if record_end {
                    records.push((line, mem::take(&mut record)));
                }
            }
            ReadFieldResult::End => return records,
        }
    }
}

/// A cell as it is written, in quotes where it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) || cell.trim() != cell {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// The rows in `content`, the text of the file at `path`.
pub fn parse(path: &Path, content: &str) -> Result<Vec<Row>, ImageFolderError> {
    let table = Table::read(path, content)?;
    let names: Vec<&str> = table.header.iter().map(|name| name.trim()).collect();
    let failed = |reason: String| ImageFolderError::Format { path: path.to_owned(), reason };
    let file_name =
        columns::file_name(&names).map_err(|reason| failed(format!("no column file_name{reason}")))?;
    let missing = |reason: String| failed(format!("no column text{reason}"));
    let captions = table.column(columns::TEXT).ok_or_else(|| missing(columns::instead_of_text(&names)))?;
    let cell = |record: &[String], column: Option<usize>| {
        column.and_then(|column| record.get(column)).cloned().unwrap_or_default()
    };
    let (file_names, sides) =
        (table.column(file_name), ["positive", "negative"].map(|side| table.column(side)));
    let rows = table.records.iter().map(|(line, record)| {
        let [positive, negative] = sides.map(|side| columns::ids_in_cell(&cell(record, side)));
        Row {
            line: *line,
            file_name: cell(record, file_names),
            text: cell(record, Some(captions)),
            labels: Labels { positive, negative },
        }
    });
    Ok(rows.collect())
}

/// `content` with the labels of some of its rows replaced; all other cells keep their values, and the rows their order.
///
/// # Errors
/// As [`parse`].
pub fn with_labels(
    path: &Path,
    content: &str,
    labels: &[Option<Labels>],
) -> Result<String, ImageFolderError> {
    let table = Table::read(path, content)?;
    let mut header = table.header.clone();
    let sides = ["positive", "negative"].map(|side| {
        table.column(side).unwrap_or_else(|| {
            header.push(side.to_owned());
            header.len() - 1
        })
    });
    let end = if content.contains("\r\n") { "\r\n" } else { "\n" };
    let line = |cells: &[String]| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + end;
    let mut written = if content.starts_with(text::BYTE_ORDER_MARK) {
        String::from(text::BYTE_ORDER_MARK)
    } else {
        String::new()
    };
    written += &line(&header);
    for ((_, record), labels) in table.records.iter().zip(labels) {
        let mut cells = record.clone();
        cells.resize(header.len(), String::new());
        if let Some(labels) = labels {
            cells[sides[0]] = labels.positive.join(";");
            cells[sides[1]] = labels.negative.join(";");
        }
        written += &line(&cells);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(content: &str) -> Vec<(usize, String, String)> {
        let rows = parse(Path::new("metadata.csv"), content).expect("a table");
        rows.into_iter().map(|row| (row.line, row.file_name, row.text)).collect()
    }

    fn error(content: &str) -> String {
        parse(Path::new("metadata.csv"), content).expect_err("no such table").to_string()
    }

    #[test]
    fn tables_of_several_programs_are_read() {
        let expected =
            [(2, "a.png".to_owned(), "one, \"two\"".to_owned()), (3, "b.png".to_owned(), String::new())];
        for end in ["\n", "\r\n", "\r"] {
            let content =
                format!("\u{feff}file_name,text{end}a.png,\"one, \"\"two\"\"\"{end}b.png,{end}{end}");
            assert_eq!(rows(&content), expected, "{end:?}");
        }
        // The index of pandas; another order of columns; a line break in a caption.
        let content = ",text,file_name\n0,\"one\ntwo\",a.png\n\n1,three,b.png\n";
        let expected =
            [(2, "a.png".to_owned(), "one\ntwo".to_owned()), (5, "b.png".to_owned(), "three".to_owned())];
        assert_eq!(rows(content), expected);
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        for (content, reason) in [
            ("file_name;text\na.png;a boat\n", "semicolons"),
            ("file_name\ttext\na.png\ta boat\n", "tabs"),
            ("file_name,text\na.png,a boat, a sea\n", "line 2: 3 cells under a header of 2"),
            ("image,text\na.png,a boat\n", "rename \"image\""),
            ("file_name,prompt\na.png,a boat\n", "rename \"prompt\""),
            ("\n\n", "is empty"),
        ] {
            let message = error(content);
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn labels_are_put_into_their_cells() {
        let content = "\u{feff}file_name,text,n,positive\r\na.png,\"x, y\",007,\r\nb.png,z,,old\r\n";
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let labels = Labels { positive: own(&["p", "q"]), negative: own(&["n"]) };
        let written = with_labels(Path::new("m"), content, &[Some(labels.clone()), None]).expect("a table");
        assert_eq!(
            written,
            "\u{feff}file_name,text,n,positive,negative\r\na.png,\"x, y\",007,p;q,n\r\nb.png,z,,old,\r\n"
        );
        let read = parse(Path::new("m"), &written).expect("a table");
        assert_eq!(read[0].labels, labels);
        assert_eq!(read[1].labels.positive, own(&["old"]));
    }
}
