// Panels on nodes: added so that both renderers draw them, and kept on the node they belong to.

import { app } from "../../../scripts/app.js";
import { element, styleSheet } from "./dom.mjs";

const CHECK = 200; // milliseconds between two looks at what has changed without telling
const panels = new Set(); // of nodes that are in a graph: {node, name, home, panel, check}

/** Add an element to a node; it is not part of the prompt. `check` is called a few times a second while the panel is seen. */
export function addPanel(node, name, panel, height, check = () => {}) {
  panel.prepend(styleSheet());
  const home = element("div", { class: "arg-home", "data-panel": name }, [keepEvents(panel)]);
  const widget = node.addDOMWidget(name, "ar-panel", home, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: height,
    getValue: () => undefined,
    setValue: () => {},
  });
  widget.serialize = false;
  if (node.subgraph) outlast(node, widget);
  follow(node, { node, name, home, panel, height, check });
  return widget;
}

/**
 * A subgraph's node makes its widgets of its inputs, and knows no others: frontend 1.47 at every look, 1.32 when it is configured.
 * The panel's is put behind them; it is not saved, and the node is tall enough for it.
 */
function outlast(node, widget) {
  const made = Object.getOwnPropertyDescriptor(node, "widgets");
  if (made?.get && !node.widgets.includes(widget)) Object.defineProperty(node, "widgets", { ...made, get: () => [...made.get.call(node), widget] });
  const { onConfigure, onSerialize } = node;
  node.onConfigure = (...details) => {
    onConfigure?.apply(node, details);
    if (!node.widgets.includes(widget)) node.widgets.push(widget);
    if (widget.releaseRegisteredState && widget.setNodeId) { // Nodes 2.0 of frontend 1.58 shows widgets in the order in which it has heard of them
      widget.releaseRegisteredState();
      widget.setNodeId(node.id);
    }
    fitNode(node);
  };
  node.onSerialize = (saved) => {
    onSerialize?.call(node, saved);
    const promoted = saved.properties?.proxyWidgets;
    if (Array.isArray(promoted)) saved.properties.proxyWidgets = promoted.filter(([, name]) => name !== widget.name);
  };
}

/** Look after a panel for as long as its node is in a graph. */
function follow(node, entry) {
  const { onAdded, onRemoved } = node;
  node.onAdded = (...details) => {
    panels.add(entry);
    return onAdded?.apply(node, details);
  };
  node.onRemoved = (...details) => {
    panels.delete(entry);
    return onRemoved?.apply(node, details);
  };
  if (node.graph) panels.add(entry);
}

/**
 * Nodes 2.0 keeps what it shows for a node id when undo or another tab puts a new node in the place of the old one: the home of
 * the dead node's panel stays on screen. The new node's panel moves in there.
 */
function settle({ node, name, home, panel, height }) {
  const place = home.isConnected ? home : homeOnScreen(node, name) ?? homeInSubgraphNode(node, home);
  if (place && panel.parentElement !== place) place.replaceChildren(panel);
  if (node.subgraph) home.style.minHeight = home.style.flexBasis = `${height()}px`;
}

function homeOnScreen(node, name) {
  if (node.graph !== app.canvas?.graph) return null;
  return document.querySelector(`[data-node-id="${CSS.escape(node.id)}"] .arg-home[data-panel="${name}"]`);
}

/** Nodes 2.0 of frontend 1.47 shows only those widgets of a subgraph's node that are inputs: there the home is put below them. */
function homeInSubgraphNode(node, home) {
  if (!node.subgraph || node.graph !== app.canvas?.graph) return null;
  const body = document.querySelector(`[data-testid="node-body-${CSS.escape(node.id)}"]`);
  home.classList.toggle("arg-below", Boolean(body));
  body?.append(home);
  return body && home;
}

/** Begin to look after the panels; called once. */
export function startChecking() {
  setInterval(() => {
    if (document.hidden) return;
    for (const entry of panels) {
      settle(entry);
      entry.check();
    }
  }, CHECK);
}

/** Show or hide a widget; the node grows or shrinks by it. */
export function showWidget(node, widget, shown) {
  if (widget.hidden === !shown && widget.options.hidden === !shown) return;
  widget.hidden = widget.options.hidden = !shown;
  node.widgets.push(node.widgets.pop()); // Nodes 2.0 of frontend 1.47 looks at `hidden` only when the list of widgets changes
  if (shown) fitNode(node);
  else if (node.graph) node.setSize?.([node.size[0], Math.min(node.size[1], node.computeSize?.()[1] ?? Infinity)]);
  node.graph?.setDirtyCanvas?.(true, true); // the canvas hides a panel when it is drawn next
}

/** Make the node tall enough for its panels, never smaller than the user made it. */
export function fitNode(node, width = 0) {
  const wanted = node.computeSize?.();
  if (!wanted) return;
  node.setSize?.([Math.max(node.size[0], width, wanted[0]), Math.max(node.size[1], wanted[1])]);
  node.graph?.setDirtyCanvas?.(true, true);
}

/** Keep the graph from reacting to what a control inside needs: dragging a point must not drag the node. */
function keepEvents(panel) {
  for (const name of ["pointerdown", "pointermove", "pointerup", "wheel"]) panel.addEventListener(name, (event) => event.stopPropagation());
  panel.addEventListener("keydown", (event) => {
    if (needsKey(event.target, event)) event.stopPropagation();
    else if (event.target.matches("input[type=range]")) undoOrRedo(event);
  });
  return panel;
}

/** The frontend leaves these keys to every input, as if a slider had a text of its own to undo. */
function undoOrRedo({ key, ctrlKey, metaKey, shiftKey }) {
  if (!ctrlKey && !metaKey) return;
  const back = key.toLowerCase() === "z" && !shiftKey;
  if (back || /^[yz]$/i.test(key)) app.extensionManager?.command?.execute(back ? "Comfy.Undo" : "Comfy.Redo");
}

const STEERING = /^(Arrow|Home|End|Page)/;

/** Whether a key is meant for the control that has the focus; all others are the frontend's shortcuts. */
function needsKey(control, { key, ctrlKey, metaKey, altKey }) {
  const typed = control.matches("textarea, input:not([type=range])");
  if (ctrlKey || metaKey || altKey) return typed && /^[acvxyz]$|^Arrow|^Backspace|^Delete|^Home|^End/i.test(key);
  if (typed) return key !== "Escape";
  if (control.matches("select")) return STEERING.test(key) || key.length === 1 || key === "Enter";
  if (control.matches("button, a")) return key === "Enter" || key === " ";
  return STEERING.test(key) || key === " ";
}
