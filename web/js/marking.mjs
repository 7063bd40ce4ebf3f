// Marking tokens of an image by painting over them, for in-painting.

import { element } from "./dom.mjs";
import { say } from "./words.mjs";

export class Marking {
  /** `done(cells)`: the user wants these cells, a set of "row,column", drawn again. */
  constructor(done) {
    this.done = done;
    this.cells = new Set();
    this.active = false;
    this.layer = element("canvas", { class: "arg-marks" });
    this.layer.addEventListener("pointerdown", (event) => this.press(event));
    this.layer.addEventListener("pointermove", (event) => event.buttons & 1 && this.mark(event));
    this.apply = element("button", { type: "button", class: "arg-button arg-apply", ".textContent": say("in-paint what is marked"), onclick: () => this.finish() });
    this.cancel = element("button", { type: "button", class: "arg-button", ".textContent": say("cancel"), onclick: () => this.stop() });
    this.controls = [this.apply, this.cancel];
    this.stop();
  }

  /** Let the user mark cells of a grid. */
  start([rows, columns]) {
    this.active = true;
    [this.layer.width, this.layer.height] = [columns, rows];
    this.draw();
  }

  stop() {
    this.active = false;
    this.cells.clear();
    this.draw();
  }

  press(event) {
    this.layer.setPointerCapture?.(event.pointerId);
    const cell = this.cellAt(event);
    this.adding = !this.cells.has(cell);
    this.mark(event);
  }

  mark(event) {
    const cell = this.cellAt(event);
    if (this.adding) this.cells.add(cell);
    else this.cells.delete(cell);
    this.draw();
  }

  cellAt({ clientX, clientY }) {
    const box = this.layer.getBoundingClientRect();
    const place = (at, from, length, count) => Math.min(Math.max(Math.floor(((at - from) / length) * count), 0), count - 1);
    return `${place(clientY, box.top, box.height, this.layer.height)},${place(clientX, box.left, box.width, this.layer.width)}`;
  }

  draw() {
    this.layer.hidden = this.apply.hidden = this.cancel.hidden = !this.active;
    this.apply.disabled = !this.cells.size;
    const context = this.layer.getContext("2d");
    context.clearRect(0, 0, this.layer.width, this.layer.height);
    context.fillStyle = "#4c9be8b0";
    for (const cell of this.cells) {
      const [row, column] = cell.split(",").map(Number);
      context.fillRect(column, row, 1, 1);
    }
  }

  finish() {
    const cells = new Set(this.cells);
    this.stop();
    this.done(cells);
  }
}
