//! The names that the authors of FLUX (Black Forest Labs) and SD3 (Stability) give to the transformer's layers in their own
//! code, in which kohya's scripts, ComfyUI, XLabs and others write LoRAs.
//!
//! That code has one projection where diffusers has several (queries, keys and values; in FLUX's single blocks the MLP's
//! too), and the halves of some modulations the other way round: see `convert_flux_transformer_checkpoint_to_diffusers` and
//! `convert_sd3_transformer_checkpoint_to_diffusers` in diffusers' `single_file_utils.py`.

/// What one layer of the original code is in diffusers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OriginalLayer {
    /// The layers whose outputs, one after the other, are those of the original, in the names of diffusers.
    pub layers: Vec<String>,
    /// Whether the outputs, where they are two halves, change places.
    pub halves_swapped: bool,
}

/// What `name`, with an underscore for every dot, is in diffusers; `None` if it is no layer of the original code.
pub(super) fn original_layer(name: &str) -> Option<OriginalLayer> {
    let layers = if let Some(rest) = name.strip_prefix("double_blocks_") {
        block("transformer_blocks", rest, &FLUX_DOUBLE_BLOCK)?
    } else if let Some(rest) = name.strip_prefix("single_blocks_") {
        block("single_transformer_blocks", rest, &FLUX_SINGLE_BLOCK)?
    } else if let Some(rest) = name.strip_prefix("joint_blocks_") {
        block("transformer_blocks", rest, &SD3_BLOCK)?
    } else {
        let (_, layer) = OUTSIDE_OF_BLOCKS.iter().find(|(original, _)| *original == name)?;
        vec![(*layer).to_owned()]
    };
    // Shift and scale: of SD3's text only in the last block, where there are no others.
    let halves_swapped = name == "final_layer_adaLN_modulation_1"
        || (name.starts_with("joint_blocks_") && name.ends_with("_context_block_adaLN_modulation_1"));
    Some(OriginalLayer { layers, halves_swapped })
}

fn block(blocks: &str, name: &str, table: &[(&str, &[&str])]) -> Option<Vec<String>> {
    let (index, layer) = name.split_once('_')?;
    let index: usize = index.parse().ok()?;
    let (_, layers) = table.iter().find(|(original, _)| *original == layer)?;
    Some(layers.iter().map(|layer| format!("{blocks}.{index}.{layer}")).collect())
}

const FLUX_DOUBLE_BLOCK: [(&str, &[&str]); 14] = [
    ("img_attn_qkv", &["attn.to_q", "attn.to_k", "attn.to_v"]),
    ("txt_attn_qkv", &["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]),
    ("img_attn_proj", &["attn.to_out.0"]),
    ("txt_attn_proj", &["attn.to_add_out"]),
    ("img_mlp_0", &["ff.net.0.proj"]),
    ("img_mlp_2", &["ff.net.2"]),
    ("txt_mlp_0", &["ff_context.net.0.proj"]),
    ("txt_mlp_2", &["ff_context.net.2"]),
    ("img_mod_lin", &["norm1.linear"]),
    ("txt_mod_lin", &["norm1_context.linear"]),
    // XLabs' attention processors: 1 is the picture, 2 the text.
    ("qkv_lora1", &["attn.to_q", "attn.to_k", "attn.to_v"]),
    ("qkv_lora2", &["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]),
    ("proj_lora1", &["attn.to_out.0"]),
    ("proj_lora2", &["attn.to_add_out"]),
];

const FLUX_SINGLE_BLOCK: [(&str, &[&str]); 5] = [
    ("linear1", &["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]),
    ("linear2", &["proj_out"]),
    ("modulation_lin", &["norm.linear"]),
    // XLabs.
    ("qkv", &["attn.to_q", "attn.to_k", "attn.to_v"]),
    ("proj", &["proj_out"]),
];

const SD3_BLOCK: [(&str, &[&str]); 12] = [
    ("x_block_attn_qkv", &["attn.to_q", "attn.to_k", "attn.to_v"]),
    ("context_block_attn_qkv", &["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]),
    ("x_block_attn_proj", &["attn.to_out.0"]),
    ("context_block_attn_proj", &["attn.to_add_out"]),
    ("x_block_attn2_qkv", &["attn2.to_q", "attn2.to_k", "attn2.to_v"]),
    ("x_block_attn2_proj", &["attn2.to_out.0"]),
    ("x_block_mlp_fc1", &["ff.net.0.proj"]),
    ("x_block_mlp_fc2", &["ff.net.2"]),
    ("context_block_mlp_fc1", &["ff_context.net.0.proj"]),
    ("context_block_mlp_fc2", &["ff_context.net.2"]),
    ("x_block_adaLN_modulation_1", &["norm1.linear"]),
    ("context_block_adaLN_modulation_1", &["norm1_context.linear"]),
];

const OUTSIDE_OF_BLOCKS: [(&str, &str); 15] = [
    // FLUX.
    ("img_in", "x_embedder"),
    ("txt_in", "context_embedder"),
    ("time_in_in_layer", "time_text_embed.timestep_embedder.linear_1"),
    ("time_in_out_layer", "time_text_embed.timestep_embedder.linear_2"),
    ("vector_in_in_layer", "time_text_embed.text_embedder.linear_1"),
    ("vector_in_out_layer", "time_text_embed.text_embedder.linear_2"),
    ("guidance_in_in_layer", "time_text_embed.guidance_embedder.linear_1"),
    ("guidance_in_out_layer", "time_text_embed.guidance_embedder.linear_2"),
    // SD3.
    ("x_embedder_proj", "pos_embed.proj"),
    ("t_embedder_mlp_0", "time_text_embed.timestep_embedder.linear_1"),
    ("t_embedder_mlp_2", "time_text_embed.timestep_embedder.linear_2"),
    ("y_embedder_mlp_0", "time_text_embed.text_embedder.linear_1"),
    ("y_embedder_mlp_2", "time_text_embed.text_embedder.linear_2"),
    // Both.
    ("final_layer_linear", "proj_out"),
    ("final_layer_adaLN_modulation_1", "norm_out.linear"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_projection_is_several_in_diffusers() {
        let layers = |name: &str| original_layer(name).expect("a layer of the original code").layers;
        let block = "transformer_blocks.12.attn";
        for name in ["double_blocks_12_txt_attn_qkv", "joint_blocks_12_context_block_attn_qkv"] {
            let expected = ["add_q_proj", "add_k_proj", "add_v_proj"].map(|layer| format!("{block}.{layer}"));
            assert_eq!(layers(name), expected, "{name}");
        }
        let block = "single_transformer_blocks.37";
        assert_eq!(
            layers("single_blocks_37_linear1"),
            ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"].map(|layer| format!("{block}.{layer}"))
        );
        assert_eq!(layers("time_in_out_layer"), ["time_text_embed.timestep_embedder.linear_2"]);
        for name in
            ["double_blocks_x_img_mlp_0", "double_blocks_0_img_mlp_1", "down_blocks_0", "double_blocks_0"]
        {
            assert_eq!(original_layer(name), None, "{name}");
        }
    }

    #[test]
    fn halves_change_places_where_shift_and_scale_do() {
        let swapped = |name: &str| original_layer(name).expect("a layer of the original code").halves_swapped;
        assert!(swapped("final_layer_adaLN_modulation_1"));
        assert!(swapped("joint_blocks_23_context_block_adaLN_modulation_1"));
        assert!(!swapped("joint_blocks_23_x_block_adaLN_modulation_1"));
        assert!(!swapped("double_blocks_0_img_mod_lin"));
    }
}
