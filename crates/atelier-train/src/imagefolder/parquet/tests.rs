use super::*;
use proptest::prelude::*;

/// One table by pyarrow 26 (`write_table` with `write_statistics=False, store_schema=False`): with dictionaries and Snappy; in
/// two groups of rows, pages of the second version and Zstandard; and without any of it.
const SNAPPY: &[u8] = include_bytes!("../../../tests/fixtures/metadata-snappy.parquet");
const ZSTANDARD: &[u8] = include_bytes!("../../../tests/fixtures/metadata-zstandard.parquet");
const PLAIN: &[u8] = include_bytes!("../../../tests/fixtures/metadata-plain.parquet");

#[test]
fn tables_of_all_kinds_are_one() {
    let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let row = |line: usize, text: &str, positive: &[&str], negative: &[&str]| Row {
        line,
        file_name: format!("{line}.png"),
        text: text.to_owned(),
        labels: Labels { positive: own(positive), negative: own(negative) },
    };
    let expected = [
        row(1, "a boat", &["a.b", "c.d"], &[]),
        row(2, "a boat", &[], &["x.y"]),
        row(3, "a sea, é", &[], &[]),
        row(4, "", &["e"], &[]),
    ];
    for bytes in [SNAPPY, ZSTANDARD, PLAIN] {
        assert_eq!(parse(bytes).expect("a table"), expected);
    }
}

#[test]
fn what_is_no_whole_file_is_an_error() {
    for length in 0..PLAIN.len() {
        assert!(parse(&PLAIN[..length]).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = [SNAPPY, ZSTANDARD, PLAIN][which].to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        let _ = parse(&bytes);
    }
}
