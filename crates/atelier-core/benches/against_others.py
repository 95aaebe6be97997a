"""Times Atelier, PyTorch and ONNX Runtime on the small painter in turn, and prints a table of medians and of the medians
of ratios.

Needs torch 2 and diffusers 0.42; with onnx, onnxscript and onnxruntime, ONNX Runtime is included for rows without gradients.
All use all processors, in f32. PyTorch runs twice, as it comes and with glibc told to keep its pages, and the faster of both
counts. Atelier's rows with gradients include adding up those of two halves of the batch, as a training run does.

    python crates/atelier-core/benches/against_others.py
    python crates/atelier-core/benches/against_others.py --rows forward --rounds 9
    python crates/atelier-core/benches/against_others.py --rows --also sd15 sdxl lora page demo quick-demo

What `--also` names is measured in other ways, each printed after the table: models of true size by `real_size.py`, steps of
a LoRA by the benchmark `lora_steps`, the page by the test that opens it in Chromium, the demo by its command.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEEPING_PAGES = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
# Work, pictures, pixels of a side.
ROWS = [
    *(("forward", batch, 128) for batch in (16, 2, 1)),
    *(("gradients", batch, 128) for batch in (16, 2, 1)),
    *((work, batch, size) for batch, size in ((16, 128), (1, 128), (1, 512)) for work in ("encode", "decode")),
]


ALSO = {
    "sd15": [sys.executable, "crates/atelier-core/benches/real_size.py", "sd15", "--size", "512"],
    "sdxl": [sys.executable, "crates/atelier-core/benches/real_size.py", "sdxl", "--size", "1024"],
    "lora": ["cargo", "xtask", "bench", "lora_steps"],
    "page": [
        "cargo", "test", "--quiet", "--release", "--workspace", "--test", "browser", "the_benchmark", "--",
        "--ignored", "--nocapture",
    ],
    "demo": ["cargo", "run", "--quiet", "--release", "--workspace", "--bin", "atelier", "demo", "--out"],
    "quick-demo": ["cargo", "run", "--quiet", "--release", "--workspace", "--bin", "atelier", "demo", "--quick", "--out"],
}


class PyTorch:
    def __init__(self):
        import torch
        from diffusers import AutoencoderTiny, UNet2DConditionModel

        torch.set_num_threads(os.cpu_count())
        self.torch = torch
        self.unet = UNet2DConditionModel.from_pretrained(ROOT / "models/painter/unet")
        self.vae = AutoencoderTiny.from_pretrained(ROOT / "models/painter/vae")

    def inputs(self, work, batch, size):
        random = self.torch.randn
        latents = random(batch, 4, size // 4, size // 4)
        return {
            "encode": (random(batch, 3, size, size),),
            "decode": (latents,),
        }.get(work) or (latents, self.torch.full((batch,), 500.0), random(batch, 77, 128))

    def module(self, work):
        """The part of the model that does the work, as a module of tensors only."""
        functions = {
            "forward": (self.unet, lambda *inputs: self.unet(*inputs, return_dict=False)[0]),
            "encode": (self.vae, lambda x: self.vae.encode(x, return_dict=False)[0]),
            "decode": (self.vae, lambda x: self.vae.decode(x, return_dict=False)[0]),
        }

        class Part(self.torch.nn.Module):
            def __init__(self, model, function):
                super().__init__()
                self.model, self.function = model, function

            def forward(self, *inputs):
                return self.function(*inputs)

        return Part(*functions[work]).eval()

    def call(self, work, batch, size):
        inputs = self.inputs(work, batch, size)
        if work == "gradients":
            self.unet.train()

            def gradients():
                self.unet.zero_grad()
                self.unet(*inputs).sample.square().mean().backward()

            return gradients
        module = self.module(work)

        def forward():
            with self.torch.no_grad():
                module(*inputs)

        return forward


class OnnxRuntime:
    def __init__(self):
        self.models = PyTorch()
        self.folder = tempfile.TemporaryDirectory()

    def call(self, work, batch, size):
        import onnxruntime

        if work == "gradients":
            return None
        inputs = self.models.inputs(work, batch, size)
        path = Path(self.folder.name) / f"{work}-{batch}-{size}.onnx"
        if not path.exists():
            torch = self.models.torch
            with torch.no_grad():
                torch.onnx.export(self.models.module(work), inputs, path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [input.name for input in session.get_inputs()]
        # What the graph does not need is no input of it.
        feed = dict(zip(names, (tensor.numpy() for tensor in inputs)))
        return lambda: session.run(None, feed)


def milliseconds(function):
    """The median of a second of calls, at least three, after one that is not counted."""
    function()
    started = time.perf_counter()
    times = []
    while len(times) < 3 or time.perf_counter() - started < 1:
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def answer(kind):
    """Answers requests, a line of JSON each, with milliseconds."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Whatever libraries print is no reply.
    models = kind()
    calls = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["work"], request["batch"], request["size"])
        if key not in calls:
            calls[key] = models.call(*key)
        print(json.dumps(calls[key] and milliseconds(calls[key])), file=replies)


class Worker:
    def __init__(self, command, environment=()):
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **dict(environment)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )

    def ask(self, work, batch, size):
        print(json.dumps({"work": work, "batch": batch, "size": size}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args} ended")
        return json.loads(answer)


def workers():
    # All crates together, so that no dependency is compiled with other features than for the tests.
    build = ["cargo", "build", "--quiet", "--release", "--workspace", "--example", "measure"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    python = [sys.executable, __file__, "--worker"]
    found = {
        "Atelier": Worker([target / "release/examples/measure"]),
        "PyTorch": Worker([*python, "PyTorch"]),
        "PyTorch, keeping pages": Worker([*python, "PyTorch"], KEEPING_PAGES),
    }
    try:
        import onnx, onnxruntime, onnxscript  # noqa: E401, F401
    except ImportError as error:
        print(f"without ONNX Runtime: {error}", file=sys.stderr)
    else:
        found["ONNX Runtime"] = Worker([*python, "OnnxRuntime"])
    return found


def compare(rows, count):
    others = workers()
    print(f"| | {' | '.join(others)} | of PyTorch | of ONNX Runtime |\n|---{'|---' * (len(others) + 2)}|")
    for work, batch, size in rows:
        rounds = [{name: it.ask(work, batch, size) for name, it in others.items()} for _ in range(count)]
        able = [name for name in others if rounds[0][name]]

        def ratio(*names):
            """Of Atelier to the fastest of these, as far as they can do the work."""
            names = [name for name in names if name in able]
            ratios = [found["Atelier"] / min(found[name] for name in names) for found in rounds] if names else []
            return f"{statistics.median(ratios):.2f}" if ratios else ""

        times = [f"{statistics.median(it[name] for it in rounds):.1f} ms" if name in able else "" for name in others]
        cells = [*times, ratio("PyTorch", "PyTorch, keeping pages"), ratio("ONNX Runtime")]
        print(f"| {work}, {batch} of {size} px | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", choices=sorted({row[0] for row in ROWS}), help="only these")
    parser.add_argument("--rounds", type=int, default=5, help="turns of all")
    parser.add_argument("--also", nargs="+", choices=ALSO, default=[], help="what else is measured")
    parser.add_argument("--worker", choices=("PyTorch", "OnnxRuntime"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return answer({"PyTorch": PyTorch, "OnnxRuntime": OnnxRuntime}[arguments.worker])
    rows = [row for row in ROWS if arguments.rows is None or row[0] in arguments.rows]
    if rows:
        compare(rows, arguments.rounds)
    for name in arguments.also:
        with tempfile.TemporaryDirectory() as folder:
            command = [*ALSO[name], f"{folder}/demo"] if "demo" in name else ALSO[name]
            started = time.perf_counter()
            subprocess.run(command, cwd=ROOT, check=True)
            print(f"{name}: {time.perf_counter() - started:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
