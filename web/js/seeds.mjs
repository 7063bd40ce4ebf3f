// Seeds of past images, set again. A seed has up to 64 bits, more than a browser's numbers hold: it stays text until it is known to fit.

import { setWidget, widgetOf } from "./dom.mjs";
import { outside, upstream } from "./upstream.mjs";

const CONTROL = /^control.after.generate$/i;

/** A seed as a widget takes it: a number where that keeps every digit, else the digits themselves, which the host reads as well. */
export function seedValue(text) {
  return Number.isSafeInteger(Number(text)) ? Number(text) : String(text);
}

/** Keep the seed that made an image: the next runs use it again. Whether a sampler was found that takes it. `around`: as of `upstream`. */
export function keepSeed(node, { seed }, around) {
  let taken = false;
  for (const source of upstream(node, around)) {
    if (source.node.comfyClass === "ARSeeds") fix(source.node);
    if (source.node.comfyClass === "ARSampler") taken = useSeed(source.node, "seed", seed, source.around) || taken;
  }
  return taken;
}

/** Set a seed and let it stay as it is; whether that counts: a link would overrule it, but for one from a widget of a subgraph's node around it. */
export function useSeed(node, name, seed, around = []) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  if (slot >= 0 && node.isInputConnected(slot)) {
    const outer = outside(node, slot, around);
    if (!outer || !useSeed(outer.node, outer.name, seed, around)) return false;
    fix(node);
    return true;
  }
  if (!widgetOf(node, name)) return false;
  const value = seedValue(seed);
  setWidget(node, name, value);
  if (typeof value === "string") widgetOf(node, name).value = value; // the frontend has made a number of it, and lost digits
  fix(node);
  return true;
}

/** Let a seed stay as it is after a run. */
export function fix(node) {
  const control = node.widgets?.find((widget) => CONTROL.test(widget.name));
  if (control) setWidget(node, control.name, "fixed");
}
