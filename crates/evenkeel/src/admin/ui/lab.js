// The lab: each node is told about its own links, at its own address, so that what was cut can always be healed.

import { ask, baseOf } from "./api.js";
import { $, el, svg } from "./views.js";

let cluster = null;
const faults = new Map();

export function openLab(topology) {
  const first = cluster === null;
  cluster = topology;
  if (!first) return;
  $("lab").hidden = false;
  $("lab-node").replaceChildren(...topology.nodes.map((node) => el("option", {}, node.name)));
  $("lab-heal").addEventListener("click", () => everywhere((node) => change(node, ["HEAL", "*"])));
  $("lab-delay").addEventListener("change", (event) =>
    everywhere((node) => change(node, ["DELAY", "*", ...event.target.value.split(" ")])));
  $("lab-run").addEventListener("submit", run);
  tick();
}

async function run(event) {
  event.preventDefault();
  const node = cluster.nodes.find((found) => found.name === $("lab-node").value);
  const command = $("lab-command").value.trim().split(/\s+/);
  try {
    $("lab-reply").textContent = JSON.stringify(await ask(baseOf(node, cluster.me), "lab/run", { command }));
  } catch (error) {
    $("lab-reply").textContent = error.message;
  }
}

async function change(node, fault) {
  const base = baseOf(node, cluster.me);
  if (base !== null) await ask(base, "lab/faults", { fault }).catch(() => {});
}

async function everywhere(work) {
  await Promise.all(cluster.nodes.map(work));
  await refresh();
}

const faultOf = (node, peer) => faults.get(node)?.find((fault) => fault.peer === peer);

function stateOf(a, b) {
  const both = [faultOf(a, b), faultOf(b, a)].filter(Boolean);
  if (both.some((fault) => fault.cut_in || fault.cut_out)) return "cut";
  return both.some((fault) => fault.delay_ms || fault.drop_percent) ? "slow" : "up";
}

function pairs() {
  const names = cluster.nodes.map((node) => node.name);
  return names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b]));
}

async function toggle(a, b) {
  const what = stateOf(a, b) === "cut" ? "HEAL" : "CUT";
  const node = (name) => cluster.nodes.find((found) => found.name === name);
  await Promise.all([change(node(a), [what, b]), change(node(b), [what, a])]);
  await refresh();
}

async function isolate(name) {
  const others = cluster.nodes.filter((node) => node.name !== name);
  const own = cluster.nodes.find((node) => node.name === name);
  await Promise.all([change(own, ["CUT", "*"]), ...others.map((node) => change(node, ["CUT", name]))]);
  await refresh();
}

async function refresh() {
  await Promise.all(cluster.nodes.map(async (node) => {
    const base = baseOf(node, cluster.me);
    if (base === null) return;
    const answer = await ask(base, "lab/faults").catch(() => null);
    if (answer) faults.set(node.name, answer.faults);
  }));
  draw();
}

function draw() {
  drawMap();
  const focused = document.activeElement?.dataset?.link;
  $("lab-links").replaceChildren(
    el("div", { class: "line" }, ...pairs().map(([a, b]) => {
      const cut = stateOf(a, b) === "cut";
      return el("button", { type: "button", "data-link": `${a}${b}`, class: cut ? "on" : "", "aria-pressed": String(cut), onclick: () => toggle(a, b) },
        `${a} – ${b}: ${cut ? "cut, heal it" : "cut"}`);
    })),
    el("div", { class: "line" }, ...cluster.nodes.map((node) =>
      el("button", { type: "button", "data-link": `off-${node.name}`, onclick: () => isolate(node.name) }, `Cut ${node.name} off`))));
  if (focused) document.querySelector(`[data-link="${CSS.escape(focused)}"]`)?.focus();
}

function drawMap() {
  const names = cluster.nodes.map((node) => node.name);
  const at = (index) => {
    const angle = (2 * Math.PI * index) / names.length - Math.PI / 2;
    return [150 + 105 * Math.cos(angle), 100 + 75 * Math.sin(angle)];
  };
  const lines = pairs().map(([a, b]) => {
    const [[x1, y1], [x2, y2]] = [at(names.indexOf(a)), at(names.indexOf(b))];
    return svg("line", { x1, y1, x2, y2, class: stateOf(a, b) });
  });
  const circles = names.map((name, index) => {
    const [x, y] = at(index);
    const label = svg("text", { x, y });
    label.textContent = name;
    return svg("g", {}, svg("circle", { cx: x, cy: y, r: 19 }), label);
  });
  const said = pairs().map(([a, b]) => `${a}–${b} ${stateOf(a, b)}`).join(", ");
  $("lab-map").replaceChildren(svg("svg", { viewBox: "0 0 300 200", role: "img", "aria-label": `Links: ${said}` }, ...lines, ...circles));
}

async function tick() {
  await refresh();
  setTimeout(tick, 1000);
}
