"""Writes the fixtures that the parity tests compare with, into the folder `fixtures` beside this script.

Needs torch, diffusers 0.42, transformers 5, safetensors and numpy. Everything is seeded, so that running it again
changes nothing but the last bits of floating point numbers.

    python make_fixtures.py
"""

import ast
import json
import tempfile
from pathlib import Path
from unittest import mock

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

FIXTURES = Path(__file__).parent / "fixtures"
CLASS_DEFAULTS = Path(__file__).parent.parent / "src" / "schedulers" / "class_defaults.json"


def write_json(name, value):
    path = FIXTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def tensor_json(tensor):
    """Shape and values, with the nine digits that give back any 32-bit float."""
    array = np.asarray(tensor.detach() if isinstance(tensor, torch.Tensor) else tensor)
    return {"shape": list(array.shape), "values": [float(f"{value:.9g}") for value in array.ravel()]}


def tensors_json(**tensors):
    return {name: tensor_json(tensor) for name, tensor in tensors.items()}


# Models


def with_noise(model):
    """Moves every parameter: fresh models have zeros and ones, which would hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def save_model(name, model, **io):
    folder = FIXTURES / "models" / name
    model.save_pretrained(folder)
    save_file({key: value.contiguous() for key, value in io.items()}, folder / "io.safetensors")


def unet(name, size, **config):
    model = with_noise(UNet2DConditionModel(cross_attention_dim=12, norm_num_groups=4, sample_size=8, **config))
    sample = torch.randn(2, 4, *size)
    timestep = torch.tensor([981.0, 13.0])
    states = torch.randn(2, 7, 12)
    output = model(sample, timestep, states).sample
    save_model(name, model, sample=sample, timestep=timestep, encoder_hidden_states=states, output=output)


@torch.no_grad()
def models():
    torch.manual_seed(0)
    unet(
        "unet",
        (8, 12),
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
    )
    # Everything that can differ between models of the class, and sizes that do not halve evenly.
    unet(
        "unet_linear",
        (10, 7),
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=(1, 2, 1),
        attention_head_dim=(2, 4, 2),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 1, 2),
        flip_sin_to_cos=False,
        freq_shift=1,
        center_input_sample=True,
        mid_block_scale_factor=1.5,
        downsample_padding=0,
        act_fn="gelu",
        addition_embed_type="text",
        addition_embed_type_num_heads=3,
    )
    vae = with_noise(
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            num_encoder_blocks=(1, 2, 1),
            num_decoder_blocks=(2, 1, 1),
        )
    )
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    latents = vae.encode(image).latents
    save_model("autoencoder_tiny", vae, image=image, latents=latents, decoded=vae.decode(latents).sample)
    text_encoder = with_noise(
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=50,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=12,
                eos_token_id=2,
            )
        )
    )
    ids = torch.randint(3, 50, (2, 9))
    states = text_encoder(ids).last_hidden_state
    save_model("clip_text", text_encoder, input_ids=ids, last_hidden_state=states)


# Schedulers

CLASSES = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "dpm-solver": DPMSolverMultistepScheduler,
}
CLIPPING = ("ddpm", "ddim")
# The values of Stable Diffusion for `scaled_linear`; the class defaults for the others.
BETAS = {
    "linear": {},
    "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {},
}
SHAPE = (2, 2, 2, 3)


def make_scheduler(kind, schedule, **config):
    if kind in CLIPPING:
        config.setdefault("clip_sample", False)
    return CLASSES[kind](beta_schedule=schedule, **BETAS[schedule], **config)


def config_text(scheduler):
    """The configuration as diffusers writes it, on one line (Python's, with its `-Infinity`)."""
    return json.dumps(json.loads(scheduler.to_json_string()))


def trajectory(kind, name, schedule, steps=6, eta=0.0, **config):
    """Denoises a small sample with a bounded function of it in the place of a model."""
    scheduler = make_scheduler(kind, schedule, **config)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(len(name) + 100 * steps)
    latents = torch.randn(SHAPE, generator=generator)
    sample = latents * scheduler.init_noise_sigma
    records = []
    for index, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(sample, timestep)
        output = torch.tanh(1.5 * model_input.flip(-1)) + 0.3 * torch.cos(model_input + index)
        noise = torch.randn(SHAPE, generator=generator)
        if kind == "ddpm":
            with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noise):
                step = scheduler.step(output, timestep, sample)
        elif kind == "ddim":
            step = scheduler.step(output, timestep, sample, eta=eta, variance_noise=noise)
        else:
            step = scheduler.step(output, timestep, sample)
        sample = step.prev_sample
        record = {"model_input": model_input, "model_output": output, "prev_sample": sample}
        if kind == "ddpm" or eta > 0:
            record["noise"] = noise
        if kind == "dpm-solver":
            # The step has no such output; this is what it kept of it.
            record["pred_original_sample"] = scheduler.model_outputs[-1]
        else:
            record["pred_original_sample"] = step.pred_original_sample
        records.append(tensors_json(**record))
    return {
        "name": name,
        "config": config_text(scheduler),
        "eta": eta,
        "init_noise_sigma": float(scheduler.init_noise_sigma),
        "timesteps": [float(timestep) for timestep in scheduler.timesteps],
        "sigmas": [float(f"{sigma:.9g}") for sigma in scheduler.sigmas] if kind not in CLIPPING else None,
        "latents": tensor_json(latents),
        "steps": records,
    }


def trajectories(kind):
    for schedule in BETAS:
        for prediction in ("epsilon", "v_prediction"):
            # The noisiest timesteps of the cosine schedule have abar around 1e-9: dividing by its root, as the
            # prediction of noise asks, loses all digits of 32-bit floats, in diffusers too. `leading` spares them.
            yield trajectory(
                kind,
                f"{schedule}, {prediction}",
                schedule,
                prediction_type=prediction,
                timestep_spacing="leading",
            )
    yield trajectory(kind, "predicts the sample", "scaled_linear", prediction_type="sample")
    for spacing in ("trailing", "linspace"):
        yield trajectory(kind, spacing, "scaled_linear", timestep_spacing=spacing)
    yield trajectory(
        kind,
        "zero terminal SNR",
        "scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )
    yield trajectory(kind, "offset", "scaled_linear", timestep_spacing="leading", steps_offset=1)
    yield trajectory(kind, "one step", "scaled_linear", steps=1, timestep_spacing="trailing")
    if kind in CLIPPING:
        yield trajectory(kind, "clipped", "scaled_linear", clip_sample=True, clip_sample_range=0.8)
    if kind == "ddim":
        final = {"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}
        yield trajectory(kind, "Stable Diffusion", "scaled_linear", **final)
        yield trajectory(kind, "noisy", "scaled_linear", eta=0.7)


def timesteps(kind):
    """Timesteps alone, for many numbers of steps: 16 and 64 divide 1000 with ties in the rounding."""
    for spacing in ("leading", "trailing", "linspace"):
        for steps in (1, 2, 7, 16, 20, 30, 50, 64, 250):
            scheduler = make_scheduler(kind, "linear", timestep_spacing=spacing)
            scheduler.set_timesteps(steps)
            chosen = [float(timestep) for timestep in scheduler.timesteps]
            assert len(chosen) == steps
            yield {"spacing": spacing, "timesteps": chosen}


def noise_schedule(**config):
    scheduler = DDIMScheduler(clip_sample=False, **config)
    count = scheduler.config.num_train_timesteps
    # Each row its own timestep.
    chosen = torch.tensor([count // 7, count - 1])
    generator = torch.Generator().manual_seed(count)
    original, noise = torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    indices = sorted({*range(0, count, 37), count - 1})
    return {
        "config": config_text(scheduler),
        "indices": indices,
        "alphas_cumprod": [float(f"{scheduler.alphas_cumprod[index]:.9g}") for index in indices],
        "timesteps": chosen.tolist(),
        "original": tensor_json(original),
        "noise": tensor_json(noise),
        "noisy": tensor_json(scheduler.add_noise(original, noise, chosen)),
        "velocity": tensor_json(scheduler.get_velocity(original, noise, chosen)),
    }


def schedulers():
    write_json(
        "schedulers/noise_schedules.json",
        [
            noise_schedule(beta_schedule="linear"),
            noise_schedule(beta_schedule="scaled_linear", **BETAS["scaled_linear"]),
            noise_schedule(beta_schedule="squaredcos_cap_v2"),
            noise_schedule(beta_schedule="linear", num_train_timesteps=100, beta_end=0.1),
            noise_schedule(num_train_timesteps=8, trained_betas=[0.01 * 1.5**index for index in range(8)]),
            noise_schedule(
                beta_schedule="scaled_linear",
                prediction_type="v_prediction",
                rescale_betas_zero_snr=True,
                **BETAS["scaled_linear"],
            ),
        ],
    )
    for kind in CLASSES:
        cases = {"timesteps": list(timesteps(kind)), "trajectories": list(trajectories(kind))}
        write_json(f"schedulers/{kind}.json", cases)
    class_defaults()
    write_json("schedulers/conversions.json", list(conversions()))


# Scheduler classes: their defaults, and configurations of one class for another


def default_value(node):
    """The value of a default in a signature; minus infinity as the text that the Rust code reads it as."""
    match node and ast.unparse(node):
        case None:
            return None
        case "-float('inf')":
            return "-Infinity"
        case text:
            # Fractions such as `1 / 3`.
            return eval(text, {"__builtins__": {}})


def class_defaults():
    """The keys of every scheduler class of diffusers with their defaults, into the sources: the crate's only copy.

    From the sources of diffusers, as some classes cannot be imported without other packages.
    """
    classes = {}
    for path in sorted((Path(diffusers.__file__).parent / "schedulers").rglob("*.py")):
        for item in ast.parse(path.read_text()).body:
            functions = item.body if isinstance(item, ast.ClassDef) else []
            for function in functions:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    if any(ast.unparse(it) == "register_to_config" for it in function.decorator_list):
                        names = [argument.arg for argument in function.args.args[1:]]
                        defaults = function.args.defaults
                        defaults = [None] * (len(names) - len(defaults)) + defaults
                        classes[item.name] = {n: default_value(d) for n, d in zip(names, defaults)}
    lines = [f"  {json.dumps(name)}: {json.dumps(classes[name])}" for name in sorted(classes)]
    CLASS_DEFAULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


STABLE_DIFFUSION = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
# As diffusers writes the file since 0.19, with the values that are its class's defaults.
LEADING = {**STABLE_DIFFUSION, "clip_sample": False, "steps_offset": 1, "timestep_spacing": "leading"}


def corrected(scheduler):
    """The scheduler as `StableDiffusionPipeline` changes it."""
    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer", "unet", "safety_checker", "feature_extractor"))
    return StableDiffusionPipeline(scheduler=scheduler, requires_safety_checker=False, **parts).scheduler


def conversion(name, kind, file, stable_diffusion=False, steps=4):
    """A folder's `scheduler_config.json` for the sampler `kind`, and what it samples with a bounded function as model."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "scheduler_config.json").write_text(json.dumps(file))
        scheduler = getattr(diffusers, file["_class_name"]).from_pretrained(folder)
    if stable_diffusion:
        scheduler = corrected(scheduler)
    if not isinstance(scheduler, CLASSES[kind]):
        scheduler = CLASSES[kind].from_config(scheduler.config)
        if stable_diffusion:
            scheduler = corrected(scheduler)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(len(name))
    # Beyond 1, so that clipping shows.
    latents = 2 * torch.randn(SHAPE, generator=generator)
    sample = latents * scheduler.init_noise_sigma
    outputs, noises = [], []
    for timestep in scheduler.timesteps:
        model_input = scheduler.scale_model_input(sample, timestep)
        outputs.append(torch.tanh(1.5 * model_input.flip(-1)) + 0.3 * torch.cos(model_input))
        noise = torch.randn(SHAPE, generator=generator)
        if kind == "ddpm":
            noises.append(tensor_json(noise))
        with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noise):
            sample = scheduler.step(outputs[-1], timestep, sample).prev_sample
    return {
        "name": name,
        "kind": kind,
        "file": json.dumps(file),
        "stable_diffusion": stable_diffusion,
        "init_noise_sigma": float(scheduler.init_noise_sigma),
        "timesteps": [float(timestep) for timestep in scheduler.timesteps],
        "latents": tensor_json(latents),
        "outputs": [tensor_json(output) for output in outputs],
        "noises": noises,
        "sampled": tensor_json(sample),
    }


def conversions():
    own = {"DDIMScheduler": "ddim", "DDPMScheduler": "ddpm", "EulerDiscreteScheduler": "euler"}
    own["DPMSolverMultistepScheduler"] = "dpm-solver"
    stand_ins = {
        "PNDMScheduler": "ddim",
        "DDIMParallelScheduler": "ddim",
        "DDPMParallelScheduler": "ddpm",
        "EulerAncestralDiscreteScheduler": "euler",
        "HeunDiscreteScheduler": "euler",
        "KDPM2DiscreteScheduler": "euler",
        "KDPM2AncestralDiscreteScheduler": "euler",
        "UniPCMultistepScheduler": "dpm-solver",
        "DEISMultistepScheduler": "dpm-solver",
        "DPMSolverSinglestepScheduler": "dpm-solver",
    }
    for written_by, kind in own.items():
        # The defaults of a class where the file is silent, and those of the sampler's where it is another.
        for sampler in CLASSES:
            name = f"{written_by} of 2022 with {sampler}"
            file = {"_class_name": written_by, **STABLE_DIFFUSION}
            yield conversion(name, sampler, file, stable_diffusion=True)
        yield conversion(f"{written_by} without a pipeline", kind, {"_class_name": written_by, **STABLE_DIFFUSION})
    for written_by, kind in stand_ins.items():
        file = {"_class_name": written_by, **STABLE_DIFFUSION}
        yield conversion(f"{written_by} of 2022", kind, file, stable_diffusion=True)
    for written_by in ("DDIMScheduler", "PNDMScheduler"):
        for sampler in ("euler", "dpm-solver"):
            # A value of the file is kept, though it is the class's default.
            yield conversion(f"{written_by}, leading, with {sampler}", sampler, {"_class_name": written_by, **LEADING})
    hidden = {"_class_name": "PNDMScheduler", **STABLE_DIFFUSION, "steps_offset": 1, "clip_sample": False}
    yield conversion("a key of the other class", "ddim", {**hidden, "rescale_betas_zero_snr": False})
    listed = {**LEADING, "_use_default_values": ["timestep_spacing", "steps_offset"]}
    yield conversion("_use_default_values", "euler", {"_class_name": "DDIMScheduler", **listed})
    outdated = {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION, "clip_sample": True, "steps_offset": 0}
    for sampler in ("ddim", "ddpm", "euler"):
        yield conversion(f"outdated, with {sampler}", sampler, outdated, stable_diffusion=True)
    yield conversion("clips without a pipeline", "ddim", outdated)
    old = {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION, "prediction_type": "v_prediction"}
    yield conversion("v_prediction", "euler", {**old, "timestep_spacing": "trailing"}, stable_diffusion=True)
    for written_by in ("DEISMultistepScheduler", "UniPCMultistepScheduler"):
        solver = {"solver_type": "logrho" if written_by.startswith("DEIS") else "bh2", "lower_order_final": True}
        yield conversion(f"solver of {written_by}", "dpm-solver", {"_class_name": written_by, **LEADING, **solver})


# Objectives: the formulas in numpy, their gradients by torch

SIDES = ("winning", "losing")
STABILISATIONS = [
    {"strategy": "none"},
    {"strategy": "constant", "lambda": 0.6},
    {"strategy": "safeguard", "mu": 0.3},
    {"strategy": "norm-ratio"},
]


def mean_per_sample(values):
    return values.mean(axis=(1, 2, 3))


def log_sigmoid(u):
    return -np.logaddexp(0.0, -u)


def losing_factor(stabilisation, to_winning, to_losing):
    """lambda of each sample, from the gradients `2 (prediction - target) / n` of both terms."""
    size = to_winning[0].size
    g_w, g_l = 2.0 * to_winning / size, 2.0 * to_losing / size
    flat_w, flat_l = g_w.reshape(len(g_w), -1), g_l.reshape(len(g_l), -1)
    norm_w, norm_l = np.linalg.norm(flat_w, axis=1), np.linalg.norm(flat_l, axis=1)
    product = (flat_w * flat_l).sum(axis=1)
    match stabilisation["strategy"]:
        case "none":
            return np.ones(len(g_w))
        case "constant":
            return np.full(len(g_w), stabilisation["lambda"])
        case "safeguard":
            bound = (1.0 - stabilisation["mu"]) * norm_w**2
            return np.array([min(max(b / p, 0.0), 1.0) if p > 0.0 else 1.0 for b, p in zip(bound, product)])
        case "norm-ratio":
            return norm_w / norm_l


def preference(predictions, targets, references, stabilisation, beta, weights):
    """Options, and what they come to: values in numpy, d loss / d prediction by torch.

    The first three arguments are pairs (winning, losing).
    """
    errors = [mean_per_sample((p - t) ** 2) for p, t in zip(predictions, targets)]
    reference_errors = [mean_per_sample((r - t) ** 2) for r, t in zip(references, targets)]
    margin = (errors[0] - errors[1]) - (reference_errors[0] - reference_errors[1])
    u = -0.5 * beta * weights * margin
    loss = -log_sigmoid(u).mean()
    factor = losing_factor(stabilisation, predictions[0] - targets[0], predictions[1] - targets[1])

    variables = {id(p): torch.tensor(p, requires_grad=True) for p in predictions}
    winning, losing = (
        ((variables[id(p)] - torch.tensor(t)) ** 2).mean(dim=(1, 2, 3)) for p, t in zip(predictions, targets)
    )
    # lambda acts on the gradient alone.
    losing = losing.detach() + torch.tensor(factor) * (losing - losing.detach())
    torch_margin = (winning - losing) - torch.tensor(reference_errors[0] - reference_errors[1])
    torch_loss = -torch.nn.functional.logsigmoid(-0.5 * beta * torch.tensor(weights) * torch_margin).mean()
    torch_loss.backward()
    assert np.isclose(torch_loss.item(), loss, rtol=1e-12)

    return {"beta": beta, "stabilisation": stabilisation}, {
        "logged": {
            "loss": loss,
            "u": u.mean(),
            "sigmoid_u": np.exp(log_sigmoid(u)).mean(),
            "implicit_accuracy": float((u > 0).mean()),
            "lambda": factor.mean(),
            "mse_winning": errors[0].mean(),
            "mse_losing": errors[1].mean(),
            "mse_reference_winning": reference_errors[0].mean(),
            "mse_reference_losing": reference_errors[1].mean(),
            **gradient_quantities(predictions[0] - targets[0], predictions[1] - targets[1]),
        },
        "gradients": [tensor_json(variable.grad) for variable in variables.values()],
    }


def gradient_quantities(to_winning, to_losing):
    size = to_winning[0].size
    flat_w, flat_l = to_winning.reshape(len(to_winning), -1), to_losing.reshape(len(to_losing), -1)
    norm_w, norm_l = np.linalg.norm(flat_w, axis=1), np.linalg.norm(flat_l, axis=1)
    return {
        "gradient_norm_winning": (2.0 * norm_w / size).mean(),
        "gradient_norm_losing": (2.0 * norm_l / size).mean(),
        "gradient_cosine": ((flat_w * flat_l).sum(axis=1) / (norm_w * norm_l)).mean(),
    }


def objectives():
    random = np.random.default_rng(7)

    def normal():
        return random.normal(size=(4, *SHAPE[1:])).astype(np.float32).astype(np.float64)

    weights = np.array([1.0, 0.5, 2.0, 1.25])

    prediction, target = normal(), normal()
    variable = torch.tensor(prediction, requires_grad=True)
    (((variable - torch.tensor(target)) ** 2).mean(dim=(1, 2, 3)) * torch.tensor(weights)).mean().backward()
    error = mean_per_sample((prediction - target) ** 2)
    write_json(
        "objectives/sft.json",
        {
            "tensors": tensors_json(prediction=prediction, target=target, weights=weights),
            "expected": {
                "logged": {"loss": (error * weights).mean(), "mse": error.mean()},
                "gradients": [tensor_json(variable.grad)],
            },
        },
    )

    winning, losing, reference = normal(), normal(), normal()
    prediction = normal()
    # Between the targets, where the gradients oppose each other; near the winning one; and near the losing one,
    # where the safeguard reaches its bound of 1.
    prediction[1] = 0.5 * (winning[1] + losing[1])
    prediction[2] = winning[2] + 0.2 * prediction[2]
    prediction[3] = losing[3] + 0.2 * (losing[3] - winning[3]) + 0.1 * prediction[3]
    prediction = prediction.astype(np.float32).astype(np.float64)
    tensors = tensors_json(
        prediction=prediction, reference=reference, winning=winning, losing=losing, weights=weights
    )
    cases = []
    for stabilisation in STABILISATIONS:
        pair, references = (prediction, prediction), (reference, reference)
        options, expected = preference(pair, (winning, losing), references, stabilisation, 3.0, weights)
        expected["logged"]["mse_reference"] = mean_per_sample((prediction - reference) ** 2).mean()
        cases.append({"options": options, "expected": expected})
    write_json("objectives/cpo.json", {"tensors": tensors, "cases": cases})

    pairs = {role: (normal(), normal()) for role in ("prediction", "target", "reference")}
    tensors = {f"{role}_{side}": value for role, pair in pairs.items() for side, value in zip(SIDES, pair)}
    cases = []
    for stabilisation in STABILISATIONS:
        options, expected = preference(*pairs.values(), stabilisation, 2.0, weights)
        cases.append({"options": options, "expected": expected})
    write_json("objectives/diffusion_dpo.json", {"tensors": tensors_json(**tensors, weights=weights), "cases": cases})
    other_objectives(pairs, weights)


def error_with_gradient(prediction, target):
    """Mean squared errors `[batch]`, and how each changes with the prediction."""
    difference = prediction - target
    return mean_per_sample(difference**2), 2 * difference / difference[0].size


def logistic(x):
    return 1 / (1 + np.exp(-x))


def per_value(values):
    return values[:, None, None, None]


def other_objectives(pairs, weights):
    """Losses and gradients by hand, in numpy alone."""
    predictions, targets, references = pairs["prediction"], pairs["target"], pairs["reference"]
    beta, count = 3.0, len(weights)
    labels = np.array([1.0, -1.0, -1.0, 1.0])
    error, slope = error_with_gradient(predictions[0], targets[0])
    gain = mean_per_sample((references[0] - targets[0]) ** 2) - error
    anchor = max(0.0, gain.mean())
    value = logistic(labels * beta * (gain - anchor))
    gradient = per_value(weights * value * (1 - value) * labels * beta / count) * slope
    logged = {
        "loss": (weights * (1 - value)).mean(), "mse": error.mean(), "gain": gain.mean(), "anchor": anchor,
        "value": value.mean(), "implicit_accuracy": (labels * gain > 0).mean(),
    }
    tensors = {"prediction": predictions[0], "reference": references[0], "target": targets[0]}
    write_json(
        "objectives/diffusion_kto.json",
        {
            "tensors": tensors_json(**tensors, labels=labels, weights=weights),
            "beta": beta,
            "expected": {"logged": logged, "gradients": [tensor_json(gradient)]},
        },
    )

    beta, sharpness, timesteps = 0.1, 0.5, 1000.0
    # Pairs that are nearly alike: the margin is multiplied by T, and the logarithm of its logistic must stay curved.
    winning = 0.2 * predictions[0]
    losing = winning + 0.003 * predictions[1]
    targets = (0.2 * targets[0], 0.2 * targets[0])
    winning, losing, target = (x.astype(np.float32).astype(np.float64) for x in (winning, losing, targets[0]))
    errors, slopes = zip(error_with_gradient(winning, target), error_with_gradient(losing, target))
    phis = [sharpness * e / np.expm1(sharpness * e) for e in errors]
    rates = [
        sharpness * (np.expm1(sharpness * e) - sharpness * e * np.exp(sharpness * e)) / np.expm1(sharpness * e) ** 2
        for e in errors
    ]
    margin = timesteps * (phis[0] - phis[1])
    pull = beta * weights * (1 - logistic(margin)) * timesteps / count
    logged = {
        "loss": (weights * errors[0]).mean() + beta * (weights * np.log1p(np.exp(-margin))).mean(),
        "mse_winning": errors[0].mean(), "mse_losing": errors[1].mean(), "margin": margin.mean(),
        "implicit_accuracy": (margin > 0).mean(),
    }
    gradients = [per_value(weights / count - pull * rates[0]) * slopes[0], per_value(pull * rates[1]) * slopes[1]]
    tensors = {"prediction_winning": winning, "prediction_losing": losing, "target": target}
    write_json(
        "objectives/mapo.json",
        {
            "tensors": tensors_json(**tensors, weights=weights),
            "beta": beta,
            "expected": {"logged": logged, "gradients": [tensor_json(gradient) for gradient in gradients]},
        },
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    models()
    schedulers()
    objectives()
