"""Where nodes are on the canvas, and which of them cover each other."""

from __future__ import annotations

# Every node's left, top, right and bottom in the graph, as it is seen: nodes of Nodes 2.0 have heights of their own.
BOXES = """() => window.app.graph.nodes.map((node) => {
  const [x, y] = node.pos, [width, height] = node.size, { scale } = window.app.canvas.ds;
  const seen = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
  const [wide, tall] = seen?.width > 20 ? [seen.width / scale, seen.height / scale - 30] : [width, height];
  return [`${node.id} ${node.type}`, x, y - 30, x + Math.max(wide, width), y + tall];
})"""


def overlapping(boxes: list[list]) -> list[tuple[str, str]]:
    """Pairs of nodes of which one covers a part of the other."""
    return [
        (a[0], b[0])
        for at, a in enumerate(boxes)
        for b in boxes[at + 1 :]
        if min(a[3], b[3]) - max(a[1], b[1]) > 1 and min(a[4], b[4]) - max(a[2], b[2]) > 1
    ]
