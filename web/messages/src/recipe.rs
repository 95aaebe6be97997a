//! The recipe of a picture: all that reproduces it.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use thiserror::Error;

/// A model that paints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// The small painter.
    Base,
    /// The small painter after alignment.
    Aligned,
}

impl Model {
    /// The word of links and of HTML attributes.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Aligned => "aligned",
        }
    }
}

/// Which models paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The small painter.
    Base,
    /// The small painter after alignment.
    Aligned,
    /// Both, from the same seeds, side by side.
    #[default]
    Both,
}

impl Choice {
    /// The models in the order in which they paint.
    #[must_use]
    pub const fn models(self) -> &'static [Model] {
        match self {
            Self::Base => &[Model::Base],
            Self::Aligned => &[Model::Aligned],
            Self::Both => &[Model::Base, Model::Aligned],
        }
    }

    /// The word of links and of HTML attributes.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Aligned => "aligned",
            Self::Both => "both",
        }
    }
}

/// A sampler, as `SchedulerKind` of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// DDPM: fresh noise at every step, which lets the small painter take its specks away again.
    #[default]
    Ddpm,
    /// DDIM.
    Ddim,
    /// Euler.
    Euler,
    /// DPM-Solver++, second order.
    DpmSolver,
}

impl Sampler {
    /// Every sampler.
    pub const ALL: [Self; 4] = [Self::Ddpm, Self::Ddim, Self::Euler, Self::DpmSolver];

    /// The word of links and of `atelier sample --scheduler`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::DpmSolver => "dpm-solver",
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "DDPM",
            Self::Ddim => "DDIM",
            Self::Euler => "Euler",
            Self::DpmSolver => "DPM-Solver++",
        }
    }
}

/// All that reproduces a picture, except the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The whole prompt: a caption, or a caption with blocks of attributes.
    pub prompt: String,
    /// Denoising steps, 1 to [`Recipe::MAX_STEPS`].
    pub steps: u32,
    /// Guidance scale, [`Recipe::GUIDANCE`]; 1 is none.
    pub guidance: f64,
    /// The sampler.
    pub sampler: Sampler,
    /// Seed of the first picture, below 2^53 so that JavaScript can hold it; the next ones follow.
    pub seed: u64,
    /// Pictures of each model, 1 to [`Recipe::MAX_COUNT`].
    pub count: u32,
}

/// A link does not hold a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the link's `{key}` is `{value}`, which should be {expected}")]
pub struct RecipeError {
    /// The parameter of the link.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub expected: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            prompt: "a seascape with cliffs and a lighthouse at sunset".to_owned(),
            steps: 30,
            guidance: 2.0,
            sampler: Sampler::default(),
            seed: 1,
            count: 1,
        }
    }
}

impl Recipe {
    /// More steps gain nothing.
    pub const MAX_STEPS: u32 = 100;
    /// More pictures at once would keep a visitor waiting.
    pub const MAX_COUNT: u32 = 8;
    /// Beyond it pictures only get glaring.
    pub const GUIDANCE: std::ops::RangeInclusive<f64> = 1.0..=10.0;
    /// Characters of a prompt; the model reads far fewer.
    pub const MAX_PROMPT: usize = 600;
    /// One more than the largest seed: what a JavaScript number counts exactly.
    pub const SEEDS: u64 = 1 << 53;

    /// The recipe and the choice of models as a query, `prompt=…&steps=30…`, for the fragment of a link.
    #[must_use]
    pub fn to_query(&self, choice: Choice) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("prompt", &self.prompt)
            .append_pair("steps", &self.steps.to_string())
            .append_pair("guidance", &self.guidance.to_string())
            .append_pair("sampler", self.sampler.key())
            .append_pair("seed", &self.seed.to_string())
            .append_pair("count", &self.count.to_string())
            .append_pair("model", choice.key())
            .finish()
    }

    /// Reads [`Recipe::to_query`]'s text. What is missing has its default; keys that are not known are left alone, so that
    /// links of later versions still work.
    ///
    /// # Errors
    /// [`RecipeError`] for the first value that is not allowed.
    pub fn from_query(query: &str) -> Result<(Self, Choice), RecipeError> {
        let (mut recipe, mut choice) = (Self::default(), Choice::default());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "prompt" if value.chars().count() <= Self::MAX_PROMPT => recipe.prompt = value.into_owned(),
                "prompt" => {
                    let value: String = value.chars().take(40).collect::<String>() + "…";
                    return Err(refused(&key, &value, format!("at most {} characters", Self::MAX_PROMPT)));
                }
                "steps" => recipe.steps = within(&key, &value, 1, Self::MAX_STEPS)?,
                "guidance" => {
                    let (low, high) = Self::GUIDANCE.into_inner();
                    recipe.guidance = within(&key, &value, low, high)?;
                }
                "sampler" => recipe.sampler = one_of(&key, &value, &Sampler::ALL, Sampler::key)?,
                "seed" => recipe.seed = within(&key, &value, 0, Self::SEEDS - 1)?,
                "count" => recipe.count = within(&key, &value, 1, Self::MAX_COUNT)?,
                "model" => {
                    let all = [Choice::Base, Choice::Aligned, Choice::Both];
                    choice = one_of(&key, &value, &all, Choice::key)?;
                }
                _ => {}
            }
        }
        Ok((recipe, choice))
    }

    /// The seed of picture `index`; after the largest comes 0.
    #[must_use]
    pub fn seed_of(&self, index: u32) -> u64 {
        (self.seed + u64::from(index)) % Self::SEEDS
    }
}

fn refused(key: &str, value: &str, expected: String) -> RecipeError {
    RecipeError { key: key.to_owned(), value: value.to_owned(), expected }
}

fn within<T>(key: &str, value: &str, low: T, high: T) -> Result<T, RecipeError>
where
    T: FromStr + PartialOrd + std::fmt::Display + Copy,
{
    match value.parse::<T>() {
        Ok(number) if low <= number && number <= high => Ok(number),
        _ => Err(refused(key, value, format!("a number from {low} to {high}"))),
    }
}

fn one_of<T: Copy>(
    key: &str,
    value: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<T, RecipeError> {
    all.iter().copied().find(|&one| word(one) == value).ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|&one| word(one)).collect();
        refused(key, value, format!("one of {}", words.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_link_gives_the_recipe_back(
            prompt in ".{0,80}",
            steps in 1..=Recipe::MAX_STEPS,
            guidance in Recipe::GUIDANCE,
            sampler in proptest::sample::select(Sampler::ALL.to_vec()),
            seed in 0..Recipe::SEEDS,
            count in 1..=Recipe::MAX_COUNT,
            choice in proptest::sample::select(vec![Choice::Base, Choice::Aligned, Choice::Both]),
        ) {
            let recipe = Recipe { prompt, steps, guidance, sampler, seed, count };
            let query = recipe.to_query(choice);
            prop_assert!(query.is_ascii());
            prop_assert_eq!(Recipe::from_query(&query), Ok((recipe, choice)));
        }

        #[test]
        fn no_text_makes_it_panic(query in ".{0,200}") {
            let _ = Recipe::from_query(&query);
        }
    }

    #[test]
    fn what_a_link_leaves_out_has_its_default() {
        let (recipe, choice) = Recipe::from_query("steps=7&later=1").unwrap();
        assert_eq!(recipe, Recipe { steps: 7, ..Recipe::default() });
        assert_eq!(choice, Choice::default());
    }

    #[test]
    fn wrong_values_are_named() {
        let message = |query: &str| Recipe::from_query(query).unwrap_err().to_string();
        assert_eq!(message("steps=0"), "the link's `steps` is `0`, which should be a number from 1 to 100");
        assert!(message("guidance=NaN").contains("a number from 1 to 10"));
        assert!(message("seed=9007199254740992").contains("9007199254740991"));
        assert!(message("sampler=magic").contains("one of ddpm, ddim, euler, dpm-solver"));
        assert!(message(&format!("prompt={}", "a".repeat(601))).contains("at most 600 characters"));
    }

    #[test]
    fn seeds_go_on_after_the_largest() {
        let recipe = Recipe { seed: Recipe::SEEDS - 1, ..Recipe::default() };
        assert_eq!((recipe.seed_of(0), recipe.seed_of(1)), (Recipe::SEEDS - 1, 0));
    }
}
