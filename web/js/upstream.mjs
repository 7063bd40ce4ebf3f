// What lies before a node in the graph that is shown.

import { widgetOf } from "./dom.mjs";

/** All nodes of this graph before one, nearest first, itself left out. */
export function* upstream(node, seen = new Set([node])) {
  const sources = (node.inputs ?? []).map((_, slot) => node.getInputNode?.(slot)).filter((source) => source && !seen.has(source));
  for (const source of sources) {
    seen.add(source);
    yield source;
  }
  for (const source of sources) yield* upstream(source, seen);
}

/** The checkpoint that the loader before a node names, or null where none is seen. */
export function checkpointOf(node) {
  for (const source of upstream(node)) if (source.comfyClass === "ARLoadCheckpoint") return widgetOf(source, "checkpoint")?.value ?? null;
  return null;
}
