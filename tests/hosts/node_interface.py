"""What saved workflows rely on: ids of nodes, names, types and order of their inputs and outputs, from a host's /object_info."""

from typing import Any

# Types of inputs that have a widget, whose values a saved workflow lists by place.
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
CONTROLLED = "control_after_generate"


def interface(info: dict[str, Any]) -> dict[str, Any]:
    """One node's: inputs as [name, type] in the order of its widgets, outputs as types.

    Without drawn curves: only some hosts have that input, and its value is not listed by place.
    """
    inputs = [
        [name, kind_of(info["input"][group][name])]
        for group in ("required", "optional")
        for name in info["input_order"].get(group, ())
        if kind_of(info["input"][group][name]) != "CURVE"
    ]
    return {"inputs": inputs, "outputs": list(info["output"])}


def kind_of(described: list[Any]) -> str:
    """The type of an input; a list of choices is a COMBO in newer hosts and the list itself in older ones."""
    return "COMBO" if isinstance(described[0], list) else described[0]


def widget_values(info: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The values of a saved node by the names of its inputs, read as the frontend reads them: by place."""
    named, rest = {}, list(values)
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, ()):
            described = info["input"][group][name]
            options = described[1] if len(described) > 1 else {}
            if kind_of(described) not in WIDGETS or options.get("forceInput") or not rest:
                continue
            named[name] = rest.pop(0)
            if options.get(CONTROLLED) and rest:
                rest.pop(0)
    if rest:
        raise ValueError(f"{len(rest)} values have no widget any more")
    return named
