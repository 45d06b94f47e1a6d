"use strict";
// What differs between two functions: the fields in which their conventions have other values, and their arguments. The
// address holds the choice. It also prepares the functions of the page for the calculator.
const conventions = (() => {
  const data = JSON.parse(document.getElementById("conventions-data").textContent);
  const fields = new Map(data.fields.map((field) => [field.name, { ...field, values: new Map(field.values) }]));
  const all = [...fields.values()];
  const portable = {
    backend: "",
    name: "the portable convention",
    subjects: ["portable"],
    convention: Object.fromEntries(all.map((field) => [field.name, field.portable])),
    sources: Object.fromEntries(all.map(({ name }) => [name, { source: "by definition", note: "", docs: "", applies: true }])),
    parameters: {},
    offer: null,
  };
  for (const entry of [portable, ...data.entries]) entry.convention.parameters = entry.parameters;
  return { fields, parameters: new Map(data.parameters), portable, entries: data.entries };
})();

// An element with attributes and children; text is never taken for markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// "a, b and c".
function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

(() => {
  const { fields, parameters, portable, entries } = conventions;
  const tool = document.getElementById("differences");
  const selects = [...tool.querySelectorAll("select")];
  const names = selects.map((select) => select.name);
  const table = document.getElementById("differences-table");
  const choices = [portable, ...entries];
  const initial = mostDifferent();

  // The first function, and a function of another framework that differs in most fields.
  function mostDifferent() {
    const [first, ...others] = entries;
    const comparable = others.filter(({ backend, offer }) => backend !== first.backend && offer.targets === first.offer.targets);
    const count = (entry) => differing(first, entry).length;
    return [first, comparable.reduce((most, entry) => count(entry) > count(most) ? entry : most, comparable[0] ?? others[0] ?? portable)];
  }

  function fill(select) {
    select.append(element("option", { value: "0" }, portable.name));
    let group = null;
    entries.forEach((entry, n) => {
      if (group?.label !== entry.backend) select.append(group = element("optgroup", { label: entry.backend }));
      group.append(element("option", { value: String(n + 1) }, entry.name));
    });
  }

  function named({ backend, name }) {
    return backend ? `${backend}: ${name}` : name;
  }

  function withName(entry) {
    return entry.backend ? [element("b", {}, entry.backend), " ", entry.name] : [entry.name];
  }

  function differing(left, right) {
    return [...fields.keys()].filter((name) => left.sources[name].applies && right.sources[name].applies
      && left.convention[name] !== right.convention[name]);
  }

  function cell(entry, name) {
    const value = entry.convention[name];
    const { source, note, docs } = entry.sources[name];
    const known = element("small", {}, note ? `${source}; ${note}` : source);
    if (docs) known.append(" · ", element("a", { href: docs, rel: "noreferrer" }, "documentation"));
    const meaning = fields.get(name).values.get(value);
    return element("td", { role: "cell" }, element("code", {}, value), " ", meaning === value ? "" : meaning, known);
  }

  function fieldRow(name, left, right) {
    const head = element("th", { scope: "row", role: "rowheader" }, name, element("small", {}, fields.get(name).decides));
    return element("tr", { role: "row" }, head, cell(left, name), cell(right, name));
  }

  function parameterRow(name, left, right) {
    const head = element("th", { scope: "row", role: "rowheader" }, name, element("small", {}, parameters.get(name)));
    const own = ({ parameters: its }) => element("td", { role: "cell" }, name in its ? element("code", {}, String(its[name])) : "none");
    return element("tr", { role: "row" }, head, own(left), own(right));
  }

  function argumentsOf({ offer }) {
    const targets = offer.targets === "labels" ? "labels" : "target probabilities";
    const reductions = offer.reductions.filter((reduction) => reduction !== "none");
    const reduces = reductions.length ? `reduces by ${listed(reductions)}` : "has no reduction";
    return `takes ${listed([targets, ...offer.options])}, and ${reduces}`;
  }

  function show() {
    const [left, right] = selects.map((select) => choices[Number(select.value)]);
    const changed = differing(left, right);
    const numbers = [...parameters.keys()].filter((name) => left.parameters[name] !== right.parameters[name]);
    const count = changed.length + numbers.length;
    const headings = [left, right].map((entry) => element("th", { scope: "col", role: "columnheader" }, ...withName(entry)));
    table.replaceChildren(
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, element("td", { role: "cell" }), ...headings)),
      element("tbody", { role: "rowgroup" }, ...changed.map((name) => fieldRow(name, left, right)),
        ...numbers.map((name) => parameterRow(name, left, right))),
    );
    table.hidden = count === 0;
    document.getElementById("differences-sentence").textContent = sentence(left, right, count);
    const takes = left.offer && right.offer ? [left, right].map(argumentsOf) : [];
    document.getElementById("differences-arguments").textContent = takes[0] === takes[1] ? ""
      : `Their arguments differ, too: ${named(left)} ${takes[0]}; ${named(right)} ${takes[1]}.`;
  }

  function sentence(left, right, count) {
    if (left === right) return "Nothing differs: this is the same function twice.";
    if (count === 0) return `Nothing differs: ${named(left)} and ${named(right)} agree in every field that matters to both.`;
    return `${count === 1 ? "One field differs" : `${count} fields differ`} among those that matter to both.`;
  }

  function choose(select, id, otherwise) {
    const found = choices.findIndex((entry) => entry.subjects.includes(id));
    select.value = String(found < 0 ? choices.indexOf(otherwise) : found);
  }

  function readAddress() {
    const state = address.parameters();
    if (!names.some((name) => state.has(name))) return;
    selects.forEach((select, n) => choose(select, state.get(select.name), initial[n]));
    show();
    if (address.beginsWith(names)) tool.scrollIntoView({ block: "start" });
  }

  selects.forEach((select, n) => {
    fill(select);
    choose(select, "", initial[n]);
    select.addEventListener("input", () => {
      show();
      address.change(Object.fromEntries(selects.map(({ name, value }) => [name, choices[Number(value)].subjects[0]])));
    });
  });
  tool.hidden = false;
  for (const link of document.querySelectorAll("[data-tool]")) link.hidden = false;
  show();
  window.addEventListener("hashchange", readAddress);
  readAddress();
})();
