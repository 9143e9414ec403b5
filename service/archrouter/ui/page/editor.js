// The policy set as text: line numbers, findings as one types, opening, downloading.

import { $, ask, count, el, latest } from "./dom.js";
import { changed, on, state } from "./store.js";

const text = $("policy"), gutter = $("gutter"), list = $("findings"), title = $("findings-title");
let previous = "", opened = "", numbered = "";

export function startEditor() {
  text.value = state.text;
  text.addEventListener("input", () => {
    state.text = text.value;
    changed("text");
  });
  text.addEventListener("scroll", () => (gutter.scrollTop = text.scrollTop));
  on("text", () => (number(state.checked?.findings), check()));
  on("back", () => check(0));
  $("open").addEventListener("change", () => openText(0));
  $("previous").addEventListener("click", () => replaceText(previous));
  $("download").addEventListener("click", download);
  number();
}

/** Fills the list of what can be opened; the first is opened where there is no text yet. */
export function offer(sets, files) {
  const options = (kind, names) => names.map((name) => el("option", { value: `${kind}/${encodeURIComponent(name)}` }, name));
  $("open").replaceChildren(
    el("option", { value: "" }, sets.length + files.length ? "choose …" : "nothing here"),
    files.length ? el("optgroup", { label: "Files" }, options("files", files)) : "",
    sets.length ? el("optgroup", { label: "Service" }, options("sets", sets)) : "",
  );
  const first = $("open").options[1];
  if (state.text || !first) return;
  first.selected = true;
  openText(0);
}

const openText = latest(async (signal) => {
  const which = $("open").value;
  if (!which) return;
  try {
    const content = await ask(`/api/text/${which}`, undefined, signal);
    replaceText(content);
    opened = content;
    text.setSelectionRange(0, 0);
    text.scrollTop = 0;
    changed("opened", decodeURIComponent(which.split("/")[1]));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    changed("trouble", error);
  }
});

/** Puts another text in place of the one there, which a button brings back where somebody has worked on it. */
export function replaceText(content) {
  previous = text.value;
  $("previous").hidden = !previous.trim() || previous === content || previous === opened;
  text.value = state.text = content;
  changed("text");
}

const check = latest(async (signal) => {
  if (!state.text.trim()) {
    state.checked = null;
    return show("Write a policy set, or open one", []);
  }
  try {
    state.checked = await ask("/api/check", { text: state.text }, signal);
    const errors = state.checked.findings.filter((one) => one.severity === "error").length;
    const warnings = state.checked.findings.length - errors;
    const parts = [errors && count(errors, "error"), warnings && count(warnings, "warning")].filter(Boolean);
    show(parts.join(", ") || "No findings", state.checked.findings);
    changed("checked");
  } catch (error) {
    if (error.name === "AbortError") throw error;
    state.checked = null;
    show("Not checked", []);
    changed("trouble", error);
  }
});

function show(summary, findings) {
  title.textContent = summary;
  title.className = findings.some((one) => one.severity === "error") ? "bad" : findings.length ? "warn" : "";
  list.replaceChildren(...findingItems(findings, goTo));
  number(findings);
}

export function findingItems(findings, act) {
  return findings.map((one) => {
    const place = one.line ? `${one.line}:${one.column}` : "–";
    const said = [el("b", { class: one.severity === "error" ? "bad" : "warn" }, one.severity), ` ${one.path || "the whole"}: ${one.message}`];
    const shown = [el("code", {}, place), el("span", {}, said)];
    return el("li", {}, act && one.line ? el("button", { type: "button", onclick: () => act(one) }, shown) : el("span", {}, shown));
  });
}

function goTo({ line, column }) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(start + column - 1, start + lines[line - 1].length);
  text.scrollTop = Math.max(0, line - 4) * (text.scrollHeight / Math.max(lines.length, 1));
}

function number(findings = []) {
  const marks = new Map();
  for (const { line, severity } of findings) if (marks.get(line) !== "error") marks.set(line, severity);
  const total = text.value.split("\n").length, wanted = JSON.stringify([total, ...marks]);
  if (wanted !== numbered) gutter.replaceChildren(...Array.from({ length: total }, (_, at) => el("span", { class: marks.get(at + 1) ?? false }, `${at + 1}\n`)));
  numbered = wanted;
  gutter.scrollTop = text.scrollTop;
}

function download() {
  const name = /^policy_set:\s*["']?([a-z0-9-]+)/m.exec(text.value)?.[1] ?? "policies";
  const link = el("a", { href: URL.createObjectURL(new Blob([text.value], { type: "text/yaml" })), download: `${name}.yaml` });
  link.click();
  URL.revokeObjectURL(link.href);
}
