// The long list of labels on AR Class Condition, shortened to those of the model that is wired.

import { widgetOf } from "./dom.mjs";
import { aroundOf } from "./instances.mjs";
import { checkpointOf } from "./upstream.mjs";

const BUNDLED = "Emoji: "; // how labels of the bundled models begin
const lists = new WeakMap(); // widget -> all labels, and the checkpoint they were last shortened for

/** Offer the labels that the wired model can have; all of them while no model is known. What is chosen stays. */
export function listClasses(node) {
  const widget = widgetOf(node, "label");
  if (!Array.isArray(widget?.options?.values)) return;
  const known = lists.get(widget) ?? { all: widget.options.values, checkpoint: null };
  lists.set(widget, known);
  const checkpoint = checkpointOf(node, aroundOf(node));
  if (checkpoint === known.checkpoint) return;
  known.checkpoint = checkpoint;
  widget.options.values = checkpoint === null ? known.all : known.all.filter((label) => fits(label, checkpoint) || label === widget.value);
}

function fits(label, checkpoint) {
  if (!label.includes(": ")) return true; // no class
  return label.startsWith(BUNDLED) === String(checkpoint).startsWith("bundled");
}
