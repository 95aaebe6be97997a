//! The names that Black Forest Labs' own code gives to FLUX's layers, in which kohya's scripts and others write LoRAs.
//!
//! That code has one projection where diffusers has several (queries, keys and values; in single blocks the MLP's too), and
//! the halves of the last modulation the other way round: see `convert_flux_transformer_checkpoint_to_diffusers` in diffusers'
//! `scripts/convert_flux_to_diffusers.py`.

/// What one layer of the original code is in diffusers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OriginalLayer {
    /// The layers whose outputs, one after the other, are those of the original, in the names of diffusers.
    pub layers: Vec<String>,
    /// Whether the two halves of the outputs change places.
    pub halves_swapped: bool,
}

/// What `name`, with an underscore for every dot, is in diffusers; `None` if it is no layer of the original code.
pub(super) fn original_layer(name: &str) -> Option<OriginalLayer> {
    let layers = if let Some(rest) = name.strip_prefix("double_blocks_") {
        block("transformer_blocks", rest, &DOUBLE_BLOCK)?
    } else if let Some(rest) = name.strip_prefix("single_blocks_") {
        block("single_transformer_blocks", rest, &SINGLE_BLOCK)?
    } else {
        let (_, layer) = OUTSIDE_OF_BLOCKS.iter().find(|(original, _)| *original == name)?;
        vec![(*layer).to_owned()]
    };
    Some(OriginalLayer { layers, halves_swapped: name == "final_layer_adaLN_modulation_1" })
}

fn block(blocks: &str, name: &str, table: &[(&str, &[&str])]) -> Option<Vec<String>> {
    let (index, layer) = name.split_once('_')?;
    let index: usize = index.parse().ok()?;
    let (_, layers) = table.iter().find(|(original, _)| *original == layer)?;
    Some(layers.iter().map(|layer| format!("{blocks}.{index}.{layer}")).collect())
}

const DOUBLE_BLOCK: [(&str, &[&str]); 10] = [
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
];

const SINGLE_BLOCK: [(&str, &[&str]); 3] = [
    ("linear1", &["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]),
    ("linear2", &["proj_out"]),
    ("modulation_lin", &["norm.linear"]),
];

const OUTSIDE_OF_BLOCKS: [(&str, &str); 10] = [
    ("img_in", "x_embedder"),
    ("txt_in", "context_embedder"),
    ("time_in_in_layer", "time_text_embed.timestep_embedder.linear_1"),
    ("time_in_out_layer", "time_text_embed.timestep_embedder.linear_2"),
    ("vector_in_in_layer", "time_text_embed.text_embedder.linear_1"),
    ("vector_in_out_layer", "time_text_embed.text_embedder.linear_2"),
    ("guidance_in_in_layer", "time_text_embed.guidance_embedder.linear_1"),
    ("guidance_in_out_layer", "time_text_embed.guidance_embedder.linear_2"),
    ("final_layer_linear", "proj_out"),
    ("final_layer_adaLN_modulation_1", "norm_out.linear"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_projection_is_several_in_diffusers() {
        let layers = |name: &str| original_layer(name).expect("a layer of FLUX").layers;
        let block = "transformer_blocks.12.attn";
        assert_eq!(
            layers("double_blocks_12_txt_attn_qkv"),
            ["add_q_proj", "add_k_proj", "add_v_proj"].map(|layer| format!("{block}.{layer}"))
        );
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
}
