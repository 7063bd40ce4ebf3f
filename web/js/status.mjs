// One line that says what a node is doing, and what went wrong, in words.

import { element, setWidget, widgetOf } from "./dom.mjs";
import { aroundOf } from "./instances.mjs";
import { upstream } from "./upstream.mjs";
import { sayMessage } from "./messages.mjs";
import { say } from "./words.mjs";

/** How far a run is: "images 1–36 of 72, step 160 of 256, about 9 s". */
export function progressText({ first, last, batch, step, count, seconds, scale }) {
  const parts = [];
  if (scale !== undefined) parts.push(say("trying scale {0}", scale));
  if (batch > 1) parts.push(first === last ? say("image {0} of {1}", first, batch) : say("images {0}–{1} of {2}", first, last, batch));
  parts.push(say("step {0} of {1}", step, count));
  if (seconds !== null && seconds !== undefined) parts.push(say("about {0} s", seconds));
  return parts.join(", ");
}

/** The line itself; screen readers are told of changes. */
export class StatusLine {
  constructor(node) {
    this.node = node;
    this.line = element("div", { class: "arg-status", role: "status" });
    this.line.hidden = true;
  }

  /** Say something; nothing hides the line. */
  tell(text, kind = "") {
    this.line.hidden = !text;
    this.line.className = `arg-status ${kind}`;
    this.line.replaceChildren(text);
    this.line.removeAttribute("tabindex");
    this.line.title = text;
  }

  /** A run has ended: how far it was counts no more; what went wrong, and notes, stay. */
  calm() {
    if (!["arg-wrong", "arg-note"].some((kind) => this.line.classList.contains(kind))) this.tell("");
  }

  /** An error of this node: what the host says, and what it suggests as buttons. */
  complain(message) {
    const text = String(message).trim();
    const [first, ...more] = text.split("\n");
    const said = sayMessage(first);
    this.tell(said, "arg-wrong");
    this.line.title = [said, ...more].join("\n");
    this.line.setAttribute("role", "alert");
    this.line.tabIndex = 0; // it may be longer than its room: the keyboard scrolls it
    this.line.replaceChildren(element("span", { class: "arg-status-text", ".textContent": said }));
    this.line.append(...suggestions(text, this.node).map(([label, apply]) => this.button(label, apply)));
  }

  button(label, apply) {
    const use = () => {
      apply(this.node);
      this.tell("");
    };
    return element("button", { type: "button", class: "arg-button", ".textContent": label, onclick: use });
  }
}

/** What an error message offers to do about it: [label, what to do to the node]. Outside a subgraph only what can be set there. */
export function suggestions(text, node) {
  const found = [];
  const wrong = text.match(/^'(.+?)' is not a class/)?.[1];
  for (const name of wrong && (!node.subgraph || widgetOf(node, "classes")) ? (text.match(/Did you mean: (.+?)\?/)?.[1].split(", ") ?? []) : []) {
    found.push([name, (node) => replaceClass(node, wrong, name)]);
  }
  const size = text.match(/nearest[^0-9]*(\d+)\s*[×x]\s*(\d+)/);
  if (size && !node.subgraph) found.push([`${size[1]} × ${size[2]}`, (node) => onSampler(node, "size", `${size[1]} x ${size[2]}`)]);
  return found;
}

function replaceClass(node, wrong, name) {
  setWidget(node, "classes", String(widgetOf(node, "classes")?.value ?? "").replace(wrong, name));
}

function onSampler(node, name, value) {
  const sampler = [{ node }, ...upstream(node, aroundOf(node))].find((source) => source.node.comfyClass === "ARSampler");
  if (sampler) setWidget(sampler.node, name, value);
}
