"""Where an image came from: its seed, its number under that seed and what was asked for, in the saved file's metadata.

The host writes every entry of its `extra_pnginfo` into the files that its save nodes make; it is the same dictionary for all
nodes of a run, and there is none where a prompt was queued without a workflow.
"""

from ...conditioning.base import Condition
from ...conditioning.classes import ClassConditioning
from ...conditioning.compose import Against, Composition
from ...conditioning.prompt import PromptConditioning
from ..types import Sampling
from .batches import streams_of

KEY = "ar_guidance"


def address(seed: int, image: int) -> str:
    """A seed and the image of its batch, counted from 1, as AR Seeds reads them."""
    return f"{seed}:{image + 1}"


def addresses(sampling: Sampling) -> list[str]:
    """Of every image to be made."""
    return [address(seed, image) for seed, image in streams_of(sampling)]


def said(condition: Condition) -> object:
    """What a condition says, choices made: names of classes, prompts, or those of the parts of a composed image."""
    if isinstance(condition, ClassConditioning):
        return list(condition.names)
    if isinstance(condition, PromptConditioning):
        return {"prompts": list(condition.prompts), "negative_prompt": condition.negative}
    if isinstance(condition, Composition):
        return {
            "background": said(condition.background),
            "parts": [said(part.condition) for part in condition.parts],
        }
    if isinstance(condition, Against):
        return said(condition.positive)
    return f"{condition.count} encoded prompts"


def remember(hidden: object, sampling: Sampling, made: int) -> None:
    """Note, for the files that are saved behind this node, how each of the first `made` images is made again."""
    info, node = getattr(hidden, "extra_pnginfo", None), str(getattr(hidden, "unique_id", ""))
    if isinstance(info, dict):
        runs = info.setdefault(KEY, {})
        runs[node] = {
            "images": addresses(sampling)[:made],
            "condition": said(sampling.conditioning),
        }
