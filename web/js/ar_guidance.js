// The web part of AR Guidance. Everything works without it; it adds panels to three kinds of nodes.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { addStyle } from "./dom.mjs";
import { ScheduleEditor } from "./schedule.mjs";
import { Viewer } from "./viewer.mjs";
import { ClassPicker } from "./class_picker.mjs";
import { lastOutput, signature } from "./past_runs.mjs";

const viewers = new WeakMap(); // node -> Viewer
const editors = new Set(); // ScheduleEditors of this page

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

function show(id, output) {
  const sent = output?.ar_viewer?.[0];
  const viewer = viewers.get(nodeOf(id));
  if (!sent?.pictures || !viewer) return;
  viewer.show(sent);
  if (sent.grids.length > 1) for (const editor of editors) editor.useSteps(sent.grids.length);
}

/** Show what a node has just sent, and remember which settings it belongs to. */
async function showNew(id, output) {
  show(id, output);
  const viewer = viewers.get(nodeOf(id));
  if (viewer) viewer.settings = signature((await app.graphToPrompt()).output, id);
}

/** Nodes that did not run because the host still has their result: show what they sent when they did. */
async function recall(ids) {
  const { output: prompt } = await app.graphToPrompt();
  for (const id of ids) {
    const viewer = viewers.get(nodeOf(id));
    if (!viewer || viewer.settings === signature(prompt, id)) continue;
    viewer.settings = signature(prompt, id);
    show(id, await lastOutput(api, id, prompt));
  }
}

app.registerExtension({
  name: "arguidance.panels",

  async setup() {
    addStyle();
    api.addEventListener("executed", ({ detail }) => showNew(detail.display_node ?? detail.node, detail.output));
    api.addEventListener("execution_cached", ({ detail }) => recall((detail.nodes ?? []).filter((id) => viewers.has(nodeOf(id)))).catch(console.warn));
    api.addEventListener("ar_guidance.step", ({ detail }) => viewers.get(nodeOf(detail.node))?.live(detail));
  },

  nodeCreated(node) {
    if (!String(node.comfyClass ?? "").startsWith("AR") || !node.addDOMWidget) return;
    if (node.comfyClass === "ARDecode") viewers.set(node, new Viewer(node));
    if (node.comfyClass === "ARClassCondition") new ClassPicker(node);
    if (node.comfyClass.startsWith("ARGuidance") && ScheduleEditor.fits(node)) editors.add(new ScheduleEditor(node));
  },

  loadedGraphNode(node) {
    const kept = app.nodeOutputs?.[node.id]; // after switching tabs: what the last run left
    if (viewers.has(node) && kept) setTimeout(() => show(node.id, kept), 0);
  },
});
