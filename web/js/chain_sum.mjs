// What the guidances of a chain add up to: Chain.strength of guidance/chain.py, for the nodes of the graph.

import { LIKE_CFG, OTHERS } from "./methods.mjs";

const COMBINES = [...LIKE_CFG, ...OTHERS];
const [MUTED, BYPASSED] = [2, 4];

/** The chain that ends in a node: itself, then every node before it along ar_sampling. */
function* chain(node) {
  for (const seen = new Set(); node && !seen.has(node); ) {
    seen.add(node);
    yield node;
    const slot = node.inputs?.findIndex((input) => input.name === "ar_sampling") ?? -1;
    node = slot < 0 || node.subgraph ? null : node.getInputNode?.(slot); // what a subgraph holds is not known here
  }
}

/**
 * Multiples of the nudge that a node and those before it add up to at the step where they are most; null where fewer than two of
 * them act together, or where one is not known. `rowsOf(node)`: strengths of its weights at every step, null where off; or null.
 */
export function chainSum(node, rowsOf) {
  if (!COMBINES.includes(node.comfyClass)) return null;
  const acting = [...chain(node)].filter(({ comfyClass, mode }) => COMBINES.includes(comfyClass) && mode !== MUTED && mode !== BYPASSED);
  if (acting.length < 2 || acting[0] !== node) return null;
  const all = acting.map((one) => ({ likeCfg: LIKE_CFG.includes(one.comfyClass), rows: rowsOf(one) }));
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
