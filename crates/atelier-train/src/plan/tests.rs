use super::*;
use crate::optimizer::{AdamW, AdamWOptions};
use atelier_core::{
    lora::LoraAdapter,
    noise::NoiseSource,
    pipeline::{Pipeline, SecondTextEncoder},
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn options(model: &str) -> TrainOptions {
    TrainOptions { model: folder(model), size: 64, train_batch_size: 4, ..TrainOptions::default() }
}

fn plan(options: &TrainOptions, device_bytes: Option<u64>) -> Plan {
    Plan::new(options, device_bytes, &Device::flex()).expect("a plan")
}

fn bytes(plan: &Plan, name: &str) -> u64 {
    plan.parts.iter().find(|part| part.name == name).expect("the part").bytes
}

/// What a module's tensors take on their device.
fn measured<M: Module>(module: &M) -> u64 {
    struct Sum(u64);
    impl ModuleVisitor for Sum {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            self.0 += (value.shape().num_elements() * value.dtype().size()) as u64;
        }
    }
    let mut sum = Sum(0);
    module.visit(&mut sum);
    sum.0
}

/// What is counted is exact: no tolerance.
#[test]
fn counted_parts_are_what_a_loaded_model_takes() {
    let device = Device::flex();
    let fixture = |name: &str| format!("crates/atelier-core/tests/fixtures/pipelines/{name}");
    for model in ["models/painter".to_owned(), fixture("sdxl"), fixture("sd3")] {
        for base_precision in [BasePrecision::F32, BasePrecision::F16] {
            let options = TrainOptions { lora_rank: 3, base_precision, ..options(&model) };
            let plan = plan(&options, None);
            let dtype = base_precision.dtype_on(&device).expect("supported");
            let pipeline = Pipeline::load_stored_as(dtype, &options.model as &Path, &device).expect("loads");
            assert_eq!(bytes(&plan, "weights of the denoiser"), measured(&pipeline.denoiser));
            assert_eq!(bytes(&plan, "weights of the text encoder"), measured(&pipeline.text_encoder));
            assert_eq!(bytes(&plan, "weights of the autoencoder"), measured(&pipeline.vae));
            if let Some(second) = &pipeline.second_text_encoder {
                let SecondTextEncoder::Clip { model, .. } = second else { panic!("no fixture has T5 there") };
                assert_eq!(bytes(&plan, "weights of the second text encoder"), measured(model));
            }
            if let Some(third) = &pipeline.third_text_encoder {
                assert_eq!(bytes(&plan, "weights of the third text encoder"), measured(&third.model));
            }
            let config = options.lora().expect("a LoRA");
            let adapter = LoraAdapter::new(&pipeline.denoiser, &config, &mut NoiseSource::new(0), &device);
            assert_moments(&plan, adapter.expect("an adapter"));
        }
    }
}

/// Adapter, gradients and moments are those of a first step.
fn assert_moments(plan: &Plan, adapter: LoraAdapter) {
    struct SumOfAll(Option<Tensor<1>>);
    impl ModuleVisitor for SumOfAll {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let sum = param.val().sum();
            self.0 = Some(match self.0.take() {
                Some(before) => before + sum,
                None => sum,
            });
        }
    }
    assert_eq!(bytes(plan, "adapter"), measured(&adapter));
    let adapter = adapter.train();
    let mut sum = SumOfAll(None);
    adapter.visit(&mut sum);
    let gradients = GradientsParams::from_grads(sum.0.expect("parameters").backward(), &adapter);
    let mut optimizer = AdamW::new(AdamWOptions::default());
    let (adapter, _) = optimizer.step(adapter, gradients, 1e-4);
    let (first, second) = optimizer.moments();
    let moments: usize = first.values().chain(second.values()).map(|it| 4 * it.shape().num_elements()).sum();
    assert_eq!(bytes(plan, "moments of AdamW"), moments as u64);
    assert_eq!(bytes(plan, "gradients"), measured(&adapter));
}

#[test]
fn a_whole_denoiser_trains_all_or_some_of_its_parameters() {
    let mut options = options("models/painter");
    let whole = plan(&options, None);
    assert_eq!(bytes(&whole, "gradients"), bytes(&whole, "weights of the denoiser"));
    options.target_modules = vec!["attn2".to_owned()];
    let some = plan(&options, None);
    assert!(bytes(&some, "gradients") < bytes(&whole, "gradients") / 4);
    assert_eq!(bytes(&some, "moments of AdamW"), 2 * bytes(&some, "gradients"));
}

#[test]
fn activations_grow_with_the_batch_and_shrink_with_checkpointing() {
    let options = TrainOptions { lora_rank: 4, ..options("models/painter") };
    let activations = |options: &TrainOptions| bytes(&plan(options, None), "activations");
    let once = activations(&options);
    let twice = activations(&TrainOptions { train_batch_size: 8, ..options.clone() });
    // Fractions of a byte are cut off.
    assert!(twice.abs_diff(2 * once) <= 1, "{twice} is not twice {once}");
    let checkpointed = activations(&TrainOptions { gradient_checkpointing: true, ..options.clone() });
    assert!(checkpointed < once / 2, "{checkpointed} of {once}");
}

#[test]
fn advice_is_given_until_it_fits() {
    let options = options("models/painter");
    let total = plan(&options, None).total_bytes;
    assert_eq!(plan(&options, Some(total)).fits, Some(true));
    let tight = plan(&options, Some(total - 1));
    assert_eq!((tight.fits, tight.advice.len()), (Some(false), 1));
    assert!(tight.advice[0].contains("--lora-rank 16"), "{:?}", tight.advice);
    let impossible = plan(&options, Some(1));
    for flag in ["--gradient-checkpointing", "--base-precision f16", "--train-batch-size 1", "--size"] {
        assert!(impossible.advice.iter().any(|it| it.contains(flag)), "{flag}: {:?}", impossible.advice);
    }
}
