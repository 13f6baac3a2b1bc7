// Facts, elements and words. Text from runs only ever becomes text nodes and attributes.
const facts = JSON.parse(document.getElementById("facts").textContent);
const runs = facts.runs.map((run, number) => ({ ...run, number }));
const at = (id) => document.getElementById(id);
const MISSING = "–";
const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const html = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

const isNumber = (value) => typeof value === "number";
const number = (value, digits = 3) => (isNumber(value) ? value.toFixed(digits) : MISSING);
const count = (value) => (isNumber(value) ? value.toLocaleString("en") : MISSING);
const plural = (many, word) => `${count(many)} ${word}${many === 1 ? "" : "s"}`;
const interval = ([, low, high]) => (isNumber(low) && isNumber(high) ? `${number(low)}–${number(high)}` : "");
const moment = (text) => (text ? text.slice(0, 16).replace("T", " ") : "");
function duration(seconds) {
  if (!isNumber(seconds)) return MISSING;
  const whole = Math.round(seconds),
    minutes = Math.floor(whole / 60),
    hours = Math.floor(minutes / 60);
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
function deviation(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
function partsBy(items, key) {
  const parts = new Map();
  for (const item of items) {
    const value = key(item);
    if (!parts.has(value)) parts.set(value, []);
    parts.get(value).push(item);
  }
  return parts;
}

const figure = (run, what) => (run.figures ? run.figures[what][0] : null);
const collapsed = (run) => Boolean(run.figures && run.figures.collapsed);
const named = (run) => run.name + (run.told ? ` · ${run.told}` : "") + (collapsed(run) ? "†" : "");
// What tells a run from others of its name, on a line of its own.
const toldApart = (run) => (run.told ? html("small", { class: "told" }, run.told) : null);
const runLink = (run, text = run.name) =>
  run.page
    ? html("a", { href: run.page, title: run.folder }, text)
    : html("span", { title: run.folder }, text);

// Positions of the points that no other is better than in one figure and no worse in the other.
function paretoFront(points) {
  const order = points
    .map((point, place) => ({ ...point, place }))
    .filter((point) => isNumber(point.accuracy) && isNumber(point.bias) && !point.collapsed)
    .sort((a, b) => b.accuracy - a.accuracy || a.bias - b.bias);
  const front = [];
  let best = Infinity,
    last = null;
  for (const point of order) {
    const same = last !== null && point.accuracy === last.accuracy && point.bias === last.bias;
    if (point.bias < best || same) {
      front.push(point.place);
      best = point.bias;
      last = point;
    }
  }
  return front;
}

// Round numbers that divide a range into about `wanted` parts.
function ticks(low, high, wanted = 5) {
  const raw = (high - low) / wanted,
    power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place++)
    found.push(place * step);
  return { values: found, digits: Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9))) };
}
// The smallest and the largest of many values, 1 and 1 of none.
const extremes = (values) =>
  values.length
    ? values.reduce(
        ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
        [values[0], values[0]],
      )
    : [1, 1];
// The range of some values with a little room around it; never of no width.
function padded(values, share = 0.06) {
  const [low, high] = extremes(values);
  const room = (high - low) * share || Math.abs(high) * share || 0.05;
  return [low - room, high + room];
}

function tip(text, x, y) {
  const box = at("tip");
  box.textContent = text;
  box.hidden = !text;
  if (!text) return;
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
  box.style.top = `${y + height + 18 > innerHeight ? y - height - 10 : y + 14}px`;
}

// Eight kinds at most are told apart, by colour and by shape or dash; the rest share the last.
const KINDS = 8;
const SHAPES = [
  (r) => `M${-r},0A${r},${r} 0 1 0 ${r},0A${r},${r} 0 1 0 ${-r},0Z`,
  (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0,${-r * 1.25}L${r * 1.15},${r * 0.85}H${-r * 1.15}Z`,
  (r) => `M0,${-r * 1.35}L${r * 1.35},0L0,${r * 1.35}L${-r * 1.35},0Z`,
  (r) => `M0,${r * 1.25}L${r * 1.15},${-r * 0.85}H${-r * 1.15}Z`,
  (r) =>
    `M${-r * 0.4},${-r * 1.2}H${r * 0.4}V${-r * 0.4}H${r * 1.2}V${r * 0.4}H${r * 0.4}V${r * 1.2}H${-r * 0.4}V${r * 0.4}H${-r * 1.2}V${-r * 0.4}H${-r * 0.4}Z`,
  (r) => `M${-r * 1.2},0L${-r * 0.6},${-r}H${r * 0.6}L${r * 1.2},0L${r * 0.6},${r}H${-r * 0.6}Z`,
  (r) => `M0,${-r * 1.3}L${r * 1.2},${-r * 0.4}L${r * 0.75},${r}H${-r * 0.75}L${-r * 1.2},${-r * 0.4}Z`,
];
const CROSS = (r) => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`;
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 4", "6 2 1 2 1 2"];
const colour = (kind) => `var(--c${Math.min(kind, KINDS - 1)})`;
