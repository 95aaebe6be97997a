//! However a tool names the layers of a LoRA, the same numbers give the same adapter.

#![recursion_limit = "256"]

mod support;

use atelier_core::lora::{Component, LoraAdapter, LoraConfig, LoraFile};
use atelier_core::models::{
    clip_text::CLIPTextConfig, layers::Adaptable, t5_encoder::T5Config,
    transformer_flux::FluxTransformer2DModelConfig, transformer_sd3::SD3Transformer2DModelConfig,
    unet_2d_condition::UNet2DConditionModelConfig,
};
use atelier_core::noise::NoiseSource;
use atelier_core::weights::TensorValues;
use burn::tensor::Device;
use futures_lite::future::block_on;
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::Fixture;

/// How a file writes one layer.
#[derive(Debug, Clone, Copy)]
struct Style {
    prefix: usize,
    suffix: usize,
    /// A bit for each liberty: dots or underscores, old names of attention, without `text_model`.
    liberties: u8,
    has_alpha: bool,
}

fn style() -> impl Strategy<Value = Style> {
    (0..100_usize, 0..100_usize, 0..8_u8, any::<bool>())
        .prop_map(|(prefix, suffix, liberties, has_alpha)| Style { prefix, suffix, liberties, has_alpha })
}

const SUFFIXES: [[&str; 2]; 6] = [
    [".lora_A.weight", ".lora_B.weight"],
    [".lora_A.default.weight", ".lora_B.default.weight"],
    [".lora.down.weight", ".lora.up.weight"],
    [".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"],
    [".lora_down.weight", ".lora_up.weight"],
    [".lora_A", ".lora_B"],
];

fn prefixes(component: Component) -> (&'static [&'static str], &'static [&'static str]) {
    match component {
        Component::Unet => (
            &[
                "",
                "unet.",
                "base_model.model.",
                "unet.base_model.model.",
                "diffusion_model.",
                "base_model.model.unet.",
            ],
            &["lora_unet_", "lycoris_", "lora_unet_base_model_model_"],
        ),
        Component::Transformer => (
            &[
                "",
                "transformer.",
                "base_model.model.",
                "transformer.base_model.model.",
                "diffusion_model.",
                "model.diffusion_model.",
            ],
            &["lora_unet_", "lora_transformer_", "lycoris_"],
        ),
        Component::TextEncoder => (
            &["", "text_encoder.", "text_encoder.base_model.model.", "text_encoders.clip_l.transformer."],
            &["lora_te_", "lora_te1_"],
        ),
        Component::TextEncoder2 => {
            (&["text_encoder_2.", "text_encoders.clip_g.transformer."], &["lora_te2_"])
        }
        Component::TextEncoder3 => {
            (&["", "text_encoder_3.", "text_encoders.t5xxl.transformer."], &["lora_te3_"])
        }
    }
}

/// The names of the matrices and of alpha.
fn keys(component: Component, layer: &str, style: Style) -> [String; 3] {
    const OLD: [(&str, &str); 8] = [
        (".q_proj", ".to_q_lora"),
        (".k_proj", ".to_k_lora"),
        (".v_proj", ".to_v_lora"),
        (".out_proj", ".to_out_lora"),
        (".to_q", ".processor.to_q_lora"),
        (".to_k", ".processor.to_k_lora"),
        (".to_v", ".to_v_lora"),
        (".to_out.0", ".processor.to_out_lora"),
    ];
    let has = |bit: u8| style.liberties & (1 << bit) != 0;
    let (dotted, flat) = prefixes(component);
    let layer = if has(2) { layer.strip_prefix("text_model.").unwrap_or(layer) } else { layer };
    let old = OLD.iter().find_map(|(new, old)| Some(format!("{}{old}", layer.strip_suffix(new)?)));
    let (stem, [down, up]) = if has(0) {
        let layer = layer.replace('.', "_");
        (format!("{}{layer}", flat[style.prefix % flat.len()]), [".lora_down.weight", ".lora_up.weight"])
    } else {
        let prefix = dotted[style.prefix % dotted.len()];
        match old.filter(|_| has(1)) {
            Some(old) => (format!("{prefix}{old}"), [".down.weight", ".up.weight"]),
            None => (format!("{prefix}{layer}"), SUFFIXES[style.suffix % SUFFIXES.len()]),
        }
    };
    [format!("{stem}{down}"), format!("{stem}{up}"), format!("{stem}.alpha")]
}

/// Any terms of some layers of a model, in the names of diffusers and in those that `styles` make of them, layer by layer.
fn check<M: Adaptable + Clone>(
    component: Component,
    model: &M,
    targets: &[&str],
    rank: usize,
    styles: &[Style],
) -> Result<(), TestCaseError> {
    let device = Device::flex();
    let target_modules = targets.iter().map(|target| (*target).to_owned()).collect();
    let config = LoraConfig { rank, alpha: rank as f64, target_modules, dropout: 0.0 };
    let mut noise = NoiseSource::new(rank as u64);
    let adapter = LoraAdapter::new(model, &config, &mut noise, &device).expect("a layer has such a name");
    let (mut expected, _) = block_on(adapter.to_tensors(component)).unwrap();
    let mut written = BTreeMap::new();
    let mut alphas = BTreeMap::new();
    for (index, layer) in adapter.layers().iter().enumerate() {
        let style = styles[index % styles.len()];
        let [down, up, alpha] = keys(component, layer.name(), style);
        let key = |side: &str| format!("{}.{}.lora_{side}.weight", component.key(), layer.name());
        let shape = expected[&key("B")].shape().to_vec();
        let random = TensorValues::new(shape.clone(), noise.normals(shape.iter().product())).unwrap();
        expected.insert(key("B"), random.clone());
        written.insert(down, expected[&key("A")].clone());
        written.insert(up, random);
        if style.has_alpha {
            alphas.insert(layer.name().to_owned(), 0.5 + index as f64);
            written.insert(alpha, TensorValues::new(vec![], vec![0.5 + index as f32]).unwrap());
        }
    }
    let names: Vec<String> = written.keys().cloned().collect();
    let file = LoraFile::new(written, &BTreeMap::new()).unwrap_or_else(|error| panic!("{names:?}: {error}"));
    let components: Vec<Component> = file.components().collect();
    prop_assert_eq!(components.len(), 1, "{:?}", names);
    // Which kind of denoiser it is for, a name such as `proj_out` alone does not tell.
    let is_denoiser = |component| matches!(component, Component::Unet | Component::Transformer);
    prop_assert!(
        components[0] == component || (is_denoiser(components[0]) && is_denoiser(component)),
        "{:?}",
        names
    );
    let read = file.adapter(components[0], model, &device);
    let read = read.unwrap_or_else(|error| panic!("{names:?}: {error}")).expect("an adapter");
    let (found, _) = block_on(read.to_tensors(component)).unwrap();
    prop_assert!(found == expected, "{:?}", names);
    for layer in read.layers() {
        let alpha = alphas.get(layer.name()).copied().unwrap_or(rank as f64);
        prop_assert_eq!(layer.alpha(), alpha, "{}", layer.name());
    }
    Ok(())
}

proptest! {
    #[test]
    fn all_names_are_read_alike(
        kind in 0..6_usize,
        target in 0..6_usize,
        rank in 1..4_usize,
        styles in prop::collection::vec(style(), 1..6),
    ) {
        let device = Device::flex();
        let unet = [&["to_q", "to_out.0"][..], &["proj_in"], &["conv1", "conv_shortcut"], &["ff.net.0.proj", "to_k"], &["time_emb_proj"], &["conv"]];
        let transformer = [&["to_q"][..], &["to_out.0", "to_add_out"], &["proj_out"], &["ff.net.2", "add_k_proj"], &["linear"], &["linear_1", "to_v"]];
        let clip = [&["q_proj", "v_proj"][..], &["out_proj"], &["fc1"], &["fc2", "k_proj"], &["k_proj"], &["q_proj"]];
        let t5 = [&["q"][..], &["k", "v"], &["o"], &["wi_0"], &["wi_1", "wo"], &["q", "k"]];
        match kind {
            0 => {
                let model = Fixture::open("unet").config::<UNet2DConditionModelConfig>().init(&device).unwrap();
                check(Component::Unet, &model, unet[target], rank, &styles)?;
            }
            1 => {
                let model = Fixture::open("flux").config::<FluxTransformer2DModelConfig>().init(&device).unwrap();
                check(Component::Transformer, &model, transformer[target], rank, &styles)?;
            }
            2 => {
                let model = Fixture::open("sd35").config::<SD3Transformer2DModelConfig>().init(&device).unwrap();
                check(Component::Transformer, &model, transformer[target], rank, &styles)?;
            }
            3 | 4 => {
                let model = Fixture::open("clip_text").config::<CLIPTextConfig>().init(&device).unwrap();
                let component = if kind == 3 { Component::TextEncoder } else { Component::TextEncoder2 };
                check(component, &model, clip[target], rank, &styles)?;
            }
            _ => {
                let model = Fixture::open("t5_encoder").config::<T5Config>().init(&device).unwrap();
                check(Component::TextEncoder3, &model, t5[target], rank, &styles)?;
            }
        }
    }
}
