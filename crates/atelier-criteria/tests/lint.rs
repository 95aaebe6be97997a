//! Every rule that the files of a tree must keep, broken one at a time.

use atelier_criteria::CriteriaTree;
use std::fs;

/// A dimension that breaks no rule.
const TONE: &str = r#"id = "tone"
name = "Tone"
order = 1
summary = "How full the tone is."

[nodes]
"range" = "Range"

[[leaf]]
id = "range.full"
name = "Full range"
genres = ["portrait"]
positive = { phrase = "full range", explanation = "It goes from black to white." }
negative = { phrase = "grey range", explanation = "It stays in the middle." }
"#;

fn problems_of(text: &str) -> Vec<String> {
    CriteriaTree::lint([("tone.toml", text)]).iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_breaks_no_rule() {
    assert_eq!(problems_of(TONE), Vec::<String>::new());
    assert_eq!(CriteriaTree::from_sources([("tone.toml", TONE)]).expect("a tree").leaves().len(), 1);
}

#[test]
fn a_broken_rule_names_file_and_place() {
    let cases = [
        ("name = \"Tone\"", "name = \" \"", "name of `tone` is empty"),
        (
            "explanation = \"It stays in the middle.\"",
            "explanation = \"\"",
            "negative.explanation of `tone.range.full`",
        ),
        ("id = \"tone\"", "id = \"Tone\"", "`Tone` must be lower-case"),
        ("[\"portrait\"]", "[\"Portrait of a man\"]", "`Portrait of a man`"),
        ("phrase = \"full range\"", "phrase = \"full\"", "positive.phrase of leaf `tone.range.full`, `full`"),
        ("phrase = \"full range\"", "phrase = \"a b c d e f g\"", "must have 2 to 6 words"),
        ("phrase = \"full range\"", "phrase = \"full, range\"", "has a `,`"),
        ("phrase = \"full range\"", "phrase = \"Grey  range\"", "is that of leaf `tone.range.full` already"),
        ("\"range\" = \"Range\"", "", "needs the inner node `tone.range`"),
        (
            "\"range\" = \"Range\"",
            "\"range\" = \"Range\"\n\"hue\" = \"Hue\"",
            "no leaf lies below the inner node `tone.hue`",
        ),
        ("\n[nodes]", "changed-by-crop = [\"rang\"]\n[nodes]", "changed-by-crop names `rang`"),
        ("\n[nodes]", "changed-by-flip = [\"range\", \"range.fuller\"]\n[nodes]", "`range.fuller`"),
        ("\"range.full\"", "\"range.a.b.c.d\"", "leaf `tone.range.a.b.c.d` is at level 6"),
        ("\"range.full\"", "\"range\"", "`tone.range` is a leaf and an inner node at once"),
        ("order = 1", "order = \"first\"", "line 3"),
        ("summary =", "sumary =", "sumary"),
    ];
    for (good, bad, expected) in cases {
        let found = problems_of(&TONE.replacen(good, bad, 1));
        assert!(
            found.iter().any(|problem| problem.starts_with("tone.toml") && problem.contains(expected)),
            "{bad:?} should give {expected:?}, but gives {found:?}"
        );
    }
}

#[test]
fn ids_and_phrases_are_unique_across_files() {
    let problems: Vec<String> =
        CriteriaTree::lint([("a.toml", TONE), ("b.toml", TONE)]).iter().map(ToString::to_string).collect();
    assert!(problems.iter().all(|problem| problem.starts_with("b.toml")), "{problems:?}");
    for expected in ["id `tone` is taken already, in a.toml", "id `tone.range.full`", "`full range`"] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

#[test]
fn a_dimension_needs_a_leaf_and_a_tree_needs_a_dimension() {
    let (head, _) = TONE.split_once("[nodes]").expect("a table");
    assert!(problems_of(head)[0].contains("dimension `tone` has no [[leaf]]"));
    let folder = tempfile::tempdir().expect("a folder");
    let error = CriteriaTree::from_dir(folder.path()).expect_err("an empty folder").to_string();
    assert!(error.contains("no criteria in"), "{error}");
    let missing = folder.path().join("none");
    let error = CriteriaTree::from_dir(&missing).expect_err("no folder").to_string();
    assert!(error.contains(&missing.display().to_string()), "{error}");
}

#[test]
fn a_folder_is_read_by_its_toml_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tone.toml"), TONE).expect("written");
    fs::write(folder.path().join("notes.txt"), "not criteria").expect("written");
    assert_eq!(CriteriaTree::from_dir(folder.path()).expect("a tree").leaves().len(), 1);
    assert!(CriteriaTree::lint_dir(folder.path()).is_empty());
}
