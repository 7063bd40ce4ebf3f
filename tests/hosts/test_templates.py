"""The host's list of templates is in the order of their numbers, however the disk lists files."""

import json

from ar_guidance.tests.hosts.examples import ALL_EXAMPLES
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tools.dev.host_process import PACK_FOLDER


def test_templates_are_listed_in_order(host: RunningHost) -> None:
    stems = [path.stem for path in ALL_EXAMPLES]
    assert stems == sorted(stems) and len(stems) > 30
    for path in ("/workflow_templates", "/api/workflow_templates"):
        assert json.loads(host.client.request(path))[PACK_FOLDER] == stems
