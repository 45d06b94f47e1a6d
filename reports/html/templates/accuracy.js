"use strict";
// The plots of the section on accuracy. They are drawn when they come into sight, or before the page is printed: Vega-Lite
// takes a moment, and most readers want the verdict first. The colours are those of the page, light or dark.
(() => {
  const data = JSON.parse(document.getElementById("accuracy-data").textContent);
  const controls = Object.fromEntries(
    ["sweep", "dtype", "part", "measure", "subject"].map((name) => [name, document.getElementById(`plot-${name}`)]));
  const figure = document.getElementById("plot");
  const distribution = document.getElementById("distribution");
  const words = document.getElementById("plot-words");
  const FLOOR = { ulps: 2 ** data.distribution.smallest, share: 1e-4 };  // a logarithmic axis has no 0
  const UNIT = { ulps: "error in ulps of the exact value", share: "error as a share of its budget" };
  const POWERS = "datum.value >= 1e5 || datum.value < 1e-3 ? format(datum.value, '.0e') : format(datum.value, '~g')";
  const drawn = { plot: null, distribution: null };

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  // Distinguishable with every kind of colour vision (after Okabe and Ito), lighter on a dark page.
  const palette = () => (isDark()
    ? ["#62b6ee", "#f0a93c", "#3fc99f", "#ef86bd", "#d8d260", "#b9a5f5"]
    : ["#0072b2", "#c05a00", "#00785a", "#b0498a", "#7a6f00", "#6a4fc0"]);
  const theme = () => ({
    background: null,
    font: css("sans"),
    view: { stroke: null },
    axis: { labelColor: css("quiet"), titleColor: css("ink"), gridColor: css("line"), domainColor: css("line"),
      tickColor: css("line"), titleFontWeight: 400, labelFontSize: 11, titleFontSize: 12, titlePadding: 8 },
    legend: { labelColor: css("ink"), titleColor: css("quiet"), orient: "top", title: null, labelFontSize: 12, symbolStrokeWidth: 2 },
    header: { labelColor: css("ink"), titleColor: css("quiet") },
    text: { color: css("quiet") },
  });

  function draw(name, element, spec) {
    drawn[name]?.finalize();
    const compiled = plotting.compile({ ...spec, config: theme() }, { logger: silent }).spec;
    const runtime = plotting.parse(compiled, null, { ast: true });
    const container = document.createElement("div");  // Vega names it; the figure around it has a name that says more
    element.replaceChildren(container);
    drawn[name] = new plotting.View(runtime, {
      expr: plotting.expressionInterpreter, renderer: "svg", container, hover: true, logger: silent, tooltip,
    });
    drawn[name].runAsync();
  }

  const silent = {
    level: () => silent, warn: () => silent, info: () => silent, debug: () => silent, error: (...all) => { throw new Error(all.join(" ")); },
  };

  // Text only: names in the data are of others.
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  document.body.append(tip);
  function tooltip(_, event, __, value) {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const lines = typeof value === "object" ? Object.entries(value).map(([name, text]) => `${name}: ${text}`) : [String(value)];
    tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    Object.assign(tip.style, { left: `${Math.max(8, left)}px`, top: `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px` });
  }

  const digits = (number) => (number !== 0 && (number >= 1e5 || number < 1e-3) ? number.toExponential(2) : String(Number(number.toPrecision(4))));
  const chosenCurves = () => data.curves.filter((curve) =>
    curve.sweep === controls.sweep.value && curve.dtype === controls.dtype.value && curve.part === controls.part.value);

  function rows(measure) {
    const at = measure === "ulps" ? 1 : 2;
    return chosenCurves().flatMap((curve, number) => curve.points.map((point) => ({
      x: point[0], y: Math.max(point[at], FLOOR[measure]), curve: number, names: curve.names, backend: curve.backend,
      lit: controls.subject.value === "" || curve.subjects.includes(controls.subject.value),
      finite: point[3], at: digits(point[0]), ulps: digits(point[1]), share: digits(point[2]), problem: data.problems[point[4]],
      result: point[3] ? "finite" : "NaN or infinite, and should not be",
    })));
  }

  function drawPlot() {
    const measure = controls.measure.value;
    const sweep = data.sweeps.find((each) => each.name === controls.sweep.value);
    const [mark, why] = sweep.marks[controls.dtype.value];
    const values = rows(measure);
    const backends = [...new Set(data.curves.map((curve) => curve.backend))].sort();
    const largest = Math.max(0, ...values.map((row) => row.x));
    const isLeft = mark ** 2 < largest * Math.min(largest, ...values.map((row) => row.x));  // in the left half of the axis
    const line = measure === "share" ? { y: 1, words: "the budget" } : { y: 0.5, words: "correctly rounded" };
    const tips = [["names", "function"], ["at", sweep.axis.split(":")[0]], ["ulps", "ulps"], ["share", "share of the budget"],
      ["result", "result"], ["problem", "problem"]].map(([field, title]) => ({ field, title, type: "nominal" }));
    const x = { field: "x", type: "quantitative", title: sweep.axis, scale: { type: "log", nice: false }, axis: { tickCount: 8, labelExpr: POWERS, labelOverlap: true, grid: false } };
    const y = { field: "y", type: "quantitative", title: UNIT[measure], scale: { type: "log", nice: true }, axis: { tickCount: 8, labelExpr: POWERS, labelOverlap: true } };
    const color = { field: "backend", type: "nominal", scale: { domain: backends, range: palette() } };
    const opacity = { condition: { test: "datum.lit", value: 1 }, value: 0.12 };
    words.textContent = values.length === 0 ? "No function was measured in this selection." : `${sweep.shows} A line is a function, or several with the same errors; a cross marks results that are NaN or infinite and should not be.`;
    figure.setAttribute("aria-label", values.length === 0 ? "an empty plot" : `${UNIT[measure]} of the ${controls.part.selectedOptions[0].text} in ${controls.dtype.value} against the ${sweep.axis}: ${summary(measure)}`);
    draw("plot", figure, {
      width: Math.max(240, figure.clientWidth), height: 400, autosize: { type: "fit", contains: "padding" },
      data: { values },
      layer: [
        { data: { values: [line] }, mark: { type: "rule", strokeDash: [5, 4], color: css(measure === "share" ? "bug" : "quiet") }, encoding: { y: { field: "y", type: "quantitative" } } },
        { data: { values: [line] }, mark: { type: "text", align: "right", x: "width", dx: -4, dy: -6, color: css(measure === "share" ? "bug" : "quiet") }, encoding: { y: { field: "y", type: "quantitative" }, text: { field: "words" } } },
        ...(mark <= largest ? [
          { data: { values: [{ mark, why }] }, mark: { type: "rule", strokeDash: [2, 3], color: css("quiet") }, encoding: { x: { field: "mark", type: "quantitative" } } },
          { data: { values: [{ mark, why }] }, mark: { type: "text", align: isLeft ? "left" : "right", y: "height", dy: -8, dx: isLeft ? 6 : -6, color: css("quiet") }, encoding: { x: { field: "mark", type: "quantitative" }, text: { field: "why" } } },
        ] : []),
        { mark: { type: "line", strokeWidth: 1.6, interpolate: "linear" }, encoding: { x, y, color, opacity, detail: { field: "curve" } } },
        { mark: { type: "point", filled: true, size: 34 }, encoding: { x, y, color, opacity, shape: { condition: { test: "datum.finite", value: "circle" }, value: "cross" },
          size: { condition: { test: "datum.finite", value: 26 }, value: 110 }, tooltip: tips } },
      ],
    });
  }

  // What the plot shows, for people who do not see it.
  function summary(measure) {
    const at = measure === "ulps" ? 1 : 2;
    const worst = chosenCurves().map((curve) => {
      const point = curve.points.reduce((most, each) => (each[at] > most[at] ? each : most));
      return `${curve.names} at most ${digits(point[at])}, at ${digits(point[0])}`;
    });
    return worst.slice(0, 12).join("; ");
  }

  function drawDistribution() {
    const measure = controls.measure.value;
    const counts = data.distribution[measure];
    const several = new Set(counts.map(([, device]) => device)).size > 1;
    const totals = new Map();
    const place = ([backend, device, dtype]) => `${backend} ${dtype}${several ? ` ${device}` : ""}`;
    for (const row of counts) totals.set(place(row), (totals.get(place(row)) ?? 0) + row[4]);
    const { smallest, largest } = data.distribution;
    const values = counts.map((row) => ({ place: place(row), from: row[3] - 1, to: row[3], part: row[4] / totals.get(place(row)),
      calls: row[4].toLocaleString("en"), percent: `${(100 * row[4] / totals.get(place(row))).toPrecision(2)} %`,
      error: row[3] === smallest ? `at most ${digits(2 ** smallest)}` : row[3] === largest ? `more than ${digits(2 ** (largest - 1))}` : `${digits(2 ** (row[3] - 1))} to ${digits(2 ** row[3])}` }));
    const line = measure === "share" ? { x: 0, words: "the budget" } : { x: -1, words: "half an ulp" };
    draw("distribution", distribution, {
      width: Math.max(240, distribution.clientWidth), height: { step: 20 }, autosize: { type: "fit-x", contains: "padding" },
      data: { values },
      layer: [
        { mark: { type: "rect", stroke: css("paper"), strokeWidth: 1 }, encoding: {
          x: { field: "from", type: "quantitative", title: UNIT[measure], scale: { domain: [smallest - 1, Math.max(...values.map((row) => row.to), 1)], nice: false }, axis: { values: [...Array(19).keys()].map((n) => 2 * n + smallest), labelExpr: "datum.value < 0 ? '1/' + pow(2, -datum.value) : datum.value < 14 ? '' + pow(2, datum.value) : '2^' + datum.value", grid: false, labelOverlap: true } },
          x2: { field: "to" },
          y: { field: "place", type: "nominal", title: null, sort: [...totals.keys()], axis: { labelLimit: 150, domain: false, ticks: false } },
          color: { field: "part", type: "quantitative", legend: null, scale: { type: "sqrt", domain: [0, Math.max(...values.map((row) => row.part), 0.01)], range: [isDark() ? "#262d38" : "#eaeff3", palette()[0]] } },
          tooltip: [["place", "calls of"], ["error", measure === "ulps" ? "ulps" : "share of the budget"], ["calls", "calls"], ["percent", "part"]].map(([field, title]) => ({ field, title, type: "nominal" })) } },
        { data: { values: [line] }, mark: { type: "rule", strokeDash: [5, 4], color: css(measure === "share" ? "bug" : "quiet") }, encoding: { x: { field: "x", type: "quantitative" }, tooltip: { field: "words" } } },
      ],
    });
    const most = [...totals].map(([name]) => {
      const all = values.filter((row) => row.place === name);
      return `${name}: the largest is ${all[all.length - 1].error}`;
    });
    distribution.setAttribute("aria-label", `distribution of the ${UNIT[measure]}; ${most.join("; ")}`);
  }

  // Only what exists can be chosen: dtypes and parts of the experiment, functions of the selection.
  function offerChoices() {
    const of = data.curves.filter((curve) => curve.sweep === controls.sweep.value);
    for (const option of controls.dtype.options) option.disabled = !of.some((curve) => curve.dtype === option.value);
    if (controls.dtype.selectedOptions[0]?.disabled) controls.dtype.value = [...controls.dtype.options].find((option) => !option.disabled).value;
    const kept = controls.subject.value;
    const subjects = [...new Set(chosenCurves().flatMap((curve) => curve.subjects))].sort();
    controls.subject.replaceChildren(new Option("no function", ""), ...subjects.map((subject) => new Option(subject, subject)));
    controls.subject.value = subjects.includes(kept) ? kept : "";
  }

  function drawAll() {
    drawPlot();
    drawDistribution();
  }

  const NAMES = ["sweep", "dtype", "part", "measure", "subject"];

  function writeAddress() {
    address.change({ plot: NAMES.map((name) => controls[name].value).join(",").replace(/,$/, "") });
  }

  // Whether the address names a plot; what cannot be chosen is left as it is.
  function readAddress() {
    const named = (address.parameters().get("plot") ?? "").split(",");
    if (named.length < NAMES.length - 1) return false;
    for (const [place, name] of NAMES.entries()) {
      if (name === "subject") offerChoices();
      const value = named.slice(place, name === "subject" ? undefined : place + 1).join(",");
      if ([...controls[name].options].some((option) => option.value === value)) controls[name].value = value;
    }
    return true;
  }

  // The plot opens with the experiment in which a function exceeds its budget by most.
  function openAtWorst() {
    const open = data.curves.filter((curve) => curve.dtype === controls.dtype.value && curve.part === "loss");
    const most = (curve) => Math.max(...curve.points.map((point) => point[2]));
    const worst = open.reduce((known, curve) => (known === null || most(curve) > most(known) ? curve : known), null);
    if (worst === null || most(worst) <= 1) return;
    controls.sweep.value = worst.sweep;
    controls.measure.value = "share";
  }

  // The bundle is text until it is needed: a browser takes a moment to read it, and longer on a phone.
  function loadVega() {
    const script = document.createElement("script");
    script.textContent = document.getElementById("vega").textContent;
    document.head.append(script);
  }

  function start() {
    if (drawn.plot) return;
    observer.disconnect();
    loadVega();
    if (!readAddress()) openAtWorst();
    offerChoices();
    drawAll();
    for (const control of Object.values(controls)) {
      control.addEventListener("input", () => {
        offerChoices();
        drawPlot();
        if (control === controls.measure) drawDistribution();
        writeAddress();
      });
    }
    addEventListener("hashchange", () => { if (readAddress()) { offerChoices(); drawAll(); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  }

  document.querySelector(".plots-choice").hidden = false;
  document.querySelector(".plots-choice").addEventListener("submit", (event) => event.preventDefault());
  for (const each of document.querySelectorAll("figure.plot")) each.hidden = false;
  const observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) start(); }, { rootMargin: "400px" });
  observer.observe(figure);
  addEventListener("beforeprint", start);
  if (address.beginsWith(["plot"])) document.getElementById("accuracy").scrollIntoView({ block: "start" });
})();
