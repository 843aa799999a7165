// Elements. What comes from a database only ever becomes text or the value of an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; a child is a node, text, or a list of them, and null is none. */
function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const byId = (id) => document.getElementById(id);

const isNarrow = () => matchMedia("(max-width: 40rem)").matches;

/** Tells those who listen instead of looking. */
function announce(text) {
  byId("news").textContent = text;
}

/** A heading that takes the focus when its view opens. */
const heading = (...children) => h("h2", { tabindex: -1 }, ...children);

/** Something wide, which scrolls by itself and can be scrolled by keys. */
const frame = (label, content) => h("div", { class: "frame", role: "region", tabindex: 0, "aria-label": label }, content);

/** Names and values, row by row; those without a value are left out. */
function factsTable(label, facts) {
  const rows = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return frame(label, h("table", null,
    h("caption", { class: "visually-hidden" }, label),
    h("tbody", null, rows.map(([name, value]) =>
      h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "long" }, value))))));
}

/**
 * A table that its readers sort.
 * A column is {id, label, value(row), cell(row), number, header, class, descending, sortable}: `value` is what it is
 * sorted by, `cell` what is shown, `header` marks the cell that names the row.
 * `sorted` is told the column and the direction when a reader chooses them.
 */
function dataTable({ label, caption, columns, rows, sort, descending, sorted, more = 100 }) {
  let order = { id: sort, descending };
  let shown = more;
  const body = h("tbody");
  const rest = h("div", { class: "actions" });
  const heads = columns.map((column) => {
    const content = column.sortable === false
      ? column.label
      : h("button", { class: "sort", type: "button", onclick: () => choose(column) }, column.label);
    return h("th", { scope: "col", class: column.number ? "number" : null }, content);
  });

  function choose(column) {
    const again = order.id === column.id;
    set(column.id, again ? !order.descending : Boolean(column.descending));
    announce(`${label}: sorted by ${column.name ?? column.label}, ${order.descending ? "descending" : "ascending"}`);
    sorted?.(order.id, order.descending);
  }

  function set(id, descendingly) {
    order = { id, descending: descendingly };
    shown = more;
    draw();
  }

  function draw() {
    const column = columns.find((candidate) => candidate.id === order.id);
    columns.forEach((candidate, at) => {
      if (candidate.sortable === false) return;
      const direction = order.descending ? "descending" : "ascending";
      heads[at].setAttribute("aria-sort", candidate === column ? direction : "none");
    });
    const ordered = column ? [...rows].sort((a, b) => compareValues(column.value(a), column.value(b), order.descending)) : rows;
    body.replaceChildren(...ordered.slice(0, shown).map((row) => h("tr", null, columns.map((of) =>
      h(of.header ? "th" : "td", {
        scope: of.header ? "row" : null,
        class: [of.number ? "number" : null, of.class?.(row)].filter(Boolean).join(" ") || null,
      }, of.cell(row))))));
    const left = rows.length - shown;
    rest.replaceChildren(...(left > 0 ? [
      h("button", { type: "button", onclick: () => { shown += more; draw(); } }, `Show ${Math.min(more, left)} more`),
      h("span", { class: "quiet" }, `${grouped(left)} of ${grouped(rows.length)} rows are not shown`),
    ] : []));
  }

  draw();
  const table = h("table", null, caption ? h("caption", null, h("div", null, caption)) : null, h("thead", null, h("tr", null, heads)), body);
  return { element: h("div", null, frame(label, table), rest), set };
}

/** Missing values come last, whatever the direction; numbers within text count as numbers. */
function compareValues(a, b, descending) {
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return descending ? -order : order;
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
