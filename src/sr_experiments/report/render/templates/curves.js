"use strict";
// Draws one experiment's curves. Nothing is sent anywhere; labels are set as text, never as HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
const HEIGHT = 400, LEFT = 58, RIGHT = 26, TOP = 10, BOTTOM = 42;
let WIDTH = 880;
const at = id => document.getElementById(id);
const hidden = new Set();
let shown = [];

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function metrics(variants) {
  const names = new Set();
  for (const variant of variants)
    for (const run of variant.runs)
      for (const [name, values] of Object.entries(run.columns))
        if (name !== "epoch" && name !== "update" && values.some(v => v !== null)) names.add(name);
  return [...names];
}

function fill(select, names, keep) {
  const old = keep ?? select.value;
  select.replaceChildren(...names.map(name => new Option(name, name)));
  if (names.includes(old)) select.value = old;
}

// Points of one run: rows whose value is a number.
function points(run, metric, axis) {
  const x = run.columns[axis], y = run.columns[metric] ?? [];
  return y.map((value, i) => [x[i], value]).filter(([a, b]) => a !== null && b !== null);
}

// Mean, lowest and highest over the seeds at the places that all of them have.
function joined(runs) {
  const maps = runs.map(run => new Map(run)), count = maps.length;
  return [...maps[0].keys()].filter(x => maps.every(map => map.has(x))).sort((a, b) => a - b).map(x => {
    const values = maps.map(map => map.get(x));
    return { x, y: values.reduce((a, b) => a + b) / count, low: Math.min(...values), high: Math.max(...values) };
  });
}

// The variants of the chosen experiment at the chosen scale.
function members() {
  const all = DATA[at("experiment").value] ?? [], scale = at("scale").value;
  return all.filter(variant => scale === "all" || `x${variant.scale}` === scale);
}

function series() {
  const variants = members(), metric = at("metric").value, axis = at("axis").value;
  const found = [];
  variants.forEach((variant, number) => {
    const runs = variant.runs.filter(run => points(run, metric, axis).length);
    if (!runs.length) return;
    const all = runs.map(run => points(run, metric, axis));
    const mean = joined(all);
    const one = { number, label: variant.label, colour: `var(--s${number % 8})`, dash: Math.floor(number / 8) % 3,
      runs, mean, off: hidden.has(variant.label) };
    one.lines = at("seeds").value === "each" || !mean.length
      ? all.map((p, i) => ({ name: `${variant.label}, seed ${runs[i].seed}`,
          points: p.map(([x, y]) => ({ x, y, low: y, high: y })) }))
      : [{ name: variant.label, points: mean }];
    if (at("late").checked)
      for (const line of one.lines) {
        const end = line.points.at(-1).x;
        line.points = line.points.filter(p => p.x >= end / 2);
      }
    found.push(one);
  });
  return found;
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= rough);
  const made = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) made.push(v);
  return { made, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const plain = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const told = value => Math.abs(value) >= 1 ? plain(value, 3) : value.toPrecision(4);

function draw() {
  const plot = at("plot");
  WIDTH = Math.max(300, plot.parentElement.clientWidth); // text keeps its size on a phone
  plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  plot.replaceChildren();
  shown = series();
  table();
  const visible = shown.filter(one => !one.off).flatMap(one => one.lines.map(line => ({ ...line, one })));
  const all = visible.flatMap(line => line.points);
  at("reading").hidden = true;
  place = null;
  count = 0;
  if (!all.length) return;
  let [x0, x1] = [Math.min(...all.map(p => p.x)), Math.max(...all.map(p => p.x))];
  let [y0, y1] = [Math.min(...all.map(p => p.low)), Math.max(...all.map(p => p.high))];
  if (x0 === x1) x1 = x0 + 1;
  const pad = (y1 - y0) * 0.05 || Math.abs(y1) * 0.01 || 1;
  y0 -= pad; y1 += pad;
  const X = x => LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
  const Y = y => HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP);
  const vertical = ticks(y0, y1, 6);
  for (const value of vertical.made) {
    plot.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: Y(value), y2: Y(value) }));
    plot.append(element("text", { x: LEFT - 8, y: Y(value) + 4, "text-anchor": "end" }, plain(value, vertical.digits)));
  }
  for (const value of ticks(x0, x1, WIDTH / 110).made.filter(Number.isInteger))
    plot.append(element("text", { x: X(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, plain(value, 0)));
  plot.append(element("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, at("axis").selectedOptions[0].text));
  const dashes = ["none", "7 4", "2 3"];
  for (const line of visible) {
    const p = line.points;
    if (p.some(q => q.high > q.low)) {
      const path = [...p.map(q => `${X(q.x)},${Y(q.high)}`), ...[...p].reverse().map(q => `${X(q.x)},${Y(q.low)}`)];
      plot.append(element("polygon", { class: "band", points: path.join(" "), style: `fill:${line.one.colour}` }));
    }
    plot.append(element("polyline", { class: "line", points: p.map(q => `${X(q.x)},${Y(q.y)}`).join(" "),
      style: `stroke:${line.one.colour}`, "stroke-dasharray": dashes[line.one.dash] }));
    if (p.length === 1) plot.append(element("circle", { cx: X(p[0].x), cy: Y(p[0].y), r: 3, style: `fill:${line.one.colour}` }));
  }
  const places = [...new Set(all.map(p => p.x))].sort((a, b) => a - b);
  read = index => reading(places, index, visible, X);
  nearest = wanted => places.reduce((best, x, i) => Math.abs(X(x) - wanted) < Math.abs(X(places[best]) - wanted) ? i : best, 0);
  count = places.length;
}

let read = () => {}, nearest = () => 0, count = 0, place = null;

function reading(places, index, visible, X) {
  const plot = at("plot"), box = at("reading");
  plot.querySelector(".cursor")?.remove();
  const x = places[index];
  plot.append(element("line", { class: "cursor", x1: X(x), x2: X(x), y1: TOP, y2: HEIGHT - BOTTOM }));
  const rows = visible.map(line => ({ line, p: line.points.find(p => p.x === x) })).filter(row => row.p);
  rows.sort((a, b) => b.p.y - a.p.y);
  const head = document.createElement("b");
  head.textContent = `${plain(x, 0)} ${at("axis").selectedOptions[0].text}`;
  box.replaceChildren(head, ...rows.slice(0, 12).map(({ line, p }) => {
    const row = document.createElement("div");
    row.append(swatch(line.one.colour), Object.assign(document.createElement("span"), { textContent: line.name }),
      Object.assign(document.createElement("span"), { className: "value", textContent: told(p.y) }));
    return row;
  }));
  if (rows.length > 12) box.append(`and ${rows.length - 12} more`);
  box.hidden = false;
  const share = X(x) / WIDTH;
  box.style.left = share < 0.5 ? `${share * 100 + 2}%` : "";
  box.style.right = share < 0.5 ? "" : `${(1 - share) * 100 + 2}%`;
  place = index;
}

function swatch(colour) {
  const made = document.createElement("span");
  made.className = "swatch";
  made.style.background = colour;
  return made;
}

function table() {
  const rising = /psnr|ssim/.test(at("metric").value);
  at("variants").tBodies[0].replaceChildren(...shown.map(one => {
    const row = document.createElement("tr");
    row.className = one.off ? "off" : "";
    const head = document.createElement("th");
    head.scope = "row";
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(!one.off));
    button.append(swatch(one.colour), Object.assign(document.createElement("span"), { textContent: one.label }));
    button.onclick = () => {
      one.off ? hidden.delete(one.label) : hidden.add(one.label);
      draw();
      at("variants").tBodies[0].rows[shown.findIndex(s => s.label === one.label)].querySelector("button").focus();
    };
    head.append(button);
    row.append(head);
    const last = one.mean.at(-1), ends = last && one.runs.length > 1 ? last.high - last.low : null;
    const best = one.mean.length ? (rising ? Math.max : Math.min)(...one.mean.map(p => p.y)) : null;
    const states = [...new Set(one.runs.map(run => run.state))].join(", ");
    const updates = Math.max(...one.runs.map(run => run.columns.update.at(-1) ?? 0));
    for (const text of [one.runs.map(run => run.seed).join(" "), plain(updates, 0), last ? told(last.y) : "",
      ends === null ? "" : told(ends), best === null ? "" : told(best), states])
      row.append(Object.assign(document.createElement("td"), { textContent: text }));
    return row;
  }));
}

function choose() {
  const all = DATA[at("experiment").value] ?? [];
  const scales = [...new Set(all.map(variant => variant.scale))].sort((a, b) => a - b).map(scale => `x${scale}`);
  fill(at("scale"), scales.length > 1 ? [...scales, "all"] : scales);
  fill(at("metric"), metrics(all), at("metric").value || "val_psnr_y");
  draw();
}

fill(at("experiment"), Object.keys(DATA), decodeURIComponent(location.hash.slice(1)));
at("experiment").onchange = () => {
  hidden.clear();
  history.replaceState(null, "", "#" + encodeURIComponent(at("experiment").value));
  choose();
};
addEventListener("resize", draw);
for (const id of ["scale", "metric", "axis", "seeds", "late"]) at(id).onchange = draw;
at("plot").addEventListener("pointermove", event => {
  if (!count) return;
  const box = at("plot").getBoundingClientRect();
  read(nearest((event.clientX - box.left) / box.width * WIDTH));
});
at("plot").addEventListener("pointerleave", () => { at("reading").hidden = true; at("plot").querySelector(".cursor")?.remove(); });
at("plot").addEventListener("keydown", event => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !count) return;
  event.preventDefault();
  read(Math.min(count - 1, Math.max(0, (place ?? (step > 0 ? -1 : count)) + step)));
});
choose();
