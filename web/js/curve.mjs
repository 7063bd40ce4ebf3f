// The host's curve widget on a guidance node: shown only where the schedule reads it.

import { setWidget, widgetOf } from "./dom.mjs";
import { showWidget } from "./panels.mjs";

const CURVE = "curve";

/** Prepare a node's curve widget, if it has one: changing the curve chooses the schedule that reads it. */
export function watchCurve(node) {
  const curve = widgetOf(node, "curve");
  if (!curve) return;
  const { callback } = curve;
  curve.callback = function (...details) {
    if (widgetOf(node, "schedule")?.value !== CURVE) setWidget(node, "schedule", CURVE);
    return callback?.apply(this, details);
  };
  showCurve(node);
}

/** Show the curve widget where the schedule is "curve" or a link decides it; hide it elsewhere. */
export function showCurve(node) {
  const curve = widgetOf(node, "curve");
  if (!curve) return;
  const linked = node.inputs?.some((input, slot) => ["schedule", "curve"].includes(input.name) && node.isInputConnected(slot));
  const hidden = !linked && widgetOf(node, "schedule")?.value !== CURVE;
  showWidget(node, curve, !hidden);
}
