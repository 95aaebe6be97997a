//! The keys of LoRA files, taken apart: which matrix of which layer of which part of a model a tensor is.
//!
//! Tools combine prefixes, layer names and suffixes freely, so each is recognised by itself. Which layer a name means is
//! for [`super::model_layers`] to find in the model.

use super::{Component, original_names::original_layer};

/// What a tensor of a LoRA file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The matrix that is applied first.
    Down,
    /// The matrix that is applied second.
    Up,
    /// The factor over the rank.
    Alpha,
}

/// A key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Whose layer it is. Where the key does not say which kind of denoiser it is for, its layer does.
    pub component: Component,
    /// The layer's name as it is written, without what stands before and after it.
    pub name: String,
    /// The name with an underscore for every dot, in which all ways of writing it are alike.
    pub flat_name: String,
    /// What the tensor is.
    pub part: Part,
}

/// What stands before the layer's name, possibly several one after another, and what it says of the component.
const PREFIXES: [(&str, Option<Component>); 22] = [
    ("base_model.model.", None),
    ("base_model_model_", None),
    ("module.", None),
    ("_orig_mod.", None),
    ("model.diffusion_model.", None),
    ("diffusion_model.", None),
    ("unet.", Some(Component::Unet)),
    ("transformer.", Some(Component::Transformer)),
    ("text_encoder.", Some(Component::TextEncoder)),
    ("text_encoder_2.", Some(Component::TextEncoder2)),
    ("text_encoder_3.", Some(Component::TextEncoder3)),
    // ComfyUI.
    ("text_encoders.clip_l.", Some(Component::TextEncoder)),
    ("text_encoders.clip_g.", Some(Component::TextEncoder2)),
    ("text_encoders.t5xxl.", Some(Component::TextEncoder3)),
    // Kohya's scripts, which call any denoiser a UNet, OneTrainer and LyCORIS.
    ("lora_unet_", None),
    ("lora_transformer_", Some(Component::Transformer)),
    ("lora_te_", Some(Component::TextEncoder)),
    ("lora_te1_", Some(Component::TextEncoder)),
    ("lora_te2_", Some(Component::TextEncoder2)),
    ("lora_te3_", Some(Component::TextEncoder3)),
    ("lycoris_te_", Some(Component::TextEncoder)),
    ("lycoris_", None),
];

impl Key {
    /// Takes `key` apart; `None` if it does not belong to a LoRA.
    pub fn parse(key: &str) -> Option<Self> {
        let (mut name, part) = split_part(key)?;
        let mut component = None;
        while let Some((rest, of)) =
            PREFIXES.iter().find_map(|(prefix, of)| Some((name.strip_prefix(prefix)?, *of)))
        {
            name = rest;
            component = component.or(of);
        }
        let flat_name = flattened(name);
        let component = component.unwrap_or_else(|| component_of(&flat_name));
        (!flat_name.is_empty()).then(|| Self { component, name: name.to_owned(), flat_name, part })
    }
}

/// `name` with an underscore for every dot, without what some tools write and others leave out: diffusers before 0.20
/// counted attention processors, transformers before 5 the `text_model` of text encoders.
pub(super) fn flattened(name: &str) -> String {
    let name = name.replace('.', "_").replace("_processor_", "_");
    name.strip_prefix("text_model_").map(str::to_owned).unwrap_or(name)
}

/// Everything before what says which matrix it is, and that.
fn split_part(key: &str) -> Option<(&str, Part)> {
    let weight = key.strip_suffix(".weight");
    let (layer, last) = weight.unwrap_or(key).rsplit_once('.')?;
    if let Some(part) = matrix(last) {
        return Some((layer, part));
    }
    match last {
        "down" => without_marker(layer).map(|layer| (layer, Part::Down)),
        "up" => without_marker(layer).map(|layer| (layer, Part::Up)),
        "alpha" => Some((without_marker(layer).unwrap_or(layer), Part::Alpha)),
        // The name that peft gives to an adapter, such as `default`.
        _ if weight.is_some() => {
            let (layer, name) = layer.rsplit_once('.')?;
            Some((layer, matrix(name)?))
        }
        _ => None,
    }
}

fn matrix(name: &str) -> Option<Part> {
    match name {
        "lora_A" | "lora_down" => Some(Part::Down),
        "lora_B" | "lora_up" => Some(Part::Up),
        _ => None,
    }
}

/// `layer` without the word that makes an `up` or `down` after it a LoRA's; `None` if there is no such word. XLabs has two
/// sets of layers under one name, which the number after the word tells apart: it stays.
fn without_marker(layer: &str) -> Option<&str> {
    [".lora", ".lora_linear_layer", "_lora"]
        .into_iter()
        .find_map(|marker| layer.strip_suffix(marker))
        .or_else(|| (layer.ends_with("_lora1") || layer.ends_with("_lora2")).then_some(layer))
}

/// The component that has layers like `flat_name`.
fn component_of(flat_name: &str) -> Component {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| flat_name.starts_with(prefix));
    if starts(&["encoder_layers_", "text_projection"]) {
        Component::TextEncoder
    } else if starts(&["encoder_block_"]) {
        Component::TextEncoder3
    } else if original_layer(flat_name).is_some()
        || starts(&["transformer_", "single_transformer_blocks_", "time_text_embed_", "context_embedder"])
        || starts(&["double_blocks_", "single_blocks_", "joint_blocks_"])
    {
        Component::Transformer
    } else {
        Component::Unet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Component::{TextEncoder, TextEncoder2, TextEncoder3, Transformer, Unet};

    #[track_caller]
    fn check(key: &str, component: Component, flat_name: &str, part: Part) {
        let found = Key::parse(key).unwrap_or_else(|| panic!("{key} is not read"));
        assert_eq!(
            (found.component, found.flat_name.as_str(), found.part),
            (component, flat_name, part),
            "{key}"
        );
    }

    #[test]
    fn every_suffix_is_known() {
        for (suffix, part) in [
            (".lora_A.weight", Part::Down),
            (".lora_B.weight", Part::Up),
            (".lora_A", Part::Down),
            (".lora_A.default.weight", Part::Down),
            (".lora_B.my_adapter.weight", Part::Up),
            (".lora.down.weight", Part::Down),
            (".lora.up.weight", Part::Up),
            (".lora_linear_layer.down.weight", Part::Down),
            (".lora_linear_layer.up.weight", Part::Up),
            (".lora_down.weight", Part::Down),
            (".lora_up.weight", Part::Up),
            (".alpha", Part::Alpha),
            (".lora.alpha", Part::Alpha),
        ] {
            let layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
            check(&format!("unet.{layer}{suffix}"), Unet, &layer.replace('.', "_"), part);
        }
        let old = "mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight";
        let flat = "mid_block_attentions_0_transformer_blocks_0_attn2_to_out";
        check(old, Unet, flat, Part::Down);
        check(&format!("unet.{old}"), Unet, flat, Part::Down);
        check(&format!("unet.{}", old.replace(".processor", "")), Unet, flat, Part::Down);
    }

    #[test]
    fn prefixes_say_whose_layer_it_is() {
        let layer = "encoder.layers.3.self_attn.q_proj";
        let flat = layer.replace('.', "_");
        for (prefix, component) in [
            ("text_encoder.text_model.", TextEncoder),
            ("text_encoder.", TextEncoder),
            ("text_encoder.base_model.model.text_model.", TextEncoder),
            ("base_model.model.text_model.", TextEncoder),
            ("text_model.", TextEncoder),
            ("text_encoder_2.text_model.", TextEncoder2),
            ("text_encoders.clip_l.transformer.text_model.", TextEncoder),
            ("text_encoders.clip_g.transformer.text_model.", TextEncoder2),
        ] {
            check(&format!("{prefix}{layer}.lora_A.weight"), component, &flat, Part::Down);
        }
        for (prefix, component) in [
            ("lora_te_text_model_", TextEncoder),
            ("lora_te_", TextEncoder),
            ("lora_te1_text_model_", TextEncoder),
            ("lora_te2_", TextEncoder2),
        ] {
            check(&format!("{prefix}{flat}.lora_up.weight"), component, &flat, Part::Up);
        }
        check(
            "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight",
            TextEncoder3,
            "encoder_block_0_layer_0_SelfAttention_q",
            Part::Down,
        );
        for prefix in [
            "",
            "transformer.",
            "base_model.model.",
            "transformer.base_model.model.",
            "base_model.model.transformer.",
            "diffusion_model.",
            "model.diffusion_model.",
        ] {
            for layer in ["transformer_blocks.0.attn.to_q", "single_blocks.7.linear1", "img_in"] {
                let key = format!("{prefix}{layer}.lora_B.weight");
                check(&key, Transformer, &layer.replace('.', "_"), Part::Up);
            }
        }
        for prefix in ["lora_unet_", "lora_transformer_", "lycoris_", "lora_unet_base_model_model_"] {
            check(
                &format!("{prefix}joint_blocks_0_x_block_attn_qkv.alpha"),
                Transformer,
                "joint_blocks_0_x_block_attn_qkv",
                Part::Alpha,
            );
        }
    }

    #[test]
    fn other_keys_are_none() {
        for key in [
            "unet.conv_in.weight",
            "unet.conv_in.lora_B.bias",
            "unet.conv_in.lora_B.default.bias",
            "lora_unet_conv_in.hada_w1_a",
            "lora_unet_conv_in.lokr_w1",
            "lora_unet_conv_in.lora_mid.weight",
            "lora_unet_conv_in.dora_scale",
            "unet.conv_in.down.weight",
            "unet..lora_A.weight",
            "lora_A.weight",
            "alpha",
            "",
        ] {
            assert_eq!(Key::parse(key), None, "{key}");
        }
    }
}
