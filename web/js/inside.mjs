// What the viewer shows of a run's inside: the slider over the scales, maps, curves, and the token under the mouse.

import { element, svg } from "./dom.mjs";
import { candidates } from "./candidates.mjs";
import { drawMap, valueAt } from "./colours.mjs";
import { say, sayMap } from "./words.mjs";

const CURVES = ["evenness", "entropy"];

export class Inside {
  /** `changed()`: something else is to be looked at. */
  constructor(changed) {
    this.changed = changed;
    this.open = false;
    this.run = null; // what the node sent of the run that is looked at
    this.image = null; // and of the image
    this.step = 0;
    this.plain = false; // the user wants no map
    this.map = element("canvas", { class: "arg-map" });
    this.slider = element("input", { type: "range", min: 0, max: 0, step: 1, class: "arg-slider", "aria-label": say("scale") });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.caption = element("div", { class: "arg-caption" });
    this.maps = element("select", { class: "arg-select arg-maps", "aria-label": say("map") });
    this.maps.addEventListener("change", () => {
      this.plain = this.maps.value === "";
      this.changed();
    });
    this.opacity = element("input", { type: "range", min: 0, max: 100, value: 55, class: "arg-opacity", "aria-label": say("opacity") });
    this.opacity.addEventListener("input", () => this.changed());
    const row = element("div", { class: "arg-row" }, [this.maps, this.opacity]);
    this.curves = svg("svg", { class: "arg-curves", viewBox: "0 0 200 50", preserveAspectRatio: "none" });
    this.curves.addEventListener("pointerdown", (event) => this.jump(event));
    this.token = element("div", { class: "arg-token" });
    this.panel = element("div", { class: "arg-inside" }, [this.slider, this.caption, row, this.curves, this.token]);
    this.panel.hidden = true;
  }

  /** Look at an image of a run; `null` where nothing of its inside is known. */
  take(run, image) {
    this.run = run;
    this.image = image;
    this.rows = Boolean(run?.rows); // an image that grew row by row
    if (image) this.listMaps();
    this.slider.max = this.count - 1;
    this.step = Math.min(this.step, this.count - 1);
  }

  /** How many positions the slider has: scales, or rows of tokens. */
  get count() {
    if (!this.run) return 1;
    return this.rows ? this.run.grids[0][0] : this.run.grids.length;
  }

  get last() {
    return this.step >= this.count - 1;
  }

  listMaps() {
    const before = this.maps.value;
    const names = Object.keys(this.image.maps).filter((name) => this.image.maps[name].some(Boolean));
    this.maps.replaceChildren(option("", say("no map")), ...names.map((name) => option(name, sayMap(name))));
    this.maps.value = this.plain ? "" : names.includes(before) ? before : names.includes("added") ? "added" : "";
  }

  go(step) {
    this.step = Math.min(Math.max(step, 0), this.count - 1);
    this.changed();
  }

  /** The address of the image as it was at this step. */
  frame() {
    return this.last || this.rows ? this.image.final : this.image.frames[this.step] ?? this.image.final;
  }

  /** Share of the image, in percent from below, that was not there yet at this step. */
  missing() {
    return this.rows ? 100 - (100 * (this.step + 1)) / this.count : 0;
  }

  gridNow() {
    return this.run.grids[this.rows ? 0 : this.step];
  }

  mapNow() {
    return this.open && this.maps.value ? this.image?.maps[this.maps.value]?.[this.rows ? 0 : this.step] : null;
  }

  draw() {
    const map = this.mapNow();
    this.map.hidden = !map;
    if (map) drawMap(this.map, map, this.gridNow());
    this.map.style.opacity = this.opacity.value / 100;
    this.slider.value = this.step;
    if (!this.open) return;
    if (!this.image) this.caption.textContent = say("Only the first images of a run can be looked into.");
    else {
      this.caption.textContent = this.caption.title = this.describe(map);
      this.drawCurves();
    }
  }

  /** Draw a map of a run under way. */
  drawLive(message) {
    this.map.hidden = this.plain || !this.open;
    if (this.map.hidden) return;
    drawMap(this.map, message, message.grid);
    this.map.style.opacity = this.opacity.value / 100;
    this.map.style.clipPath = "";
  }

  describe(map) {
    const [rows, columns] = this.gridNow();
    const parts = [
      this.rows
        ? say("row {0} of {1}", this.step + 1, this.count)
        : say("scale {0} of {1}, {2}×{3} tokens", this.step + 1, this.count, rows, columns),
    ];
    if (map) parts.push(`${sayMap(this.maps.value)} ${short(map.low)} – ${short(map.high)}`);
    else if (this.maps.value) parts.push(say("{0}: off", sayMap(this.maps.value)));
    for (const name of CURVES) {
      const value = this.image[name]?.[this.step];
      if (value !== null && value !== undefined) parts.push(`${say(name)} ${value.toFixed(3)}`);
    }
    return parts.join("  ·  ");
  }

  drawCurves() {
    const steps = this.count;
    this.curves.style.display = steps > 1 ? "" : "none";
    if (steps < 2) return;
    const x = (at) => 4 + (192 * at) / (steps - 1);
    const lines = CURVES.map((name) => {
      const points = (this.image[name] ?? []).map((value, at) => [x(at), value]).filter(([, value]) => value !== null);
      const path = points.map(([px, value]) => `${px},${46 - 42 * value}`).join(" ");
      return svg("polyline", { points: path, class: `arg-line arg-${name}`, "vector-effect": "non-scaling-stroke" });
    });
    const here = { x1: x(this.step), x2: x(this.step), y1: 0, y2: 50, class: "arg-here", "vector-effect": "non-scaling-stroke" };
    const text = say("{0} (blue), {1} (green), 0 to 1", ...CURVES.map((name) => say(name)));
    this.curves.replaceChildren(...lines, svg("line", here), svg("title", { ".textContent": text }));
  }

  jump(event) {
    if (!this.image) return;
    const box = this.curves.getBoundingClientRect();
    this.go(Math.round(((event.clientX - box.left) / box.width) * (this.count - 1)));
  }

  /** What is known of the token at a place of the image, given in shares of its sides. */
  hover(x, y, shown) {
    if (!this.open || !this.image) return;
    const [rows, columns] = this.gridNow();
    const [row, column] = [clamp(Math.floor(y * rows), rows), clamp(Math.floor(x * columns), columns)];
    const at = row * columns + column;
    const lines = [element("b", { ".textContent": say("token row {0}, column {1}", row + 1, column + 1) })];
    const map = this.mapNow();
    if (map) lines.push(` ${sayMap(this.maps.value)} ${short(valueAt(map, at))}`);
    const list = this.rows ? this.image.candidates[at] : this.image.candidates[this.step];
    if (list) lines.push(candidates(list, this.rows ? 0 : at, this.run.colours ?? {}, { shown, row, column, rows, columns }));
    else if (this.run.bits) lines.push(element("div", { ".textContent": say("This model's tokens are bits: no candidates to list.") }));
    this.token.replaceChildren(...lines);
  }
}

function option(value, text) {
  return element("option", { value, ".textContent": text });
}

function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}

function short(value) {
  return value === 0 ? "0" : Math.abs(value) < 1000 ? Number(value.toPrecision(3)).toString() : value.toFixed(0);
}
