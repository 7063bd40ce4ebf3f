"""Inside a host's Python: whatever arrives at any input of any node is taken or refused in words, as the schema says.

Prints one line of JSON: how many nodes, inputs and values were tried. `python tests/hosts/inside.py arriving_by_schema HOST
[VALUES]`, where VALUES is the number of random values for each input.
"""

import asyncio
import inspect
import itertools
import json
import math
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch
from ar_guidance.nodes import checked, extension

count = int((sys.argv[1:] or ["40"])[0])

ODD: list[Any] = [
    *(1025, -2, 10**400, 2.5, math.nan, math.inf, -math.inf, -0.5, True, 0, 1.0),
    *("", "abc", "\ud800", "\x00\n", "1,2,x", "nan", "9" * 5000, "x" * 2_000_000),
    *(None, [], {}, [1, 2], b"bytes", object(), lambda: 0, [[0, 0]], [[torch.zeros(1, 2, 3), {}]]),
    *(torch.zeros(()), torch.tensor(3), torch.zeros(0, 4, 4, 3), torch.zeros(1, 4, 4, 3)),
    *(torch.zeros(4, 4), torch.full((1, 4, 4, 3), math.nan), torch.zeros(1, 2, 3, 4, 5, 6)),
]


def values(seed: str) -> Iterator[Any]:
    """The odd ones, then random numbers, texts and tensors."""
    yield from ODD
    dice = random.Random(seed)
    for _ in range(count):
        kind = dice.randrange(4)
        if kind == 0:
            yield dice.choice((-1, 1)) * dice.randrange(1 << dice.randrange(1, 200))
        elif kind == 1:
            yield dice.uniform(-1, 1) * 10 ** dice.uniform(-300, 300)
        elif kind == 2:
            yield "".join(chr(dice.randrange(0x10000)) for _ in range(dice.randrange(40)))
        else:
            yield torch.rand([dice.randrange(4) for _ in range(dice.randrange(6))])


def refused(node: Any, given: dict[str, Any], name: str) -> bool:
    """Check one value; every refusal names node and input on one printable line."""
    plain: dict[str, inspect.Parameter] = {}
    try:
        taken = checked.arrived(node, given, plain)
    except ValueError as error:
        title = node.define_schema().display_name
        text = str(error)
        assert text.startswith(f"{title}: {name} "), text
        assert len(text) < 1000 and text.encode("ascii", "backslashreplace"), text
        return True
    assert name not in taken or fits(node, name, taken[name]), (node, name, taken)
    return False


def fits(node: Any, name: str, value: Any) -> bool:
    """Whether a value that passed is what the node may rely on."""
    entry = next(one for one in node.SCHEMA.inputs if one.id == name)
    kind = entry.get_io_type()
    if node.SCHEMA.is_input_list and isinstance(value, list):
        return all(fits_one(entry, kind, one) for one in value)
    return fits_one(entry, kind, value)


def fits_one(entry: Any, kind: str, value: Any) -> bool:
    if kind in ("INT", "FLOAT"):
        low, high = (getattr(entry, end, None) for end in ("min", "max"))
        inside = (low is None or value >= low) and (high is None or value <= high)
        return type(value) is (int if kind == "INT" else float) and math.isfinite(value) and inside
    if kind == "IMAGE":
        return value.dim() == 4 and value.shape[-1] == 3 and value.numel() > 0
    if kind == "MASK":
        return value.dim() == 3 and value.numel() > 0
    return True


def subsets(node: Any) -> Iterator[tuple[str, ...]]:
    """Some sets of inputs: none, each alone, all but each, all."""
    names = [entry.id for entry in node.SCHEMA.inputs]
    yield from ((), *((name,) for name in names), tuple(names))
    yield from (tuple(other for other in names if other != name) for name in names)


def partial(node: Any) -> int:
    """`fingerprint_inputs` and `validate_inputs` with any of their arguments missing or linked (None); how often."""
    tried = 0
    for names, linked in itertools.product(subsets(node), (False, True)):
        given = dict.fromkeys(names, None if linked else "no such thing")
        for method in ("fingerprint_inputs", "validate_inputs"):
            own = next((c.__dict__[method] for c in node.__mro__ if method in c.__dict__), None)
            if own is None or inspect.getmodule(own.__func__).__name__.startswith("comfy_api"):  # type: ignore[union-attr]
                continue
            known = inspect.getfullargspec(getattr(node, method))
            some = {k: v for k, v in given.items() if known.varkw or k in known.args}
            found = getattr(node, method)(**some)
            json.dumps(found, allow_nan=False)
            assert method == "fingerprint_inputs" or isinstance(found, (bool, str)), found
            again = getattr(node, method)(**some)
            assert again == found, "what did not change counts as a change"
            tried += 1
    return tried


def main() -> None:
    nodes = asyncio.run(extension.ARGuidanceExtension().get_node_list())
    tried = inputs = parts = turned_away = 0
    for node in nodes:
        assert issubclass(node, checked.Node), f"{node.__name__} checks nothing"
        schema = node.GET_SCHEMA()
        for entry in schema.inputs:
            inputs += 1
            for value in values(f"{schema.node_id} {entry.id}"):
                turned_away += refused(node, {entry.id: value}, entry.id)
                tried += 1
        try:
            checked.arrived(node, {"of_another_version": 1}, {})
            raise AssertionError("an unknown input was taken")
        except ValueError as error:
            assert "has no input 'of_another_version'" in str(error)
        parts += partial(node)
    print(
        json.dumps(
            {
                "nodes": len(nodes),
                "inputs": inputs,
                "values": tried,
                "refused": turned_away,
                "partial": parts,
            }
        )
    )


main()
