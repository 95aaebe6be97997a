//! Every objective teaches a model what it says it does.

use super::*;
use crate::run::overfitting::{Overfitting, fixture, latents, paintings};

impl WithTask for Overfitting {
    type Output = [f32; 2];

    fn with<T: Task<Model = TrainedDenoiser>>(self, task: &mut T) -> Result<[f32; 2], TrainError> {
        self.run(task)
    }
}

#[test]
fn every_objective_teaches_its_batch() {
    use ObjectiveKind::{Cpo, Ddspo, DiffusionDpo, DiffusionKto, DiffusionNpo, DiffusionSdpo, Mapo, Sft};
    let folder = tempfile::tempdir().expect("a folder");
    let data = paintings(folder.path());
    let tree = CriteriaTree::embedded();
    let device = Device::flex();
    for objective in [Cpo, Sft, DiffusionDpo, DiffusionSdpo, Ddspo, DiffusionKto, Mapo, DiffusionNpo] {
        // What its safeguard protects; its preference is not a minimum of its loss.
        let watched = if objective == DiffusionSdpo { "mse_winning" } else { "loss" };
        for seed in 0..3 {
            let options = TrainOptions {
                data: data.clone(),
                model: fixture("sd"),
                auxiliary: fixture("sd"),
                size: 16,
                objective,
                ..TrainOptions::default()
            };
            let alignment = Alignment::read(&options, tree, &device).expect("models and data");
            let Alignment { pipeline, data, options, .. } = &alignment;
            let latents = latents(data, pipeline, options);
            let model = trained(pipeline, options, &device).expect("a model");
            let overfitting = Overfitting { model, seed, learning_rate: 3e-3, watched };
            let [before, after] = alignment.with_task(tree, &latents, overfitting).expect("a task");
            println!("{} with seed {seed}: {before} became {after}", objective.name());
            assert!(after < 0.9 * before, "{}: {watched} of {before} became {after}", objective.name());
        }
    }
}
