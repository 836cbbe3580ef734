// The dashboard: asks the nodes in turn and hands what they say to the views.

import { Refused, ask, baseOf, setToken } from "./api.js";
import { openLab } from "./lab.js";
import { $, drawConflicts, drawDiffering, drawGaps, drawKey, drawNodes, drawRates, drawSlots, drawSlow, drawVisible, pill } from "./views.js";

const KEY_EVERY_MS = 300;
const STATUS_EVERY_MS = 1000;
const TOPOLOGY_EVERY_MS = 5000;
const DIFFERING_EVERY_MS = 3000;
const FEEDS_EVERY_MS = 2000;
const FEED_ROWS = 8;
const RATES_KEPT = 120;
const NONE_DIFFER = { keys: [], "left-out": 0, "partitions-left-out": 0 };

let topology = null;
let drawnTable = "";
let apart = false;
const statuses = new Map();
const histories = new Map();
const counted = new Map();

const names = () => topology.nodes.map((node) => node.name);

// Repeats work, whatever becomes of it; a node that asks for its token stops everything until it has it.
function repeat(work, everyMs) {
  const turn = async () => {
    try {
      if (!document.hidden) await work();
    } catch (error) {
      if (error instanceof Refused) return askForToken();
      pill($("verdict"), "this node does not answer", "bad");
    }
    setTimeout(turn, everyMs);
  };
  return turn();
}

function askForToken() {
  $("token-form").hidden = false;
  pill($("verdict"), "locked", "warn");
  $("token").focus();
}

async function refreshTopology() {
  topology = await ask("", "topology");
  $("where").textContent = `node ${topology.me} · cluster ${topology.cluster}`;
  const table = JSON.stringify(topology.table);
  if (table !== drawnTable) {
    drawSlots(topology.table, names());
    drawnTable = table;
  }
}

async function refreshStatuses() {
  await Promise.all(topology.nodes.map(async (node) => {
    const base = baseOf(node, topology.me);
    const status = base === null ? null : await ask(base, "status").catch((error) => {
      if (error instanceof Refused && base === "") throw error;
      return null;
    });
    if (status) statuses.set(node.name, status);
    else statuses.delete(node.name);
    countRate(node.name, status);
  }));
  drawNodes(topology, statuses);
  drawVisible(statuses);
  drawRates(names().map((name) => [name, histories.get(name) ?? []]));
  if (statuses.get(topology.me)?.fault_injection && topology.nodes.length > 1) openLab(topology);
}

function countRate(name, status) {
  const now = performance.now();
  const before = counted.get(name);
  const history = histories.get(name) ?? [];
  histories.set(name, history);
  if (!status) {
    counted.delete(name);
    return;
  }
  if (before && status.commands_total >= before.total) {
    history.push(((status.commands_total - before.total) * 1000) / (now - before.at));
    if (history.length > RATES_KEPT) history.shift();
  }
  counted.set(name, { at: now, total: status.commands_total });
}

async function refreshGaps() {
  const divergence = await ask("", "divergence");
  drawGaps(divergence, names());
  apart = !divergence.converged;
  const missing = divergence["missing-events"];
  if (divergence.converged) pill($("verdict"), "converged: no node lacks anything", "good");
  else if (divergence.unreachable) pill($("verdict"), missing ? `apart by ${missing} events or more, and a node cannot be reached` : "a node cannot be reached", "bad");
  else pill($("verdict"), `apart by ${missing} events`, "warn");
}

// Seldom: every node is asked what keys hold.
async function refreshDiffering() {
  drawDiffering(apart ? await ask("", "divergence/keys?count=10") : NONE_DIFFER);
}

async function refreshFeeds() {
  const { conflicts } = await ask("", `conflicts?count=${FEED_ROWS}`);
  drawConflicts(conflicts);
  const slow = await Promise.all(topology.nodes.map(async (node) => {
    const base = baseOf(node, topology.me);
    const own = base === null ? null : await ask(base, `slow?count=${FEED_ROWS}`).catch(() => null);
    return (own?.slow ?? []).map((entry) => ({ ...entry, node: node.name }));
  }));
  drawSlow(slow.flat().sort((a, b) => b.time_s - a.time_s || b.id - a.id).slice(0, FEED_ROWS));
}

async function refreshKey() {
  const key = $("key-name").value;
  if (!key) return;
  const query = `inspect?key=${encodeURIComponent(key)}`;
  const place = await keyPlace(query);
  const held = topology.table[place.partition];
  const views = await Promise.all(held.map(async (name) => {
    const base = baseOf(topology.nodes.find((node) => node.name === name), topology.me);
    const own = base === null ? null : await ask(base, `${query}&scope=node`).catch(() => null);
    return { node: name, view: own };
  }));
  if (key !== $("key-name").value) return;
  views.sort((a, b) => a.node.localeCompare(b.node));
  const writers = new Map(views.filter(({ view }) => view).map(({ node, view }) => [view.incarnation, node]));
  const different = drawKey(views, writers);
  const silent = views.filter(({ view }) => !view).length;
  $("key-place").textContent = `slot ${place.slot}, partition ${place.partition}`;
  if (different > 1) pill($("key-verdict"), "the nodes differ", "warn");
  else if (silent) pill($("key-verdict"), `${silent} of ${views.length} nodes not seen`, "bad");
  else pill($("key-verdict"), "all equal", "good");
}

let placed = { query: null };

// Where a key lives does not change with its value: asked once for each key.
async function keyPlace(query) {
  if (placed.query !== query) {
    const { slot, partition } = await ask("", query);
    placed = { query, slot, partition };
  }
  return placed;
}

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("evenkeel-theme", root.dataset.theme);
});
const theme = localStorage.getItem("evenkeel-theme");
if (theme) document.documentElement.dataset.theme = theme;

const asked = new URLSearchParams(location.search).get("key");
if (asked) $("key-name").value = asked;
$("key-form").addEventListener("submit", (event) => event.preventDefault());
$("key-name").addEventListener("change", () => {
  history.replaceState(null, "", `?key=${encodeURIComponent($("key-name").value)}`);
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  location.reload();
});

await repeat(refreshTopology, TOPOLOGY_EVERY_MS);
if (topology) {
  repeat(refreshStatuses, STATUS_EVERY_MS);
  repeat(refreshGaps, STATUS_EVERY_MS);
  repeat(refreshDiffering, DIFFERING_EVERY_MS);
  repeat(refreshKey, KEY_EVERY_MS);
  repeat(refreshFeeds, FEEDS_EVERY_MS);
}
