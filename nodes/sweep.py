"""AR Sweep (values to try, as lists) and AR Grid (the images they gave, side by side)."""

import itertools
import math
from collections.abc import Sequence

from comfy_api.v0_0_2 import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ..imaging.canvas import from_pil, to_pil
from ..imaging.differences import differing, parse_label
from ..imaging.grid import arrange, arrange_blind, draw_sheet
from ..loaders.quote import quoted
from .checked import Node
from .compat import schema, widget
from .execution.parameters import parameters_of
from .types import Sampling, SamplingLink

NO_SECOND = "AR Sweep: second_values is empty, so this output has nothing to give: write values into it, or connect a first one"
OPEN, HIDDEN, REVEALED = "off", "hide", "reveal"
NOT_BLIND = "This is not a blind comparison: every image has its label."
STILL_HIDDEN = "Hidden. When you have chosen, set 'blind' to 'reveal'."
MOST = 256  # combinations of one sweep: more is a mistake in the lists


def split_values(text: str) -> list[str]:
    """Values between commas or line breaks; between line breaks alone where there are any, so that they may hold commas."""
    parts = text.split("\n") if "\n" in text.strip() else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def as_number(value: str) -> float | ExecutionBlocker:
    """A value as a number, or what stops the nodes behind an output that has none."""
    try:
        number = float(value)
        if math.isfinite(number):
            return number
        raise ValueError
    except ValueError:
        wrong = f"AR Sweep: '{quoted(value)}' is not a number: use the text output"
        return ExecutionBlocker(wrong if value else NO_SECOND)


def as_integer(value: str) -> int | ExecutionBlocker:
    """A value as a whole number, or what stops the nodes behind an output that has none."""
    try:
        return int(value)
    except ValueError:
        wrong = f"AR Sweep: '{quoted(value)}' is not a whole number"
        return ExecutionBlocker(wrong if value else NO_SECOND)


class ARSweep(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARSweep",
            display_name="AR Sweep",
            category="AR Guidance/compare",
            description="Lists of values to try: everything behind it runs once for each value, or for each pair of a first"
            " and a second value. Connect them to any number, seed or text input, and the images to AR Grid.",
            search_aliases=["XY plot", "list", "grid", "compare", "loop"],
            inputs=[
                widget(
                    io.String,
                    "first_values",
                    default="1.5, 3, 6",
                    multiline=True,
                    tooltip="Values between commas or, where they hold commas themselves, on lines of their own.",
                ),
                widget(
                    io.String,
                    "second_values",
                    default="",
                    multiline=True,
                    tooltip="More values: every first one is tried with every second one. Empty = only the first ones.",
                ),
                widget(
                    io.String,
                    "first_name",
                    default="first",
                    tooltip="What the first values are, for the labels: scale, seed ...",
                ),
                widget(
                    io.String,
                    "second_name",
                    default="second",
                    tooltip="What the second values are, for the labels.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    "first_number",
                    display_name="first FLOAT",
                    is_output_list=True,
                    tooltip="The first values as numbers, one run after the other.",
                ),
                io.Int.Output(
                    "first_integer",
                    display_name="first INT",
                    is_output_list=True,
                    tooltip="The first values as whole numbers: for a seed or a count.",
                ),
                io.String.Output(
                    "first_text",
                    display_name="first STRING",
                    is_output_list=True,
                    tooltip="The first values as texts.",
                ),
                io.Float.Output(
                    "second_number",
                    display_name="second FLOAT",
                    is_output_list=True,
                    tooltip="The second values as numbers, one run after the other.",
                ),
                io.Int.Output(
                    "second_integer",
                    display_name="second INT",
                    is_output_list=True,
                    tooltip="The second values as whole numbers: for a seed or a count.",
                ),
                io.String.Output(
                    "second_text",
                    display_name="second STRING",
                    is_output_list=True,
                    tooltip="The second values as texts.",
                ),
                io.String.Output(
                    "labels",
                    display_name="labels",
                    is_output_list=True,
                    tooltip="What was set in each run: for AR Grid.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, first_values: str, second_values: str, first_name: str, second_name: str
    ) -> io.NodeOutput:
        first, second = split_values(first_values), split_values(second_values)
        if not first:
            raise ValueError(
                "first_values is empty: write the values to try, with commas between them"
            )
        pairs = list(itertools.product(first, second or [""]))
        if len(pairs) > MOST:
            raise ValueError(
                f"{len(first)} first and {len(second)} second values are {len(pairs)} runs: take at most {MOST}"
            )
        one, two = [a for a, _ in pairs], [b for _, b in pairs]
        names = first_name.strip() or "first", second_name.strip() or "second"
        labels = [f"{names[0]} = {a}" + (f"; {names[1]} = {b}" if second else "") for a, b in pairs]
        return io.NodeOutput(
            [as_number(value) for value in one],
            [as_integer(value) for value in one],
            one,
            [as_number(value) for value in two],
            [as_integer(value) for value in two],
            two if second else [ExecutionBlocker(NO_SECOND)] * len(pairs),
            labels,
        )


class ARGrid(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARGrid",
            display_name="AR Grid",
            category="AR Guidance/compare",
            description="Puts the images of several runs side by side on one sheet, each with the settings in which the runs"
            " differ. Two settings in every combination become a table.",
            search_aliases=["contact sheet", "XY plot", "image grid", "compare"],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="Images of all runs: a list, as AR Sweep makes AR Decode give.",
                ),
                SamplingLink.Input(
                    "ar_sampling",
                    optional=True,
                    tooltip="What AR Decode received: its settings label the images.",
                ),
                widget(
                    io.String,
                    "labels",
                    default="",
                    force_input=True,
                    optional=True,
                    tooltip="Labels of your own, from AR Sweep or any list of texts such as: scale = 3; seed = 7. They"
                    " replace those of ar_sampling.",
                ),
                widget(
                    io.Int,
                    "columns",
                    default=0,
                    min=0,
                    max=64,
                    tooltip="Images in a row, where the settings do not make a table. 0 = about as many as rows, at least 4.",
                ),
                widget(io.String, "title", default="", tooltip="A line above all images."),
                widget(
                    io.Combo,
                    "blind",
                    options=[OPEN, HIDDEN, REVEALED],
                    default=OPEN,
                    optional=True,
                    tooltip="For judging images without knowing which settings made them. 'hide': one row for each image of a"
                    " batch, with the runs shuffled in every row and letters instead of labels. 'reveal': the same order with"
                    " the labels, and the key.",
                    advanced=True,
                ),
                widget(
                    io.Int,
                    "blind_seed",
                    default=0,
                    optional=True,
                    min=0,
                    max=0xFFFFFFFF,
                    tooltip="Which shuffle. Change it for another comparison, keep it from hide to reveal.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(
                    "sheet",
                    display_name="IMAGE",
                    tooltip="One image with all images and their labels.",
                ),
                io.String.Output(
                    "key",
                    display_name="key",
                    tooltip="Which image of a blind comparison is which, once it is revealed.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        images: list[Tensor],
        columns: list[int],
        title: list[str],
        ar_sampling: list[Sampling] | None = None,
        labels: list[str] | None = None,
        blind: Sequence[str] = (OPEN,),
        blind_seed: Sequence[int] = (0,),
    ) -> io.NodeOutput:
        runs = described(images, ar_sampling, labels)
        cells = [[to_pil(one) for one in batch] for batch in images]
        if blind[0] == OPEN:
            sheet, key = arrange(cells, runs, columns[0], title[0]), NOT_BLIND
        else:
            reveal = blind[0] == REVEALED
            sheet, key = arrange_blind(cells, runs, blind_seed[0], reveal, title[0])
            key = key if reveal else STILL_HIDDEN
        return io.NodeOutput(from_pil([draw_sheet(sheet)]), key)


def described(
    images: Sequence[Tensor], samplings: list[Sampling] | None, labels: list[str] | None
) -> list[dict[str, str]]:
    """What differs between the runs, from labels or from their settings; their numbers where nothing is known.

    Raises:
        ValueError: as many labels or settings as there are runs are needed, or one for all.
    """
    given = [parse_label(label) for label in labels] if labels else []
    if not given and samplings:
        given = [parameters_of(sampling) for sampling in samplings]
    if len(given) not in (0, 1, len(images)):
        what = "labels" if labels else "AR_SAMPLING links"
        raise ValueError(
            f"there are {len(given)} {what} for {len(images)} runs: connect the same list that AR Decode runs over"
        )
    if len(given) == len(images) and any(differing(given)):
        return differing(given)
    if len(images) == 1:
        return [{}]
    return [{"": str(n + 1)} for n in range(len(images))]
