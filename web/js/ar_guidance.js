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
import { watchOpened } from "./instances.mjs";
import { nameAuto, watchAuto } from "./auto_words.mjs";
import { colourLinks } from "./link_colours.mjs";
import { nameOptions } from "./option_words.mjs";
import { sayMessage } from "./messages.mjs";
import { translateNote } from "./notes.mjs";
import { before, lastOutput, signature } from "./past_runs.mjs";

const SHOWS = { ARDecode: Viewer, ARCompare: Comparer, ARFindScale: SearchPanel };
const viewers = new WeakMap(); // node, or a subgraph's node -> what shows its result
const running = new Set(); // viewers that show a run under way
const pickers = new WeakMap(); // node -> ClassPicker
const seeds = new WeakMap(); // node -> LastSeed
const texts = new WeakMap(); // node -> ResolvedText
let taken = false; // the preview that is being told of is shown by a viewer
const RECALL = 500; // milliseconds after a graph was loaded; by then panels show what was kept in this page

/** The nodes an execution id such as "12" or, inside subgraphs, "12:3" names: the subgraphs' from outside, then the node itself. */
function pathOf(id) {
  let graph = app.rootGraph ?? app.graph;
  return String(id).split(":").map((part) => {
    const node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part) ?? null;
    graph = node?.subgraph;
    return node;
  });
}

/** The node that ran. */
function nodeOf(id) {
  return pathOf(id).at(-1);
}

/** What shows the result of a node: its own panel, and those of the subgraphs it is in, if it is the one they are about. */
function viewersOf(id) {
  const path = pathOf(id);
  return path.map((node) => viewers.get(node)).filter((viewer) => viewer?.node && viewer.node === path.at(-1));
}

/** The AR Decode that a subgraph's node shows the images of, the first one inside or else deeper down, and the nodes around it out to this one. */
function decodeWithin(node) {
  const inside = node.subgraph?.nodes ?? [];
  const found = inside.find(({ comfyClass }) => comfyClass === "ARDecode");
  const path = found ? [found] : inside.map(decodeWithin).find(({ length }) => length) ?? [];
  return path.length ? [...path, node] : path;
}

/** Show what a node sent: images on its viewer, the run's schedule and seeds on the nodes before it. */
function show(id, output, prompt, fresh = false) {
  for (const viewer of viewersOf(id)) viewer.receive(output, fresh);
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
  const shown = viewersOf(id);
  if (!shown.length) return;
  for (const viewer of shown) {
    if (output?.ar_viewer || output?.ar_compare || output?.ar_answer) running.delete(viewer);
    viewer.status.tell((output?.ar_notes ?? []).map(sayMessage).join("; "), "arg-note");
  }
  const { output: prompt } = await app.graphToPrompt();
  show(id, output, prompt, true);
  for (const viewer of shown) viewer.belongsTo(signature(prompt, id));
}

/** Show a run's newest map. */
function showLive(message) {
  for (const viewer of viewersOf(message.node)) {
    running.add(viewer);
    viewer.live(message);
  }
}

/** How far a run is, on the node that runs. */
function showProgress(message) {
  for (const viewer of viewersOf(message.node)) {
    running.add(viewer);
    viewer.progress(message);
  }
}

/** The host's preview of a node with a viewer is shown there, and not once more below it. */
function takePreview(event) {
  const { blob, displayNodeId, nodeId } = event.detail ?? {};
  const shown = blob ? viewersOf(displayNodeId ?? nodeId).filter(({ off }) => !off) : [];
  if (!shown.length) return;
  event.stopImmediatePropagation();
  taken = true;
  for (const viewer of shown) {
    running.add(viewer);
    viewer.preview(URL.createObjectURL(blob));
  }
}

/** The frontend says every preview twice, the second time without the node, for older extensions. */
function takeSecond(event) {
  if (taken) event.stopImmediatePropagation();
  taken = false;
}

/** An error of a node with a panel, in it; one of a node inside a subgraph in the subgraph's, too. */
function showError({ node_id, exception_message }) {
  for (const node of pathOf(node_id)) (viewers.get(node)?.status ?? pickers.get(node))?.complain(exception_message);
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
    const found = viewersOf(id);
    const wanted = found.length && signature(prompt, id);
    const stale = found.filter(({ settings }) => settings !== wanted);
    if (!stale.length) continue;
    const shown = stale.map(({ settings }) => settings);
    const output = await lastOutput(api, id, prompt);
    if (!output || stale.some(({ settings }, at) => settings !== shown[at])) continue; // nothing is known, or something newer has come meanwhile
    show(id, output, prompt);
    for (const viewer of stale) viewer.belongsTo(wanted);
  }
}

/** A graph has been loaded, perhaps after a reload of the page: viewers that show nothing look into the host's history. */
async function recallAll() {
  const { output: prompt } = await app.graphToPrompt();
  const empty = Object.keys(prompt).filter((id) => Object.hasOwn(SHOWS, prompt[id].class_type) && viewersOf(id).some(({ shown }) => shown === null));
  if (empty.length) await recall(empty);
}

// Listeners are called in the order they came in: these come before the frontend's own, which are added once extensions are loaded.
api.addEventListener("b_preview_with_metadata", takePreview);
api.addEventListener("b_preview", takeSecond);

app.registerExtension({
  name: "arguidance.panels",

  async setup() {
    startChecking();
    watchOpened(app.canvas.canvas);
    colourLinks();
    watchAuto();
    api.addEventListener("executed", ({ detail }) => showNew(detail.display_node ?? detail.node, detail.output));
    api.addEventListener("execution_cached", ({ detail }) => recall(detail.nodes ?? []).catch(console.warn));
    api.addEventListener("ar_guidance.step", ({ detail }) => showLive(detail));
    api.addEventListener("ar_guidance.status", ({ detail }) => showProgress(detail));
    api.addEventListener("execution_error", ({ detail }) => showError(detail));
    for (const end of ["success", "error", "interrupted"]) api.addEventListener(`execution_${end}`, stopAll);
  },

  nodeCreated(node) {
    if (!node.addDOMWidget) return;
    if (decodeWithin(node).length) viewers.set(node, new Viewer(node, () => decodeWithin(node)));
    if (!String(node.comfyClass ?? "").startsWith("AR")) return;
    if (Object.hasOwn(SHOWS, node.comfyClass)) viewers.set(node, new SHOWS[node.comfyClass](node));
    if (LastSeed.fits(node)) seeds.set(node, new LastSeed(node));
    if (ResolvedText.fits(node)) texts.set(node, new ResolvedText(node));
    if (node.comfyClass === "ARClassCondition") pickers.set(node, new ClassPicker(node));
    nameAuto(node);
    nameOptions(node);
    if (node.comfyClass.startsWith("ARGuidance") && ScheduleEditor.fits(node)) new ScheduleEditor(node);
  },

  loadedGraphNode(node) {
    translateNote(node).catch(console.warn);
  },

  afterConfigureGraph() {
    setTimeout(() => recallAll().catch(console.warn), RECALL);
  },
});
