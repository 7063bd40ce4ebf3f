"""AR Dual Panel: an image of two panels, of which the upper one is given (Lumina-mGPT 2)."""

from dataclasses import replace

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..conditioning.compose import Composition
from ..conditioning.prompt import PromptConditioning
from ..imaging.editing import Edit
from ..imaging.tokens import ImageTokens, owned
from ..loaders.checkpoint import ARModel
from ..models.lumina2 import TASKS
from ..sampling.loops import grids_of, picture_size
from .checked import Node
from .compat import schema, widget
from .edit import edited
from .inputs.images import CROP, STRETCH, encode_images, fit_image
from .types import Sampling, SamplingLink


class ARDualPanel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDualPanel",
            display_name="AR Dual Panel",
            category="AR Guidance/edit",
            description="Image to image with Lumina-mGPT 2, the way it was trained: your image is the upper half of a"
            " tall image, and the model draws the lower half that belongs to it. From a depth map or edges to an image, the"
            " same subject in another scene, or from an image to its depth map, edges or pose.",
            search_aliases=[
                "image to image",
                "controlnet",
                "depth",
                "canny",
                "subject",
                "Lumina-mGPT",
            ],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling",
                    tooltip="From AR Sampler with a prompt of AR Prompt Condition. Its size is that of both panels"
                    " together: 512x1024 gives two of 512x512.",
                ),
                io.Image.Input(
                    "image",
                    tooltip="The upper panel: a depth map, edges, an image of the subject, or the image to read. It is"
                    " fitted to half the size.",
                ),
                widget(
                    io.Combo,
                    "task",
                    options=list(TASKS),
                    default=next(iter(TASKS)),
                    tooltip="What the two panels are to each other. All but the last of the first four are worded as"
                    " the release words them.",
                ),
                widget(
                    io.String,
                    "panel",
                    default="",
                    tooltip="Only for 'edit in own words': what the upper panel shows, for example: photo before the edit."
                    " The release gives no wording for it; results may be poor.",
                ),
                widget(
                    io.Boolean,
                    "both_panels",
                    default=False,
                    tooltip="On: the finished image shows both panels. Off: the drawn one alone.",
                ),
                widget(
                    io.Combo,
                    "fit",
                    options=[CROP, STRETCH],
                    default=CROP,
                    tooltip="How an image of another shape is fitted to a panel: 'crop' cuts off two sides, 'stretch' distorts"
                    " it.",
                    advanced=True,
                ),
            ],
            outputs=[
                SamplingLink.Output(
                    "paneled_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The same run, whose upper half is given: for guidance nodes or AR Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        image: Tensor,
        task: str,
        panel: str = "",
        both_panels: bool = False,
        fit: str = CROP,
    ) -> io.NodeOutput:
        model = ar_sampling.model
        condition = with_panels(model, ar_sampling.conditioning, task, panel.strip())
        condition.check(model)
        source, mask = upper_given(model, image, fit)
        edit = Edit(source=source, mask=mask, lower=not both_panels)
        return io.NodeOutput(edited(replace(ar_sampling, conditioning=condition), edit))


def with_panels(model: ARModel, condition: object, task: str, panel: str) -> PromptConditioning:
    """The prompt as that of an image of two panels.

    Raises:
        ValueError: the model makes none, or what the panel shows is not said, or said where it is known.
    """
    spec = model.family.prompt
    if isinstance(condition, Composition):
        raise ValueError(
            "AR Dual Panel writes one prompt for both panels, and AR Region and AR Blend give several: connect AR Prompt"
            " Condition to AR Sampler directly"
        )
    if spec is None or spec.panels is None or not isinstance(condition, PromptConditioning):
        raise ValueError(
            f"{model.name} is a {model.family.title} model, which knows no images of two panels: AR Dual Panel is for"
            " Lumina-mGPT 2"
        )
    sentence, known = spec.tasks[task]
    if panel and known:
        raise ValueError(
            f"panel: the release already says what the upper panel of '{task}' is. Leave panel empty, or choose 'edit in"
            " own words'"
        )
    if not panel and not known:
        raise ValueError("panel: say what the upper panel shows, or choose another task")
    if any(sign in panel for sign in "<>\n"):
        raise ValueError(
            "panel: characters such as < and > and line breaks mark the panels' names: leave them out"
        )
    return replace(condition, sentence=sentence.format(known or panel))


def upper_given(model: ARModel, image: Tensor, fit: str) -> tuple[ImageTokens, Tensor]:
    """Tokens whose upper half is the image's, encoded alone as the release does, and a mask (1, H, W) of the lower half."""
    grids = grids_of(model)
    height, width = picture_size(model, grids)
    rows, columns = grids[-1]
    half = ((rows // 2, columns),)
    shown = fit_image(image, (height // 2, width), fit)
    given = encode_images(model, shown, half).steps[0]
    mask = torch.zeros(1, height, width)
    mask[:, height // 2 :] = 1
    return owned(model, grids, [torch.cat((given, torch.zeros_like(given)), 1)]), mask
