// Seeds of past images, set again. A seed has up to 64 bits, more than a browser's numbers hold: it stays text until it is known to fit.

import { setWidget, widgetOf } from "./dom.mjs";
import { upstream } from "./upstream.mjs";

const SUBGRAPH_INPUT = -10; // the host's id of what gives a subgraph its inputs
const CONTROL = /^control.after.generate$/i;

/** A seed as a widget takes it: a number where that keeps every digit, else the digits themselves, which the host reads as well. */
export function seedValue(text) {
  return Number.isSafeInteger(Number(text)) ? Number(text) : String(text);
}

/** Keep the seed that made an image: the next runs use it again. Whether a sampler was found that takes it. `home`: whose panel asks. */
export function keepSeed(node, { seed }, home) {
  let taken = false;
  for (const source of upstream(node)) {
    if (source.comfyClass === "ARSeeds") fix(source);
    if (source.comfyClass === "ARSampler") taken = useSeed(source, "seed", seed, home) || taken;
  }
  return taken;
}

/** Set a seed and let it stay as it is; whether that counts: a link would overrule it, but for one from a widget of `home`, the node's subgraph. */
export function useSeed(node, name, seed, home) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  if (slot >= 0 && node.isInputConnected(slot)) {
    const outside = outsideName(node, slot, home);
    if (!outside) return false;
    fix(node);
    return useSeed(home, outside, seed);
  }
  const value = seedValue(seed);
  setWidget(node, name, value);
  if (typeof value === "string") widgetOf(node, name).value = value; // the frontend has made a number of it, and lost digits
  fix(node);
  return true;
}

/** The widget of `home`, the subgraph a node is in, that feeds one of its inputs; null where something else does. */
function outsideName(node, slot, home) {
  const link = node.getInputLink(slot);
  if (home?.subgraph !== node.graph || Number(link?.origin_id) !== SUBGRAPH_INPUT) return null;
  const name = node.graph.inputs[link.origin_slot]?.name;
  return widgetOf(home, name) ? name : null;
}

/** Let a seed stay as it is after a run. */
export function fix(node) {
  const control = node.widgets?.find((widget) => CONTROL.test(widget.name));
  if (control) setWidget(node, control.name, "fixed");
}
