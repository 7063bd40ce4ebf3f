"""Golden cases of VQ-Diffusion: the diffusion's arithmetic, runs of the loop, codecs, the text tower, through the loaders."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.head import normalised
from ar_guidance.guidance.ssg import SSG, low_pass
from ar_guidance.loaders.detect import fitted, has_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.loaders.text.files import find_encoder
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.text.clip import ClipText, unit_rows
from ar_guidance.models.text.encoders import CLIP_ROWS
from ar_guidance.sampling.discrete import DiscreteJob, generate, truncated
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.reveal import Purity, Reveal, scores, sharpened
from ar_guidance.tests.golden.clip_prompts import compare_prompt_ids
from ar_guidance.tests.tiny_vq_diffusion import published
from golden_shared import CPU, build, find
from torch import Tensor


def run(case: Any) -> None:
    with torch.inference_mode():
        _Official(case).compare()


class _Official:
    """One case."""

    def __init__(self, case: Any) -> None:
        self.case, self.facts = case, case.facts
        config, trunk = self.facts["config"], self.facts["config"]["transformer"]
        side = config["grid"]
        self.main = find(case, "transformer", "model", heads=trunk["n_head"], grid=(side, side))
        sizes = self.main.config
        assert (sizes.steps, sizes.vocab) == (config["diffusion_step"], config["vocab"])
        assert list(sizes.table) == config["spatial_size_of_position_embedding"]
        self.network = build(self.main)
        self.near = {**case.facts["tolerance"]}
        self.decoder: Any = None

    # --- parts -----------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        self.schedule()
        if self.main.config.text_width:
            self.text()
        self.truncation()
        self.codec()
        self.main_run()
        self.greedy_run()
        self.ssg_run()
        self.unguided_run()
        self.fast_run()
        self.purity_run()

    def schedule(self) -> None:
        """What the file states is what the published curves give."""
        stated = self.network.transitions(CPU)
        made = published(self.main.config.steps, self.main.config.vocab)
        for name in vars(stated):
            ours, theirs = getattr(made, name), getattr(stated, name)
            assert torch.allclose(ours.exp(), theirs.exp(), atol=1e-6), name

    def truncation(self) -> None:
        for match in self.case.names(r"trunc\.r([\d.]+)"):
            logs = self.case.input("trunc.in").transpose(1, 2)
            kept = truncated(logs, Filters(top_p=float(match[1])))
            self.case.compare(match[0], kept.transpose(1, 2))

    def codec(self) -> None:
        """Both the codec inside the checkpoint and its own file."""
        roles = [role for role in ("image_codec", "model") if self.case.file(role) is not None]
        held = [r for r in roles if has_part(read_weights(self.case.file(r)), "tokenizer")]
        for role in held:
            codec = build(fitted(self.main, find(self.case, "tokenizer", role)))
            case, pixels = self.case, self.near["image"]
            if case.has("enc.image"):
                tokens = codec.encode(case.input("enc.image") / 127.5 - 1)
                case.compare("enc.tokens", tokens)
                case.compare("enc.reconstruction", self.pixels(codec, tokens), pixels)
            if case.has("dec.tokens"):
                made = self.pixels(codec, case.input("dec.tokens"))
                case.compare("dec.image", made, pixels)
            self.decoder = codec

    def pixels(self, codec: Any, tokens: Tensor) -> Tensor:
        """Images in 0-255."""
        return (codec.decode(codec.lookup(tokens, self.main.config.grid)) + 1) * 127.5

    def image(self, name: str, tokens: Tensor) -> None:
        made = lambda: self.pixels(self.decoder, tokens) if self.decoder else None  # noqa: E731
        self.case.compare(name, made, self.near["image"])

    # --- the text tower --------------------------------------------------------------------------------------------

    def text(self) -> None:
        case = self.case
        found = find_encoder([case.file("model")])
        assert found.encoder == CLIP_ROWS
        heads = self.facts["config"]["clip_text_tower"]["heads"]
        tower = ClipText(replace(found.config, heads=heads)).eval()
        tower.load_state_dict({k: v.float() for k, v in found.tensors.items()})
        ids = case.input("text.token_ids")
        if case.has("text.mask"):
            case.input("text.mask")  # which no network looks at
        features = unit_rows(tower.states(ids))
        case.compare("text.features", features, self.near["text.features"])
        case.compare("text.features_fp32", features, self.near["float"])
        if self.main.config.learned_null:
            null = self.network.null_condition(1).features[0]
            case.compare("text.null_features", null, self.near["float"])
        else:  # of the empty prompt: start and end are the vocabulary's last
            empty = torch.zeros(1, ids.shape[1], dtype=torch.long)
            empty[0, :2] = torch.arange(found.vocab - 2, found.vocab)
            null = unit_rows(tower.states(empty))[0]
            case.compare("text.null_features", null, self.near["text.features"])
        compare_prompt_ids(case)

    # --- runs ------------------------------------------------------------------------------------------------------

    @cached_property
    def conditions(self) -> tuple[Any, Any]:
        inputs = self.facts["inputs"]
        if not self.main.config.text_width:
            labels = torch.tensor(inputs["class_ids"])
            assert self.main.config.classes in (
                inputs.get("unconditional_class"),
                self.main.config.entries,
            )
            return labels, self.network.null_condition(len(labels))
        features = self.case.expected["text.features"]
        if self.main.config.learned_null:
            return TextCondition(features, None), self.network.null_condition(len(features))
        null = self.case.expected["text.null_features"].expand(len(features), -1, -1)
        return TextCondition(features, None), TextCondition(null, None)

    @property
    def scale(self) -> float:
        return self.facts["guidance"]["scale"]

    @property
    def filters(self) -> Filters:
        """ "top <r> r" truncates at a rate, "top <k> p" keeps the k likeliest; anything else keeps all."""
        found = re.match(r"top\s*([\d.]+)\s*([rp])", str(self.facts["sampling"].get("truncation")))
        if not found:
            return Filters(top_p=0.0)
        rate = found[2] == "r"
        return Filters(top_p=float(found[1])) if rate else Filters(top_k=int(found[1]), top_p=0.0)

    def job(
        self, guidances: tuple[Any, ...], draw: Callable[..., Tensor], **more: Any
    ) -> DiscreteJob:
        config, visits = self.main.config, more.pop("visits", None)
        visits = visits or tuple(range(config.steps - 1, -1, -1))
        return DiscreteJob(
            self.conditions,
            self.case.expected["noise"].shape[1],
            RunInfo("discrete", (config.grid,) * len(visits), causal=False),
            Chain(guidances),
            self.filters,
            draw,
            visits,
            **more,
        )

    def gumbel(self, logs: Tensor, call: int) -> Tensor:
        u = self.case.input("noise")[call].transpose(1, 2)
        return (logs - (-(u + 1e-30).log() + 1e-30).log()).argmax(-1)

    def sample(self, job: DiscreteJob, on_step: Callable[[Any], None] = lambda p: None) -> Tensor:
        """Tokens after every step."""
        made: list[Tensor] = []

        def watch(progress: Any) -> None:
            made.append(progress.tokens)
            on_step(progress)

        generate(self.network, job, CPU, watch)
        return torch.stack(made)

    def main_run(self) -> None:
        tokens = self.sample(self.job((self.guided,), self.gumbel), self.step)
        self.case.compare("tokens_per_step", tokens)
        self.case.compare("tokens", tokens[-1])
        self.image("image", tokens[-1])

    @property
    def guided(self) -> CFG:
        return CFG(self.scale, "constant")

    def step(self, progress: Any) -> None:
        """Everything the case has of one step of the main run; at scale 1 there is no second branch."""
        name, near, case = f"t{progress.t}", self.near["float"], self.case
        turned = partial(torch.transpose, dim0=1, dim1=2)
        case.compare(f"{name}.x_t", progress.before)
        for which, logs in (("cond", progress.cond), ("uncond", progress.uncond)):
            key = f"{name}.log_x0_{which}"
            if logs is not None and case.has(key):
                rows = torch.nn.functional.pad(turned(logs), (0, 0, 0, 1), value=-70.0)
                case.compare(key, rows, near * case.expected[key].abs().clamp_min(1))
        if case.has(f"{name}.raw_logits_cond") or case.has(f"{name}.raw_logits_uncond"):
            self.raw(name, progress)
        rounding = self.undecided(progress.guided)
        for key, logs in (("truncated", progress.truncated), ("posterior", progress.posterior)):
            limit = self.near["posterior"] if key == "posterior" else near
            limit = self.wide(f"{name}.{key}", limit)
            case.compare(f"{name}.{key}", turned(logs), limit + 70.0 * turned(rounding))
        guided = torch.nn.functional.pad(turned(progress.guided), (0, 0, 0, 1), value=-70.0)
        case.compare(f"{name}.guided", guided, self.wide(f"{name}.guided", near))

    def undecided(self, guided: Tensor) -> Tensor:
        """Entries (..., V + 1) which rounding keeps or cuts: the likelier ones together have the rate, to 4e-6.

        At a rate of 1, the published one of two models, that is most of the tail: its order of summation decides.
        """
        falling, order = torch.nn.functional.pad(guided, (0, 1), value=-70.0).sort(
            -1, descending=True
        )
        before = falling.double().exp().cumsum(-1).roll(1, -1)
        near = (before - self.filters.top_p).abs() < 4e-6
        near[..., 0] = False
        return torch.empty_like(near).scatter_(-1, order, near)

    def wide(self, name: str, near: float) -> Any:
        """The tolerance, relative where values are large."""
        return near * self.case.expected[name].abs().clamp_min(1) if self.case.has(name) else near

    def raw(self, name: str, progress: Any) -> None:
        """Logits of both branches on the tokens of this step."""
        state = self.network.begin(self.conditions, CPU)
        rows = 2 * len(progress.before)
        both = self.network.step(state, progress.t, progress.before, rows).transpose(1, 2)
        for which, logits in zip(("cond", "uncond"), both.chunk(2), strict=True):
            key = f"{name}.raw_logits_{which}"
            self.case.compare(key, logits, self.wide(key, self.near["float"]))

    def greedy_run(self) -> None:
        if not self.case.has("greedy.tokens_per_step"):
            return
        tokens = self.sample(self.job((self.guided,), lambda logs, call: logs.argmax(-1)))
        self.case.compare("greedy.tokens_per_step", tokens)
        self.image("greedy.image", tokens[-1])

    def unguided_run(self) -> None:
        if not self.case.names(r"unguided\..+"):
            return
        tokens = self.sample(self.job((CFG(1.0, "constant"),), self.gumbel))
        self.case.compare("unguided.tokens_per_step", tokens)
        self.case.compare("unguided.tokens", tokens[-1])
        self.image("unguided.image", tokens[-1])

    def fast_run(self) -> None:
        if not self.case.names(r"fast\..+"):
            return
        skip = self.facts["sampling"]["fast"]["skip_step"]
        visits = Reveal(stride=skip + 1).visits(self.main.config.steps)
        posteriors = [t - skip if t > skip else t for t in visits]  # what the reference notes down
        self.case.compare("fast.steps", torch.tensor(posteriors))
        tokens = self.sample(self.job((self.guided,), self.gumbel, visits=visits, skip=skip))
        self.case.compare("fast.tokens_per_step", tokens)
        self.case.compare("fast.tokens", tokens[-1])
        self.image("fast.image", tokens[-1])

    # --- SSG, in our reading -----------------------------------------------------------------------------------------

    def ssg_run(self) -> None:
        if not self.case.names(r"ssg\..+"):
            return
        beta = self.facts["guidance"]["ssg_our_reading"]["beta"]
        before: dict[int, Tensor] = {}

        class Watched(SSG):
            def apply(self, step: Any, signal: Any, run: Any, state: Any) -> Any:
                before[step.index] = normalised(signal.result)
                return super().apply(step, signal, run, state)

        job = self.job((self.guided, Watched(beta)), self.gumbel)
        tokens = self.sample(job, partial(self.ssg_step, before))
        self.case.compare("ssg.tokens_per_step", tokens)
        self.image("ssg.image", tokens[-1])

    def ssg_step(self, before: dict[int, Tensor], progress: Any) -> None:
        """`guided`: before SSG; `prior`: of the previous step's; `logits`: after SSG, normalised."""
        name, s, grid = f"ssg.t{progress.t}", progress.index, self.main.config.grid
        self.case.compare(f"{name}.x_t", progress.before)
        turned = partial(torch.transpose, dim0=1, dim1=2)
        near = partial(self.wide, near=self.near["float"])
        self.case.compare(f"{name}.guided", turned(before[s]), near(f"{name}.guided"))
        if s:
            prior = low_pass(before[s - 1].unflatten(1, grid)).flatten(1, 2)
            self.case.compare(f"{name}.prior", turned(prior), near(f"{name}.prior"))
        self.case.compare(f"{name}.logits", turned(progress.guided), near(f"{name}.logits"))

    # --- the purity prior --------------------------------------------------------------------------------------------

    def purity_run(self) -> None:
        stated = self.facts["sampling"].get("purity")
        if not stated or not self.case.names(r"purity\..+"):
            return
        draws: Iterator[list[int]] = iter(stated["position_draws"])
        candidates: list[Tensor] = []
        empty = torch.empty(0, dtype=torch.long)

        def draw(logs: Tensor, call: int) -> Tensor:
            candidates.append(self.gumbel(logs, call))
            return candidates[-1]

        purity = Purity(
            tuple(stated["n_sample_by_t"]),
            lambda weights, counts: [torch.tensor(next(draws)) if n else empty for n in counts],
            stated["prior_weight"],
            stated["prior_rule"] == 1,
            stated["max_per_step"],
        )
        states: list[Any] = []
        tokens = self.sample(self.job((self.guided,), draw, purity=purity), states.append)
        case, near = self.case, self.near["float"]
        assert next(draws, None) is None, "the run drew fewer places than the reference"
        case.compare("purity.candidates", torch.stack(candidates))
        case.compare("purity.x_t", torch.stack([state.before for state in states]))
        case.compare("purity.final_tokens", tokens[-1])
        self.image("purity.image", tokens[-1])
        logs = states[0].truncated
        score = torch.ones_like(logs[..., 0]) if purity.even else scores(logs)
        prob = logs if purity.even else sharpened(logs, score, purity.weight)
        prob = prob.transpose(1, 2)
        case.compare("purity.first_score", score, near)
        rounding = 70.0 * self.undecided(states[0].guided).transpose(1, 2)
        case.compare("purity.first_prob", prob, self.wide("purity.first_prob", near) + rounding)
