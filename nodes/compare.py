"""AR Compare: several chains, or images of several runs, on one labelled sheet and under a before/after slider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..imaging.canvas import from_pil
from ..imaging.comparison import (
    chain_label,
    comparison_payload,
    comparison_sheet,
    row_labels,
    told_apart,
)
from ..imaging.grid import draw_sheet
from .checked import Node
from .compat import schema, widget
from .execution.batches import makers_of
from .execution.live import STATUS, live_sender
from .execution.parameters import parameters_of
from .execution.rescue import collect, node_text, saved
from .execution.run import View, describe, run_sampling
from .types import Sampling, SamplingLink

MOST = 8  # runs
Run = Sampling | Tensor


@dataclass(frozen=True)
class Made:
    """The images (B, H, W, 3) of runs that are finished."""

    images: tuple[Tensor, ...]

    @property
    def count(self) -> int:
        return sum(len(own) for own in self.images)


class ARCompare(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARCompare",
            display_name="AR Compare",
            category="AR Guidance/compare",
            description="Generates what several guidance chains make of the same seed, and shows it side by side: on one sheet"
            " labelled with guidance, class and seed, and on the node under a before/after slider.",
            search_aliases=["before after", "image comparer", "side by side", "slider", "A/B"],
            inputs=[
                *[_run_input(at + 1) for at in range(MOST)],
                widget(
                    io.String,
                    "labels",
                    default="",
                    multiline=True,
                    tooltip="Names of your own, a line for each run in order. Empty = the guidance of each chain.",
                ),
                widget(io.String, "title", default="", tooltip="A line above all images."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,  # it runs with nothing behind it: its panel shows the result
            has_intermediate_output=True,  # the panel's contents come back when the page is reloaded
            outputs=[
                io.Image.Output(
                    "sheet",
                    display_name="IMAGE",
                    tooltip="One image with all images: a column for each run, a row for each image of the batch.",
                )
            ],
        )

    @classmethod
    def execute(cls, labels: str = "", title: str = "", **runs: Run) -> io.NodeOutput:
        given = [runs[name] for name in sorted(runs)]
        if len(given) < 2:
            raise ValueError(
                "AR Compare needs at least two runs: connect another guidance chain, or the images of another AR Decode"
            )
        images = made_of(
            given,
            View(status=live_sender(getattr(cls.hidden, "unique_id", None), STATUS)),
            node_text(cls.hidden),
        )
        columns = named(given, labels)
        first = next((run for run in given if isinstance(run, Sampling)), None)
        longest = max(len(own) for own in images)
        rows = row_labels(makers_of(first) if first is not None else (), longest)
        sheet = draw_sheet(comparison_sheet(images, columns, rows, title))
        output = io.NodeOutput(from_pil([sheet]))
        output.ui = {"ar_compare": [comparison_payload(images, columns, rows)]}
        return output


def _run_input(number: int) -> Any:
    return io.MultiType.Input(
        f"run_{number}",
        [SamplingLink, io.Image],
        optional=number > 1,
        tooltip="A guidance chain or AR Sampler, which is run here, or finished images. All chains of one AR Sampler share its"
        " seed, so they differ in guidance alone.",
    )


def made_of(runs: Sequence[Run], view: View, tell: Callable[[str], None]) -> list[Tensor]:
    """The images of every run. Chains are run, all of them checked before the first; if one fails, those before are saved."""
    chains = [run for run in runs if not isinstance(run, Tensor)]
    for chain in chains:
        describe(chain)

    def make(chain: Sampling) -> Made:
        return Made((run_sampling(chain, view, tell=tell).image,))

    def joined(parts: Sequence[Made]) -> Made:
        return Made(tuple(own for part in parts for own in part.images))

    def keep(made: Made) -> str:
        return "; ".join(saved(own) for own in made.images)

    finished = iter(collect(make, chains, joined, keep, tell=tell).images if chains else ())
    return [run if isinstance(run, Tensor) else next(finished) for run in runs]


def named(runs: Sequence[Run], labels: str) -> list[str]:
    """What every run is called: the user's words, else its guidance.

    Raises:
        ValueError: more words than runs.
    """
    own = [line.strip() for line in labels.strip().splitlines()]
    if len(own) > len(runs):
        raise ValueError(
            f"labels has {len(own)} lines for {len(runs)} runs: write one line for each run, in order"
        )
    names = [
        chain_label(run.guidances) if isinstance(run, Sampling) else f"images {at + 1}"
        for at, run in enumerate(runs)
    ]
    known = [parameters_of(run) if isinstance(run, Sampling) else {} for run in runs]
    found = told_apart(names, known)
    return [own[at] if at < len(own) and own[at] else name for at, name in enumerate(found)]
