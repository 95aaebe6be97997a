//! Folders as people have them.

use super::*;

/// A folder with the given files: pictures, where the content is empty.
fn files(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        if content.is_empty() {
            RgbImage::new(4, 4).save(path).expect("written");
        } else {
            fs::write(path, content).expect("written");
        }
    }
    folder
}

/// The names and captions of a split, or the error.
fn opened(folder: &TempDir, split: Split) -> Result<Vec<(String, String)>, String> {
    let data = ImageFolder::open(folder.path(), split, tree()).map_err(|error| error.to_string())?;
    let named = |example: &Example| {
        let name = labelling::file_name(folder.path(), &example.path).expect("inside");
        (name, example.text.clone())
    };
    Ok(data.examples().iter().map(named).collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn line(name: &str, text: &str) -> String {
    serde_json::json!({"file_name": name, "text": text}).to_string() + "\n"
}

#[test]
fn one_file_for_all_splits_gives_each_its_rows() {
    let metadata = line("train/a.png", "1") + &line("Test/b.png", "2") + &line("val/c.png", "3");
    let pictures = [("train/a.png", ""), ("Test/b.png", ""), ("val/c.png", ""), ("d.png", "")];
    let with = |metadata: &str| files(&[&pictures[..], &[("metadata.jsonl", metadata)]].concat());
    let folder = with(&metadata);
    assert_eq!(opened(&folder, Split::Train).expect("rows"), pairs(&[("train/a.png", "1")]));
    assert_eq!(opened(&folder, Split::Test).expect("rows"), pairs(&[("Test/b.png", "2")]));
    assert_eq!(opened(&folder, Split::Validation).expect("rows"), pairs(&[("val/c.png", "3")]));
    // What is in no split is left out, unless nothing else is for training.
    let folder = with(&(metadata + &line("d.png", "4")));
    assert_eq!(opened(&folder, Split::Train).expect("rows"), pairs(&[("train/a.png", "1")]));
    let folder = with(&(line("Test/b.png", "2") + &line("./val/../d.png", "4")));
    assert_eq!(opened(&folder, Split::Train).expect("rows"), pairs(&[("d.png", "4")]));
    let error = opened(&folder, Split::Validation).expect_err("no rows");
    assert!(error.contains("no picture of the split validation") && error.contains("dev"), "{error}");
    let error = opened(&with(&line("Test/b.png", "2")), Split::Train).expect_err("only tests");
    assert!(error.contains("no picture of the split train"), "{error}");
}

#[test]
fn a_missing_picture_of_another_split_does_no_harm() {
    let metadata = line("train/a.png", "1") + &line("test/gone.png", "2");
    let folder = files(&[("train/a.png", ""), ("metadata.jsonl", &metadata)]);
    assert_eq!(opened(&folder, Split::Train).expect("rows").len(), 1);
    assert!(opened(&folder, Split::Test).expect_err("gone").contains("line 2"));
}

#[test]
fn metadata_of_a_split_come_before_those_of_the_whole_folder() {
    let (root, own) = (line("train/a.png", "root"), line("a.png", "own"));
    let folder =
        files(&[("training/a.png", ""), ("training/metadata.jsonl", &own), ("metadata.jsonl", &root)]);
    assert_eq!(opened(&folder, Split::Train).expect("rows"), pairs(&[("training/a.png", "own")]));
}

#[test]
fn the_metadata_file_stands_for_its_folder() {
    let folder = files(&[("a.png", ""), ("metadata.csv", "file_name,text\na.png,\"a boat, a sea\"\n")]);
    let open = |name: &str| ImageFolder::open(&folder.path().join(name), Split::Train, tree());
    assert_eq!(open("metadata.csv").expect("its folder").examples()[0].text, "a boat, a sea");
    assert!(matches!(open("a.png"), Err(ImageFolderError::NotAFolder { .. })));
    assert!(matches!(open("b"), Err(ImageFolderError::NoFolder { .. })));
}

#[test]
fn captions_beside_pictures_are_read_where_there_is_no_metadata() {
    let mut own =
        vec![("10_boat/a.png", ""), ("10_boat/a.txt", "\u{feff}a boat\r\n on the sea\r\n"), ("b.JPG", "")];
    own.extend([("test/c.png", ""), ("test/c.txt", "a test"), ("notes.txt", "mine")]);
    let folder = files(&own);
    let expected = pairs(&[("10_boat/a.png", "a boat on the sea"), ("b.JPG", "")]);
    assert_eq!(opened(&folder, Split::Train).expect("captions"), expected);
    assert_eq!(opened(&folder, Split::Test).expect("captions"), pairs(&[("test/c.png", "a test")]));
    let folder = files(&[("a.png", ""), ("notes.txt", "mine")]);
    assert!(opened(&folder, Split::Train).expect_err("no captions").contains("no metadata.jsonl"));
}

#[test]
fn lines_as_other_programs_write_them_are_read() {
    let (first, second) = (line("a.png", "1"), line("a.png", "2"));
    let (first, second) = (first.trim_end(), second.trim_end());
    for content in [
        format!("\u{feff}{first}\n{second}\n"),
        format!("{first}\r\n{second}\r\n\r\n  \r\n"),
        format!("{first}\r{second}"),
        format!("{first}\n{second}"),
        format!(
            "{first}\n{{\"file_name\":\"a.png\",\"text\":\"2\",\"positive\":null,\"negative\":null,\"label\":0}}"
        ),
        format!("{first}\n{{\"image_file_name\":\"a.png\",\"text\":\"2\"}}"),
    ] {
        let folder = files(&[("a.png", ""), ("metadata.jsonl", &content)]);
        let expected = pairs(&[("a.png", "1"), ("a.png", "2")]);
        assert_eq!(opened(&folder, Split::Train).expect("rows"), expected, "{content:?}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_what_to_do() {
    for (bad, reason) in [
        ("{\"file_name\":\"a.png\",\"text\":null}", "text is null"),
        ("{\"file_name\":\"a.png\",\"text\":7}", "text is a number, expected a string in quotes"),
        ("{\"file_name\":\"a.png\",\"text\":[\"a\"]}", "text is a list"),
        ("{\"file_name\":\"a.png\",\"text\":\"x\",\"score\":NaN}", "NaN and Infinity are not JSON"),
        ("{\"file_name\":\"a.png\",\"prompt\":\"a boat\"}", "rename \"prompt\" to \"text\""),
        ("{\"image\":\"a.png\",\"text\":\"a boat\"}", "rename \"image\" to \"file_name\""),
        ("[{\"file_name\":\"a.png\"}]", "jq -c '.[]'"),
        ("{", "jq -c ."),
        ("{'file_name': 'a.png'}", "json.dumps"),
        ("{\"file_name\":\"a.png\",\"text\":\"\",\"negative\":\"a.b\"}", "\"negative\": [\"a.b\"]"),
        ("{\"file_name\":\"a.png\",\"text\":\"\",\"positive\":[1]}", "something else than strings"),
        ("{\"file_name\":3,\"text\":\"\"}", "file_name is a number"),
        ("7", "it is a number, expected an object"),
        ("{\"file_name\":\"https://example.org/1.png\",\"text\":\"\"}", "download the picture"),
    ] {
        let error = open_error(&format!("{}{bad}", line("a.png", "1")));
        assert!(error.contains("metadata.jsonl, line 2") && error.contains(reason), "{bad}: {error}");
    }
}

#[test]
fn other_files_than_metadata_are_named() {
    for (name, reason) in [
        ("metadata.json", "metadata.json (make it lines"),
        ("metadata.json1", "rename it to metadata.jsonl"),
        ("captions.csv", "captions.csv (rename it to metadata.csv)"),
        ("metadata.parquet", "pandas.read_parquet"),
        ("sea/metadata.jsonl", "give the folder sea"),
    ] {
        let error = opened(&files(&[("a.png", ""), (name, "x")]), Split::Train).expect_err("no metadata");
        assert!(error.contains(reason), "{name}: {error}");
    }
    let both = files(&[("metadata.jsonl", "{}"), ("metadata.csv", "x")]);
    assert!(opened(&both, Split::Train).expect_err("two").contains("keep one of them"));
}

#[test]
fn all_broken_pictures_are_named() {
    let broken = ["a.png", "b.jpg", "c.webp"].map(|name| (name, "<!DOCTYPE html>"));
    let folder = files(&[&broken[..], &[("whole.png", "")]].concat());
    let paths: Vec<PathBuf> =
        ["a.png", "b.jpg", "c.webp", "whole.png"].map(|name| folder.path().join(name)).into();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let error = all_dimensions(&paths).expect_err("broken").to_string();
    assert!(error.contains("3 of 4 pictures") && error.matches("web page").count() == 3, "{error}");
    let error = all_dimensions(&paths[2..]).expect_err("broken").to_string();
    assert!(error.contains("c.webp cannot be read"), "{error}");
}
