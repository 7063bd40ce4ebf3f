"""What the runners of the families have in common."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.loaders.detect import Part, find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.sampling import tokenwise
from ar_guidance.sampling.draw import Filters, Streams, gumbel_softmax
from ar_guidance.sampling.edit import KeptTokens, keep_outside
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.sampling.tokenwise import TokenwiseJob
from torch import Tensor

CPU = torch.device("cpu")
GREEDY = SamplerSettings(temperature=0.0)
Job = TypeVar("Job", ScalewiseJob, TokenwiseJob)


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


class BothBranches(Chain):
    """A chain whose runs compute the unconditional branch at every step, as some references record it."""

    def needs_uncond(self, run: RunInfo) -> tuple[bool, ...]:
        return (True,) * run.count


def recorded(case: Any, job: Job, *names: str) -> Job:
    """The run, with both branches at every step where a step that would not need the second has it in the case.

    `names`: of its tensors, one per step, or one for all steps.
    """
    needed = job.chain.needs_uncond(job.run)
    needed = needed if len(names) > 1 else (all(needed),)
    more = any(case.has(name) and not n for name, n in zip(names, needed, strict=False))
    return replace(job, chain=BothBranches(job.chain.guidances)) if more else job


def guide(settings: dict[str, Any], scale: float, schedule: str = "family default") -> CFG:
    """Classifier-free guidance as a run's settings state it.

    A list of weights, one per step, stands for itself; `interval` is [start, end]: shares of the run.
    """
    start, end = settings.get("interval") or (0.0, 1.0)
    if "t_per_step" in settings:  # VAR's convention
        return CFG(schedule="list", values=tuple(1 + t for t in settings["t_per_step"]))
    return CFG(scale, schedule, start=start, end=end)


def filters_of(settings: dict[str, Any]) -> Filters:
    """Filters as a case states them; what it leaves out, or null, is off."""
    names = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return Filters(**{name: settings.get(name) or off for name, off in names.items()})


def check_tokenizer(case: Any, codec: Any, grids: list) -> None:
    images = case.tolerance("images_abs", "float32_abs")
    features = case.tolerance("features_abs", "images_abs", "float32_abs")
    if case.has("enc.image"):
        check_encoder(case, codec, "enc", grids, features, images)
    if case.has("flat.image"):
        case.compare("flat.f", codec.encode_features(case.input("flat.image")), features)
    if case.has("dec.f_hat"):
        case.compare("dec.image", codec.decode(case.input("dec.f_hat")), images)
    if case.has("ns.image"):
        oblong = [tuple(grid) for grid in case.facts["nonsquare_patch_nums"]]
        check_encoder(case, codec, "ns", oblong, features, images)


def check_encoder(
    case: Any, codec: Any, name: str, grids: list, features: float, images: float
) -> None:
    """An image to tokens and back; inputs of training made of the tokens."""
    f = codec.encode_features(case.input(f"{name}.image"))
    case.compare(f"{name}.f", f, features)
    tokens, f_hat = codec.quantise(f, grids)
    for k, expected in enumerate(tokens):
        case.compare(f"{name}.tokens{k}", expected)
    case.compare(f"{name}.f_hat", f_hat, features)
    case.compare(f"{name}.reconstruction", lambda: codec.decode(f_hat), images)
    case.compare(f"{name}.reconstruction_unclamped", lambda: codec.decode_raw(f_hat), images)
    for inputs in ("var_input", "teacher_input"):
        case.compare(f"{name}.{inputs}", lambda: codec.teacher_inputs(tokens, grids), features)


def check_run(case: Any, prefix: str, network: Any, codec: Any, job: ScalewiseJob) -> None:
    """Whatever the case records of a run: with maps or without, guided or not."""
    grids, tolerance = job.run.grids, case.tolerance("logits_abs")
    images = case.tolerance("images_abs")
    branches = [f"{prefix}step{k}.logits_uncond" for k in range(len(grids))]
    job = recorded(case, job, *branches)

    def compare(progress: Any) -> None:
        k = progress.index
        step = f"{prefix}step{k}"
        case.compare(f"{step}.tokens", progress.drawn)
        case.compare(f"{step}.logits_cond", progress.cond, tolerance)
        case.compare(f"{step}.logits_uncond", progress.uncond, tolerance)
        case.compare(f"{step}.guided", progress.guided, tolerance)
        if k + 1 < len(grids):
            following = lambda: codec.next_input(progress.features, grids[k + 1])  # noqa: E731
            case.compare(f"{step}.next_map", following, images)

    result = generate(network, codec, job, CPU, on_step=compare)
    # Gumbel-softmax divides the logits by 0.0135 at the last step, which enlarges their rounding: relative there.
    scale = result.features.abs().max().item() if job.smooth else 1.0
    case.compare(f"{prefix}f_hat", result.features, images * scale)
    case.compare(f"{prefix}image", lambda: codec.decode(result.features) / 2 + 0.5, images * scale)


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
        if "cfg" not in settings:  # about a part of a run, or not about a run at all
            continue
        generator = torch.Generator().manual_seed(settings.get("g_seed", 0))
        given = condition(settings)
        sampled = "g_seed" in settings
        job = plan(
            model,
            (given, network.null_condition(len(given))),
            len(given),
            (guide(settings, 1 + settings["cfg"]),),
            sampler_settings(settings) if sampled else GREEDY,
            Recorded(len(given), partial(exponentials, generator, len(given))),
        )
        if sampled:  # one generator for the whole batch, and its multinomial
            job = replace(job, draw=partial(reference_draw, job.draw.at(0), generator))
        if case.has(f"{name}.mask"):
            job = replace(job, kept=kept_tokens(case, network, name))
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


def kept_tokens(case: Any, network: Any, run: str) -> KeptTokens:
    tokens = [case.expected[f"enc.tokens{k}"] for k in range(len(network.config.sides))]
    return KeptTokens(tokens, keep_outside(case.input(f"{run}.mask"), network.config.grids))


def check_filters(case: Any) -> None:
    stated = case.facts.get("runs") or {}
    for i, (name, top_k, top_p) in enumerate(stated.get("filter", {}).get("settings", [])):
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


# --- token-wise runs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sequence:
    """What a token-wise run computed, over all its tokens: logits (B, T, V), tokens (B, T)."""

    cond: Tensor
    uncond: Tensor | None
    guided: Tensor
    tokens: Tensor
    gamma: Tensor  # (T,)

    def compare(
        self, case: Any, prefix: str = "", cond: str = "logits_cond", closeness: float | None = None
    ) -> None:
        """Whatever the case records of the run; `cond`: what its conditional logits are called there."""
        near = case.tolerance("logits_cond", "logits") if closeness is None else closeness
        case.compare(f"{prefix}{cond}", self.cond, near)
        case.compare(f"{prefix}logits_uncond", self.uncond, near)
        wider = (self.gamma.abs() + (self.gamma - 1).abs())[:, None]
        case.compare(f"{prefix}guided", self.guided, near * wider)
        case.compare(f"{prefix}tokens", self.tokens)


def token_run(
    case: Any,
    network: Any,
    conditions: tuple[Any, Any],
    batch: int,
    guidance: CFG,
    count: int,
    prefix: str = "",
) -> Sequence:
    """A greedy run of the token-wise loop, with the unconditional branch where the case has it."""
    run, steps = RunInfo("token", ((1, 1),) * count), []
    job = TokenwiseJob(
        conditions, batch, run, Chain((guidance,)), lambda logits, step: logits.argmax(-1)
    )
    job = recorded(case, job, f"{prefix}logits_uncond")
    result = tokenwise.generate(network, job, CPU, on_step=steps.append)
    both = all(step.uncond is not None for step in steps)
    gamma = [guidance.gamma(k, run) for k in range(count)]
    return Sequence(
        torch.cat([step.cond for step in steps], 1),
        torch.cat([step.uncond for step in steps], 1) if both else None,
        torch.cat([step.guided for step in steps], 1),
        result.tokens,
        torch.tensor([1.0 if value is None else value for value in gamma]),
    )


def extra_runs(case: Any) -> list[tuple[str, dict[str, Any]]]:
    """(prefix, settings) of the token-wise runs a case has besides its main one.

    `run_nocfg.` is without guidance. Of `run_<name>.`, the settings stand in `guidance.extra_runs` or in `runs`: under the name, a
    longer form of it (`run_interval.`, `cfg_interval`), or, where one of each is left, under any.
    """
    stated = case.facts.get("guidance", {}).get("extra_runs") or {}
    listed = case.facts.get("runs")
    stated = {**stated, **(listed if isinstance(listed, dict) else {})}
    found = {"nocfg": {"scale": 1.0}}
    names = sorted({match[1] for match in case.names(r"run_([^.]+)\..+")} - set(found))
    left = [key for key in stated if key not in ("no_guidance", "nocfg", "main")]
    for alike in (str.__eq__, str.__contains__, lambda key, name: key in name, lambda key, name: len(names) == 1):  # fmt: skip
        for name in names:
            key = next((key for key in left if name not in found and alike(key, name)), None)
            if key is not None:
                left.remove(key)
                found[name] = as_settings(stated[key])
    return [
        (f"run_{name}.", found.get(name, {}))
        for name in ("nocfg", *names)
        if case.names(rf"run_{re.escape(name)}\..+")
    ]


def as_settings(stated: Any) -> dict[str, Any]:
    """A run's settings; a number alone is the last step that is guided (LlamaGen's cfg_interval), two are shares of the run."""
    if isinstance(stated, dict):
        return stated
    if isinstance(stated, list):
        return {"interval": stated}
    return {} if stated is None or isinstance(stated, bool) else {"cfg_interval": stated}
