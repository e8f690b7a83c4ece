// Keeps pages up to date, draws diagrams, asks before a button does something.
import { Graph, layout } from "./dagre.js";

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// --- diagrams ---

function laidOut({ nodes, edges }) {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 44, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) {
    graph.setNode(node.id, { ...node, width: Math.max(96, 9 * node.id.length + 24), height: 44 });
  }
  for (const [from, to, kind] of edges) {
    if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to, { kind }, kind);
  }
  layout(graph);
  return graph;
}

function drawnEdge(edge) {
  const points = edge.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return element("path", { d: `M${points.join("L")}`, class: edge.kind, "marker-end": "url(#arrow)" });
}

function drawnNode(node) {
  const x = node.x - node.width / 2, y = node.y - node.height / 2;
  const title = node.gate ? `${node.id}: ${node.state}, gated by ${node.gate}` : `${node.id}: ${node.state}`;
  const round = node.kind === "input" ? 20 : 5;
  const parts = [
    element("title", {}, title),
    element("rect", { x, y, width: node.width, height: node.height, rx: round }),
    element("text", { x: node.x, y: node.y - 2 }, node.id),
    element("text", { x: node.x, y: node.y + 14, class: "kind" }, node.kind),
  ];
  const row = document.getElementById(`node-${node.id}`);
  const attributes = { class: node.state, "data-node": node.id };
  if (!row) return element("g", attributes, ...parts);
  return element("a", { ...attributes, href: `#${encodeURIComponent(row.id)}` }, ...parts);
}

function draw(figure) {
  const data = figure.querySelector("script[type='application/json']");
  const graph = laidOut(JSON.parse(data.textContent));
  const { width, height } = graph.graph();
  const arrow = element("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
  }, element("path", { d: "M0,0L8,4L0,8z" }));
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group" },
    element("defs", {}, arrow),
    ...graph.edges().map((edge) => drawnEdge(graph.edge(edge))),
    ...graph.nodes().map((id) => drawnNode(graph.node(id))));
  figure.querySelector("svg")?.remove();
  figure.append(svg);
}

function drawAll() {
  document.querySelectorAll("[data-diagram]").forEach(draw);
}

// --- updates ---

async function refresh(live) {
  const open = new Set([...live.querySelectorAll("details[open]")].map((one) => one.id));
  const focused = document.activeElement?.closest("[id]")?.id;
  const response = await fetch(location.pathname + location.search, { headers: { "X-Fragment": "1" } });
  if (!response.ok) return;
  live.innerHTML = await response.text();
  for (const one of live.querySelectorAll("details")) one.open = open.has(one.id);
  drawAll();
  if (focused && live.contains(document.getElementById(focused))) {
    document.getElementById(focused).focus({ preventScroll: true });
  }
}

function follow(live) {
  let running = false, again = false;
  const update = async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await refresh(live).catch(() => {});
    }
    running = false;
  };
  const source = new EventSource(live.dataset.events);
  source.addEventListener("changed", update);
  source.addEventListener("open", () => {
    update(); // something may have been missed since the page was made
    live.dataset.following = "yes";
  });
}

// --- buttons ---

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.submit();
});

drawAll();
const live = document.getElementById("live");
if (live?.dataset.events) follow(live);
