// What the pages use of Vega-Lite. `make vendor` bundles it into vega.min.js.
export { parse, View } from "vega";
export { compile } from "vega-lite";
export { expressionInterpreter } from "vega-interpreter";
