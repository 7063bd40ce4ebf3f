"""Chains of guidances as plans write them: method names and the options of their nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.registry import METHODS

from .problems import EvaluationError


def chain_of(written: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Guidance, ...]:
    """The guidances of a setting.

    Raises:
        EvaluationError: an unknown method or option, or a value it does not take.
    """
    return tuple(_guidance(method, options) for method, options in written)


def _guidance(method: str, options: Mapping[str, Any]) -> Guidance:
    if method not in METHODS:
        raise EvaluationError(f"unknown guidance '{method}'; there are: {', '.join(METHODS)}")
    kind = METHODS[method]
    known = {entry.name: entry for entry in fields(kind)}
    for name in options:
        if name not in known:
            raise EvaluationError(f"{method} has no option '{name}'; there are: {', '.join(known)}")
    try:
        given = {name: _value(known[name].default, value) for name, value in options.items()}
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{method}: {error}") from error


def _value(default: Any, value: Any) -> Any:
    """A value in the type of the option: lists become tuples, whole numbers may stand for others."""
    if isinstance(value, list):
        return tuple(float(entry) for entry in value)
    return float(value) if isinstance(default, float) and type(value) is int else value
