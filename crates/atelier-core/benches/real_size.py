"""One forward pass of a UNet in the true size of Stable Diffusion 1.5 or SDXL, with random weights, in diffusers and in
Atelier: seconds, peak memory, and how far apart they are.

Needs torch and diffusers 0.42, and for SDXL 6 GB of disk and 16 GB of memory. Both use all cores, in f32, one after
the other; the weights lie on the disk in f16.

    python crates/atelier-core/benches/real_size.py sd15 --size 512
    python crates/atelier-core/benches/real_size.py sdxl --size 1024
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]

CONFIGURATIONS = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


def make(name, folder):
    """Writes the UNet with random weights."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    UNet2DConditionModel(**CONFIGURATIONS[name]).save_pretrained(folder, variant="fp16", max_shard_size="99GB")


def diffusers(name, folder, size):
    """Runs the UNet and writes what went in and came out."""
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    started = time.perf_counter()
    model = UNet2DConditionModel.from_pretrained(folder, variant="fp16", torch_dtype=torch.float32)
    loaded = time.perf_counter() - started
    torch.manual_seed(1)
    tensors = {
        "sample": torch.randn(1, 4, size // 8, size // 8),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 77, model.config.cross_attention_dim),
    }
    added = {}
    if name == "sdxl":
        added = {
            "text_embeds": torch.randn(1, 1280),
            "time_ids": torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32),
        }
    with torch.no_grad():
        started = time.perf_counter()
        output = model(**tensors, added_cond_kwargs=added).sample
        seconds = time.perf_counter() - started
    save_file({**tensors, **added, "output": output}, folder / "io.safetensors")
    print(json.dumps({"load": loaded, "forward": seconds}))


def measured(command):
    """The JSON that a command prints, with the peak memory of its process in GiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command} failed")
    return {**json.loads(printed), "gib": usage.ru_maxrss / 2**20}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONFIGURATIONS)
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels")
    parser.add_argument("--folder", type=Path, help="where to keep the model for the next time")
    parser.add_argument("--part", choices=("make", "diffusers"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "make":
        return make(arguments.name, arguments.folder)
    if arguments.part == "diffusers":
        return diffusers(arguments.name, arguments.folder, arguments.size)

    # All crates together, so that no dependency is compiled with other features than for the tests.
    build = ["cargo", "build", "--quiet", "--release", "--workspace", "--example", "real_size"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        python = [sys.executable, __file__, arguments.name, "--size", str(arguments.size), "--folder", str(folder)]
        # In processes of their own: memory is measured by the process.
        if not (folder / "config.json").exists():
            subprocess.run([*python, "--part", "make"], check=True)
        theirs = measured([*python, "--part", "diffusers"])
        ours = measured([target / "release/examples/real_size", folder])
    for who, found in (("diffusers", theirs), ("Atelier", ours)):
        print(f"{who}: {found['load']:.1f} s to load, {found['forward']:.1f} s forward, {found['gib']:.1f} GiB")
    print(f"ratio {ours['forward'] / theirs['forward']:.2f}, largest difference {ours['error']:.1e} of the output's scale")


if __name__ == "__main__":
    main()
