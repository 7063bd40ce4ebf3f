// The dialog of styles: named settings of sampler and guidance, to be used, saved and shared.

import { applyStyle, styleOf } from "./chain_styles.mjs";
import { openDialog } from "./dialog.mjs";
import { element } from "./dom.mjs";
import { FILE, changeStyles, ownStyles, parseStyles, shippedStyles } from "./style_file.mjs";
import { say } from "./words.mjs";

/** Open the dialog for the chain before a node. `panel`: whose it is; `tell(text)`: what is said once a style is used. */
export async function chooseStyle(panel, node, tell) {
  const dialog = new StyleDialog(panel, node, tell);
  await dialog.refresh();
}

class StyleDialog {
  constructor(panel, node, tell) {
    Object.assign(this, { node, tell });
    this.list = element("div", { class: "arg-style-list" });
    this.line = element("div", { class: "arg-status", role: "status" });
    this.name = element("input", { type: "text", maxlength: 80, placeholder: say("name of a new style"), "aria-label": say("name of a new style") });
    this.file = element("input", { type: "file", accept: ".json,application/json", onchange: () => this.take() });
    this.file.hidden = true;
    const row = element("div", { class: "arg-row" }, [
      this.name, this.button("save these settings", () => this.save()), this.button("add from a file…", () => this.file.click()), this.file,
    ]);
    const place = element("div", { class: "arg-hint", ".textContent": say("Your styles are in {0} in ComfyUI's user folder: share that file.", FILE) });
    this.dialog = element("dialog", { class: "arg-dialog arg-styles", "aria-label": say("styles") }, [
      this.list, row, this.line, place, this.button("close", () => this.dialog.close()),
    ]);
    openDialog(panel, this.dialog);
  }

  button(text, onclick) {
    return element("button", { type: "button", class: "arg-button", ".textContent": say(text), onclick });
  }

  /** Read both files again and list what they hold. */
  async refresh(said = "") {
    try {
      const [shipped, own] = await Promise.all([shippedStyles(), ownStyles()]);
      this.list.replaceChildren(...shipped.map((style) => this.item(style, false)), ...own.styles.map((style) => this.item(style, true)));
      this.line.textContent = said || own.problem || own.note;
    } catch (error) {
      this.line.textContent = say("The styles cannot be read: {0}", error.message);
    }
  }

  item(style, own) {
    const about = typeof style.about === "string" ? say(style.about) : summary(style);
    const texts = [own ? style.name : say(style.name), about].map((text) => element("span", { ".textContent": text }));
    const use = element("button", { type: "button", class: "arg-button arg-style", title: summary(style), onclick: () => this.use(style) }, texts);
    const parts = own ? [use, this.button("delete", () => this.change((styles) => styles.filter((other) => other?.name !== style.name)))] : [use];
    return element("div", { class: "arg-row" }, parts);
  }

  use(style) {
    const said = applyStyle(this.node, style);
    this.dialog.close();
    this.tell([say("Style '{0}' is set.", style.name), ...said].join(" "), said.length ? "arg-note" : "");
  }

  async save() {
    const name = this.name.value.trim();
    const style = name && styleOf(this.node, name);
    if (!name) this.line.textContent = say("Give the style a name.");
    else if (!style) this.line.textContent = say("No AR Sampler is wired before this node.");
    else await this.change((styles) => [...styles.filter((other) => other?.name !== name), style]);
  }

  /** Add the styles of a file; where a name is taken, the new one gets a number. */
  async take() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    const { styles, problem, note } = parseStyles(await file.text(), file.name);
    if (problem) this.line.textContent = problem;
    else await this.change((old) => styles.reduce(added, old), note);
  }

  async change(how, note = "") {
    try {
      await this.refresh((await changeStyles(how)) || note);
    } catch (error) {
      this.line.textContent = say("The styles cannot be written: {0}", error.message);
    }
  }
}

function added(styles, style) {
  let name = style.name;
  for (let count = 2; styles.some((other) => other?.name === name); count++) name = `${style.name} (${count})`;
  return [...styles, { ...style, name }];
}

/** A style in a few words: what it sets. */
function summary({ sampler = {}, guidance = [] }) {
  const said = (settings) => Object.entries(settings).filter(([, value]) => value !== "").map(([name, value]) => `${name} ${value}`).join(", ");
  const chain = guidance.map(({ node, settings = {} }) => `${node.replace("ARGuidance", "")}: ${said(settings)}`);
  return [...chain, said(sampler)].filter(Boolean).join("; ");
}
