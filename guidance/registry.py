"""Every guidance method, one line each; nodes, help pages and laws are derived from this list."""

from .apg import APG
from .base import Guidance
from .cfg import CFG
from .cfg_zero import CFGZero
from .hidden_cfg import HiddenCFG
from .igg import IGG
from .mixed import Mixed
from .softcfg import SoftCFG
from .ssg import SSG
from .tcfg import TCFG

METHODS: dict[str, type[Guidance]] = {
    method.name: method for method in (CFG, IGG, Mixed, SSG, SoftCFG, HiddenCFG, APG, TCFG, CFGZero)
}
