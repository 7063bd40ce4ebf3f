// One colour for each kind of the pack's wires, in both renderers.

import { app } from "../../../scripts/app.js";

const CHECK = 1000; // milliseconds; a change of the colour palette empties the frontend's tables
const COLOURS = {
  AR_MODEL: "#9b8cff",
  AR_CONDITIONING: "#ffa931",
  AR_SAMPLING: "#4cc9b0",
  AR_TOKENS: "#f06ba8",
  AR_TRACE: "#c7d64a",
  AR_RECORDING: "#c98a5a",
  AR_EDM2_MODEL: "#7aa7ff",
};

/** Give the pack's wires their colours, and again after every change of palette; a palette that names its own for them keeps them. */
export function colourLinks() {
  fill();
  setInterval(fill, CHECK);
}

/** The frontend's tables have an empty entry for every kind that the palette does not know; Nodes 2.0 reads variables for its slots. */
function fill() {
  for (const table of [app.canvas?.default_connection_color_byType, window.LGraphCanvas?.link_type_colors]) {
    if (!table) continue;
    for (const [kind, colour] of Object.entries(COLOURS)) table[kind] ||= colour;
  }
  const { style } = document.documentElement;
  for (const [kind, colour] of Object.entries(COLOURS)) {
    const name = `--color-datatype-${kind}`;
    if (!style.getPropertyValue(name)) style.setProperty(name, colour);
  }
}
