// What is drawn, from what the nodes said. Nothing here asks; values are always text, never markup.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const $ = (id) => document.getElementById(id);

export function pill(target, text, tone) {
  if (target.textContent !== text) target.textContent = text;
  target.className = `pill ${tone}`;
}

function rows(table, head, body) {
  table.replaceChildren(
    el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...body),
  );
}

const shown = (value) => (value === null || value === undefined ? "—" : String(value));

function time(ms) {
  const date = new Date(ms);
  const part = (value, width = 2) => String(value).padStart(width, "0");
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`;
}

// One key: a line for each node and cell, and beneath it the values in large.
export function drawKey(views, writers) {
  const named = (dot) => {
    const actor = String(dot).split(":")[0];
    return writers.has(actor) ? `${dot} (${writers.get(actor)})` : dot;
  };
  const body = [];
  for (const { node, view } of views) {
    if (!view) {
      body.push(el("tr", {}, el("td", {}, node), el("td", { class: "text bad", colspan: 7 }, "does not answer this page")));
      continue;
    }
    const cells = view.cells.length ? view.cells : [null];
    cells.forEach((cell, index) => {
      const winner = cell && cell.versions.find((version) => version.dot === cell.winner);
      const adds = cell ? cell.chains.filter((chain) => !chain.dead).length : 0;
      body.push(el("tr", {},
        el("td", {}, index === 0 ? node : ""),
        el("td", {}, index === 0 ? shown(view.expired ? "expired" : view.type) : ""),
        el("td", {}, cell ? cell.field : ""),
        el("td", { class: "value" }, cell ? shown(cell.value) : "—"),
        el("td", {}, cell && cell.winner ? named(cell.winner) : ""),
        el("td", {}, winner ? time(winner["time-ms"]) : ""),
        el("td", {}, cell ? `${cell.versions.length}${adds ? ` + ${adds} counters` : ""}` : ""),
        el("td", { class: "text", title: cell?.because ?? "" }, cell ? cell.why : ""),
      ));
    });
  }
  rows($("key-table"), ["Node", "Type", "Field", "Value", "Written by", "At", "Versions", "Why it shows"], body);
  const texts = views.map(({ view }) => (view ? summary(view) : null));
  const kinds = [...new Set(texts.filter((text) => text !== null))];
  $("key-values").replaceChildren(...views.map(({ node }, at) =>
    el("div", { class: texts[at] === null ? "off" : `c${Math.min(kinds.indexOf(texts[at]), 5)}` },
      el("b", {}, node), el("span", { title: texts[at] ?? "" }, texts[at] ?? "?"))));
  return kinds.length;
}

// What a client of the node sees, in one line.
function summary(view) {
  if (!view.type) return "(nothing)";
  const parts = view.cells.filter((cell) => cell.kind !== "deadline" && cell.value !== null);
  if (view.type === "string") return parts.length ? String(parts[0].value) : "(nothing)";
  const each = parts.map((cell) => (view.type === "set" ? cell.field : `${cell.field}=${cell.value}`));
  const more = view["cells-left-out"] ? " …" : "";
  return `{${each.join(", ")}}${more}`;
}

export function drawGaps(divergence, names) {
  const of = (from, to) => divergence.pairs.find((pair) => pair.from === from && pair.to === to);
  const body = names.map((from) => el("tr", {}, el("th", { scope: "row" }, `${from} has`),
    ...names.map((to) => {
      if (from === to) return el("td", { class: "quiet" }, "·");
      const pair = of(from, to);
      const missing = pair?.["missing-events"];
      if (missing === null || missing === undefined) {
        const told = pair?.["by-last-advert"];
        const known = told ? `; ${told.events} events by what ${to} told ${from} last` : "";
        return el("td", { class: "gapx", title: `not reachable: nothing exact can be said${known}` }, "?");
      }
      const bytes = pair["missing-bytes"], age = pair["oldest-missing-ms"];
      const title = missing ? `${bytes ?? "?"} bytes to send, the oldest for ${age === null ? "?" : span(age)}` : "equal";
      return el("td", { class: missing === 0 ? "gap0" : "gap1", title }, String(missing));
    })));
  rows($("gap-table"), ["", ...names.map((name) => `${name} lacks`)], body);
  const alone = divergence["held-by-one"].filter((row) => row.events > 0).map((row) => `${row.node} alone holds ${row.events}`);
  const bytes = divergence["missing-bytes"], age = divergence["oldest-missing-ms"];
  const weight = divergence["missing-events"] ? [`${bytes === null ? "?" : bytes.toLocaleString()} bytes to send, the oldest event for ${age === null ? "?" : span(age)}`] : [];
  $("gap-detail").textContent = [...weight, ...alone].join("; ");
  const wrong = divergence["digest-mismatches"].map((row) => `partition ${row.partition} with ${row.peer}`);
  $("gap-alarm").textContent = wrong.length ? `Same events, other content: ${wrong.join(", ")}. Report it.` : "";
}

export function drawDiffering(found) {
  const more = found["left-out"] + (found["partitions-left-out"] ? "+" : "");
  const keys = found.keys.map((row) => `${row.key} (${row["same-on"].map((group) => group.join("=")).join(" ≠ ")})`);
  $("gap-keys").textContent = keys.length ? `Keys that differ: ${keys.join(", ")}${found["left-out"] ? `, and ${more} more` : ""}` : "";
}

// Until every member has told that it holds a write: of all writes at each node.
export function drawVisible(statuses) {
  const known = [...statuses].filter(([, status]) => status).sort(([a], [b]) => a.localeCompare(b));
  const body = known.map(([name, status]) => {
    const all = status.visible_ms?.find((row) => row.peer === "*") ?? { events: 0 };
    const figure = (ms) => el("td", {}, all.events ? `${Math.round(ms).toLocaleString()} ms` : "—");
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, all.events.toLocaleString()), figure(all.p50), figure(all.p99), figure(all.max));
  });
  rows($("visible-table"), ["At", "Writes", "p50", "p99", "Longest"], body);
}

function span(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// Two writes that had not seen each other: what is shown, and what is not.
export function drawConflicts(conflicts) {
  const side = (rival) => `${shown(rival.value)} (${rival.writer ?? "?"})`;
  const body = conflicts.map((entry) => el("tr", {},
    el("td", {}, time(entry["time-ms"])),
    el("td", {}, entry.winner.field ? `${entry.key} ${entry.winner.field}` : entry.key),
    el("td", { class: "text" }, entry.conflict),
    el("td", { class: "value" }, side(entry.winner)),
    el("td", { class: "value" }, side(entry.loser))));
  rows($("feed-table"), ["At", "Key", "About", "Shown", "Lost"], body);
  $("feed-table").hidden = body.length === 0;
  $("feed-none").hidden = body.length > 0;
}

export function drawSlow(entries) {
  const body = entries.map((entry) => el("tr", {},
    el("td", {}, time(entry.time_s * 1000).slice(0, 8)),
    el("td", {}, entry.node),
    el("td", {}, `${(entry.took_us / 1000).toLocaleString()} ms`),
    el("td", { class: "value" }, entry.command.join(" ")),
    el("td", {}, entry.client_name || entry.client)));
  rows($("slow-table"), ["At", "Node", "Took", "Command", "Client"], body);
  $("slow-table").hidden = body.length === 0;
  $("slow-none").hidden = body.length > 0;
}

export function drawNodes(topology, statuses) {
  const body = topology.nodes.map((node) => {
    const status = statuses.get(node.name);
    const state = !status ? ["does not answer this page", "bad"] : !status.writable ? [status.refusal, "bad"] : ["serving", "good"];
    const links = status ? status.peers.map((peer) => `${peer.name}${peer.linked ? "" : " ✕"}`).join(" ") : "";
    return el("tr", {},
      el("td", {}, node.name),
      el("td", { class: "text" }, el("span", { class: `pill ${state[1]}` }, state[0])),
      el("td", {}, node.client || "—"),
      el("td", {}, links),
      el("td", {}, status ? status.keys.toLocaleString() : ""),
      el("td", {}, String(node.partitions)),
      el("td", {}, status ? String(status.clients) : ""),
      el("td", {}, status ? span(status.uptime_ms) : ""),
      el("td", {}, status ? status.version : ""));
  });
  rows($("nodes-table"), ["Node", "State", "Clients connect to", "Links", "Keys", "Partitions", "Clients", "Up", "Version"], body);
}

// Rates of the last two minutes, a line for each node.
export function drawRates(histories) {
  const top = Math.max(1, ...histories.flatMap(([, rates]) => rates));
  $("rates").replaceChildren(...histories.map(([name, rates]) => {
    const points = rates.map((rate, at) => `${at},${30 - (rate / top) * 28}`).join(" ");
    const last = rates.length ? rates[rates.length - 1] : null;
    return el("div", { class: "rate" }, el("span", {}, name),
      svg("svg", { viewBox: `0 0 ${Math.max(1, rates.length - 1)} 32`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${last ?? 0} commands per second` },
        svg("polyline", { points })),
      el("output", {}, last === null ? "—" : Math.round(last).toLocaleString()));
  }));
}

export function drawSlots(table, names) {
  const tone = (name) => `b${Math.min(names.indexOf(name), 5)}`;
  const detail = (partition) => {
    $("slot-detail").textContent = `Partition ${partition}, slots ${partition * 64} to ${partition * 64 + 63}: ${table[partition].join(", ")} (home first)`;
  };
  $("slots").replaceChildren(...table.map((members, partition) => el("button", {
    type: "button", class: tone(members[0]), tabindex: partition === 0 ? 0 : -1,
    "aria-label": `Partition ${partition}: ${members.join(", ")}`,
    onmouseenter: () => detail(partition), onfocus: () => detail(partition),
    onkeydown: (event) => step(event, partition),
  })));
  $("slot-legend").replaceChildren(...names.map((name) =>
    el("span", { class: "quiet" }, el("span", { class: `dot ${tone(name)}` }), name)));
}

// Arrow keys walk the partitions: one stop for the tab key, not 256.
function step(event, partition) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = by && $("slots").children[partition + by];
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
