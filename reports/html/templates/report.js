"use strict";
// Narrows the findings to a cell of the matrix, a severity or a framework. Without scripts everything is shown.
const findings = [...document.querySelectorAll("details.finding")];
const chosen = document.getElementById("chosen");
const severities = [...document.querySelectorAll(".filters button[data-severity]")];
const backend = document.getElementById("backend");
const unfold = document.getElementById("unfold");
const wanted = { numbers: null, name: "", severity: "", backend: "" };

function matches(finding) {
  return (wanted.numbers === null || wanted.numbers.has(finding.id))
    && (wanted.severity === "" || finding.dataset.severity === wanted.severity)
    && (wanted.backend === "" || finding.dataset.backend === wanted.backend);
}

function apply() {
  let shown = 0;
  for (const finding of findings) {
    finding.hidden = !matches(finding);
    shown += finding.hidden ? 0 : 1;
  }
  for (const button of severities) {
    button.setAttribute("aria-pressed", String(button.dataset.severity === wanted.severity));
  }
  backend.value = wanted.backend;
  chosen.hidden = wanted.numbers === null && shown > 0;
  chosen.textContent = shown === 0 ? "Nothing of that kind. " : shown === 1 ? "1 finding" : `${shown} findings`;
  if (wanted.name) chosen.append(" of ", Object.assign(document.createElement("b"), { textContent: wanted.name }), " ");
  chosen.append(Object.assign(document.createElement("button"), { type: "button", textContent: "show all" }));
}

function choose(change) {
  Object.assign(wanted, change);
  apply();
}

function everything() {
  choose({ numbers: null, name: "", severity: "", backend: "" });
}

function openTarget() {
  const target = location.hash.startsWith("#finding-") && document.getElementById(location.hash.slice(1));
  if (target) target.open = true;
}

document.getElementById("matrix").addEventListener("click", (event) => {
  const cell = event.target.closest("button[data-findings]");
  if (!cell) return;
  const numbers = new Set(cell.dataset.findings.split(" ").map((number) => `finding-${number}`));
  choose({ numbers, name: cell.dataset.name, severity: "", backend: "" });
  for (const finding of findings) if (!finding.hidden) finding.open = true;
  document.getElementById("findings").scrollIntoView({ block: "start" });
  chosen.focus({ preventScroll: true });
});

if (findings.length > 0) {
  document.querySelector(".filters").hidden = false;
  for (const button of severities) {
    button.addEventListener("click", () => choose({ numbers: null, name: "", severity: button.dataset.severity }));
  }
  backend.addEventListener("change", () => choose({ numbers: null, name: "", backend: backend.value }));
  chosen.addEventListener("click", (event) => { if (event.target.closest("button")) everything(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") everything(); });
  unfold.addEventListener("click", () => {
    const fold = unfold.textContent !== "unfold all";
    for (const finding of findings) finding.open = !fold;
    unfold.textContent = fold ? "unfold all" : "fold all";
  });
  window.addEventListener("beforeprint", () => { for (const finding of findings) finding.open = true; });
  window.addEventListener("hashchange", openTarget);
  openTarget();
}
