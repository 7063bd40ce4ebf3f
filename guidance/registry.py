"""Every guidance method, one line each; nodes, help pages and laws are derived from this list."""

from .base import Guidance
from .cfg import CFG
from .softcfg import SoftCFG

METHODS: dict[str, type[Guidance]] = {method.name: method for method in (CFG, SoftCFG)}
