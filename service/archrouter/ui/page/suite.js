// A policy suite against the text as it stands: what passes, which route is taken for which, and the cases that fail.

import { $, ask, count, el, fill, latest, note, percent, table } from "./dom.js";
import { findingItems } from "./editor.js";
import { changed, on, openConversation, state } from "./store.js";

const place = $("suite-result"), text = $("suite-text");

export function startSuite() {
  text.value = state.suite;
  text.addEventListener("input", () => ((state.suite = text.value), changed("suite")));
  $("run").addEventListener("click", () => run(0));
  $("suites").addEventListener("change", async ({ target }) => {
    if (await load(target.value)) run(0);
  });
  $("suite-file").addEventListener("change", async ({ target }) => {
    if (target.files[0]) take(await target.files[0].text());
    run(0);
  });
  on("opened", (file) => load(file.replace(/(\.ya?ml)$/, "_test$1"))); // the suite beside a policy file
  on("text", () => place.classList.toggle("stale", place.querySelector(".headline") !== null));
}

export function offerSuites(names) {
  const options = names.map((name) => el("option", {}, name));
  $("suites").replaceChildren(el("option", { value: "" }, names.length ? "choose …" : "none here"), ...options);
}

async function load(name) {
  $("suites").value = name;
  if (!$("suites").value) return false;
  try {
    take(await ask(`/api/text/suites/${encodeURIComponent(name)}`));
    return true;
  } catch (error) {
    show(note("bad", error.message));
    return false;
  }
}

function take(content) {
  text.value = state.suite = content;
  changed("suite");
  show(note("", "Not run yet."));
}

export const run = latest(async (signal) => {
  if (!state.suite.trim()) return show(note("", "Choose a suite, or write one: conversations with the route their author expects."));
  if (!state.checked?.valid) return show(note("warn", "The suite waits until the errors of the policy set are corrected."));
  show(note("", "Routing the cases …"));
  place.setAttribute("aria-busy", "true");
  try {
    const { cases } = await ask("/api/suite", { text: state.text, suite: state.suite }, signal);
    const failed = cases.filter((one) => !one.passed), passed = cases.length - failed.length, lost = cases.filter((one) => one.gotRoute === null).length;
    show(
      el("p", { class: "headline" }, el("strong", { class: failed.length ? "bad" : "good" }, `${passed} of ${cases.length}`), ` cases pass, ${percent(passed / cases.length)}`, lost > 0 && `, ${lost} without an answer`),
      confusion(cases),
      failed.length > 0 && [el("h3", {}, "Cases that fail"), el("ul", { class: "cases", "aria-label": "Cases that fail" }, failed.map(failing))],
      el("details", {}, el("summary", {}, `${count(passed, "case")} that ${passed === 1 ? "passes" : "pass"}`), el("ul", { class: "cases" }, cases.filter((one) => one.passed).map(failing))),
    );
  } catch (error) {
    if (error.name === "AbortError") throw error;
    show(note("bad", error.message), el("ol", { class: "finding-list" }, findingItems(error.findings)));
    changed("trouble", error);
  }
});

function show(...children) {
  place.classList.remove("stale");
  place.removeAttribute("aria-busy");
  fill(place, ...children);
}

function failing(one) {
  const open = el("button", { type: "button", onclick: () => openConversation(one.messages) }, one.name);
  const sides = one.passed ? [el("ins", {}, one.actual)] : [el("span", { class: "quiet" }, "expected"), " ", el("ins", {}, one.expected), " ", el("span", { class: "quiet" }, "got"), " ", el("del", {}, one.actual)];
  return el("li", {}, open, el("q", {}, one.messages.at(-1).content), el("span", {}, sides));
}

function confusion(cases) {
  const answered = cases.filter((one) => one.gotRoute !== null);
  const expected = [...new Set(answered.map((one) => one.route))].sort();
  const got = [...new Set([...expected, ...answered.map((one) => one.gotRoute)])].sort();
  const cell = (row, column) => {
    const number = answered.filter((one) => one.route === row && one.gotRoute === column).length;
    return el("span", { class: number ? (row === column ? "hit" : "miss") : "zero" }, number || "·");
  };
  const rows = expected.map((row) => [el("b", {}, row), ...got.map((column) => cell(row, column))]);
  return [el("h3", {}, "Expected, and what it was taken for"),
    table(["expected ↓ got →", ...got.map((one) => el("span", { class: "upright" }, one))], rows, { class: "confusion", "aria-label": "Confusion of routes" })];
}
