"use strict";
// Which function gives what for some numbers: the problem is read from the inputs, each convention of the page answers it,
// and equal answers are shown together. The address holds the inputs that were changed.
(() => {
  const { fields, parameters, portable, entries } = conventions;
  const tool = document.getElementById("calculator");
  const named = (name) => document.getElementById(`calculator-${name}`);
  const controls = new Map(["logits", "targets", "reduction", "dtype", "weight", "ignore_index", "label_smoothing"]
    .map((name) => [name, named(name)]));
  const initial = new Map([...controls].map(([name, control]) => [name, control.value]));
  const inAddress = (name) => name === "dtype" ? "logits_dtype" : name;  // "dtype" is a filter of the findings
  const INTEGER = /^[+-]?\d+$/;
  const MOST_NUMBERS = 10000;
  const MOST_SHOWN = 8;
  const LONGEST = 1000;  // in the address

  // Each reader gives { value } or { message }, and perhaps a note.
  function readLogits(text, dtype) {
    const { rows, message } = readRows(text);
    if (message) return { message };
    if (rows.length === 0) return { message: "no numbers: write a row of logits, such as 0, 0, 0, 1" };
    const classes = rows[0].length;
    const ragged = rows.findIndex((row) => row.length !== classes);
    if (ragged > 0) {
      const seen = `row ${ragged + 1} has ${count(rows[ragged].length, "number")}, row 1 has ${classes}`;
      return { message: `${seen}: give every row the same number of classes` };
    }
    if (rows.length * classes > MOST_NUMBERS) {
      return { message: `${rows.length * classes} numbers: use at most ${MOST_NUMBERS}` };
    }
    const rounded = dtype === "float32" ? Math.fround : Number;
    const overflowing = rows.flat().find(({ text, value }) => /\d/.test(text) && !Number.isNaN(value)
      && !Number.isFinite(rounded(value)));
    return { value: rows.map(valuesOf), note: overflowing ? `${overflowing.text} is infinite in ${dtype}` : "" };
  }

  function readTargets(text, logits) {
    const { rows, message } = readRows(text);
    if (message || !logits) return { message };
    const given = rows.flat();
    const [size, classes] = [logits.length, logits[0].length];
    if (given.length === size && (classes > 1 || given.every((number) => INTEGER.test(number.text)))) return readLabels(given);
    const shaped = rows.length === size && rows.every((row) => row.length === classes);
    if (shaped) return { value: { labels: null, probabilities: rows.map(valuesOf) } };
    const seen = `${count(given.length, "target")} in ${count(rows.length, "row")} for ${count(size, "row")} of ${count(classes, "logit")}`;
    return { message: `${seen}: give ${count(size, "label")}, or ${count(size, "row")} of ${count(classes, "probability")}` };
  }

  function readLabels(given) {
    for (const [n, { text, value }] of given.entries()) {
      if (!INTEGER.test(text)) {
        return { message: `label ${n + 1}: "${text}" is not an integer: write the number of a class, from 0` };
      }
      if (!Number.isSafeInteger(value)) return { message: `label ${n + 1}: "${text}" is too large: use at most 2^53` };
    }
    return { value: { labels: valuesOf(given), probabilities: null } };
  }

  function readWeight(text, logits) {
    const { rows, message } = readRows(text);
    if (message || !logits) return { message };
    const given = rows.flat();
    const classes = logits[0].length;
    if (given.length === 0 || given.length === classes) return { value: given.length ? valuesOf(given) : null };
    return { message: `${count(given.length, "weight")} for ${count(classes, "class")}: give one per class, or leave it empty` };
  }

  function readIgnored(text) {
    if (text.trim() === "") return { value: null };
    const value = Number(text);
    if (INTEGER.test(text.trim()) && Number.isSafeInteger(value)) return { value };
    return { message: `"${text.trim()}" is not an integer: write a label, such as -100, or leave it empty` };
  }

  function readSmoothing(text) {
    const { rows } = readRows(text);
    const [number, ...more] = rows ? rows.flat() : [];
    if (rows && !number) return { value: 0 };
    if (number && more.length === 0 && number.value >= 0 && number.value <= 1) return { value: number.value };
    return { message: `"${text.trim()}" is not a number from 0 to 1: write one, such as 0.1, or leave it empty` };
  }

  function valuesOf(row) {
    return row.map(({ value }) => value);
  }

  function count(n, word) {
    if (n === 1) return `1 ${word}`;
    return `${n} ${word.endsWith("y") ? `${word.slice(0, -1)}ies` : word.endsWith("s") ? `${word}es` : `${word}s`}`;
  }

  // The problem, or null where an input is wrong; the messages stand below the inputs.
  function readProblem() {
    const text = (name) => controls.get(name).value;
    const logits = readLogits(text("logits"), text("dtype"));
    const read = {
      logits,
      targets: readTargets(text("targets"), logits.value),
      weight: readWeight(text("weight"), logits.value),
      ignore_index: readIgnored(text("ignore_index")),
      label_smoothing: readSmoothing(text("label_smoothing")),
    };
    for (const [name, { message, note }] of Object.entries(read)) {
      named(`${name}-message`).textContent = message || note || "";
      named(`${name}-message`).classList.toggle("wrong", Boolean(message));
      controls.get(name).setAttribute("aria-invalid", String(Boolean(message)));
    }
    if (Object.values(read).some(({ message }) => message)) return null;
    return {
      logits: logits.value,
      ...read.targets.value,
      weight: read.weight.value,
      ignoreIndex: read.ignore_index.value,
      labelSmoothing: read.label_smoothing.value,
      reduction: text("reduction"),
      dtype: text("dtype"),
    };
  }

  // Why a function does not take the problem; "": it does.
  function whyNot({ offer, convention }, problem) {
    const given = { weight: problem.weight, ignore_index: problem.ignoreIndex, label_smoothing: problem.labelSmoothing || null };
    const missing = Object.keys(given).filter((name) => given[name] !== null && !offer.options.includes(name))
      .map((name) => name === "weight" ? "class weights" : name);
    const targets = problem.labels ? "labels" : "probabilities";
    return [
      offer.targets !== targets && (problem.labels ? "takes target probabilities, no labels" : "takes labels, no target probabilities"),
      missing.length > 0 && `takes no ${missing.join(", no ")}`,
      !["default", ...offer.reductions].includes(problem.reduction) && `takes no reduction ${problem.reduction}`,
      !offer.dtypes.includes(problem.dtype) && `takes ${listed(offer.dtypes)}, not ${problem.dtype}`,
      outsideDomain(convention.inputs, problem),
    ].filter(Boolean).join("; ");
  }

  function outsideDomain(inputs, { logits, dtype }) {
    const rounded = logits.flat().map(dtype === "float32" ? Math.fround : Number);
    if (inputs === "probabilities") {
      const outside = rounded.find((value) => !(value >= 0 && value <= 1));
      return outside === undefined ? "" : `takes probabilities, and ${written(outside)} is outside [0, 1]`;
    }
    const above = inputs === "log_probabilities" ? rounded.find((value) => !(value <= 0)) : undefined;
    return above === undefined ? "" : `takes log-probabilities, and ${written(above)} is not below 0`;
  }

  function same(a, b) {
    if (a.raises || b.raises) return a.raises === b.raises;
    return a.values.length === b.values.length && a.values.every((value, n) => {
      const other = b.values[n];
      if (value === null || other === null) return value === other && a.undefined[n] === b.undefined[n];
      return Object.is(value, other) || value === other || Math.abs(value - other) <= 1e-12 * Math.abs(other);
    });
  }

  // The fields without whose choice the answer would be another; or, where several have the same effect, each of them.
  function decisive({ convention }, answer, problem, expected) {
    const changed = [...fields.keys()].filter((name) => convention[name] !== portable.convention[name]);
    const needed = changed.filter((name) =>
      !same(answer, crossEntropy(problem, { ...convention, [name]: portable.convention[name] })));
    if (Object.keys(convention.parameters).length && !same(answer, crossEntropy(problem, { ...convention, parameters: {} }))) {
      needed.push("parameters");
    }
    if (needed.length) return needed;
    const enough = changed.filter((name) =>
      !same(expected, crossEntropy(problem, { ...portable.convention, [name]: convention[name] })));
    return enough.length ? enough : changed;
  }

  // Groups of equal answers: the portable answer first, then the most frequent.
  function grouped(answered, expected) {
    const groups = [];
    for (const result of answered) {
      const group = groups.find(({ answer }) => same(answer, result.answer));
      if (group) group.results.push(result);
      else groups.push({ answer: result.answer, results: [result], isPortable: same(result.answer, expected) });
    }
    return groups.sort((a, b) => b.isPortable - a.isPortable || b.results.length - a.results.length);
  }

  function described(answer, digits = 7) {
    if (answer.raises) return "raises";
    if (answer.values.every((value) => value === null)) return `undefined (${answer.undefined[0]})`;
    const shown = answer.values.slice(0, MOST_SHOWN).map((value) => value === null ? "undefined" : written(value, digits));
    const left = answer.values.length - shown.length;
    return shown.join(", ") + (left > 0 ? ` and ${left} more` : "");
  }

  // As few digits as distinguish all of them.
  function descriptions(answers) {
    const identity = (answer, text) => answer.raises ? `${text}: ${answer.raises}` : text;
    for (let digits = 7; digits < 17; digits += 1) {
      const texts = answers.map((answer) => described(answer, digits));
      if (new Set(texts.map((text, n) => identity(answers[n], text))).size === texts.length) return texts;
    }
    return answers.map((answer) => described(answer, 17));
  }

  function exactly(answer) {
    if (answer.raises) return answer.raises;
    return answer.values.map((value, n) => value === null ? `undefined (${answer.undefined[n]})`
      : Number.isFinite(value) ? String(value) : written(value)).join(", ");
  }

  function groupBody({ answer, results, isPortable }, text, problem, expected) {
    const value = element("span", { class: "value", title: exactly(answer) }, text);
    const notes = [
      answer.raises,
      answer.values?.length > 1 && "a loss per row",
      isPortable ? "the portable answer" : "",
      count(results.length, "convention"),
    ].filter(Boolean).join(" · ");
    const head = element("th", { scope: "rowgroup", role: "rowheader", colspan: "2" }, value, " ", element("small", {}, notes));
    return element("tbody", { role: "rowgroup", class: isPortable ? "pass" : "difference" },
      element("tr", { role: "row", class: "answer" }, head),
      ...results.map(({ entry }) => line(entry, isPortable ? [] : reasons(entry, answer, problem, expected))));
  }

  function line({ backend, name }, words) {
    const head = element("th", { scope: "row", role: "rowheader" }, element("b", {}, backend), " ", name);
    return element("tr", { role: "row" }, head, element("td", { role: "cell" }, ...words));
  }

  function reasons(entry, answer, problem, expected) {
    return decisive(entry, answer, problem, expected).flatMap((name) => {
      if (name === "parameters") {
        return Object.entries(entry.parameters).map(([parameter, value]) =>
          element("span", { class: "reason" }, element("code", {}, `${parameter} = ${value}`), ` ${parameters.get(parameter)}`));
      }
      const { source } = entry.sources[name];
      const value = entry.convention[name];
      const known = source === "measured" ? "" : ` (${source})`;
      const { values, decides } = fields.get(name);
      const meaning = values.get(value) === value ? decides : values.get(value);
      return [element("span", { class: "reason" }, element("code", {}, `${name} = ${value}`), ` ${meaning}${known}`)];
    });
  }

  function sentence(expected, groups, takers) {
    const given = groups[0]?.isPortable ? groups[0].results.length : 0;
    const others = entries.length - takers;
    const who = takers === given ? (takers === 1 ? "The only convention" : `All ${takers} conventions`)
      : `${given || "None"} of the ${count(takers, "convention")}`;
    return [
      `The portable answer is ${expected.raises ? `an exception (${expected.raises})` : described(expected)}.`,
      takers > 0 && `${who} that ${takers === 1 ? "takes" : "take"} this problem ${given > 1 ? "give" : "gives"} it.`,
      others > 0 && `${others} ${takers > 0 ? "other " : ""}${others === 1 ? "convention" : "conventions"} ${others === 1 ? "does" : "do"} not take it.`,
    ].filter(Boolean).join(" ");
  }

  function show() {
    const problem = readProblem();
    const results = problem ? entries.map((entry) => ({ entry, why: whyNot(entry, problem) })) : [];
    const expected = problem && crossEntropy(problem, portable.convention);
    const answered = results.filter(({ why }) => !why)
      .map(({ entry }) => ({ entry, answer: crossEntropy(problem, entry.convention) }));
    const groups = grouped(answered, expected);
    const texts = descriptions(groups.map(({ answer }) => answer));
    named("table").replaceChildren(...groups.map((group, n) => groupBody(group, texts[n], problem, expected)));
    named("table").hidden = groups.length === 0;
    const others = results.filter(({ why }) => why);
    named("others").hidden = others.length === 0;
    named("others").querySelector("summary").textContent =
      `${others.length} of ${count(results.length, "convention")} ${others.length === 1 ? "does" : "do"} not take this problem`;
    named("others").querySelector("table").replaceChildren(
      element("tbody", { role: "rowgroup" }, ...others.map(({ entry, why }) => line(entry, [why]))));
    named("sentence").textContent = problem ? sentence(expected, groups, answered.length)
      : "Correct the inputs that have a message to see the answers.";
  }

  function writeAddress() {
    const changed = new Map([...controls].map(([name, { value }]) => [inAddress(name), value === initial.get(name) ? "" : value]));
    const length = [...changed.values()].join("").length;
    address.change(Object.fromEntries([...changed].map(([name, value]) => [name, length > LONGEST ? "" : value])));
  }

  function readAddress() {
    const state = address.parameters();
    const names = [...controls.keys()].map(inAddress);
    if (!names.some((name) => state.has(name))) return;
    for (const [name, control] of controls) {
      control.value = state.get(inAddress(name)) ?? initial.get(name);
      if (control.selectedIndex === -1) control.value = initial.get(name);  // no such option
    }
    show();
    if (address.beginsWith(names)) tool.scrollIntoView({ block: "start" });
  }

  for (const control of controls.values()) {
    control.addEventListener("input", () => { show(); writeAddress(); });
  }
  named("reset").addEventListener("click", () => {
    for (const [name, control] of controls) control.value = initial.get(name);
    show();
    writeAddress();
    controls.get("logits").focus();
  });
  tool.hidden = false;
  show();
  window.addEventListener("hashchange", readAddress);
  readAddress();
})();
