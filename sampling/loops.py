"""The generation loops as the nodes see them, one class per kind of family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..guidance.base import Grid
from ..guidance.record import Recorder
from ..models.family import Kind
from ..models.parts.sizes import SteppedConfig, TransformerConfig
from . import discrete, scalewise, tokenwise
from .model import Model, ScaleCodec
from .progress import Progress

AnyProgress = Progress | discrete.Progress
AnyJob = scalewise.ScalewiseJob | tokenwise.TokenwiseJob | discrete.DiscreteJob
OnStep = Callable[[AnyProgress], object]


@dataclass(frozen=True)
class Generated:
    """What a loop made.

    Attributes:
        features: what the tokenizer decodes, (B, Z, H, W).
        steps: tokens of every scale, or of the whole line.
        whole: whether the tokens alone say all of `features`.
    """

    features: Tensor
    steps: Sequence[Tensor]
    whole: bool = True


class Loop(Protocol):
    """How one kind of family is run, and how its tokens become what the tokenizer decodes."""

    def image_grid(self, config: TransformerConfig) -> Grid | None:
        """(h, w) of the image a token-wise run's tokens make up; None where every step is one."""
        ...

    def report_every(self, config: TransformerConfig) -> int:
        """Steps between two reports of progress."""
        ...

    def image_grids(self, config: TransformerConfig) -> tuple[Grid, ...]:
        """The grids that say where an image's tokens lie."""
        ...

    def run(
        self, model: Model, job: AnyJob, device: torch.device, on_step: OnStep, recorder: Recorder
    ) -> Generated:
        """Run it; `job` is of this loop's kind."""
        ...

    def so_far(self, model: Model, progress: AnyProgress) -> Tensor:
        """What the tokenizer decodes, for the first image as it stands."""
        ...

    def features_so_far(self, progress: AnyProgress) -> Tensor | None:
        """The same for all images, or None where an image grows row by row."""
        ...

    def sum(self, model: Model, steps: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
        """What the tokenizer decodes, from tokens."""
        ...

    def encode(
        self, model: Model, images: Tensor, grids: Sequence[Grid]
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Tokens of every step of images in [-1, 1], and what the tokenizer decodes where they do not say it."""
        ...


class ScaleLoop:
    """Scale by scale, every scale a grid of its own."""

    def image_grid(self, config: TransformerConfig) -> Grid | None:
        return None

    def report_every(self, config: TransformerConfig) -> int:
        return 1

    def image_grids(self, config: TransformerConfig) -> tuple[Grid, ...]:
        return cast(SteppedConfig, config).grids

    def run(
        self, model: Model, job: AnyJob, device: torch.device, on_step: OnStep, recorder: Recorder
    ) -> Generated:
        assert isinstance(job, scalewise.ScalewiseJob)
        network, codec = cast(scalewise.ScaleTransformer, model.network), scale_codec(model)
        made = scalewise.generate(network, codec, job, device, on_step, recorder)
        more = job.smooth is not None or job.noise is not None
        blended = job.kept is not None and (
            job.kept.weights is not None or job.kept.features is not None
        )
        return Generated(made.features, made.tokens, whole=not (more or blended))

    def so_far(self, model: Model, progress: AnyProgress) -> Tensor:
        return self.features_so_far(progress)[:1]

    def features_so_far(self, progress: AnyProgress) -> Tensor:
        assert isinstance(progress, Progress) and progress.features is not None
        return progress.features

    def sum(self, model: Model, steps: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
        codec = scale_codec(model)
        features = codec.empty_features(len(steps[0]), grids, steps[0].device)
        for k, (tokens, grid) in enumerate(zip(steps, grids, strict=True)):
            features = features + codec.refine(codec.lookup(tokens, grid), k, grids)
        return features

    def encode(
        self, model: Model, images: Tensor, grids: Sequence[Grid]
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Residual quantisation. A tokenizer of hybrid tokens (HART) keeps what quantisation leaves out as well."""
        codec = scale_codec(model)
        features = codec.encode_features(images)
        steps, _ = codec.quantise(features, grids)
        return steps, features if model.family.residual else None


class GridLoop:
    """What the loops have in common whose tokens make up one grid."""

    def image_grids(self, config: TransformerConfig) -> tuple[Grid, ...]:
        return (config.grid,)

    def features_so_far(self, progress: AnyProgress) -> Tensor | None:
        return None

    def sum(self, model: Model, steps: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
        return model.tokenizer.lookup(steps[0], grids[0])

    def encode(
        self, model: Model, images: Tensor, grids: Sequence[Grid]
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        return [model.tokenizer.encode(images)], None


class TokenLoop(GridLoop):
    """Token by token, in the order of the family's tokenizer."""

    def image_grid(self, config: TransformerConfig) -> Grid | None:
        return config.grid

    def report_every(self, config: TransformerConfig) -> int:
        return config.grid[1]

    def run(
        self, model: Model, job: AnyJob, device: torch.device, on_step: OnStep, recorder: Recorder
    ) -> Generated:
        assert isinstance(job, tokenwise.TokenwiseJob)
        network = cast(tokenwise.TokenTransformer, model.network)
        tokens = tokenwise.generate(network, job, device, on_step, recorder).tokens
        return Generated(model.tokenizer.lookup(tokens, model.config.grid), [tokens])

    def so_far(self, model: Model, progress: AnyProgress) -> Tensor:
        """Codes of the first image, zero where nothing has been drawn yet."""
        tokens, missing = progress.tokens[:1], progress.count - progress.tokens.shape[1]
        codes = model.tokenizer.lookup(F.pad(tokens, (0, missing)), model.config.grid)
        drawn = torch.arange(progress.count, device=codes.device) < tokens.shape[1]
        return codes * drawn.view(codes.shape[2:])


class DiscreteLoop(GridLoop):
    """Discrete diffusion: all places at every step."""

    def image_grid(self, config: TransformerConfig) -> Grid | None:
        return None

    def report_every(self, config: TransformerConfig) -> int:
        return 1

    def run(
        self, model: Model, job: AnyJob, device: torch.device, on_step: OnStep, recorder: Recorder
    ) -> Generated:
        assert isinstance(job, discrete.DiscreteJob)
        network = cast(discrete.DiscreteNetwork, model.network)
        tokens = discrete.generate(network, job, device, on_step, recorder).tokens
        # A place that is still masked after the last step, which the posterior makes next to impossible, takes the first code.
        tokens = tokens.where(tokens < model.config.vocab, torch.zeros_like(tokens))
        return Generated(model.tokenizer.lookup(tokens, model.config.grid), [tokens])

    def so_far(self, model: Model, progress: AnyProgress) -> Tensor:
        assert isinstance(progress, discrete.Progress)
        return model.tokenizer.lookup(progress.guess[:1], model.config.grid)


LOOPS: dict[Kind, Loop] = {"scale": ScaleLoop(), "token": TokenLoop(), "discrete": DiscreteLoop()}


def scale_codec(model: Model) -> ScaleCodec:
    """The tokenizer of a scale-wise model."""
    return cast(ScaleCodec, model.tokenizer)


def picture_size(model: Model, grids: Sequence[Grid]) -> tuple[int, int]:
    """(height, width) in pixels of images whose finest grid is the last of `grids`."""
    factor = model.tokenizer.config.factor
    return grids[-1][0] * factor, grids[-1][1] * factor


def grids_of(model: Model) -> tuple[Grid, ...]:
    """Where the tokens of a model's images lie."""
    return LOOPS[model.family.kind].image_grids(model.config)
