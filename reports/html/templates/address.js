"use strict";
// The fragment of the address is the name of a place (#finding-7), or it holds the state of the page as parameters
// (#severity=bug&left=torch:cross_entropy). Several tools share it, and each reads and changes its own parameters only.
const address = {
  // The name of a place, or "".
  place() {
    const fragment = location.hash.slice(1);
    try {
      return fragment.includes("=") ? "" : decodeURIComponent(fragment);
    } catch {  // no address that a page writes
      return "";
    }
  },

  parameters() {
    const fragment = location.hash.slice(1);
    return new URLSearchParams(fragment.includes("=") ? fragment : "");
  },

  // Whether the state begins with any of these parameters: then their tool is what the link is about.
  beginsWith(names) {
    const [first] = this.parameters().keys();
    return names.includes(first);
  },

  // An empty value removes a parameter.
  // `back`: the browser's back button restores the state before.
  change(values, { back = false } = {}) {
    const state = this.parameters();
    const before = String(state);
    for (const [name, value] of Object.entries(values)) {
      if (value === "") state.delete(name);
      else state.set(name, value);
    }
    if (String(state) !== before) history[back ? "pushState" : "replaceState"](null, "", `#${state}`);
  },
};
