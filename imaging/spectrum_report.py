"""Spectra in words: JSON and plots for AR Guidance Spectrum."""

from collections.abc import Sequence

from torch import Tensor

from ..analysis.spectrum import Change
from .canvas import from_pil
from .plot import BLUE, DIAMOND, DISC, GREEN, ORANGE, PURPLE, SKY, SQUARE, Plot, Series, draw_plot
from .report import dump, short

STYLES = ((BLUE, DISC), (ORANGE, SQUARE), (GREEN, DIAMOND), (SKY, DISC), (PURPLE, SQUARE))


def spectrum_json(changes: Sequence[Change], ratio: Tensor | None, guidance: Sequence[str]) -> str:
    """Every ring of every scale; of the images where a reference was given."""
    scales = [
        {
            "grid": list(one.grid),
            "nyquist_before": one.nyquist,
            "change": [round(value, 5) for value in one.change],
            "below": short(one.below()),
            "beyond": short(one.beyond()),
        }
        for one in changes
    ]
    images = None if ratio is None else [round(value, 5) for value in ratio.tolist()]
    content = {"guidance": list(guidance), "scales": scales, "amplitude_ratio": images}
    return dump(content)


def spectrum_plot(changes: Sequence[Change]) -> Tensor:
    """IMAGE of the change at the finest scales, and the Nyquist frequency before the finest that goes beyond it."""
    numbered = list(enumerate(changes, start=2))[-len(STYLES) :]
    series = [
        Series(
            f"scale {k}: {one.grid[0]}x{one.grid[1]}", range(len(one.change)), one.change, *style
        )
        for (k, one), style in zip(numbered, STYLES, strict=False)
    ]
    title = "Change of the log amplitude of the logits by SSG"
    finer = [(k, one.nyquist) for k, one in numbered if one.beyond() is not None]
    mark = None
    if finer:
        k, mark = finer[-1]
        title += f"\ndashed: the highest frequency that the scale before scale {k} can show"
    label = "frequency (cycles per image)"
    return from_pil([draw_plot(Plot(title, label, series, mark=mark))])


def ratio_plot(ratio: Tensor) -> Tensor:
    """IMAGE of the images' amplitude as a share of the reference's."""
    values = ratio.tolist()[1:]  # the constant is the mean brightness
    line = Series("amplitude / reference's", range(1, len(values) + 1), values, BLUE)
    title = "Brightness amplitude of the images beside the reference's: 1 = alike"
    return from_pil([draw_plot(Plot(title, "frequency (cycles per image)", [line]))])
