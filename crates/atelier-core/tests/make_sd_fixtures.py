"""Writes the fixtures of `sd_parity.rs`: the parts of Stable Diffusion 1.5, 2.1 and SDXL, tiny and random, and whole
pipelines over four steps, into `fixtures/models` and `fixtures/pipelines`.

Needs what `make_fixtures.py` needs.

    python make_sd_fixtures.py
"""

import json
import shutil

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from make_fixtures import FIXTURES, save_model, with_noise
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

PIPELINES = FIXTURES / "pipelines"
PROMPT = "A quiet Harbour, at dusk!"
NEGATIVE = "muddy colour"


# Parts


def autoencoder(**config):
    return with_noise(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
            up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=16,
            **config,
        )
    )


def autoencoder_kl():
    vae = autoencoder(latent_channels=4)
    image = torch.rand(1, 3, 24, 36) * 2 - 1
    moments = vae.encode(image).latent_dist
    latents = torch.randn(1, 4, 12, 18)
    outputs = {"image": image, "mean": moments.mean, "logvar": moments.logvar, "latents": latents}
    outputs["decoded"] = vae.decode(latents).sample
    vae.enable_tiling()
    outputs["tiled_mean"] = vae.encode(image).latent_dist.mean
    outputs["tiled_decoded"] = vae.decode(latents).sample
    save_model("autoencoder_kl", vae, **outputs)
    # As FLUX and SD3 have it.
    vae = autoencoder(latent_channels=6, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1)
    latents = torch.randn(1, 6, 5, 4)
    save_model(
        "autoencoder_kl_16", vae, image=image, mean=vae.encode(image).latent_dist.mean,
        latents=latents, decoded=vae.decode(latents).sample,
    )


def sdxl_unet(cross_attention_dim, pooled):
    return with_noise(
        UNet2DConditionModel(
            sample_size=8,
            norm_num_groups=4,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            cross_attention_dim=cross_attention_dim,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=pooled + 6 * 4,
        )
    )


def unet_text_time():
    model = sdxl_unet(12, 10)
    inputs = {
        "sample": torch.randn(2, 4, 8, 8),
        "timestep": torch.tensor([981.0, 13.0]),
        "encoder_hidden_states": torch.randn(2, 7, 12),
    }
    added = {
        "text_embeds": torch.randn(2, 10),
        "time_ids": torch.tensor([[64.0, 96.0, 0.0, 8.0, 64.0, 64.0], [32.0, 32.0, 0.0, 0.0, 64.0, 64.0]]),
    }
    output = model(*inputs.values(), added_cond_kwargs=added).sample
    save_model("unet_text_time", model, **inputs, **added, output=output)


def text_config(**config):
    return CLIPTextConfig(
        intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, **{"hidden_act": "gelu", **config}
    )


def clip_text_with_projection():
    for name, eos in (("clip_text_projection", 49), ("clip_text_projection_old", 2)):
        config = text_config(
            vocab_size=50, hidden_size=16, max_position_embeddings=12, projection_dim=10, eos_token_id=eos
        )
        model = with_noise(CLIPTextModelWithProjection(config))
        ids = torch.randint(3, 48, (2, 9))
        ids[0, 4:] = 49
        ids[1, 7:] = 49
        output = model(ids, output_hidden_states=True)
        save_model(
            name, model, input_ids=ids, text_embeds=output.text_embeds,
            penultimate=output.hidden_states[-2], clip_skip=output.hidden_states[-3],
        )


# Pipelines


def write_tokenizer(folder, pad):
    """As folders of 2022 have it: without `tokenizer.json`."""
    byte_characters = [chr(byte) for byte in (*range(33, 127), *range(161, 173), *range(174, 256))]
    byte_characters += [chr(256 + i) for i in range(256 - len(byte_characters))]
    merges = ["h a", "ha r", "b o", "bo u", "bou r</w>", "har bour</w>", "a t</w>", "d u", "du s", "dus k</w>", "c o"]
    tokens = byte_characters + [character + "</w>" for character in byte_characters]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return CLIPTokenizer.from_pretrained(folder), len(tokens)


def write_pipeline(name, pipeline, tokenizers, size, **arguments):
    folder = PIPELINES / name
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    for part, source in tokenizers.items():
        shutil.rmtree(folder / part)
        shutil.move(source, folder / part)
    latents = torch.randn(2, 4, size[0] // 2, size[1] // 2)
    outputs = {"latents": latents}
    for key, negative, guidance in (("guided", NEGATIVE, 5.0), ("guided_empty", None, 5.0), ("unguided", None, 1.0)):
        outputs[key] = pipeline(
            prompt=PROMPT, negative_prompt=negative, guidance_scale=guidance, num_inference_steps=4,
            num_images_per_prompt=2, latents=latents.clone(), height=size[0], width=size[1], output_type="latent",
            **arguments,
        ).images
    outputs["pictures"] = pipeline.vae.decode(outputs["guided"] / pipeline.vae.config.scaling_factor).sample.clamp(-1, 1)
    ids = pipeline.tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    outputs["input_ids"] = ids
    save_file({key: value.contiguous() for key, value in outputs.items()}, folder / "io.safetensors")


def stable_diffusion(name, prediction_type, timestep_spacing, clip_skip, **unet_config):
    # The vocabulary's last token is the end of text, as in CLIP.
    source = FIXTURES / f"{name}_tokenizer"
    tokenizer, count = write_tokenizer(source, "!" if prediction_type == "v_prediction" else "<|endoftext|>")
    encoder = with_noise(
        CLIPTextModel(text_config(vocab_size=count, hidden_size=12, eos_token_id=count - 1, hidden_act="quick_gelu"))
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        norm_num_groups=4,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=12,
        **unet_config,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, prediction_type=prediction_type, timestep_spacing=timestep_spacing,
    )
    # Where diffusers 0.42 looks for the last layer norm when it skips layers; transformers 5 has moved it.
    encoder.__dict__["text_model"] = encoder
    pipeline = StableDiffusionPipeline(
        autoencoder(latent_channels=4), encoder, tokenizer, with_noise(unet), scheduler, None, None,
        requires_safety_checker=False,
    )
    write_pipeline(name, pipeline, {"tokenizer": source}, (16, 24), clip_skip=clip_skip)


def stable_diffusion_xl():
    sources = [FIXTURES / f"sdxl_tokenizer{suffix}" for suffix in ("", "_2")]
    tokenizer, count = write_tokenizer(sources[0], "<|endoftext|>")
    tokenizer_2, _ = write_tokenizer(sources[1], "!")
    encoder = with_noise(
        CLIPTextModel(text_config(vocab_size=count, hidden_size=12, eos_token_id=count - 1, hidden_act="quick_gelu"))
    )
    encoder_2 = with_noise(
        CLIPTextModelWithProjection(
            text_config(vocab_size=count, hidden_size=16, projection_dim=10, eos_token_id=count - 1)
        )
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    pipeline = StableDiffusionXLPipeline(
        autoencoder(latent_channels=4, scaling_factor=0.13025), encoder, encoder_2, tokenizer, tokenizer_2,
        sdxl_unet(28, 10), scheduler, force_zeros_for_empty_prompt=True, add_watermarker=False,
    )
    write_pipeline(
        "sdxl", pipeline, dict(zip(("tokenizer", "tokenizer_2"), sources)), (16, 24),
        original_size=(32, 40), crops_coords_top_left=(4, 2),
    )


@torch.no_grad()
def main():
    torch.manual_seed(1)
    for name in ("sd", "sd21", "sdxl"):
        shutil.rmtree(PIPELINES / name, ignore_errors=True)
    autoencoder_kl()
    unet_text_time()
    clip_text_with_projection()
    stable_diffusion("sd", "epsilon", "leading", 1, attention_head_dim=2)
    stable_diffusion(
        "sd21", "v_prediction", "leading", None, attention_head_dim=(2, 4), use_linear_projection=True
    )
    stable_diffusion_xl()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
