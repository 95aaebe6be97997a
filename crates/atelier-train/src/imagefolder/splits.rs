//! Training, validation and test data in one folder, told apart as `datasets` of Hugging Face does: by names of folders.

use std::path::{Component, Path};

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is looked at during training, and calibrated on.
    Validation,
    /// What is kept for the end.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name, and that of its folder where Atelier makes one.
    pub fn name(self) -> &'static str {
        self.keywords()[0]
    }

    /// The words that name its folders: `SPLIT_KEYWORDS` of `datasets/data_files.py`.
    pub fn keywords(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Validation => &["validation", "valid", "dev", "val"],
            Self::Test => &["test", "testing", "eval", "evaluation"],
        }
    }

    /// The split whose folder is called `name`: one of the keywords, alone or set off by digits, dots, spaces, hyphens or
    /// underscores, as in `train_2` or `my-test`. Capitals do not matter.
    pub fn of_folder(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let is_apart = |text: Option<char>| {
            text.is_none_or(|next| matches!(next, '-' | '.' | '_' | ' ') || next.is_ascii_digit())
        };
        let names = |keyword: &&str| {
            name.match_indices(*keyword).any(|(start, _)| {
                is_apart(name[..start].chars().next_back())
                    && is_apart(name[start + keyword.len()..].chars().next())
            })
        };
        // Test before training: what is in doubt is not trained on.
        Self::ALL.into_iter().rev().find(|split| split.keywords().iter().any(names))
    }

    /// The split of the picture at `path` inside a data folder. Where folders in one another name several, those that are not
    /// trained on come first.
    pub fn of_path(path: &Path) -> Option<Self> {
        let folders = path.parent()?.components().filter_map(|part| match part {
            Component::Normal(name) => Self::of_folder(name.to_str()?),
            _ => None,
        });
        folders.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_in_datasets() {
        for (name, expected) in [
            ("train", Some(Split::Train)),
            ("Training", Some(Split::Train)),
            ("train_2", Some(Split::Train)),
            ("val", Some(Split::Validation)),
            ("dev-set", Some(Split::Validation)),
            ("my test", Some(Split::Test)),
            ("2024.eval.new", Some(Split::Test)),
            ("train-test", Some(Split::Test)),
            ("portraits", None),
            ("trains", None),
            ("contest", None),
            ("development", None),
            ("", None),
        ] {
            assert_eq!(Split::of_folder(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_is_in_the_split_of_its_folders_and_its_own_name_does_not_count() {
        assert_eq!(Split::of_path(Path::new("train/a.png")), Some(Split::Train));
        assert_eq!(Split::of_path(Path::new("sea/val/boats/a.png")), Some(Split::Validation));
        assert_eq!(Split::of_path(Path::new("train/test/a.png")), Some(Split::Test));
        assert_eq!(Split::of_path(Path::new("test_1.png")), None);
        assert_eq!(Split::of_path(Path::new("sea/train.png")), None);
    }
}
