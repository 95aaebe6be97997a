"""Times the small painter's denoiser in Atelier and in PyTorch, by turns, and prints the ratios.

Needs torch and diffusers 0.42, and the shipped painter of `models/painter`. Both use all cores, in f32.

    python crates/atelier-core/benches/against_pytorch.py
"""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

ROOT = Path(__file__).parents[3]
BATCH = 16
ROUNDS = 3


def pytorch():
    """Median milliseconds of a forward pass, and of one with gradients."""
    model = UNet2DConditionModel.from_pretrained(ROOT / "models/painter/unet", torch_dtype=torch.float32)
    sample = torch.randn(BATCH, 4, 32, 32)
    context = torch.randn(BATCH, 77, 128)

    def forward():
        with torch.no_grad():
            model(sample, 500, context)

    def gradients():
        model.zero_grad()
        model(sample, 500, context).sample.square().mean().backward()

    return {"forward": milliseconds(forward), "gradients": milliseconds(gradients)}


def milliseconds(function):
    function()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def atelier():
    """The same of criterion's benchmark `denoiser`."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    subprocess.run(
        ["cargo", "bench", "--quiet", "-p", "atelier-core", "--features", "native", "--bench", "denoiser"],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )
    return {
        name: json.loads((target / "criterion/denoiser" / name / "new/estimates.json").read_text())
        ["median"]["point_estimate"] / 1e6
        for name in ("forward", "gradients")
    }


def main():
    rounds = [(atelier(), pytorch()) for _ in range(ROUNDS)]
    for name in ("forward", "gradients"):
        ours, theirs = ([round[side][name] for round in rounds] for side in (0, 1))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f"{name}: Atelier {statistics.median(ours):.0f} ms, PyTorch {statistics.median(theirs):.0f} ms, "
              f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
