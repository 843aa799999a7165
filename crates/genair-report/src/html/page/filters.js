// Filters: their values are in the address, so that a view can be kept, sent and gone back to.

/**
 * A form of filters. A field is {name, label, options: [[value, text], …]} or, without options, free text.
 * `changed` is called after each change.
 */
function filterForm(view, params, fields, changed) {
  const set = (name, value, usual) => {
    if (value === usual || value === "") params.delete(name);
    else params.set(name, value);
    keepAddress(view, params);
    changed();
  };
  const controls = fields.map((field) => {
    const { name, label, options, usual = "" } = field;
    const chosen = params.get(name) ?? usual;
    if (!options) {
      const input = h("input", { type: "search", name, value: chosen, autocomplete: "off" });
      input.addEventListener("input", () => set(name, input.value, usual));
      return h("label", null, label, input);
    }
    const select = h("select", { name }, options.map(([value, text]) =>
      h("option", { value, selected: String(value) === chosen }, text)));
    select.addEventListener("change", () => set(name, select.value, usual));
    return h("label", null, label, select);
  });
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, controls);
  // On a narrow screen they would push the table below the first screenful.
  return fields.length > 3 ? h("details", { class: "folded", open: !isNarrow() }, h("summary", null, "Filters"), form) : form;
}

function keepAddress(view, params) {
  const query = params.toString();
  history.replaceState(null, "", `#${view}${query ? `?${query}` : ""}`);
}

/** Options of a label that runs have, and one for any. Where there is only one, there is nothing to choose. */
function labelField(name, label, values, names = {}) {
  const options = sortedValues(values).map((value) => [value, named(names, value) || "none"]);
  return options.length > 1 ? { name, label, options: [["", "any"], ...options] } : null;
}

/** Options of which exactly one holds: what is measured differently never stands in one table. */
function exclusiveField(name, label, values, names, usual) {
  return { name, label, usual: String(usual), options: values.map((value) => [value, named(names, value)]) };
}

const placeFields = () => [
  labelField("sweep", "Sweep", distinct(report.places, "sweep")),
  labelField("dataset", "Dataset", distinct(report.runs, "dataset")),
  labelField("backbone", "Backbone", distinct(report.runs, "backbone")),
  labelField("representation", "Representation", distinct(report.runs, "representation")),
  distinct(report.places, "variant").length > 1 ? { name: "variant", label: "Variant contains" } : null,
];

/** Runs in their sweeps that pass the labels' filters. */
function chosenPlaces(params) {
  const variant = (params.get("variant") ?? "").toLowerCase();
  return report.places.filter((place) =>
    (!params.has("sweep") || place.sweep === params.get("sweep")) &&
    ["dataset", "backbone", "representation"].every((label) => !params.has(label) || place.run[label] === params.get(label)) &&
    place.variant.toLowerCase().includes(variant));
}

const measureFields = (cohorts = true) => [
  exclusiveField("split", "Split", distinct(report.measures, "split"), SPLITS, usualOf("split", "test")),
  exclusiveField("protocol", "Protocol", distinct(report.measures, "protocol"), PROTOCOLS, usualOf("protocol", "full")),
  cohorts ? exclusiveField("cohort", "Users", distinct(report.measures, "cohort"), COHORTS, usualOf("cohort", "all")) : null,
];

/** The usual value where it was measured, else the first. */
function usualOf(field, usual) {
  const values = distinct(report.measures, field);
  return values.includes(usual) ? usual : values[0];
}

const chosenOf = (params, field, usual) => params.get(field) ?? usualOf(field, usual);
