// The viewer on AR Decode: the images of the last run, and on request what happened inside it.
// It draws what the node sent (see docs/viewer.md); what was looked at is kept for the next node in this node's place.

import { element, pressable, widgetOf } from "./dom.mjs";
import { addPanel, fitNode } from "./panels.mjs";
import { keep, kept } from "./memory.mjs";
import { showFullSize } from "./dialog.mjs";
import { aroundOf } from "./instances.mjs";
import { Filmstrip } from "./filmstrip.mjs";
import { Inside } from "./inside.mjs";
import { inPaint, sampleAgain, vary } from "./actions.mjs";
import { Marking } from "./marking.mjs";
import { chooseSeed, rememberSeeds } from "./seed_history.mjs";
import { keepSeed } from "./seeds.mjs";
import { chooseStyle } from "./styles.mjs";
import { StatusLine, progressText } from "./status.mjs";
import { checkpointOf } from "./upstream.mjs";
import { say, sayMap } from "./words.mjs";

const [SHUT, FULL] = [34, 560]; // heights of the panel: viewer off, and on, so that a run makes nothing taller
const SMALL = 128; // pixels of an image up to which every one of them is shown as a square

export class Viewer {
  /** The panel of `home`, for the AR Decode that `find()` gives first: `home` itself, or one in its subgraph, followed by the nodes around it. */
  constructor(home, find = () => [home]) {
    this.home = home;
    this.find = find;
    this.choices = []; // every image of every run: {run, image, entry}
    this.shown = null; // the choice that is looked at
    this.chosen = 0;
    this.running = null; // the newest map of a run under way
    this.settings = ""; // which run that was (see past_runs.mjs)
    this.build();
    addPanel(home, "ar_viewer", this.panel, () => (this.off ? SHUT : FULL), () => this.check());
  }

  get node() {
    return this.find()[0];
  }

  /** The subgraphs' nodes around that AR Decode, from the inside out. */
  get around() {
    return [...this.find().slice(1), ...aroundOf(this.home)];
  }

  get off() {
    return !this.node || widgetOf(this.node, "viewer")?.value === "off";
  }

  build() {
    this.status = new StatusLine(this.home);
    this.inside = new Inside(() => this.draw());
    this.hint = element("div", { class: "arg-hint", ".textContent": say("Run: the images appear here.") });
    this.frame = element("img", { class: "arg-frame", alt: say("image"), draggable: "false" });
    this.frame.hidden = true;
    this.marking = new Marking((cells) => this.paint(cells));
    const layers = [this.frame, this.inside.map, this.marking.layer];
    this.stage = element("div", { class: "arg-stage", role: "button", tabindex: 0, "aria-label": say("image in full size") }, layers);
    this.stage.addEventListener("pointermove", (event) => this.hover(event));
    this.stage.addEventListener("pointerleave", () => (this.inside.token.textContent = ""));
    pressable(this.stage, () => this.enlarge());
    const room = element("div", { class: "arg-room" }, [this.hint, this.stage]);
    this.film = new Filmstrip((place) => this.choose(place), this.actions());
    this.look = element("button", { type: "button", class: "arg-button arg-look", "aria-pressed": false, onclick: () => this.toggle() });
    this.smooth = element("button", { type: "button", class: "arg-button arg-smooth", onclick: () => this.enlargeBy() });
    const seeds = { ".textContent": say("earlier seeds…"), title: say("seeds of the last runs, to be used again"), onclick: () => this.seeds() };
    this.tools = element("div", { class: "arg-row arg-tools" }, [
      this.look, this.smooth, element("button", { type: "button", class: "arg-button", ...seeds }), ...(this.within ? [] : [this.styles()]), ...this.marking.controls,
    ]);
    this.body = element("div", { class: "arg-body" }, [room, this.film.panel, this.tools, this.inside.panel]);
    this.panel = element("div", { class: "arg-viewer" }, [this.status.line, this.body]);
    this.film.panel.hidden = this.look.hidden = this.smooth.hidden = this.stage.hidden = true; // until there is something to look at
    this.label();
  }

  /** Whether the nodes it is about are out of sight, in a subgraph: then it sets what stands outside, and adds no nodes in there. */
  get within() {
    return Boolean(this.home.subgraph);
  }

  /** What can be done with an image of the filmstrip. */
  actions() {
    const keep = ["keep this seed", "use the seed that made this image in the next runs", (entry) => this.keepSeed(entry)];
    if (this.within) return [keep];
    return [
      ["sample again", "draw this image again with another seed; the others stay", (entry) => sampleAgain(this.node, entry)],
      ["vary", "keep its coarse scales and draw the details again, beside the old image", (entry) => vary(this.node, entry)],
      ["in-paint here", "mark a part of the image and draw it again", () => this.marking.start(this.finestGrid())],
      keep,
    ];
  }

  /** Recall what an earlier node in this place showed, once; then follow the widget. */
  check() {
    if (this.body.hidden !== this.off) {
      this.body.hidden = this.off;
      fitNode(this.home, this.off ? 0 : 300);
    }
    if (this.recalled) return;
    this.recalled = true;
    const before = this.shown ? undefined : kept(this.home, "viewer");
    if (!before) return;
    Object.assign(this, { chosen: before.chosen, settings: before.settings, smoothed: before.smoothed });
    Object.assign(this.inside, { plain: before.plain, open: before.open });
    this.inside.opacity.value = before.opacity;
    this.show(before.runs);
    if ([...this.inside.maps.options].some(({ value }) => value === before.map)) this.inside.maps.value = before.map;
    this.inside.go(before.step);
  }

  /** Keep what is looked at. */
  remember() {
    const { chosen, settings, smoothed, inside } = this;
    const runs = [...new Set(this.choices.map(({ run }) => run))];
    const { step, plain, open } = inside;
    const look = { step, plain, open, map: inside.maps.value, opacity: inside.opacity.value };
    keep(this.home, "viewer", { runs, chosen, settings, smoothed, ...look });
  }

  /** Which settings what is shown belongs to. */
  belongsTo(settings) {
    this.settings = settings;
    if (this.shown) this.remember();
  }

  /** What the node has sent; `fresh`: just now, not found in the history. */
  receive(output, fresh) {
    const sent = [output?.ar_viewer ?? []].flat();
    const runs = sent.filter(whole); // of a sweep one for each run
    if (runs.length) this.show(runs);
    else if (sent.length) this.status.tell(say("The images of this run cannot be shown here: another version of AR Guidance made them."), "arg-note");
    if (fresh) rememberSeeds(runs.flatMap(({ strip }) => strip ?? []), checkpointOf(this.node, this.around));
  }

  styles() {
    const tell = (text, kind) => this.status.tell(text, kind);
    const open = () => chooseStyle(this.panel, this.node, tell);
    return element("button", { type: "button", class: "arg-button", ".textContent": say("styles…"), title: say("named settings of sampler and guidance"), onclick: open });
  }

  seeds() {
    chooseSeed(this.panel, checkpointOf(this.node, this.around), (entry) => this.keepSeed(entry));
  }

  /** Let the next runs use an image's seed; where that cannot be, the panel says so. */
  keepSeed(entry) {
    if (keepSeed(this.node, entry, this.around)) return;
    this.status.tell(say("Seed {0} could not be set: no AR Sampler before this node takes it. Does a link give its seed?", entry.seed), "arg-note");
  }

  /** All runs of the node have ended: show one of their images. */
  show(runs) {
    this.running = null;
    this.choices = runs.flatMap((run, at) => choicesOf(run, runs.length > 1 ? say("run {0}", at + 1) : ""));
    this.hint.hidden = true;
    this.stage.hidden = this.look.hidden = this.smooth.hidden = this.film.panel.hidden = false;
    this.marking.stop();
    this.take(Math.min(this.chosen, this.choices.length - 1));
    this.film.show(this.choices.map(({ entry }) => entry), this.chosen);
    this.inside.go(Infinity);
  }

  /** Look at one of the images. */
  take(chosen) {
    this.chosen = chosen;
    this.shown = this.choices[chosen];
    this.inside.take(this.shown.run, this.shown.image);
  }

  choose(chosen) {
    this.take(chosen);
    this.film.mark(chosen);
    this.draw();
  }

  draw() {
    if (!this.shown || this.running) return;
    const { run, image, entry } = this.shown;
    const [width, height] = run.size;
    this.shape(width, height);
    this.frame.hidden = false;
    this.frame.src = image ? this.inside.frame() : entry.url;
    this.frame.alt = entry.text;
    const pixels = this.smoothed === undefined ? width <= SMALL : !this.smoothed;
    this.frame.classList.toggle("arg-pixels", pixels);
    const missing = image ? this.inside.missing() : 0;
    this.frame.style.clipPath = this.inside.map.style.clipPath = missing ? `inset(0 0 ${missing}% 0)` : "";
    this.inside.draw();
    this.label(pixels);
    this.remember();
  }

  /** Give the stage the proportions of the image. */
  shape(width, height) {
    this.stage.style.setProperty("--arg-ratio", width / height);
  }

  label(pixels = true) {
    this.look.textContent = say(this.inside.open ? "hide the inside" : "look inside");
    this.look.setAttribute("aria-pressed", this.inside.open);
    this.smooth.textContent = say(pixels ? "smooth" : "pixels");
    this.smooth.title = say("how a small image is enlarged");
    this.inside.panel.hidden = !this.inside.open;
  }

  toggle() {
    this.inside.open = !this.inside.open;
    this.label();
    this.draw();
  }

  enlargeBy() {
    this.smoothed = this.frame.classList.contains("arg-pixels");
    this.draw();
  }

  enlarge() {
    if (!this.shown || this.running || this.marking.active) return;
    showFullSize(this.panel, this.choices.map(({ image, entry }) => ({ url: image?.final ?? entry.url, text: entry.text })), this.chosen);
  }

  finestGrid() {
    return this.shown.run.grids.at(-1);
  }

  /** The user has marked what to draw again. */
  paint(cells) {
    inPaint(this.node, this.shown.entry, cells, this.finestGrid()).catch((error) => this.status.complain(error.message));
  }

  /** How far the run under way is. */
  progress(message) {
    this.status.tell(progressText(message));
  }

  /** The image so far, of a run under way. */
  preview(url) {
    this.begin();
    this.frame.hidden = false;
    this.frame.onload = () => URL.revokeObjectURL(url);
    this.frame.src = url;
    this.frame.style.clipPath = "";
  }

  /** The newest map of a run under way. */
  live(message) {
    this.begin(message);
    this.shape(message.grid[1], message.grid[0]);
    this.inside.drawLive(message);
    if (this.status.line.hidden) this.status.tell(say("step {0} of {1}", message.step + 1, message.count));
    if (this.inside.open) this.inside.caption.textContent = say("running: step {0} of {1}, {2}", message.step + 1, message.count, sayMap(message.map));
  }

  begin(message = {}) {
    this.running = message;
    this.hint.hidden = true;
    this.stage.hidden = false;
    this.inside.token.textContent = "";
  }

  /** The run has ended, perhaps without a result of this node: what was shown before it counts again. */
  stop() {
    this.status.calm();
    if (!this.running) return;
    this.running = null;
    this.frame.onload = null;
    if (this.shown) this.draw();
    else this.status.tell(say("stopped before the first result"));
  }

  /** What is known of the token under the mouse. */
  hover(event) {
    if (!this.shown || this.running) return;
    const box = this.stage.getBoundingClientRect();
    this.inside.hover((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, this.frame);
  }
}

/** Whether a run's payload is as docs/viewer.md has it: the history may hold those of other versions. */
function whole(run) {
  const lists = [run?.pictures, run?.size, run?.grids];
  return lists.every((list) => Array.isArray(list) && list.length) && run.pictures.every(({ final, frames, maps }) => final && frames && maps);
}

/** Every image of a run: {run, image, entry}; `image` is what can be looked into, of the first ones. */
function choicesOf(run, runName) {
  const strip = run.strip?.length ? run.strip : run.pictures.map(({ final }, place) => ({ url: final, place }));
  return strip.map((entry, at) => {
    const words = [runName, entry.name || say("image {0}", at + 1), entry.seed && say("seed {0}", entry.seed)];
    return { run, image: run.pictures[at] ?? null, entry: { ...entry, text: words.filter(Boolean).join(", ") } };
  });
}
