"""Import the pack outside ComfyUI, under a fixed name (ComfyUI itself uses a name made from the folder's path)."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ALIAS = "ar_guidance"
ROOT = Path(__file__).resolve().parents[1]


def load_pack() -> ModuleType:
    """The pack as package `ar_guidance`, so that `import ar_guidance.models.var` works afterwards."""
    if ALIAS in sys.modules:
        return sys.modules[ALIAS]
    spec = importlib.util.spec_from_file_location(
        ALIAS, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[ALIAS] = module
    spec.loader.exec_module(module)
    return module
