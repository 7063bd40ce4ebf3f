// Choosing classes of the bundled model by their images: type to search, click to add or remove.

import { element, setWidget, widgetOf } from "./dom.mjs";
import { addPanel, fitNode } from "./panels.mjs";
import { listClasses } from "./class_list.mjs";
import { StatusLine } from "./status.mjs";
import { say } from "./words.mjs";

const [SHUT, OPEN] = [30, 420];
const ROUNDING = 12; // pixels by which a frontend itself makes a grown node taller
let catalogue = null; // one promise for all nodes of the page

/** The bundled model's classes: names in the order of the sheet, its columns, and the side of a thumbnail. */
function classes() {
  catalogue ??= fetch(new URL("../classes.json", import.meta.url)).then((reply) => reply.json());
  return catalogue;
}

/** The entries of a list typed by hand: separated by commas, semicolons or new lines, as the node splits them. */
export function entries(text) {
  return String(text ?? "").split(/[,;\n]+/).map((part) => part.trim()).filter(Boolean);
}

export class ClassPicker {
  constructor(node) {
    this.node = node;
    this.open = false;
    this.button = element("button", { type: "button", class: "arg-open", onclick: () => this.toggle() });
    const searching = { placeholder: say("search the bundled model's classes"), "aria-label": say("search the bundled model's classes") };
    this.search = element("input", { type: "search", class: "arg-search", ...searching });
    this.search.addEventListener("input", () => this.filter());
    this.grid = element("div", { class: "arg-classes" });
    this.nothing = element("div", { class: "arg-hint", role: "status" });
    this.nothing.hidden = true;
    this.list = element("div", {}, [this.search, this.nothing, this.grid]);
    this.list.hidden = true;
    this.status = new StatusLine(node);
    this.panel = element("div", { class: "arg-panel arg-picker" }, [this.status.line, this.button, this.list]);
    addPanel(node, "ar_classes", this.panel, () => (this.open ? OPEN : SHUT), () => this.check());
    this.label();
  }

  /** Follow what is typed, and the model that is wired. */
  check() {
    listClasses(this.node);
    if (this.open) this.mark();
    if (this.wrong !== undefined && this.wrong !== widgetOf(this.node, "classes")?.value) this.forgive();
  }

  /** An error of this node stands in the button's place, with what it suggests, until the classes are changed. */
  complain(message) {
    this.wrong = widgetOf(this.node, "classes")?.value;
    this.status.complain(message);
    this.button.hidden = !this.open;
  }

  forgive() {
    this.wrong = undefined;
    this.status.tell("");
    this.button.hidden = false;
  }

  label() {
    this.button.textContent = say(this.open ? "close" : "choose from images (bundled model)…");
  }

  async toggle() {
    this.open = !this.open;
    this.list.hidden = !this.open;
    this.label();
    this.resize();
    if (!this.open) return;
    if (!this.grid.children.length) await this.fill();
    this.mark();
  }

  /** Grow the node while the list is open; afterwards it is as tall as before, unless the user has changed that. */
  resize() {
    const { node } = this;
    if (this.open) {
      this.before = node.size[1];
      fitNode(node);
      this.grown = node.size[1];
    } else if (Math.abs(node.size[1] - this.grown) <= ROUNDING) {
      node.setSize?.([node.size[0], this.before]);
      fitNode(node);
    }
  }

  async fill() {
    try {
      const { names, words, columns, side, sheet } = await classes();
      this.words = words ?? {};
      const address = new URL(`../${sheet}`, import.meta.url).href;
      this.grid.replaceChildren(...names.map((name, at) => this.thumbnail(name, at, columns, side, address)));
      this.filter(); // somebody may have typed while they were loaded
    } catch {
      catalogue = null; // the next opening tries again
      this.grid.textContent = say("The list of classes could not be loaded; type names into 'classes' instead.");
    }
  }

  thumbnail(name, at, columns, side, address) {
    const [x, y] = [(at % columns) * side, Math.floor(at / columns) * side];
    const image = element("span", { class: "arg-thumbnail" });
    image.style.cssText = `width:${side}px;height:${side}px;background-image:url("${address}");background-position:-${x}px -${y}px`;
    const text = element("span", { ".textContent": name });
    const choose = () => this.pick(name);
    return element("button", { type: "button", class: "arg-class", "data-name": name, title: name, onclick: choose }, [image, text]);
  }

  /** Add a class to the list, or take it out again. */
  pick(name) {
    const chosen = entries(widgetOf(this.node, "classes")?.value);
    const kept = chosen.filter((entry) => entry.toLowerCase() !== name.toLowerCase());
    if (kept.length === chosen.length) kept.push(name);
    setWidget(this.node, "classes", kept.join("\n"));
    this.mark();
  }

  mark() {
    const chosen = new Set(entries(widgetOf(this.node, "classes")?.value).map((entry) => entry.toLowerCase()));
    for (const item of this.grid.children) item.classList?.toggle("arg-chosen", chosen.has(item.dataset?.name?.toLowerCase()));
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of this.grid.children) {
      item.hidden = !words.every((word) => this.means(item.dataset?.name ?? "", word));
      found += !item.hidden;
    }
    this.nothing.hidden = found > 0 || !this.grid.children.length;
    this.nothing.textContent = say("No class of the bundled model is called '{0}'.", this.search.value.trim());
  }

  /** Whether a class is found by a word: by a part of its name, or by the beginning of an everyday word for it. */
  means(name, word) {
    if (name.toLowerCase().includes(word)) return true;
    return (this.words[name.replace(/ \(.*\)$/, "")] ?? "").split(" ").some((other) => other.startsWith(word));
  }
}
