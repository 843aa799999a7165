// Charts as SVG, drawn at the width they have on the screen so that their text stays readable.

const SERIES = 7;
// Solid, dashed, dotted, dash-dotted: in the order of the figures that `genair report` makes.
const DASHES = ["none", "7 4", "2 3", "9 3 2 3"];
const colour = (at) => `var(--series-${at % SERIES})`;

/** A backbone's colour is the same in every chart of the page. */
function backboneColour(backbone) {
  const all = sortedValues(distinct(report.runs, "backbone"));
  return colour(all.indexOf(backbone));
}

function chartWidth() {
  const room = byId("main").clientWidth - 24;
  return Math.max(280, Math.min(room >= 860 ? room / 2 - 12 : room, 640));
}

/** Round numbers that divide a range, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(wanted, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let value = Math.ceil(low / step); value * step <= high + step * 1e-9; value += 1) found.push(value * step);
  return found;
}

function range(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  return [low, high];
}

/** Axes, grid and labels; `draw` fills them in with the two scales it is given. */
function plot({ label, x, y, xTicks, draw, height = 280 }) {
  const width = chartWidth();
  const [left, right, top, bottom] = [66, 14, 12, 42];
  const scaleX = (value) => left + ((value - x.low) / (x.high - x.low)) * (width - left - right);
  const scaleY = (value) => height - bottom - ((value - y.low) / (y.high - y.low)) * (height - top - bottom);
  const marksX = xTicks ?? ticks(x.low, x.high, width / 90).map((value) => [value, brief(value)]);
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ticks(y.low, y.high, 5).map((value) => [
      s("line", { class: "grid", x1: left, x2: width - right, y1: scaleY(value), y2: scaleY(value) }),
      s("text", { x: left - 6, y: scaleY(value) + 4, "text-anchor": "end" }, brief(value)),
    ]),
    marksX.map(([value, ...lines]) => lines.filter(Boolean).map((text, line) =>
      s("text", { x: scaleX(value), y: height - bottom + 18 + 15 * line, "text-anchor": "middle" }, text))),
    s("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, x.label),
    s("text", { x: 13, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${(top + height - bottom) / 2})` }, y.label),
    draw(scaleX, scaleY, scaleY(y.low)));
}

/** A line for each entry, whose symbol is drawn as what it stands for. */
function legend(entries) {
  return h("ul", { class: "legend" }, entries.map(({ name, stroke, dash, marker, opacity }) => h("li", null,
    s("svg", { viewBox: "0 0 26 12", "aria-hidden": true },
      marker ? s("path", { d: symbol(marker, 13, 6, 4.5), fill: stroke, opacity: opacity ?? 1 })
        : s("line", { x1: 1, x2: 25, y1: 6, y2: 6, stroke, "stroke-width": 3, "stroke-dasharray": dash ?? "none" })),
    name)));
}

/**
 * Lines of {name, stroke, dash, points: [[x, y], …], mark: x to mark}; series of one name share a line of the legend,
 * which `names` asks for.
 */
function lineChart({ title, series, xLabel, yLabel, names: told }) {
  const points = series.flatMap((of) => of.points);
  const [low, high] = range(points.map(([, value]) => value));
  const [first, last] = range(points.map(([at]) => at));
  const names = new Map(series.map((of) => [of.name, of]));
  const chart = plot({
    label: `${title}: ${[...names.keys()].join(", ")}`,
    x: { label: xLabel, low: first, high: last },
    y: { label: yLabel, low: low - (high - low) * 0.04, high: high + (high - low) * 0.04 },
    draw: (x, y) => series.map((of) => {
      const best = of.points.find(([at]) => at === of.mark);
      const path = of.points.map(([at, value], place) => `${place ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
      return [
        s("path", { class: "curve", d: path, stroke: of.stroke, "stroke-dasharray": of.dash ?? "none" }, s("title", null, of.name)),
        of.points.length === 1 || best ? s("circle", { cx: x((best ?? of.points[0])[0]), cy: y((best ?? of.points[0])[1]), r: 4, fill: of.stroke },
          s("title", null, `${of.name}: ${brief((best ?? of.points[0])[1])}`)) : null,
      ];
    }),
  });
  return h("figure", null, chart, told ? legend([...names.values()]) : null, h("figcaption", null, title));
}

const MARKERS = ["circle", "square", "triangle", "diamond", "cross"];

function symbol(name, x, y, r) {
  switch (name) {
    case "square": return `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`;
    case "triangle": return `M${x} ${y - r * 1.2}L${x + r * 1.15} ${y + r}H${x - r * 1.15}Z`;
    case "diamond": return `M${x} ${y - r * 1.3}L${x + r * 1.3} ${y}L${x} ${y + r * 1.3}L${x - r * 1.3} ${y}Z`;
    case "cross": return `M${x - r} ${y - r / 3}h${r * 0.67}v${-r * 0.67}h${r * 0.67}v${r * 0.67}h${r * 0.67}v${r * 0.67}h${-r * 0.67}v${r * 0.67}h${-r * 0.67}v${-r * 0.67}h${-r * 0.67}Z`;
    default: return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }
}

/** Points that lie on each other are seen through. */
const FAINT = 0.85;

/** Points of {x, y, name, group, marker, fill}; x on a logarithmic axis where it spans decades. */
function scatterChart({ title, points, xLabel, yLabel }) {
  const [least, most] = range(points.map((of) => of.x));
  const log = least > 0 && most / least > 30;
  const along = log ? Math.log10 : (value) => value;
  const [first, last] = range(points.map((of) => along(of.x)));
  const [low, high] = range(points.map((of) => of.y));
  const room = (last - first) * 0.05;
  const decades = ticks(Math.ceil(first - room), Math.floor(last + room), 6).filter(Number.isInteger);
  const chart = plot({
    label: `${title}, ${points.length} configurations`,
    x: { label: log ? `${xLabel} (logarithmic)` : xLabel, low: first - room, high: last + room },
    y: { label: yLabel, low: low - (high - low) * 0.06, high: high + (high - low) * 0.06 },
    xTicks: log && decades.length > 1 ? decades.map((power) => [power, brief(10 ** power)])
      : log ? ticks(least, most, 4).filter((value) => value > 0).map((value) => [Math.log10(value), brief(value)]) : null,
    draw: (x, y) => points.map((of) => s("path", { d: symbol(of.marker, x(along(of.x)), y(of.y), 5), fill: of.fill, opacity: FAINT },
      s("title", null, `${of.name}: ${score(of.y)}, ${brief(of.x)}`))),
  });
  const groups = new Map(points.map((of) => [of.group, { name: of.group, stroke: of.fill, marker: of.marker, opacity: FAINT }]));
  return h("figure", null, chart, legend([...groups.values()]), h("figcaption", null, title));
}

/** Bars of series {name, stroke, values} side by side, one for each of `groups`, which are [name, what stands below]. */
function barChart({ title, groups, series, yLabel }) {
  const [, high] = range([0, ...series.flatMap((of) => of.values).filter((value) => !missing(value))]);
  const bar = 0.8 / series.length;
  const chart = plot({
    label: `${title}: ${series.map((of) => of.name).join(", ")}`,
    x: { label: "", low: 0, high: groups.length },
    y: { label: yLabel, low: 0, high: high * 1.05 },
    xTicks: groups.map((lines, at) => [at + 0.5, ...lines]),
    draw: (x, y, base) => series.map((of, place) => of.values.map((value, at) => {
      if (missing(value)) return null;
      const left = at + 0.1 + place * bar;
      const width = Math.max(x(left + bar) - x(left) - 1, 1);
      return s("rect", { x: x(left), y: y(value), width, height: Math.max(base - y(value), 0), fill: of.stroke },
        s("title", null, `${of.name}, ${groups[at].filter(Boolean).join(", ")}: ${score(value)}`));
    })),
  });
  return h("figure", null, chart, legend(series.map((of) => ({ ...of, marker: "square" }))), h("figcaption", null, title));
}
