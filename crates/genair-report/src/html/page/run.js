// One run: results, curves, diagnostics, resolved spec, provenance.

async function run([number]) {
  const of = report.byId.get(Number(number));
  if (!of) return [heading(`Run ${number}`), h("p", { class: "warning" }, "This page has no such run.")];
  const [details, curves, results] = await Promise.all([detailsOf(of), curvesOf(of), resultTables(of)]);
  return [
    heading(`Run ${of.run_id} `, state(of.state)),
    h("p", null, runName(of)),
    h("p", { class: "quiet" }, "In ", of.places.map((place, at) => [at > 0 ? ", " : null, `sweep ${place.sweep}`]), "."),
    h("div", { class: "actions" }, h("label", null, chooser(of), " choose to compare"), h("a", { href: `#compare/${of.run_id}` }, "Compare with…")),
    of.failure_kind ? h("div", { class: "warning" }, h("strong", null, `Failed while ${of.failure_phase}: ${of.failure_kind}. `), reason(of)) : null,
    of.pruned_at_epoch ? h("p", { class: "warning" }, `Stopped after epoch ${of.pruned_at_epoch} for being worse than others.`) : null,
    curves ? [h("h3", null, "Learning curves"), runCurves([[`run ${of.run_id}`, of, curves]])] : null,
    results,
    diagnosticsTable([[`run ${of.run_id}`, details]]),
    h("h3", null, "Facts"),
    h("div", { class: "columns" },
      factsTable("Training", [
        ["Best epoch", of.best_epoch === null ? null : `${of.best_epoch} of ${of.epochs}`],
        ["Trainable parameters", of.parameters === null ? null : grouped(of.parameters)],
        ["Time in all", of.seconds === null ? null : duration(of.seconds)],
        ["Time in training", of.train_seconds === null ? null : duration(of.train_seconds)],
        ["Processor time", of.cpu_seconds === null ? null : duration(of.cpu_seconds)],
        ["Peak memory", of.peak_memory_bytes === null ? null : mebibytes(of.peak_memory_bytes)],
      ]),
      factsTable("Data", [
        ["Users", of.users === null ? null : grouped(of.users)],
        ["Items", of.items === null ? null : grouped(of.items)],
        ["Interactions", of.interactions === null ? null : grouped(of.interactions)],
        ["Head items have, at least", of.head_item === null ? null : counted(of.head_item, "training interaction")],
        ["Long users have, at least", of.long_user === null ? null : counted(of.long_user, "item")],
      ])),
    h("h3", null, "Provenance"),
    provenanceTables(details),
    h("h3", null, "Resolved spec"),
    specTable(details.spec),
    h("details", null, h("summary", null, "As JSON"), h("pre", { tabindex: 0 }, JSON.stringify(details.spec, null, 2))),
  ];
}

/** Loss and validation of runs, [name, run, curves] each, in one colour each. */
function runCurves(of) {
  const series = (field) => of.flatMap(([name, run, curves], at) => {
    const values = curves?.[field] ?? [];
    const points = values.map((value, place) => [curves.epoch[place], value]).filter(([, value]) => value !== null);
    return points.length > 0 ? [{ name, points, stroke: colour(at), dash: DASHES[at % DASHES.length], mark: run.best_epoch }] : [];
  });
  const monitors = [...new Set(of.map(([, run]) => run.monitor).filter(Boolean))];
  const valid = monitors.length === 1 ? monitors[0].toUpperCase() : "early-stopping metric";
  const charts = [
    ["loss", "Training loss, mean over the epoch's steps", "loss"],
    ["valid", `Validation, ${valid}`, valid],
    ["calibration", "Calibration term before its weight", "calibration"],
  ];
  const thinned = of.some(([, run, curves]) => curves && run.epochs > curves.epoch.length);
  return h("div", null,
    h("div", { class: "columns" }, charts.map(([field, title, yLabel]) => {
      const found = series(field);
      return found.length > 0 ? lineChart({ title: `${title}${field === "loss" || of.length > 1 ? "" : "; the dot is the best epoch"}`, series: found, xLabel: "epoch", yLabel, names: of.length > 1 }) : null;
    })),
    thinned ? h("p", { class: "quiet" }, `Curves are thinned to about ${report.curve_points} epochs; the first, best and last are kept.`) : null,
    of.length === 1 && of[0][2] ? curveNumbers(of[0][2]) : null);
}

function curveNumbers(curves) {
  const columns = ["loss", "calibration", "valid"].filter((field) => curves[field].length > 0);
  const details = h("details", null, h("summary", null, "Curves as numbers"));
  details.addEventListener("toggle", () => {
    if (details.querySelector("table")) return;
    details.append(frame("Curves as numbers", h("table", null,
      h("thead", null, h("tr", null, ["epoch", ...columns].map((name) => h("th", { scope: "col", class: "number" }, name)))),
      h("tbody", null, curves.epoch.map((epoch, at) => h("tr", null,
        h("th", { scope: "row", class: "number" }, epoch),
        columns.map((field) => h("td", { class: "number" }, brief(curves[field][at])))))))));
  });
  return details;
}

/** A table for each split and protocol: a row per metric, a column per cohort. */
async function resultTables(of) {
  if (of.state !== "finished") return null;
  const values = await Promise.all(report.measures.map(valuesOf));
  const measured = report.measures.map((is, at) => ({ ...is, value: values[at][of.at] })).filter((is) => !Number.isNaN(is.value));
  const protocols = [...new Set(measured.map((is) => JSON.stringify([is.split, is.protocol])))].map((key) => JSON.parse(key));
  const cohorts = distinct(measured, "cohort");
  return [h("h3", null, "Results"), h("div", { class: "columns wide" }, protocols.map(([split, protocol]) => {
    const own = measured.filter((is) => is.split === split && is.protocol === protocol);
    const names = distinct(own.map((is) => ({ name: measureName(is) })), "name");
    const title = `${named(SPLITS, split)} split, ${named(PROTOCOLS, protocol)}`;
    return frame(title, h("table", null, h("caption", null, title),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Metric"), cohorts.map((cohort) => h("th", { scope: "col", class: "number" }, cohortHead(of, split, cohort))))),
      h("tbody", null, names.map((name) => h("tr", null, h("th", { scope: "row" }, name), cohorts.map((cohort) =>
        h("td", { class: "number" }, score(own.find((is) => measureName(is) === name && is.cohort === cohort)?.value))))))));
  }))];
}

/** A cohort's name over how many users it has. */
function cohortHead(run, split, cohort) {
  const users = cohortUsers(run, split, cohort);
  return [named(COHORTS, cohort), missing(users) ? null : h("span", { class: "size" }, `n = ${grouped(users)}`)];
}

/** Measures of the item spaces of runs, [name, details] each. */
function diagnosticsTable(of) {
  const rows = new Map();
  of.forEach(([, { diagnostics }], at) => diagnostics.forEach(([epoch, name, value]) => {
    if (!rows.has(name)) rows.set(name, []);
    const cells = (rows.get(name)[at] ??= {});
    if (epoch === 0) cells.before = value;
    else cells.after = value;
  }));
  if (rows.size === 0) return null;
  const heads = of.flatMap(([name]) => [`${name}, before training`, `${name}, best epoch`]);
  return [h("h3", null, "Diagnostics of the item space"), frame("Diagnostics of the item space", h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Measure"), heads.map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", null, [...rows].map(([name, cells]) => h("tr", null, h("th", { scope: "row" }, name.replaceAll("_", " ")),
      of.map((_, at) => ["before", "after"].map((when) => h("td", { class: "number" }, brief(cells[at]?.[when]))))))))) ];
}

const hash = (value) => (value ? h("span", { class: "hash" }, value) : null);

function provenanceTables({ provenance: of, inputs, artefacts }) {
  const dirty = of.code_dirty ? ` with changes${of.code_diff ? ` (diff ${of.code_diff.slice(0, 12)})` : ""}` : "";
  return h("div", { class: "columns" },
    factsTable("Where its numbers come from", [
      ["Identity", hash(of.identity)],
      ["Code", of.code_revision ? [hash(of.code_revision), dirty] : null],
      ["Trainer", of.trainer_version], ["libtorch", of.libtorch], ["Results version", of.results_version],
      ["Raw data", hash(of.data_sha256)], ["Sequences", hash(of.sequences_sha256)],
      ["Plugin", hash(of.plugin_sha256) ?? "built in"], ["Spec", hash(of.spec_sha256)],
      ...inputs.map(([kind, path, sha256]) => [`Read: ${kind}`, [path, " ", hash(sha256)]]),
      ...artefacts.map(([kind, path, bytes, sha256]) => [`Wrote: ${kind}`, [path, ` (${mebibytes(bytes)}) `, hash(sha256)]]),
    ]),
    factsTable("Where and when it ran", [
      ["Host", of.host], ["Processor", of.cpu ? `${of.cpu}, ${counted(of.cores, "core")}` : null],
      ["Memory", of.memory_bytes ? mebibytes(of.memory_bytes) : null], ["System", of.system],
      ["Device", of.device], ["Threads", of.threads],
      ["Planned", moment(of.created_at)], ["Started", moment(of.started_at)], ["Ended", moment(of.finished_at)],
      ["Attempts", of.attempts], ["Resumed from epoch", of.resumed_from_epoch],
    ]));
}

function specTable(spec) {
  return frame("Resolved spec", h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Setting"), h("th", { scope: "col" }, "Value"))),
    h("tbody", null, [...flatten(spec)].map(([key, value]) =>
      h("tr", null, h("th", { scope: "row" }, h("code", null, key)), h("td", { class: "long" }, value))))));
}
