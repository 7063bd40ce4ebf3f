"""AR Guidance Spectrum: which frequencies SSG strengthens, scale by scale."""

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..analysis.spectrum import amplitude_ratio
from ..imaging.spectrum_report import ratio_plot, spectrum_json, spectrum_plot
from .checked import Node
from .compat import schema
from .execution.spectra import run_spectra
from .types import EDM2Sampling, Sampling, SamplingLink

NO_SCALES = (
    "AR Guidance Spectrum compares scales of models that draw tokens scale by scale, and this is a run of an EDM2 diffusion"
    " model, whose steps all have one size"
)


class ARGuidanceSpectrum(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARGuidanceSpectrum",
            display_name="AR Guidance Spectrum",
            category="AR Guidance/inspect",
            description="Shows which frequencies of the predictions SSG strengthens, scale by scale, beside what the scale before"
            " could show; and the spectrum of the images beside that of reference images. It makes the images itself.",
            search_aliases=["frequency", "Fourier", "Nyquist", "SSG"],
            inputs=[
                SamplingLink.Input(
                    "ar_sampling",
                    tooltip="From the last guidance node; AR Guidance: SSG must be in the chain.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="Images to compare the spectrum with, as many as you have, of the size of those that are made.",
                ),
            ],
            outputs=[
                io.Image.Output("images", display_name="IMAGE", tooltip="The images of the run."),
                io.Image.Output(
                    "plot",
                    display_name="plot",
                    tooltip="The change over the frequencies at the finest scales; with a reference, a second plot of the images.",
                ),
                io.String.Output(
                    "json", display_name="JSON", tooltip="The numbers of every scale and frequency."
                ),
            ],
        )

    @classmethod
    def execute(cls, ar_sampling: Sampling, reference: Tensor | None = None) -> io.NodeOutput:
        if isinstance(ar_sampling, EDM2Sampling):
            raise ValueError(NO_SCALES)
        found = run_spectra(ar_sampling)
        plots, ratio = [spectrum_plot(found.changes)], None
        if reference is not None:
            ratio = amplitude_ratio(found.images.cpu(), reference[..., :3].cpu())
            plots.append(ratio_plot(ratio))
        names = [guidance.name for guidance in ar_sampling.guidances]
        written = spectrum_json(found.changes, ratio, names)
        return io.NodeOutput(found.images, torch.cat(plots), written)
