// "auto" in place of -1 on AR Sampler, in both renderers; the value stays a number, in workflows as in the API.

import { app } from "../../../scripts/app.js";
import { widgetOf } from "./dom.mjs";
import { say } from "./words.mjs";

const [KIND, NAMES, AUTO] = ["ARSampler", ["temperature", "top_k", "top_p"], -1];
const CHECK = 250; // milliseconds

/** LiteGraph draws what a widget says of itself. */
export function nameAuto(node) {
  if (node.comfyClass !== KIND) return;
  for (const widget of NAMES.map((name) => widgetOf(node, name))) {
    const own = widget && getter(widget, "_displayValue");
    if (!own) continue;
    const get = () => (Number(widget.value) === AUTO ? say("auto") : own.call(widget));
    Object.defineProperty(widget, "_displayValue", { configurable: true, get });
  }
}

function getter(thing, name) {
  for (let at = thing; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found.get;
  }
  return null;
}

/** Nodes 2.0 shows an input field for every number: its text is replaced for as long as nobody edits it. Called once. */
export function watchAuto() {
  setInterval(() => {
    if (document.hidden) return;
    for (const node of app.canvas?.graph?.nodes ?? []) if (node.comfyClass === KIND) rename(node);
  }, CHECK);
}

function rename(node) {
  const seen = document.querySelector(`[data-node-id="${CSS.escape(node.id)}"]`);
  if (!seen) return;
  for (const name of NAMES) {
    const widget = widgetOf(node, name);
    for (const field of widget ? fields(seen, widget) : []) {
      if (field === document.activeElement || Number(widget.value) !== AUTO || field.value === say("auto")) continue;
      field.dataset.argNumber = field.value;
      field.value = say("auto");
      field.addEventListener("focusin", edit, true); // the same listener once, however often the field is named
    }
  }
}

/** A field that is about to be edited shows its number again. */
function edit({ currentTarget: field }) {
  if (!field.dataset.argNumber) return;
  if (field.value === say("auto")) field.value = field.dataset.argNumber;
  delete field.dataset.argNumber;
}

function fields(seen, widget) {
  const names = new Set([widget.name, widget.label]);
  return [...seen.querySelectorAll("input")].filter((field) => names.has(labelOf(field)));
}

/** The name of the row that a field stands in. */
function labelOf(field) {
  return field.getAttribute("aria-label") ?? field.closest("[aria-label]")?.getAttribute("aria-label");
}
