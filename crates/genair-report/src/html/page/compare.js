// Two runs side by side: what their specs differ in, by how much their results differ, and whether that is luck.

async function compare([first, second], params) {
  const [a, b] = [first, second].map((number) => report.byId.get(Number(number)));
  const parts = [heading("Compare two runs"), compareForm(first, second)];
  if (!a || !b) {
    for (const [number, run] of [[first, a], [second, b]]) {
      if (number && !run) parts.push(h("p", { class: "warning" }, `This page has no run ${number}.`));
    }
    return parts;
  }
  const [detailsA, detailsB, curvesA, curvesB] = await Promise.all([detailsOf(a), detailsOf(b), curvesOf(a), curvesOf(b)]);
  const names = [`run ${a.run_id}`, `run ${b.run_id}`];
  const reasons = unlike(a, b);
  parts.push(
    frame("The runs", h("table", null,
      h("thead", null, h("tr", null, ["Of", "A", "B"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null,
        h("tr", null, h("th", { scope: "row" }, "Run"), [a, b].map((run) => h("td", null, runLink(run), " ", state(run.state)))),
        ["dataset", "backbone", "representation"].map((field) => h("tr", null, h("th", { scope: "row" }, field), [a, b].map((run) => h("td", null, run[field])))),
        h("tr", null, h("th", { scope: "row" }, "variant"), [a, b].map((run) => h("td", { class: "long" }, variantsOf(run) || "–"))),
        h("tr", null, h("th", { scope: "row" }, "seed"), [a, b].map((run) => h("td", null, run.seed)))))));
  if (reasons.length > 0) {
    parts.push(h("p", { class: "warning" }, `Their results are not put side by side: ${reasons.join("; ")}.`));
  } else if (a.state !== "finished" || b.state !== "finished") {
    parts.push(h("p", { class: "warning" }, "Only finished runs have results to compare."));
  } else {
    const output = h("div");
    const cutoffs = distinct(report.measures, "k").sort((x, y) => x - y);
    const update = async () => output.replaceChildren(...(await results(a, b, params)));
    const fields = [
      { name: "split", label: "Split", usual: "test", options: distinct(report.measures, "split").map((of) => [of, named(SPLITS, of)]) },
      { name: "k", label: "Cut-off", usual: String(usualCutoff()), options: cutoffs.map((k) => [k, `@${k}`]) },
    ];
    const form = filterForm(`compare/${a.run_id}/${b.run_id}`, params, fields, update);
    await update();
    parts.push(h("h3", null, "Results"), form, output);
  }
  parts.push(
    specDifferences(detailsA.spec, detailsB.spec),
    curvesA || curvesB ? [h("h3", null, "Learning curves"), runCurves([[names[0], a, curvesA], [names[1], b, curvesB]])] : null,
    diagnosticsTable([[names[0], detailsA], [names[1], detailsB]]));
  return parts;
}

function compareForm(first, second) {
  const field = (name, label, value) => h("label", null, label, h("input", {
    type: "number", name, min: 1, required: true, value: value ?? "", inputmode: "numeric", placeholder: "run number",
  }));
  const form = h("form", { class: "filters", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `compare/${form.elements.a.value}/${form.elements.b.value}`;
  } }, field("a", "Run A", first), field("b", "Run B", second),
  h("button", { class: "primary", type: "submit" }, "Compare"),
  first && second ? h("button", { type: "button", onclick: () => { location.hash = `compare/${second}/${first}`; } }, "Swap") : null);
  return [form, h("p", { class: "quiet" }, "Or choose two in the list of ", h("a", { href: "#runs" }, "runs"), ".")];
}

function specDifferences(a, b) {
  const [left, right] = [flatten(a), flatten(b)];
  const keys = sortedValues(new Set([...left.keys(), ...right.keys()]));
  const differing = keys.filter((key) => left.get(key) !== right.get(key));
  const same = `${counted(keys.length - differing.length, "other setting")} ${keys.length - differing.length === 1 ? "is" : "are"} the same.`;
  if (differing.length === 0) return [h("h3", null, "Specs"), h("p", null, "Their resolved specs are the same.")];
  return [
    h("h3", null, "What their specs differ in"),
    frame("What their specs differ in", h("table", null,
      h("thead", null, h("tr", null, ["Setting", "A", "B"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, differing.map((key) => h("tr", null, h("th", { scope: "row" }, h("code", null, key)),
        [left, right].map((of) => h("td", { class: "long" }, of.get(key) ?? h("span", { class: "quiet" }, "not there")))))))),
    h("p", { class: "quiet" }, same),
  ];
}

async function results(a, b, params) {
  const split = params.get("split") ?? "test";
  const k = Number(params.get("k") ?? usualCutoff());
  const shown = report.measures.filter((of) => of.split === split && of.k === k);
  const values = await Promise.all(shown.map(valuesOf));
  const rows = shown.map((of, at) => ({ of, a: values[at][a.at], b: values[at][b.at], difference: values[at][b.at] - values[at][a.at] }))
    .filter((row) => !Number.isNaN(row.a) && !Number.isNaN(row.b));
  const tone = (row) => (row.difference > 0 ? "good" : row.difference < 0 ? "bad" : null);
  const number = (id, label, value, show, extra) => ({ id, label, number: true, value, cell: (row) => show(value(row)), ...extra });
  const notComparable = (cohort) => comparableKey(a, cohort) !== comparableKey(b, cohort);
  const cohorts = distinct(rows.map((row) => row.of), "cohort").filter(notComparable);
  const comparable = rows.filter((row) => !cohorts.includes(row.of.cohort));
  const metric = { id: "metric", label: "Metric", header: true, value: (row) => measureName(row.of), cell: (row) => measureName(row.of) };
  const protocol = { id: "protocol", label: "Protocol", value: (row) => row.of.protocol, cell: (row) => named(PROTOCOLS, row.of.protocol) };
  const users = { id: "cohort", label: "Users", value: (row) => row.of.cohort, cell: (row) => cohortWithUsers(a, split, row.of.cohort) };
  const both = [number("a", "A", (row) => row.a, score), number("b", "B", (row) => row.b, score)];
  const changes = [
    number("difference", "Difference", (row) => row.difference, signed, { class: tone, descending: true }),
    number("relative", "Relative", (row) => (row.a === 0 ? NaN : row.difference / row.a), (value) => (missing(value) ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value * 100).toFixed(1)} %`), { class: tone, descending: true }),
  ];
  // As of the tests: a narrow screen shows first by how much they differ.
  const together = { ...metric, cell: (row) => [measureName(row.of), ...[protocol, users].map((of) => h("span", { class: "quiet" }, " ", of.cell(row)))] };
  return [
    // Whether it is luck, before the rows of which it is.
    split === "test" ? await pairedTests(a, b, k) : "",
    dataTable({
      label: "Differences", caption: `${named(SPLITS, split)} split, cut-off ${k}; B − A`, rows: comparable, sort: null,
      columns: isNarrow() ? [together, ...changes, ...both] : [metric, protocol, users, ...both, ...changes],
    }).element,
    cohorts.length > 0 ? h("p", { class: "warning" }, `Left out: ${cohorts.map((of) => named(COHORTS, of)).join(", ")}, whose thresholds differ.`) : "",
  ];
}

/** Tests over the users both runs ranked. */
async function pairedTests(a, b, k) {
  const title = h("h3", null, "Paired tests over users");
  const protocols = distinct(report.measures, "protocol");
  const rows = [];
  for (const protocol of protocols) {
    const [left, right] = await Promise.all([ranksOf(a, protocol), ranksOf(b, protocol)]);
    if (!left || !right || left.length !== right.length) continue;
    for (const metric of ["ndcg", "hr", "mrr"].filter((of) => measure("test", protocol, "all", of, k))) {
      const [gainsA, gainsB] = [left, right].map((ranks) => Array.from(ranks, (rank) => gain(metric, rank, k)));
      const better = gainsB.filter((of, user) => of > gainsA[user]).length;
      const worse = gainsB.filter((of, user) => of < gainsA[user]).length;
      rows.push({ protocol, metric, better, worse, test: pairedTest(gainsA, gainsB) });
    }
  }
  if (rows.length === 0) {
    const why = report.ranks.all ? "These runs have no ranks in the database." : "The ranks of all runs would make this page too large, and it has not those of both.";
    return h("div", null, title, h("p", { class: "note" }, `${why} What ranks the database has, `, h("code", null, "genair results export-ranks"), " writes for statistics made elsewhere."));
  }
  const number = (id, label, value, show) => ({ id, label, number: true, value, cell: (row) => show(value(row)) });
  const metric = { id: "metric", label: "Metric", header: true, value: (row) => row.metric };
  const name = (row) => measureName({ metric: row.metric, k });
  const protocol = (row) => named(PROTOCOLS, row.protocol);
  const mean = number("mean", "Mean difference", (row) => row.test.mean, signed);
  const verdict = { id: "verdict", label: "B is", value: (row) => marksOf(row.test), cell: (row) => verdictOf(row.test), class: (row) => verdictTone(row.test) };
  const p = number("p", "p", (row) => row.test.p, probability);
  const rest = [
    { id: "interval", label: "95 % interval", number: true, value: (row) => row.test.interval[0], cell: (row) => row.test.interval.map(signed).join(" to ") },
    number("t", "t", (row) => row.test.t, (t) => t.toFixed(2).replace("-", "−")),
    number("effect", "Effect size d", (row) => row.test.effect, (d) => d.toFixed(3).replace("-", "−")),
    number("better", "B is higher for", (row) => row.better, (n) => counted(n, "user")),
    number("worse", "A is higher for", (row) => row.worse, (n) => counted(n, "user")),
  ];
  // A narrow screen has room for one column of names beside what is to be known first.
  const columns = isNarrow()
    ? [{ ...metric, cell: (row) => [name(row), h("span", { class: "quiet" }, ` ${protocol(row)}`)] }, verdict, p, mean, ...rest]
    : [{ ...metric, cell: name }, { id: "protocol", label: "Protocol", value: (row) => row.protocol, cell: protocol }, mean, verdict, p, ...rest];
  return h("div", null, title, dataTable({
    label: "Paired tests over users",
    caption: `${counted(rows[0].test.n, "user")}, test split; B − A of each user's metric. Two-sided paired t-test, not corrected for several tests; one seed each, so it says nothing about others. ${LEGEND}`,
    rows, sort: null, columns,
  }).element);
}

/** The levels of the marks, and what they say; as in the tables of `genair report`. */
const LEVELS = [0.05, 0.01];
const MARKS = { better: "*", worse: "†" };
const LEGEND = `B is ${Object.entries(MARKS).map(([verdict, mark]) =>
  `${verdict}: ${LEVELS.map((level, at) => `${mark.repeat(at + 1)} p < ${level}`).join(", ")}`).join("; ")}.`;

/** Levels that a test's p value is below, negative where B is worse. */
const marksOf = (test) => Math.sign(test.mean) * LEVELS.filter((level) => test.p < level).length;
const verdictTone = (test) => (marksOf(test) > 0 ? "good" : marksOf(test) < 0 ? "bad" : "quiet");

function verdictOf(test) {
  const marks = marksOf(test);
  if (marks === 0) return "not shown to differ";
  const verdict = marks > 0 ? "better" : "worse";
  return `${verdict} ${MARKS[verdict].repeat(Math.abs(marks))}`;
}

function cohortWithUsers(run, split, cohort) {
  const users = cohortUsers(run, split, cohort);
  return missing(users) ? named(COHORTS, cohort) : [named(COHORTS, cohort), h("span", { class: "quiet" }, ` n = ${grouped(users)}`)];
}
