// Heat maps: bytes to colours. The colour map is viridis, as in the node AR Guidance Map.

const POINTS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"].map(
  (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16))
);

/** A share in 0-1 -> [r, g, b], linear between the control points. */
export function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (POINTS.length - 1);
  const below = Math.min(Math.floor(place), POINTS.length - 2);
  return POINTS[below].map((value, at) => Math.round(value + (POINTS[below + 1][at] - value) * (place - below)));
}

/** A packed map {values: base64} -> bytes. */
export function bytes(map) {
  return Uint8Array.from(atob(map.values), (letter) => letter.charCodeAt(0));
}

/** The number at a place of a packed map. */
export function valueAt(map, index) {
  return map.low + ((map.high - map.low) * bytes(map)[index]) / 255;
}

/** Draw a packed map, a pixel per token; the style sheet enlarges it. */
export function drawMap(canvas, map, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  bytes(map).forEach((value, at) => picture.data.set([...colour(value / 255), 255], at * 4));
  context.putImageData(picture, 0, 0);
}
