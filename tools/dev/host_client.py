"""A client for a running ComfyUI: queue a workflow, follow it over the websocket, collect what it made."""

from __future__ import annotations

import json
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import websocket

Json = dict[str, Any]
Status = Literal["running", "success", "error", "interrupted", "refused"]
PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
REQUEST_SECONDS = 60


@dataclass(frozen=True)
class Preview:
    """An image shown on a node while it runs."""

    node: str | None
    image: bytes  # an encoded JPEG or PNG file


@dataclass(frozen=True)
class Progress:
    """One step of a node's progress bar."""

    node: str
    value: int
    total: int


@dataclass
class Result:
    """Everything the host said about one queued prompt."""

    prompt_id: str = ""
    status: Status = "running"
    error: str = ""  # one line: node type, exception and message
    details: Json = field(default_factory=dict)  # the host's own error record
    node_errors: Json = field(default_factory=dict)  # nodes refused before running
    outputs: dict[str, Json] = field(default_factory=dict)  # node id: its `ui` result
    history: Json = field(default_factory=dict)
    progress: list[Progress] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)  # node id, progress text
    executed: list[str] = field(default_factory=list)  # node ids in the order they ran
    cached: list[str] = field(default_factory=list)

    @property
    def images(self) -> list[Json]:
        """References to all images that nodes put out, in the order of their numbers: the host runs them in any."""
        nodes = sorted(self.outputs, key=lambda node: (len(node), node))
        return [image for node in nodes for image in self.outputs[node].get("images", [])]


OnEvent = Callable[[str, Json], None]


class HostClient:
    """Talks to one ComfyUI server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def object_info(self, node: str = "") -> Json:
        """The host's description of one node type, or of all."""
        return self.get_json(f"/object_info/{node}" if node else "/object_info")

    def system_stats(self) -> Json:
        """Versions and devices of the host."""
        return self.get_json("/system_stats")

    def interrupt(self) -> None:
        """Ask the host to cancel what is running."""
        self.request("/interrupt", {})

    def free(self) -> None:
        """Ask the host to unload models and forget cached results."""
        self.request("/free", {"unload_models": True, "free_memory": True})

    def image(self, reference: Json) -> bytes:
        """The file behind an entry of `Result.images`."""
        names = {key: reference[key] for key in ("filename", "subfolder", "type")}
        return self.request(f"/view?{urllib.parse.urlencode(names)}")

    def run(
        self,
        prompt: Json,
        workflow: Json | None = None,
        on_event: OnEvent | None = None,
        timeout: float = 300,
    ) -> Result:
        """Queue a prompt in API format and follow it to its end.

        `workflow` (UI format) is stored in saved images; `on_event` sees every text message as it arrives and
        may, for example, call `interrupt`.
        """
        client_id = uuid.uuid4().hex
        address = self.url.replace("http", "ws", 1)
        connection = websocket.create_connection(
            f"{address}/ws?clientId={client_id}", timeout=timeout
        )
        try:
            features = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            connection.send(json.dumps(features))
            result = self.submit(prompt, client_id, workflow)
            if result.status != "refused":
                follow(connection, result, on_event, time.monotonic() + timeout)
        finally:
            connection.close()
        if result.status != "refused":
            self.read_history(result)
        return result

    def submit(self, prompt: Json, client_id: str, workflow: Json | None = None) -> Result:
        """Queue a prompt without waiting for it."""
        body: Json = {"prompt": prompt, "client_id": client_id}
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        try:
            reply = json.loads(self.request("/prompt", body))
        except urllib.error.HTTPError as refusal:
            reply = json.loads(refusal.read())
            node_errors = reply.get("node_errors") or {}
            return Result(
                status="refused",
                error=refusal_text(reply),
                details=reply.get("error", {}),
                node_errors=node_errors,
            )
        return Result(prompt_id=reply["prompt_id"], node_errors=reply.get("node_errors") or {})

    def read_history(self, result: Result) -> None:
        """Add what the host recorded about a finished prompt."""
        result.history = self.get_json(f"/history/{result.prompt_id}").get(result.prompt_id, {})
        result.outputs.update(result.history.get("outputs", {}))

    def get_json(self, path: str) -> Json:
        """GET a JSON document."""
        return json.loads(self.request(path))

    def request(self, path: str, body: Json | None = None) -> bytes:
        """GET, or POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as reply:
            return reply.read()


def follow(
    connection: websocket.WebSocket, result: Result, on_event: OnEvent | None, deadline: float
) -> None:
    """Read messages into `result` until the host says that its prompt is done."""
    while result.status == "running" or result.prompt_id:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"prompt {result.prompt_id} did not finish in time")
        connection.settimeout(remaining)
        message = connection.recv()
        if isinstance(message, bytes):
            read_frame(message, result)
            continue
        event = json.loads(message)
        kind, data = event["type"], event.get("data") or {}
        if data.get("prompt_id", result.prompt_id) != result.prompt_id:
            continue
        read_event(kind, data, result)
        if on_event is not None:
            on_event(kind, data)
        if kind == "executing" and data.get("node") is None:
            return


def read_event(kind: str, data: Json, result: Result) -> None:
    """Note one text message."""
    if kind == "executing" and data.get("node") is not None:
        result.executed.append(data["node"])
    elif kind == "execution_cached":
        result.cached.extend(data.get("nodes", []))
    elif kind == "progress":
        result.progress.append(Progress(data.get("node", ""), int(data["value"]), int(data["max"])))
    elif kind == "executed" and data.get("output"):
        result.outputs[data["node"]] = data["output"]
    elif kind == "execution_success":
        result.status = "success"
    elif kind == "execution_interrupted":
        result.status, result.details = "interrupted", data
    elif kind == "execution_error":
        result.status, result.details = "error", data
        message = str(data.get("exception_message", "")).strip()
        result.error = f"{data.get('node_type')}: {data.get('exception_type')}: {message}"


def read_frame(frame: bytes, result: Result) -> None:
    """Note one binary message: a preview image or a line of progress text."""
    kind = struct.unpack_from(">I", frame)[0]
    if kind == PREVIEW:
        result.previews.append(Preview(None, frame[8:]))
    elif kind == TEXT:
        end = 8 + struct.unpack_from(">I", frame, 4)[0]
        result.texts.append((frame[8:end].decode(), frame[end:].decode()))
    elif kind == PREVIEW_WITH_METADATA:
        end = 8 + struct.unpack_from(">I", frame, 4)[0]
        metadata = json.loads(frame[8:end])
        result.previews.append(Preview(metadata.get("node_id"), frame[end:]))


def refusal_text(reply: Json) -> str:
    """A refused prompt in one line per reason."""
    lines = [
        f"{node.get('class_type', key)}: {error['message']} ({error.get('details', '')})"
        for key, node in (reply.get("node_errors") or {}).items()
        for error in node.get("errors", [])
    ]
    error = reply.get("error") or {}
    general = (
        f"{error.get('message', 'refused')} {error.get('details', '')}".strip()
        if isinstance(error, dict)
        else str(error)
    )
    return "\n".join(lines) or general
