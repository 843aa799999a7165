// The leaderboard: configurations over their seeds, one table for what may be compared.

function leaderboard(params) {
  if (report.measures.length === 0) {
    return [heading("Leaderboard"), h("p", { class: "note" }, "No run has finished yet. ", h("a", { href: "#runs" }, "See the runs"), ".")];
  }
  const cutoffs = distinct(report.measures, "k").sort((a, b) => a - b);
  const fields = [
    ...placeFields(),
    ...measureFields(),
    report.places.some((place) => place.left_out)
      ? { name: "select", label: "Search", options: [["", "chosen on validation"], ["none", "all configurations"]] } : null,
    { name: "metric", label: "Metric", options: [["", "of ranks"], ["lists", "of lists"], ...distinct(report.measures, "metric").map((of) => [of, named(METRICS, of)])] },
    { name: "k", label: "Cut-off", usual: String(usualCutoff()), options: [["all", "all"], ...cutoffs.map((k) => [k, `@${k}`])] },
  ].filter(Boolean);
  const output = h("div");
  const update = async () => output.replaceChildren(...(await leaderboardTables(params)));
  const form = filterForm("leaderboard", params, fields, update);
  return update().then(() => [
    heading("Leaderboard"),
    h("p", { class: "quiet" }, "Mean ± standard deviation over seeds; best of a table bold, second underlined, among means over the same seeds."),
    form, output,
  ]);
}

/** Whether a metric is among those chosen: one by its name, those of lists, or those of ranks. */
function isShown(metric, chosen) {
  const ofRanks = RANK_METRICS.includes(metric);
  return chosen === "lists" ? !ofRanks : chosen ? metric === chosen : ofRanks;
}

async function leaderboardTables(params) {
  const [split, protocol, cohort] = [chosenOf(params, "split", "test"), chosenOf(params, "protocol", "full"), chosenOf(params, "cohort", "all")];
  const k = params.get("k") ?? String(usualCutoff());
  const shown = report.measures.filter((of) =>
    of.split === split && of.protocol === protocol && of.cohort === cohort &&
    isShown(of.metric, params.get("metric")) && (k === "all" || of.k === Number(k)));
  const places = chosenPlaces(params);
  const all = params.get("select") === "none";
  const selected = places.filter((place) => all || !place.left_out);
  const rows = await configurations(selected, shown);
  const groups = groupBy(rows, (row) => comparableKey(row.runs[0], cohort));
  announce(`${counted(rows.length, "configuration")} in ${counted(groups.size, "table")}`);
  if (rows.length === 0 || shown.length === 0) {
    return [h("p", { class: "note" }, shown.length === 0 ? "Nothing was measured like that." : "No finished run passes these filters.")];
  }
  const tables = [];
  const sorted = (id, descending) => {
    params.set("sort", id);
    params.set("order", descending ? "descending" : "ascending");
    keepAddress("leaderboard", params);
    tables.forEach((table) => table.set(id, descending));
  };
  const several = new Set(rows.map((row) => row.sweep)).size > 1;
  const sections = [...groups.values()].sort((a, b) => compareValues(a[0].dataset, b[0].dataset));
  const elements = sections.map((group) => {
    const table = leaderboardTable({ group, groups: sections, shown, split, protocol, cohort, several, params, sorted });
    tables.push(table);
    return table.element;
  });
  return [...elements, leftOut(places.filter((place) => !all && place.left_out)), openRuns(places)];
}

function leaderboardTable({ group, groups, shown, split, protocol, cohort, several, params, sorted }) {
  const [{ runs: [run], dataset }] = group;
  const scores = shown.map((measured, at) => {
    const summaries = group.map((row) => row.scores[at]).filter(Boolean);
    const seeds = usualSeeds(summaries);
    const means = summaries.filter((summary) => summary.seeds === seeds).map((summary) => summary.mean);
    // Equal ones share their place.
    const [best, second] = [...new Set(means)].sort((a, b) => (lowerIsBetter(measured.metric) ? a - b : b - a));
    const id = measureName(measured).toLowerCase();
    return {
      id, label: measureName(measured), number: true, descending: true,
      value: (row) => row.scores[at]?.mean,
      cell: (row) => scoreCell(row.scores[at]),
      class: (row) => {
        const mean = row.scores[at]?.mean;
        if (missing(mean) || means.length < 2 || row.scores[at].seeds !== seeds) return null;
        return mean === best ? "best" : mean === second ? "second" : null;
      },
    };
  });
  const varies = (field) => new Set(group.map((row) => row[field])).size > 1;
  const text = (id, label, extra) => ({ id, label, value: (row) => row[id], cell: (row) => row[id] || "–", ...extra });
  const seeds = { id: "seeds", label: "Seeds", value: (row) => row.runs.length, cell: seedLinks, class: () => "seeds", descending: true };
  const labels = [
    several ? text("sweep", "Sweep") : null,
    text("backbone", "Backbone", { header: true }),
    text("representation", "Representation"),
    varies("variant") || group[0].variant ? text("variant", "Variant", { class: () => "variant" }) : null,
    varies("max_len") ? text("max_len", "Max. length", { number: true }) : null,
  ].filter(Boolean);
  // A narrow screen has room for one column of labels beside the first scores.
  const together = {
    id: "backbone", label: "Configuration", header: true, value: configurationName,
    cell: (row) => labels.map((label) => row[label.id]).filter(Boolean).map((part, at) => h("span", { class: at > 0 ? "part quiet" : "part" }, part)),
  };
  const columns = isNarrow() ? [together, ...scores, seeds] : [...labels, seeds, ...scores];
  const usual = scores.find((of) => of.id.startsWith("ndcg")) ?? scores[0];
  const wanted = columns.find((column) => column.id === params.get("sort")) ?? usual;
  const descending = params.get("sort") === wanted.id ? params.get("order") === "descending" : true;
  const facts = [
    `${named(SPLITS, split)} split`, named(PROTOCOLS, protocol), cohortName(run, cohort), cohortSize(run, split, cohort),
    missing(run.users) ? null : `${counted(run.users, "user")} and ${counted(run.items, "item")} in all`,
    ...tellApart(run, groups),
  ].filter(Boolean);
  return dataTable({
    label: `Leaderboard of ${dataset}`, caption: [h("strong", null, dataset), ` · ${facts.join(" · ")}`],
    columns, rows: group, sort: wanted.id, descending, sorted,
  });
}

/** What tells a table's runs from those of another table of the same dataset. */
function tellApart(run, groups) {
  const others = groups.map(([{ runs: [other] }]) => other).filter((other) => other !== run && other.dataset === run.dataset);
  return [
    others.some((other) => other.data !== run.data) ? `sequences ${run.data.slice(0, 12)}` : null,
    others.some((other) => other.results_version !== run.results_version) ? `results version ${run.results_version}` : null,
  ];
}

function cohortName(run, cohort) {
  const name = named(COHORTS, cohort);
  if (cohort.endsWith("-item") && !missing(run.head_item)) return `${name} (head: from ${run.head_item} training interactions)`;
  if (cohort.endsWith("-user") && !missing(run.long_user)) return `${name} (long: from ${run.long_user} items)`;
  return name;
}

function cohortSize(run, split, cohort) {
  const users = cohort === "all" ? null : cohortUsers(run, split, cohort);
  return missing(users) ? null : counted(users, "user");
}

const scoreCell = (summary) => (summary === null ? "–" : [
  score(summary.mean),
  Number.isNaN(summary.std) ? null : h("span", { class: "sigma" }, ` ± ${score(summary.std)}`),
]);

function seedLinks(row) {
  const runs = [...row.runs].sort((a, b) => a.seed - b.seed);
  return runs.flatMap((run, at) => [
    at > 0 ? " " : null,
    h("a", { href: `#run/${run.run_id}`, "aria-label": `seed ${run.seed}, run ${run.run_id}` }, run.seed),
  ]);
}

/** How many configurations of searches another one stands for. */
function leftOut(places) {
  const configurations = new Set(places.map(({ sweep, variant, run }) => JSON.stringify([sweep, variant, run.configuration])));
  if (configurations.size === 0) return "";
  return h("p", { class: "note" },
    `Chosen on the validation split, by the mean over seeds: ${counted(configurations.size, "other configuration")} left out.`);
}

/** What is missing from the tables, and where it is. */
function openRuns(places) {
  const open = places.filter((place) => place.run.state !== "finished");
  const left = [...new Set(open.map((place) => place.run))];
  if (left.length === 0) return "";
  const states = sortedValues(new Set(left.map((run) => run.state)))
    .map((name) => `${left.filter((run) => run.state === name).length} ${name}`);
  return h("p", { class: "warning" }, `Not in these tables: ${counted(left.length, "run")} (${states.join(", ")}). `,
    h("a", { href: "#runs" }, "See the runs"), ".");
}
