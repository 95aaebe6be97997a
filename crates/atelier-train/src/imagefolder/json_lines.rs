//! `metadata.jsonl`: one JSON object for each picture.

use super::{ImageFolderError, Row, columns, text};
use atelier_criteria::Labels;
use serde_json::{Map, Value};
use std::{ops::Range, path::Path};

/// The rows in `content`, the text of the file at `path`; blank lines are none.
pub fn parse(path: &Path, content: &str) -> Result<Vec<Row>, ImageFolderError> {
    let lines = text::lines(content).filter_map(|(line, range)| {
        let text = content[range].trim_start_matches(text::BYTE_ORDER_MARK).trim();
        (!text.is_empty()).then_some((line, text))
    });
    lines
        .map(|(line, text)| {
            parse_line(line, text).map_err(|reason| ImageFolderError::Line {
                path: path.to_owned(),
                line,
                reason,
            })
        })
        .collect()
}

fn parse_line(line: usize, text: &str) -> Result<Row, String> {
    let record = match serde_json::from_str(text) {
        Ok(Value::Object(record)) => record,
        Ok(Value::Array(_)) => {
            return Err(whole_array());
        }
        Ok(other) => return Err(format!("it is {}, expected an object", kind(&other))),
        Err(error) => return Err(explain(text, &error)),
    };
    let names: Vec<&str> = record.keys().map(String::as_str).collect();
    let column = columns::file_name(&names).map_err(|reason| format!("missing field `file_name`{reason}"))?;
    let file_name = match &record[column] {
        Value::String(name) => name.clone(),
        other => return Err(format!("{column} is {}, expected a string", kind(other))),
    };
    let caption = match record.get(columns::TEXT) {
        Some(Value::String(caption)) => caption.clone(),
        Some(Value::Null) => {
            return Err(
                "text is null, expected a string; write \"\" for a picture without a caption".to_owned()
            );
        }
        Some(other) => return Err(format!("text is {}, expected a string in quotes", kind(other))),
        None => return Err(format!("missing field `text`{}", columns::instead_of_text(&names))),
    };
    let labels = Labels { positive: ids(&record, "positive")?, negative: ids(&record, "negative")? };
    Ok(Row { line, file_name, text: caption, labels })
}

/// The ids of one side; none where the column is absent or null.
fn ids(record: &Map<String, Value>, side: &str) -> Result<Vec<String>, String> {
    let problem = |found: &str, example: &str| {
        format!("{side} is {found}, expected a sequence of ids: \"{side}\": [{example}]")
    };
    match record.get(side) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(ids)) => {
            let id = |id: &Value| id.as_str().map(str::to_owned);
            let found: Option<Vec<String>> = ids.iter().map(id).collect();
            found.ok_or_else(|| problem("a list with something else than strings", "\"…\", \"…\""))
        }
        Some(Value::String(id)) => Err(problem("a string", &Value::from(id.as_str()).to_string())),
        Some(other) => Err(problem(kind(other), "\"…\", \"…\"")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn whole_array() -> String {
    "the file is one JSON array, expected an object in each line, as `jq -c '.[]'` makes them".to_owned()
}

/// What is wrong with a line that is not JSON, by the habits of the programs that write such lines.
fn explain(text: &str, error: &serde_json::Error) -> String {
    if text.starts_with('[') {
        return whole_array();
    }
    if text == "{" {
        return "an object is spread over several lines, expected each in a line of its own, as `jq -c .` makes them"
            .to_owned();
    }
    let message = error.to_string();
    // The position in a text of one line.
    let message = message.replace(&format!(" at line 1 column {}", error.column()), "");
    let hint = if text.starts_with("{'") {
        ", because Python printed the object; write it with `json.dumps`"
    } else if ["NaN", "Infinity"].iter().any(|word| text.contains(word)) {
        ", because NaN and Infinity are not JSON; write null, as pandas' `to_json` does"
    } else {
        ""
    };
    format!("{message} at column {}{hint}", error.column())
}

/// `content` with the labels of some of its rows replaced; the others, and all else in a row, stay as they are written.
///
/// `labels` has an entry for each of the rows that [`parse`] found.
pub fn with_labels(content: &str, rows: &[Row], labels: &[Option<Labels>]) -> String {
    let mut changes = rows.iter().zip(labels).filter_map(|(row, labels)| Some((row.line, labels.as_ref()?)));
    let mut next = changes.next();
    let mut written = String::with_capacity(content.len());
    let mut copied = 0;
    for (line, range) in text::lines(content) {
        if let Some((_, labels)) = next.filter(|(changed, _)| *changed == line) {
            written += &content[copied..range.start];
            written += &line_with_labels(&content[range.clone()], labels);
            copied = range.end;
            next = changes.next();
        }
    }
    written + &content[copied..]
}

/// The object in `line` with `labels` as its last word on both sides.
fn line_with_labels(line: &str, labels: &Labels) -> String {
    let mut line = line.to_owned();
    for (side, ids) in [("positive", &labels.positive), ("negative", &labels.negative)] {
        let ids = Value::from(ids.clone()).to_string();
        let (members, end) = members(&line);
        // Of a key that comes twice, readers take the last.
        let present = members
            .iter()
            .rev()
            .find(|(key, _)| serde_json::from_str::<String>(&line[key.clone()]).is_ok_and(|key| key == side));
        match present {
            Some((_, value)) => line.replace_range(value.clone(), &ids),
            None => {
                let comma = if members.is_empty() { "" } else { "," };
                line.insert_str(end, &format!("{comma}\"{side}\":{ids}"));
            }
        }
    }
    line
}

/// A key and its value, as places in a line.
type Member = (Range<usize>, Range<usize>);

/// The members of the object in `line`, and where another one may follow: behind the last. The line must be JSON.
fn members(line: &str) -> (Vec<Member>, usize) {
    let mut members = Vec::new();
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let mut start = 0;
    let mut key = 0..0;
    for (at, byte) in line.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match (byte, depth) {
            (b'"', _) => in_string = true,
            (b'{', 0) => {
                depth = 1;
                start = at + 1;
            }
            (b'{' | b'[', _) => depth += 1,
            (b':', 1) => {
                key = trimmed(line, start..at);
                start = at + 1;
            }
            (b',' | b'}', 1) => {
                if !key.is_empty() {
                    members.push((key, trimmed(line, start..at)));
                }
                (key, start) = (0..0, at + 1);
                if byte == b'}' {
                    break;
                }
            }
            (b'}' | b']', _) => depth -= 1,
            _ => {}
        }
    }
    let end = members.last().map_or(start - 1, |(_, value)| value.end);
    (members, end)
}

fn trimmed(line: &str, range: Range<usize>) -> Range<usize> {
    let text = &line[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(positive: &[&str]) -> Labels {
        let own = positive.iter().map(|id| (*id).to_owned()).collect();
        Labels { positive: own, negative: Vec::new() }
    }

    #[test]
    fn labels_are_put_into_a_line_and_the_rest_stays_as_it_is_written() {
        for (before, after) in [
            (
                r#"{"z": 1.50, "text": "}:,\"{"}"#,
                r#"{"z": 1.50, "text": "}:,\"{","positive":["a"],"negative":[]}"#,
            ),
            (
                r#"{ "positive" : null , "b": {"positive": 7} }"#,
                r#"{ "positive" : ["a"] , "b": {"positive": 7},"negative":[] }"#,
            ),
            (r#"{"negative": [ "x", ["y"] ],"n":1e400}"#, r#"{"negative": [],"n":1e400,"positive":["a"]}"#),
            (r#"{"positive": [], "positive": []}"#, r#"{"positive": [], "positive": ["a"],"negative":[]}"#),
            ("\u{feff}{} ", "\u{feff}{\"positive\":[\"a\"],\"negative\":[]} "),
        ] {
            assert_eq!(line_with_labels(before, &labels(&["a"])), after);
        }
    }

    #[test]
    fn only_lines_with_new_labels_change() {
        let content =
            "\u{feff}{\"file_name\":\"1\",\"text\":\"\"}\r\n\r\n{\"file_name\":\"2\",\"text\":\"\"}";
        let rows = parse(Path::new("m"), content).expect("rows");
        assert_eq!(with_labels(content, &rows, &[None, None]), content);
        let changed = with_labels(content, &rows, &[None, Some(labels(&["a"]))]);
        let (kept, last) = content.split_at(content.rfind('{').expect("an object"));
        assert!(changed.starts_with(kept));
        assert_eq!(changed[kept.len()..], last.replace('}', ",\"positive\":[\"a\"],\"negative\":[]}"));
    }

    proptest! {
        #[test]
        fn every_object_keeps_its_other_members(keys in prop::collection::btree_map(".{0,6}", ".{0,6}", 0..5)) {
            let mut record: Map<String, Value> =
                keys.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
            let line = line_with_labels(&Value::from(record.clone()).to_string(), &labels(&["a"]));
            record.insert("positive".to_owned(), vec!["a"].into());
            record.insert("negative".to_owned(), Value::Array(Vec::new()));
            prop_assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), Value::from(record));
        }

        #[test]
        fn no_line_is_a_panic(content in "(\\PC|[\\[{}\",:\\\\\r\n])*") {
            let _ = parse(Path::new("m"), &content);
        }
    }
}
