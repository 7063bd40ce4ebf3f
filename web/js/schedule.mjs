// The curve of a guidance's strength over the steps, drawn on its node; dragging a point writes the list of numbers.
// The shapes are those of guidance/schedule.py.

import { addPanel, element, keepEvents, setWidget, svg, widgetOf } from "./dom.mjs";
import { say } from "./words.mjs";

const HEIGHT = 116;
const [WIDTH, TALL, EDGE] = [240, 76, 8];
const FAMILY = "family default";
const STEPS = [2, 64];

/** r_k of the named shapes, 0-1. */
export function rate(kind, k, count, power) {
  const share = count > 1 ? k / (count - 1) : 1;
  if (kind === "linear ramp" || kind === FAMILY) return share;
  if (kind === "held ramp") return count > 1 ? Math.min(k, Math.max(count - 2, 0)) / (count - 1) : 1;
  if (kind === "cosine power") return 0.5 * (1 - Math.cos((k / count) ** power * Math.PI));
  if (kind === "linear decay") return 1 - k / count;
  return 1;
}

/** Strength of every step; null where the guidance is off. */
export function strengths(settings, count) {
  const { kind, full, rest, start, end, power, values } = settings;
  return Array.from({ length: count }, (_, k) => {
    const position = count > 1 ? k / (count - 1) : 0;
    if (position < start || position > end) return null;
    if (kind === "list") return values[k] ?? null;
    return rest + (full - rest) * rate(kind, k, count, power);
  });
}

/** The numbers a list widget holds. */
export function parseList(text) {
  return String(text ?? "").split(/[,\s]+/).filter(Boolean).map(Number).filter(Number.isFinite);
}

export class ScheduleEditor {
  /** Whether a node has a schedule to draw. */
  static fits(node) {
    return Boolean(widgetOf(node, "schedule") && (widgetOf(node, "scale") || widgetOf(node, "beta")));
  }

  constructor(node, steps = 10) {
    this.node = node;
    this.steps = steps;
    this.build();
    addPanel(node, "ar_schedule", this.panel, () => HEIGHT);
    this.timer = setInterval(() => this.refresh(), 250); // widgets change in many ways: typing, undo, loading, links
    const removed = node.onRemoved;
    node.onRemoved = (...details) => {
      clearInterval(this.timer);
      return removed?.apply(node, details);
    };
  }

  build() {
    this.plot = svg("svg", { class: "arg-schedule", viewBox: `0 0 ${WIDTH} ${TALL}`, preserveAspectRatio: "none" });
    this.text = element("span", { class: "arg-caption" });
    const button = (label, change, title) =>
      element("button", { type: "button", title, ".textContent": label, onclick: () => this.resize(change) });
    const buttons = [button("−", -1, say("draw fewer steps")), button("+", 1, say("draw more steps"))];
    const foot = element("div", { class: "arg-row" }, [this.text, ...buttons]);
    this.panel = keepEvents(element("div", { class: "arg-panel" }, [this.plot, foot]));
    this.plot.addEventListener("pointerdown", (event) => this.grab(event));
    this.plot.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) this.plot.addEventListener(name, () => (this.held = null));
  }

  get settings() {
    const read = (name, otherwise) => widgetOf(this.node, name)?.value ?? otherwise;
    const adds = !widgetOf(this.node, "scale"); // a term that is simply added rests at 0, a scale at 1
    return {
      kind: read("schedule", "constant"),
      full: Number(read(adds ? "beta" : "scale", 1)),
      rest: adds ? 0 : 1,
      start: Number(read("start", 0)),
      end: Number(read("end", 1)),
      power: Number(read("power", 1)),
      values: parseList(read("values", "")),
    };
  }

  get editable() {
    return Boolean(widgetOf(this.node, "values")) && listed(widgetOf(this.node, "schedule")).includes("list");
  }

  /** Steps of the last run of this graph, if the user has not set a list. */
  useSteps(count) {
    if (this.settings.kind !== "list") this.steps = Math.min(Math.max(count, STEPS[0]), STEPS[1]);
  }

  resize(change) {
    const { kind, values } = this.settings;
    const count = Math.min(Math.max(this.steps + change, STEPS[0]), STEPS[1]);
    if (kind === "list" && values.length) {
      this.write(Array.from({ length: count }, (_, k) => values[k] ?? values.at(-1)));
    }
    this.steps = count;
    this.refresh();
  }

  refresh() {
    if (!this.plot.isConnected) return;
    const settings = this.settings;
    if (settings.kind === "list" && settings.values.length) this.steps = settings.values.length;
    const state = JSON.stringify([settings, this.steps]);
    if (state === this.state) return;
    this.state = state;
    this.draw(settings);
  }

  draw(settings) {
    const values = strengths(settings, this.steps);
    const there = values.filter((value) => value !== null);
    this.low = Math.min(0, ...there);
    this.high = Math.max(settings.rest, 1, ...there);
    const rest = this.y(settings.rest);
    const parts = [svg("line", { x1: 0, x2: WIDTH, y1: rest, y2: rest, class: "arg-rest" })];
    const runs = values.map((value, k) => (value === null ? " " : `${this.x(k)},${this.y(value)}`));
    const points = runs.join(" ").trim();
    parts.push(svg("polyline", { points, class: settings.kind === FAMILY ? "arg-curve arg-guess" : "arg-curve" }));
    values.forEach((value, k) => {
      if (value !== null) parts.push(this.point(k, value));
    });
    this.plot.replaceChildren(...parts);
    const shown = there.length ? `${short(there[0])} → ${short(there.at(-1))}` : say("off");
    const note = settings.kind === FAMILY ? say(", VAR's ramp") : "";
    this.text.textContent = say("{0} steps, {1}", this.steps, shown) + note;
  }

  point(k, value) {
    const dot = svg("circle", { cx: this.x(k), cy: this.y(value), r: this.steps > 24 ? 2.5 : 4, class: "arg-point", "data-step": k });
    dot.append(svg("title", { ".textContent": say("step {0}: {1}", k + 1, short(value)) }));
    return dot;
  }

  x(k) {
    return EDGE + ((WIDTH - 2 * EDGE) * k) / Math.max(this.steps - 1, 1);
  }

  y(value) {
    return TALL - EDGE - ((TALL - 2 * EDGE) * (value - this.low)) / (this.high - this.low || 1);
  }

  grab(event) {
    if (!this.editable || event.button) return;
    const at = this.place(event);
    this.held = Math.min(Math.max(Math.round(((at.x - EDGE) / (WIDTH - 2 * EDGE)) * (this.steps - 1)), 0), this.steps - 1);
    this.frozen = { low: this.low, high: this.high }; // the axis must not move under the finger
    this.plot.setPointerCapture?.(event.pointerId);
    this.drag(event);
  }

  drag(event) {
    if (this.held === null || this.held === undefined) return;
    const { low, high } = this.frozen;
    const share = (TALL - EDGE - this.place(event).y) / (TALL - 2 * EDGE);
    const value = Number((low + (high - low) * Math.min(Math.max(share, -0.25), 1.25)).toFixed(2));
    const values = strengths(this.settings, this.steps).map((old) => old ?? this.settings.rest);
    values[this.held] = value;
    this.write(values);
    this.refresh();
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

/** The choices of a combo widget. */
function listed(widget) {
  const values = widget?.options?.values;
  return (typeof values === "function" ? values() : values) ?? [];
}

function short(value) {
  return Number(value.toPrecision(3)).toString();
}
