"""The pack's templates in the order of their numbers: the host hands them out as the disk lists them."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp.web import Request, StreamResponse

PACK = (
    Path(__file__).parents[1].name
)  # the folder in custom_nodes, by which the host lists templates
LIST = "/workflow_templates"

Handler = Callable[["Request"], Awaitable["StreamResponse"]]


def register() -> None:
    """Have the host's list of templates sorted where it is the pack's; others' stay as they come."""
    module = sys.modules.get("server")  # not imported: nodes also run where there is no server
    app = getattr(getattr(getattr(module, "PromptServer", None), "instance", None), "app", None)
    if app is None or app.frozen:
        return
    from aiohttp import web

    app.middlewares.append(web.middleware(in_order))


async def in_order(request: "Request", handler: Handler) -> "StreamResponse":
    """The host's answer, with the pack's own templates sorted."""
    from aiohttp.web import Response

    response = await handler(request)
    if request.path.endswith(LIST) and isinstance(response, Response) and response.text:
        response.text = with_sorted(response.text, PACK)
    return response


def with_sorted(listed: str, pack: str) -> str:
    """A list of templates by pack, as JSON, with one pack's sorted; what is no such list, as it is."""
    try:
        found = json.loads(listed)
        found[pack].sort()
    except (ValueError, KeyError, TypeError, AttributeError):
        return listed
    return json.dumps(found)
