//! Figures in plain words.

/// Bytes in megabytes, with one digit after the point: `3.2 of 9.6 MB`.
#[must_use]
pub fn megabytes(received: u64, total: u64) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    format!("{:.1} of {:.1} MB", megabytes(received), megabytes(total))
}

/// A duration in plain words: `3 s`, `1 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `1 picture`, `3 pictures`.
#[must_use]
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `text` with a capital at its beginning.
#[must_use]
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(megabytes(3_240_000, 9_600_000), "3.2 of 9.6 MB");
        let durations =
            [(0.2, "0 s"), (59.6, "1 min"), (80.0, "1 min 20 s"), (3600.0, "1 h"), (7500.0, "2 h 5 min")];
        for (seconds, text) in durations {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!((count(1, "leaf"), count(2, "picture")), ("1 leaf".to_owned(), "2 pictures".to_owned()));
        assert_eq!(capitalised("muddy colour"), "Muddy colour");
        assert_eq!(capitalised(""), "");
    }
}
