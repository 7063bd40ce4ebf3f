// The likeliest tokens at one place, each as the little patch of the image it would give.

import { element } from "./dom.mjs";
import { say } from "./words.mjs";

const SIDE = 34; // pixels of a patch; the token is its middle third

/**
 * Two rows of patches, before and after guidance, the drawn one framed.
 *
 * `colours`: token -> what its code adds to the colour of its place. `place`: {shown, row, column, rows, columns}, the image
 * element and the token's place in it.
 */
export function candidates(list, at, colours, place) {
  const drawn = list.drawn[at];
  const surroundings = crop(place);
  const row = (name, title) => {
    const tokens = list[name].tokens[at].map((token, rank) => ({ token, share: list[name].share[at][rank] / 10 }));
    const cells = tokens.map((one) => cell(one, drawn, patch(surroundings, colours, one.token, drawn)));
    return element("div", { class: "arg-candidate-row" }, [element("span", { class: "arg-candidate-title", ".textContent": title }), ...cells]);
  };
  return element("div", { class: "arg-candidates" }, [row("before", say("before guidance")), row("after", say("after guidance"))]);
}

function cell({ token, share }, drawn, canvas) {
  const text = say("token {0}, {1} %", token, share.toFixed(1));
  const look = token === drawn ? "arg-candidate arg-drawn" : "arg-candidate";
  const title = token === drawn ? `${text} · ${say("drawn")}` : text;
  return element("span", { class: look, title }, [canvas, element("span", { ".textContent": `${share.toFixed(share < 10 ? 1 : 0)} %` })]);
}

/** The token's place in the image with one token's width around it. */
function crop({ shown, row, column, rows, columns }) {
  const canvas = element("canvas", { width: SIDE, height: SIDE });
  if (!shown?.naturalWidth) return canvas;
  const [width, height] = [shown.naturalWidth / columns, shown.naturalHeight / rows];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(shown, (column - 1) * width, (row - 1) * height, 3 * width, 3 * height, 0, 0, SIDE, SIDE);
  return canvas;
}

/** The same with the middle as another token would colour it. */
function patch(surroundings, colours, token, drawn) {
  const canvas = element("canvas", { width: SIDE, height: SIDE, class: "arg-patch" });
  const context = canvas.getContext("2d");
  context.drawImage(surroundings, 0, 0);
  const [wanted, now] = [colours[token], colours[drawn]];
  if (!wanted || !now) return canvas;
  const third = Math.round(SIDE / 3);
  const middle = context.getImageData(third, third, third, third);
  for (let at = 0; at < middle.data.length; at++) if (at % 4 < 3) middle.data[at] += 255 * (wanted[at % 4] - now[at % 4]);
  context.putImageData(middle, third, third);
  return canvas;
}
