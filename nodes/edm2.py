"""AR Load EDM2, AR EDM2 Sampler (describes a run) and AR EDM2 Decode (runs it)."""

import math
from dataclasses import replace
from pathlib import Path

from comfy_api.v0_0_2 import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..conditioning.base import Condition
from ..conditioning.classes import ClassConditioning
from ..conditioning.compose import Composition
from ..loaders.edm2 import EDM2Model, load_edm2
from ..loaders.quote import quoted
from ..models.edm2.images import raw_latents
from ..sampling.heun import Heun
from .checked import Node
from .compat import schema, widget
from .execution.edm2 import pixels_per_side, run_edm2
from .execution.host import VAE, Latent
from .execution.rescue import HAND_ON, TO_TEMP, node_text, note_handed_on, times_handed_on
from .inputs import folders
from .inputs.heun import UNLIMITED, noise_widgets, run_widgets
from .inputs.presets import preset_notes, preset_widget
from .types import Conditioning, EDM2Link, EDM2Sampling, SamplingLink, TraceLink

NO_IMAGE = (
    "AR EDM2 Decode: these are latents, and no VAE is connected to turn them into images: load sd-vae-ft-mse with Load VAE"
    " and connect it to 'vae'"
)
NO_LATENT = "AR EDM2 Decode: this network draws pixels, not latents: use its IMAGE output, and VAE Encode where latents are wanted"


class ARLoadEDM2(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARLoadEDM2",
            display_name="AR Load EDM2",
            category="AR Guidance/edm2",
            description="Loads an EDM2 diffusion network and, for guidance, the network it is compared with. Reads the released"
            " .pkl files without running anything in them. Size and kind are read from the file.",
            search_aliases=["EDM2", "autoguidance", "Karras", "edm2-img512"],
            inputs=[
                widget(
                    io.Combo,
                    "checkpoint",
                    options=folders.edm2_choices(),
                    tooltip="EDM2 file from models/ar_checkpoints: a released .pkl (edm2-img512-..., edm2-img64-...) or a"
                    " .safetensors made of one.",
                ),
                widget(
                    io.Combo,
                    "guide",
                    options=[folders.NO_FILE, *folders.edm2_choices()],
                    default=folders.NO_FILE,
                    tooltip="The network that guidance pushes away from: an '-uncond' file for classifier-free guidance, a"
                    " smaller or less trained one for autoguidance. 'none' = no guidance.",
                ),
            ],
            outputs=[
                EDM2Link.Output(
                    "edm2_model",
                    display_name="AR_EDM2_MODEL",
                    tooltip="The loaded network: for AR Class Condition and AR EDM2 Sampler.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, guide: str = folders.NO_FILE) -> object:
        return folders.state_of(path for path in _paths(checkpoint, guide) if path is not None)

    @classmethod
    def execute(cls, checkpoint: str, guide: str = folders.NO_FILE) -> io.NodeOutput:
        return io.NodeOutput(load_edm2(*_paths(checkpoint, guide)))


def _paths(checkpoint: str, guide: str) -> tuple[Path, Path | None]:
    """Where the chosen files lie."""
    main = folders.resolve_edm2(checkpoint)
    return main, None if guide == folders.NO_FILE else folders.resolve_edm2(guide)


class AREDM2Sampler(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AREDM2Sampler",
            display_name="AR EDM2 Sampler",
            category="AR Guidance/edm2",
            description="Describes a run of an EDM2 network: class, seed, noise levels. Nothing is computed yet: add guidance"
            " nodes (CFG, IGG, the CFG-IGG mix) behind it, then AR EDM2 Decode, which runs it.",
            search_aliases=["EDM2 sampler", "Heun", "diffusion sampler"],
            inputs=[
                EDM2Link.Input("edm2_model", tooltip="From AR Load EDM2."),
                Conditioning.Input(
                    "ar_conditioning",
                    optional=True,
                    tooltip="What to generate, from AR Class Condition. Leave it unconnected for an unconditional network.",
                ),
                *run_widgets(),
                *noise_widgets(),
                preset_widget(),
            ],
            outputs=[
                SamplingLink.Output(
                    "ar_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The described run: for guidance nodes, AR Seeds or AR EDM2 Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        edm2_model: EDM2Model,
        seed: int,
        batch_size: int,
        steps: int,
        sigma_max: float = 80.0,
        sigma_min: float = 0.002,
        rho: float = 7.0,
        churn: float = 0.0,
        churn_min: float = 0.0,
        churn_max: float = UNLIMITED,
        churn_noise: float = 1.0,
        width: int = 0,
        height: int = 0,
        preset: str = "",
        ar_conditioning: Condition | None = None,
    ) -> io.NodeOutput:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        top = math.inf if churn_max >= UNLIMITED else churn_max
        heun = Heun(steps, sigma_min, sigma_max, rho, churn, churn_min, top, churn_noise)
        condition = condition_of(edm2_model, ar_conditioning)
        size = size_of(edm2_model, width, height)
        made = EDM2Sampling(edm2_model, condition, seed, batch_size, heun, *size)
        notes = preset_notes(preset, "edm2", edm2_model.config.widths[0])
        return io.NodeOutput(replace(made, notes=notes))


def condition_of(model: EDM2Model, given: Condition | None) -> ClassConditioning:
    """What to generate, checked: classes of this network, or none for an unconditional one.

    Raises:
        ValueError: no class for a network that needs one, or a condition of another kind or another network.
    """
    if given is None:
        if model.config.classes:
            raise ValueError(
                f"{quoted(model.name)} draws one of {model.config.classes} classes: connect AR Class Condition to ar_conditioning"
            )
        return ClassConditioning((0,), 0, ("no class",))
    if isinstance(given, Composition):
        raise ValueError(
            f"{quoted(model.name)} is a diffusion model, and AR Region and AR Blend mix the predictions of token models:"
            " connect AR Class Condition to ar_conditioning"
        )
    if not isinstance(given, ClassConditioning):
        raise ValueError(
            f"{quoted(model.name)} knows classes and reads no text: connect AR Class Condition to ar_conditioning"
        )
    if given.classes != model.config.classes:
        raise ValueError(
            f"the class condition was made for a network of {given.classes} classes, but {quoted(model.name)} has"
            f" {model.config.classes}: connect both nodes to the same AR Load EDM2"
        )
    return given


def size_of(model: EDM2Model, width: int, height: int) -> tuple[int, int]:
    """(height, width) of the images in pixels; 0 = what the network was trained for.

    Raises:
        ValueError: a side that does not divide as often as the network halves it.
    """
    factor = pixels_per_side(model)
    step = factor * model.config.divisor
    sides = [side or model.config.resolution * factor for side in (height, width)]
    for side in sides:
        if side < step or side % step:
            lower = max(1, side // step) * step
            raise ValueError(
                f"this network makes images whose sides are multiples of {step} pixels, and {side} is not:"
                f" take {lower} or {lower + step}"
            )
    return sides[0], sides[1]


class AREDM2Decode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AREDM2Decode",
            display_name="AR EDM2 Decode",
            category="AR Guidance/edm2",
            description="Runs an EDM2 sampler with its guidance. Gives latents and, with a VAE, images; networks that draw"
            " pixels give images at once. Shows progress and, if previews are on in ComfyUI, the image on the way.",
            search_aliases=["EDM2 generate", "run EDM2"],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling", tooltip="From AR EDM2 Sampler or the last guidance node."
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="For networks that draw latents (img512): sd-vae-ft-mse, from Load VAE. This release uses it with"
                    " an unusual colour range, which this node undoes; after VAE Decode the image looks washed out.",
                ),
                widget(
                    io.Combo,
                    "if_stopped",
                    options=[TO_TEMP, HAND_ON],
                    default=TO_TEMP,
                    optional=True,
                    advanced=True,
                    tooltip="When a large batch is cancelled or fails half-way. 'save ... to temp': the run stops, what is"
                    " finished lies in"
                    " ComfyUI's temp folder. 'hand on ...': the graph goes on with it.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Image.Output("image", display_name="IMAGE", tooltip="The finished images."),
                io.Latent.Output(
                    "latent",
                    display_name="LATENT",
                    tooltip="The finished latents, as the VAE makes them. Decode them here, not with VAE Decode: see 'vae'.",
                ),
                TraceLink.Output(
                    "ar_trace",
                    display_name="AR_TRACE",
                    tooltip="What the guidance did at every step: for AR Guidance Map and AR Guidance Metrics.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> object:
        """The host keeps what a node gave; what it handed on half-way is not what the same run gives next time."""
        return times_handed_on(cls.own_id())

    @classmethod
    def own_id(cls) -> str | None:
        """The node's id in the graph, where the host says it."""
        return getattr(cls.hidden, "unique_id", None)

    @classmethod
    def execute(
        cls, ar_sampling: EDM2Sampling, vae: VAE | None = None, if_stopped: str = TO_TEMP
    ) -> io.NodeOutput:
        if not isinstance(ar_sampling, EDM2Sampling):
            raise ValueError(
                "this run is of an autoregressive model: use AR Decode. AR EDM2 Decode runs what AR EDM2 Sampler describes"
            )
        tell = node_text(cls.hidden)
        made = run_edm2(ar_sampling, vae, if_stopped == HAND_ON, tell)
        for note in ar_sampling.notes:
            tell(note)
        note_handed_on(cls.own_id(), made.count, ar_sampling.batch)
        model = ar_sampling.edm2
        latent: Latent | ExecutionBlocker = ExecutionBlocker(NO_LATENT)
        if model.config.latent:
            latent = {"samples": raw_latents(made.x)}
        image = ExecutionBlocker(NO_IMAGE) if made.image is None else made.image
        return io.NodeOutput(image, latent, made.image_trace)
