"""What of a host's newer kinds of input is used, and how (docs/architecture.md): nothing that older frontends cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ar_guidance.tests.hosts.node_interface import WIDGETS, kind_of
from ar_guidance.tests.hosts.running import RunningHost

DRAWN = (
    "BOUNDING_BOX",
    "BOUNDING_BOXES",
    "CURVE",
    "RANGE",
    "COLOR",
    "COLORS",
)  # widgets of newer hosts


def inputs_of(host: RunningHost) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Node, input, type and options of every input of the pack."""
    for name, info in host.object_info().items():
        if info["python_module"].startswith("custom_nodes.") and name.startswith("AR"):
            for group in ("required", "optional"):
                for entry in info["input_order"].get(group, ()):
                    described = info["input"][group][entry]
                    options = described[1] if len(described) > 1 else {}
                    yield name, entry, kind_of(described), options


def test_newer_kinds_are_wires_or_stand_last(host: RunningHost) -> None:
    entries = list(inputs_of(host))
    assert len({name for name, *_ in entries}) > 30
    drawn = [entry for entry in entries if entry[2] in DRAWN]
    assert {kind for *_, kind, _ in drawn} <= {"BOUNDING_BOX", "CURVE"}
    for name, entry, kind, options in drawn:
        if kind == "BOUNDING_BOX":
            assert options["forceInput"] is True, (name, entry)
        else:
            widgets = [
                other[1] for other in entries if other[0] == name and other[2] in WIDGETS + DRAWN
            ]
            assert widgets[-1] == entry, (name, entry)


def test_panels_that_show_results_are_sent_them_again(host: RunningHost) -> None:
    """A page that is loaded again gets the last contents of nodes that say so, where the host asks."""
    for name, info in host.object_info().items():
        if "has_intermediate_output" not in info or not name.startswith("AR"):
            continue
        if info["python_module"].startswith("custom_nodes."):
            shows = name in ("ARDecode", "ARCompare")
            assert info["has_intermediate_output"] is shows, name
    assert "has_intermediate_output" in info or host.version == "0.3.75"
