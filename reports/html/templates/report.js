"use strict";
// Narrows the findings to a cell of the matrix, or by the filters above them. The address holds the choice, so that a link
// shows the same. Without scripts everything is shown.
const findings = [...document.querySelectorAll("details.finding")];
const chosen = document.getElementById("chosen");
const severities = [...document.querySelectorAll(".filters button[data-severity]")];
const choices = ["backend", "function", "kind", "family", "dtype", "device", "which"];
const inputs = [...choices, "search", "sort"].map((id) => document.getElementById(id)).filter(Boolean);
const unfold = document.getElementById("unfold");
const nothing = Object.fromEntries(["cell", "severity", ...choices, "search"].map((name) => [name, ""]));
const wanted = { ...nothing, sort: "" };
const filters = new Map(findings.map((finding) => [finding, JSON.parse(finding.dataset.filters)]));
// A finding without a finite error comes first: its result is NaN, infinite, or missing.
const error = (finding) => (finding.dataset.share === "" ? Infinity : Number(finding.dataset.share));
const orders = {
  "": () => 0,
  share: (one, other) => (error(one) === error(other) ? 0 : error(other) - error(one)),
  count: (one, other) => other.dataset.count - one.dataset.count,
};
let order = "";

function cellOf(name) {
  return [...document.querySelectorAll("button[data-findings]")].find((button) => button.dataset.name === name);
}

function matches(finding, numbers) {
  return (numbers === null || numbers.has(finding.id))
    && (wanted.severity === "" || finding.dataset.severity === wanted.severity)
    && choices.every((name) => wanted[name] === "" || filters.get(finding)[name].includes(wanted[name]))
    && finding.textContent.toLowerCase().includes(wanted.search.toLowerCase());
}

function arrange() {
  if (order === wanted.sort) return;
  order = wanted.sort;
  document.getElementById("findings").append(...[...findings].sort(orders[order] ?? orders[""]));
}

function apply() {
  arrange();
  const cell = wanted.cell && cellOf(wanted.cell);
  const numbers = cell ? new Set(cell.dataset.findings.split(" ").map((number) => `finding-${number}`)) : null;
  let shown = 0;
  for (const finding of findings) {
    finding.hidden = !matches(finding, numbers);
    shown += finding.hidden ? 0 : 1;
    if (numbers !== null && !finding.hidden) finding.open = true;
  }
  for (const button of severities) {
    button.setAttribute("aria-pressed", String(button.dataset.severity === wanted.severity));
  }
  for (const input of inputs) input.value = wanted[input.id];
  const narrowed = Object.keys(nothing).some((name) => name !== "severity" && wanted[name] !== "");
  chosen.hidden = !narrowed && shown > 0;
  chosen.textContent = shown === 0 ? "No such finding. " : shown === 1 ? "1 finding" : `${shown} findings`;
  if (cell) chosen.append(" of ", Object.assign(document.createElement("b"), { textContent: wanted.cell }), " ");
  chosen.append(Object.assign(document.createElement("button"), { type: "button", textContent: "show all" }));
}

function choose(change, options) {
  Object.assign(wanted, change);
  apply();
  address.change(wanted, options);
}

function readAddress() {
  const place = address.place();
  const target = findings.find((finding) => finding.id === place || finding.querySelector("code.id").textContent === place);
  if (target) {
    target.open = true;
    target.scrollIntoView({ block: "start" });
  }
  const state = address.parameters();
  if (state.size === 0) return;  // the name of a place
  for (const name of Object.keys(wanted)) wanted[name] = state.get(name) ?? "";
  apply();
  if (address.beginsWith(Object.keys(wanted))) document.getElementById("findings").scrollIntoView({ block: "start" });
}

async function copy(button) {
  const label = button.textContent;
  const text = button.parentElement.querySelector("pre, code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a browser that gives pages from files no clipboard
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

document.getElementById("matrix").addEventListener("click", (event) => {
  const cell = event.target.closest("button[data-findings]");
  if (!cell) return;
  choose({ ...nothing, cell: cell.dataset.name }, { back: true });
  document.getElementById("findings").scrollIntoView({ block: "start" });
  chosen.focus({ preventScroll: true });
});

if (findings.length > 0) {
  document.querySelector(".filters").hidden = false;
  for (const button of severities) {
    button.addEventListener("click", () => choose({ cell: "", severity: button.dataset.severity }));
  }
  for (const input of inputs) {
    input.addEventListener("input", () => choose({ cell: "", [input.id]: input.value }));
  }
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  chosen.addEventListener("click", (event) => { if (event.target.closest("button")) choose(nothing); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(nothing); });
  unfold.addEventListener("click", () => {
    const fold = unfold.textContent !== "unfold all";
    for (const finding of findings) finding.open = !fold;
    unfold.textContent = fold ? "unfold all" : "fold all";
  });
  window.addEventListener("beforeprint", () => { for (const finding of findings) finding.open = true; });
  window.addEventListener("hashchange", readAddress);
  window.addEventListener("popstate", () => {  // back from a cell of the matrix
    if (location.hash.length > 1) return;
    Object.assign(wanted, nothing);
    apply();
  });
  readAddress();
}
