//! The names that the UNet's layers have in the code of its authors (CompVis, Stability), in which kohya's scripts write
//! LoRAs for SDXL: see `_maybe_map_sgm_blocks_to_diffusers` and `_convert_unet_lora_key` in diffusers'
//! `lora_conversion_utils.py`.

/// The name that diffusers gives to the layer `name`, both with an underscore for every dot, of a UNet with
/// `layers_per_block` residual blocks in a stage; `None` if it is no name of the original code.
pub(super) fn original_to_diffusers(name: &str, layers_per_block: usize) -> Option<String> {
    // A stage's residual blocks and its sampler going down, one residual block more going up.
    let blocks = layers_per_block + 1;
    if let Some(rest) = name.strip_prefix("input_blocks_") {
        let (block, rest) = rest.split_once('_')?;
        let Some(block) = block.parse::<usize>().ok()?.checked_sub(1) else {
            return (rest == "0").then(|| "conv_in".to_owned());
        };
        let (part, rest) = rest.split_once('_')?;
        let (stage, index) = (block / blocks, block % blocks);
        return match part {
            "0" if rest == "op" => Some(format!("down_blocks_{stage}_downsamplers_0_conv")),
            "0" => Some(format!("down_blocks_{stage}_resnets_{index}_{}", resnet_layer(rest))),
            "1" => Some(format!("down_blocks_{stage}_attentions_{index}_{rest}")),
            _ => None,
        };
    }
    if let Some(rest) = name.strip_prefix("output_blocks_") {
        let (block, rest) = rest.split_once('_')?;
        let (part, rest) = rest.split_once('_')?;
        let block: usize = block.parse().ok()?;
        let (stage, index) = (block / blocks, block % blocks);
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

    /// As diffusers' `_maybe_map_sgm_blocks_to_diffusers` maps them.
    #[test]
    fn blocks_are_counted_by_stages() {
        for (layers_per_block, original, expected) in [
            (2, "input_blocks_0_0", "conv_in"),
            (1, "input_blocks_0_0", "conv_in"),
            (2, "input_blocks_5_1_proj_in", "down_blocks_1_attentions_1_proj_in"),
            (1, "input_blocks_3_1_proj_in", "down_blocks_1_attentions_0_proj_in"),
            (1, "input_blocks_2_0_op", "down_blocks_0_downsamplers_0_conv"),
            (3, "input_blocks_4_0_op", "down_blocks_0_downsamplers_0_conv"),
            (1, "output_blocks_1_0_in_layers_2", "up_blocks_0_resnets_1_conv1"),
            (1, "output_blocks_1_1_conv", "up_blocks_0_upsamplers_0_conv"),
            (2, "output_blocks_4_1_proj_out", "up_blocks_1_attentions_1_proj_out"),
            (2, "middle_block_2_emb_layers_1", "mid_block_resnets_1_time_emb_proj"),
            (0, "time_embed_2", "time_embedding_linear_2"),
        ] {
            let found = original_to_diffusers(original, layers_per_block);
            assert_eq!(found.as_deref(), Some(expected), "{original}");
        }
        for other in
            ["down_blocks_0_resnets_0_conv1", "input_blocks_0_1", "input_blocks_", "output_blocks_x_0_a"]
        {
            assert_eq!(original_to_diffusers(other, 2), None, "{other}");
        }
    }
}
