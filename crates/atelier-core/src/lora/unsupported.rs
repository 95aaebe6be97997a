//! What people take for a plain LoRA: other kinds of adapters, and files that hold none.

/// Parts of keys by which other adapters are known.
const KINDS: [(&str, &str); 12] = [
    ("dora_scale", "a DoRA"),
    ("lora_magnitude_vector", "a DoRA"),
    ("lokr_", "a LoKr"),
    ("hada_", "a LoHa"),
    ("lora_mid", "a LoCon in Tucker decomposition"),
    (".oft_", "an OFT adapter"),
    (".ia3_l", "an IA3 adapter"),
    ("vera_lambda", "a VeRA adapter"),
    ("lora_embedding_", "a LoRA of an embedding"),
    ("lora_controlnet", "a Control-LoRA"),
    ("query_norm.scale", "a Control-LoRA"),
    ("bundle_emb.", "an embedding in the file of a LoRA"),
];

/// The same for the ends of keys.
const ENDS: [(&str, &str); 14] = [
    (".on_input", "an IA3 adapter"),
    (".a1.weight", "a GLoRA"),
    (".a2.weight", "a GLoRA"),
    (".b1.weight", "a GLoRA"),
    (".b2.weight", "a GLoRA"),
    (".bm.weight", "a GLoRA"),
    (".diff", "a LoRA with whole weights"),
    (".diff_b", "a LoRA with whole biases"),
    (".w_norm", "a LoRA with whole normalisations"),
    (".b_norm", "a LoRA with whole normalisations"),
    (".lora_A.bias", "a LoRA with bias terms"),
    (".lora_B.bias", "a LoRA with bias terms"),
    (".lora_down.bias", "a LoRA with bias terms"),
    (".lora_up.bias", "a LoRA with bias terms"),
];

/// Whether what `key` names is added to something, so that zeros change nothing: files often have such tensors that were
/// never trained (diffusers asks `state_dict_all_zero`).
pub(super) fn is_summand(key: &str) -> bool {
    const SUMMANDS: [&str; 8] = [
        ".diff",
        ".diff_b",
        ".w_norm",
        ".b_norm",
        ".lora_A.bias",
        ".lora_B.bias",
        ".lora_down.bias",
        ".lora_up.bias",
    ];
    SUMMANDS.iter().any(|end| key.ends_with(end))
}

/// What is wrong with `key`, which is none of a plain LoRA's, in a file with all of `keys`, of which some are a LoRA's or
/// none are.
pub(super) fn problem(key: &str, keys: &[&str], has_lora: bool) -> String {
    let kind = KINDS.iter().find(|(part, _)| key.contains(part));
    let kind = kind.or_else(|| ENDS.iter().find(|(end, _)| key.ends_with(end))).map(|(_, kind)| *kind);
    let kind = kind.or_else(|| match key.rsplit_once('.') {
        Some((_, "bias")) if has_lora => Some("a LoRA with biases"),
        Some((_, "weight")) if has_lora => Some("a LoRA with whole weights (`modules_to_save` of peft)"),
        _ => None,
    });
    let reason = match (kind, contents(keys)) {
        (Some(kind), _) => format!(
            "but of {kind}, which is not supported: convert it to a plain LoRA, or merge it into the model, with the tool \
             that made it"
        ),
        (None, Some(contents)) if !has_lora => format!("the file holds {contents}"),
        _ => "is it the right file?".to_owned(),
    };
    let separator = if kind.is_some() { " " } else { ": " };
    format!("is no key of a plain LoRA{separator}{reason}")
}

/// What a file without any LoRA is, if its keys tell, and what is done with such a file.
fn contents(keys: &[&str]) -> Option<&'static str> {
    let any = |starts: &[&str]| keys.iter().any(|key| starts.iter().any(|start| key.starts_with(start)));
    Some(if any(&["model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner."]) {
        "a whole checkpoint in one file; convert it to a model folder with diffusers and name that as the model"
    } else if any(&["string_to_param", "emb_params"]) || keys.iter().all(|key| !key.contains('.')) {
        "an embedding of textual inversion, which is not supported"
    } else if any(&["control_model.", "controlnet_", "input_hint_block.", "zero_convs."]) {
        "a ControlNet, which is not supported"
    } else if any(&["image_proj.", "ip_adapter."]) {
        "an IP-Adapter, which is not supported"
    } else if any(&["decoder.conv_in.", "decoder.up_blocks.", "decoder.layers.", "quant_conv."]) {
        "the weights of an autoencoder, which belong in the folder `vae` of a model"
    } else if any(&["down_blocks.", "up_blocks.", "input_blocks.", "output_blocks."]) {
        "the weights of a UNet, which belong in the folder `unet` of a model; name that model instead"
    } else if any(&["transformer_blocks.", "single_transformer_blocks.", "double_blocks.", "joint_blocks."]) {
        "the weights of a transformer, which belong in the folder `transformer` of a model; name that model instead"
    } else if any(&["text_model.", "encoder.layers.", "encoder.block.", "shared."]) {
        "the weights of a text encoder, which belong in a model folder"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[&str], has_lora: bool, expected: &str) {
        let problem = problem(keys[0], keys, has_lora);
        assert!(problem.starts_with("is no key of a plain LoRA") && problem.contains(expected), "{problem}");
    }

    #[test]
    fn other_adapters_are_called_by_their_names() {
        for (end, expected) in [
            ("dora_scale", "a DoRA"),
            ("lora_magnitude_vector.weight", "a DoRA"),
            ("lokr_w1_a", "a LoKr"),
            ("hada_t1", "a LoHa"),
            ("lora_mid.weight", "Tucker"),
            ("oft_blocks", "OFT"),
            ("oft_diag", "OFT"),
            ("ia3_l", "IA3"),
            ("on_input", "IA3"),
            ("a1.weight", "GLoRA"),
            ("lora_embedding_A", "an embedding"),
            ("diff", "whole weights"),
            ("diff_b", "whole biases"),
            ("lora_B.bias", "bias terms"),
            ("lora_B.default.bias", "with biases"),
            ("bias", "with biases"),
            ("weight", "whole weights"),
        ] {
            for has_lora in [true, false] {
                if has_lora || !["lora_B.default.bias", "bias", "weight"].contains(&end) {
                    check(&[&format!("transformer_blocks.0.proj_in.{end}")], has_lora, expected);
                }
            }
        }
    }

    #[test]
    fn files_without_any_lora_are_recognised() {
        for (keys, expected) in [
            (&["conv_in.bias", "down_blocks.0.resnets.0.conv1.weight"][..], "the weights of a UNet"),
            (
                &["context_embedder.bias", "transformer_blocks.0.attn.to_q.weight"],
                "the weights of a transformer",
            ),
            (&["decoder.conv_in.bias", "encoder.down_blocks.0.resnets.0.conv1.bias"], "an autoencoder"),
            (&["embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.bias"], "a text encoder"),
            (&["alphas_cumprod", "model.diffusion_model.out.2.bias"], "a whole checkpoint"),
            (&["emb_params"], "textual inversion"),
            (&["clip_g", "clip_l"], "textual inversion"),
            (&["<my-style>"], "textual inversion"),
            (
                &["controlnet_cond_embedding.conv_in.bias", "down_blocks.0.resnets.0.conv1.bias"],
                "a ControlNet",
            ),
            (&["image_proj.proj.weight"], "an IP-Adapter"),
            (&["some.bias"], "is it the right file?"),
        ] {
            check(keys, false, expected);
        }
    }
}
