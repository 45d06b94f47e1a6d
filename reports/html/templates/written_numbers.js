"use strict";
// Numbers as people write and paste them: lines, lists, printed tensors and arrays, decimal and hexadecimal.
//
//     readRows(text)     { rows: [[{ text, value }, ...], ...] }  or  { message }
//     written(value)     seven digits, or as many as `digits`
const { readRows, written } = (() => {
  const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)p([+-]?\d+)$/i;
  const SPECIAL = /^([+-]?)(?:[a-z]+\.)?(nan|inf|infinity|∞)$/i;
  // What stands before and after the brackets of a printed tensor: tensor( ... , dtype=torch.float64).
  const BEFORE = /^\s*(?:[a-z_][\w.]*\s*\()?\s*$/i;
  const AFTER = /^\s*(?:,\s*[a-z_]\w*\s*=[^[\]]*)?\)?[\s;,]*$/i;

  function numberOf(text) {
    const plain = text.replace(/[−–]/g, "-");
    if (DECIMAL.test(plain)) return Number(plain);
    const special = SPECIAL.exec(plain);
    if (special) return special[2].toLowerCase() === "nan" ? NaN : special[1] === "-" ? -Infinity : Infinity;
    const parts = HEXADECIMAL.exec(plain);
    if (!parts || parts[2] + parts[3] === "") return null;
    const [, sign, whole, fraction, exponent] = parts;
    const size = Number(`0x${whole}${fraction}`) * 2 ** (Number(exponent) - 4 * fraction.length);
    return sign === "-" ? -size : size;
  }

  function readRows(text) {
    const lines = text.includes("[") || text.includes("]") ? bracketed(text) : { lines: text.split("\n") };
    if (lines.message) return lines;
    const rows = [];
    for (const line of lines.lines) {
      const tokens = line.split(/[\s,;]+/).filter(Boolean);
      if (tokens.length === 0) continue;
      const row = tokens.map((token) => ({ text: token, value: numberOf(token) }));
      const strange = row.find(({ value }) => value === null);
      if (strange) return { message: notANumber(strange.text, rows.length + 1) };
      rows.push(row);
    }
    return { rows };
  }

  // The innermost brackets are the rows; a row may run over several lines.
  function bracketed(text) {
    const from = text.indexOf("[");
    const to = text.lastIndexOf("]");
    const count = (character) => text.split(character).length - 1;
    if (count("[") !== count("]") || from > to) {
      return { message: `${count("[")} of "[" and ${count("]")} of "]": close each bracket, or leave all of them out` };
    }
    const around = [text.slice(0, from), text.slice(to + 1)];
    const [before, after] = [BEFORE.test(around[0]), AFTER.test(around[1])];
    if (!before || !after) return { message: `"${around[before ? 1 : 0].trim()}" is outside the brackets: remove it` };
    const inside = text.slice(from, to + 1);
    const lines = [...inside.matchAll(/\[([^[\]]*)\]/g)].map((match) => match[1]);
    const between = inside.replace(/\[[^[\]]*\]/g, "").replace(/[[\],;\s]/g, "");
    if (between) return { message: `"${between}" is between two rows: put it inside the brackets of a row` };
    return { lines };
  }

  function notANumber(text, row) {
    if (/^(\.\.\.|…)$/.test(text)) return `row ${row}: "..." stands for numbers that are left out: paste all of them`;
    return `row ${row}: "${text}" is not a number: write a decimal or hexadecimal number, nan or inf`;
  }

  function written(value, digits = 7) {
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    return String(Number(value.toPrecision(digits)));
  }

  return { readRows, written };
})();
