// A and B next to each other: keeping a text as A, and saying in words what differs.

import { $, el, percent } from "./dom.js";
import { replaceText } from "./editor.js";
import { changed, on, state } from "./store.js";

export function startCompare() {
  $("keep").addEventListener("click", toggleKept);
  on("checked", show);
  on("kept", show);
  show();
}

/** Freezes the text as A, or lets go of A. */
export function toggleKept() {
  if (state.kept) state.kept = null;
  else if (state.checked?.valid) state.kept = { text: state.text, policySet: state.checked.policySet };
  else return;
  changed("kept");
}

function show() {
  $("keep").textContent = state.kept ? "Let go of A" : "Keep as A";
  $("keep").setAttribute("aria-pressed", String(Boolean(state.kept)));
  $("keep").disabled = !state.kept && !state.checked?.valid;
}

const FIELDS = { description: "description", minConfidence: "threshold", models: "models", examples: "examples", notExamples: "counter-examples", domain: "domain", action: "action" };
const written = (value) => (Array.isArray(value) ? value.map((one) => one.model ?? one).join(", ") : String(value ?? "none")) || "none";

/** Lists what the two texts and their decisions differ in. */
export function differences(a, b) {
  const before = a.decision, after = b.decision;
  const facts = [
    ["route", before.routeId || "no route", after.routeId || "no route"],
    ["outcome", before.outcome.replace("OUTCOME_", ""), after.outcome.replace("OUTCOME_", "")],
    ["first model", before.models[0].model, after.models[0].model],
    ["confidence", percent(before.confidence), percent(after.confidence)],
  ].filter(([, one, other]) => one !== other);
  const edits = textDifferences(a.policySet, b.policySet);
  const line = ([what, one, other]) => el("li", {}, el("span", { class: "quiet" }, what), " ", el("del", {}, one), " → ", el("ins", {}, other));
  return el("section", { class: "differences", "aria-label": "Differences" },
    el("h3", {}, "From A to B"),
    el("ul", {}, facts.length ? facts.map(line) : el("li", {}, "Both decide the same.")),
    el("h3", {}, "In the text"),
    el("ul", {}, edits.length ? edits.map(line) : el("li", {}, "Both texts mean the same.")),
    el("button", { type: "button", onclick: () => replaceText(a.text) }, "Take A's text back"));
}

function textDifferences(a, b) {
  const routes = [a, b].map((set) => new Map(set.routes.map((one) => [one.id, one])));
  const found = [];
  if (a.minConfidence !== b.minConfidence) found.push(["threshold of the set", written(a.minConfidence), written(b.minConfidence)]);
  for (const id of new Set([...routes[0].keys(), ...routes[1].keys()])) {
    const [one, other] = routes.map((known) => known.get(id));
    if (!one || !other) found.push([id, one ? "is there" : "is not there", other ? "is there" : "is not there"]);
    else for (const [field, name] of Object.entries(FIELDS)) if (written(one[field]) !== written(other[field])) found.push([`${id}, ${name}`, ...changedWords(written(one[field]), written(other[field]))]);
  }
  return found;
}

/** Leaves out the words that two texts begin and end with alike, but for one on either side. */
function changedWords(...texts) {
  const [a, b] = texts.map((text) => text.split(" "));
  const shorter = Math.min(a.length, b.length);
  let start = 0, end = 0;
  while (start < shorter && a[start] === b[start]) start += 1;
  while (end < shorter - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const from = Math.max(0, start - 1), rest = Math.max(0, end - 1);
  return [a, b].map((words) => `${from ? "… " : ""}${words.slice(from, words.length - rest).join(" ")}${rest ? " …" : ""}`);
}
