"""AR Seeds: a seed for each image of a batch, and another one for those that are to be drawn again."""

import re
from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..loaders.quote import quoted
from .checked import Node
from .compat import LARGEST_SEED, schema, widget
from .inputs.setting import seed_widget
from .types import Sampling, SamplingLink


def parse_seeds(text: str) -> tuple[tuple[int, int], ...]:
    """ "5, 7:3" -> ((5, 0), (7, 2)): seeds, each with the place of an image in its batch, which is written from 1.

    Raises:
        ValueError: something is no seed.
    """
    entries, pairs = [part for part in re.split(r"[,;\s]+", text) if part], []
    for entry in entries:
        found = re.fullmatch(r"([0-9]{1,20})(?::([1-9][0-9]{0,8}))?", entry)
        if not found or int(found[1]) > LARGEST_SEED:
            raise ValueError(
                f"seeds: '{quoted(entry)}' is not a seed: give whole numbers from 0 to {LARGEST_SEED}, with commas between them;"
                " 7:3 is the third image of seed 7"
            )
        pairs.append((int(found[1]), int(found[2] or 1) - 1))
    return tuple(pairs)


def parse_images(text: str, count: int) -> tuple[int, ...]:
    """ "3, 5-7" -> (2, 4, 5, 6): numbers from 1 as places from 0, in order, each once.

    Raises:
        ValueError: something is no number of an image of the batch.
    """
    places: set[int] = set()
    for entry in re.findall(r"[^,;\s]+", re.sub(r"\s*-\s*", "-", text)):
        ends = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", entry)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (0, 0)
        if not 1 <= first <= last <= count:
            raise ValueError(
                f"reroll: '{quoted(entry)}' is not an image of this batch: its {count} images have the numbers 1 to {count}"
                " (one number, or a range such as 5-7)"
            )
        places.update(range(first - 1, last))
    return tuple(sorted(places))


def check_made(again: tuple[int, ...], sampling: Sampling) -> None:
    """Raise ValueError when an image to draw again is not made at all, because an AR Seeds before leaves it out."""
    left_out = [str(place + 1) for place in again if place not in sampling.images]
    if left_out:
        raise ValueError(
            f"reroll: image {', '.join(left_out)} is not made, because the AR Seeds before this one makes"
            f" only {', '.join(str(place + 1) for place in sampling.images)}: switch its only_rerolled off, or write all"
            " images into one AR Seeds"
        )


class ARSeeds(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARSeeds",
            display_name="AR Seeds",
            category="AR Guidance",
            description="Gives every image of a batch a seed of its own, and draws chosen images of the batch again with"
            " another seed while all others stay as they are.",
            search_aliases=["seed list", "batch seeds", "reroll", "variation seeds"],
            inputs=[
                SamplingLink.Input("ar_sampling", tooltip="From AR Sampler or a guidance node."),
                widget(
                    io.String,
                    "seeds",
                    default="",
                    tooltip="A list such as 5, 7, 9: every class or prompt is drawn once with each, and batch_size no longer"
                    " matters. Each image is the first one of its seed; 7:3 is the third of seed 7's batch. Empty = the"
                    " sampler's seed and batch size.",
                ),
                widget(
                    io.String,
                    "reroll",
                    default="",
                    tooltip="Numbers of the images to draw again, counted from 1: 3, or 2, 5-7. Empty = none.",
                ),
                seed_widget(
                    "reroll_seed",
                    "The seed of those images. Let it change after each run until you like the images.",
                ),
                widget(
                    io.Boolean,
                    "only_rerolled",
                    default=False,
                    tooltip="On: make only the images of reroll, which is faster. Off: make the whole batch, all others"
                    " as before.",
                ),
            ],
            outputs=[
                SamplingLink.Output(
                    "seeded_sampling",
                    display_name="AR_SAMPLING",
                    tooltip="The same run with these seeds: for guidance nodes or AR Decode.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        ar_sampling: Sampling,
        seeds: str = "",
        reroll: str = "",
        reroll_seed: int = 0,
        only_rerolled: bool = False,
    ) -> io.NodeOutput:
        listed = parse_seeds(seeds)
        sampling = ar_sampling
        if listed:
            seeds_only, places = (tuple(part) for part in zip(*listed, strict=True))
            sampling = replace(
                sampling,
                seeds=seeds_only,
                seed_images=places,
                copies=len(listed),
                rerolled=(),
                only=None,
            )
        again = parse_images(reroll, sampling.whole)
        check_made(again, sampling)
        if only_rerolled and not again:
            raise ValueError(
                "only_rerolled is on, but reroll names no image: write its number, or switch it off"
            )
        others = tuple(pair for pair in sampling.rerolled if pair[0] not in again)
        sampling = replace(sampling, rerolled=(*others, *((place, reroll_seed) for place in again)))
        sampling = replace(sampling, only=again) if only_rerolled else sampling
        return io.NodeOutput(sampling)
