// What can be done with an image of the filmstrip: nodes are set, or added and wired, as a user would by hand; then it runs.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { setWidget, widgetOf } from "./dom.mjs";
import { fix } from "./seeds.mjs";

const GAP = 60; // around a new node
const TOKENS = 2; // which output of AR Decode

/** Draw one image of the batch again with another seed; all others stay. */
export function sampleAgain(node, { place }) {
  const number = String(place + 1);
  const before = sourceOf(node)?.node;
  const used = before?.comfyClass === "ARSeeds" ? String(widgetOf(before, "reroll")?.value ?? "").trim() : null;
  const seeds = used === "" || used === number ? before : insertSeeds(node);
  reroll(seeds, number);
  run();
}

/** Draw variations of one image: its coarse scales stay, the details are drawn again. */
export function vary(node, entry) {
  const keep = add(node, "ARKeepScales");
  sourceOf(node).node.connect(sourceOf(node).slot, keep, slotOf(keep, "ar_sampling"));
  node.connect(TOKENS, keep, slotOf(keep, "ar_tokens"));
  branch(node, keep, entry);
}

/** Draw again what is marked: cells of the finest grid, as a set of "row,column". */
export async function inPaint(node, entry, cells, [rows, columns]) {
  const file = await uploadMask(cells, rows, columns);
  const mask = add(node, "LoadImageMask");
  const choice = widgetOf(mask, "image");
  if (Array.isArray(choice.options?.values) && !choice.options.values.includes(file)) choice.options.values.push(file);
  setWidget(mask, "image", file);
  setWidget(mask, "channel", "red");
  const paint = add(node, "ARInpaint");
  sourceOf(node).node.connect(sourceOf(node).slot, paint, slotOf(paint, "ar_sampling"));
  mask.connect(0, paint, slotOf(paint, "mask"));
  node.connect(TOKENS, paint, slotOf(paint, "ar_tokens"));
  branch(node, paint, entry);
}

/** What feeds the node's ar_sampling: {node, slot}. */
export function sourceOf(node) {
  const slot = slotOf(node, "ar_sampling");
  const link = node.getInputLink?.(slot);
  return link ? { node: node.getInputNode(slot), slot: link.origin_slot } : null;
}

export function slotOf(node, name) {
  return node.inputs.findIndex((input) => input.name === name);
}

/** An AR Seeds between this node and what fed it. */
function insertSeeds(node) {
  const { node: source, slot } = sourceOf(node);
  const seeds = add(node, "ARSeeds");
  source.connect(slot, seeds, slotOf(seeds, "ar_sampling"));
  seeds.connect(0, node, slotOf(node, "ar_sampling"));
  return seeds;
}

/** Behind an edit: only this image, with a seed of its own, decoded beside the old ones. */
function branch(node, edit, { place }) {
  const seeds = add(node, "ARSeeds");
  edit.connect(0, seeds, slotOf(seeds, "ar_sampling"));
  reroll(seeds, String(place + 1));
  setWidget(seeds, "only_rerolled", true);
  const decode = add(node, "ARDecode");
  seeds.connect(0, decode, slotOf(decode, "ar_sampling"));
  run();
}

function reroll(seeds, number) {
  setWidget(seeds, "reroll", number);
  setWidget(seeds, "reroll_seed", Math.floor(Math.random() * 2 ** 48));
  fix(seeds);
}

/** A new node below everything that is in the way, to the right of those added with it. */
export function add(beside, kind) {
  const { graph } = beside;
  const node = window.LiteGraph.createNode(kind);
  const last = beside.arAdded?.graph === graph ? beside.arAdded : null;
  const bottom = Math.max(...graph.nodes.map(({ pos, size }) => pos[1] + size[1]));
  node.pos = last ? [last.pos[0] + last.size[0] + GAP, last.pos[1]] : [beside.pos[0], bottom + GAP];
  graph.add(node);
  if (!last) setTimeout(() => delete beside.arAdded, 0); // the next action begins a row of its own
  beside.arAdded = node;
  return node;
}

function run() {
  app.queuePrompt(0);
}

/** Upload a mask of one pixel per token, enlarged so that every cell is a square; its name in the input folder. */
async function uploadMask(cells, rows, columns) {
  const side = 16;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns * side, rows * side];
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "white";
  for (const [row, column] of [...cells].map((cell) => cell.split(",").map(Number))) context.fillRect(column * side, row * side, side, side);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const form = new FormData();
  form.append("image", new File([blob], `ar-mask-${Date.now()}.png`, { type: "image/png" }));
  form.append("type", "input");
  const reply = await api.fetchApi("/upload/image", { method: "POST", body: form });
  if (!reply.ok) throw new Error(`the mask could not be uploaded (${reply.status})`);
  return (await reply.json()).name;
}
