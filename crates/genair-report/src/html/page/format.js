// Numbers and names as people read them.

const METRICS = {
  hr: "HR",
  ndcg: "NDCG",
  mrr: "MRR",
  coverage: "Coverage",
  gini: "Gini",
  novelty: "Novelty",
  "tail-share": "Tail share",
  "intra-list-similarity": "ILS",
};
/** Metrics of the ranks of targets; the others are of lists. */
const RANK_METRICS = ["hr", "ndcg", "mrr"];
/** Whether the lower of two values is the one that is looked for. */
const lowerIsBetter = (metric) => metric === "gini" || metric === "intra-list-similarity";
const PROTOCOLS = {
  full: "full ranking",
  "sampled-100": "100 sampled negatives",
  "sampled-99": "99 sampled negatives",
  "sampled-100-popularity": "100 popular negatives",
  "full-with-history": "full ranking with the history",
  cold: "cold items",
};
const SPLITS = { test: "test", valid: "validation" };
const COHORTS = {
  all: "all users",
  "head-item": "head items",
  "tail-item": "tail items",
  "long-user": "long users",
  "short-user": "short users",
  "cold-item": "cold items",
  "warm-item": "warm items",
};

const named = (names, value) => names[value] ?? value;
const measureName = ({ metric, k }) => `${named(METRICS, metric)}@${k}`;
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** A metric's value: four decimals, as `genair results` has them. */
const score = (value) => (missing(value) ? "–" : value.toFixed(4));
const signed = (value) => (missing(value) ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(4));
const grouped = (value) => (missing(value) ? "–" : value.toLocaleString("en"));

/** A number of any size, four digits of it. */
function brief(value) {
  if (missing(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

function probability(p) {
  if (missing(p)) return "–";
  return p !== 0 && p < 1e-4 ? p.toExponential(2) : p.toFixed(4);
}

function duration(seconds) {
  if (missing(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const mebibytes = (bytes) => (missing(bytes) ? "–" : `${(bytes / 2 ** 20).toFixed(0)} MiB`);
const moment = (text) => (text ? text.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : null);
const counted = (n, noun) => `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
const state = (name) => h("span", { class: `state state-${name}` }, name);
