"""Writes the fixtures of `lora_parity.rs` into `fixtures/lora`, and checks that diffusers reads what Atelier wrote.

Needs what `make_fixtures.py` needs, and peft. `ours.safetensors` is written by the test (see there); this script loads
it with diffusers' own loader and stores what the model with it computes.

    python make_lora_fixtures.py
"""

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from make_fixtures import FIXTURES
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

FOLDER = FIXTURES / "lora"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "time_emb_proj", "downsamplers.0.conv"]


def model():
    return UNet2DConditionModel.from_pretrained(FIXTURES / "models" / "unet").eval()


def output(unet):
    io = load_file(FIXTURES / "models" / "unet" / "io.safetensors")
    with torch.no_grad():
        return unet(io["sample"], io["timestep"], io["encoder_hidden_states"]).sample


def load(unet, path):
    """As `StableDiffusionPipeline.load_lora_weights` does it."""
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(path, return_lora_metadata=True)
    StableDiffusionPipeline.load_lora_into_unet(state, alphas, unet, adapter_name="a", metadata=metadata)
    return unet


def rank_stabilised():
    """An adapter whose strength is in the metadata alone: `use_rslora`, with ranks and alphas that differ by layer."""
    unet = model()
    patterns = {"rank_pattern": {"to_k": 4}, "alpha_pattern": {"attn1.to_q": 5, "mid_block.*to_[qk]": 6}}
    unet.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=["to_q", "to_k"], use_rslora=True, **patterns))
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    StableDiffusionPipeline.save_lora_weights(
        FOLDER,
        unet_lora_layers=get_peft_model_state_dict(unet),
        weight_name="rslora.safetensors",
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
    )
    return output(unet)


def main():
    torch.manual_seed(0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    unet = model()
    unet.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=TARGETS))
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    layers = get_peft_model_state_dict(unet)
    metadata = {"unet": unet.peft_config["default"].to_dict()}["unet"]
    StableDiffusionPipeline.save_lora_weights(
        FOLDER, unet_lora_layers=layers, weight_name="diffusers.safetensors", unet_lora_adapter_metadata=metadata
    )
    state = load_file(FOLDER / "diffusers.safetensors")
    kohya = {key: value.contiguous() for key, value in convert_state_dict_to_kohya(state).items()}
    for key in [key for key in kohya if key.endswith(".alpha")]:
        kohya[key] = torch.tensor(3.0)
    save_file(kohya, FOLDER / "kohya.safetensors")
    outputs = {"adapted": output(unet)}
    for name in ("diffusers", "kohya"):
        found = output(load(model(), FOLDER / f"{name}.safetensors"))
        assert torch.allclose(found, outputs["adapted"], atol=1e-5), name
    assert not torch.allclose(output(model()), outputs["adapted"], atol=1e-2)
    outputs["rslora"] = rank_stabilised()
    assert torch.allclose(output(load(model(), FOLDER / "rslora.safetensors")), outputs["rslora"], atol=1e-5)
    if (FOLDER / "ours.safetensors").exists():
        outputs["ours"] = output(load(model(), FOLDER / "ours.safetensors"))
    else:
        print("ours.safetensors is missing: run the test first, then this script again")
    save_file(outputs, FOLDER / "outputs.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
