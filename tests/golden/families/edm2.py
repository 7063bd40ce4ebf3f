"""EDM2 against the official networks and sampler: denoised images, points inside the network, whole runs.

Tensors by name: `probe<i>.*` (one noise level), `per_sample.*`, `oblong.*`, `unet.*` (inside the network at probe 1), and
runs: `<run>.x` (every state) or `<run>.final`, with run = plain (no guidance), cfg, mix, churn or any name in `runs`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.models.edm2.images import from_pixels, raw_latents
from ar_guidance.models.edm2.network import EDM2
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.heun import Heun, generate
from golden_shared import find
from torch import Tensor

INSIDE = re.compile(r"unet\.(\w+)")


def run(case: Any) -> None:
    with torch.no_grad():
        _Official(case).compare()


def built(found: Any, dtype: torch.dtype | None = None, fp32_file: bool = False) -> EDM2:
    """The network of a file; `fp32_file`: as if its tensors had been stored in fp32."""
    tensors = {k: v.float() if fp32_file else v for k, v in found.tensors.items()}
    network = found.family.build(found.config, dtype=dtype).eval()
    own = network.state_dict()
    network.load_state_dict(
        {key: found.family.prepare(key, tensors).to(own[key].dtype) for key in tensors}
    )
    return network


@dataclass
class _Official:
    """One case."""

    case: Any

    def __post_init__(self) -> None:
        facts = self.case.facts
        self.tolerance = facts["tolerance"]
        self.net = find(self.case, "diffusion", "net")
        self.main = built(self.net)
        given = self.case.file("gnet") is not None
        self.guide = built(find(self.case, "diffusion", "gnet")) if given else None
        self.labels = self.case.input("labels") if self.case.has("labels") else None
        self.sigmas = facts["inputs"]["probe_sigmas"]
        self.cfg = facts.get("guidance", {}).get("guidance", 1.0)
        self.mix = facts.get("guidance", {}).get("mix", (1.0, 0.0))

    def compare(self) -> None:
        for i, sigma in enumerate(self.sigmas):
            self.probe(i, torch.tensor(sigma))
        self.shapes()
        self.inside()
        self.close("sigmas", self.settings.sigmas)
        for name in self.runs:
            self.trajectory(name)
        self.images()

    def close(self, name: str, make: Callable[[], Tensor], kind: str = "default") -> None:
        """Compare a tensor if the case has it."""
        if self.case.has(name):
            self.case.close(name, make().float(), self.tolerance[kind])

    # one noise level

    def probe(self, i: int, sigma: Tensor) -> None:
        name = f"probe{i}"
        if not self.case.has(f"{name}.x"):
            return
        x = self.case.input(f"{name}.x")
        close = self.close
        close(f"{name}.D_cond", lambda: self.main(x, sigma, self.labels))
        close(f"{name}.D_zero_label", lambda: self.main(x, sigma))
        close(f"{name}.logvar", lambda: self.main.uncertainty(sigma))
        close(f"{name}.D_cond_fp32_params", lambda: self.wide(x, sigma, self.labels))
        close(f"{name}.D_cond_half", lambda: self.half(x, sigma, self.labels), "D_cond_half")
        if self.guide is None:
            return
        guide = self.guide
        close(f"{name}.D_uncond", lambda: guide(x, sigma, self.labels))
        grid = x.shape[-2:]
        close(f"{name}.D_cfg", lambda: self.guided((CFG(self.cfg),), grid)(x, sigma, 0, True))
        close(f"{name}.D_mix", lambda: self.guided(self.mixed, grid)(x, sigma, 0, True))
        close(f"{name}.A_diff", lambda: self.attended(x, sigma))

    @cached_property
    def wide(self) -> EDM2:
        return built(self.net, fp32_file=True)

    @cached_property
    def half(self) -> EDM2:
        return built(self.net, torch.float16)

    @property
    def mixed(self) -> tuple[Guidance, ...]:
        return (Mixed(scale=self.mix[0], igg_scale=self.mix[1], schedule="constant"),)

    def attended(self, x: Tensor, sigma: Tensor) -> Tensor:
        """A (c - u): what a chain of IGG alone adds to u at scale 1."""
        assert self.guide is not None
        both = self.guided((IGG(1.0, "constant"),), x.shape[-2:])(x, sigma, 0, True)
        return both - self.guide(x, sigma, self.labels)

    def guided(
        self, guidances: tuple[Guidance, ...], grid: Any, start: float = 0.0, end: float = 1.0
    ) -> Guided:
        guidances = tuple(replace(guidance, start=start, end=end) for guidance in guidances)  # type: ignore[type-var]
        steps = self.settings.steps
        return Guided.of(
            lambda x, sigma: self.main(x, sigma, self.labels),
            None if self.guide is None else lambda x, sigma: self.guide(x, sigma, self.labels),
            guidances,
            diffusion_run(steps, (grid[0], grid[1])),
        )

    # other shapes, and points inside

    def shapes(self) -> None:
        probe = torch.tensor(self.sigmas[min(1, len(self.sigmas) - 1)])
        first = None if self.labels is None else self.labels[:1]
        if self.case.has("oblong.x"):
            x = self.case.input("oblong.x")
            self.close("oblong.D_cond", lambda: self.main(x, probe, first))
        if self.case.has("per_sample.sigma"):
            sigma, x = self.case.input("per_sample.sigma"), self.case.input("probe1.x")
            self.close("per_sample.D_cond", lambda: self.main(x, sigma, self.labels))

    def inside(self) -> None:
        """Outputs of modules at probe 1."""
        names = [m[1] for name in self.case.expected if (m := INSIDE.fullmatch(name))]
        if not names:
            return
        unet, seen = self.main.unet, {}
        encoder, decoder = list(unet.enc.values()), list(unet.dec.values())
        modules = {
            "emb_noise": unet.emb_noise,
            "emb_label": unet.emb_label,
            "enc_first_conv": encoder[0],
            "enc_second": encoder[1],
            "enc_last": encoder[-1],
            "dec_in0": decoder[0],
            "dec_last": decoder[-1],
            "F": unet,
        }

        def watch(name: str, module: Any) -> Any:
            def keep(module: Any, inputs: Any, output: Tensor) -> None:
                seen[name] = output

            return module.register_forward_hook(keep)

        hooks = [watch(name, module) for name, module in modules.items() if module is not None]
        hooks.append(
            encoder[1].register_forward_hook(lambda m, inputs, o: seen.update(emb=inputs[1]))
        )
        self.main(self.case.expected["probe1.x"], torch.tensor(self.sigmas[1]), self.labels)
        for hook in hooks:
            hook.remove()
        for name in names:
            assert name in seen, f"unet.{name}: the runner does not know this point"
            self.close(f"unet.{name}", lambda name=name: seen[name])

    # runs

    @property
    def settings(self) -> Heun:
        facts = self.case.facts.get("sampling", {})
        return Heun(
            facts.get("num_steps", 32),
            facts.get("sigma_min", 0.002),
            facts.get("sigma_max", 80.0),
            facts.get("rho", 7),
        )

    @property
    def runs(self) -> list[str]:
        """Names of the runs the case has tensors of."""
        found = (name.rpartition(".") for name in self.case.expected)
        return sorted(
            {run for run, dot, last in found if last in ("x", "final")} - {"oblong"} - self.probes
        )

    @property
    def probes(self) -> set[str]:
        return {f"probe{i}" for i in range(len(self.sigmas))}

    def trajectory(self, name: str) -> None:
        """Every state of a run, or its end."""
        facts, stated = self.case.facts, self.case.facts.get("runs", {}).get(name, {})
        guidances: tuple[Guidance, ...] = (CFG(stated.get("guidance", self.cfg)),)
        if name == "plain":
            guidances = ()
        if name.startswith("mix") or "mix" in stated:
            plain, attended = stated.get("mix", self.mix)
            guidances = (Mixed(scale=plain, igg_scale=attended, schedule="constant"),)
        settings, churn = self.settings, facts["sampling"].get("churn", {})
        if name.startswith("churn"):
            settings = replace(
                settings,
                churn=churn.get("S_churn", 0.0),
                churn_min=churn.get("S_min", 0.0),
                churn_max=churn.get("S_max", math.inf),
                churn_noise=churn.get("S_noise", 1.0),
            )
        noise = self.case.input("noise")
        used: list[Tensor] = []

        def fresh() -> Tensor:
            used.append(self.case.input("churn.noise")[len(used)])
            return used[-1]

        states = [noise * settings.sigmas()[0]]
        generate(
            self.guided(guidances, noise.shape[-2:], *stated.get("interval", (0.0, 1.0))),
            noise,
            settings,
            lambda progress: states.append(progress.x),
            fresh,
        )
        self.close(f"{name}.x", lambda: torch.stack(states), "trajectories")
        self.close(f"{name}.final", lambda: states[-1], "trajectories")
        if self.case.has(f"{name}.used"):
            self.case.equal(f"{name}.used", torch.tensor(len(used)))

    def images(self) -> None:
        """What the decoder receives, and pixels."""
        if not (self.case.has("cfg.x") or self.case.has("cfg.final")):
            return
        whole = self.case.expected.get("cfg.x")
        final = self.case.expected["cfg.final"] if whole is None else whole[-1]
        if self.case.has("vae.latents"):
            self.case.close("vae.latents", raw_latents(final), self.tolerance["trajectories"])
        if self.case.has("image"):
            made = from_pixels(final) * 255
            wanted = self.case.expected["image"]
            self.case.expected["image"] = wanted.float()  # bytes do not subtract
            self.case.close("image", made.round(), 1.0)
