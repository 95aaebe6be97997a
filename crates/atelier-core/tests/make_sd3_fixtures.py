"""Writes the fixtures of `sd3_parity.rs`: the transformers of Stable Diffusion 3 and 3.5, tiny and random, a LoRA of one, and
a whole pipeline over four steps, into `fixtures/models`, `fixtures/lora` and `fixtures/pipelines`.

Needs what `make_fixtures.py` needs, and peft.

    python make_sd3_fixtures.py
"""

import shutil

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from make_fixtures import FIXTURES, save_model, with_noise
from make_flux_fixtures import t5, t5_tokenizer
from make_sd_fixtures import NEGATIVE, PIPELINES, PROMPT, autoencoder, text_config, write_tokenizer
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModelWithProjection


# Transformers


def transformer(in_channels, joint_attention_dim, pooled_projection_dim, **config):
    model = SD3Transformer2DModel(
        sample_size=8, in_channels=in_channels, out_channels=in_channels, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=joint_attention_dim, caption_projection_dim=16,
        pooled_projection_dim=pooled_projection_dim, **config,
    )
    return with_noise(model)


def transformer_output(model, io):
    return model(
        hidden_states=io["sample"], timestep=io["timestep"], pooled_projections=io["pooled_projections"],
        encoder_hidden_states=io["encoder_hidden_states"],
    ).sample


def transformers():
    """As SD3 has it, and as SD3.5 medium has it."""
    for name, config in (
        ("sd3", {"num_layers": 2}),
        ("sd35", {"num_layers": 3, "qk_norm": "rms_norm", "dual_attention_layers": (0, 2)}),
    ):
        # Of an odd and of an even number of places more than the picture has, half are before it.
        model = transformer(4, 12, 10, pos_embed_max_size=8, **config)
        io = {
            "sample": torch.randn(2, 4, 6, 12),
            "timestep": torch.tensor([981.0, 13.5]),
            "encoder_hidden_states": torch.randn(2, 7, 12),
            "pooled_projections": torch.randn(2, 10),
        }
        save_model(name, model, **io, output=transformer_output(model, io))


def lora():
    """As diffusers writes it, read by diffusers' own loader."""
    folder = FIXTURES / "models" / "sd35"
    file = FIXTURES / "lora" / "sd35.safetensors"
    io = load_file(folder / "io.safetensors")
    model = SD3Transformer2DModel.from_pretrained(folder)
    targets = ["attn.to_q", "attn2.to_v", "attn.to_out.0", "add_k_proj", "to_add_out", "ff.net.0.proj", "norm1.linear"]
    model.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=targets))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.copy_(0.3 * torch.randn_like(parameter))
    StableDiffusion3Pipeline.save_lora_weights(
        file.parent, transformer_lora_layers=get_peft_model_state_dict(model), weight_name=file.name,
        transformer_lora_adapter_metadata=model.peft_config["default"].to_dict(),
    )
    loaded = SD3Transformer2DModel.from_pretrained(folder)
    state, metadata = StableDiffusion3Pipeline.lora_state_dict(file, return_lora_metadata=True)
    StableDiffusion3Pipeline.load_lora_into_transformer(state, loaded, adapter_name="a", metadata=metadata)
    output = transformer_output(loaded, io)
    assert torch.allclose(output, transformer_output(model, io), atol=1e-5)
    assert not torch.allclose(output, io["output"], atol=1e-2)
    save_file({"adapted": output.contiguous()}, FIXTURES / "lora" / "sd35_outputs.safetensors")


# Pipeline


def text_encoder(vocabulary, hidden_size, projection_dim, hidden_act):
    config = text_config(
        vocab_size=vocabulary, hidden_size=hidden_size, projection_dim=projection_dim, hidden_act=hidden_act,
        eos_token_id=vocabulary - 1,
    )
    return with_noise(CLIPTextModelWithProjection(config))


def pipeline():
    sources = [FIXTURES / f"sd3_tokenizer{suffix}" for suffix in ("", "_2")]
    tokenizer, count = write_tokenizer(sources[0], "<|endoftext|>")
    tokenizer_2, _ = write_tokenizer(sources[1], "!")
    tokenizer_3, count_3 = t5_tokenizer()
    vae = autoencoder(
        latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=1.5305, shift_factor=0.0609
    )
    parts = {
        "transformer": transformer(16, 24, 18, num_layers=2, pos_embed_max_size=16),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "vae": vae,
        "text_encoder": text_encoder(count, 10, 8, "quick_gelu"),
        "tokenizer": tokenizer,
        "text_encoder_2": text_encoder(count, 12, 10, "gelu"),
        "tokenizer_2": tokenizer_2,
        "text_encoder_3": t5(count_3, 24),
        "tokenizer_3": tokenizer_3,
    }
    pipeline = StableDiffusion3Pipeline(**parts)
    without_t5 = StableDiffusion3Pipeline(**{**parts, "text_encoder_3": None, "tokenizer_3": None})
    folder = PIPELINES / "sd3"
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.save_pretrained(folder)
    for part, source in zip(("tokenizer", "tokenizer_2"), sources):
        shutil.rmtree(folder / part)
        shutil.move(source, folder / part)
    height, width = 16, 24
    latents = torch.randn(2, 16, height // 2, width // 2)
    outputs = {"latents": latents}
    for key, model, negative, guidance, clip_skip in (
        ("guided", pipeline, NEGATIVE, 5.0, None),
        ("guided_empty", pipeline, None, 5.0, 1),
        ("unguided", pipeline, None, 1.0, None),
        ("without_t5", without_t5, NEGATIVE, 5.0, None),
    ):
        model.set_progress_bar_config(disable=True)
        outputs[key] = model(
            prompt=PROMPT, negative_prompt=negative, guidance_scale=guidance, num_inference_steps=4, clip_skip=clip_skip,
            num_images_per_prompt=2, latents=latents.clone(), height=height, width=width, output_type="latent",
        ).images
    outputs["pictures"] = vae.decode(
        outputs["guided"] / vae.config.scaling_factor + vae.config.shift_factor
    ).sample.clamp(-1, 1)
    embeddings = pipeline.encode_prompt(PROMPT, None, None, do_classifier_free_guidance=False)
    outputs["prompt_embeds"], outputs["pooled_prompt_embeds"] = embeddings[0], embeddings[2]
    save_file({key: value.contiguous() for key, value in outputs.items()}, folder / "io.safetensors")


@torch.no_grad()
def main():
    torch.manual_seed(3)
    transformers()
    lora()
    pipeline()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
