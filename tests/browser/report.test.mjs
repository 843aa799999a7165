// The HTML report as its readers meet it: a real Chromium, the real file, no network.
//
// scripts/test-browser.sh makes the database from spec.toml and starts this.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const { CHROMIUM, GENAIR, SCREENSHOTS, TOOLS, WORK } = process.env;
const require = createRequire(join(TOOLS, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const HOSTILE = "<script>window.injected = 1</script>";
const file = join(WORK, "report.html");
const address = pathToFileURL(file).href;

/** Rows of a query on the database that the page is of. */
function sql(statement) {
  const { columns, rows } = JSON.parse(execFileSync(GENAIR, ["results", "sql", statement, "--format", "json"]));
  return rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at]])));
}

let browser;
let page;
let troubles;

before(async () => {
  mkdirSync(join(WORK, "figures"));
  writeFileSync(join(WORK, "figures", "made-before.svg"), `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">
    <rect width="40" height="20" fill="green"/><script>window.injected = 3</script></svg>`);
  execFileSync(GENAIR, ["results", "html", "--figures", join(WORK, "figures"), "--out", file]);
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(() => browser?.close());
beforeEach(() => open());

/** Opens the page anew; anything it asks of a network, logs as an error or throws is a trouble. */
async function open(hash = "", options = {}) {
  await page?.context().close();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  page = await context.newPage();
  troubles = [];
  page.on("pageerror", (error) => troubles.push(`threw ${error}`));
  page.on("console", (message) => message.type() === "error" && troubles.push(`logged ${message.text()}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(address) && !url.startsWith("data:")) troubles.push(`asked for ${url}`);
  });
  await page.goto(address + hash);
  await page.locator("#view h2").waitFor();
}

async function picture(name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

const noTrouble = () => assert.deepEqual(troubles, []);
const texts = (locator) => locator.allInnerTexts();
/** The texts of a column of a table, by its heading. */
async function column(table, heading) {
  // Below a cohort's name stands how many users it has.
  const heads = (await texts(table.locator("thead th"))).map((text) => text.trim().split("\n")[0]);
  const at = heads.indexOf(heading);
  assert.notEqual(at, -1, `no column ${heading} in ${heads}`);
  return texts(table.locator(`tbody tr > :nth-child(${at + 1})`));
}
const leaderboardOf = (dataset) => page.getByRole("region", { name: `Leaderboard of ${dataset}`, exact: true }).locator("table");

test("the leaderboard has the database's means, deviations and order", async () => {
  const expected = sql(`SELECT backbone, variant, mean, std, n FROM leaderboard_mean
    WHERE dataset = 'tiny' AND split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
    ORDER BY mean DESC`);
  assert.ok(expected.length >= 2, "the sweep has several configurations");
  const table = leaderboardOf("tiny");
  const shown = await column(table, "NDCG@10");
  assert.deepEqual(shown, expected.map(({ mean, std }) => `${mean.toFixed(4)} ± ${std.toFixed(4)}`));
  assert.deepEqual(await column(table, "Backbone"), expected.map(({ backbone }) => backbone));
  assert.deepEqual((await column(table, "Seeds")).map((seeds) => seeds.trim().split(/\s+/).length), expected.map(({ n }) => n));
  assert.equal(await table.locator("td.best").count() > 0, true);
  await picture("leaderboard");
  noTrouble();
});

test("a click on a heading sorts, another turns the order around, and the address keeps it", async () => {
  const table = leaderboardOf("tiny");
  const head = table.locator("thead th", { hasText: "HR@10" });
  const numbers = async () => (await column(table, "HR@10")).map((text) => Number(text.split(" ")[0]));
  await head.getByRole("button").click();
  const falling = await numbers();
  assert.deepEqual(falling, [...falling].sort((a, b) => b - a));
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  await head.getByRole("button").press("Enter");
  const rising = await numbers();
  assert.deepEqual(rising, [...falling].sort((a, b) => a - b));
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  await page.reload();
  await table.waitFor();
  assert.deepEqual(await numbers(), rising);
  noTrouble();
});

test("filters narrow the leaderboard, and protocols never stand in one table", async () => {
  assert.equal(await page.locator("#view table").count(), 2, "a table for each dataset");
  await page.getByLabel("Dataset").selectOption("tiny");
  await page.waitForFunction(() => document.querySelectorAll("#view table").length === 1);
  await page.getByLabel("Backbone").selectOption("sasrec");
  const table = leaderboardOf("tiny");
  await page.waitForFunction(() => document.querySelectorAll("#view tbody tr").length === 1);
  assert.deepEqual(await column(table, "Backbone"), ["sasrec"]);
  const full = await column(table, "NDCG@10");
  assert.match(await table.locator("caption").innerText(), /full ranking/);
  await page.getByLabel("Protocol").selectOption("sampled-100");
  await page.waitForFunction(() => /100 sampled negatives/.test(document.querySelector("#view caption").innerText));
  const sampled = await column(table, "NDCG@10");
  assert.notDeepEqual(sampled, full);
  assert.doesNotMatch(await table.locator("caption").innerText(), /full ranking/);
  const [{ mean }] = sql(`SELECT mean FROM leaderboard_mean WHERE dataset = 'tiny' AND backbone = 'sasrec' AND split = 'test'
    AND protocol = 'sampled-100' AND cohort = 'all' AND metric = 'ndcg' AND k = 10`);
  assert.ok(sampled[0].startsWith(mean.toFixed(4)));
  await page.getByLabel("Users").selectOption("tail-item");
  await page.waitForFunction(() => /tail items/.test(document.querySelector("#view caption").innerText));
  await page.getByLabel("Cut-off").selectOption("all");
  await page.waitForFunction(() => document.querySelectorAll("#view thead th").length > 10);
  await page.getByLabel("Metric").selectOption("hr");
  await page.waitForFunction(() => [...document.querySelectorAll("#view thead th.number")].every((head) => head.innerText.startsWith("HR")));
  await page.getByLabel("Variant contains").fill("no such variant");
  await page.getByText("No finished run passes these filters.").waitFor();
  noTrouble();
});

test("a name of markup is text", async () => {
  const [{ id }] = sql(`SELECT min(run_id) AS id FROM runs WHERE dataset LIKE '<script>%' AND state = 'finished'`);
  for (const hash of ["", "#runs", `#run/${id}`, "#figures", "#failures", "#about", `#compare/${id}/${id + 1}`]) {
    await open(hash);
    assert.equal(await page.evaluate(() => window.injected), undefined, hash);
    assert.equal(await page.locator("#view script, #view b").count(), 0, hash);
    noTrouble();
  }
  await open();
  assert.equal(await leaderboardOf(HOSTILE).count(), 1);
  // Even if markup got in, the page's policy would not run it.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = 2";
    document.body.append(script);
  });
  assert.equal(await page.evaluate(() => window.injected), undefined);
});

test("a run's details have its results, curves, spec and provenance", async () => {
  const [run] = sql(`SELECT run_id, identity, epochs, spec FROM runs WHERE dataset = 'tiny' AND backbone = 'sasrec'
    AND state = 'finished' ORDER BY run_id`);
  await page.getByRole("link", { name: `run ${run.run_id}`, exact: false }).first().click();
  await page.getByRole("heading", { name: `Run ${run.run_id}` }).waitFor();
  assert.ok(await page.getByText(run.identity).isVisible());
  const spec = JSON.parse(run.spec);
  const setting = page.locator("tr", { has: page.getByRole("rowheader", { name: "train.optimizer.lr", exact: true }) });
  assert.equal(Number(await setting.locator("td").innerText()), spec.train.optimizer.lr);
  const [{ value }] = sql(`SELECT value FROM leaderboard WHERE run_id = ${run.run_id} AND split = 'test' AND protocol = 'full'
    AND cohort = 'tail-item' AND metric = 'ndcg' AND k = 10`);
  const results = page.getByRole("region", { name: "test split, full ranking" }).locator("table");
  const names = await column(results, "Metric");
  assert.equal((await column(results, "tail items"))[names.indexOf("NDCG@10")], value.toFixed(4));
  assert.ok(await page.locator("figure svg path.curve").count() >= 2, "loss and validation");
  await page.getByText("Curves as numbers").click();
  const numbers = page.getByRole("region", { name: "Curves as numbers" }).locator("tbody tr");
  await numbers.first().waitFor();
  assert.equal(await numbers.count(), run.epochs);
  await picture("run");
  await page.goBack();
  await page.getByRole("heading", { name: "Leaderboard" }).waitFor();
  noTrouble();
});

test("two runs are chosen and compared", async () => {
  const [a, b] = sql(`SELECT run_id, backbone FROM runs WHERE dataset = 'tiny' AND state = 'finished' AND seed = 1 ORDER BY run_id`);
  await open("#runs");
  await page.getByLabel(`choose run ${a.run_id} to compare`, { exact: true }).check();
  await page.getByLabel(`choose run ${b.run_id} to compare`, { exact: true }).check();
  await page.getByRole("region", { name: "Chosen runs" }).getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "Compare two runs" }).waitFor();
  const specs = page.getByRole("region", { name: "What their specs differ in" });
  assert.ok((await texts(specs.locator("tbody th"))).some((key) => key.startsWith("backbone")));
  const values = sql(`SELECT run_id, value FROM leaderboard WHERE run_id IN (${a.run_id}, ${b.run_id}) AND split = 'test'
    AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10 ORDER BY run_id`).map(({ value }) => value);
  const row = page.getByRole("region", { name: "Differences" }).locator("tr", { hasText: "NDCG@10" }).filter({ hasText: "full ranking" }).filter({ hasText: "all users" });
  const cells = (await texts(row.locator("td.number"))).map((text) => text.replace("−", "-"));
  assert.deepEqual(cells.slice(0, 3).map(Number), [values[0], values[1], values[1] - values[0]].map((value) => Number(value.toFixed(4))));

  // The test is of the ranks in the database: its mean difference is that of the metrics.
  const tests = page.getByRole("region", { name: "Paired tests over users" });
  const tested = tests.locator("tr", { hasText: "NDCG@10" }).filter({ hasText: "full ranking" });
  const [difference] = (await texts(tested.locator("td.number"))).map((text) => Number(text.replace("−", "-")));
  assert.ok(Math.abs(difference - (values[1] - values[0])) < 6e-5, `${difference}`);
  const [{ better, worse }] = sql(`SELECT sum(b.rank < min(a.rank, 10)) AS better, sum(a.rank < min(b.rank, 10)) AS worse
    FROM ranks AS a JOIN ranks AS b USING (split, protocol, user)
    WHERE split = 'test' AND protocol = 'full' AND a.run_id = ${a.run_id} AND b.run_id = ${b.run_id}`);
  const counts = (await texts(tested.locator("td.number"))).slice(-2).map((text) => parseInt(text, 10));
  assert.deepEqual(counts, [better, worse]);
  await picture("compare");

  await page.getByRole("button", { name: "Swap" }).click();
  await page.waitForFunction((hash) => location.hash === hash, `#compare/${b.run_id}/${a.run_id}`);
  noTrouble();
});

test("runs of different data are not compared", async () => {
  const [a] = sql(`SELECT run_id FROM runs WHERE dataset = 'tiny' AND state = 'finished'`);
  const [b] = sql(`SELECT run_id FROM runs WHERE dataset <> 'tiny' AND state = 'finished'`);
  await open(`#compare/${a.run_id}/${b.run_id}`);
  await page.getByText("Their results are not put side by side").waitFor();
  assert.equal(await page.getByRole("region", { name: "Differences" }).count(), 0);
  noTrouble();
});

test("a failure has its reason", async () => {
  const [failed] = sql(`SELECT run_id, failure_kind, failure_message FROM runs WHERE state = 'failed' ORDER BY run_id`);
  assert.ok(failed, "the sweep has a run that fails");
  await page.getByRole("link", { name: "Failures" }).click();
  const row = page.getByRole("region", { name: "Failed runs" }).locator("tbody tr").first();
  assert.ok((await row.innerText()).includes(failed.failure_kind));
  assert.ok((await row.innerText()).includes(failed.failure_message));
  await picture("failures");
  noTrouble();
});

test("figures are drawn and follow the filters", async () => {
  await open("#figures");
  await page.getByLabel("Dataset").selectOption("tiny");
  await page.waitForFunction(() => document.querySelectorAll("#view figure svg[role=img]").length >= 3);
  const made = page.getByRole("img", { name: "made before" });
  assert.equal(await made.evaluate((image) => image.naturalWidth), 40, "a figure from elsewhere is shown");
  assert.equal(await page.evaluate(() => window.injected), undefined);
  const before = await texts(page.locator("figure:not(.made) figcaption"));
  assert.ok(before.every((text) => text.includes("tiny")), before.join("\n"));
  await page.getByLabel("Protocol").selectOption("sampled-100");
  await page.waitForFunction(() => [...document.querySelectorAll("figcaption")].some((text) => /100 sampled/.test(text.innerText)));
  await picture("figures");
  noTrouble();
});

test("a legend has the looks of what it stands for", async () => {
  await open("#figures");
  await page.getByLabel("Dataset").selectOption("tiny");
  await page.waitForFunction(() => document.querySelectorAll("#view figure svg[role=img]").length >= 3);
  const looks = await page.evaluate(() => [...document.querySelectorAll("#view figure:not(.made)")].map((figure) => {
    const look = (of) => {
      const style = getComputedStyle(of);
      return [of.tagName === "line" || of.classList.contains("curve") ? `${style.stroke} ${style.strokeDasharray}` : style.fill, style.opacity].join(" ");
    };
    const drawn = figure.querySelectorAll("svg[role=img] rect, svg[role=img] path");
    return {
      caption: figure.querySelector("figcaption").innerText,
      drawn: [...new Set([...drawn].map(look))].sort(),
      legend: [...figure.querySelectorAll(".legend svg > *")].map(look).sort(),
    };
  }));
  for (const { caption, drawn, legend } of looks) {
    assert.ok(caption.length > 10, "a figure says what it shows");
    assert.deepEqual([...new Set(legend)], drawn, caption);
  }
  const bars = looks.find(({ caption }) => caption.includes("by users"));
  assert.equal(new Set(bars.legend).size, bars.legend.length, "no two series look alike");
  noTrouble();
});

test("cohorts say how many users they have", async () => {
  const users = sql(`SELECT DISTINCT cohort, metrics.users AS n FROM metrics JOIN runs USING (run_id) WHERE dataset = 'tiny' AND split = 'test'`);
  assert.equal(users.length, 5);
  const [{ id }] = sql(`SELECT min(run_id) AS id FROM runs WHERE dataset = 'tiny' AND state = 'finished'`);
  for (const hash of [`#run/${id}`, "#figures?dataset=tiny"]) {
    await open(hash);
    await page.getByText("n = ").first().waitFor();
    const shown = (await page.locator("#view").evaluate((view) => view.textContent)).replaceAll("\u00a0", " ");
    for (const { n } of users) assert.ok(shown.includes(`n = ${n}`), `${hash}: n = ${n}`);
  }
  noTrouble();
});

test("a run of two sweeps is one configuration and one row, and one run is no best of means", async () => {
  const shared = join(WORK, "shared.db");
  const spec = new URL("spec.toml", import.meta.url).pathname;
  const sweep = (name, seeds, lr) => execFileSync(GENAIR, ["sweep", spec, "--db", shared, "--quiet",
    ...[`sweep.name="${name}"`, `sweep.seeds=${seeds}`, `train.optimizer.lr=${lr}`, 'sweep.dataset=["tiny"]', 'sweep.backbone=["sasrec"]']
      .flatMap((value) => ["--set", value])]);
  sweep("first", "[1, 2]", "[1e-2, 3e-3]");
  sweep("second", "[1]", "[1e-2, 3e-3]");
  sweep("single", "[3]", "1e-3");
  const out = join(WORK, "shared.html");
  assert.match(execFileSync(GENAIR, ["results", "html", "--db", shared], { encoding: "utf8" }), /shared\.html: 5 runs/);
  const { rows } = JSON.parse(execFileSync(GENAIR, ["results", "sql", "--db", shared, "--format", "json",
    "SELECT run_id FROM runs ORDER BY run_id"]));
  await page.goto(pathToFileURL(out).href);
  const table = page.getByRole("region", { name: "Leaderboard of tiny" }).locator("table");
  await table.waitFor();
  const variants = await column(table, "Variant");
  assert.deepEqual(variants.sort(), ["lr=0.01", "lr=3e-3", "–"].sort());
  assert.deepEqual((await column(table, "Sweep")).sort(), ["first, second", "first, second", "single"]);
  const seeds = (await column(table, "Seeds")).map((text) => text.trim());
  const marked = await table.locator("tbody tr").evaluateAll((all) => all.map((row) => row.querySelector("td.best, td.second") !== null));
  assert.deepEqual(marked, seeds.map((text) => text !== "3"), "the single seed has no mark");
  await page.getByRole("link", { name: "Runs" }).click();
  const runs = page.getByRole("region", { name: "Runs" }).locator("table");
  await runs.waitFor();
  assert.equal((await column(runs, "Run")).length, rows.length);
  await page.getByRole("link", { name: "Figures" }).click();
  await page.locator("#view figure").first().waitFor();
  const names = await texts(page.locator("figure .legend").first().locator("li"));
  assert.equal(new Set(names).size, names.length, names.join("\n"));
});

for (const [name, viewport] of [["a laptop", { width: 1440, height: 900 }], ["a phone", { width: 390, height: 844 }]]) {
  test(`the numbers that matter are in sight on ${name}`, async () => {
    const [a, b] = sql(`SELECT run_id FROM runs WHERE dataset = 'tiny' AND state = 'finished' AND seed = 1 ORDER BY run_id`);
    const hidden = (region) => region.evaluate((frame) => frame.scrollWidth - frame.clientWidth);
    await open(`#compare/${a.run_id}/${b.run_id}`, { viewport });
    const tests = page.getByRole("region", { name: "Paired tests over users" });
    const [top, below] = [await tests.boundingBox(), await page.getByRole("region", { name: "Differences" }).boundingBox()];
    assert.ok(top.y < below.y, "the tests stand before the rows");
    for (const heading of ["B is", "p"]) {
      const head = await tests.locator("thead th", { hasText: new RegExp(`^${heading}$`) }).boundingBox();
      assert.ok(head.x + head.width <= viewport.width, `${heading} ends at ${head.x + head.width}`);
    }
    const head = await page.getByRole("region", { name: "Differences" }).locator("thead th", { hasText: "Difference" }).boundingBox();
    assert.ok(head.x + head.width <= viewport.width, `Difference ends at ${head.x + head.width}`);
    assert.match(await tests.locator("caption").innerText(), /better: \* p < 0\.05, \*\* p < 0\.01; worse: † p < 0\.05/);
    const words = await texts(tests.locator("tbody td").filter({ hasText: /better|worse|not shown to differ/ }));
    assert.ok(words.length > 0 && words.every((text) => /^(better \*+|worse †+|not shown to differ)$/.test(text)), words.join("\n"));
    if (viewport.width > 1000) {
      await open(`#run/${a.run_id}`, { viewport });
      for (const region of await page.getByRole("region", { name: /split, / }).all()) {
        assert.equal(await hidden(region), 0, `${await region.getAttribute("aria-label")} is cut off`);
      }
    }
    noTrouble();
  });
}

test("keys alone reach, sort and open", async () => {
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const button = leaderboardOf("tiny").getByRole("button", { name: "Backbone" });
  await button.focus();
  await page.keyboard.press("Space");
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Backbone", "sorting keeps the focus");
  await leaderboardOf("tiny").getByRole("link").first().focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /^Run \d+/ }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "H2");
  noTrouble();
});

const VIEWS = ["", "#runs", "#run/1", "#compare/1/2", "#figures", "#failures", "#about"];

for (const [name, options] of [
  ["phone", { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ["phone in the dark", { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, colorScheme: "dark" }],
  ["desktop in the dark", { colorScheme: "dark" }],
  ["desktop", {}],
]) {
  test(`every view fits a ${name} and passes axe's rules`, async () => {
    for (const view of VIEWS) {
      await open(view, options);
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return { scrollWidth, clientWidth };
      });
      assert.ok(scrollWidth <= clientWidth, `${view}: ${scrollWidth} wide on a screen of ${clientWidth}`);
      const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(dark === "rgb(255, 255, 255)", options.colorScheme !== "dark", `${view}: ${dark}`);
      noTrouble();
      await picture(`${name.replaceAll(" ", "-")}${view.replaceAll(/[#/]/g, "-")}`);
      // Through the debugger, since the page's policy lets nothing else in.
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
      const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
      assert.deepEqual(found, [], view);
    }
  });
}

test("the page's statistics are SciPy's", async () => {
  const oracle = JSON.parse(readFileSync(new URL("../oracles/statistics/statistics.json", import.meta.url)));
  const source = readFileSync(new URL("../../crates/genair-report/src/html/page/statistics.js", import.meta.url), "utf8");
  const { summarise, gain, pairedTest } = new Function(`${source}; return { summarise, gain, pairedTest };`)();
  const close = (found, expected, what) =>
    assert.ok(Math.abs(found - expected) <= 1e-8 * Math.max(Math.abs(expected), 1e-300), `${what}: ${found} is not ${expected}`);
  for (const { values, mean, std } of oracle.summaries) {
    close(summarise(values).mean, mean, "mean");
    if (values.length > 1) close(summarise(values).std, std, "std");
  }
  let tested = 0;
  for (const one of oracle.paired) {
    // The oracle's tests are of means over seeds; the metric is NDCG.
    const gains = (ranks) => ranks[0].map((_, user) => ranks.reduce((sum, of) => sum + gain("ndcg", of[user], one.k), 0) / ranks.length);
    const found = pairedTest(gains(one.ranks_b), gains(one.ranks_a));
    close(found.mean, one.mean_difference, "mean difference");
    close(found.t, one.t, "t");
    close(found.p, one.p, "p");
    close(found.effect, one.effect_size, "effect size");
    found.interval.forEach((end, at) => close(end, one.interval[at], "interval"));
    tested += 1;
  }
  assert.ok(tested > 0);
});
