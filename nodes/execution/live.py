"""Messages to the browser while a node is running."""

import sys

from ...imaging.viewer import Json, Send

STEP, STATUS = "ar_guidance.step", "ar_guidance.status"


def live_sender(node: str | None, event: str = STEP) -> Send | None:
    """Sends to whoever queued the run, naming the node; None where there is no server (the host as a library)."""
    module = sys.modules.get("server")  # not imported: nodes also run where there is no server
    server = getattr(getattr(module, "PromptServer", None), "instance", None)
    if server is None or node is None:
        return None

    def send(message: Json) -> None:
        server.send_sync(event, {"node": node, **message}, server.client_id)

    return send
