// The panel of AR Find Scale: which scale is tried, the two curves so far, and the answer.

import { sayMessage } from "./messages.mjs";
import { element, svg, widgetOf } from "./dom.mjs";
import { addPanel } from "./panels.mjs";
import { keep, kept } from "./memory.mjs";
import { StatusLine, progressText } from "./status.mjs";
import { say } from "./words.mjs";

const HEIGHT = 190;
const [WIDTH, TALL, EDGE] = [240, 76, 6];
const CURVES = ["evenness", "divergence"]; // in the order in which the node sends them

export class SearchPanel {
  constructor(node) {
    this.node = node;
    this.shown = null; // the node's answer: {scale, message, tried}
    this.settings = ""; // which run that was (see past_runs.mjs)
    this.off = false; // previews are shown here
    this.build();
    addPanel(node, "ar_search", this.panel, () => HEIGHT, () => this.check());
  }

  build() {
    this.status = new StatusLine(this.node);
    this.plot = svg("svg", { class: "arg-search-plot", viewBox: `0 0 ${WIDTH} ${TALL}`, preserveAspectRatio: "none", role: "img" });
    this.image = element("img", { class: "arg-search-image", alt: say("image"), draggable: "false" });
    this.image.hidden = true;
    this.image.addEventListener("load", () => URL.revokeObjectURL(this.image.src));
    this.key = element("div", { class: "arg-caption" }, CURVES.map((name) => element("span", { class: `arg-key arg-${name}`, ".textContent": say(name) })));
    this.answer = element("div", { class: "arg-answer", role: "status", tabindex: 0 });
    const row = element("div", { class: "arg-row" }, [this.plot, this.image]);
    this.panel = element("div", { class: "arg-viewer arg-searching" }, [this.status.line, row, this.key, this.answer]);
    this.draw([]);
    this.say(say("Run: the scales that are tried appear here."));
  }

  say(text) {
    this.answer.textContent = this.answer.title = text;
  }

  /** Recall what an earlier node in this place showed, once. */
  check() {
    if (this.recalled) return;
    this.recalled = true;
    const before = this.shown ? undefined : kept(this.node, "search");
    if (!before) return;
    this.settings = before.settings;
    this.show(before.shown);
  }

  /** Which settings what is shown belongs to. */
  belongsTo(settings) {
    this.settings = settings;
    if (this.shown) keep(this.node, "search", { shown: this.shown, settings });
  }

  /** What the node has sent. */
  receive(output) {
    const [answer] = output?.ar_answer ?? [];
    if (Array.isArray(answer?.tried)) this.show(answer);
  }

  show(answer) {
    this.shown = answer;
    this.image.hidden = true;
    this.draw(answer.tried, answer.scale);
    this.say(sayMessage(answer.message));
  }

  /** How far the search is: {scale, tried, ...}. */
  progress(message) {
    this.status.tell(progressText(message));
    if (!message.tried) return;
    this.running = true;
    this.draw(message.tried, message.scale, true);
    this.say(message.tried.length ? say("scales tried so far: {0}", message.tried.map(([scale]) => short(scale)).join(", ")) : "");
  }

  live() {} // no maps are shown here

  /** The image so far, of the scale that is tried. */
  preview(url) {
    this.image.hidden = false;
    this.image.src = url;
  }

  /** The run has ended: the last answer counts again, if there is one. */
  stop() {
    this.status.calm();
    this.image.hidden = true;
    if (!this.running) return;
    this.running = false;
    if (this.shown) this.show(this.shown);
    else this.status.tell(say("stopped before the first result"));
  }

  /** Evenness and divergence over the scales tried, [[scale, evenness, divergence]]; a line at one scale, dashed while it is tried. */
  draw(tried, here, guess = false) {
    const points = [...tried].sort(([a], [b]) => a - b);
    const scales = points.map(([scale]) => scale).concat(here ?? []);
    const values = points.flatMap(([, ...both]) => both);
    const limit = (name, otherwise) => Number(widgetOf(this.node, name)?.value ?? otherwise);
    const x = placed(Math.min(limit("min_scale", 1), ...scales), Math.max(limit("max_scale", 16), ...scales), EDGE, WIDTH - EDGE);
    const y = placed(Math.min(...values), Math.max(...values), TALL - EDGE, EDGE);
    const marks = CURVES.flatMap((name, at) => curve(points.map((point) => [x(point[0]), y(point[at + 1])]), name));
    const look = guess ? "arg-here arg-guess" : "arg-here";
    if (here !== undefined) marks.push(svg("line", { x1: x(here), x2: x(here), y1: 0, y2: TALL, class: look, "vector-effect": "non-scaling-stroke" }));
    const words = points.map((point) => say("scale {0}: evenness {1}, divergence {2}", ...point.map(short))).join("; ");
    this.plot.setAttribute("aria-label", words || say("nothing tried yet"));
    this.plot.replaceChildren(...marks, svg("title", { ".textContent": words }));
  }
}

function curve(points, name) {
  const path = points.map((point) => point.join(",")).join(" ");
  const line = svg("polyline", { points: path, class: `arg-line arg-${name}`, "vector-effect": "non-scaling-stroke" });
  return [line, ...points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5, class: `arg-dot arg-${name}` }))];
}

/** A number between two ends -> its place between two others. */
function placed(low, high, from, to) {
  return (value) => (high > low ? from + ((to - from) * (value - low)) / (high - low) : (from + to) / 2);
}

function short(value) {
  return Number(value.toPrecision(3)).toString();
}
