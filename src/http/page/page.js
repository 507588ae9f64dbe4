// Asks the process for its state and shows it. Everything shown comes from /api/status; nothing is kept elsewhere.

import { ago, bytes, clock, count, el, mark, millis, put, span, sync } from "./format.js";
import { POINTS, chart, draw, inspect, width } from "./chart.js";

const EVERY = 3000, PATIENCE = 10000, SHOWN = 40;
const $ = id => document.getElementById(id);
const history = new Map();
let until = 0, status = null, pointed = { lag: null, rate: null };

const lagChart = chart($("lag-chart"), ["lag"], true);
const rateChart = chart($("rate-chart"), ["read", "applied"], true);
inspect(lagChart, n => { pointed.lag = n; readouts(); });
inspect(rateChart, n => { pointed.rate = n; readouts(); });

// --- asking ---

async function ask() {
  const token = sessionStorage.getItem("token");
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const headers = token ? { Authorization: "Bearer " + token } : {};
    const answer = await fetch("api/status?since=" + until, { headers, signal: stop.signal, cache: "no-store" });
    if (answer.status === 401) return login(token ? "That is not the token." : "");
    if (!answer.ok) throw new Error("it answers " + answer.status);
    const next = await answer.json();
    if (status && next.started_at !== status.started_at && until) { until = 0; history.clear(); return ask(); }
    status = next;
    remember();
    $("login").hidden = true; $("silence").hidden = true; $("main").hidden = false;
    $("main").classList.remove("stale");
    show();
  } catch (error) {
    const why = error.name === "AbortError" ? "no answer within 10 s" : error.message;
    put($("silence"), "The process does not answer" + (status ? " since " + clock(status.at) : "") + " (" + why + "). Asking again.");
    $("silence").hidden = false;
    $("main").classList.add("stale");
    verdict("bad", "No answer");
  } finally { clearTimeout(timer); }
}

function login(error) {
  $("main").hidden = true; $("silence").hidden = true;
  put($("login-error"), error); put($("verdict-text"), "Locked"); mark($("verdict"), "wait");
  if ($("login").hidden) { $("login").hidden = false; $("token").focus(); }
}

$("login").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  $("token").value = "";
  ask();
});

async function run() {
  for (;;) {
    if (!document.hidden && !($("login").hidden === false && document.activeElement === $("token"))) await ask();
    await new Promise(done => { wake = done; setTimeout(done, EVERY); });
  }
}
let wake = () => {};
document.addEventListener("visibilitychange", () => { if (!document.hidden) wake(); });

// Puts the points that are new behind those that are known.
function remember() {
  for (const shard of status.shards) {
    const { lag_seconds, read, applied } = shard.history;
    const known = history.get(shard.shard) || { lag: [], read: [], applied: [] };
    for (const [list, more] of [[known.lag, lag_seconds], [known.read, read], [known.applied, applied]]) {
      list.push(...more);
      if (list.length > POINTS) list.splice(0, list.length - POINTS);
    }
    history.set(shard.shard, known);
    until = Math.max(until, shard.history.until);
  }
}

// --- judging ---

const lagOf = shard => {
  const parts = [shard.lag_read_seconds, shard.lag_stored_seconds, shard.lag_applied_seconds].filter(n => n !== undefined);
  return parts.length ? parts.reduce((a, b) => a + b) : null;
};
const beginning = new Set(["starting", "connecting", "claiming", "paused"]);
const failing = (about, name) => status.not_ready.find(c => c.about === about && c.name === name);
const lateFrom = () => Math.min(60, status.ready_lag_seconds / 2);

function lateness(about, item) {
  return about === "shard" ? lagOf(item) : item.lag_seconds || 0;
}

function stateOf(about, item, name) {
  const wrong = failing(about, name);
  if (wrong) return beginning.has(item.phase) && !item.failure ? "warn" : "bad";
  return lateness(about, item) > lateFrom() ? "warn" : "good";
}

function wordOf(about, item, name) {
  if (about === "shard" && !item.extracts) return "applied here";
  if (item.phase === "running") {
    if (about === "shard" && !item.connected) return "not connected";
    return failing(about, name) ? "too late" : lateness(about, item) > lateFrom() ? "behind" : "flowing";
  }
  return { starting: "starting", connecting: item.failure ? "away" : "connecting", claiming: "waiting for its turn", retrying: "failing", paused: "paused", ended: "ended" }[item.phase] || item.phase;
}

function stateOfTable(table) {
  if (table.parked.length || table.different_rows) return "bad";
  return table.needs_snapshot.length || table.paused.length ? "warn" : "good";
}

// What is paused stands still because somebody wanted it.
const needy = table => table.parked.length || table.different_rows || table.needs_snapshot.length;

function wordOfTable(table) {
  if (table.parked.length) return table.parked.length === table.origins || table.origins === 0 ? "parked" : table.parked.length + " of " + table.origins + " parked";
  if (table.different_rows) return count(table.different_rows) + " rows differ";
  if (table.needs_snapshot.length) return "needs a snapshot";
  if (table.paused.length) return table.paused.length === table.origins ? "paused" : table.paused.length + " of " + table.origins + " paused";
  if (table.reading.length) return "being read";
  return "flowing";
}

// --- showing ---

function verdict(state, text) {
  mark($("verdict"), state); put($("verdict-text"), text);
  document.title = (state === "good" ? "" : state === "bad" ? "● " : "○ ") + (status ? status.pipeline + " · " : "") + "Tailwater";
}

function show() {
  const tables = status.tables.map(t => ({ parked: [], needs_snapshot: [], reading: [], paused: [], different_rows: 0, ...t }));
  status.tables = tables;
  put($("pipeline"), status.pipeline);
  put($("clock"), clock(status.at) + " · up " + span((status.at - status.started_at) / 1e6));
  put($("version"), "Tailwater " + status.version);
  judge(tables); tiles(tables); attention(tables); curves(); snapshots(); shards(); groups(); showTables(); recent();
}

function judge(tables) {
  const states = status.shards.map(s => stateOf("shard", s, s.shard)).concat(status.groups.map(g => stateOf("group", g, g.group)));
  const bad = states.filter(s => s === "bad").length, parked = tables.filter(needy).length, paused = tables.filter(t => t.paused.length).length;
  const plural = (n, one, many) => n + " " + (n === 1 ? one : many);
  const parts = [];
  if (bad) parts.push(plural(bad, "part does not move", "parts do not move"));
  if (parked) parts.push(plural(parked, "table needs you", "tables need you"));
  if (paused) parts.push(plural(paused, "table is paused", "tables are paused"));
  if (parts.length) return verdict(bad || tables.some(t => stateOfTable(t) === "bad") ? "bad" : "warn", parts.join(", "));
  if (states.includes("warn")) return verdict("warn", status.ready ? "Catching up" : "Starting");
  verdict("good", "Everything flows");
}

function figure(node, number, unit) {
  const text = number + "\0" + unit;
  if (node.figure === text) return;
  node.figure = text;
  node.replaceChildren(number, el("small", "", unit));
}

function tiles(tables) {
  const sum = of => status.shards.reduce((all, shard) => all + of(shard), 0);
  const worst = status.shards.map(s => [lagOf(s), s.shard]).filter(([lag]) => lag !== null).sort((a, b) => b[0] - a[0])[0];
  const [number, ...unit] = span(worst ? worst[0] : null).split(" ");
  figure($("t-lag"), number, unit.join(" "));
  mark($("t-lag"), !worst || worst[0] <= lateFrom() ? "good" : worst[0] > status.ready_lag_seconds ? "bad" : "warn");
  put($("t-lag-of"), worst ? "shard " + worst[1] : "");
  figure($("t-read"), count(sum(s => s.rows_read_per_second)), "rows/s");
  put($("t-bytes"), bytes(sum(s => s.bytes_read_per_second)).join(" ") + "/s of binlog");
  figure($("t-applied"), count(sum(s => s.rows_applied_per_second)), "rows/s");
  put($("t-ticks"), count(status.groups.reduce((all, g) => all + g.ticks, 0)) + " merges");
  const mine = status.shards.filter(s => s.extracts), connected = mine.filter(s => s.connected).length;
  figure($("t-shards"), mine.length ? connected + " / " + mine.length : String(status.shards.length), mine.length ? "connected" : "applied");
  mark($("t-shards"), connected === mine.length ? "good" : "bad");
  put($("t-shards-of"), count(sum(s => s.rows_read)) + " rows read");
  const wrong = tables.filter(needy).length;
  figure($("t-tables"), count(tables.length), tables.length === 1 ? "target" : "targets");
  mark($("t-tables-of"), wrong ? "bad" : "good");
  put($("t-tables-of"), wrong ? wrong + (wrong === 1 ? " needs you" : " need you") : status.snapshots.length ? status.snapshots.length + " being read" : "all arriving");
  figure($("t-memory"), ...bytes(status.batch_memory_bytes));
}

// What somebody has to do, the worst first.
function attention(tables) {
  const list = status.not_ready.map(c => ({
    key: c.about + c.name, who: c.about === "process" ? "Process" : (c.about === "shard" ? "Shard " : "Group ") + c.name,
    why: c.reason, do: c.mend, state: c.about === "process" ? "warn" : stateOf(c.about, status[c.about + "s"].find(i => i[c.about] === c.name) || {}, c.name),
  }));
  for (const table of tables) {
    for (const p of table.parked) list.push({ key: "p" + p.stage + p.origin, who: p.origin + " is parked", why: p.reason, do: p.mend, command: p.command, state: "bad" });
    for (const p of table.needs_snapshot) list.push({ key: "n" + p.origin, who: p.origin + " needs a snapshot", why: p.reason, do: "", command: p.command, state: "warn" });
    if (table.paused.length) list.push({ key: "h" + table.target, who: table.target + " is paused", why: count(table.paused.length) + " of " + count(table.origins) + " source tables are held back; their changes wait in the lake.", do: "When they may go on, resume them in the words in which they were paused.", state: "warn" });
    if (table.different_rows) list.push({ key: "d" + table.target, who: table.target + " differs from its source", why: count(table.different_rows) + " rows differed when they were compared last.", do: "", command: "tailwater verify --repair", state: "bad" });
  }
  list.sort((a, b) => (a.state === "bad" ? 0 : 1) - (b.state === "bad" ? 0 : 1));
  $("attention").hidden = !list.length;
  sync($("attention-list"), list.slice(0, SHOWN), i => i.key, makeAttention, (node, item) => {
    mark(node, item.state); put(node.who, item.who); put(node.why, item.why); put(node.todo, item.do);
    node.todo.hidden = !item.do; node.command.hidden = !item.command; put(node.code, item.command || "");
  });
  $("attention-more").hidden = list.length <= SHOWN;
  put($("attention-more"), "and " + (list.length - SHOWN) + " more; search the tables below");
}

function makeAttention() {
  const node = el("li");
  node.who = el("p", "who"); node.why = el("p", "why"); node.todo = el("p", "do");
  node.command = el("div", "command"); node.code = el("code");
  const copy = el("button", "", "Copy");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    const done = await copyText(node.code);
    put(copy, done ? "Copied" : "Select it");
    setTimeout(() => put(copy, "Copy"), 2000);
  });
  copy.setAttribute("aria-label", "Copy the command");
  node.command.append(node.code, copy);
  node.append(node.who, node.why, node.todo, node.command);
  return node;
}

// Without a secure context there is no clipboard: then the command is selected for the keyboard.
async function copyText(code) {
  try { await navigator.clipboard.writeText(code.textContent); return true; }
  catch { getSelection().selectAllChildren(code); return false; }
}

// Of all shards, aligned at the newest point.
function together(of, add) {
  const lists = [...history.values()].map(of), length = Math.max(0, ...lists.map(l => l.length)), all = [];
  for (let back = length; back > 0; back--) {
    let sum = null;
    for (const list of lists) {
      const n = list[list.length - back];
      if (n !== undefined && n !== null) sum = sum === null ? n : add(sum, n);
    }
    all.push(sum);
  }
  return all;
}

let overall = { lag: [], read: [], applied: [], lagTop: 0, rateTop: 0 }, frame = POINTS;

function curves() {
  const plus = (a, b) => a + b;
  const lag = together(h => h.lag, Math.max), read = together(h => h.read, plus), applied = together(h => h.applied, plus);
  frame = width(lag.length);
  const minutes = frame * status.history_seconds / 60, spoken = minutes === 60 ? "hour" : minutes + " minutes";
  overall = { lag, read, applied, lagTop: draw(lagChart, [lag], 5, frame), rateTop: draw(rateChart, [read, applied], 10, frame) };
  put($("curve-title"), "Last " + spoken);
  for (const axis of document.querySelectorAll(".axis")) { put(axis.children[0], minutes + " min ago"); put(axis.children[1], String(minutes / 2)); }
  lagChart.svg.setAttribute("aria-label", "Worst lag of the last " + spoken + ", at most " + span(overall.lagTop));
  rateChart.svg.setAttribute("aria-label", "Rows a second of the last " + spoken + ", at most " + count(overall.rateTop));
  readouts();
}

function readouts() {
  const at = (list, back) => list[list.length - 1 - back];
  const time = back => clock(until - back * status.history_seconds * 1e6);
  const lag = pointed.lag === null ? null : at(overall.lag, pointed.lag);
  put($("lag-read"), pointed.lag === null ? "up to " + span(overall.lagTop) : time(pointed.lag) + "  " + span(lag));
  const read = pointed.rate === null ? null : at(overall.read, pointed.rate);
  put($("rate-read"), pointed.rate === null ? "up to " + count(overall.rateTop)
    : time(pointed.rate) + "  " + (read === undefined || read === null ? "–" : count(read) + " · " + count(at(overall.applied, pointed.rate) || 0)));
}

function snapshots() {
  $("snapshots").hidden = !status.snapshots.length;
  sync($("snapshot-list"), status.snapshots, s => s.origin, s => {
    const node = el("li");
    node.bar = el("progress"); node.of = el("span", "of");
    node.bar.setAttribute("aria-label", s.origin);
    node.append(el("span", "name", s.origin), node.bar, node.of);
    return node;
  }, (node, s) => {
    node.bar.max = Math.max(1, s.rows_estimated); node.bar.value = s.rows;
    const left = s.remaining_seconds === undefined ? "" : " · " + span(s.remaining_seconds) + " left";
    put(node.of, count(s.rows) + " of about " + count(s.rows_estimated) + " · " + count(s.rows_per_second) + "/s" + left);
  });
}

function row(cells) {
  const node = el("tr");
  node.cells_ = cells.map(([className, label]) => {
    const cell = el("td", className);
    if (label) cell.dataset.label = label;
    node.append(cell);
    return cell;
  });
  return node;
}

function stateCell(cell) {
  const state = el("span", "state"), dot = el("span", "dot"), word = el("span", "word");
  dot.setAttribute("aria-hidden", "true");
  state.append(dot, word); cell.append(state);
  cell.show = (name, text) => { mark(state, name); put(word, text); };
}

function shards() {
  sync($("shard-rows"), status.shards, s => s.shard, s => {
    const node = row([["name"], [""], ["n lag", "lag"], ["stages"], ["curve"], ["n", "read/s"], ["n", "applied/s"], ["n", "entry"], ["position"]]);
    node.cells_[0].textContent = s.shard;
    stateCell(node.cells_[1]);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    node.cells_[4].append(svg); node.chart = chart(svg, ["lag"], false);
    return node;
  }, (node, s) => {
    const [, state, lag, stages, , read, applied, entry, position] = node.cells_;
    const name = stateOf("shard", s, s.shard);
    mark(node, name);
    state.show(name, wordOf("shard", s, s.shard));
    put(lag, span(lagOf(s)));
    put(stages, [s.lag_read_seconds, s.lag_stored_seconds, s.lag_applied_seconds].map(span).join(" · "));
    put(read, count(s.rows_read_per_second)); put(applied, count(s.rows_applied_per_second));
    put(entry, s.head ? count(s.head) : "–"); put(position, s.position);
    if (position.title !== s.position) position.title = s.position;
    draw(node.chart, [(history.get(s.shard) || { lag: [] }).lag], 10, frame);
  });
}

function groups() {
  $("groups").hidden = !status.groups.length;
  sync($("group-rows"), status.groups, g => g.group, g => {
    const node = row([["name"], [""], ["n", "last merge"], ["n", "took"], ["n", "usually"], ["n", "longest"], ["n opt"], ["n opt"]]);
    node.cells_[0].textContent = g.group;
    stateCell(node.cells_[1]);
    return node;
  }, (node, g) => {
    const [, state, last, took, usual, longest, rows, merges] = node.cells_;
    const name = stateOf("group", g, g.group);
    mark(node, name);
    state.show(name, wordOf("group", g, g.group));
    put(last, g.last ? ago(g.last.at, status.at) : "–");
    put(took, g.last ? millis(g.last.staging_ms + g.last.merging_ms) : "–");
    put(usual, millis(g.usual_ms)); put(longest, millis(g.longest_ms));
    put(rows, g.last ? count(g.last.rows) : "–"); put(merges, count(g.ticks));
  });
}

function showTables() {
  const words = $("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean), only = $("only").checked;
  const rank = { bad: 0, warn: 1, good: 2 };
  const found = status.tables.filter(t => words.every(w => t.target.toLowerCase().includes(w)) && (!only || stateOfTable(t) !== "good"));
  found.sort((a, b) => rank[stateOfTable(a)] - rank[stateOfTable(b)] || (a.target < b.target ? -1 : 1));
  put($("found"), found.length === status.tables.length ? "" : found.length + " of " + status.tables.length);
  sync($("table-rows"), found, t => t.target, t => {
    const node = row([["name"], [""], ["n lag", "lag"], ["n", "merged"], ["n dim", "last"], ["n dim opt"], ["n dim", "verified"]]);
    node.cells_[0].textContent = t.target; node.cells_[0].title = t.target;
    stateCell(node.cells_[1]);
    return node;
  }, (node, t) => {
    const [, state, lag, merged, last, sources, verified] = node.cells_;
    mark(node, stateOfTable(t));
    state.show(stateOfTable(t), wordOfTable(t));
    put(lag, span(t.lag_seconds)); put(merged, count(t.rows_applied)); put(last, ago(t.applied_at, status.at));
    put(sources, count(t.origins)); put(verified, t.verified_through ? ago(t.verified_through, status.at) : t.verified ? t.verified + " of " + t.origins : "–");
  }, true);
}
$("search").addEventListener("input", () => status && showTables());
$("only").addEventListener("change", () => status && showTables());

function recent() {
  $("calm").hidden = status.recent.length > 0;
  const at = new Map();
  const named = status.recent.map(e => {
    const name = e.level + e.message + e.first_at, n = at.get(name) || 0;
    at.set(name, n + 1);
    return { ...e, key: name + "\0" + n };
  });
  sync($("recent"), named, e => e.key, () => {
    const node = el("li"), dot = el("span", "dot");
    dot.setAttribute("aria-hidden", "true");
    node.what = el("p", "what"); node.when = el("p", "when"); node.fields = el("p", "fields");
    node.append(dot, node.what, node.when, node.fields);
    return node;
  }, (node, e) => {
    mark(node, e.level === "error" ? "bad" : "warn");
    put(node.what, e.message); put(node.fields, e.fields);
    put(node.when, (e.count > 1 ? e.count + " times, last " : "") + ago(e.last_at, status.at));
  });
}

run();
