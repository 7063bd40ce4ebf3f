"""`dev.py docs`: everything that is made from the nodes, in the order in which one needs the other.

Images whose only change is a few shades come from rounding, which depends on the processor and on PyTorch: leave those out of a commit.
"""

from __future__ import annotations

from .checks import run_tool
from .environment import prepare_environment
from .hosts import BY_VERSION, prepare_host

MAKERS = (
    "tools.help_pictures",  # the images of the help pages
    "tools.help_pages",  # which name the images that there are
    "tools.method_table",  # what the panels know of the methods
    "tools.locales",  # English words of every node; what other languages lack is listed
    "tools.thumbnails",  # of the workflows
    "benchmarks.sweep_document",  # tables and plots of what was measured
)


def make_documents() -> int:
    """Run every maker; the exit status of the first that fails."""
    prepare_environment()
    for host in BY_VERSION.values():
        prepare_host(host)
    return next((status for maker in MAKERS if (status := run_tool("python", "-m", maker))), 0)
