// The curve of a guidance's strength over the steps, drawn on its node; dragging a point writes the list of numbers.
// A schedule that the model decides is known after a run of that model; until then a dashed line stands for it.

import { element, setWidget, svg, widgetOf } from "./dom.mjs";
import { addPanel } from "./panels.mjs";
import { showCurve, watchCurve } from "./curve.mjs";
import { chainSum } from "./chain_sum.mjs";
import { aroundOf } from "./instances.mjs";
import { keep, kept } from "./memory.mjs";
import { FAMILY, firstWrong, inForce, parseCurve, parseList, strengths } from "./shapes.mjs";
import { checkpointOf, settingOf } from "./upstream.mjs";
import { say } from "./words.mjs";

const HEIGHT = 136; // 20 of them stay free around the panel in LiteGraph
const [WIDTH, TALL, EDGE] = [240, 76, 8];
const STEPS = [2, 1024]; // fewest and most that can be dragged
const STRENGTHS = ["scale", "beta", "igg_scale"]; // they set how tall a curve is, not its shape
const POINTS = 64; // most that are shown; dragging one of fewer points than steps bends the steps between them

let bundled = null; // a promise for all nodes of the page: checkpoint -> what its runs are like

/** What is known of the bundled models before any run, as a run says it. */
function bundledRuns() {
  bundled ??= fetch(new URL("../bundled.json", import.meta.url)).then((reply) => reply.json()).catch(() => ({}));
  return bundled;
}

export const editors = new WeakMap(); // node -> its ScheduleEditor

export class ScheduleEditor {
  /** Whether a node has a schedule to draw. */
  static fits(node) {
    return Boolean(widgetOf(node, "schedule") && (widgetOf(node, "scale") || widgetOf(node, "beta")));
  }

  constructor(node, steps = 10) {
    this.node = node;
    this.steps = steps;
    editors.set(node, this);
    this.run = null; // what is known of the last run behind this node: {steps, published}
    this.build();
    addPanel(node, "ar_schedule", this.panel, () => HEIGHT, () => this.check()); // widgets change in many ways: typing, undo, links
    watchCurve(node);
  }

  /** Recall what an earlier node in this place had learnt, once; then follow the widgets. */
  check() {
    showCurve(this.node);
    if (!this.recalled) {
      this.recalled = true;
      const run = kept(this.node, "schedule");
      if (run && !this.run) this.learn(run);
    }
    this.foresee();
    this.refresh();
  }

  /** A bundled model's steps are known before its first run, and when another one is wired. */
  async foresee() {
    const checkpoint = checkpointOf(this.node, aroundOf(this.node));
    if (checkpoint === this.checkpoint) return;
    this.checkpoint = checkpoint;
    const run = (await bundledRuns())[checkpoint];
    if (run && this.checkpoint === checkpoint) this.learn({ ...run, checkpoint });
  }

  build() {
    this.plot = svg("svg", { class: "arg-schedule", role: "group", "aria-label": say("strength of every step"), viewBox: `0 0 ${WIDTH} ${TALL}`, preserveAspectRatio: "none" });
    this.text = element("span", { class: "arg-caption" });
    const button = (label, change, title) =>
      element("button", { type: "button", title, ".textContent": label, onclick: () => this.resize(change) });
    const buttons = [button("−", -1, say("draw fewer steps")), button("+", 1, say("draw more steps"))];
    const foot = element("div", { class: "arg-row" }, [this.text, ...buttons]);
    const title = say("times the nudge, at the step where this node and those before it are strongest together");
    this.sum = element("div", { class: "arg-caption arg-sum", title });
    this.sum.hidden = true;
    this.panel = element("div", { class: "arg-panel" }, [this.plot, foot, this.sum]);
    this.plot.addEventListener("pointerdown", (event) => this.grab(event));
    this.plot.addEventListener("pointermove", (event) => this.drag(event));
    this.plot.addEventListener("keydown", (event) => this.steer(event));
    for (const name of ["pointerup", "pointercancel"]) this.plot.addEventListener(name, () => (this.held = null));
  }

  get settings() {
    return this.settingsIn([]);
  }

  /** What the node is set to inside these nodes of subgraphs. */
  settingsIn(around) {
    const read = (name, otherwise) => settingOf(this.node, name, around).value ?? otherwise;
    const adds = !widgetOf(this.node, "scale"); // a term that is simply added rests at 0, a scale at 1
    const kind = read("schedule", "constant");
    return {
      kind,
      linked: this.linked(kind, around),
      full: Number(read(adds ? "beta" : "scale", 1)),
      second: widgetOf(this.node, "igg_scale") && Number(read("igg_scale")),
      rest: adds ? 0 : 1,
      start: Number(read("start", 0)),
      end: Number(read("end", 1)),
      power: Number(read("power", 1)),
      values: parseList(read("values", "")),
      wrong: kind === "list" ? firstWrong(read("values", "")) : undefined,
      curve: parseCurve(read("curve")),
    };
  }

  /** The widgets behind what is drawn that a link overrules: their values are not those of a run. */
  linked(kind, around) {
    const needed = ["schedule", "start", "end"];
    if (kind === "list") needed.push("values");
    else needed.push(...STRENGTHS);
    if (kind === "curve") needed.push("curve");
    if (kind === "cosine power") needed.push("power");
    return needed.filter((name) => widgetOf(this.node, name) && !settingOf(this.node, name, around).known);
  }

  /** The strengths to draw, one row for each weight of the node; the mix has a second one. */
  rows(settings) {
    const unknown = settings.linked.some((name) => !STRENGTHS.includes(name));
    const known = unknown ? null : inForce(settings, this.run?.published);
    const shape = known ?? { ...settings, kind: "constant", start: 0, end: 1 };
    const weights = [settings.full, settings.second].filter((full) => full !== undefined);
    return weights.map((full) => strengths({ ...shape, full }, this.steps));
  }

  /** The strengths of every weight and step inside these nodes of subgraphs, or null where a link gives them. */
  known(around) {
    const settings = this.settingsIn(around);
    return settings.linked.length ? null : this.rows(settings);
  }

  get editable() {
    const { kind, linked } = this.settings;
    if (kind === "curve" || linked.length || this.steps > STEPS[1]) return false;
    return Boolean(widgetOf(this.node, "values")) && listed(widgetOf(this.node, "schedule")).includes("list");
  }

  /** What a run of this node's model said: its steps, and the schedule its authors published. */
  learn(run) {
    this.run = run;
    if (!run.checkpoint) keep(this.node, "schedule", run);
    if (this.settings.kind !== "list") this.steps = run.steps;
    this.refresh();
  }

  resize(change) {
    if (this.steps > STEPS[1]) return; // a list that long is typed, not drawn
    const { kind, values, linked } = this.settings;
    const count = Math.min(Math.max(this.steps + change, STEPS[0]), STEPS[1]);
    if (kind === "list" && values.length && !linked.length) {
      this.write(Array.from({ length: count }, (_, k) => values[k] ?? values.at(-1)));
    }
    this.steps = count;
    this.refresh();
  }

  refresh() {
    if (!this.plot.isConnected) return;
    const settings = this.settings;
    if (settings.kind === "list" && settings.values.length) this.steps = settings.values.length;
    const sum = chainSum(this.node, (node, around) => editors.get(node)?.known(around));
    const state = JSON.stringify([settings, this.steps, this.run, sum]);
    if (state === this.state) return;
    this.state = state;
    this.sum.hidden = sum === null;
    this.sum.textContent = sum === null ? "" : say("guidance adds up to {0}", short(sum));
    this.draw(settings);
  }

  draw(settings) {
    const rows = this.rows(settings);
    const there = rows.flat().filter((value) => value !== null);
    this.low = Math.min(0, ...there);
    this.high = Math.max(settings.rest, 1, ...there);
    const rest = this.y(settings.rest);
    const parts = [svg("line", { x1: 0, x2: WIDTH, y1: rest, y2: rest, class: "arg-rest" })];
    rows.forEach((values, row) => parts.push(...this.line(values, row, this.guesses(settings))));
    const focused = this.plot.contains(document.activeElement);
    this.plot.replaceChildren(...parts);
    this.plot.classList.toggle("arg-fixed", !this.editable);
    this.look(this.at ?? 0, focused);
    this.text.textContent = this.describe(settings, rows);
    this.text.classList.toggle("arg-wrong", settings.wrong !== undefined);
    this.text.title = this.text.textContent;
  }

  /** Whether the numbers are not known: they come from a link, or from the model and it has not run yet. */
  guesses(settings) {
    return settings.linked.length > 0 || (settings.kind === FAMILY && !this.run);
  }

  line(values, row, guessed) {
    const runs = values.map((value, k) => (value === null ? " " : `${this.x(k)},${this.y(value)}`));
    const look = `arg-curve${guessed ? " arg-guess" : ""}${row ? " arg-second" : ""}`;
    const curve = svg("polyline", { points: runs.join(" ").trim(), class: look });
    const shown = this.settings.linked.length ? [] : handles(this.steps).filter((k) => values[k] !== null);
    return [curve, ...shown.map((k) => this.point(k, values[k], row))];
  }

  describe(settings, rows) {
    const { linked } = settings;
    if (settings.wrong !== undefined) return say("values: '{0}' is not a number", settings.wrong);
    if (linked.length) return say(linked.length > 1 ? "{0} come from links" : "{0} comes from a link", linked.join(", "));
    if (this.guesses(settings)) return say("the model decides; run to see how");
    const shown = rows.map((values) => values.filter((value) => value !== null)).map(span);
    const weights = rows.length > 1 ? shown.map((text, row) => `${["γ", "γ′"][row]} ${text}`) : shown;
    const said = say("{0} steps, {1}", this.steps, weights.join(", "));
    if (settings.kind === FAMILY) return said + say(this.run.checkpoint ? ", as the model's authors chose" : ", as in the last run");
    if (settings.kind === "curve") return said + say(", drawn in 'curve'");
    if (this.steps > STEPS[1]) return said + say(", too many to drag");
    if (settings.kind === "list" && this.run && this.run.steps !== this.steps) return said + say(", fitted to the model's {0}", this.run.steps);
    return said;
  }

  point(k, value, row) {
    const look = { class: row ? "arg-point arg-second" : "arg-point", "data-step": k };
    const dot = svg("circle", { cx: this.x(k), cy: this.y(value), r: this.steps > 24 ? 2.5 : 4, ...look });
    const text = say("step {0}: {1}", k + 1, short(value));
    dot.append(svg("title", { ".textContent": text }));
    const range = { "aria-valuemin": Math.min(this.low, value), "aria-valuemax": Math.max(this.high, value), "aria-valuenow": value };
    const labels = { role: "slider", tabindex: -1, "aria-label": say("strength of step {0}", k + 1), "aria-valuetext": text, "aria-orientation": "vertical" };
    if (!row && this.editable) for (const [name, set] of Object.entries({ ...labels, ...range })) dot.setAttribute(name, set);
    return dot;
  }

  /** Let the keyboard be at the point nearest to a step: Tab comes to one point, the arrow keys go to the others. */
  look(step, focus = false) {
    const dots = [...this.plot.querySelectorAll("[role=slider]")];
    if (!dots.length) return;
    const far = (dot) => Math.abs(Number(dot.dataset.step) - step);
    const near = dots.reduce((best, dot) => (far(dot) < far(best) ? dot : best));
    for (const dot of dots) dot.setAttribute("tabindex", dot === near ? 0 : -1);
    this.at = Number(near.dataset.step);
    if (focus) near.focus();
  }

  /** Arrow keys: sideways to another point, up and down another strength; with Page a whole one. */
  steer(event) {
    const by = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
    const to = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (event.target.getAttribute("role") !== "slider" || (by ?? to) === undefined) return;
    event.preventDefault();
    const points = handles(this.steps);
    const place = Math.min(Math.max(points.indexOf(this.at) + (to ?? 0), 0), points.length - 1);
    if (by === undefined) return this.look(points[place], true);
    const values = this.values();
    this.bend(values, this.at, Number((values[this.at] + by).toFixed(2)));
  }

  /** The strengths as a list; where the guidance is off, those of rest. */
  values() {
    const settings = this.settings;
    return this.rows(settings)[0].map((value) => value ?? settings.rest);
  }

  /** Give a step another strength; the steps between two points bend with it. */
  bend(values, at, value) {
    const [by, reach] = [value - values[at], gap(this.steps)];
    this.write(values.map((old, k) => old + by * Math.max(0, 1 - Math.abs(k - at) / reach)));
    this.refresh();
  }

  x(k) {
    return EDGE + ((WIDTH - 2 * EDGE) * k) / Math.max(this.steps - 1, 1);
  }

  y(value) {
    return TALL - EDGE - ((TALL - 2 * EDGE) * (value - this.low)) / (this.high - this.low || 1);
  }

  grab(event) {
    if (!this.editable || event.button) return;
    const at = ((this.place(event).x - EDGE) / (WIDTH - 2 * EDGE)) * (this.steps - 1);
    this.held = handles(this.steps).reduce((best, k) => (Math.abs(k - at) < Math.abs(best - at) ? k : best));
    this.frozen = { low: this.low, high: this.high, values: this.values() }; // the axis must not move under the finger
    this.plot.setPointerCapture?.(event.pointerId);
    this.drag(event);
  }

  drag(event) {
    if (this.held === null || this.held === undefined) return;
    const { low, high, values } = this.frozen;
    const share = (TALL - EDGE - this.place(event).y) / (TALL - 2 * EDGE);
    const value = Number((low + (high - low) * Math.min(Math.max(share, -0.25), 1.25)).toFixed(2));
    this.bend(values, this.held, value);
  }

  write(values) {
    setWidget(this.node, "values", values.map((value) => Number(value.toFixed(3))).join(", "));
    if (this.settings.kind !== "list") setWidget(this.node, "schedule", "list");
  }

  place(event) {
    const box = this.plot.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * WIDTH, y: ((event.clientY - box.top) / box.height) * TALL };
  }
}

/** Steps between two points. */
function gap(count) {
  return Math.max(1, Math.floor((count - 1) / (POINTS - 1)));
}

/** The steps that have a point: all, or as many as can be told apart. */
function handles(count) {
  const shown = Math.min(count, POINTS);
  return Array.from({ length: shown }, (_, at) => (shown === count ? at : Math.round((at * (count - 1)) / (shown - 1))));
}

/** First and last of a row of strengths. */
function span(values) {
  return values.length ? `${short(values[0])} → ${short(values.at(-1))}` : say("off");
}

/** The choices of a combo widget. */
function listed(widget) {
  const values = widget?.options?.values;
  return (typeof values === "function" ? values() : values) ?? [];
}

function short(value) {
  return Number(value.toPrecision(3)).toString();
}
