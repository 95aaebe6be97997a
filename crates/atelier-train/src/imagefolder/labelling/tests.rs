use super::*;
use image::RgbImage;
use std::fs;
use tempfile::TempDir;

fn tree() -> &'static CriteriaTree {
    CriteriaTree::embedded()
}

/// A folder with pictures of these names and a `metadata.jsonl` of the given content, if there is any.
fn folder(pictures: &[&str], metadata: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in pictures {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        RgbImage::new(4, 4).save(path).expect("written");
    }
    if !metadata.is_empty() {
        fs::write(folder.path().join(METADATA), metadata).expect("written");
    }
    folder
}

fn of(folder: &TempDir) -> Vec<Labelling> {
    Labelling::of_folder(folder.path(), "a painting", tree()).expect("pictures")
}

fn label() -> Option<Labels> {
    Some(Labels { positive: vec![tree().leaves()[0].id.clone()], negative: Vec::new() })
}

#[test]
fn one_file_for_all_splits_stays_the_only_one() {
    let lines = "{\"file_name\":\"train/a.png\",\"text\":\"1\",\"z\":1.0}\r\n{\"file_name\":\"test/b.png\",\"text\":\"2\"}\r\n";
    let folder = folder(&["train/a.png", "train/unlisted.png", "test/b.png"], lines);
    let places = of(&folder);
    assert_eq!(places.len(), 1);
    assert_eq!((places[0].examples().len(), places[0].unlisted()), (2, 1));
    places[0].write(&[None, label()]).expect("written");
    let written = fs::read_to_string(folder.path().join(METADATA)).expect("there");
    let (first, second) = written.split_once("\r\n").expect("two lines");
    assert_eq!(first, lines.split_once("\r\n").expect("two lines").0);
    assert!(second.starts_with("{\"file_name\":\"test/b.png\",\"text\":\"2\",\"positive\":[\""), "{second}");
    assert!(!folder.path().join("train").join(METADATA).exists());
    assert_eq!(of(&folder)[0].examples()[1].labels, label().expect("labels"));
}

#[test]
fn splits_without_metadata_get_some_with_the_captions_beside_the_pictures() {
    let folder = folder(&["train/a.png", "train/b.png", "val/c.png"], "");
    fs::write(folder.path().join("train/a.txt"), "a boat\n").expect("written");
    for place in of(&folder) {
        assert!(!place.is_there());
        place.write(&vec![label(); place.examples().len()]).expect("written");
    }
    let read = of(&folder);
    let texts: Vec<&str> =
        read.iter().flat_map(Labelling::examples).map(|example| example.text.as_str()).collect();
    assert_eq!(texts, ["a boat", "a painting", "a painting"]);
    assert!(read.iter().all(Labelling::is_there));
}

#[test]
fn pictures_in_no_split_are_a_place_of_their_own_where_none_is_for_training() {
    let in_none = folder(&["a.png", "test/b.png"], "");
    let paths: Vec<PathBuf> = of(&in_none).iter().map(|place| place.path().to_owned()).collect();
    assert_eq!(paths, [in_none.path().join(METADATA), in_none.path().join("test").join(METADATA)]);
    let only_test = folder(&["test/b.png"], "");
    assert_eq!(of(&only_test).len(), 1);
}

#[test]
fn nothing_is_written_over_a_file_that_has_changed() {
    let new = folder(&["a.png"], "");
    let line = "{\"file_name\":\"a.png\",\"text\":\"1\"}\n";
    let old = folder(&["a.png"], line);
    for (folder, theirs) in [(new, line.to_owned()), (old, line.replace('1', "2"))] {
        let place = of(&folder).remove(0);
        fs::write(place.path(), &theirs).expect("written");
        let error = place.write(&[label()]).expect_err("changed");
        assert!(matches!(error, ImageFolderError::Changed { .. }), "{error}");
        assert_eq!(fs::read_to_string(place.path()).expect("there"), theirs);
    }
}

#[test]
fn copies_take_names_that_nothing_has() {
    let line = "{\"file_name\":\"a.png\",\"text\":\"1\"}";
    let folder = folder(&["a.png"], line);
    let path = |number: usize| folder.path().join(format!("metadata.jsonl.backup-{number}"));
    fs::write(path(1), "mine").expect("written");
    for number in [2, 3] {
        assert_eq!(of(&folder)[0].keep_copy().expect("a copy"), Some(path(number)));
        assert_eq!(fs::read_to_string(path(number)).expect("there"), line);
    }
    assert_eq!(fs::read_to_string(path(1)).expect("there"), "mine");
}

#[test]
fn tables_are_written_as_tables() {
    let folder = folder(&["a.png"], "");
    let path = folder.path().join("metadata.csv");
    fs::write(&path, "file_name,text,year\na.png,\"a boat, a sea\",1840\n").expect("written");
    of(&folder)[0].write(&[label()]).expect("written");
    let id = &label().expect("labels").positive[0];
    assert_eq!(
        fs::read_to_string(&path).expect("there"),
        format!("file_name,text,year,positive,negative\na.png,\"a boat, a sea\",1840,{id},\n")
    );
    assert!(!folder.path().join(METADATA).exists());
}
