// A style on a chain: read from the widgets of sampler and guidance nodes, and set on them as a user would by hand.

import { add, slotOf, sourceOf } from "./actions.mjs";
import { setWidget, widgetOf } from "./dom.mjs";
import { say } from "./words.mjs";

const OF_SAMPLER = ["temperature", "top_k", "top_p", "min_p", "temperatures", "smooth"];
const [ACTIVE, BYPASSED] = [0, 4];
const PLAIN = ["number", "string", "boolean"];

/** The sampler before a node, and the guidance nodes between them in the order of the run. */
function chainOf(node) {
  const guidance = [];
  const seen = new Set();
  for (let at = sourceOf(node)?.node; at && !seen.has(at); at = sourceOf(at)?.node) {
    seen.add(at);
    if (at.comfyClass === "ARSampler") return { sampler: at, guidance: guidance.reverse() };
    if (at.comfyClass?.startsWith("ARGuidance")) guidance.push(at);
  }
  return { sampler: null, guidance: [] };
}

/** What the chain before a node is set to, as a style of that name; null where no sampler is wired. */
export function styleOf(node, name) {
  const { sampler, guidance } = chainOf(node);
  if (!sampler) return null;
  const active = guidance.filter(({ mode }) => mode === ACTIVE);
  const chain = active.map((one) => ({ node: one.comfyClass, settings: settingsOf(one, one.widgets.map((widget) => widget.name)) }));
  return { name, sampler: settingsOf(sampler, OF_SAMPLER), guidance: chain };
}

function settingsOf(node, names) {
  const widgets = names.map((name) => widgetOf(node, name)).filter((widget) => widget && widget.serialize !== false);
  return Object.fromEntries(widgets.filter(({ value }) => PLAIN.includes(typeof value)).map(({ name, value }) => [name, value]));
}

/** Set the chain before a node as a style says. Guidance that the style has not is bypassed, what lacks is added. What could not be set, in sentences. */
export function applyStyle(node, style) {
  const { sampler, guidance } = chainOf(node);
  if (!sampler) return [say("No AR Sampler is wired before this node.")];
  const said = setAll(sampler, pick(style.sampler ?? {}, OF_SAMPLER));
  const free = [...guidance];
  for (const { node: kind, settings = {} } of style.guidance ?? []) {
    const at = free.findIndex((other) => other.comfyClass === kind);
    const target = at < 0 ? insert(node, kind) : free.splice(at, 1)[0];
    if (!target) said.push(say("There is no guidance called {0} in this version.", kind));
    else {
      target.mode = ACTIVE;
      said.push(...setAll(target, settings));
    }
  }
  for (const other of free) other.mode = BYPASSED;
  node.graph?.setDirtyCanvas?.(true, true);
  return said;
}

function pick(settings, names) {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => names.includes(name)));
}

function insert(node, kind) {
  if (!kind.startsWith("ARGuidance") || !window.LiteGraph.registered_node_types[kind]) return null;
  const { node: source, slot } = sourceOf(node);
  const made = add(node, kind);
  source.connect(slot, made, slotOf(made, "ar_sampling"));
  made.connect(0, node, slotOf(node, "ar_sampling"));
  return made;
}

function setAll(node, settings) {
  return Object.entries(settings).map(([name, value]) => setOne(node, name, value)).filter(Boolean);
}

function setOne(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget) return say("{0} has no setting '{1}'.", node.title, name);
  if (node.inputs?.some((input, slot) => input.name === name && node.isInputConnected(slot))) return say("'{0}' of {1} comes from a link and stays.", name, node.title);
  if (!fits(widget, value)) return say("{0}: '{1}' cannot be {2}.", node.title, name, String(JSON.stringify(value)).slice(0, 40));
  setWidget(node, name, value);
  return "";
}

/** Whether a widget can have a value. */
function fits(widget, value) {
  const { values, min = -Infinity, max = Infinity } = widget.options ?? {};
  if (Array.isArray(values)) return values.includes(value);
  if (typeof widget.value !== typeof value) return false;
  return typeof value !== "number" || (value >= min && value <= max);
}
