"""Training of the image tokenizer in four stages.

1. plain autoencoder with noise on the features, as large as the quantiser's error will be;
2. joint: k-means codebook, then encoder, codebook, phi and decoder together (straight-through);
3. settle: the encoder stays, codebook, phi and decoder go on;
4. decoder: the tokens are final (the transformer can start), the decoder goes on alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.models.tokenizers.multiscale_vq import (
    MultiScaleVQ,
    MultiScaleVQConfig,
)
from torch import Tensor

from .augment import Variation, vary
from .checkpoint import Log, load_state, save_state
from .data import Drawings
from .optim import Average, Muon, cosine, muon_groups
from .quantiser import CodebookAverage, quantise_with_strays, start_codebook
from .workers import mean_gradients, world

GRIDS = tuple((side, side) for side in (1, 2, 3, 4, 6, 8, 8))
CONFIG = MultiScaleVQConfig(
    vocab=1024, dim=16, channels=16, channel_mult=(1, 2, 4, 4), res_blocks=1, norm_groups=1
)
_BY_ADAM = {"encoder.conv_in.weight", "decoder.conv_out.weight", "quantize.embedding.weight"}


@dataclass(frozen=True)
class TokenizerRecipe:
    """How long and how fast; the defaults are those of the released weights."""

    autoencoder_steps: int = 1800
    joint_steps: int = 1000
    settle_steps: int = 350
    decoder_steps: int = 800
    batch: int = 16
    rate: float = 4e-3
    decoder_rate: float = 2e-3
    noise: float = 0.3  # as a share of the features' spread, reached half-way through stage 1
    commitment: float = 0.25
    decoder_strays: float = 0.15  # share of wrong tokens in half of the decoder stage's images
    average: float = 0.998

    @property
    def token_steps(self) -> int:
        """Steps of stages 1 to 3."""
        return self.autoencoder_steps + self.joint_steps + self.settle_steps

    def stage(self, step: int) -> str:
        """Name of the stage a step belongs to."""
        ends = (self.autoencoder_steps, self.autoencoder_steps + self.joint_steps)
        if step < ends[0]:
            return "autoencoder"
        return "joint" if step < ends[1] else ("settle" if step < self.token_steps else "decoder")

    def learning_rate(self, step: int) -> float:
        """Two cosines: one over stages 1 to 3, one over the decoder stage."""
        if step < self.token_steps:
            return self.rate * cosine(step, self.token_steps, warmup=60)
        after = step - self.token_steps
        return self.decoder_rate * cosine(after, self.decoder_steps, warmup=30)


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Root of squared error + chroma error + edge error, averaged over the images.

    The root gives simple drawings the same say as crowded ones, as the mean PSNR does.
    """
    error = output - target
    luma = error.mul(error.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    chroma = error - luma
    across, down = error.diff(dim=-1), error.diff(dim=-2)
    parts = (error.square(), chroma.square(), 0.5 * across.square(), 0.5 * down.square())
    total = torch.stack([part.flatten(1).mean(1) for part in parts]).sum(0)
    return (total + 1e-4).sqrt().mean()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB of each image; values in [-1, 1]."""
    return -10 * ((output - target).square().flatten(1).mean(1) / 4).log10()


class TokenizerTraining:
    """The state of a run: network, average, optimiser, codebook; and the step that moves it."""

    config: Any = CONFIG
    name = "tokenizer"  # of its files

    def __init__(self, drawings: Drawings, recipe: TokenizerRecipe, rank: int, device: str) -> None:
        self.recipe, self.rank, self.device = recipe, rank, torch.device(device)
        train, held = drawings.split()
        self.train, self.held = train, held.pictures()[::2].to(self.device)
        torch.manual_seed(1)
        self.network: Any = self.fresh().to(self.device, memory_format=torch.channels_last)
        torch.manual_seed(1000 + rank)  # noise differs between the workers
        self.average = Average(self.network, recipe.average)
        groups = muon_groups(self.network.named_parameters(), 0.0, _BY_ADAM)
        self.optimiser = Muon(groups, recipe.rate)
        self.codebook: CodebookAverage | None = None
        self.step = 0
        self.in_use = 0.0

    # --- what another layout changes -------------------------------------------------------------

    @classmethod
    def fresh(cls) -> Any:
        """An untrained network."""
        return MultiScaleVQ(cls.config)

    def unquantised(self, features: Tensor) -> Tensor:
        """Encoder output as the decoder takes it where nothing is quantised."""
        return features

    def quantised(self, network: Any, features: Tensor) -> Tensor:
        """The decoder's input after quantisation."""
        return network.quantise(features, GRIDS)[1]

    def start_codebook(self, features: Tensor) -> None:
        """The first codebook, from features of many drawings."""
        start_codebook(self.network, features, GRIDS)

    def follow(self, keep: float = 0.99) -> CodebookAverage:
        """What moves the codebook from now on."""
        return CodebookAverage(self.network, keep)

    # --- the run -------------------------------------------------------------------------------------

    def batch(self) -> Tensor:
        """A batch of variants; the seed is the step, so that a resumed run goes on alike."""
        rng = torch.Generator().manual_seed(self.step * 64 + self.rank)
        rows = torch.randint(len(self.train.codes), (self.recipe.batch // world(),), generator=rng)
        images = vary(self.train.images[rows], torch.ones(len(rows)).bool(), Variation(), rng)
        return images.to(self.device).contiguous(memory_format=torch.channels_last)

    def noisy(self, features: Tensor) -> Tensor:
        """Features with the noise of stage 1, a different amount for every image."""
        grown = min(1.0, self.step / (0.5 * self.recipe.autoencoder_steps))
        amount = self.recipe.noise * grown * torch.rand(len(features), 1, 1, 1).to(features)
        spread = features.detach().std()
        return features + 1.3 * amount * spread * torch.randn_like(features)

    def enter(self, stage: str) -> None:
        """What changes at the first step of a stage."""
        first = {"joint": self.recipe.autoencoder_steps, "decoder": self.recipe.token_steps}
        first["settle"] = first["joint"] + self.recipe.joint_steps
        if first.get(stage) != self.step:
            return
        if stage == "joint":
            with torch.no_grad():
                parts = [self.network.encode_features(self.batch()) for _ in range(40)]
            self.start_codebook(torch.cat(parts))
            for name in list(self.average.weights):
                if name.startswith("quantize"):
                    self.average.weights[name].copy_(self.network.state_dict()[name])
            self.codebook = self.follow()
        else:  # go on from the averaged weights
            self.network.load_state_dict(self.average.weights)
        if stage == "settle":
            self.codebook = self.follow(keep=0.995)

    def loss(self, stage: str, images: Tensor) -> Tensor:
        """Loss of a batch in a stage; moves the codebook on the way."""
        recipe, network = self.recipe, self.network
        if stage == "autoencoder":
            features = network.encode_features(images)
            spread = 0.01 * (features.square().mean() - 1).square()
            return reconstruction_loss(network.decode_raw(self.noisy(features)), images) + spread
        with torch.set_grad_enabled(stage == "joint"):
            features = network.encode_features(images)
        if stage == "decoder":
            return reconstruction_loss(network.decode_raw(self._slipped(features)), images)
        _, total = network.quantise(features, GRIDS)
        assert self.codebook is not None
        self.in_use = self.codebook.update(network, features.detach(), GRIDS)
        fit = F.mse_loss(total, features.detach())
        commit = recipe.commitment * F.mse_loss(features, total.detach())
        spread = 0.01 * (features.square().mean() - 1).square()
        straight = total + features - features.detach()  # gradient to phi and to the encoder
        return reconstruction_loss(network.decode_raw(straight), images) + fit + commit + spread

    def _slipped(self, features: Tensor) -> Tensor:
        """Feature maps as a transformer would give them: half of the images with wrong tokens."""
        rng = torch.Generator().manual_seed(self.step * 64 + self.rank)
        share = self.recipe.decoder_strays * (torch.arange(len(features)) % 2)
        return quantise_with_strays(self.network, features, GRIDS, share, rng)[2]

    def advance(self) -> float:
        """One training step."""
        stage = self.recipe.stage(self.step)
        self.enter(stage)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate(self.step)
        loss = self.loss(stage, self.batch())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.network.quantize.embedding.weight.grad = None  # the moving average moves it
        mean_gradients(self.network)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(self.network)
        if self.codebook is not None:  # codes are averages already
            key = "quantize.embedding.weight"
            self.average.weights[key].copy_(self.network.state_dict()[key])
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """PSNR of the averaged weights on held-out drawings, and the features' spread."""
        probe: Any = self.fresh().to(self.device)
        probe.load_state_dict(self.average.weights)
        features = torch.cat([probe.encode_features(p) for p in self.held.split(64)])
        result = {"spread": float(features.std())}
        result["psnr_plain"] = float(
            psnr(probe.decode(self.unquantised(features)), self.held).mean()
        )
        if self.codebook is not None:
            total, plain = self.quantised(probe, features), self.unquantised(features)
            result["psnr"] = float(psnr(probe.decode(total), self.held).mean())
            result["error"] = float((total - plain).square().mean() / plain.var())
            result["in_use"] = self.in_use
        return result

    def state_dict(self) -> dict:
        """For checkpoints."""
        return {
            "step": self.step,
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "codebook": None if self.codebook is None else self.codebook.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["codebook"] is not None:
            self.codebook = self.follow()
            self.codebook.load_state_dict(state["codebook"])


def train_tokenizer(
    rank: int, drawings: Drawings, folder: Path, recipe: TokenizerRecipe, device: str, last: int
) -> None:
    """Run (or go on with) the training until step `last`."""
    train(TokenizerTraining(drawings, recipe, rank, device), folder, last)


def train(run: TokenizerTraining, folder: Path, last: int) -> None:
    """Go on with a run until step `last`, with a checkpoint every 200 steps and after every stage."""
    path, recipe = folder / f"{run.name}.pt", run.recipe
    stored = load_state(path)
    if stored is not None:
        run.load_state_dict(stored)
    log, losses = Log(path.with_suffix(".jsonl"), enabled=run.rank == 0), []
    while run.step < last:
        stage = recipe.stage(run.step)
        losses.append(run.advance())
        finished = run.step == last or recipe.stage(run.step) != stage
        if not math.isfinite(losses[-1]):
            raise RuntimeError(f"training diverged at step {run.step}")
        if run.rank == 0 and (run.step % 200 == 0 or finished):
            numbers = run.measure()
            log.write(stage=stage, step=run.step, loss=sum(losses) / len(losses), **numbers)
            losses = []
            if numbers["spread"] > 3:
                raise RuntimeError(f"features blew up at step {run.step}: {numbers}")
            save_state(path, run.state_dict())
            if finished:
                save_state(path.with_name(f"{run.name}-{stage}.pt"), run.state_dict())


def trained_tokenizer(folder: Path, kind: type[TokenizerTraining] = TokenizerTraining) -> Any:
    """The averaged network of the newest checkpoint."""
    state = load_state(folder / f"{kind.name}.pt")
    if state is None:
        raise FileNotFoundError(f"no {kind.name}.pt in {folder}: train the tokenizer first")
    network = kind.fresh()
    network.load_state_dict(state["average"]["weights"])
    return network.eval()
