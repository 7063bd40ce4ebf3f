// The seeds of the last runs with a thumbnail each, kept by the browser, so that one can be used again.

import { openDialog } from "./dialog.mjs";
import { element } from "./dom.mjs";
import { say } from "./words.mjs";

const PLACE = "ARGuidance.seeds"; // in the browser's local storage
const MOST = 20;
const THUMBNAIL = /^data:image\/(bmp|png|jpeg);base64,/;

/** Remember the seeds of a run: the first image of each. `strip`: the filmstrip's entries; `model`: the checkpoint. */
export function rememberSeeds(strip, model) {
  const firsts = strip.filter(({ seed }, at) => seed && strip.findIndex((other) => other.seed === seed) === at);
  const added = firsts.slice(0, MOST).map(({ seed, name, url }) => ({ seed, name, url, model }));
  const same = (a) => added.some((b) => a.seed === b.seed && a.name === b.name && a.model === b.model);
  write([...added, ...read().filter((entry) => !same(entry))].slice(0, MOST));
}

/** Let the user choose one of the seeds; `use(entry)` is called with it. `panel`: whose; `model`: the checkpoint that is wired now. */
export function chooseSeed(panel, model, use) {
  const entries = read();
  const dialog = element("dialog", { class: "arg-dialog arg-seeds", "aria-label": say("earlier seeds") });
  const items = entries.map((entry) => item(entry, model, () => {
    dialog.close();
    use(entry);
  }));
  const empty = element("div", { class: "arg-hint", ".textContent": say("No seed has been used yet in this browser.") });
  const close = element("button", { type: "button", class: "arg-button", ".textContent": say("close"), onclick: () => dialog.close() });
  dialog.append(element("div", { class: "arg-seed-list" }, items.length ? items : [empty]), close);
  openDialog(panel, dialog);
}

function item({ seed, name, url, model }, wired, choose) {
  const image = element("img", { src: url, alt: "", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(element("span", { ".textContent": say("image is gone") })));
  const lines = [name, say("seed {0}", seed), model !== wired && say("of another model: {0}", model || "?")];
  const texts = lines.filter(Boolean).map((line) => element("span", { ".textContent": line }));
  return element("button", { type: "button", class: "arg-shot", title: lines.filter(Boolean).join(", "), onclick: choose }, [image, ...texts]);
}

/** The entries that are whole: another tab, another version or a hand may have written there. */
function read() {
  try {
    const entries = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(entries) ? entries.filter(whole).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

function whole(entry) {
  return /^\d{1,20}$/.test(entry?.seed) && typeof entry.url === "string" && THUMBNAIL.test(entry.url);
}

function write(entries) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(entries));
  } catch {
    // no room, or storage is not allowed: nothing but the list is lost
  }
}
