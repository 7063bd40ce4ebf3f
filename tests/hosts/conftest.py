"""Tests against real ComfyUI servers."""

from ar_guidance.tests.hosts.running import (  # noqa: F401
    host,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
)
from ar_guidance.tests.hosts.scale_files import hart, infinity, switti  # noqa: F401
