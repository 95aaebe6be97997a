//! Explanations: how strongly the auxiliary model reads each attribute in a picture, and where.
//!
//! A diffusion model that was taught attribute prompts is a classifier (Li et al., "Your Diffusion Model is Secretly
//! a Zero-Shot Classifier", arXiv 2303.16203): the attribute that makes noise easier to predict is the one that the
//! picture shows. For leaf `k` with texts `a+` and `a-`,
//!
//! ```text
//! logit_k = kappa_k * E_{t,eps} [ e(c, a_k^-) - e(c, a_k^+) ] + bias_k
//! e(prompt) = mean((eps - eps_theta(x_t, t, prompt))^2)
//! ```
//!
//! with the same noise for both prompts, so that their differences are paired; see [`Explainer`]. `kappa` and the bias
//! are fitted on annotated pictures, see [`Calibration`].

mod calibration;
mod explainer;
mod prompts;
mod summary;

pub use calibration::{
    Calibration, LeafCalibration, READ_FROM, area_under_curve, expected_calibration_error,
};
pub use explainer::{
    ExplainedPicture, Explainer, ExplanationError, ExplanationOptions, LeafEvidence, LeafExplanation,
};
pub use prompts::leaf_prompts;
pub use summary::{NodeSummary, summarise};
