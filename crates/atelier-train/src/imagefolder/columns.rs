//! The columns of metadata, whatever their format.

/// The column of captions.
pub const TEXT: &str = "text";

/// The column that names pictures, and what `datasets` would call a column of pictures by the name `image`.
const FILE_NAMES: [&str; 2] = ["file_name", "image_file_name"];

/// Which of the columns `names` names the pictures, or what was found in its place.
pub fn file_name(names: &[&str]) -> Result<&'static str, String> {
    let usual = ["image", "file", "filename", "path", "image_path", "name"];
    let found = FILE_NAMES.into_iter().find(|column| names.contains(column));
    found.ok_or_else(|| renamed(names, "file_name", &usual))
}

/// What was found in place of the column of captions, as the end of a sentence.
pub fn instead_of_text(names: &[&str]) -> String {
    renamed(names, TEXT, &["prompt", "caption", "captions", "description", "label", "tags"])
}

fn renamed(names: &[&str], expected: &str, usual: &[&str]) -> String {
    let found: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    let is = |name: &str, word: &str| name.trim().eq_ignore_ascii_case(word);
    let same = names.iter().find(|name| is(name, expected));
    let similar = || names.iter().find(|name| usual.iter().any(|word| is(name, word)));
    match same.or_else(similar) {
        Some(name) => format!(" (the columns are {found}): rename {name:?} to {expected:?}"),
        None => format!(" (the columns are {found})"),
    }
}

/// The ids in a cell of a table: separated by commas, semicolons, bars or spaces, or a list as JSON and Python write it.
pub fn ids_in_cell(cell: &str) -> Vec<String> {
    let separates = |character: char| character.is_whitespace() || "[],;|\"'".contains(character);
    cell.split(separates).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_separated_in_the_ways_people_do() {
        for cell in ["a.b;c-d.e", "a.b | c-d.e", "[\"a.b\", \"c-d.e\"]", "['a.b' 'c-d.e']", " a.b,c-d.e "] {
            assert_eq!(ids_in_cell(cell), ["a.b", "c-d.e"], "{cell}");
        }
        for cell in ["", " ", "[]"] {
            assert!(ids_in_cell(cell).is_empty(), "{cell}");
        }
    }

    #[test]
    fn a_column_with_another_name_is_to_be_renamed() {
        assert_eq!(file_name(&["text", "file_name"]), Ok("file_name"));
        let reason = file_name(&["image", "text"]).expect_err("no such column");
        assert!(reason.contains("\"image\", \"text\"") && reason.contains("rename \"image\""), "{reason}");
        let reason = instead_of_text(&["file_name", "Prompt"]);
        assert!(reason.contains("rename \"Prompt\" to \"text\""), "{reason}");
    }
}
