// Views by address: #leaderboard, #runs, #run/12, #compare/12/15, …

const VIEWS = {
  leaderboard: ["Leaderboard", (_, params) => leaderboard(params)],
  runs: ["Runs", (_, params) => runs(params)],
  compare: ["Compare", compare],
  figures: ["Figures", (_, params) => figures(params)],
  failures: ["Failures", failures],
  about: ["About", about],
};
const HIDDEN = { run: ["Runs", run] };
let visits = 0;

async function show() {
  const [path, query] = location.hash.slice(1).split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  // The link past the navigation is no view.
  if (name === "main") return;
  const [label, view] = VIEWS[name] ?? HIDDEN[name] ?? VIEWS.leaderboard;
  const visit = (visits += 1);
  const content = await view(rest, new URLSearchParams(query));
  // Someone may have gone on meanwhile.
  if (visit !== visits) return;
  byId("view").replaceChildren(...[content].flat(Infinity).filter((part) => part !== null && part !== undefined));
  byId("views").replaceChildren(...Object.entries(VIEWS).map(([key, [text]]) =>
    h("li", null, h("a", { href: `#${key}`, "aria-current": text === label ? "page" : null }, text))));
  document.title = `${label} · ${document.querySelector("h1").textContent} · GenAIR results`;
  if (visit > 1) {
    byId("view").querySelector("h2")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function about() {
  return [
    heading("About these results"),
    h("p", null, `${counted(report.runs.length, "run")} of ${counted(report.sweeps.length, "sweep")}, made ${moment(report.made_at)}. A configuration is what differs between runs but the seed.`),
    h("dl", null,
      h("dt", null, "full ranking"), h("dd", null, "the target among all items that the user has not met"),
      h("dt", null, "100 sampled negatives"), h("dd", null, "the target among 100 items drawn once; it can reverse the order of models"),
      h("dt", null, "one table"), h("dd", null, "holds runs of the same sequences, results version, split, protocol and cohort only; ties count against the model"),
      h("dt", null, "± "), h("dd", null, "standard deviation of the sample over seeds (n − 1)")),
    report.sweeps.map((sweep) => h("details", null,
      h("summary", null, `Sweep ${sweep.name}: ${counted(report.places.filter((place) => place.sweep === sweep.name).length, "run")}`),
      h("p", { class: "quiet" }, `${sweep.spec_path}, swept ${moment(sweep.updated_at)}`),
      h("pre", { tabindex: 0 }, sweep.spec_text))),
  ];
}

function counts() {
  const states = ["finished", "failed", "pruned", "running", "pending"]
    .map((name) => [name, report.runs.filter((run) => run.state === name).length])
    .filter(([, n]) => n > 0);
  return `${counted(report.runs.length, "run")} of ${counted(report.sweeps.length, "sweep")}: ${states.map(([name, n]) => `${grouped(n)} ${name}`).join(", ")}`;
}

async function start() {
  byId("loading").hidden = false;
  try {
    if (!("DecompressionStream" in window)) throw new Error("this browser is too old to unpack them (Chrome 80, Safari 16.4 or Firefox 113 can)");
    await load();
    byId("counts").textContent = counts();
    addEventListener("hashchange", () => show().catch(fail));
    await show();
  } catch (error) {
    fail(error);
  }
  byId("loading").hidden = true;
}

function fail(error) {
  byId("view").replaceChildren(h("p", { class: "warning", role: "alert" }, `The results cannot be shown: ${error.message}`));
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
start();
