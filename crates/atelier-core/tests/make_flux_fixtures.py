"""Writes the fixtures of `flux_parity.rs`: the parts of FLUX, tiny and random, a LoRA of its transformer, and a whole
pipeline over four steps, into `fixtures/models`, `fixtures/schedulers`, `fixtures/lora` and `fixtures/pipelines`.

Needs what `make_fixtures.py` needs, and peft.

    python make_flux_fixtures.py
"""

import json
import shutil

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from make_fixtures import FIXTURES, config_text, save_model, tensor_json, tensors_json, with_noise, write_json
from make_sd_fixtures import NEGATIVE, PIPELINES, PROMPT, autoencoder, text_config, write_tokenizer
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, T5Config, T5EncoderModel, T5Tokenizer


# Scheduler

SHAPE = (2, 2, 2, 3)


def trajectory(name, steps, image_seq_len=None, **config):
    """With a picture's tokens, as `FluxPipeline` chooses the timesteps; without, as the scheduler does by itself."""
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    if image_seq_len is None:
        scheduler.set_timesteps(steps)
    else:
        keys = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        mu = calculate_shift(image_seq_len, *(scheduler.config[key] for key in keys))
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    generator = torch.Generator().manual_seed(len(name) + 100 * steps)
    latents = sample = torch.randn(SHAPE, generator=generator)
    records = []
    for index, timestep in enumerate(scheduler.timesteps):
        output = torch.tanh(1.5 * sample.flip(-1)) + 0.3 * torch.cos(sample + index)
        sample = scheduler.step(output, timestep, sample).prev_sample
        records.append(tensors_json(model_output=output, prev_sample=sample))
    return {
        "name": name,
        "config": config_text(scheduler),
        "image_seq_len": image_seq_len,
        "timesteps": [float(timestep) for timestep in scheduler.timesteps],
        "sigmas": [float(f"{sigma:.9g}") for sigma in scheduler.sigmas],
        "latents": tensor_json(latents),
        "steps": records,
    }


def training(**config):
    """What a training script takes from a fresh scheduler: the noise of every training timestep, noisiest first."""
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    indices = [0, 1, 137, 500, 998, 999]
    generator = torch.Generator().manual_seed(7)
    original, noise = torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    chosen = scheduler.timesteps[[137, 998]]
    return {
        "config": config_text(scheduler),
        "indices": indices,
        "timesteps": [float(scheduler.timesteps[index]) for index in indices],
        "sigmas": [float(f"{scheduler.sigmas[index]:.9g}") for index in indices],
        "noised": [137, 998],
        "original": tensor_json(original),
        "noise": tensor_json(noise),
        "noisy": tensor_json(scheduler.scale_noise(original, chosen, noise)),
        "velocity": tensor_json(noise - original),
    }


def scheduler():
    # The values of FLUX.1 dev, FLUX.1 schnell and SD3.
    dev = {"shift": 3.0, "use_dynamic_shifting": True}
    cases = {
        "training": [training(), training(shift=3.0), training(**dev)],
        "trajectories": [
            trajectory("defaults", 5),
            trajectory("SD3", 6, shift=3.0),
            trajectory("one step", 1, shift=3.0),
            trajectory("FLUX.1 schnell", 4, 4096, shift=1.0),
            trajectory("FLUX.1 dev", 6, 4096, **dev),
            trajectory("FLUX.1 dev, small", 6, 24, **dev),
            trajectory("another range", 3, 100, base_shift=0.3, max_shift=2.0, base_image_seq_len=64,
                       max_image_seq_len=1024, **dev),
        ],
    }
    write_json("schedulers/flow-match-euler.json", cases)


# Parts


def t5(vocabulary, features):
    config = T5Config(
        vocab_size=vocabulary, d_model=features, d_kv=6, d_ff=24, num_layers=3, num_heads=2,
        relative_attention_num_buckets=16, relative_attention_max_distance=24, feed_forward_proj="gated-gelu",
    )
    model = T5EncoderModel(config)
    with torch.no_grad():
        # Fresh ones are so large that little but the bias is left of attention.
        model.shared.weight.mul_(0.3)
    return with_noise(model)


def t5_encoder():
    model = t5(50, 16)
    ids = torch.randint(3, 50, (2, 40))
    ids[1, 11:] = 0
    save_model("t5_encoder", model, input_ids=ids, last_hidden_state=model(ids).last_hidden_state)


def transformer(in_channels, joint_attention_dim, pooled_projection_dim, **config):
    model = FluxTransformer2DModel(
        in_channels=in_channels, num_layers=2, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=joint_attention_dim, pooled_projection_dim=pooled_projection_dim, axes_dims_rope=(2, 2, 4),
        **config,
    )
    return with_noise(model)


def transformer_output(model, io):
    """Of latents as the autoencoder has them, which the pipeline packs."""
    latents = io["sample"]
    batch, channels, height, width = latents.shape
    output = model(
        hidden_states=FluxPipeline._pack_latents(latents, batch, channels, height, width),
        timestep=io["timestep"] / 1000,
        guidance=io.get("guidance"),
        pooled_projections=io["pooled_projections"],
        encoder_hidden_states=io["encoder_hidden_states"],
        txt_ids=torch.zeros(io["encoder_hidden_states"].shape[1], 3),
        img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, "cpu", torch.float32),
    ).sample
    return FluxPipeline._unpack_latents(output, height, width, 1)


def flux_transformer():
    for name, guidance_embeds in (("flux", False), ("flux_guidance", True)):
        model = transformer(16, 12, 10, guidance_embeds=guidance_embeds)
        io = {
            "sample": torch.randn(2, 4, 6, 10),
            "timestep": torch.tensor([981.0, 13.5]),
            "encoder_hidden_states": torch.randn(2, 7, 12),
            "pooled_projections": torch.randn(2, 10),
        }
        if guidance_embeds:
            io["guidance"] = torch.tensor([3.5, 1.0])
        save_model(name, model, **io, output=transformer_output(model, io))


def flux_lora():
    """As diffusers writes it, read by diffusers' own loader."""
    folder = FIXTURES / "models" / "flux"
    file = FIXTURES / "lora" / "flux.safetensors"
    io = load_file(folder / "io.safetensors")
    model = FluxTransformer2DModel.from_pretrained(folder)
    targets = ["attn.to_q", "attn.to_out.0", "add_k_proj", "ff.net.0.proj", "ff_context.net.2", "proj_mlp", "norm1.linear"]
    model.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=targets))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.copy_(0.3 * torch.randn_like(parameter))
    FluxPipeline.save_lora_weights(
        file.parent, transformer_lora_layers=get_peft_model_state_dict(model), weight_name=file.name,
        transformer_lora_adapter_metadata=model.peft_config["default"].to_dict(),
    )
    loaded = FluxTransformer2DModel.from_pretrained(folder)
    state, alphas, metadata = FluxPipeline.lora_state_dict(file, return_alphas=True, return_lora_metadata=True)
    FluxPipeline.load_lora_into_transformer(state, alphas, loaded, adapter_name="a", metadata=metadata)
    output = transformer_output(loaded, io)
    assert torch.allclose(output, transformer_output(model, io), atol=1e-5)
    assert not torch.allclose(output, io["output"], atol=1e-2)
    save_file({"adapted": output.contiguous()}, FIXTURES / "lora" / "flux_outputs.safetensors")


# Pipeline


def t5_tokenizer():
    words = ["harbour", "dusk", "quiet", "at", "a", "muddy", "colour", "har", "bour", "A"]
    characters = "abcdefghijklmnopqrstuvwxyzAH,!|:"
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(f"▁{word}", -3.0 - 0.1 * index) for index, word in enumerate(words)]
    vocabulary += [(character, -6.0 - 0.05 * index) for index, character in enumerate(characters)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512), len(vocabulary)


def flux_pipeline():
    source = FIXTURES / "flux_tokenizer"
    tokenizer, count = write_tokenizer(source, "<|endoftext|>")
    tokenizer_2, count_2 = t5_tokenizer()
    encoder = with_noise(
        CLIPTextModel(text_config(vocab_size=count, hidden_size=10, eos_token_id=count - 1, hidden_act="quick_gelu"))
    )
    vae = autoencoder(
        latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611, shift_factor=0.1159
    )
    pipeline = FluxPipeline(
        FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae, encoder, tokenizer, t5(count_2, 12), tokenizer_2, transformer(64, 12, 10, guidance_embeds=True),
    )
    folder = PIPELINES / "flux"
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    shutil.rmtree(folder / "tokenizer")
    shutil.move(source, folder / "tokenizer")
    height, width = 16, 24
    latents = torch.randn(2, 16, height // 2, width // 2)
    packed = FluxPipeline._pack_latents(latents, 2, 16, height // 2, width // 2)
    outputs = {"latents": latents}
    for key, guidance, negative, true_cfg in (
        ("guided", 3.5, None, 1.0), ("weakly_guided", 1.0, None, 1.0), ("true_cfg", 3.5, NEGATIVE, 3.0)
    ):
        denoised = pipeline(
            prompt=PROMPT, negative_prompt=negative, guidance_scale=guidance, true_cfg_scale=true_cfg,
            num_inference_steps=4, num_images_per_prompt=2, latents=packed.clone(), height=height, width=width,
            output_type="latent",
        ).images
        outputs[key] = FluxPipeline._unpack_latents(denoised, height, width, 2)
    outputs["pictures"] = vae.decode(
        outputs["guided"] / vae.config.scaling_factor + vae.config.shift_factor
    ).sample.clamp(-1, 1)
    for name, part, length in (("input_ids", tokenizer, 77), ("input_ids_2", tokenizer_2, 512)):
        ids = part(PROMPT, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        outputs[name] = ids
    print(outputs["input_ids_2"][0, :12], json.loads((folder / "model_index.json").read_text()))
    save_file({key: value.contiguous() for key, value in outputs.items()}, folder / "io.safetensors")


@torch.no_grad()
def main():
    torch.manual_seed(2)
    scheduler()
    t5_encoder()
    flux_transformer()
    flux_lora()
    flux_pipeline()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
