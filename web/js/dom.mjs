// Small helpers for building elements. Text from outside goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes, properties (those that start with a dot) and children. */
export function element(tag, settings = {}, children = []) {
  return fill(document.createElement(tag), settings, children);
}

/** The same for SVG. */
export function svg(tag, settings = {}, children = []) {
  return fill(document.createElementNS(SVG, tag), settings, children);
}

function fill(node, settings, children) {
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith(".")) node[name.slice(1)] = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

let style;

/** Load the pack's style sheet, once. The page's own elements stay as they are. */
export function addStyle() {
  style ??= fetch(new URL("../ar_guidance.css", import.meta.url))
    .then((reply) => (reply.ok ? reply.text() : Promise.reject(new Error(`${reply.status}`))))
    .then((text) => new CSSStyleSheet().replace(text))
    .then((sheet) => (document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]))
    .catch((error) => console.warn("[AR Guidance] the panels have no style:", error));
  return style;
}

/** The widget of that name on a node. */
export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name);
}

/** Set a widget as if the user had. */
export function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget) return;
  widget.value = value;
  widget.callback?.(value);
  node.graph?.setDirtyCanvas?.(true, true);
}
