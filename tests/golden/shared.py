"""What the runners of the scale-wise families have in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.detect import Part, find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.sampling.draw import Filters, Streams, gumbel_softmax
from ar_guidance.sampling.edit import KeptTokens, keep_outside
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from torch import Tensor

CPU = torch.device("cpu")
GREEDY = SamplerSettings(temperature=0.0)


class Recorded(Streams):
    """Random numbers of the reference where the case gives them, else an image's own."""

    def __init__(self, batch: int, exponentials: Any = None, normals: Any = None) -> None:
        super().__init__(0, batch)
        if exponentials is not None:
            self.exponentials = exponentials
        if normals is not None:
            self.normals = normals


def find(
    case: Any, part: str, role: str = "", settings: dict[str, Any] | None = None, **changes: Any
) -> Part:
    """A part as the loaders find it; `settings`: more entries of its config.json; `changes`: fields of its config to override."""
    weights = read_weights(case.file(role or part))
    vars(weights)["settings"] = {**weights.settings, **(settings or {})}
    found = find_part(weights, part)
    return replace(found, config=replace(found.config, **changes))


def load(case: Any, part: str, role: str = "", **changes: Any) -> Any:
    """A network as the loaders build it, in fp32."""
    return build(find(case, part, role, **changes))


def load_pair(case: Any, transformer: str, tokenizer: str, **changes: Any) -> tuple[Part, Any, Any]:
    """What the transformer is, and both networks, the tokenizer as the transformer uses it."""
    main = find(case, "transformer", transformer, **changes)
    return main, build(main), build(fitted(main, find(case, "tokenizer", tokenizer)))


def build(found: Part, dtype: torch.dtype | None = None) -> Any:
    """The network of a detected part, its weights kept and its matrix products run in `dtype`."""
    network = found.family.build(found.config, dtype=dtype).eval()
    network.load_state_dict(found.tensors, strict=False)
    return network


@dataclass(frozen=True)
class Setup:
    """A case's main run, greedy, and what it needs: for questions beyond its numbers."""

    model: Part
    codec: Any
    job: ScalewiseJob


def greedy(logits: Tensor, step: int) -> Tensor:
    return logits.argmax(-1)


def check_tokenizer(case: Any, codec: Any, grids: list) -> None:
    images = case.tolerance("images_abs", "float32_abs")
    features = case.tolerance("features_abs", "images_abs", "float32_abs")
    if case.has("enc.image"):
        f = codec.encode_features(case.input("enc.image"))
        case.close("enc.f", f, features)
        tokens, f_hat = codec.quantise(f, grids)
        for k, expected in enumerate(tokens):
            case.equal(f"enc.tokens{k}", expected)
        case.close("enc.f_hat", f_hat, features)
        case.close("enc.reconstruction", codec.decode(f_hat), images)
        for name in ("enc.var_input", "enc.teacher_input"):
            if case.has(name):
                case.close(name, codec.teacher_inputs(tokens, grids), features)
        if case.has("enc.reconstruction_unclamped"):
            case.close("enc.reconstruction_unclamped", codec.decode_raw(f_hat), images)
    if case.has("flat.image"):
        case.close("flat.f", codec.encode_features(case.input("flat.image")), features)
    if case.has("dec.f_hat"):
        case.close("dec.image", codec.decode(case.input("dec.f_hat")), images)
    if case.has("ns.image"):
        oblong = [tuple(grid) for grid in case.facts["nonsquare_patch_nums"]]
        tokens, f_hat = codec.quantise(codec.encode_features(case.input("ns.image")), oblong)
        for k, expected in enumerate(tokens):
            case.equal(f"ns.tokens{k}", expected)
        case.close("ns.reconstruction", codec.decode(f_hat), images)


def check_run(case: Any, prefix: str, network: Any, codec: Any, job: ScalewiseJob) -> None:
    grids, tolerance = job.run.grids, case.tolerance("logits_abs")

    def compare(progress: Any) -> None:
        k = progress.index
        case.equal(f"{prefix}step{k}.tokens", progress.drawn)
        if prefix:
            return
        case.close(f"step{k}.logits_cond", progress.cond, tolerance)
        if progress.uncond is not None:
            case.close(f"step{k}.logits_uncond", progress.uncond, tolerance)
        case.close(f"step{k}.guided", progress.guided, tolerance)
        if k + 1 < len(grids):
            following = codec.next_input(progress.features, grids[k + 1])
            case.close(f"step{k}.next_map", following, case.tolerance("images_abs"))

    result = generate(network, codec, job, CPU, on_step=compare)
    # Gumbel-softmax divides the logits by 0.0135 at the last step, which enlarges their rounding: relative there.
    scale = result.features.abs().max().item() if job.smooth else 1.0
    case.close(f"{prefix}f_hat", result.features, case.tolerance("images_abs") * scale)
    if not prefix:
        image = codec.decode(result.features) / 2 + 0.5
        case.close("image", image, case.tolerance("images_abs"))


def setup_of(case: Any, codec: Any, given: Tensor) -> Setup:
    """The main run of VAR's loop."""
    model = find(case, "transformer")
    null = build(model).null_condition(len(given))
    guidances = (CFG(scale=1 + case.facts["runs"]["main"]["cfg"]),)
    job = plan(model, (given, null), len(given), guidances, GREEDY, Streams(0, len(given)))
    return Setup(model, codec, job)


def check_runs(
    case: Any, model: Part, network: Any, codec: Any, condition: Callable[[dict[str, Any]], Tensor]
) -> None:
    """Every run of VAR's loop; `condition`: settings of a run -> what the network is conditioned on."""
    for name, settings in case.facts["runs"].items():
        if name not in ("main", "edit", "sample", "smooth"):
            continue
        generator = torch.Generator().manual_seed(settings.get("g_seed", 0))
        given = condition(settings)
        sampled = "g_seed" in settings
        job = plan(
            model,
            (given, network.null_condition(len(given))),
            len(given),
            (CFG(scale=1 + settings["cfg"]),),
            sampler_settings(settings) if sampled else GREEDY,
            Recorded(len(given), partial(exponentials, generator, len(given))),
        )
        if sampled:  # one generator for the whole batch, and its multinomial
            job = replace(job, draw=partial(reference_draw, job.draw.at(0), generator))
        if name == "edit":
            job = replace(job, kept=kept_tokens(case, network))
        check_run(case, "" if name == "main" else f"{name}.", network, codec, job)


def sampler_settings(settings: dict[str, Any]) -> SamplerSettings:
    """The settings of a reference's run that draws."""
    return SamplerSettings(
        temperature=1.0,
        top_k=settings.get("top_k", 0),
        top_p=settings.get("top_p", 0.0),
        smooth=bool(settings.get("more_smooth")),
    )


def reference_draw(
    filters: Filters, generator: torch.Generator, logits: Tensor, step: int
) -> Tensor:
    """One generator for the whole batch, as the official sampler draws."""
    probabilities = filters.apply(logits).softmax(-1).flatten(0, 1)
    drawn = torch.multinomial(probabilities, 1, replacement=True, generator=generator)
    return drawn.view(logits.shape[:-1])


def exponentials(
    generator: torch.Generator, batch: int, shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Draws of one generator for the whole batch."""
    return torch.empty(batch, *shape, device=device).exponential_(generator=generator)


def kept_tokens(case: Any, network: Any) -> KeptTokens:
    tokens = [case.expected[f"enc.tokens{k}"] for k in range(len(network.config.sides))]
    return KeptTokens(tokens, keep_outside(case.input("edit.mask"), network.config.grids))


def check_filters(case: Any) -> None:
    settings = case.facts.get("runs", {}) or {}
    for i, (name, top_k, top_p) in enumerate(settings.get("filter", {}).get("settings", [])):
        logits = case.input(name)
        before = logits.clone()
        case.close(f"filter.out{i}", Filters(top_k=top_k, top_p=top_p).apply(logits), 0.0)
        assert (logits == before).all(), "the filters wrote into their input"


def check_gumbel(case: Any) -> None:
    settings = (case.facts.get("runs", {}) or {}).get("gumbel")
    if not settings:
        return
    logits, exponentials = case.input("gumbel.logits"), case.input("gumbel.exponential")
    for i, (ratio, tau) in enumerate(zip(settings["ratio"], settings["tau"], strict=True)):
        mixed = gumbel_softmax(logits, exponentials, 1 + ratio, tau)
        case.close(f"gumbel.probs{i}", mixed, case.tolerance("logits_abs"))
