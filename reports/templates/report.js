"use strict";
// Choosing a cell of the matrix shows its findings only; without scripts everything is shown.
const articles = [...document.querySelectorAll("article.finding")];
const note = document.getElementById("filter");
function show(numbers, name) {
  for (const article of articles) {
    article.hidden = numbers !== null && !numbers.has(article.dataset.number);
  }
  note.hidden = numbers === null;
  if (numbers !== null) {
    const count = numbers.size;
    document.getElementById("filter-count").textContent = count === 1 ? "the one finding" : `the ${count} findings`;
    document.getElementById("filter-name").textContent = name;
    document.getElementById("findings").scrollIntoView({ block: "start" });
  }
}
document.getElementById("matrix").addEventListener("click", (event) => {
  const cell = event.target.closest("button[data-findings]");
  if (cell) show(new Set(cell.dataset.findings.split(" ")), cell.dataset.name);
});
document.getElementById("filter-clear").addEventListener("click", () => show(null));
