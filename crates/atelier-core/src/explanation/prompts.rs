//! The two prompts that a leaf is read with.

use atelier_criteria::prompt::Prompt;

/// `caption` with the positive attribute of a leaf, and with its negative one; `phrases` are the two.
pub fn leaf_prompts(caption: &str, phrases: [&str; 2]) -> [String; 2] {
    let prompt = |positive: Vec<String>, negative: Vec<String>| {
        Prompt { caption: caption.to_owned(), positive, negative }.compose()
    };
    let [positive, negative] = phrases.map(|phrase| vec![phrase.to_owned()]);
    [prompt(positive, Vec::new()), prompt(Vec::new(), negative)]
}
