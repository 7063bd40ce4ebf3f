// The viewer on AR Decode: scrub through the scales, see where guidance pushed, how evenly, how sure the model was.
// It draws what the node sent (see docs/viewer.md); what was looked at is kept for the next node in this node's place.

import { element, svg } from "./dom.mjs";
import { addPanel, fitNode } from "./panels.mjs";
import { keep, kept } from "./memory.mjs";
import { drawMap, valueAt } from "./colours.mjs";
import { say, sayMap } from "./words.mjs";

const CURVES = { evenness: "#4c9be8", entropy: "#58b368" };
// Heights of the panel, with the 20 pixels that LiteGraph keeps free around it: before a run, after it (the style sheet
// limits the picture's height), and the table of candidates below.
const [EMPTY, FULL, TABLE] = [56, 510, 136];

export class Viewer {
  constructor(node) {
    this.node = node;
    this.choices = []; // every picture of every run: {run, picture}
    this.shown = null; // what the node sent of the run that is looked at; a sweep has several
    this.running = null; // the newest message of a run under way
    this.settings = ""; // which run that was (see past_runs.mjs)
    this.step = 0;
    this.chosen = 0; // which of the choices
    this.plain = false; // the user wants no map
    this.tall = EMPTY;
    this.build();
    this.widget = addPanel(node, "ar_viewer", this.panel, () => this.tall, () => this.recall());
  }

  build() {
    this.hint = element("div", { class: "arg-hint", ".textContent": say("Run: every scale can be looked at here.") });
    this.frame = element("img", { class: "arg-frame", alt: say("image so far"), draggable: "false" });
    this.map = element("canvas", { class: "arg-map" });
    this.stage = element("div", { class: "arg-stage" }, [this.frame, this.map]);
    this.stage.addEventListener("pointermove", (event) => this.hover(event));
    this.stage.addEventListener("pointerleave", () => (this.token.textContent = ""));
    this.slider = element("input", { type: "range", min: 0, max: 0, step: 1, class: "arg-slider", "aria-label": say("scale") });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.caption = element("div", { class: "arg-caption" });
    this.maps = element("select", { class: "arg-select arg-maps", "aria-label": say("map") });
    this.maps.addEventListener("change", () => this.overlay());
    this.opacity = element("input", { type: "range", min: 0, max: 100, value: 55, class: "arg-opacity", "aria-label": say("opacity") });
    this.opacity.addEventListener("input", () => this.draw());
    this.pictures = element("select", { class: "arg-select", "aria-label": say("image") });
    this.pictures.addEventListener("change", () => this.choose(Number(this.pictures.value)));
    this.controls = element("div", { class: "arg-row" }, [this.maps, this.opacity, this.pictures]);
    this.curves = svg("svg", { class: "arg-curves", viewBox: "0 0 200 50", preserveAspectRatio: "none" });
    this.curves.addEventListener("pointerdown", (event) => this.jump(event));
    this.token = element("div", { class: "arg-token" });
    this.body = element("div", { class: "arg-body" }, [
      this.stage, this.slider, this.caption, this.controls, this.curves, this.token,
    ]);
    this.panel = element("div", { class: "arg-viewer" }, [this.hint, this.body]);
    this.body.hidden = this.maps.hidden = this.pictures.hidden = true; // until there is something to choose from
  }

  /** All runs of the node have ended: show the last step of one of them. */
  show(runs) {
    this.running = null;
    this.choices = runs.flatMap((run) => run.pictures.map((_, picture) => ({ run, picture })));
    this.take(Math.min(this.chosen, this.choices.length - 1));
    this.listPictures(runs);
    const listed = runs.some((run) => run.bits || run.pictures.some((picture) => picture.candidates.length));
    this.reveal(FULL + (listed ? TABLE : 0));
    this.go(this.count - 1);
  }

  /** Show what an earlier node in this place showed, once. */
  recall() {
    if (this.recalled) return;
    this.recalled = true;
    const before = this.shown ? undefined : kept(this.node, "viewer");
    if (!before) return;
    const { runs, chosen, step, plain, map, opacity, settings } = before;
    Object.assign(this, { chosen, plain, settings });
    this.opacity.value = opacity;
    this.show(runs);
    if ([...this.maps.options].some(({ value }) => value === map)) this.maps.value = map;
    this.go(step);
  }

  /** Keep what is looked at. */
  remember() {
    const { chosen, step, plain, settings } = this;
    const runs = [...new Set(this.choices.map(({ run }) => run))];
    keep(this.node, "viewer", { runs, chosen, step, plain, map: this.maps.value, opacity: this.opacity.value, settings });
  }

  /** Which settings what is shown belongs to. */
  belongsTo(settings) {
    this.settings = settings;
    if (this.shown) this.remember();
  }

  /** A run is under way: its newest map. */
  live(message) {
    this.running = message;
    this.reveal(FULL);
    this.token.textContent = "";
    this.slider.max = message.count - 1;
    this.slider.value = message.step;
    this.shape(message.grid[1], message.grid[0]);
    this.frame.hidden = !this.shown;
    this.map.hidden = this.plain;
    drawMap(this.map, message, message.grid);
    this.map.style.opacity = this.opacity.value / 100;
    this.map.style.clipPath = "";
    this.caption.textContent = say("running: step {0} of {1}, {2}", message.step + 1, message.count, sayMap(message.map));
  }

  /** The run has ended without a result of this node: what was shown before it counts again. */
  stop() {
    if (!this.running) return;
    const { step, count, map } = this.running;
    this.running = null;
    if (!this.shown) this.caption.textContent = say("stopped: step {0} of {1}, {2}", step + 1, count, sayMap(map));
    else {
      this.slider.max = this.count - 1;
      this.go(this.step);
    }
  }

  /** Show the body; where it needs more room than it has, the node grows. */
  reveal(tall) {
    this.hint.hidden = true;
    this.body.hidden = false;
    if (tall <= this.tall) return;
    this.tall = tall;
    fitNode(this.node, 280);
  }

  /** Give the stage the proportions of the picture. */
  shape(width, height) {
    this.stage.style.setProperty("--arg-ratio", width / height);
  }

  /** The user has chosen another map, or none. */
  overlay() {
    this.plain = this.maps.value === "";
    this.draw();
  }

  /** Look at one of the pictures. */
  take(chosen) {
    const { run, picture } = this.choices[chosen];
    this.chosen = chosen;
    this.shown = run;
    this.current = run.pictures[picture];
    this.rows = Boolean(run.rows); // a picture that grew row by row
    this.slider.max = this.count - 1;
    this.listMaps();
  }

  /** How many positions the slider has: scales, or rows of tokens. */
  get count() {
    return this.rows ? this.shown.grids[0][0] : this.shown.grids.length;
  }

  listMaps() {
    const before = this.maps.value;
    const names = Object.keys(this.current.maps).filter((name) => this.current.maps[name].some(Boolean));
    this.maps.replaceChildren(option("", say("no map")), ...names.map((name) => option(name, sayMap(name))));
    this.maps.hidden = false;
    this.maps.value = this.plain ? "" : names.includes(before) ? before : names.includes("added") ? "added" : "";
  }

  listPictures(runs) {
    const list = this.choices.map(({ run, picture }, at) => option(at, called(runs, run, picture)));
    this.pictures.replaceChildren(...list);
    this.pictures.value = this.chosen;
    this.pictures.hidden = list.length < 2;
  }

  choose(chosen) {
    this.take(chosen);
    this.go(this.step);
  }

  go(step) {
    if (!this.shown) return;
    this.step = Math.min(Math.max(step, 0), this.count - 1);
    this.slider.value = this.step;
    this.draw();
  }

  draw() {
    if (!this.shown || this.running) return;
    const { current, shown, step } = this;
    const [width, height] = shown.size;
    this.shape(width, height);
    this.frame.hidden = false;
    const last = step === this.count - 1;
    this.frame.src = last || this.rows ? current.final : current.frames[step] ?? current.final;
    this.frame.classList.toggle("arg-pixels", width <= 128);
    const hidden = this.rows ? 100 - (100 * (step + 1)) / this.count : 0;
    this.frame.style.clipPath = this.map.style.clipPath = hidden ? `inset(0 0 ${hidden}% 0)` : "";
    const map = this.mapNow();
    this.map.hidden = !map;
    if (map) drawMap(this.map, map, this.gridNow());
    this.map.style.opacity = this.opacity.value / 100;
    this.caption.textContent = this.describe(map);
    this.drawCurves();
    this.remember();
  }

  gridNow() {
    return this.shown.grids[this.rows ? 0 : this.step];
  }

  mapNow() {
    return this.maps.value ? this.current.maps[this.maps.value]?.[this.rows ? 0 : this.step] : null;
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
    for (const name of Object.keys(CURVES)) {
      const value = this.current[name]?.[this.step];
      if (value !== null && value !== undefined) parts.push(`${say(name)} ${value.toFixed(3)}`);
    }
    return parts.join("  ·  ");
  }

  drawCurves() {
    const steps = this.count;
    this.curves.style.display = steps > 1 ? "" : "none";
    if (steps < 2) return;
    const x = (at) => 4 + (192 * at) / (steps - 1);
    const lines = Object.entries(CURVES).map(([name, stroke]) => {
      const points = (this.current[name] ?? []).map((value, at) => [x(at), value]).filter(([, value]) => value !== null);
      const path = points.map(([px, value]) => `${px},${46 - 42 * value}`).join(" ");
      return svg("polyline", { points: path, fill: "none", stroke, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" });
    });
    const here = { x1: x(this.step), x2: x(this.step), y1: 0, y2: 50, class: "arg-here", "vector-effect": "non-scaling-stroke" };
    const text = say("{0} (blue), {1} (green), 0 to 1", ...Object.keys(CURVES).map((name) => say(name)));
    this.curves.replaceChildren(...lines, svg("line", here), svg("title", { ".textContent": text }));
  }

  jump(event) {
    if (!this.shown || this.running) return;
    const box = this.curves.getBoundingClientRect();
    this.go(Math.round(((event.clientX - box.left) / box.width) * (this.count - 1)));
  }

  /** What is known of the token under the mouse. */
  hover(event) {
    if (!this.shown || this.running) return;
    const box = this.stage.getBoundingClientRect();
    const [rows, columns] = this.gridNow();
    const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * rows), rows);
    const column = clamp(Math.floor(((event.clientX - box.left) / box.width) * columns), columns);
    const at = row * columns + column;
    const lines = [element("b", { ".textContent": say("token row {0}, column {1}", row + 1, column + 1) })];
    const map = this.mapNow();
    if (map) lines.push(` ${sayMap(this.maps.value)} ${short(valueAt(map, at))}`);
    const list = this.rows ? this.current.candidates[at] : this.current.candidates[this.step];
    if (list) lines.push(table(list, this.rows ? 0 : at));
    else if (this.shown.bits) lines.push(element("div", { ".textContent": say("This model's tokens are bits: no candidates to list.") }));
    this.token.replaceChildren(...lines);
  }
}

/** The likeliest tokens before and after guidance, the drawn one marked. */
function table(list, at) {
  const side = (name) =>
    list[name].tokens[at].map((token, rank) => `${token} ${(list[name].share[at][rank] / 10).toFixed(1)} %`);
  const [before, after] = [side("before"), side("after")];
  const drawn = list.drawn[at];
  const cell = (text) => element("td", { class: text.startsWith(`${drawn} `) ? "arg-drawn" : "", ".textContent": text });
  const rows = before.map((text, rank) => element("tr", {}, [cell(text), cell(after[rank])]));
  const head = element("tr", {}, ["before guidance", "after guidance"].map((text) => element("th", { ".textContent": say(text) })));
  const foot = element("caption", { ".textContent": say("drawn: token {0}", drawn) });
  return element("table", { class: "arg-candidates" }, [foot, head, ...rows]);
}

/** A picture's name in the list: by its run, where there are several. */
function called(runs, run, picture) {
  if (runs.length < 2) return say("image {0}", picture + 1);
  const number = runs.indexOf(run) + 1;
  return run.pictures.length < 2 ? say("run {0}", number) : say("run {0}, image {1}", number, picture + 1);
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
