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

const STYLE = new URL("../ar_guidance.css", import.meta.url).href;

/** The pack's style sheet, for a panel: it comes and goes with the panel, and the page's own elements stay as they are. */
export function styleSheet() {
  return element("link", { rel: "stylesheet", href: STYLE });
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

/** Let an element that is no button act like one: on a click, on Enter and on the space bar. */
export function pressable(node, act) {
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key)) return;
    event.preventDefault(); // or the key would press the button that a dialog opened here puts the focus on, and close it
    act(event);
  });
}
