"""Golden scripts by path: a family's runner is found by the name of its folder of cases, not imported."""

import importlib.util
import sys
from pathlib import Path
from typing import Any


def load(name: str, path: Path) -> Any:
    """The module at a path, under a name by which others can import it; once."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
