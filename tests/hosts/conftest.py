"""Tests against real ComfyUI servers."""

from ar_guidance.tests.hosts.edm2_graphs import edm2  # noqa: F401
from ar_guidance.tests.hosts.running import (  # noqa: F401
    host,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
)
from ar_guidance.tests.hosts.scale_files import hart, infinity, switti  # noqa: F401
