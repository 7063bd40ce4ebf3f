"""AR Diffusion: Record and AR Diffusion: Trace: what guidance did on a stock diffusion model."""

from comfy_api.v0_0_2 import io
from torch import Tensor

from .checked import Node
from .compat import schema
from .execution.host import DiffusionModel, Latent
from .execution.recording import Recording
from .types import RecordingLink, TraceLink


class ARDiffusionRecord(Node):
    """MODEL -> the same MODEL, listened to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDiffusionRecord",
            display_name="AR Diffusion: Record",
            category="AR Guidance/diffusion",
            description="Records a diffusion model while a sampler runs it: where in the image guidance pushed at every step"
            " (the sampler's CFG and AR Diffusion: IGG). Changes nothing. AR Diffusion: Trace gives the recording.",
            search_aliases=["guidance maps", "evenness", "divergence", "timesteps"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Any diffusion model, with or without AR Diffusion: IGG before or behind this node.",
                )
            ],
            outputs=[
                io.Model.Output(
                    "recorded_model", display_name="MODEL", tooltip="The same model: for a sampler."
                ),
                RecordingLink.Output(
                    "ar_recording",
                    display_name="AR_RECORDING",
                    tooltip="What is recorded: for AR Diffusion: Trace.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model: DiffusionModel) -> io.NodeOutput:
        recording = Recording()
        return io.NodeOutput(recording.patch(model), recording)


class ARDiffusionTrace(Node):
    """The trace of the run that made some latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARDiffusionTrace",
            display_name="AR Diffusion: Trace",
            category="AR Guidance/diffusion",
            description="Gives what AR Diffusion: Record recorded while a sampler made these latents: maps and numbers of"
            " every step, for AR Guidance Map and AR Guidance Metrics.",
            search_aliases=["guidance maps", "evenness", "divergence", "timesteps"],
            inputs=[
                RecordingLink.Input("ar_recording", tooltip="From AR Diffusion: Record."),
                io.Latent.Input(
                    "samples",
                    tooltip="The LATENT output of the sampler that ran the recorded model, with nothing in between.",
                ),
            ],
            outputs=[
                TraceLink.Output(
                    "ar_trace",
                    display_name="AR_TRACE",
                    tooltip="What the guidance did at every step: for AR Guidance Map and AR Guidance Metrics.",
                )
            ],
        )

    @classmethod
    def execute(cls, ar_recording: Recording, samples: Latent) -> io.NodeOutput:
        latents = samples.get("samples") if isinstance(samples, dict) else None
        if not isinstance(latents, Tensor):
            raise ValueError("samples holds no latents: connect the sampler's LATENT output")
        return io.NodeOutput(ar_recording.of(latents))
