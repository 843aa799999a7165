// All runs, whatever became of them, and the choice of two to compare.

const chosen = [];

function chooser(run) {
  const box = h("input", { type: "checkbox", "aria-label": `choose run ${run.run_id} to compare`, "data-run": run.run_id });
  box.checked = chosen.includes(run);
  box.addEventListener("change", () => {
    if (box.checked) chosen.push(run);
    else chosen.splice(chosen.indexOf(run), 1);
    if (chosen.length > 2) chosen.shift();
    document.querySelectorAll("input[data-run]").forEach((other) => {
      other.checked = chosen.some((of) => String(of.run_id) === other.dataset.run);
    });
    drawTray();
  });
  return box;
}

function drawTray() {
  document.querySelector(".tray")?.remove();
  if (chosen.length === 0) return;
  const [first, second] = chosen;
  const clear = () => {
    chosen.length = 0;
    document.querySelectorAll("input[data-run]").forEach((box) => { box.checked = false; });
    drawTray();
  };
  document.body.append(h("div", { class: "tray", role: "region", "aria-label": "Chosen runs" },
    second ? `Run ${first.run_id} and run ${second.run_id}` : `Run ${first.run_id}: choose another to compare`,
    second ? h("button", { class: "primary", type: "button", onclick: () => { location.hash = `compare/${first.run_id}/${second.run_id}`; clear(); } }, "Compare") : null,
    h("button", { type: "button", onclick: clear }, "Clear")));
}

async function runs(params) {
  const output = h("div");
  const states = distinct(report.runs, "state");
  const fields = [...placeFields(), labelField("state", "State", states)].filter(Boolean);
  const usual = [measure("valid", "full", "all", "ndcg", 10), measure("test", "full", "all", "ndcg", 10)];
  const [valid, test] = await Promise.all(usual.map((of) => (of ? valuesOf(of) : null)));
  const several = report.sweeps.length > 1;
  const columns = [
    { id: "choose", label: h("span", { class: "visually-hidden" }, "Compare"), sortable: false, cell: (row) => chooser(row.run) },
    { id: "run", label: "Run", header: true, number: true, value: (row) => row.run.run_id, cell: (row) => runLink(row.run, row.run.run_id) },
    { id: "state", label: "State", value: (row) => row.run.state, cell: (row) => state(row.run.state) },
    several ? { id: "sweep", label: "Sweep", value: (row) => row.sweep, cell: (row) => row.sweep } : null,
    ...["dataset", "backbone", "representation"].map((id) => ({
      id, label: id[0].toUpperCase() + id.slice(1), value: (row) => row.run[id], cell: (row) => row.run[id],
    })),
    { id: "variant", label: "Variant", value: (row) => row.variant, cell: (row) => row.variant || "–", class: () => "variant" },
    { id: "seed", label: "Seed", number: true, value: (row) => row.run.seed, cell: (row) => row.run.seed },
    valid ? { id: "valid", label: "NDCG@10 valid.", number: true, descending: true, value: (row) => valid[row.run.at], cell: (row) => score(valid[row.run.at]) } : null,
    test ? { id: "test", label: "NDCG@10 test", number: true, descending: true, value: (row) => test[row.run.at], cell: (row) => score(test[row.run.at]) } : null,
    { id: "epochs", label: "Epochs", number: true, value: (row) => row.run.epochs, cell: (row) => grouped(row.run.epochs) },
    { id: "seconds", label: "Time", number: true, value: (row) => row.run.seconds, cell: (row) => duration(row.run.seconds) },
  ].filter(Boolean);
  const update = () => {
    const places = chosenPlaces(params).filter((place) => !params.has("state") || place.run.state === params.get("state"));
    // A row a run, however many sweeps it is of.
    const rows = [...groupBy(places, (place) => place.run)].map(([run, own]) => ({
      run,
      sweep: distinct(own, "sweep").join(", "),
      variant: distinct(own, "variant").filter(Boolean).join(" or "),
    }));
    announce(counted(rows.length, "run"));
    const sorted = (id, descending) => {
      params.set("sort", id);
      params.set("order", descending ? "descending" : "ascending");
      keepAddress("runs", params);
    };
    output.replaceChildren(rows.length === 0 ? h("p", { class: "note" }, "No run passes these filters.") : dataTable({
      label: "Runs", caption: `${counted(rows.length, "run")}; NDCG@10 by full ranking, all users. Choose two to compare them.`,
      columns, rows, sort: params.get("sort") ?? "run", descending: params.get("order") === "descending", sorted,
    }).element);
  };
  update();
  return [heading("Runs"), filterForm("runs", params, fields, update), output];
}

function failures() {
  const failed = report.runs.filter((run) => run.state === "failed");
  const pruned = report.runs.filter((run) => run.state === "pruned");
  if (failed.length + pruned.length === 0) return [heading("Failures"), h("p", { class: "note" }, "No run failed or was stopped early.")];
  const kinds = sortedValues(new Set(failed.map((run) => run.failure_kind)));
  return [
    heading("Failures"),
    failed.length === 0 ? null : [
      h("p", null, kinds.map((kind) => `${failed.filter((run) => run.failure_kind === kind).length} ${kind}`).join(", ")),
      dataTable({
        label: "Failed runs", caption: counted(failed.length, "run"), rows: failed, sort: "run",
        columns: [
          { id: "run", label: "Run", header: true, number: true, value: (run) => run.run_id, cell: (run) => runLink(run, run.run_id) },
          { id: "kind", label: "Kind", value: (run) => run.failure_kind, cell: (run) => h("code", null, run.failure_kind) },
          { id: "phase", label: "While", value: (run) => run.failure_phase, cell: (run) => run.failure_phase },
          { id: "name", label: "Configuration", value: runName, cell: runName, class: () => "long" },
          { id: "reason", label: "Reason", value: (run) => run.failure_message, class: () => "long", cell: reason },
        ],
      }).element,
    ],
    pruned.length === 0 ? null : [
      h("h3", null, "Stopped early for being worse than others"),
      dataTable({
        label: "Pruned runs", caption: counted(pruned.length, "run"), rows: pruned, sort: "run",
        columns: [
          { id: "run", label: "Run", header: true, number: true, value: (run) => run.run_id, cell: (run) => runLink(run, run.run_id) },
          { id: "epoch", label: "After epoch", number: true, value: (run) => run.pruned_at_epoch, cell: (run) => run.pruned_at_epoch },
          { id: "name", label: "Configuration", value: runName, cell: runName, class: () => "long" },
        ],
      }).element,
    ],
  ];
}

const reason = (run) => [run.failure_message, run.failure_hint ? h("div", { class: "quiet" }, `Hint: ${run.failure_hint}`) : null];
