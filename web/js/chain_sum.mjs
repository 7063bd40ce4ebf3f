// What the guidances of a chain add up to: Chain.strength of guidance/chain.py, for the nodes of the graph.

import { placesOf } from "./instances.mjs";
import { LIKE_CFG, OTHERS } from "./methods.mjs";
import { nameOf, runs, sourceOf } from "./upstream.mjs";

const COMBINES = [...LIKE_CFG, ...OTHERS];

/** The chain that ends in a node, as {node, around}: itself, then every node before it along ar_sampling, outside of subgraphs and inside. */
function* chain(place) {
  for (const seen = new Set(); place && !seen.has(nameOf(place)); ) {
    seen.add(nameOf(place));
    yield place;
    const { node, around } = place;
    const slot = node.inputs?.findIndex(({ name, type }) => name === "ar_sampling" || type === "AR_SAMPLING") ?? -1;
    place = slot < 0 ? null : sourceOf(node, slot, around);
  }
}

/**
 * Multiples of the nudge that a node and those before it add up to at the step where they are most; null where fewer than two of
 * them act together, where one is not known, or where it depends on which node of a subgraph is meant. `rowsOf(node, around)`:
 * strengths of its weights at every step, null where off; or null.
 */
export function chainSum(node, rowsOf) {
  if (!COMBINES.includes(node.comfyClass)) return null;
  const [sum, ...others] = placesOf(node).map((around) => sumBehind({ node, around }, rowsOf));
  return others.every((other) => other === sum) ? (sum ?? null) : null;
}

function sumBehind(place, rowsOf) {
  const acting = [...chain(place)].filter((one) => COMBINES.includes(one.node.comfyClass) && runs(one));
  if (acting.length < 2 || acting[0].node !== place.node) return null;
  const all = acting.map(({ node, around }) => ({ likeCfg: LIKE_CFG.includes(node.comfyClass), rows: rowsOf(node, around) }));
  if (all.some(({ rows }) => !rows)) return null;
  const count = all[0].rows[0].length;
  const together = Array.from({ length: count }, (_, k) => sumAt(all, k, count)).filter((sum) => sum !== null);
  return together.length ? Math.max(...together) : null;
}

/** The base, c = u + G or u, and what every guidance adds to it; null where fewer than two act. */
function sumAt(all, k, count) {
  const here = all.map(({ likeCfg, rows }) => ({ likeCfg, weights: rows.map((row) => strengthAt(row, k, count)) }));
  const on = here.filter(({ weights }) => weights[0] !== null);
  if (on.length < 2) return null;
  const base = on.some(({ likeCfg }) => likeCfg) ? 1 : 0;
  return on.reduce((sum, { likeCfg, weights }) => sum + weights.reduce((a, b) => a + b) - (likeCfg ? 1 : 0), base);
}

/** Rows may be drawn with another number of steps. */
function strengthAt(row, k, count) {
  return row[row.length === count || count < 2 ? k : Math.round((k * (row.length - 1)) / (count - 1))] ?? null;
}
