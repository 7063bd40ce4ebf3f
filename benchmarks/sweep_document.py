#!/usr/bin/env python3
"""Tables and plots of docs/guidance-sweep.md from docs/data: python -m benchmarks.sweep_document [--check].

The document's own sentences are left alone: tables stand between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ar_guidance.imaging.plot import BLUE, DIAMOND, GREEN, ORANGE, SQUARE, Plot, Series, draw_plot
from ar_guidance.tools.bundled.seeds import (
    Estimate,
    difference,
    estimate,
    over_strengths,
)
from ar_guidance.tools.pack import ROOT
from PIL import Image
from scipy.special import stdtr, stdtrit

from . import completion, sweep_claims, sweep_scales

DATA = ROOT / "docs" / "data" / "sweep.json"
COMPLETION = DATA.parent / "completion.json"  # of benchmarks.completion
DOCUMENT = ROOT / "docs" / "guidance-sweep.md"
IMAGES = ROOT / "docs" / "images"
STYLES = ((BLUE, "disc"), (ORANGE, SQUARE), (GREEN, DIAMOND))
BLOCKS = 20  # values behind an interval (the token-wise model has more, which makes the correction a little severe)
FORMS = {"frechet": (1, 2), "accuracy": (1, 3), "evenness": (1000, 1), "divergence": (1000, 1)}
COLUMNS = {"frechet": 2, "accuracy": 3, "evenness": 4, "divergence": 3}

Row = dict[str, Any]


@dataclass(frozen=True)
class Contrast:
    """A less B, the mean over their common strengths; B may be one setting, for A's strengths one by one."""

    a: str
    b: str
    strength: float | None = None  # of A, where B is the single setting below
    b_strength: float | None = None


BASE = {"b": "CFG", "b_strength": 3.0}
CONTRASTS = (
    Contrast("IGG", "CFG"),
    Contrast("IGG, window", "CFG"),
    Contrast("IGG, window", "IGG"),
    Contrast("IGG, token weight", "CFG"),
    Contrast("mix with IGG -0.4, constant", "CFG, constant"),
    *(Contrast("CFG + SSG", strength=beta, **BASE) for beta in (0.1, 0.2, 0.4, 0.8, 1.2, 1.8, 2.5)),
    Contrast("CFG + SSG", "CFG + SSG, linear"),
    Contrast("CFG + SSG", "CFG + SSG, nearest"),
    Contrast("CFG + SSG", "CFG + SSG, DSE zero"),
    Contrast("CFG + SSG", "CFG + SSG, constant"),
    Contrast("CFG + SSG", "CFG + SSG, preserve amplitude"),
    *(
        Contrast("SSG alone", "no guidance", strength=beta, b_strength=1.0)
        for beta in (0.4, 0.8, 1.2)
    ),
    Contrast("IGG, constant", "IGG, linear ramp", 1.85, 2.85),
    Contrast("mix, w = w' = 0.75", "IGG, linear ramp", 1.75, 2.85),
    *(Contrast("CFG 3, temperature", strength=t, **BASE) for t in (0.8, 0.9)),
    Contrast("CFG + SSG", "CFG 3, temperature", 1.2, 0.9),
    Contrast("CFG + SSG", "CFG 3, temperature", 1.2, 0.8),
    Contrast("SoftCFG", "CFG"),
    Contrast("SoftCFG, no step normalisation", "CFG"),
    Contrast("SoftCFG", "SoftCFG, no step normalisation"),
)
TOKEN_CONTRASTS = (
    *CONTRASTS[-3:],
    Contrast("SoftCFG, released code", "CFG"),
    Contrast("SoftCFG", "SoftCFG, released code"),
)
SOFT = ("CFG", "SoftCFG", "SoftCFG, no step normalisation")
COURSE_SCALE = 4.0
ASIDE = 0.008  # share of the axis by which curves stand beside each other, so that their bars can be seen


@dataclass(frozen=True)
class PlotSpec:
    """A plot of one measure against the strength of some methods."""

    model: str
    title: str
    label: str
    methods: tuple[str, ...]
    measure: str


SCALE, BETA = "guidance scale", "beta"
DISTANCE = "Frechet distance to the training drawings, lower is better"
PLOTS = {
    "frechet": PlotSpec("scale", DISTANCE, SCALE, ("CFG", "IGG"), "frechet"),
    "accuracy": PlotSpec("scale", "Share of classes recognised", SCALE, ("CFG", "IGG"), "accuracy"),
    "evenness": PlotSpec("scale", "Evenness of what is added", SCALE, ("CFG", "IGG"), "evenness"),
    "divergence": PlotSpec(
        "scale", "Divergence of what is added", SCALE, ("CFG", "IGG"), "divergence"
    ),
    "ssg-priors": PlotSpec(
        "scale",
        "SSG on CFG 3, by prior. Frechet distance",
        BETA,
        ("CFG + SSG", "CFG + SSG, linear", "CFG + SSG, nearest"),
        "frechet",
    ),
    "ssg-options": PlotSpec(
        "scale",
        "SSG on CFG 3, by schedule and amplitude. Frechet distance",
        BETA,
        ("CFG + SSG", "CFG + SSG, constant", "CFG + SSG, preserve amplitude"),
        "frechet",
    ),
    "softcfg-scales": PlotSpec(
        "scale", "SoftCFG on the scale-wise model. Frechet distance", SCALE, SOFT, "frechet"
    ),
    "softcfg-tokens": PlotSpec(
        "token", "SoftCFG on the token-wise model. Frechet distance", SCALE, SOFT, "frechet"
    ),
    "softcfg-accuracy": PlotSpec(
        "token",
        "SoftCFG on the token-wise model. Share of classes recognised",
        SCALE,
        SOFT,
        "accuracy",
    ),
}


def by_method(rows: Sequence[Row], method: str) -> dict[float, Row]:
    """Strength -> row."""
    found = {row["strength"]: row for row in rows if row["method"] == method}
    return dict(sorted(found.items()))


def compare(rows: Sequence[Row], contrast: Contrast, name: str) -> Estimate:
    """The difference of one measure."""
    a, b = by_method(rows, contrast.a), by_method(rows, contrast.b)
    if contrast.b_strength is not None:
        assert contrast.strength is not None
        return difference(a[contrast.strength][name], b[contrast.b_strength][name])
    shared = sorted(set(a) & set(b))
    return difference(*(over_strengths([part[s][name] for s in shared]) for part in (a, b)))


def comparisons(rows: Sequence[Row], contrasts: Sequence[Contrast] = CONTRASTS) -> list[str]:
    """Markdown: one line per contrast whose settings are there; bold what stands after Holm's correction within its column."""
    lines = [
        "| A − B | at | Fréchet distance | class accuracy | evenness × 1000 | divergence × 1000 |"
    ]
    lines.append("|---|---|---|---|---|---|")
    shown = [c for c in contrasts if _is_there(rows, c)]
    columns = [_column(rows, shown, name, *form) for name, form in FORMS.items()]
    for contrast, cells in zip(shown, zip(*columns, strict=True), strict=True):
        lines.append(f"| {_named(rows, contrast)} | {' | '.join(cells)} |")
    return lines


def _is_there(rows: Sequence[Row], contrast: Contrast) -> bool:
    a, b = by_method(rows, contrast.a), by_method(rows, contrast.b)
    return bool(a and b) and not (contrast.strength and contrast.strength not in a)


def _named(rows: Sequence[Row], contrast: Contrast) -> str:
    """The first two cells of a line."""
    if contrast.b_strength is not None:
        return f"{contrast.a} − {contrast.b} {contrast.b_strength:g} | {contrast.strength:g}"
    shared = set(by_method(rows, contrast.a)) & set(by_method(rows, contrast.b))
    return f"{contrast.a} − {contrast.b} | {', '.join(f'{s:g}' for s in sorted(shared))}"


def _column(
    rows: Sequence[Row], contrasts: Sequence[Contrast], name: str, factor: float, digits: int
) -> list[str]:
    """A measure's cell for every contrast."""
    found = [_known(rows, contrast, name) for contrast in contrasts]
    stands = holm([e for e in found if e is not None], BLOCKS)
    cells = []
    for estimate_ in found:
        if estimate_ is None:
            cells.append("")
            continue
        text = f"{factor * estimate_.mean:+.{digits}f} ± {factor * estimate_.half:.{digits}f}"
        cells.append(f"**{text}**" if next(stands) else text)
    return cells


def _known(rows: Sequence[Row], contrast: Contrast, name: str) -> Estimate | None:
    both = [by_method(rows, m) for m in (contrast.a, contrast.b)]
    if any(row[name][0] is None for part in both for row in part.values()):
        return None
    return compare(rows, contrast, name)


def holm(found: Sequence[Estimate], count: int, level: float = 0.05) -> Iterator[bool]:
    """Whether each mean differs from 0 when all are asked about at once (Holm): in all, one wrong yes in 1 / level tables.

    `count`: of the values behind every interval of 95 %.
    """
    half = stdtrit(count - 1, 0.975)
    chances = [2 * stdtr(count - 1, -abs(e.mean) / (e.half / half)) for e in found]
    order = sorted(range(len(found)), key=lambda k: chances[k])
    stands = [False] * len(found)
    for rank, place in enumerate(order):
        if chances[place] > level / (len(found) - rank):
            break
        stands[place] = True
    return iter(stands)


def everything(rows: Sequence[Row]) -> list[str]:
    """Markdown: one line per setting."""
    lines = [
        "| method | strength | images | Fréchet distance | class accuracy | evenness | divergence |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for method in dict.fromkeys(row["method"] for row in rows):
        for strength, row in by_method(rows, method).items():
            cells = []
            for name, digits in COLUMNS.items():
                known = row[name][0] is not None
                found = estimate(row[name]) if known else None
                cells.append(f"{found.mean:.{digits}f} ± {found.half:.{digits}f}" if found else "")
            lines.append(f"| {method} | {strength:g} | {row['pictures']} | {' | '.join(cells)} |")
    return lines


def draw(content: Row, name: str) -> None:
    """One plot, if its curves are there."""
    drawing, rows, series = PLOTS[name], content[PLOTS[name].model], []
    for place, (method, style) in enumerate(zip(drawing.methods, STYLES, strict=False)):
        points = by_method(rows, method)
        found = [(x, estimate(row[drawing.measure])) for x, row in points.items()]
        if found and drawing.label == BETA:  # beta 0 is the CFG beneath
            found = [(0.0, estimate(by_method(rows, "CFG")[3.0][drawing.measure])), *found]
        if found:
            aside = (place - (len(drawing.methods) - 1) / 2) * ASIDE * (found[-1][0] - found[0][0])
            xs, ys = [x + aside for x, _ in found], [e.mean for _, e in found]
            series.append(Series(method, xs, ys, *style, errors=[e.half for _, e in found]))
    if len(series) == len(drawing.methods):
        save(f"{drawing.title}\nBars: 95 % intervals", drawing.label, series, name)


def draw_course(content: Row, measure: str, title: str) -> None:
    """A measure of the token-wise model's guidance over the rows of the image, if it is there."""
    series = []
    for method, style in zip(SOFT, STYLES, strict=True):
        row = by_method(content["token"], method).get(COURSE_SCALE)
        if row is not None:
            values = row["steps"][measure]
            series.append(Series(method, range(1, len(values) + 1), values, *style))
    if series:
        save(f"{title}, scale {COURSE_SCALE:g}", "row of the image", series, f"course-{measure}")


def save(title: str, label: str, series: Sequence[Series], name: str) -> None:
    """Draw and store a plot."""
    picture = draw_plot(Plot(title, label, series)).quantize(64, dither=Image.Dither.NONE)
    picture.save(IMAGES / f"sweep-{name}.png", optimize=True)


def filled(document: str, tables: dict[str, list[str]]) -> str:
    """The document with every marked table replaced."""
    for name, lines in tables.items():
        parts = re.split(rf"(<!-- table: {name} -->\n)(.*?)(<!-- end -->)", document, flags=re.S)
        if len(parts) != 5:
            raise ValueError(f"{DOCUMENT.name} must have one place for the table '{name}'")
        parts[2] = "\n" + "\n".join(lines) + "\n\n"
        document = "".join(parts)
    return document


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a table is not up to date")
    check = parser.parse_args().check
    content = json.loads(DATA.read_text(encoding="utf-8"))
    runs = sweep_claims.all_runs(content)
    tables = {
        "comparisons": comparisons(content["scale"]),
        "settings": everything(content["scale"]),
        "token comparisons": comparisons(content["token"], TOKEN_CONTRASTS),
        "token settings": everything(content["token"]),
        "completion": completion.table(json.loads(COMPLETION.read_text("utf-8")), "classifier"),
        "claims": sweep_claims.table(runs),
        "scales": sweep_scales.table(runs),
        "later": sweep_claims.table(runs, sweep_claims.LATER),
    }
    before = DOCUMENT.read_text(encoding="utf-8")
    after = filled(before, tables)
    if check:
        return int(before != after)
    DOCUMENT.write_text(after, encoding="utf-8")
    for name in PLOTS:
        draw(content, name)
    draw_course(content, "gap", "Size of the guidance before its scale")
    draw_course(content, "spread", "Entropy of the guidance over the vocabulary")
    return 0


if __name__ == "__main__":
    sys.exit(main())
