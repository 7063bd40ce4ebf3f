// What the panels showed, kept outside them: undo, another tab and a reload of the graph put new nodes in the place of the old.

import { app } from "../../../scripts/app.js";

const KEPT = 60; // entries, the latest; one may hold the images of a run
const entries = new Map(); // workflow and node -> what its panel keeps

/** The names of a node's entry: by the tab and the graph, and by the graph alone, in case the tab is renamed. */
function names(node, kind) {
  const graph = node.graph?.rootGraph?.id ?? app.rootGraph?.id ?? app.graph?.id ?? "";
  const own = `${graph}|${node.graph?.id ?? ""}|${node.id}|${kind}`;
  const tab = app.extensionManager?.workflow?.activeWorkflow?.path ?? "";
  return [`${tab}|${own}`, own];
}

/** Keep something for the next node in this node's place. */
export function keep(node, kind, value) {
  if (!node.graph) return;
  for (const name of names(node, kind)) {
    entries.delete(name);
    entries.set(name, value);
  }
  for (const name of entries.keys()) if (entries.size > KEPT) entries.delete(name);
}

/** What was kept for a node in this place, or undefined. */
export function kept(node, kind) {
  return names(node, kind).map((name) => entries.get(name)).find((value) => value !== undefined);
}
