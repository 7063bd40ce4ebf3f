"""The pack's nodes check what arrives, by their own schema, in one place for all of them."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from comfy_api.v0_0_2 import io

from ..imaging.image_trace import ImageTrace
from ..imaging.tokens import ImageTokens
from ..loaders.checkpoint import ARModel
from ..loaders.edm2 import EDM2Model
from ..loaders.quote import message, quoted
from .execution.recording import Recording
from .inputs import arriving
from .types import EDM2Sampling, Sampling

# What travels on the pack's own links; conditions are a protocol.
LINKS: dict[str, tuple[type, ...]] = {
    "AR_MODEL": (ARModel,),
    "AR_EDM2_MODEL": (EDM2Model,),
    "AR_SAMPLING": (Sampling, EDM2Sampling),
    "AR_TOKENS": (ImageTokens,),
    "AR_TRACE": (ImageTrace,),
    "AR_RECORDING": (Recording,),
}
Method = Callable[..., Any]


class Node(io.ComfyNode):
    """A node that runs only on what its schema says it takes.

    Every value that arrives is checked for type, whole, finite and range, in words that name node and input; an input that this
    version does not have is named where it is connected (the host drops unknown constants itself); no number that is not
    finite leaves in a message to the browser, since JSON has none. Subclasses write `execute` and `fingerprint_inputs` as for
    any node.

    Attributes:
        parses: combos whose text the node reads itself, with messages of its own: they may hold more than their list shows.
    """

    parses: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for name, wrapped in (("execute", _checked), ("fingerprint_inputs", _steady)):
            own = cls.__dict__.get(name)
            # The host copies node classes before it runs them; their methods are wrapped already.
            if isinstance(own, classmethod) and not hasattr(own.__func__, "__wrapped__"):
                setattr(cls, name, classmethod(wrapped(own.__func__)))


def _checked(execute: Method) -> Method:
    parameters = dict(list(inspect.signature(execute).parameters.items())[1:])

    @functools.wraps(execute)
    def run(cls: type[Node], *values: object, **named: object) -> object:
        given = dict(zip(parameters, values, strict=False)) | named
        try:
            output = execute(cls, **arrived(cls, given, parameters))
        except Exception as error:
            _tidy(error)
            raise
        if getattr(output, "ui", None):
            output.ui = finite(output.ui)
        return output

    return run


def _steady(fingerprint: Method) -> Method:
    """The fingerprint from whatever is known: the host passes constants only, and None for what is linked.

    Without an answer the result is a constant: an error would count as a change and put NaN into the saved prompt.
    """

    @functools.wraps(fingerprint)
    def run(cls: type[Node], **given: object) -> object:
        try:
            return fingerprint(cls, **{k: v for k, v in given.items() if v is not None})
        except Exception:
            return "not known before the run"

    return run


def arrived(
    cls: type[Node], given: Mapping[str, object], parameters: Mapping[str, inspect.Parameter]
) -> dict[str, object]:
    """The arguments of `execute`, each checked against the schema.

    Raises:
        ValueError: one is missing, unknown, or not what the schema says; the message names node and input.
    """
    schema = cls.SCHEMA or cls.define_schema()
    known = {entry.id: entry for entry in schema.inputs}
    if any(_lacks(known[name], value) for name, value in given.items() if name in known):
        known = {
            entry.id: entry for entry in cls.define_schema().inputs
        }  # a file may have come since
    title, taken = schema.display_name or schema.node_id, {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"{title} has no input '{quoted(name)}': the graph comes from another version of the pack. Disconnect"
                " that input, or delete the node and add it again"
            )
        try:
            checked = _all_of(known[name], value, schema.is_input_list, name in cls.parses)
        except ValueError as error:
            raise ValueError(f"{title}: {name} {error}") from error.__cause__
        if checked is not None:
            taken[name] = checked
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind != parameter.VAR_KEYWORD
        if needed and name not in taken:
            raise ValueError(f"{title}: {name} receives nothing: connect it, or give it a value")
    return taken


def choices(entry: io.Input) -> list[str]:
    """The entries of a list's input."""
    return list(getattr(entry, "options", None) or ())


def _lacks(entry: io.Input, value: object) -> bool:
    """Whether a list of choices, as it was when the node was first asked for it, does not hold a value."""
    return entry.get_io_type() == "COMBO" and value not in choices(entry)


def _all_of(entry: io.Input, value: object, is_list: bool, parses: bool) -> object:
    """A value, or every one of a list where the node takes lists; None for nothing."""
    if not (is_list and isinstance(value, list)):
        return None if value is None else _one_of(entry, value, parses)
    kept = [_one_of(entry, one, parses) for one in value if one is not None]
    return kept or None


def _one_of(entry: io.Input, value: object, parses: bool) -> object:
    kind = entry.get_io_type()
    if kind in arriving.LIMITED:
        limits = getattr(entry, "min", None), getattr(entry, "max", None)
        return arriving.LIMITED[kind](value, limits)
    if kind == "COMBO":
        return arriving.choice(value, None if parses else choices(entry))
    if kind in arriving.PLAIN:
        return arriving.PLAIN[kind](value)
    kinds = kind.split(",")
    links = tuple(known for one in kinds for known in LINKS.get(one, ()))
    if links and not isinstance(value, links):
        for plain in kinds:
            if plain in arriving.PLAIN:  # an input that takes images as well
                return arriving.PLAIN[plain](value)
        raise ValueError(f"needs {kind}, but receives {arriving.named(value)}: {arriving.REMEDY}")
    if kind == "AR_CONDITIONING" and not hasattr(value, "branches"):
        raise ValueError(f"needs {kind}, but receives {arriving.named(value)}: {arriving.REMEDY}")
    return value


def _tidy(error: Exception) -> None:
    """What an error says, as every terminal and log can print it. Its kind stays: the host looks at it."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (message(error.args[0]),)


def finite(tree: object) -> object:
    """Containers and numbers with None for every number that JSON cannot hold."""
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    if isinstance(tree, dict):
        return {key: finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(finite(value) for value in tree) if type(tree) in (list, tuple) else tree
    return tree
