"""Run inside a host's Python path: the threads before and after the host registers the pack's nodes, as `tests/threads.py` counts.

    python tests/hosts/inside.py imports_inside HOST_FOLDER

Prints a JSON list.
"""

import asyncio
import json

import ar_guidance
from ar_guidance.tests.threads import counted


async def registered() -> None:
    """What a host does with a pack at its start."""
    extension = await ar_guidance.comfy_entrypoint()
    await extension.on_load()
    for listed in await extension.get_node_list():
        listed.GET_SCHEMA()


print(json.dumps(counted(lambda: asyncio.run(registered()))))
