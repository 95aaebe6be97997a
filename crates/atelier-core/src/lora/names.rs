//! The keys of LoRA files: those that diffusers and peft write, older ones of diffusers, those of kohya's scripts, and those
//! with the names of FLUX's authors ([`super::flux_names`]).

use super::{Component, flux_names::original_layer};
use std::collections::BTreeMap;

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
    /// Whose layer it is.
    pub component: Component,
    /// The layer's name: with dots, or as kohya's scripts write it, with underscores.
    pub layer: LayerName,
    /// What the tensor is.
    pub part: Part,
}

/// How a file names a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LayerName {
    /// The name in the model.
    Dotted(String),
    /// The name with an underscore for every dot: only the model knows which is which.
    Flattened(String),
}

const SUFFIXES: [(&str, Part); 9] = [
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_A.default.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora_down.weight", Part::Down),
    (".lora_up.weight", Part::Up),
    (".alpha", Part::Alpha),
];

/// Suffixes of diffusers before 0.20, whose attention processors had the terms.
const PROCESSOR_SUFFIXES: [(&str, &str); 4] = [
    (".processor.to_q_lora", ".to_q"),
    (".processor.to_k_lora", ".to_k"),
    (".processor.to_v_lora", ".to_v"),
    (".processor.to_out_lora", ".to_out.0"),
];

/// Prefixes of kohya's scripts.
const FLATTENED_PREFIXES: [(&str, Component); 5] = [
    ("lora_unet_", Component::Unet),
    ("lora_transformer_", Component::Transformer),
    ("lora_te1_", Component::TextEncoder),
    ("lora_te2_", Component::TextEncoder2),
    ("lora_te_", Component::TextEncoder),
];

impl Key {
    /// Takes `key` apart; `None` if it does not belong to a LoRA.
    pub fn parse(key: &str) -> Option<Self> {
        let (rest, part) = split_suffix(key)?;
        for (prefix, component) in FLATTENED_PREFIXES {
            if let Some(name) = rest.strip_prefix(prefix) {
                // Kohya's scripts call the transformer of FLUX a UNet.
                let component =
                    if original_layer(name).is_some() { Component::Transformer } else { component };
                return Some(Self { component, layer: LayerName::Flattened(name.to_owned()), part });
            }
        }
        let rest = rest.strip_prefix("base_model.model.").unwrap_or(&rest);
        let original = rest.strip_prefix("diffusion_model.").unwrap_or(rest).replace('.', "_");
        if original_layer(&original).is_some() {
            let layer = LayerName::Flattened(original);
            return Some(Self { component: Component::Transformer, layer, part });
        }
        let (component, name) = Component::ALL
            .into_iter()
            .find_map(|component| {
                let name = rest.strip_prefix(component.key())?.strip_prefix('.')?;
                Some((component, name))
            })
            .unwrap_or((Component::Unet, rest));
        Some(Self { component, layer: LayerName::Dotted(name.to_owned()), part })
    }
}

fn split_suffix(key: &str) -> Option<(String, Part)> {
    for (suffix, part) in [(".down.weight", Part::Down), (".up.weight", Part::Up)] {
        let Some(rest) = key.strip_suffix(suffix) else { continue };
        for (old, new) in PROCESSOR_SUFFIXES {
            if let Some(layer) = rest.strip_suffix(old) {
                return Some((format!("{layer}{new}"), part));
            }
        }
    }
    SUFFIXES.iter().find_map(|(suffix, part)| Some((key.strip_suffix(suffix)?.to_owned(), *part)))
}

/// Finds the layer that a flattened name means among `layers` (with dots).
pub(super) fn unflatten<'a>(flattened: &str, layers: &'a BTreeMap<String, String>) -> Option<&'a str> {
    layers.get(flattened).or_else(|| layers.get(&original_to_diffusers(flattened)?)).map(String::as_str)
}

/// `layers` by their names with underscores.
pub(super) fn flattened<'a>(layers: impl Iterator<Item = &'a String>) -> BTreeMap<String, String> {
    layers.map(|name| (name.replace('.', "_"), name.clone())).collect()
}

/// The name that diffusers gives to a layer of a UNet that is named as in Stability's own code, both flattened, for
/// UNets with two residual blocks per stage, as all of Stable Diffusion have: kohya's scripts write SDXL that way.
fn original_to_diffusers(name: &str) -> Option<String> {
    let number = |text: &str| text.parse::<usize>().ok();
    if let Some(rest) = name.strip_prefix("input_blocks_") {
        let (block, rest) = rest.split_once('_')?;
        let (part, rest) = rest.split_once('_')?;
        let (stage, index) = (number(block)?.checked_sub(1)? / 3, (number(block)? - 1) % 3);
        return match (index, part) {
            (2, "0") => Some(format!("down_blocks_{stage}_downsamplers_0_{}", rest.replace("op", "conv"))),
            (_, "0") => Some(format!("down_blocks_{stage}_resnets_{index}_{}", resnet_layer(rest))),
            (_, "1") => Some(format!("down_blocks_{stage}_attentions_{index}_{rest}")),
            _ => None,
        };
    }
    if let Some(rest) = name.strip_prefix("output_blocks_") {
        let (block, rest) = rest.split_once('_')?;
        let (part, rest) = rest.split_once('_')?;
        let (stage, index) = (number(block)? / 3, number(block)? % 3);
        return match part {
            "0" => Some(format!("up_blocks_{stage}_resnets_{index}_{}", resnet_layer(rest))),
            _ if rest == "conv" => Some(format!("up_blocks_{stage}_upsamplers_0_conv")),
            "1" => Some(format!("up_blocks_{stage}_attentions_{index}_{rest}")),
            _ => None,
        };
    }
    if let Some(rest) = name.strip_prefix("middle_block_") {
        let (part, rest) = rest.split_once('_')?;
        return match part {
            "0" => Some(format!("mid_block_resnets_0_{}", resnet_layer(rest))),
            "1" => Some(format!("mid_block_attentions_0_{rest}")),
            "2" => Some(format!("mid_block_resnets_1_{}", resnet_layer(rest))),
            _ => None,
        };
    }
    let names = [
        ("time_embed_0", "time_embedding_linear_1"),
        ("time_embed_2", "time_embedding_linear_2"),
        ("label_emb_0_0", "add_embedding_linear_1"),
        ("label_emb_0_2", "add_embedding_linear_2"),
        ("out_2", "conv_out"),
    ];
    names.iter().find(|(original, _)| *original == name).map(|(_, new)| (*new).to_owned())
}

fn resnet_layer(name: &str) -> &str {
    match name {
        "in_layers_2" => "conv1",
        "emb_layers_1" => "time_emb_proj",
        "out_layers_3" => "conv2",
        "skip_connection" => "conv_shortcut",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotted(component: Component, layer: &str, part: Part) -> Option<Key> {
        Some(Key { component, layer: LayerName::Dotted(layer.to_owned()), part })
    }

    #[test]
    fn keys_of_diffusers_and_peft() {
        let layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
        let unet = |part| dotted(Component::Unet, layer, part);
        assert_eq!(Key::parse(&format!("unet.{layer}.lora_A.weight")), unet(Part::Down));
        assert_eq!(Key::parse(&format!("base_model.model.{layer}.lora_B.weight")), unet(Part::Up));
        assert_eq!(Key::parse(&format!("unet.{layer}.alpha")), unet(Part::Alpha));
        assert_eq!(Key::parse(&format!("unet.{layer}.lora.up.weight")), unet(Part::Up));
        let old = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight";
        let new = "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0";
        assert_eq!(Key::parse(old), dotted(Component::Unet, new, Part::Down));
        let text = "text_encoder_2.text_model.encoder.layers.3.self_attn.q_proj.lora_A.weight";
        let layer = "text_model.encoder.layers.3.self_attn.q_proj";
        assert_eq!(Key::parse(text), dotted(Component::TextEncoder2, layer, Part::Down));
        assert_eq!(Key::parse("unet.conv_in.weight"), None);
    }

    #[test]
    fn keys_of_kohya() {
        let key = Key::parse("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight").unwrap();
        assert_eq!(key.component, Component::TextEncoder2);
        assert_eq!(key.layer, LayerName::Flattened("text_model_encoder_layers_0_mlp_fc1".to_owned()));
    }

    #[test]
    fn keys_of_flux_as_its_authors_name_its_layers() {
        for key in [
            "lora_unet_single_blocks_7_linear1.lora_up.weight",
            "single_blocks.7.linear1.lora_B.weight",
            "diffusion_model.single_blocks.7.linear1.lora_B.weight",
            "base_model.model.single_blocks.7.linear1.lora_B.weight",
        ] {
            let layer = LayerName::Flattened("single_blocks_7_linear1".to_owned());
            let expected = Key { component: Component::Transformer, layer, part: Part::Up };
            assert_eq!(Key::parse(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn flattened_names_find_their_layer() {
        let layers = [
            "down_blocks.0.downsamplers.0.conv",
            "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0",
            "down_blocks.2.resnets.1.conv_shortcut",
            "mid_block.attentions.0.proj_in",
            "up_blocks.0.attentions.2.transformer_blocks.0.ff.net.0.proj",
            "up_blocks.1.upsamplers.0.conv",
            "add_embedding.linear_2",
        ]
        .map(str::to_owned);
        let names = flattened(layers.iter());
        for (flat, layer) in [
            ("down_blocks_0_downsamplers_0_conv", 0),
            ("input_blocks_3_0_op", 0),
            ("input_blocks_4_1_transformer_blocks_1_attn1_to_out_0", 1),
            ("input_blocks_8_0_skip_connection", 2),
            ("middle_block_1_proj_in", 3),
            ("output_blocks_2_1_transformer_blocks_0_ff_net_0_proj", 4),
            ("output_blocks_5_2_conv", 5),
            ("label_emb_0_2", 6),
        ] {
            assert_eq!(unflatten(flat, &names), Some(layers[layer].as_str()), "{flat}");
        }
        assert_eq!(unflatten("input_blocks_0_0", &names), None);
        assert_eq!(unflatten("input_blocks_x_0_op", &names), None);
    }
}
