"""Several runs side by side: what each is called, where its images go on the sheet, and what the slider on the node shows."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..guidance.base import Guidance
from .canvas import number, to_pil
from .data_urls import data_urls
from .differences import caption, differing
from .filmstrip import Maker
from .grid import Sheet, one_line

SIDE = 512  # pixels a side of an image in the browser, at most
MOST = 64  # images of all runs that the browser gets; the sheet has all
STRENGTHS = ("scale", "beta", "igg_scale")  # settings that say how strong a guidance is


def chain_label(guidances: Sequence[Guidance]) -> str:
    """What a chain is, in a few words: "CFG 4 + SSG 1.2"."""
    return " + ".join(_one(guidance) for guidance in guidances) or "no guidance"


def _one(guidance: Guidance) -> str:
    given = [getattr(guidance, name) for name in STRENGTHS if hasattr(guidance, name)]
    name = guidance.title.removeprefix("AR Guidance: ")
    return f"{name} {', '.join(number(value) for value in given)}".strip()


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of runs; where several have the same one, what differs between them follows.

    `settings`: all settings of every run, as named texts; empty where they are not known.
    """
    found = list(names)
    for name in set(names):
        alike = [at for at, other in enumerate(names) if other == name]
        if len(alike) < 2:
            continue
        for at, run in zip(alike, differing([settings[at] for at in alike]), strict=True):
            found[at] = f"{name}, {caption(run)}" if run else f"{name} ({at + 1})"
    return found


def row_labels(makers: Sequence[Maker], count: int) -> list[str]:
    """What each image of a run is: its class or prompt and its seed; numbers where that is not known."""
    named = [", ".join([*([m.name] if m.name else []), f"seed {m.seed}"]) for m in makers[:count]]
    twice = {name for name in named if named.count(name) > 1}
    seen = [
        f"{name}, image {m.index + 1}" if name in twice else name
        for name, m in zip(named, makers, strict=False)
    ]
    return seen + [f"image {at + 1}" for at in range(len(seen), count)]


def comparison_sheet(
    runs: Sequence[Tensor], columns: Sequence[str], rows: Sequence[str], title: str
) -> Sheet:
    """A column for every run, a row for every image of the longest one; runs are (B, H, W, 3) in 0-1."""
    cells = [
        [to_pil(run[at]) if at < len(run) else None for run in runs] for at in range(len(rows))
    ]
    heads = [one_line(text) for text in columns], [one_line(text) for text in rows]
    return Sheet(cells, columns=heads[0], rows=heads[1], title=one_line(title))


def comparison_payload(
    runs: Sequence[Tensor], columns: Sequence[str], rows: Sequence[str]
) -> dict[str, object]:
    """The same as JSON: names of `columns` and `rows`, and `images`, the data URLs of every run; `left_out` rows are too many."""
    most = max(1, MOST // len(runs))
    images = [data_urls(run[:most], SIDE, "png") for run in runs]
    left_out = max(0, len(rows) - most)
    return {
        "columns": list(columns),
        "rows": list(rows[:most]),
        "images": images,
        "left_out": left_out,
    }
