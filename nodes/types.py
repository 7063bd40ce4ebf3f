"""What travels on the pack's own links; traces are in `imaging.image_trace`."""

from dataclasses import dataclass

from comfy_api.v0_0_2 import io

from ..conditioning.base import Condition
from ..conditioning.classes import ClassConditioning
from ..guidance.base import Guidance
from ..imaging.editing import Edit
from ..loaders.checkpoint import ARModel
from ..loaders.edm2 import EDM2Model
from ..loaders.quote import quoted
from ..sampling.heun import Heun
from ..sampling.plan import SamplerSettings

Model = io.Custom("AR_MODEL")
EDM2Link = io.Custom("AR_EDM2_MODEL")
Conditioning = io.Custom("AR_CONDITIONING")
SamplingLink = io.Custom("AR_SAMPLING")
TraceLink = io.Custom("AR_TRACE")
RecordingLink = io.Custom("AR_RECORDING")
TokensLink = io.Custom("AR_TOKENS")


def conditioning_output() -> io.Output:
    """Of every node that says what to generate."""
    return Conditioning.Output(
        "ar_conditioning",
        display_name="AR_CONDITIONING",
        tooltip="What to generate: for AR Sampler.",
    )


class Batch:
    """Which images a described run makes."""

    copies: int
    only: tuple[int, ...] | None

    @property
    def entries(self) -> int:
        """Entries of the condition."""
        raise NotImplementedError

    @property
    def whole(self) -> int:
        """Images of the whole batch: `copies` of every entry of the condition."""
        return self.copies * self.entries

    @property
    def images(self) -> tuple[int, ...]:
        """Places in the whole batch of the images to make."""
        return tuple(range(self.whole)) if self.only is None else self.only

    @property
    def batch(self) -> int:
        """Images to make."""
        return len(self.images)


@dataclass(frozen=True)
class Sampling(Batch):
    """A run that has not happened: everything it depends on. Every node returns a new one.

    Attributes:
        copies: images of every entry of the condition, one after the other.
        seeds: one for each of the copies, or () to number the whole batch under `seed`.
        seed_images: of each of the seeds, which image of its batch to make, from 0; () = the first of each.
        rerolled: (image, seed) of images that get another seed.
        only: which images of the batch to make, or None for all.
        edit: what to keep of an earlier image, or None.
        notes: what to tell beside the images.
    """

    model: ARModel
    conditioning: Condition
    seed: int
    copies: int
    sampler_settings: SamplerSettings
    guidances: tuple[Guidance, ...] = ()
    seeds: tuple[int, ...] = ()
    rerolled: tuple[tuple[int, int], ...] = ()
    only: tuple[int, ...] | None = None
    edit: Edit | None = None
    seed_images: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> int:
        return self.conditioning.count

    def __repr__(self) -> str:
        """From what is stored alone: the host writes it into its report of an error, and must not meet another there."""
        chain = " -> ".join(guidance.name for guidance in self.guidances) or "no guidance"
        return f"AR sampling: {self.model!r}, {self.conditioning!r}, {self.copies} of each, {chain}"


@dataclass(frozen=True)
class EDM2Sampling(Batch):
    """A run of a diffusion model that has not happened; guidance nodes and AR Seeds take it as they take a `Sampling`.

    Attributes:
        edm2: the network, and the one that guides it.
        heun: noise levels.
        height, width: of the images in pixels.
        copies, seeds, seed_images, rerolled, only, notes: as in `Sampling`.
    """

    edm2: EDM2Model
    conditioning: ClassConditioning
    seed: int
    copies: int
    heun: Heun
    height: int
    width: int
    guidances: tuple[Guidance, ...] = ()
    seeds: tuple[int, ...] = ()
    rerolled: tuple[tuple[int, int], ...] = ()
    only: tuple[int, ...] | None = None
    seed_images: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> int:
        return self.conditioning.count

    @property
    def _no_tokens(self) -> ValueError:
        return ValueError(
            f"this run is of {quoted(self.edm2.name)}, an EDM2 diffusion model, which draws no tokens. Between AR EDM2 Sampler and AR"
            " EDM2 Decode only guidance nodes and AR Seeds can stand"
        )

    @property
    def model(self) -> ARModel:
        """What nodes that work with tokens ask for first, and this run has not.

        Raises:
            ValueError: always.
        """
        raise self._no_tokens

    @property
    def sampler_settings(self) -> SamplerSettings:
        """What draws tokens.

        Raises:
            ValueError: always, as above.
        """
        raise self._no_tokens

    @property
    def edit(self) -> Edit | None:
        """Tokens to keep.

        Raises:
            ValueError: always, as above.
        """
        raise self._no_tokens

    def __repr__(self) -> str:
        chain = " -> ".join(guidance.name for guidance in self.guidances) or "no guidance"
        return f"AR sampling: {self.edm2!r}, {self.conditioning!r}, {self.copies} of each, {chain}"
