"""Libraries that need help to be imported: torch-fidelity, and what lets it and diffusers find torchvision."""

from functools import lru_cache
from importlib import import_module
from types import ModuleType

from ..dev.launch_host import declare_torchvision_operators, torchvision_needs_help
from .problems import EvaluationError


@lru_cache
def library(module: str) -> ModuleType:
    """A module of torch-fidelity.

    Raises:
        EvaluationError: it is not installed.
    """
    make_torchvision_importable()
    try:
        return import_module(f"torch_fidelity.{module}")
    except ImportError as error:
        raise EvaluationError(
            "this judge needs torch-fidelity: pip install -r tools/evaluate/requirements.txt"
        ) from error


@lru_cache
def make_torchvision_importable() -> None:
    """torch-fidelity and diffusers import torchvision, and call nothing compiled of it."""
    if torchvision_needs_help():
        declare_torchvision_operators()
