// What lies before a node in the graph that is shown, and before the subgraphs it is in.

import { widgetOf } from "./dom.mjs";

const SUBGRAPH_INPUT = -10; // the host's id of what gives a subgraph its inputs

/**
 * All nodes before one, nearest first, itself left out. `around`: the nodes of the subgraphs it is in, as far out as is to be looked. A graph
 * that several of them stand for has several outsides: without them the walk ends at its border.
 */
export function* upstream(node, around = [], seen = new Set([node])) {
  const given = (node.inputs ?? []).map((_, slot) => sourceOf(node, slot, around));
  const sources = given.filter((source) => source && !seen.has(source));
  for (const source of sources) {
    seen.add(source);
    yield source;
  }
  for (const source of sources) yield* upstream(source, around, seen);
}

/** The node that gives an input its value, or null. */
function sourceOf(node, slot, around) {
  const outer = outside(node, slot, around);
  return outer ? sourceOf(outer.node, outer.slot, around) : node.graph?.getNodeById(linkOf(node, slot)?.origin_id);
}

/** The link into an input, or null. A subgraph's node has a `getInputLink` of its own, which answers with what leaves the subgraph. */
function linkOf(node, slot) {
  return node.graph ? window.LiteGraph.LGraphNode.prototype.getInputLink.call(node, slot) : null;
}

/** Where an input that comes from outside its subgraph comes from: the input of the subgraph's node, {node, slot, name}; null for any other. */
export function outside(node, slot, around) {
  const link = linkOf(node, slot);
  const outer = around.find(({ subgraph }) => subgraph === node.graph);
  if (!outer || Number(link?.origin_id) !== SUBGRAPH_INPUT) return null;
  const name = node.graph.inputs[link.origin_slot]?.name;
  return { node: outer, slot: outer.inputs.findIndex((input) => input.name === name), name };
}

/** The checkpoint that the loader before a node names, or null where none is seen. */
export function checkpointOf(node, around) {
  for (const source of upstream(node, around)) if (source.comfyClass === "ARLoadCheckpoint") return widgetOf(source, "checkpoint")?.value ?? null;
  return null;
}
