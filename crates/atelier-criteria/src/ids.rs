//! The form of ids, and the ids nearest to a mistyped one.

/// Whether `word` is lower-case letters and digits in groups joined by single hyphens.
pub(crate) fn is_kebab_case(word: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    word.split('-').all(is_part)
}

/// Whether every segment of `id` is in kebab case.
pub(crate) fn is_id(id: &str) -> bool {
    id.split('.').all(is_kebab_case)
}

/// The proper prefixes of `id` on whole segments, the shortest first.
pub(crate) fn ancestors(id: &str) -> impl Iterator<Item = &str> {
    id.match_indices('.').map(|(dot, _)| &id[..dot])
}

/// At most three of `candidates` that `wanted` may have meant, the likeliest first: ids that contain it, then ids at
/// most a third of its characters away.
pub(crate) fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (wanted.chars().count() / 3).max(2);
    let mut close: Vec<(usize, &str)> = candidates
        .map(|id| {
            let contains = !wanted.is_empty() && id.contains(wanted);
            (if contains { 0 } else { edit_distance(wanted, id) }, id)
        })
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    close.sort_by_key(|(distance, _)| *distance);
    close.into_iter().take(3).map(|(_, id)| id.to_owned()).collect()
}

/// The Levenshtein distance of two texts: how many characters are put in, taken out or changed to make one of the other.
pub fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kebab_case_has_no_empty_part_and_no_capital() {
        for good in ["a", "warm-cool", "plane-2"] {
            assert!(is_kebab_case(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "Warm", "a_b", "a b", "façade"] {
            assert!(!is_kebab_case(bad), "{bad}");
        }
        assert!(is_id("a.b-c.d") && !is_id("a..b") && !is_id("a.b."));
    }

    #[test]
    fn ancestors_and_descendants_end_at_whole_segments() {
        assert_eq!(ancestors("a.bc.d").collect::<Vec<_>>(), ["a", "a.bc"]);
    }

    #[test]
    fn suggestions_prefer_contained_words_and_leave_out_far_ones() {
        let ids = ["colour.harmony.hue", "colour.harmony.accent", "light.range"];
        assert_eq!(nearest("harmony.hue", ids.into_iter()), ["colour.harmony.hue"]);
        assert_eq!(nearest("colour.harmony.accnt", ids.into_iter())[0], "colour.harmony.accent");
        assert!(nearest("x", ids.into_iter()).is_empty());
    }

    proptest! {
        #[test]
        fn edit_distance_is_a_metric(a in "[a-c]{0,6}", b in "[a-c]{0,6}", c in "[a-c]{0,6}") {
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
            prop_assert_eq!(edit_distance(&a, &b) == 0, a == b);
            prop_assert!(edit_distance(&a, &c) <= edit_distance(&a, &b) + edit_distance(&b, &c));
        }
    }
}
