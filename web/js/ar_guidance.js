// The web part of AR Guidance. Everything works without it; it adds panels to three kinds of nodes.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { addStyle } from "./dom.mjs";
import { ScheduleEditor } from "./schedule.mjs";
import { Viewer } from "./viewer.mjs";
import { ClassPicker } from "./class_picker.mjs";

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
  if (!sent?.pictures) return;
  viewers.get(nodeOf(id))?.show(sent);
  if (sent.grids.length > 1) for (const editor of editors) editor.useSteps(sent.grids.length);
}

app.registerExtension({
  name: "arguidance.panels",

  async setup() {
    addStyle();
    api.addEventListener("executed", ({ detail }) => show(detail.display_node ?? detail.node, detail.output));
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
