// The web part of AR Guidance. Everything works without it; it adds panels to some kinds of nodes.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { startChecking } from "./panels.mjs";
import { ScheduleEditor, editors } from "./schedule.mjs";
import { Viewer } from "./viewer.mjs";
import { Comparer } from "./compare.mjs";
import { SearchPanel } from "./search.mjs";
import { ResolvedText } from "./resolved.mjs";
import { LastSeed } from "./last_seed.mjs";
import { ClassPicker } from "./class_picker.mjs";
import { nameAuto, watchAuto } from "./auto_words.mjs";
import { colourLinks } from "./link_colours.mjs";
import { nameOptions } from "./option_words.mjs";
import { sayMessage } from "./messages.mjs";
import { before, lastOutput, signature } from "./past_runs.mjs";

const SHOWS = { ARDecode: Viewer, ARCompare: Comparer, ARFindScale: SearchPanel };
const viewers = new WeakMap(); // node -> what shows its result
const running = new Set(); // viewers that show a run under way
const pickers = new WeakMap(); // node -> ClassPicker
const seeds = new WeakMap(); // node -> LastSeed
const texts = new WeakMap(); // node -> ResolvedText
let taken = false; // the preview that is being told of is shown by a viewer
const RECALL = 500; // milliseconds after a graph was loaded; by then panels show what was kept in this page

/** The node an execution id such as "12" or, inside subgraphs, "12:3" means. */
function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** Show what a node sent: images on its viewer, the run's schedule and seeds on the nodes before it. */
function show(id, output, prompt, fresh = false) {
  viewers.get(nodeOf(id))?.receive(output, fresh);
  const run = output?.ar_schedule?.[0];
  const used = output?.ar_seeds?.[0];
  for (const other of run || used ? before(prompt, id, "ARDecode") : []) {
    if (run) editors.get(nodeOf(other))?.learn(run);
    if (used) seeds.get(nodeOf(other))?.learn(used);
  }
}

/** Show what a node has just sent, and remember which settings it belongs to. */
async function showNew(id, output) {
  if (output?.ar_text) texts.get(nodeOf(id))?.tell([output.ar_text].flat().join(" "));
  const viewer = viewers.get(nodeOf(id));
  if (!viewer) return;
  if (output?.ar_viewer || output?.ar_compare || output?.ar_answer) running.delete(viewer);
  viewer.status.tell((output?.ar_notes ?? []).map(sayMessage).join("; "), "arg-note");
  const { output: prompt } = await app.graphToPrompt();
  show(id, output, prompt, true);
  viewer.belongsTo(signature(prompt, id));
}

/** Show a run's newest map. */
function showLive(message) {
  const viewer = viewers.get(nodeOf(message.node));
  if (!viewer) return;
  running.add(viewer);
  viewer.live(message);
}

/** How far a run is, on the node that runs. */
function showProgress(message) {
  const viewer = viewers.get(nodeOf(message.node));
  if (!viewer) return;
  running.add(viewer);
  viewer.progress(message);
}

/** The host's preview of a node with a viewer is shown there, and not once more below it. */
function takePreview(event) {
  const { blob, displayNodeId, nodeId } = event.detail ?? {};
  const viewer = viewers.get(nodeOf(displayNodeId ?? nodeId));
  if (!viewer || viewer.off || !blob) return;
  event.stopImmediatePropagation();
  taken = true;
  running.add(viewer);
  viewer.preview(URL.createObjectURL(blob));
}

/** The frontend says every preview twice, the second time without the node, for older extensions. */
function takeSecond(event) {
  if (taken) event.stopImmediatePropagation();
  taken = false;
}

/** An error of a node with a panel, in it. */
function showError({ node_id, exception_message }) {
  const node = nodeOf(node_id);
  (viewers.get(node)?.status ?? pickers.get(node))?.complain(exception_message);
}

/** A run has ended, in whatever way: no viewer waits for more of it. */
function stopAll() {
  for (const viewer of running) viewer.stop();
  running.clear();
}

/** Nodes that did not run because the host still has their result: show what they sent when they did. */
async function recall(ids) {
  const { output: prompt } = await app.graphToPrompt();
  for (const id of ids) {
    const viewer = viewers.get(nodeOf(id));
    const wanted = signature(prompt, id);
    if (!viewer || viewer.settings === wanted) continue;
    const shown = viewer.settings;
    const output = await lastOutput(api, id, prompt);
    if (!output || viewer.settings !== shown) continue; // nothing is known, or something newer has come meanwhile
    show(id, output, prompt);
    viewer.belongsTo(wanted);
  }
}

/** A graph has been loaded, perhaps after a reload of the page: viewers that show nothing look into the host's history. */
async function recallAll() {
  const { output: prompt } = await app.graphToPrompt();
  const empty = Object.keys(prompt).filter((id) => Object.hasOwn(SHOWS, prompt[id].class_type) && viewers.get(nodeOf(id))?.shown === null);
  if (empty.length) await recall(empty);
}

// Listeners are called in the order they came in: these come before the frontend's own, which are added once extensions are loaded.
api.addEventListener("b_preview_with_metadata", takePreview);
api.addEventListener("b_preview", takeSecond);

app.registerExtension({
  name: "arguidance.panels",

  async setup() {
    startChecking();
    colourLinks();
    watchAuto();
    api.addEventListener("executed", ({ detail }) => showNew(detail.display_node ?? detail.node, detail.output));
    api.addEventListener("execution_cached", ({ detail }) => recall((detail.nodes ?? []).filter((id) => viewers.has(nodeOf(id)))).catch(console.warn));
    api.addEventListener("ar_guidance.step", ({ detail }) => showLive(detail));
    api.addEventListener("ar_guidance.status", ({ detail }) => showProgress(detail));
    api.addEventListener("execution_error", ({ detail }) => showError(detail));
    for (const end of ["success", "error", "interrupted"]) api.addEventListener(`execution_${end}`, stopAll);
  },

  nodeCreated(node) {
    if (!String(node.comfyClass ?? "").startsWith("AR") || !node.addDOMWidget) return;
    if (Object.hasOwn(SHOWS, node.comfyClass)) viewers.set(node, new SHOWS[node.comfyClass](node));
    if (LastSeed.fits(node)) seeds.set(node, new LastSeed(node));
    if (ResolvedText.fits(node)) texts.set(node, new ResolvedText(node));
    if (node.comfyClass === "ARClassCondition") pickers.set(node, new ClassPicker(node));
    nameAuto(node);
    nameOptions(node);
    if (node.comfyClass.startsWith("ARGuidance") && ScheduleEditor.fits(node)) new ScheduleEditor(node);
  },

  afterConfigureGraph() {
    setTimeout(() => recallAll().catch(console.warn), RECALL);
  },
});
