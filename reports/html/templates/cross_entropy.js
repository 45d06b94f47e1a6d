"use strict";
// The cross-entropy of a problem under a convention, in doubles. It is the oracle of Logitmus (harness/oracle) again, for
// a page without a server: same questions, same order of steps, no error bounds.
//
//     problem     logits, weight, probabilities or labels, ignoreIndex, labelSmoothing, reduction, dtype
//     convention  a value for each field of harness/core/convention.py, and `parameters`
//     result      { raises: why }  or  { reduction, values, undefined }: a value is null where the convention names none,
//                 and `undefined` has the reason at the same place
//
// First the convention is resolved into rows. A row has a label or target probabilities; it is kept or ignored; and its
// value may be prescribed (NaN or 0, for a label out of range) or undefined (the function reads memory outside the row).
// The order matters: ignored rows leak NaN before any logit is replaced, unread logits are cleared before differences are
// tested for overflow, and infinities count only after that.
//
// Then the loss of each kept row is sum_k a_k l_k, with l_k = -log p_k and the effective targets a_k, which are the
// targets smoothed and weighted. What keeps the digits:
//
// - l_k = log1p(s) - (x_k - m), where m is the largest logit and s the sum of e^(x_j - m) without its first place. At
//   the largest logit l_k = log1p(s): a loss of 1e-20 stays 1e-20, and is not absorbed by 1 + 1e-20.
// - Probabilities that are divided by their sum S have l_k = log1p((S - p_k) / p_k) where p_k is more than half
//   of S; S - p_k is the sum of the others, and is not subtracted.
// - A probability clipped to 1 - epsilon has l_k = -log1p(-epsilon), as 1 - epsilon itself has few digits of epsilon.
// - Sums are correctly rounded, so that weights cancel to 0 exactly or not at all.
const crossEntropy = (() => {
  const LN = { e: 1, 2: Math.LN2, 10: Math.LN10 };
  const LARGEST = { float32: 2 ** 128 - 2 ** 104, float64: Number.MAX_VALUE };
  // Half the smallest difference that rounds to infinity.
  const HALF_OVERFLOW = { float32: 2 ** 127 - 2 ** 102, float64: 2 ** 1023 };
  const OUTSIDE = "reads outside the row";
  const NO_VALUE = "no value is defined";

  function crossEntropy(problem, convention) {
    const own = { label_smoothing: 0, temperature: 1, z_loss: 0, factor: 1, clip: 0, ...convention.parameters };
    const narrowed = convention.wide_inputs === "narrowed" && problem.dtype === "float64";
    const rounded = problem.dtype === "float32" || narrowed ? Math.fround : Number;
    const question = {
      ...convention,
      own,
      problem,
      wide: problem.dtype === "float64" && !narrowed,
      weight: problem.weight && problem.weight.map(rounded),
      eps: convention.smoothing === "dropped" ? 0 : problem.labelSmoothing || own.label_smoothing,
    };
    const classes = problem.logits.length ? problem.logits[0].length : 0;
    const { rows, refused } = problem.labels
      ? labelRows(problem, convention, classes)
      : probabilityRows(problem, convention, classes, rounded);
    rows.forEach((row, n) => { row.x = problem.logits[n].map(rounded); });

    const reduction = problem.reduction === "default" ? convention.default_reduction : problem.reduction;
    const divisor = reduction === "mean" ? exactSum(divisorTerms(question, rows, classes)) : 1;
    const ofNothing = rows.length === 0 ? convention.empty_batch_mean : convention.all_ignored_mean;
    const isOfNothing = reduction === "mean" && divisor === 0;
    if (refused) return { raises: refused };
    if (isOfNothing && ofNothing === "error") return { raises: "the mean of nothing" };

    resolveExtremes(question, rows);
    for (const row of rows) row.undefined ||= withoutValue(question, row, classes);
    const losses = rows.map((row) => rowLoss(question, row));
    const undefinedAt = rows.map((row) => row.undefined);
    if (reduction === "none") {
      return { reduction, values: losses.map((loss, n) => undefinedAt[n] ? null : loss), undefined: undefinedAt };
    }
    const why = undefinedAt.find(Boolean) ?? "";
    const prescribed = ofNothing === "zero" ? 0 : NaN;
    const value = isOfNothing ? prescribed : exactSum(losses) / divisor;
    return { reduction, values: [why ? null : value], undefined: [why] };
  }

  function newRow(changes) {
    return { label: null, q: null, kept: true, prescribed: null, undefined: "", ...changes };
  }

  function probabilityRows(problem, convention, classes, rounded) {
    const ignored = problem.ignoreIndex;
    const choice = ignored === null || ignored < 0 || ignored >= classes ? "unused" : convention.ignore_with_probabilities;
    const rows = problem.probabilities.map((given) => {
      const q = given.map(rounded);
      return newRow({ q, kept: choice !== "one_hot" || q.some((value, k) => value !== (k === ignored ? 1 : 0)) });
    });
    return { rows, refused: choice === "error" ? "an ignored label beside probabilities" : "" };
  }

  function labelRows(problem, convention, classes) {
    const given = problem.ignoreIndex ?? (convention.ignore_default === "none" ? null : Number(convention.ignore_default));
    let refused = "";
    const rows = problem.labels.map((raw) => {
      const label = convention.wide_labels === "narrowed" ? Number(BigInt.asIntN(32, BigInt(raw))) : raw;
      if (label === given) return newRow({ label: 0, kept: false });
      if (label >= 0 && label < classes) return newRow({ label });
      const choice = label < 0 ? convention.label_negative : convention.label_out_of_range;
      if (choice === "error") refused = label < 0 ? "a negative label" : "a label >= K";
      return repairedRow(label, choice, classes);
    });
    return { rows, refused };
  }

  function repairedRow(label, choice, classes) {
    switch (choice) {
      case "nan": return newRow({ label: 0, prescribed: NaN });
      case "zero": return newRow({ label: 0, prescribed: 0 });
      case "garbage": return newRow({ label: 0, undefined: OUTSIDE });
      case "clamp": return newRow({ label: label < 0 ? 0 : classes - 1 });
      case "wrap": {  // a single turn: beyond it there is no such class
        const wrapped = label < 0 ? label + classes : label - classes;
        return wrapped < 0 || wrapped >= classes ? newRow({ label: 0, prescribed: NaN }) : newRow({ label: wrapped });
      }
      default: return newRow({ label: 0 });  // refused
    }
  }

  function divisorTerms(question, rows, classes) {
    const { mean_denominator: choice, weight, problem } = question;
    const kept = rows.filter((row) => row.kept);
    if (choice === "rows") return [rows.length];
    if (choice === "elements") return [rows.length * classes];
    return choice === "weights" && weight && problem.labels ? kept.map((row) => weight[row.label]) : [kept.length];
  }

  function resolveExtremes(question, rows) {
    for (const row of rows) {
      if (question.ignored_row === "nan_leaks" && !row.kept && !row.x.every(Number.isFinite)) row.prescribed = NaN;
      if (row.prescribed === 0) row.x = row.x.map(() => 0);
      if (question.overflowing_shift !== "exact") row.x = withOverflow(row.x, question.wide ? "float64" : "float32");
      if (row.kept && question.infinite_logits === "nan_where_met") meetInfinities(row);
    }
  }

  // -inf in place of finite logits that lie so far below the largest that the difference overflows.
  function withOverflow(x, dtype) {
    const m = largestOf(x);
    if (!Number.isFinite(m)) return x;
    return x.map((value) => Number.isFinite(value) && m / 2 - value / 2 >= HALF_OVERFLOW[dtype] ? -Infinity : value);
  }

  // NaN where inf - inf is formed: at a label of +inf, or in any class of target probabilities.
  function meetInfinities(row) {
    const infinities = row.x.filter((value) => value === Infinity).length;
    const met = row.q ? infinities > 0 : row.x[row.label] === Infinity;
    if (met) row.prescribed = NaN;
    else if (infinities > 1) row.undefined ||= NO_VALUE;  // they have no limit
  }

  function withoutValue(question, row, classes) {
    const { own, problem, weight } = question;
    const isInfinite = (value) => Math.abs(value) === Infinity;
    if (classes === 0 || weight?.some(isInfinite) || row.q?.some(isInfinite)) return NO_VALUE;
    if (own.temperature === 1 && own.z_loss === 0) return "";
    const largest = LARGEST[problem.dtype] / 4;
    const size = row.x.reduce((most, value) => Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most, 0);
    const overflows = own.temperature !== 1 && size > largest * Math.min(1, own.temperature);
    const squared = own.z_loss !== 0
      && (size > Math.sqrt(largest) * own.temperature || row.x.includes(Infinity) || weight);
    return overflows || squared ? NO_VALUE : "";
  }

  function rowLoss(question, row) {
    if (!row.kept) return Number.isNaN(row.prescribed) ? NaN : 0;
    if (row.prescribed !== null) return row.prescribed;
    const found = negativeLogs(question, row.x);
    if (found === null) return NaN;
    const { logs, infinite, logSumExp } = found;
    const terms = effectiveTargets(question, row).map(([k, a]) => {
      if (a !== 0) return a * logs[k];
      return infinite[k] && question.zero_times_infinity === "nan" ? NaN : 0;
    });
    const { own } = question;
    const z = question.inputs === "logits" && own.z_loss ? own.z_loss * logSumExp ** 2 : 0;
    return own.factor * (exactSum(terms) / LN[question.log_base] + z);
  }

  // Pairs of class and target: the label alone, or all classes.
  function effectiveTargets(question, row) {
    const { eps, weight } = question;
    if (!row.q && !eps) return [[row.label, weight ? weight[row.label] : 1]];
    const classes = row.x.length;
    const others = question.smoothing === "others";
    const share = others ? eps / Math.max(classes - 1, 1) : eps / classes;
    const shared = question.smoothing_weights === "target" && eps && !row.q;
    return row.x.map((_, k) => {
      const q = row.q ? row.q[k] : Number(k === row.label);
      const smoothed = eps ? (1 - eps) * q + (others && q !== 0 ? 0 : share) : q;
      return [k, weight ? weight[shared ? row.label : k] * smoothed : smoothed];
    });
  }

  // The l_k, and whether each is infinite by definition; null where there is no limit.
  function negativeLogs(question, x) {
    if (x.some(Number.isNaN)) return null;
    switch (question.inputs) {
      case "logits": return ofLogits(x, question);
      case "log_probabilities": return withInfinite(x.map((value) => -value));
      default: return ofProbabilities(x, question);
    }
  }

  function withInfinite(logs) {
    return { logs, infinite: logs.map((value) => Math.abs(value) === Infinity) };
  }

  function ofLogits(x, question) {
    const m = largestOf(x);
    const top = x.indexOf(m);
    if (m === -Infinity || (m === Infinity && (question.infinite_logits === "nan" || x.lastIndexOf(m) !== top))) return null;
    const shifted = x.map((value, k) => k === top ? 0 : (value - m) / question.own.temperature);
    const others = exactSum(shifted.filter((_, k) => k !== top).map(Math.exp));
    const logSum = Math.log1p(others);
    return {
      logs: shifted.map((d) => logSum - d),
      infinite: x.map((value, k) => k !== top && (value === -Infinity || m === Infinity)),
      logSumExp: m / question.own.temperature + logSum,
    };
  }

  function ofProbabilities(x, question) {
    const low = question.own.clip || (question.probability_clip === "none" ? 0 : Number(question.probability_clip));
    // Where the arithmetic has no number between 1 - epsilon and 1, the upper bound is 1.
    const high = question.wide || Math.fround(1 - low) < 1 ? 1 - low : 1;
    const clipped = (p) => low === 0 ? p : Math.min(Math.max(p, low), high);
    const logOf = (p) => {
      if (low !== 0 && p > high) return high < 1 ? -Math.log1p(-low) : 0;
      return clipped(p) > 0 ? -Math.log(clipped(p)) : Infinity;
    };
    const scale = question.probability_scale !== "none" && low === 0 ? "before_clip" : question.probability_scale;
    if (scale === "none") return withInfinite(x.map(logOf));
    if (scale === "after_clip") return withInfinite(logsOfShares(x.map(clipped)));
    const total = exactSum(x);
    if (!(total > 0)) return null;
    const ofShares = logsOfShares(x);
    return withInfinite(x.map((p, k) => {
      const share = p / total;
      return low !== 0 && (share < low || share > high) ? logOf(share) : ofShares[k];
    }));
  }

  // -log(p_k / sum p).
  function logsOfShares(p) {
    const total = exactSum(p);
    return p.map((value, k) => {
      if (!(value > 0)) return Infinity;
      if (value > total / 2) return Math.log1p(exactSum(p.filter((_, j) => j !== k)) / value);
      const ratio = total / value;
      return ratio < Infinity ? Math.log(ratio) : Math.log(total) - Math.log(value);
    });
  }

  function largestOf(x) {
    return x.reduce((most, value) => Math.max(most, value), -Infinity);  // NaN where there is one
  }

  // The sum in exact arithmetic, rounded once (Shewchuk's expansions); non-finite sums as they are.
  function exactSum(values) {
    const plain = values.reduce((total, value) => total + value, 0);
    if (!Number.isFinite(plain)) return plain;
    const parts = [];
    for (const value of values) {
      let x = value;
      let count = 0;
      for (const part of parts) {
        const [large, small] = Math.abs(x) < Math.abs(part) ? [part, x] : [x, part];
        x = large + small;
        const lost = small - (x - large);
        if (lost !== 0) parts[count++] = lost;
      }
      parts.length = count;
      parts.push(x);
    }
    return parts.reduce((total, part) => total + part, 0);
  }

  return crossEntropy;
})();
