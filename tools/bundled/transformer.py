"""Training of the class-conditional transformer on the tokens of the drawings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.models.var import VAR, VARConfig
from torch import Tensor, nn

from .checkpoint import Log, load_state, save_state
from .data import Drawings
from .groups import ANY_GROUP, ANY_STYLE, ROWS, row
from .optim import Average, Muon, cosine, muon_groups
from .tokenizer import CONFIG as TOKENIZER
from .tokenizer import GRIDS
from .tokens import split_scales
from .workers import mean_gradients, world

CONFIG = VARConfig(
    depth=6, width=192, heads=3, vocab=TOKENIZER.vocab, dim=TOKENIZER.dim, classes=ROWS - 1,
    sides=tuple(side for side, _ in GRIDS), ffn=768,
)  # fmt: skip


@dataclass(frozen=True)
class TransformerRecipe:
    """How long and how fast; the defaults are those of the released weights' first course."""

    steps: int = 2250
    batch: int = 32
    rate: float = 2.5e-3
    decay: float = 0.1
    dropout: float = 0.1  # at the first step; falls linearly to none at the last
    average: float = 0.997
    report_every: int = 200  # steps between two checkpoints
    drop_group: float = 0.08
    drop_style: float = 0.08
    drop_both: float = 0.1


class ClassTable(nn.Module):
    """Class embedding as group + style + pair while training; `table` is what gets stored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.group = nn.Parameter(0.5 * torch.randn(ANY_GROUP + 1, 1, width))
        self.style = nn.Parameter(0.5 * torch.randn(1, ANY_STYLE + 1, width))
        self.pair = nn.Parameter(torch.zeros(ANY_GROUP + 1, ANY_STYLE + 1, width))

    def table(self) -> Tensor:
        """(rows, C) in the order of `groups.row`."""
        return (self.group + self.style + self.pair).flatten(0, 1)

    def forward(self, labels: Tensor) -> Tensor:
        return F.embedding(labels, self.table())


def _positions(width: int) -> Tensor:
    """Sine/cosine code of every token's cell centre, (1, L, C)."""
    found = []
    for height, _ in GRIDS:
        centre = (torch.arange(height) + 0.5) / height
        freq = math.pi * 2.0 ** torch.linspace(-0.5, 3.5, width // 4)
        wave = torch.cat([(centre[:, None] * freq).sin(), (centre[:, None] * freq).cos()], 1)
        down = wave[:, None].expand(height, height, -1)
        across = wave[None].expand(height, height, -1)
        found.append(torch.cat([down, across], -1).flatten(0, 1))
    return torch.cat(found)[None]


def build(spread: float) -> Any:
    """A fresh network; `spread` is the standard deviation of the feature maps it is fed."""
    network: Any = VAR(CONFIG)
    width = CONFIG.width
    network.class_emb = ClassTable(width)
    with torch.no_grad():
        for name, p in network.named_parameters():
            if name.endswith("bias"):
                p.zero_()
            elif p.dim() == 2 and "ada_lin" not in name:
                p.normal_(std=1 / math.sqrt(p.shape[1]))
        network.word_embed.weight.normal_(std=1 / (math.sqrt(CONFIG.dim) * spread))
        network.pos_start.normal_(std=0.02)
        network.lvl_embed.weight.normal_(std=0.3)
        network.pos_1LC.copy_(0.5 * _positions(width))
        network.head.weight.normal_(std=0.02)
        for block in network.blocks:
            block.attn.scale_mul_1H11.fill_(math.log(4.0))
            block.ada_lin[1].weight.normal_(std=0.02)
            block.ada_lin[1].bias[: 2 * width] = 0.4  # residual branches start open
        network.head_nm.ada_lin[1].weight.normal_(std=0.02)
    return network


class TokenDropout:
    """Drops the result of attention or feed-forward at some tokens, by hooks.

    Whole tokens, not single numbers: far cheaper on a CPU. `share` may change between steps.
    """

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        self.share = 0.0
        for part in parts:
            part.register_forward_hook(self._drop)

    def _drop(self, module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        keep = output.new_ones(*output.shape[:2], 1)
        return output * F.dropout(keep, self.share, module.training)


def export(weights: dict[str, Tensor], table: str = "class_emb") -> dict[str, Tensor]:
    """Training weights -> the layout of the family: one class table, at key `table`."""
    start = f"{table}."
    parts = {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
    plain = {k: v for k, v in weights.items() if not k.startswith(start)}
    classes = ClassTable(parts["group"].shape[-1])
    classes.load_state_dict(parts)
    return {**plain, f"{start}weight": classes.table().detach()}


class TransformerTraining:
    """The state of a run and the step that moves it."""

    config: Any = CONFIG
    name = "transformer"  # of its files
    hidden = "blocks"  # in the names of the weights Muon moves

    def __init__(
        self, drawings: Drawings, tokenizer: Any, tokens: dict[str, Tensor],
        recipe: TransformerRecipe, rank: int, device: str,
    ) -> None:  # fmt: skip
        self.recipe, self.rank, self.device = recipe, rank, torch.device(device)
        self.tokenizer, self.tokens = tokenizer.to(self.device), tokens
        self.train, self.held = drawings.split()
        torch.manual_seed(3)
        self.network = self.fresh().to(self.device)
        torch.manual_seed(2000 + rank)  # dropout differs between the workers
        self.dropout = TokenDropout(self.branches())
        self.average = Average(self.network, recipe.average)
        embeddings = {n for n, _ in self.network.named_parameters() if self.hidden not in n}
        groups = muon_groups(self.network.named_parameters(), recipe.decay, embeddings)
        self.optimiser = Muon(groups, recipe.rate)
        self.step = 0

    # --- what another layout changes -------------------------------------------------------------

    def fresh(self) -> Any:
        """An untrained network."""
        return build(self._spread())

    def branches(self) -> list[nn.Module]:
        """The modules whose results are added to the stream."""
        return [part for b in self.network.blocks for part in (b.attn.proj, b.ffn)]

    def logits(self, network: Any, labels: Tensor, used: Tensor) -> Tensor:
        """Predictions (B, L, V) from labels (B,) and tokens (B, L) that were used."""
        with torch.no_grad():
            inputs = self.tokenizer.teacher_inputs(split_scales(used), GRIDS)
        return network(labels, inputs)

    def probe(self) -> Any:
        """The network of the averaged weights, as it is released."""
        network: Any = VAR(CONFIG).to(self.device).eval()
        network.load_state_dict(export(self.average.weights))
        return network

    # --- the run -------------------------------------------------------------------------------------

    def _spread(self) -> float:
        with torch.no_grad():
            used = self.tokens["held"][:64, 0, 0].to(self.device)
            return float(self.tokenizer.teacher_inputs(split_scales(used), GRIDS).std())

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Labels (B,), tokens (B, L) that were used, tokens (B, L) that are right."""
        rng = torch.Generator().manual_seed(self.step * 64 + self.rank)
        count = self.recipe.batch // world()
        stored = self.tokens["train"]
        rows = torch.randint(len(stored), (count,), generator=rng)
        which = torch.randint(stored.shape[1], (count,), generator=rng)
        used, right = stored[rows, which].to(self.device).long().unbind(1)
        labels = dropped_labels(self.train, rows, self.recipe, rng).to(self.device)
        return labels, used, right

    def advance(self) -> float:
        """One training step."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * cosine(self.step, recipe.steps, warmup=60)
        self.dropout.share = recipe.dropout * (1 - self.step / recipe.steps)
        labels, used, right = self.batch()
        logits = self.logits(self.network.train(), labels, used)
        loss = F.cross_entropy(logits.flatten(0, 1), right.flatten())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        mean_gradients(self.network)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(self.network)
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Cross-entropy (nats a token) and accuracy of the averaged weights, held-out drawings."""
        probe = self.probe()
        labels = row_tensor(self.held.groups, self.held.styles)
        entropy, hits, seen = 0.0, 0.0, 0
        for rows in torch.arange(len(labels)).split(32):
            used, right = self.tokens["held"][rows, 0].to(self.device).long().unbind(1)
            logits = self.logits(probe, labels[rows].to(self.device), used)
            entropy += float(
                F.cross_entropy(logits.flatten(0, 1), right.flatten(), reduction="sum")
            )
            hits += float((logits.argmax(-1) == right).sum())
            seen += right.numel()
        return {"held_loss": entropy / seen, "held_accuracy": hits / seen}

    def state_dict(self) -> dict:
        """For checkpoints."""
        return {
            "step": self.step,
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def dropped_labels(drawings: Drawings, rows: Tensor, recipe: Any, rng: torch.Generator) -> Tensor:
    """Class rows (B,) of drawings, for a share of them without the group, the style or both.

    `recipe` has `drop_group`, `drop_style` and `drop_both`, the shares.
    """
    draw = torch.rand(len(rows), generator=rng)
    no_group = (draw < recipe.drop_group) | (draw > 1 - recipe.drop_both)
    no_style = (draw >= recipe.drop_group) & (draw < recipe.drop_group + recipe.drop_style)
    no_style |= draw > 1 - recipe.drop_both
    group = drawings.groups[rows].masked_fill(no_group, ANY_GROUP)
    return row_tensor(group, drawings.styles[rows].masked_fill(no_style, ANY_STYLE))


def row_tensor(groups: Tensor, styles: Tensor) -> Tensor:
    """Rows of the class table for tensors of groups and styles."""
    return row(groups, styles)  # type: ignore[arg-type,return-value]


def train_transformer(
    rank: int, drawings: Drawings, tokenizer: Any, tokens: dict[str, Tensor], folder: Path,
    recipe: TransformerRecipe, device: str,
) -> None:  # fmt: skip
    """Run (or go on with) the training; keeps the newest and the best checkpoint."""
    train(TransformerTraining(drawings, tokenizer, tokens, recipe, rank, device), folder)


def train(run: TransformerTraining, folder: Path) -> None:
    """Go on with a run to its end, with a checkpoint every `report_every` steps."""
    path, recipe, best = folder / f"{run.name}.pt", run.recipe, float("inf")
    stored = load_state(path)
    if stored is not None:
        run.load_state_dict(stored)
    log, losses = Log(path.with_suffix(".jsonl"), enabled=run.rank == 0), []
    while run.step < recipe.steps:
        losses.append(run.advance())
        if run.rank == 0 and (run.step % recipe.report_every == 0 or run.step == recipe.steps):
            numbers = run.measure()
            log.write(step=run.step, loss=sum(losses) / len(losses), **numbers)
            losses = []
            save_state(path, run.state_dict())
            if numbers["held_loss"] < best:
                best = numbers["held_loss"]
                save_state(folder / f"{run.name}-best.pt", run.state_dict())


def trained_weights(folder: Path, name: str = "transformer.pt") -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, in the family's layout."""
    state = load_state(folder / name)
    if state is None:
        raise FileNotFoundError(f"no {name} in {folder}: train the transformer first")
    return export(state["average"]["weights"])
