//! Which layers of a model the names in LoRA files mean.

use super::{
    key::flattened,
    layer::LayerShape,
    original_names::{OriginalLayer, original_layer},
    unet_names::original_to_diffusers,
};
use crate::models::layers::Adaptable;
use std::collections::BTreeMap;

/// The layers of a model, to be found by whatever name a file gives them.
pub(super) struct ModelLayers {
    /// By their names in the model.
    pub shapes: BTreeMap<String, LayerShape>,
    /// Their names in the model, by their names without dots.
    names: BTreeMap<String, String>,
    /// Residual blocks in each stage of a UNet.
    layers_per_block: usize,
}

/// The layers that a name in a file means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The layers whose outputs, one after another, are those of the file's layer; nearly always one.
    pub layers: Vec<(&'a str, LayerShape)>,
    /// Whether the halves of the outputs change places.
    pub halves_swapped: bool,
}

impl ModelLayers {
    pub fn of<M: Adaptable + Clone>(model: &M) -> Self {
        let mut shapes = BTreeMap::new();
        // The visitor may change layers, so it is shown a copy; the weights are shared, not copied.
        model.clone().visit_layers("", &mut |name, layer| {
            shapes.insert(name.to_owned(), LayerShape::of(&layer));
        });
        let names = shapes.keys().map(|name| (flattened(name), name.clone())).collect();
        let is_first_stage =
            |name: &&String| name.starts_with("down_blocks.0.resnets.") && name.ends_with(".conv1");
        let layers_per_block = shapes.keys().filter(is_first_stage).count();
        Self { shapes, names, layers_per_block }
    }

    /// The layers that `flat_name` ([`super::key::Key`]) means, if the model has them.
    pub fn find(&self, flat_name: &str) -> Option<Found<'_>> {
        if let Some(layer) = self.find_one(flat_name) {
            return Some(Found { layers: vec![layer], halves_swapped: false });
        }
        let OriginalLayer { layers, halves_swapped } = original_layer(flat_name)?;
        let layers: Option<Vec<_>> = layers.iter().map(|layer| self.layer(&flattened(layer))).collect();
        let layers = layers?;
        // Of the layers with this name, those that make two halves have them in another order.
        let has_halves = layers.iter().all(|(_, shape)| shape.outputs == 2 * shape.inputs);
        Some(Found { layers, halves_swapped: halves_swapped && has_halves })
    }

    fn find_one(&self, flat_name: &str) -> Option<(&str, LayerShape)> {
        let original = original_to_diffusers(flat_name, self.layers_per_block);
        // diffusers' `convert_state_dict_to_kohya` leaves it there.
        let without_prefix = flat_name.strip_prefix("transformer_").map(str::to_owned);
        [Some(flat_name.to_owned()), original, without_prefix].into_iter().flatten().find_map(|name| {
            self.layer(&name).or_else(|| {
                OLD_NAMES
                    .iter()
                    .find_map(|(old, new)| self.layer(&format!("{}{new}", name.strip_suffix(old)?)))
            })
        })
    }

    fn layer(&self, flat_name: &str) -> Option<(&str, LayerShape)> {
        let name = self.names.get(flat_name)?;
        Some((name, self.shapes[name]))
    }

    /// A few names, for messages.
    pub fn examples(&self) -> String {
        let step = (self.shapes.len() / 3).max(1);
        self.shapes.keys().step_by(step).take(3).cloned().collect::<Vec<_>>().join(", ")
    }
}

/// How diffusers before 0.20 called the projections of attention, in denoisers and text encoders.
const OLD_NAMES: [(&str, &str); 5] = [
    ("_to_out", "_to_out_0"),
    ("_to_out", "_out_proj"),
    ("_to_q", "_q_proj"),
    ("_to_k", "_k_proj"),
    ("_to_v", "_v_proj"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(names: &[&str]) -> ModelLayers {
        let shape = LayerShape { inputs: 4, outputs: 4, kernel: None };
        let shapes: BTreeMap<String, LayerShape> =
            names.iter().map(|name| ((*name).to_owned(), shape)).collect();
        let names = shapes.keys().map(|name| (flattened(name), name.clone())).collect();
        ModelLayers { shapes, names, layers_per_block: 2 }
    }

    #[track_caller]
    fn check(layers: &ModelLayers, flat_name: &str, expected: &[&str]) {
        let found = layers.find(flat_name);
        let found: Vec<&str> = found.iter().flat_map(|found| &found.layers).map(|(name, _)| *name).collect();
        assert_eq!(found, expected, "{flat_name}");
    }

    #[test]
    fn names_of_unets_find_their_layer() {
        let names = [
            "down_blocks.0.downsamplers.0.conv",
            "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0",
            "down_blocks.2.resnets.1.conv_shortcut",
            "mid_block.attentions.0.proj_in",
            "up_blocks.0.attentions.2.transformer_blocks.0.ff.net.0.proj",
            "up_blocks.1.upsamplers.0.conv",
            "add_embedding.linear_2",
        ];
        let layers = layers(&names);
        for (flat_name, index) in [
            ("down_blocks_0_downsamplers_0_conv", 0),
            ("input_blocks_3_0_op", 0),
            ("input_blocks_4_1_transformer_blocks_1_attn1_to_out_0", 1),
            ("input_blocks_4_1_transformer_blocks_1_attn1_to_out", 1),
            ("down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_out", 1),
            ("input_blocks_8_0_skip_connection", 2),
            ("middle_block_1_proj_in", 3),
            ("output_blocks_2_1_transformer_blocks_0_ff_net_0_proj", 4),
            ("output_blocks_5_2_conv", 5),
            ("label_emb_0_2", 6),
        ] {
            check(&layers, flat_name, &[names[index]]);
        }
        for unknown in ["input_blocks_0_0", "input_blocks_x_0_op", "output_blocks_5", "to_q", ""] {
            check(&layers, unknown, &[]);
        }
    }

    #[test]
    fn names_of_text_encoders_find_their_layer() {
        let names = ["q_proj", "k_proj", "v_proj", "out_proj"]
            .map(|name| format!("text_model.encoder.layers.0.self_attn.{name}"));
        let layers = layers(&names.each_ref().map(String::as_str));
        for (name, old) in names.iter().zip(["to_q", "to_k", "to_v", "to_out"]) {
            check(&layers, &flattened(name), &[name]);
            check(&layers, &format!("encoder_layers_0_self_attn_{old}"), &[name]);
        }
    }

    #[test]
    fn a_layer_of_the_original_code_is_several() {
        let names = ["to_q", "to_k", "to_v"].map(|name| format!("transformer_blocks.1.attn.{name}"));
        let layers = layers(&names.each_ref().map(String::as_str));
        let expected = names.each_ref().map(String::as_str);
        check(&layers, "double_blocks_1_img_attn_qkv", &expected);
        check(&layers, "double_blocks_1_qkv_lora1", &expected);
        check(&layers, "joint_blocks_1_x_block_attn_qkv", &expected);
        check(&layers, "transformer_transformer_blocks_1_attn_to_q", &expected[..1]);
        check(&layers, "double_blocks_0_img_attn_qkv", &[]);
    }
}
