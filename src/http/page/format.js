// Numbers, times and nodes. All text of others goes into the page by textContent.

export function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Writes only what changed: hundreds of rows are looked at every few seconds.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, state) {
  if (node.dataset.state !== state) node.dataset.state = state;
}

// Makes the children of `parent` be `items`, in their order, keeping the nodes of those that stay; with `keep` also of those that
// go, because a search brings them back.
export function sync(parent, items, key, make, update, keep) {
  const known = parent.nodes || (parent.nodes = new Map());
  const wanted = new Set(items.map(key));
  for (const [name, node] of known) {
    if (!wanted.has(name)) { node.remove(); if (!keep) known.delete(name); }
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = known.get(name);
    if (!node) { node = make(item); known.set(name, node); }
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
    update(node, item);
  }
}

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

export function count(n) {
  if (n >= 1e9) return tenth.format(n / 1e9) + " G";
  if (n >= 1e7) return tenth.format(n / 1e6) + " M";
  return n > 0 && n < 10 && n % 1 ? tenth.format(n) : whole.format(n);
}

export function bytes(n) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) {
    if (n >= size) return [tenth.format(n / size), unit];
  }
  return [whole.format(n), "B"];
}

// A span of seconds in at most two units.
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 9.95) return tenth.format(Math.max(0, seconds)) + " s";
  const s = Math.round(seconds);
  if (s < 120) return s + " s";
  if (s < 7200) return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + (s % 60) + " s" : "");
  if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

export function millis(ms) {
  return ms === undefined ? "–" : ms < 1000 ? ms + " ms" : span(ms / 1000);
}

// How long ago a time in microseconds is.
export function ago(at, now) {
  return at ? span(Math.max(0, Math.round((now - at) / 1e6))) + " ago" : "–";
}

export function clock(micros) {
  return new Date(micros / 1000).toLocaleTimeString("en-GB");
}
