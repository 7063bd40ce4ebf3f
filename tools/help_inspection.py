"""What the inspecting nodes give, for their help pages: maps, metrics and a search of the bundled model. No host.

The same functions make the nodes' outputs; only the run itself is done here without ComfyUI.
"""

from collections.abc import Sequence

import torch
from ar_guidance.analysis.crossing import Crossing, Probe, search
from ar_guidance.analysis.measure import measure
from ar_guidance.analysis.spectrum import SpectrumWatch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import Trace, TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.ssg import SSG
from ar_guidance.imaging.canvas import INK, PAPER, font, to_pil
from ar_guidance.imaging.maps import MapStyle, draw_maps
from ar_guidance.imaging.report import metrics_plot, search_plot
from ar_guidance.imaging.spectrum_report import spectrum_plot
from ar_guidance.imaging.subject import subject_from_border
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.groups import ANY_STYLE, NAMES
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.pack import ROOT
from PIL import Image, ImageDraw
from torch import Tensor

SEED, SCALE, TOP_P = 7, 4.0, 0.95
MAPPED = "face"
SHOWN_SCALES = (3, 7)
SEARCHED = ("face", "heart", "flower")
LOWEST, HIGHEST, PROBES, PICTURES = 1.01, 16.0, 7, 8  # AR Find Scale's defaults; CFG is off at 1
GAP, TITLE, COLOURS = 14, 15, 64


def recorded(
    names: Sequence[str], copies: int, guidances: tuple[Guidance, ...]
) -> tuple[Tensor, Trace]:
    """Pictures (B, 64, 64, 3) in 0-1 of these classes, `copies` of each, and what was recorded on the way."""
    codec, network = load_pair(ROOT / "bundled", "scale")
    job = job_of(names, copies, guidances)
    recorder = TraceRecorder(job.run.grids)
    with torch.inference_mode():
        made = generate(network, codec, job, torch.device("cpu"), recorder=recorder)
        pictures = codec.decode(made.features)
    return (pictures.movedim(1, -1) * 0.5 + 0.5).clamp(0, 1), recorder.finish()


def job_of(names: Sequence[str], copies: int, guidances: tuple[Guidance, ...]) -> ScalewiseJob:
    """Images of these classes, `copies` of each."""
    network = load_pair(ROOT / "bundled", "scale")[1]
    groups = torch.tensor([NAMES.index(name) for name in names]).repeat_interleave(copies)
    batch, grids = len(groups), network.config.grids
    return ScalewiseJob(
        conditions=(groups * (ANY_STYLE + 1) + ANY_STYLE, network.null_condition(batch)),
        batch=batch,
        run=RunInfo("scale", grids, published=Schedule("linear ramp")),
        chain=Chain(guidances),
        draw=StreamSampler(Filters(top_p=TOP_P), Streams(SEED, batch)),
    )


def map_sheet() -> Image.Image:
    """An image, and beside it the map 'added' of a coarse and of the last scale."""
    images, trace = recorded((MAPPED,), 1, (CFG(SCALE),))
    subject = subject_from_border(images)
    maps = [to_pil(one) for one in draw_maps(trace, images, "added", MapStyle(), subject=subject)]
    shown = [maps[scale - 1] for scale in SHOWN_SCALES]
    width, height = shown[0].size
    page = Image.new("RGB", (3 * width + 2 * GAP, height), PAPER)
    head = round(2.9 * TITLE)  # where the maps' own images begin
    page.paste(to_pil(images[0]).resize((width, width), Image.Resampling.NEAREST), (0, head))
    words = f"the image ({MAPPED}, CFG {SCALE:g})"
    ImageDraw.Draw(page).text((8, 0.2 * TITLE), words, fill=INK, font=font(TITLE))
    for place, one in enumerate(shown, 1):
        page.paste(one, (place * (width + GAP), 0))
    return page


def metrics_sheet() -> Image.Image:
    """The plot of the same run; the subject is what differs from the image's border."""
    images, trace = recorded((MAPPED,), 1, (CFG(SCALE),))
    return _plain(metrics_plot(measure(trace, False, subject_from_border(images)), trace))


def spectrum_sheet() -> Image.Image:
    """The plot of two images under CFG and SSG."""
    guidances = (CFG(SCALE), SSG(1.2))
    job = job_of((MAPPED, "heart"), 1, guidances)
    watch = SpectrumWatch.of(guidances, job.run)
    codec, network = load_pair(ROOT / "bundled", "scale")
    with torch.inference_mode():
        generate(
            network,
            codec,
            job,
            torch.device("cpu"),
            on_step=lambda p: watch(p.index, p.cond, p.uncond, p.guided),
        )
    return _plain(spectrum_plot(watch.found))


def search_sheet() -> Image.Image:
    """The plot of a search with the node's defaults."""
    return _plain(search_plot(found_scale(), own_ranges=False))


def _plain(plot: Tensor) -> Image.Image:
    """A plot in the few colours it needs; a map's bar would break into bands."""
    return to_pil(plot[0]).quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)


def found_scale() -> Crossing:
    """A cheap pass and a full one, as the node makes them."""
    rough = _pass(PICTURES // 4, ())
    return _pass(PICTURES, (rough.low, rough.high) if rough.crosses else ())


def _pass(copies: int, hints: tuple[float, ...]) -> Crossing:
    return search(lambda scale: _probe(scale, copies), LOWEST, HIGHEST, PROBES, hints=hints)


def _probe(scale: float, copies: int) -> Probe:
    """One run at one scale: same seeds, whatever the scale."""
    images, trace = recorded(SEARCHED, copies, (CFG(scale),))
    measured = measure(trace, False, subject_from_border(images))
    even, diverging = measured.mean("evenness"), measured.mean("divergence")
    assert even is not None and diverging is not None
    single = [
        tuple(measured.of_image(name, picture) for name in ("evenness", "divergence"))
        for picture in range(len(images))
    ]
    return Probe(scale, even, diverging, tuple(None if None in one else one for one in single))  # type: ignore[arg-type]


SHEETS = {
    "map": map_sheet,
    "metrics": metrics_sheet,
    "spectrum": spectrum_sheet,
    "find-scale": search_sheet,
}
