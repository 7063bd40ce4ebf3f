// The strength of a guidance over the steps of a run: the numbers of guidance/schedule.py and guidance/curve.py, for
// drawing. A test compares them with the Python ones.

export const FAMILY = "family default";
const FLOOR = 4; // of cumulative decay

/** The settings with the schedule of the wired model in place of "family default"; null while that is not known. */
export function inForce(settings, published) {
  if (settings.kind !== FAMILY) return settings;
  if (!published) return null;
  const start = Math.max(settings.start, published.start); // the narrower of the two
  const end = Math.max(start, Math.min(settings.end, published.end));
  return { ...settings, ...published, start, end };
}

/** Strength of every step; null where the guidance is off. */
export function strengths(settings, count) {
  const { kind, full, rest, start, end, values, line } = settings;
  if (kind === "cumulative decay") return cumulative(count, full, line).map((one, k) => (inside(k, count, start, end) ? one : null));
  const shape = kind === "curve" ? curveThrough(settings.curve) : null;
  return Array.from({ length: count }, (_, k) => {
    if (!inside(k, count, start, end)) return null;
    if (kind === "list") return values.length ? resampled(values, k, count) : null;
    return rest + (full - rest) * (shape ? shape(count > 1 ? k / (count - 1) : 1) : rate(kind, k, count, settings.power));
  });
}

/** The number at a step of a list of any length: first and last stay at the ends, straight lines between. */
function resampled(values, k, count) {
  if (values.length === count) return values[k];
  const place = (count > 1 ? k / (count - 1) : 1) * (values.length - 1);
  const below = Math.min(Math.floor(place), values.length - 1);
  const above = Math.min(below + 1, values.length - 1);
  return values[below] + (values[above] - values[below]) * (place - below);
}

/** The numbers a list widget holds. */
export function parseList(text) {
  return entries(text).map(Number).filter(Number.isFinite);
}

/** The first entry of a list that is no number, for which the run would be refused. */
export function firstWrong(text) {
  return entries(text).find((entry) => !Number.isFinite(Number(entry)));
}

function entries(text) {
  return String(text ?? "").split(/[,\s]+/).filter(Boolean);
}

/** What a curve widget holds, {points, interpolation} or bare points, with the points in order. */
export function parseCurve(value) {
  const points = (Array.isArray(value) ? value : value?.points ?? []).map(([x, y]) => [Number(x), Number(y)]);
  const given = points.length ? points : [[0, 0], [1, 1]];
  return { points: given.sort(([a], [b]) => a - b), interpolation: value?.interpolation ?? "monotone_cubic" };
}

function inside(k, count, start, end) {
  const position = count > 1 ? k / (count - 1) : 0;
  return position >= start && position <= end;
}

/** r_k of the named shapes, 0-1. */
function rate(kind, k, count, power) {
  if (kind === "linear ramp") return count > 1 ? k / (count - 1) : 1;
  if (kind === "held ramp") return count > 1 ? Math.min(k, Math.max(count - 2, 0)) / (count - 1) : 1;
  if (kind === "cosine power") return 0.5 * (1 - Math.cos((k / count) ** power * Math.PI));
  if (kind === "linear decay") return 1 - k / count;
  return 1;
}

/** Every step's weight of Lumina-mGPT 2, whose line ends count as positions too. */
function cumulative(count, full, line) {
  if (full === 1) return Array(count).fill(1);
  let [now, n] = [full, 2];
  return Array.from({ length: count }, (_, k) => {
    for (const last = k + (line ? Math.floor(k / line) : 0) + 2; n <= last; n++) now = Math.max(FLOOR, now * (1 - (4 * n) / count));
    return now;
  });
}

/** x -> y of a curve through points: straight pieces or a monotone cubic. */
function curveThrough({ points, interpolation }) {
  const [first, last] = [points[0], points.at(-1)];
  const slopes = interpolation === "linear" ? null : slopesOf(points);
  return (x) => {
    if (x <= first[0]) return first[1];
    if (x >= last[0]) return last[1];
    const left = points.findLastIndex(([at]) => at <= x);
    const [[x0, y0], [x1, y1]] = [points[left], points[left + 1]];
    const [width, rise, t] = [x1 - x0, y1 - y0, (x - x0) / (x1 - x0)];
    if (!slopes) return y0 + t * rise;
    const [m0, m1] = [slopes[left] * width, slopes[left + 1] * width];
    return y0 + t * (m0 + t * (3 * rise - 2 * m0 - m1 + t * (m0 + m1 - 2 * rise)));
  };
}

/** Slope of the monotone cubic at every point: means of the neighbouring secants, shortened where a piece would overshoot. */
function slopesOf(points) {
  const secants = points.slice(1).map(([x, y], k) => (x > points[k][0] ? (y - points[k][1]) / (x - points[k][0]) : 0));
  const inner = secants.slice(1).map((b, k) => (secants[k] * b > 0 ? (secants[k] + b) / 2 : 0));
  const slopes = [secants[0] ?? 0, ...inner, secants.at(-1) ?? 0];
  secants.forEach((secant, k) => {
    const size = secant ? Math.hypot(slopes[k], slopes[k + 1]) / Math.abs(secant) : Infinity;
    const factor = secant === 0 ? 0 : size > 3 ? 3 / size : 1;
    slopes[k] *= factor;
    slopes[k + 1] *= factor;
  });
  return slopes;
}
