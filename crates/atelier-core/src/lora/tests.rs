use super::*;
use crate::models::layers::{Conv2d, Conv2dConfig, Linear, LinearConfig, adaptable};
use crate::noise::NoiseSource;
use crate::weights::TensorValues;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use futures_lite::future::block_on;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Module, Debug)]
struct Model {
    to_q: Linear,
    conv: Conv2d,
}

adaptable!(Model { to_q, conv });

impl Model {
    fn new(device: &Device) -> Self {
        Self {
            to_q: LinearConfig::new(6, 5).init(device),
            conv: Conv2dConfig::new([3, 6], [3, 3]).with_padding([(1, 1); 2]).init(device),
        }
    }

    /// `[batch, 3, height, width]` to `[batch, pixels, 5]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, _, height, width] = x.dims();
        self.to_q.forward(self.conv.forward(x).reshape([batch, 6, height * width]).swap_dims(1, 2))
    }
}

fn config(rank: usize) -> LoraConfig {
    let target_modules = ["to_q", "conv"].map(str::to_owned).to_vec();
    LoraConfig { rank, alpha: 3.0, target_modules, dropout: 0.0 }
}

/// A fresh adapter changes nothing; this one does.
fn trained(model: &Model, rank: usize, seed: u64) -> LoraAdapter {
    let mut noise = NoiseSource::new(seed);
    let mut adapter = LoraAdapter::new(model, &config(rank), &mut noise, &Device::flex()).unwrap();
    for layer in &mut adapter.layers {
        let [outputs, rank] = layer.up.dims();
        let values = noise.normal([1, 1, outputs, rank], &Device::flex()).reshape([outputs, rank]);
        layer.up = Param::from_tensor(values.mul_scalar(0.1));
    }
    adapter
}

fn distance(a: Tensor<3>, b: Tensor<3>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn input(seed: u64) -> Tensor<4> {
    NoiseSource::new(seed).normal([2, 3, 4, 5], &Device::flex())
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    let model = Model::new(&Device::flex());
    let adapter = LoraAdapter::new(&model, &config(2), &mut NoiseSource::new(0), &Device::flex()).unwrap();
    let adapted = adapter.attach(&model, 1.0).unwrap();
    assert_eq!(distance(adapted.forward(input(1)), model.forward(input(1))), 0.0);
}

proptest! {
    /// 1e-5: f32 sums of 27 values around 1 in another order.
    #[test]
    fn merging_equals_attaching(rank in 1_usize..4, scale in -1.0..2.0, seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let adapter = trained(&model, rank, seed);
        let attached = adapter.attach(&model, scale).unwrap().forward(input(seed));
        let merged = adapter.merge(&model, scale).unwrap().forward(input(seed));
        prop_assert!(distance(attached.clone(), merged) < 1e-5);
        prop_assert!(scale.abs() < 0.1 || distance(attached, model.forward(input(seed))) > 1e-4);
    }

    #[test]
    fn several_adapters_add_up(seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let (first, second) = (trained(&model, 1, seed), trained(&model, 2, seed + 1));
        let both = first.attach(&second.attach(&model, 0.5).unwrap(), 2.0).unwrap();
        let merged = first.merge(&second.merge(&model, 0.5).unwrap(), 2.0).unwrap();
        prop_assert!(distance(both.forward(input(seed)), merged.forward(input(seed))) < 1e-5);
    }

    #[test]
    fn a_file_gives_the_adapter_back(rank in 1_usize..4, seed in 0_u64..1000) {
        let model = Model::new(&Device::flex());
        let adapter = trained(&model, rank, seed);
        let (tensors, metadata) = block_on(adapter.to_tensors(Component::Unet)).unwrap();
        let file = LoraFile::new(tensors, &metadata).unwrap();
        let read = file.adapter(Component::Unet, &model, &Device::flex()).unwrap().unwrap();
        prop_assert!(file.adapter(Component::TextEncoder, &model, &Device::flex()).unwrap().is_none());
        let [before, after] = [&adapter, &read].map(|it| it.attach(&model, 1.0).unwrap().forward(input(seed)));
        prop_assert_eq!(distance(before, after), 0.0);
    }
}

#[test]
fn dropout_keeps_the_mean() {
    let model = Model::new(&Device::flex());
    let adapter = trained(&model, 2, 7);
    let mut noise = NoiseSource::new(8);
    let draws = 400;
    let sum = (0..draws)
        .map(|_| adapter.attach_for_training(&model, 0.5, &mut noise).conv.forward(input(1)))
        .reduce(|sum, output| sum + output)
        .unwrap();
    let expected = adapter.attach(&model, 1.0).unwrap().conv.forward(input(1));
    let plain = model.conv.forward(input(1));
    let error: f32 = (sum.div_scalar(draws as f64) - expected.clone()).abs().max().into_scalar();
    let size: f32 = (expected - plain).abs().max().into_scalar();
    // The mean of 400 draws of deviation about `size` is off by a twentieth of it; five deviations.
    assert!(error < 0.25 * size, "{error} of {size}");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let device = Device::flex();
    let model = Model::new(&device);
    let adapter = trained(&model, 2, 3);
    let mut wider = model.clone();
    wider.to_q = LinearConfig::new(6, 7).init(&device);
    let error = adapter.attach(&wider, 1.0).unwrap_err().to_string();
    assert!(error.contains("to_q goes from 6 to 5 channels, that of the model from 6 to 7"), "{error}");
    let error = adapter.attach(&model.conv, 1.0).unwrap_err();
    assert!(matches!(&error, LoraError::OtherModel { missing, .. } if missing.len() == 2), "{error}");
}

#[test]
fn unknown_targets_name_those_that_exist() {
    let mut config = config(1);
    config.target_modules = vec!["q".to_owned()];
    let model = Model::new(&Device::flex());
    let error = LoraAdapter::new(&model, &config, &mut NoiseSource::new(0), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("layers such as conv, to_q"), "{error}");
}

fn values(shape: &[usize]) -> TensorValues {
    let count = shape.iter().product();
    let values = (0..count).map(|index| 0.5 - index as f32 / 7.0).collect();
    TensorValues::new(shape.to_vec(), values).unwrap()
}

fn file(tensors: &[(&str, TensorValues)]) -> Result<LoraFile, LoraError> {
    let tensors = tensors.iter().map(|(key, values)| ((*key).to_owned(), values.clone()));
    LoraFile::new(tensors.collect(), &BTreeMap::new())
}

fn adapter_in(file: Result<LoraFile, LoraError>) -> Result<LoraAdapter, LoraError> {
    let model = Model::new(&Device::flex());
    Ok(file?.adapter(Component::Unet, &model, &Device::flex())?.expect("an adapter"))
}

#[track_caller]
fn assert_refused(tensors: &[(&str, TensorValues)], parts: &[&str]) {
    let error = adapter_in(file(tensors)).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn files_of_other_kinds_are_refused() {
    let new = |key: &str| file(&[(key, values(&[1]))]);
    let error = new("lora_unet_conv.hada_w1_a").unwrap_err().to_string();
    assert!(error.contains("LoHa"), "{error}");
    let empty = LoraFile::new(BTreeMap::new(), &BTreeMap::new()).unwrap_err();
    assert!(matches!(empty, LoraError::Empty));
    let half = new("unet.to_q.alpha").unwrap();
    let model = Model::new(&Device::flex());
    let error = half.adapter(Component::Unet, &model, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("lora_A"), "{error}");
}

#[test]
fn what_is_broken_is_named() {
    let (down, up) = ("lora_unet_to_q.lora_down.weight", "lora_unet_to_q.lora_up.weight");
    assert_refused(&[(down, values(&[2, 6]))], &[down, "no lora_B (lora_up)"]);
    assert_refused(&[(up, values(&[5, 2]))], &[up, "no lora_A (lora_down)"]);
    assert_refused(&[(down, values(&[0, 6])), (up, values(&[5, 0]))], &[down, "rank is 0"]);
    assert_refused(&[(down, values(&[2, 8])), (up, values(&[5, 2]))], &[down, "[2, 8]", "to_q has 6 inputs"]);
    assert_refused(&[(down, values(&[2, 6])), (up, values(&[5, 3]))], &[up, "[5, 3]", "5 outputs", "rank 2"]);
    assert_refused(&[(down, values(&[12])), (up, values(&[5, 2]))], &[down, "[12]"]);
    assert_refused(&[(down, values(&[2, 6, 3, 3])), (up, values(&[5, 2]))], &[down, "[2, 6, 3, 3]"]);
    let pair = [(down, values(&[2, 6])), (up, values(&[5, 2]))];
    let alpha = ("lora_unet_to_q.alpha", values(&[2]));
    assert_refused(&[&pair[..], &[alpha]].concat(), &["lora_unet_to_q.alpha", "not a single number"]);
    let other = [("to_k.lora_A.weight", values(&[2, 6])), ("to_k.lora_B.weight", values(&[5, 2]))];
    assert_refused(&other, &["to_k", "1 of its layers", "conv, to_q"]);
    let twice = ("to_q.lora_A.weight", values(&[1, 6]));
    assert_refused(&[&pair[..], &[twice]].concat(), &["to_q.lora_A.weight", down, "differ"]);
    for (end, kind) in [("dora_scale", "DoRA"), ("lora_mid.weight", "Tucker"), ("diff_b", "whole biases")] {
        let key = format!("lora_unet_to_q.{end}");
        assert_refused(&[&pair[..], &[(&key, values(&[5, 1]))]].concat(), &[&key, kind, "not supported"]);
    }
    // What was never trained changes nothing.
    let zeros = TensorValues::new(vec![5], vec![0.0; 5]).unwrap();
    let bias = ("lora_unet_to_q.diff_b", zeros);
    assert!(adapter_in(file(&[&pair[..], &[bias]].concat())).is_ok());
}

#[test]
fn matrices_and_kernels_of_one_pixel_are_the_same() {
    let device = Device::flex();
    let linear = Model::new(&device);
    let mut convolution = ConvolutionModel { proj_in: Conv2dConfig::new([6, 5], [1, 1]).init(&device) };
    convolution.proj_in.bias = None;
    let numbers = |adapter: &LoraAdapter| -> Vec<f32> {
        let layer = &adapter.layers()[0];
        let [down, up] =
            [&layer.down, &layer.up].map(|it| it.val().into_data().iter::<f32>().collect::<Vec<_>>());
        [down, up].concat()
    };
    let expected = [values(&[2, 6]).values(), values(&[5, 2]).values()].concat();
    for (down, up) in [
        (&[2, 6][..], &[5, 2][..]),
        (&[2, 6, 1, 1], &[5, 2, 1, 1]),
        (&[2, 6, 1, 1], &[5, 2]),
        (&[2, 6], &[5, 2, 1, 1]),
    ] {
        let file = |layer: &str| {
            let keys = [format!("unet.{layer}.lora_A.weight"), format!("unet.{layer}.lora_B.weight")];
            file(&[(&keys[0], values(down)), (&keys[1], values(up))]).unwrap()
        };
        let adapter = file("to_q").adapter(Component::Unet, &linear, &device).unwrap().unwrap();
        assert_eq!(numbers(&adapter), expected);
        adapter.attach(&linear, 1.0).unwrap();
        let adapter = file("proj_in").adapter(Component::Unet, &convolution, &device).unwrap().unwrap();
        assert_eq!(numbers(&adapter), expected);
        adapter.attach(&convolution, 1.0).unwrap();
    }
    // A larger kernel may be in rows, but is no matrix of its channels.
    let conv = |down: &[usize]| {
        let keys = ("unet.conv.lora_A.weight", "unet.conv.lora_B.weight");
        adapter_in(file(&[(keys.0, values(down)), (keys.1, values(&[6, 2]))]))
    };
    assert!(conv(&[2, 3, 3, 3]).is_ok() && conv(&[2, 27]).is_ok());
    let error = conv(&[2, 3]).unwrap_err().to_string();
    assert!(error.contains("3 times 3x3 inputs"), "{error}");
}

#[derive(Module, Debug)]
struct ConvolutionModel {
    proj_in: Conv2d,
}

adaptable!(ConvolutionModel { proj_in });

#[test]
fn strengths_are_read_from_where_they_stand() {
    let pair = [("unet.to_q.lora_A.weight", values(&[4, 6])), ("unet.to_q.lora_B.weight", values(&[5, 4]))];
    let tensors: BTreeMap<String, TensorValues> =
        pair.iter().map(|(key, values)| ((*key).to_owned(), values.clone())).collect();
    let alpha = |metadata: &str, config: &str, alpha: Option<f32>| -> Result<f64, String> {
        let mut tensors = tensors.clone();
        if let Some(alpha) = alpha {
            tensors.insert("unet.to_q.alpha".to_owned(), TensorValues::new(vec![1], vec![alpha]).unwrap());
        }
        let metadata = BTreeMap::from([("lora_adapter_metadata".to_owned(), metadata.to_owned())]);
        let file = LoraFile::new(tensors, &metadata).and_then(|it| it.with_adapter_config(config.as_bytes()));
        adapter_in(file).map(|adapter| adapter.layers()[0].alpha()).map_err(|error| error.to_string())
    };
    // By default the matrices' product counts as it is.
    assert_eq!(alpha("{}", "{}", None), Ok(4.0));
    assert_eq!(alpha("{}", r#"{"r": 4, "lora_alpha": 32}"#, None), Ok(32.0));
    assert_eq!(alpha(r#"{"unet.lora_alpha": 3}"#, r#"{"lora_alpha": 32}"#, None), Ok(3.0));
    assert_eq!(alpha(r#"{"lora_alpha": 3}"#, "{}", None), Ok(3.0));
    assert_eq!(alpha(r#"{"transformer.lora_alpha": 3}"#, "{}", None), Ok(4.0));
    assert_eq!(alpha(r#"{"unet.lora_alpha": 3}"#, "{}", Some(0.0)), Ok(0.0));
    // 3 / sqrt(4) is 6 / 4.
    let stabilised = r#"{"unet.lora_alpha": 3, "unet.use_rslora": true}"#;
    assert_eq!(alpha(stabilised, "{}", None), Ok(6.0));
    let error = alpha(stabilised, "{}", Some(3.0)).unwrap_err();
    assert!(error.contains("unet.to_q.alpha") && error.contains("use_rslora"), "{error}");
    let error = alpha("{}", r#"{"r": 8, "lora_alpha": 8}"#, None).unwrap_err();
    assert!(error.contains("`adapter_config.json` says that to_q has the rank 8"), "{error}");
    let error = alpha("{", "{}", None).unwrap_err();
    assert!(error.contains("`lora_adapter_metadata` cannot be read"), "{error}");
}

/// Keys of which some are a LoRA's, with tensors of which some fit.
fn any_tensors() -> impl Strategy<Value = BTreeMap<String, TensorValues>> {
    let prefix = prop::sample::select(vec!["", "unet.", "lora_unet_", "base_model.model.", "text_encoder."]);
    let layer =
        prop::sample::select(vec!["to_q", "conv", "to_out.0", "double_blocks.0.img_attn.qkv", "", "."]);
    let ends =
        vec!["lora_A.weight", "lora_B.weight", "lora_down.weight", "lora_up.weight", "alpha", "diff_b", "x"];
    let key = (prefix, layer, prop::sample::select(ends))
        .prop_map(|(prefix, layer, end)| format!("{prefix}{layer}.{end}"));
    let shape = prop_oneof![
        prop::sample::select(vec![
            vec![2, 6],
            vec![5, 2],
            vec![6, 2],
            vec![2, 3, 3, 3],
            vec![6, 2, 1, 1],
            vec![]
        ]),
        prop::collection::vec(0..7_usize, 0..5),
    ];
    prop::collection::btree_map(key, shape.prop_map(|shape| values(&shape)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_file_gives_an_adapter_or_a_reason(tensors in any_tensors()) {
        let device = Device::flex();
        let model = Model::new(&device);
        if let Ok(file) = LoraFile::new(tensors, &BTreeMap::new()) {
            for component in file.components() {
                match file.adapter(component, &model, &device) {
                    Ok(adapter) => {
                        adapter.expect("the file has the component").attach(&model, 1.0).unwrap();
                    }
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
