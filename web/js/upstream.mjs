// What lies before a node in the graph, through the borders of subgraphs in both directions.

import { widgetOf } from "./dom.mjs";

const SUBGRAPH_INPUT = -10; // the host's id of what gives a subgraph its inputs
const OFF = [2, 4]; // modes: muted, bypassed

/**
 * All nodes before one, nearest first, itself left out, each as {node, around}. `around`: the nodes of the subgraphs it is in, from the inside,
 * as far out as is to be looked. A graph that several of them stand for has several outsides: without them the walk ends at its border.
 */
export function* upstream(node, around = [], seen = new Set([nameOf({ node, around })])) {
  const given = (node.inputs ?? []).map((_, slot) => sourceOf(node, slot, around));
  const sources = given.filter((source) => source && !seen.has(nameOf(source)));
  for (const source of sources) {
    seen.add(nameOf(source));
    yield source;
  }
  for (const source of sources) yield* upstream(source.node, source.around, seen);
}

/** A node inside a subgraph is a different one for every node that stands for the subgraph. */
export function nameOf({ node, around }) {
  return [node, ...around].map(({ id }) => id).join(":");
}

/** The node that gives an input its value, {node, around}, or null. */
export function sourceOf(node, slot, around) {
  return node.graph ? behind(node.graph, linkOf(node, slot), around) : null;
}

/** Where a link of a graph comes from: through the inputs of subgraphs to the outside, through their outputs to the inside. */
function behind(graph, link, around) {
  if (Number(link?.origin_id) === SUBGRAPH_INPUT) {
    const outer = outerInput(graph, link, around);
    return outer && sourceOf(outer.node, outer.slot, around.slice(around.indexOf(outer.node) + 1));
  }
  const node = link ? graph.getNodeById(link.origin_id) : null;
  if (!node?.subgraph || OFF.includes(node.mode)) return node && { node, around };
  const { subgraph } = node;
  return behind(subgraph, subgraph.getLink(subgraph.outputs[link.origin_slot]?.linkIds?.[0]), [node, ...around]);
}

/** The link into an input, or null. A subgraph's node has a `getInputLink` of its own, which answers with what leaves the subgraph. */
function linkOf(node, slot) {
  return node.graph ? window.LiteGraph.LGraphNode.prototype.getInputLink.call(node, slot) : null;
}

/** Where an input that comes from outside its subgraph comes from: the input of the subgraph's node, {node, slot, name}; null for any other. */
export function outside(node, slot, around) {
  const link = linkOf(node, slot);
  return Number(link?.origin_id) === SUBGRAPH_INPUT ? outerInput(node.graph, link, around) : null;
}

function outerInput(graph, link, around) {
  const node = around.find(({ subgraph }) => subgraph === graph);
  if (!node) return null;
  const name = graph.inputs[link.origin_slot]?.name;
  const slot = node.inputs.findIndex((input) => input.name === name);
  return slot < 0 ? null : { node, slot, name };
}

/** Whether a node takes part in a run. */
export function runs({ node, around }) {
  return [node, ...around].every(({ mode }) => !OFF.includes(mode));
}

/** What a widget is set to, and whether that is known: {value, known}. A link decides it, but for one from a widget of a subgraph's node around. */
export function settingOf(node, name, around = []) {
  const value = widgetOf(node, name)?.value;
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  if (slot < 0 || !node.isInputConnected(slot)) return { value, known: value !== undefined };
  const outer = outside(node, slot, around);
  return outer ? settingOf(outer.node, outer.name, around) : { value, known: false };
}

/** The checkpoint that the loader before a node names, or null where none is seen. */
export function checkpointOf(node, around) {
  for (const source of upstream(node, around)) if (source.node.comfyClass === "ARLoadCheckpoint") return settingOf(source.node, "checkpoint", source.around).value ?? null;
  return null;
}
