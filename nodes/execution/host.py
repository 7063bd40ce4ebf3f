"""What of the host's objects this pack touches, as the host hands them out."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

from torch import Tensor


class ModelOptions(TypedDict, total=False):
    """Options of a diffusion model, of those that matter here."""

    sampler_post_cfg_function: list[Callable[["PostCFGArguments"], Tensor]]
    sampler_pre_cfg_function: list[Callable[["PreCFGArguments"], Sequence[Tensor]]]
    transformer_options: dict[str, Tensor]
    ar_guidance_predictions: Sequence[Tensor]


class PreCFGArguments(TypedDict):
    """What a hook before CFG is given: predictions of all conditions, the positive one's first."""

    conds_out: Sequence[Tensor]
    model_options: ModelOptions


class ModelSampling(Protocol):
    """A model's noise schedule."""

    def percent_to_sigma(self, percent: float) -> float: ...


class SampledModel(Protocol):
    """The model under a patcher."""

    @property
    def model_sampling(self) -> ModelSampling: ...


class CFGArguments(TypedDict):
    """What a hook after CFG is given, the denoised images (B, ...)."""

    denoised: Tensor
    cond_denoised: Tensor
    uncond_denoised: Tensor
    uncond: object  # the conditions themselves; false where there are none
    cond_scale: float
    sigma: Tensor
    model: SampledModel
    model_options: ModelOptions


class PostCFGArguments(CFGArguments, total=False):
    """The same; PerpNeg adds the empty prompt's."""

    empty_cond_denoised: Tensor


class DiffusionModel(Protocol):
    """A MODEL: a patcher that is copied before it is changed."""

    model_options: ModelOptions

    def clone(self) -> "DiffusionModel": ...

    def set_model_sampler_post_cfg_function(
        self,
        post_cfg_function: Callable[[PostCFGArguments], Tensor],
        disable_cfg1_optimization: bool = False,
    ) -> None: ...

    def add_wrapper(self, wrapper_type: str, wrapper: Callable[..., Tensor]) -> None: ...


class VAE(Protocol):
    """A VAE; what it decodes is an IMAGE (B, H, W, 3)."""

    def throw_exception_if_invalid(self) -> None: ...

    def decode(self, samples_in: Tensor) -> Tensor: ...


class Latent(TypedDict):
    """A LATENT."""

    samples: Tensor


class Hidden(Protocol):
    """What the host tells a node of itself."""

    @property
    def unique_id(self) -> str | None: ...


class ProgressReport(Protocol):
    """Counts the steps of a run."""

    done: int

    def again(self, done: int) -> None:
        """Go back to so many steps."""
        ...
