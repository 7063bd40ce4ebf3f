// What a condition node made of the choices in its text ({a|b}), on a line that is there before the run: the host's own text under a
// node would make it grow over its neighbours.

import { element, widgetOf } from "./dom.mjs";
import { addPanel, showWidget } from "./panels.mjs";
import { keep, kept } from "./memory.mjs";
import { say } from "./words.mjs";

const HEIGHT = 24;
const READ = { ARClassCondition: ["classes"], ARPromptCondition: ["prompt", "negative_prompt"] };
const CHOICES = /\{|\/\/|\/\*/; // a text that has them is resolved, see conditioning/wildcards.py

export class ResolvedText {
  /** Whether a node resolves texts. */
  static fits(node) {
    return Object.hasOwn(READ, node.comfyClass);
  }

  constructor(node) {
    this.node = node;
    this.line = element("div", { class: "arg-resolved", role: "status", tabindex: 0 });
    const panel = element("div", { class: "arg-one-line" }, [this.line]);
    this.widget = addPanel(node, "ar_resolved", panel, () => (this.widget?.hidden ? 0 : HEIGHT), () => this.check());
    showWidget(node, this.widget, this.expected());
    this.say("");
  }

  /** Whether a run may have something to say: a text has choices, or comes from a link. */
  expected() {
    const linked = (name) => this.node.inputs?.some((input, slot) => input.name === name && this.node.isInputConnected(slot));
    return READ[this.node.comfyClass].some((name) => linked(name) || CHOICES.test(widgetOf(this.node, name)?.value ?? ""));
  }

  /** Recall what an earlier node in this place showed, once; then follow the widgets. */
  check() {
    showWidget(this.node, this.widget, this.expected());
    if (this.recalled) return;
    this.recalled = true;
    if (!this.text) this.say(kept(this.node, "resolved") ?? "");
  }

  /** What the node has made of its text. */
  tell(text) {
    this.say(text);
    keep(this.node, "resolved", text);
  }

  say(text) {
    this.text = text;
    this.line.textContent = text.replaceAll("\n", " ") || say("Run: what was chosen appears here.");
    this.line.title = text;
  }
}
