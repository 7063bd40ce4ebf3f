// The images of a batch in a row: what each shows, which seed made it, and what can be done with it.

import { element } from "./dom.mjs";
import { say } from "./words.mjs";

export class Filmstrip {
  /** `choose(place)`: an image is to be looked at. `actions`: [label, title, what to do with the image's entry]. */
  constructor(choose, actions) {
    this.choose = choose;
    this.list = element("div", { class: "arg-strip", role: "listbox", "aria-label": say("image") });
    this.list.addEventListener("keydown", (event) => this.steer(event));
    this.actions = element(
      "div",
      { class: "arg-row arg-actions" },
      actions.map(([name, title, act]) =>
        element("button", { type: "button", class: "arg-button", title: say(title), ".textContent": say(name), onclick: () => act(this.entries[this.at]) })
      )
    );
    this.panel = element("div", { class: "arg-film" }, [this.list, this.actions]);
    this.entries = [];
    this.at = 0;
  }

  /** Show these images: {url, name, seed, text}. */
  show(entries, at) {
    this.entries = entries;
    this.list.replaceChildren(...entries.map((entry, place) => this.item(entry, place)));
    this.list.hidden = entries.length < 2 && !entries[0]?.seed;
    this.actions.hidden = !entries.some((entry) => entry.seed);
    this.mark(at);
  }

  item({ url, name, seed, text }, place) {
    const image = element("img", { src: url, alt: "", loading: "lazy", draggable: "false" });
    const lines = [name, seed && say("seed {0}", seed)].filter(Boolean).map((line) => element("span", { ".textContent": line }));
    const settings = { type: "button", role: "option", class: "arg-shot", title: text, "aria-label": text, tabindex: -1 };
    return element("button", { ...settings, onclick: () => this.choose(place) }, [image, ...lines]);
  }

  /** Mark the image that is looked at. */
  mark(at) {
    this.at = at;
    [...this.list.children].forEach((item, place) => {
      item.setAttribute("aria-selected", place === at);
      item.tabIndex = place === at ? 0 : -1;
    });
    const item = this.list.children[at];
    if (item) this.list.scrollLeft = Math.max(0, item.offsetLeft - (this.list.clientWidth - item.offsetWidth) / 2);
  }

  steer(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.choose(Math.min(Math.max(this.at + by, 0), this.entries.length - 1));
    this.list.children[this.at]?.focus();
  }
}
