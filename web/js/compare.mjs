// The panel of AR Compare: the images of two runs over each other, a line between them that follows the pointer.

import { element, pressable } from "./dom.mjs";
import { addPanel } from "./panels.mjs";
import { keep, kept } from "./memory.mjs";
import { StatusLine, progressText } from "./status.mjs";
import { showFullSize } from "./dialog.mjs";
import { say } from "./words.mjs";

const HEIGHT = 560;
const SMALL = 128; // pixels of an image up to which every one of them is shown as a square
const FIRST = { left: "0", right: "1", row: "0", place: "50" }; // what is looked at first: two runs, an image, the line in percent

export class Comparer {
  constructor(node) {
    this.node = node;
    this.shown = null; // what the node sent: {columns, rows, images, left_out}
    this.running = false; // a preview of a run under way covers it
    this.settings = ""; // which run that was (see past_runs.mjs)
    this.off = false; // previews are always welcome
    this.build();
    addPanel(node, "ar_compare", this.panel, () => HEIGHT, () => this.check());
  }

  build() {
    this.status = new StatusLine(this.node);
    this.hint = element("div", { class: "arg-hint", ".textContent": say("Run: the images appear here, one over the other.") });
    this.before = element("img", { class: "arg-frame arg-whole", alt: "", draggable: "false" });
    this.after = element("img", { class: "arg-frame arg-whole arg-after", alt: "", draggable: "false" });
    this.line = element("div", { class: "arg-divider" });
    const look = { class: "arg-stage", role: "button", tabindex: 0, "aria-label": say("image in full size") };
    this.stage = element("div", look, [this.before, this.after, this.line]);
    this.stage.addEventListener("pointermove", (event) => this.follow(event));
    pressable(this.stage, () => this.enlarge());
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 50, class: "arg-slider", "aria-label": say("line between left and right") });
    this.slider.addEventListener("input", () => this.divide());
    [this.left, this.right, this.row] = ["left", "right", "image"].map((name) => this.choice(name));
    this.sides = element("div", { class: "arg-row arg-sides" }, [this.left, this.right]);
    const room = element("div", { class: "arg-room" }, [this.hint, this.stage]);
    this.body = element("div", { class: "arg-body" }, [room, this.slider, this.sides, this.row]);
    this.panel = element("div", { class: "arg-viewer arg-comparing" }, [this.status.line, this.body]);
    this.reveal(false);
  }

  choice(name) {
    const select = element("select", { class: "arg-select", "aria-label": say(name) });
    select.addEventListener("change", () => this.draw());
    return select;
  }

  reveal(whole) {
    this.stage.hidden = !whole && !this.running;
    this.slider.hidden = this.sides.hidden = !whole;
    this.row.hidden = !whole || this.shown.rows.length < 2;
  }

  /** Recall what an earlier node in this place showed, once. */
  check() {
    if (this.recalled) return;
    this.recalled = true;
    const before = this.shown ? undefined : kept(this.node, "compare");
    if (!before) return;
    this.settings = before.settings;
    this.show(before.shown, before.look);
  }

  get look() {
    return { left: this.left.value, right: this.right.value, row: this.row.value, place: this.slider.value };
  }

  remember() {
    keep(this.node, "compare", { shown: this.shown, settings: this.settings, look: this.look });
  }

  /** Which settings what is shown belongs to. */
  belongsTo(settings) {
    this.settings = settings;
    if (this.shown) this.remember();
  }

  /** What the node has sent. */
  receive(output) {
    const [sent] = output?.ar_compare ?? [];
    if (sent?.images?.length > 1) this.show(sent, this.shown ? this.look : FIRST);
  }

  /** Show a result; `look` as in FIRST, as far as it is still there. */
  show(sent, look) {
    this.shown = sent;
    this.running = false;
    fill(this.left, sent.columns, look.left);
    fill(this.right, sent.columns, look.right);
    fill(this.row, sent.rows, look.row);
    if (sent.left_out) this.row.append(element("option", { disabled: "", ".textContent": say("{0} more on the sheet", sent.left_out) }));
    this.slider.value = look.place;
    this.hint.hidden = true;
    this.reveal(true);
    this.draw();
  }

  draw() {
    if (!this.shown || this.running) return;
    for (const [frame, side] of [[this.before, this.left], [this.after, this.right]]) {
      const url = this.shown.images[side.value]?.[this.row.value];
      frame.hidden = !url; // a run may have fewer images than another
      frame.alt = `${this.shown.columns[side.value]}, ${this.shown.rows[this.row.value]}`;
      frame.onload = () => this.shape(frame);
      if (url) frame.src = url;
    }
    this.line.hidden = false;
    this.divide();
  }

  /** The stage has the proportions of the left image; enlarged, a small one shows its pixels. */
  shape(frame) {
    const { naturalWidth, naturalHeight } = frame;
    if (frame === this.before || this.before.hidden) this.stage.style.setProperty("--arg-ratio", naturalWidth / naturalHeight);
    frame.classList.toggle("arg-pixels", naturalWidth <= SMALL);
  }

  follow(event) {
    if (!this.shown || this.running) return;
    const { left, width } = this.stage.getBoundingClientRect();
    this.slider.value = (100 * (event.clientX - left)) / width;
    this.divide();
  }

  /** Left of the line the first image, right of it the second. */
  divide() {
    const place = this.slider.value;
    this.after.style.clipPath = `inset(0 0 0 ${place}%)`;
    this.line.style.left = `${place}%`;
    this.remember();
  }

  /** All runs' images of this row, in full size, beginning with the one under the line. */
  enlarge() {
    if (!this.shown || this.running) return;
    const { images, columns, rows } = this.shown;
    const at = Number(this.row.value);
    const there = columns.map((_, run) => run).filter((run) => images[run][at]);
    const looked = Number(this.slider.value) < 50 ? this.right.value : this.left.value;
    const all = there.map((run) => ({ url: images[run][at], text: `${columns[run]}, ${rows[at]}` }));
    showFullSize(this.panel, all, Math.max(0, there.indexOf(Number(looked))));
  }

  progress(message) {
    this.status.tell(progressText(message));
  }

  live() {} // no maps are shown here

  /** The image so far, of a run under way. */
  preview(url) {
    this.running = this.hint.hidden = true;
    this.stage.hidden = this.before.hidden = false;
    this.after.hidden = this.line.hidden = true;
    this.before.onload = () => {
      this.shape(this.before);
      URL.revokeObjectURL(url);
    };
    this.before.src = url;
  }

  /** The run has ended: what was shown before it counts again. */
  stop() {
    this.status.calm();
    if (!this.running) return;
    this.running = false;
    if (this.shown) this.draw();
    else this.status.tell(say("stopped before the first result"));
  }
}

function fill(select, names, value) {
  select.replaceChildren(...names.map((name, at) => element("option", { value: at, ".textContent": name })));
  select.value = Number(value) < names.length ? value : String(names.length - 1);
}
