"""torch-fidelity, where it is installed."""

from functools import lru_cache
from importlib import import_module
from types import ModuleType

from ...dev.launch_host import declare_torchvision_operators, torchvision_needs_help
from ..problems import EvaluationError


@lru_cache
def library(module: str) -> ModuleType:
    """A module of torch-fidelity.

    Raises:
        EvaluationError: it is not installed.
    """
    _make_torchvision_importable()
    try:
        return import_module(f"torch_fidelity.{module}")
    except ImportError as error:
        raise EvaluationError(
            "this judge needs torch-fidelity: pip install -r tools/evaluate/requirements.txt"
        ) from error


@lru_cache
def _make_torchvision_importable() -> None:
    """The library imports torchvision, and calls nothing compiled of it."""
    if torchvision_needs_help():
        declare_torchvision_operators()
