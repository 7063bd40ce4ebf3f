"""How the CFG-IGG mix sits in the host's samplers: hooks before and after CFG, and what they are given by which guider."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ...guidance.diffusion import DiffusionMix
from .host import DiffusionModel, ModelSampling, PostCFGArguments, PreCFGArguments
from .recording import recorder_of


def keep_predictions(args: PreCFGArguments) -> Sequence[Tensor]:
    """A hook before all others that change predictions ahead of CFG (APG): G is what the model says, not what they make of it."""
    args["model_options"]["ar_guidance_predictions"] = args["conds_out"]
    return args["conds_out"]


@dataclass(frozen=True)
class PostCFG:
    """A hook that adds the mix's terms after CFG, and after every hook that stands before it.

    It holds settings only and is never changed, so copies of a patched model share nothing that runs could disturb.

    Attributes:
        mix: the terms.
        start, end: share of the sampling outside which nothing is added.
    """

    mix: DiffusionMix
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(
                f"start_percent ({self.start}) must not lie after end_percent ({self.end}), both from 0 to 1"
            )

    def __call__(self, args: PostCFGArguments) -> Tensor:
        if not self.acts_at(args["sigma"], args["model"].model_sampling):
            return args["denoised"]
        if not args["uncond"]:  # the host fills the missing prediction with zeros
            warn_without_negative(args)
            return args["denoised"]
        cond, uncond = branches(args)
        mix, denoised = self.replacing(args, cond, uncond)
        shapes = getattr(args["model"], "latent_shapes", None) or ()
        recorder, index = recorder_of(args, self.number_among(args))
        if self.mix.cfg_scale is not None:
            recorder.note("cfg scale", index, self.mix.cfg_scale)
        return mix.guide(denoised, cond, uncond, args["cond_scale"], shapes, recorder, index)

    def number_among(self, args: PostCFGArguments) -> int:
        """The how-manieth of these hooks this one is, for telling apart what several record."""
        hooks = args["model_options"].get("sampler_post_cfg_function", [])
        mine = [hook for hook in hooks if isinstance(hook, PostCFG)]
        return next((n for n, hook in enumerate(mine, start=1) if hook is self), 1)

    def replacing(
        self, args: PostCFGArguments, cond: Tensor, uncond: Tensor
    ) -> tuple[DiffusionMix, Tensor]:
        """The mix, and what to add it to, once the sampler's own CFG is what the mix takes it for: u + s (c - u).

        PerpNeg pushes from the empty prompt, e + s (...): the whole nudge is brought to the mix's scale. Hooks before CFG
        (APG) may have changed the prediction that CFG pushed towards: their nudge gives way to the plain one.
        """
        denoised, scale = args["denoised"], args["cond_scale"]
        if self.mix.cfg_scale is None:
            return self.mix, denoised
        if "empty_cond_denoised" in args and scale:
            empty = args["empty_cond_denoised"]
            rescaled = empty + (self.mix.cfg_scale / scale) * (denoised - empty)
            return replace(self.mix, cfg_scale=None), rescaled
        pushed = args["cond_denoised"] - args["uncond_denoised"]
        if cond is not args["cond_denoised"]:
            denoised = denoised + scale * ((cond - uncond) - pushed)
        return self.mix, denoised

    def acts_at(self, sigma: Tensor, sampling: ModelSampling) -> bool:
        """Whether this noise level (B,) lies inside the interval.

        Asked while sampling, so that a node behind this one may still change the model's noise schedule.
        """
        if self.start > 0 and sigma.max() > sampling.percent_to_sigma(self.start):
            return False
        return self.end == 1 or bool(sigma.max() >= sampling.percent_to_sigma(self.end))


def branches(args: PostCFGArguments) -> tuple[Tensor, Tensor]:
    """c and u of this step as the model predicted them: the positive prompt, and what the guider pushes away from.

    PerpNeg (`empty_cond_denoised`) pushes away from the empty prompt; its negative only bends that nudge.
    """
    kept = args["model_options"].get("ar_guidance_predictions", ())
    cond = kept[0] if kept else args["cond_denoised"]
    if "empty_cond_denoised" in args:
        return cond, kept[2] if len(kept) > 2 else args["empty_cond_denoised"]
    return cond, kept[1] if len(kept) > 1 else args["uncond_denoised"]


def warn_without_negative(args: PostCFGArguments) -> None:
    """Say once a run, at its first step, that there is nothing to compare the positive prompt with."""
    sigmas = args["model_options"].get("transformer_options", {}).get("sample_sigmas")
    if sigmas is not None and bool(args["sigma"].max() >= sigmas[0]):
        logging.warning(
            "[AR Guidance] AR Diffusion IGG compares the positive with the negative prompt, and the guider computes no"
            " negative at this step: nothing is added there. BasicGuider has none at all: use KSampler or CFGGuider"
        )


def patch(model: DiffusionModel, hook: PostCFG) -> DiffusionModel:
    """A copy of the model with the hook behind those it has; the model itself is not touched.

    Raises:
        ValueError: two hooks that both replace the sampler's cfg.
    """
    patched = model.clone()
    if hook.mix.absent:
        return patched
    others = model.model_options.get("sampler_post_cfg_function", [])
    replaced = [h for h in others if isinstance(h, PostCFG) and h.mix.cfg_scale is not None]
    if replaced and hook.mix.cfg_scale is not None:
        raise ValueError(
            "two AR Diffusion IGG nodes in a row both replace the sampler's cfg:"
            " set 'mix' of one of them to 'sampler cfg'"
        )
    # at cfg 1 the host would leave out the negative prompt, and there would be nothing to compare with
    patched.set_model_sampler_post_cfg_function(hook, disable_cfg1_optimization=True)
    before = patched.model_options.get("sampler_pre_cfg_function", [])
    if keep_predictions not in before:
        patched.model_options["sampler_pre_cfg_function"] = [keep_predictions, *before]
    return patched
