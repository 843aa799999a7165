// Figures: those made by `genair report`, and some drawn from the data of this page.

// As many as there are colours, so that none stands for two.
const DRAWN = SERIES;
const COSTS = {
  cpu_seconds: "processor seconds",
  train_seconds: "seconds of training",
  parameters: "trainable parameters",
  peak_memory_bytes: "bytes of memory at the peak",
};

async function figures(params) {
  const made = byId("figures")?.content.cloneNode(true);
  const parts = [heading("Figures"), made ? [h("h3", null, "Of the report"), made] : null];
  if (report.measures.length === 0) return [...parts, h("p", { class: "note" }, "No run has finished yet.")];
  const output = h("div");
  const datasets = sortedValues(distinct(report.runs.filter((run) => run.state === "finished"), "dataset"));
  const fields = [
    labelField("sweep", "Sweep", distinct(report.places, "sweep")),
    { name: "dataset", label: "Dataset", usual: datasets[0], options: datasets.map((of) => [of, of]) },
    labelField("backbone", "Backbone", distinct(report.runs, "backbone")),
    labelField("representation", "Representation", distinct(report.runs, "representation")),
    ...measureFields(false),
    { name: "metric", label: "Metric", usual: usualOf("metric", "ndcg"), options: distinct(report.measures, "metric").map((of) => [of, named(METRICS, of)]) },
    { name: "cost", label: "Cost", usual: "cpu_seconds", options: Object.entries(COSTS) },
  ].filter(Boolean);
  const update = async () => output.replaceChildren(...(await drawn(params, datasets[0])));
  const form = filterForm("figures", params, fields, update);
  await update();
  return [...parts, h("h3", null, "Of these results"), form, output];
}

async function drawn(params, usualDataset) {
  const dataset = params.get("dataset") ?? usualDataset;
  const [split, protocol, metric] = [chosenOf(params, "split", "test"), chosenOf(params, "protocol", "full"), chosenOf(params, "metric", "ndcg")];
  const k = usualCutoff();
  const withDataset = new URLSearchParams(params);
  withDataset.set("dataset", dataset);
  const places = chosenPlaces(withDataset);
  const cohorts = Object.keys(COHORTS).filter((cohort) => measure(split, protocol, cohort, metric, k));
  const measures = cohorts.map((cohort) => measure(split, protocol, cohort, metric, k));
  const all = (await configurations(places, measures)).filter((of) => of.scores[0]);
  if (all.length === 0) return [h("p", { class: "note" }, "No finished run passes these filters.")];
  // One figure never shows what may not be compared: the data of most configurations is shown.
  const [key, rows] = [...groupBy(all, (of) => comparableKey(of.runs[0]))].sort((a, b) => b[1].length - a[1].length)[0];
  const best = [...rows].sort((a, b) => b.scores[0].mean - a.scores[0].mean).slice(0, DRAWN);
  const about = `${dataset}, ${named(SPLITS, split)} split, ${named(PROTOCOLS, protocol)}`;
  const what = measureName({ metric, k });
  const representations = sortedValues(distinct(report.runs, "representation"));
  const dash = (of) => DASHES[representations.indexOf(of.representation) % DASHES.length];

  const cost = params.get("cost") ?? "cpu_seconds";
  const timed = cost === "cpu_seconds" || cost === "train_seconds" || cost === "peak_memory_bytes";
  const machines = groupBy(rows.filter((of) => !missing(of.runs[0][cost])), (of) => (timed ? of.runs[0].machine : ""));
  const scatters = [...machines].map(([machine, group]) => scatterChart({
    title: `${what} against ${COSTS[cost]}, mean over seeds; ${about}${machine ? `; ${machine}` : ""}`,
    xLabel: COSTS[cost], yLabel: what,
    points: group.map((of) => ({
      x: summarise(of.runs.map((run) => run[cost])).mean, y: of.scores[0].mean, name: configurationName(of),
      group: `${of.backbone}, ${of.representation}`, fill: backboneColour(of.backbone),
      marker: MARKERS[representations.indexOf(of.representation) % MARKERS.length],
    })),
  }));

  const withCohorts = best.filter((of) => of.scores.every(Boolean));
  const bars = cohorts.length > 1 && withCohorts.length > 0 ? barChart({
    title: `${what} by users, mean over seeds; ${about}; the best ${withCohorts.length} configurations`,
    groups: cohorts.map((cohort) => {
      const users = cohortUsers(rows[0].runs[0], split, cohort);
      return [named(COHORTS, cohort), missing(users) ? null : `n = ${grouped(users)}`];
    }), yLabel: what,
    series: withCohorts.map((of) => ({ name: configurationName(of), stroke: colour(best.indexOf(of)), values: of.scores.map((summary) => summary.mean) })),
  }) : null;

  const curves = await Promise.all(best.flatMap((of) => of.runs.map(async (run) => ({ of, run, curves: await curvesOf(run) }))));
  const series = curves.flatMap(({ of, run, curves: own }) => {
    const points = (own?.valid ?? []).map((value, at) => [own.epoch[at], value]).filter(([, value]) => value !== null);
    return points.length > 0 ? [{ name: configurationName(of), stroke: colour(best.indexOf(of)), dash: dash(of), points }] : [];
  });
  const monitors = new Set(best.map((of) => of.runs[0].monitor));
  const monitor = monitors.size === 1 && !monitors.has(null) ? [...monitors][0].toUpperCase() : "early-stopping metric";
  const learning = series.length > 0 ? lineChart({
    title: `Validation ${monitor} by epoch, a line for each seed; ${dataset}; the best ${best.length} configurations`,
    series, xLabel: "epoch", yLabel: monitor, names: true,
  }) : null;

  const others = new Set(all.map((of) => comparableKey(of.runs[0]))).size - 1;
  return [
    others > 0 ? h("p", { class: "warning" }, `Shown is ${dataset} as most configurations have it (sequences ${JSON.parse(key)[1].slice(0, 12)}); those of other data are left out.`) : "",
    h("div", { class: "columns" }, bars, learning, scatters),
  ];
}
