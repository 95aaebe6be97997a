//! The two prompts that a leaf is read with.

use atelier_criteria::{Leaf, prompt::Prompt};

/// `caption` with the positive attribute of `leaf`, and with its negative one.
pub fn leaf_prompts(caption: &str, leaf: &Leaf) -> [String; 2] {
    let prompt = |positive: Vec<String>, negative: Vec<String>| {
        Prompt { caption: caption.to_owned(), positive, negative }.compose()
    };
    [
        prompt(vec![leaf.positive.phrase.clone()], Vec::new()),
        prompt(Vec::new(), vec![leaf.negative.phrase.clone()]),
    ]
}
