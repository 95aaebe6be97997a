//! The pages, as the fragment of the address names them.

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Page {
    /// Painting.
    #[default]
    Paint,
    /// Reading attributes in one's own picture.
    Explain,
    /// The tree of criteria.
    Criteria,
    /// Earlier pictures.
    Gallery,
    /// How fast the device is.
    Bench,
}

impl Page {
    /// Every page, in the order of the navigation.
    pub const ALL: [Self; 5] = [Self::Paint, Self::Explain, Self::Criteria, Self::Gallery, Self::Bench];

    /// The word of the fragment.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Paint => "paint",
            Self::Explain => "explain",
            Self::Criteria => "criteria",
            Self::Gallery => "gallery",
            Self::Bench => "bench",
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paint => "Paint",
            Self::Explain => "Explain",
            Self::Criteria => "Criteria",
            Self::Gallery => "Gallery",
            Self::Bench => "Benchmark",
        }
    }

    /// The page and the query of a fragment, with or without its `#`: `#paint?seed=1`. What names no page is the first one.
    #[must_use]
    pub fn parse(fragment: &str) -> (Self, Option<&str>) {
        let fragment = fragment.strip_prefix('#').unwrap_or(fragment);
        let (key, query) = match fragment.split_once('?') {
            Some((key, query)) => (key, Some(query).filter(|query| !query.is_empty())),
            None => (fragment, None),
        };
        (Self::ALL.into_iter().find(|page| page.key() == key).unwrap_or_default(), query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_name_pages() {
        for page in Page::ALL {
            assert_eq!(Page::parse(&format!("#{}", page.key())), (page, None));
        }
        assert_eq!(Page::parse("#paint?seed=1&count=2"), (Page::Paint, Some("seed=1&count=2")));
        assert_eq!(Page::parse("#gallery?"), (Page::Gallery, None));
        for unknown in ["", "#", "#nowhere", "#Paint"] {
            assert_eq!(Page::parse(unknown), (Page::Paint, None));
        }
    }
}
