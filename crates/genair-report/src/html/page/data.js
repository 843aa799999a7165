// The results: unpacked from the page's blocks when something asks for them.

const report = { sweeps: [], runs: [], places: [], measures: [], cohort_users: [], chunk: 1, ranks: { of: [] } };
const unpacked = new Map();

/** A block's bytes. */
async function bytesOf(name) {
  const packed = document.querySelector(`script[data-block="${name}"]`);
  const text = atob(packed.textContent);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** A block, read once. */
function block(name, read) {
  if (!unpacked.has(name)) unpacked.set(name, bytesOf(name).then(read));
  return unpacked.get(name);
}

const asJson = (buffer) => JSON.parse(new TextDecoder().decode(buffer));
const asNumbers = (buffer) => new Float64Array(buffer);

async function load() {
  Object.assign(report, await block("index", asJson));
  report.runs.forEach((run, at) => {
    run.at = at;
    run.places = [];
  });
  for (const place of report.places) {
    place.run = report.runs[place.run];
    place.sweep = report.sweeps[place.sweep].name;
    place.run.places.push(place);
  }
  report.byId = new Map(report.runs.map((run) => [run.run_id, run]));
}

/** Every run's value of a measure; NaN for none. */
const valuesOf = (measure) => block(`measure-${report.measures.indexOf(measure)}`, asNumbers);

const ofChunk = async (kind, run) =>
  (await block(`${kind}-${Math.floor(run.at / report.chunk)}`, asJson))[run.at % report.chunk];
const curvesOf = (run) => ofChunk("curves", run);
const detailsOf = (run) => ofChunk("details", run);

/** A run's ranks on the test split by user, those past every cut-off clipped; null where the page has none. */
function ranksOf(run, protocol) {
  const at = report.ranks.of.findIndex((of) => of.run === run.at && of.protocol === protocol);
  return at < 0 ? null : block(`ranks-${at}`, (buffer) => new Uint16Array(buffer));
}

const measure = (split, protocol, cohort, metric, k) => report.measures.find((of) =>
  of.split === split && of.protocol === protocol && of.cohort === cohort && of.metric === metric && of.k === k);

/** All values of a field, each once, in their order. */
const distinct = (rows, field) => [...new Set(rows.map((row) => row[field]))];
const sortedValues = (values) => [...values].sort((a, b) => compareValues(a, b, false));

/** Rows by what `key` makes of them, in their order. */
function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const of = key(row);
    if (!groups.has(of)) groups.set(of, []);
    groups.get(of).push(row);
  }
  return groups;
}

/** The cut-off that is shown first: 10 where it was measured. */
function usualCutoff() {
  const cutoffs = distinct(report.measures, "k");
  return cutoffs.includes(10) ? 10 : Math.max(...cutoffs);
}

/**
 * What a run's numbers may be compared with: those of the same sequences, by the same version of the
 * trainer's numbers, and in a cohort by the same threshold.
 */
function comparableKey(run, cohort = "all") {
  const threshold = cohort.endsWith("-item") ? run.head_item : cohort.endsWith("-user") ? run.long_user : null;
  return JSON.stringify([run.dataset, run.data, run.results_version, threshold]);
}

/** Why two runs' metrics cannot be compared; empty if they can. */
function unlike(a, b) {
  const reasons = [];
  if (a.dataset !== b.dataset) reasons.push(`their datasets differ (${a.dataset}, ${b.dataset})`);
  else if (a.data !== b.data) reasons.push(`they are of other sequences of ${a.dataset}: the data, its filter or its split differ`);
  if (a.results_version !== b.results_version) {
    reasons.push(`they come from trainers whose numbers differ (results version ${a.results_version}, ${b.results_version})`);
  }
  return reasons;
}

/**
 * Runs that differ in nothing but the seed, with the values of `measures`: of each, its runs' and their summary.
 * A run belongs to every sweep that describes it, and is of one configuration all the same.
 */
async function configurations(places, measures) {
  const values = await Promise.all(measures.map(valuesOf));
  const found = new Map();
  for (const place of places) {
    const { run } = place;
    if (run.state !== "finished") continue;
    const key = JSON.stringify([place.sweep, run.dataset, run.backbone, run.representation, place.variant, run.configuration]);
    if (!found.has(key)) {
      const { dataset, backbone, representation, max_len } = run;
      found.set(key, { sweeps: new Set([place.sweep]), dataset, backbone, representation, max_len, variants: new Set([place.variant]), runs: [] });
    }
    found.get(key).runs.push(run);
  }
  const own = withoutRepeats([...found.values()]);
  for (const configuration of own) {
    configuration.sweep = [...configuration.sweeps].join(", ");
    configuration.variant = [...configuration.variants].filter(Boolean).join(" or ");
    configuration.scores = values.map((of) => {
      const measured = configuration.runs.filter((run) => !Number.isNaN(of[run.at]));
      if (measured.length === 0) return null;
      return { ...summarise(measured.map((run) => of[run.at])), seeds: seedsOf(measured) };
    });
  }
  return own;
}

/** Configurations without those whose runs are all another's too: these are that one, in another sweep. */
function withoutRepeats(all) {
  const kept = new Set();
  const ofRun = new Map();
  for (const configuration of [...all].sort((a, b) => b.runs.length - a.runs.length)) {
    const same = (ofRun.get(configuration.runs[0]) ?? []).find((of) => configuration.runs.every((run) => of.runs.includes(run)));
    if (same) {
      configuration.sweeps.forEach((sweep) => same.sweeps.add(sweep));
      configuration.variants.forEach((variant) => same.variants.add(variant));
      continue;
    }
    kept.add(configuration);
    for (const run of configuration.runs) ofRun.set(run, [...(ofRun.get(run) ?? []), configuration]);
  }
  return all.filter((configuration) => kept.has(configuration));
}

const seedsOf = (runs) => runs.map((run) => run.seed).sort((a, b) => a - b).join(", ");

/** The seeds of most of these summaries, or else the more seeds: a mean over others may be above them by luck. */
function usualSeeds(summaries) {
  const groups = [...groupBy(summaries, (summary) => summary.seeds).values()];
  groups.sort((a, b) => b.length - a.length || b[0].n - a[0].n);
  return groups[0]?.[0].seeds;
}

/** The users of a cohort of a run; null where nobody counted them. */
const cohortUsers = (run, split, cohort) => report.cohort_users.find((of) =>
  of.data === run.data && of.head_item === run.head_item && of.long_user === run.long_user &&
  of.split === split && of.cohort === cohort)?.users ?? null;

const configurationName = (of) => [of.backbone, of.representation, of.variant].filter(Boolean).join(" ");
const runName = (run) => [run.dataset, run.backbone, run.representation, variantsOf(run), `seed ${run.seed}`].filter(Boolean).join(" · ");
const variantsOf = (run) => [...new Set(run.places.map((place) => place.variant))].filter(Boolean).join(" or ");
const runLink = (run, text) => h("a", { href: `#run/${run.run_id}` }, text ?? `run ${run.run_id}`);

/** A spec as dotted paths and values, as `--set` takes them. */
function flatten(value, path = "", into = new Map()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${key}` : key, into);
  } else {
    into.set(path, typeof value === "string" ? value : JSON.stringify(value));
  }
  return into;
}
