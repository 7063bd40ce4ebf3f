// Which nodes a node is inside of: all nodes that stand for a subgraph share what is inside, and each has an outside of its own.

let opened = []; // the nodes through which the graph that is shown was come to, the outermost first

/** Follow what is opened on the canvas; called once. */
export function watchOpened(canvas) {
  canvas.addEventListener("subgraph-opening", ({ detail: { fromNode } }) => (opened = [...upTo(fromNode?.graph), fromNode].filter(Boolean)));
  canvas.addEventListener("litegraph:set-graph", ({ detail: { newGraph } }) => (opened = upTo(newGraph)));
}

/** As far as to a graph that was come through; of any other it is not known how it was come to. */
function upTo(graph) {
  return opened.slice(0, opened.findIndex(({ subgraph }) => subgraph === graph) + 1);
}

/** All that can be around a node, each the subgraphs' nodes from the inside out: one of them, unless its subgraph stands in several places. */
export function placesOf(node) {
  const root = node.graph?.rootGraph;
  if (!root || root === node.graph) return [[]];
  const found = [...pathsTo(node.graph, root)];
  const open = opened.at(-1)?.subgraph === node.graph ? [...opened].reverse() : [];
  const shown = found.filter((around) => open.every((one, depth) => around[depth] === one));
  return shown.length ? shown : found;
}

function* pathsTo(graph, from, around = []) {
  for (const node of from.nodes) {
    if (node.subgraph === graph) yield [node, ...around];
    else if (node.subgraph) yield* pathsTo(graph, node.subgraph, [node, ...around]);
  }
}

/** What is around a node; where that may be several things, nothing. */
export function aroundOf(node) {
  const places = placesOf(node);
  return places.length === 1 ? places[0] : [];
}
