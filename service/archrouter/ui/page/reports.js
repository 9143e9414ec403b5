// Results of doctor and impact, from the files that --reports names. Other reports are shown as they are, in a frame.

import { $, ask, count, el, fill, note, percent, table } from "./dom.js";
import { openConversation } from "./store.js";

const place = $("report-content");

export function startReports() {
  $("report").addEventListener("change", ({ target }) => open(target.value));
}

export function offerReports(names) {
  $("report").replaceChildren(el("option", { value: "" }, names.length ? "choose …" : "none here"), ...names.map((name) => el("option", {}, name)));
  if (!names.length) place.replaceChildren(note("", "Name a folder with --reports: JSON of ", el("code", {}, "archrouter doctor policies --json"), " and ", el("code", {}, "archrouter impact --json"), ", and their pages."));
}

async function open(name) {
  if (!name) return place.replaceChildren();
  const path = encodeURIComponent(name);
  if (name.endsWith(".html")) return place.replaceChildren(el("iframe", { src: `/reports/${path}`, title: name, sandbox: true }));
  try {
    const report = JSON.parse(await ask(`/api/text/reports/${path}`));
    const shown = report.policy_sets ? report.policy_sets.map(doctor) : report.changed_route ? impact(report) : [note("warn", `${name} is no report of doctor or impact.`)];
    fill(place, shown);
  } catch (error) {
    place.replaceChildren(note("bad", error instanceof SyntaxError ? `${name} is no JSON: ${error.message}` : error.message));
  }
}

const words = (name) => name.toLowerCase().replaceAll("_", " ");
const openButton = (content) => el("button", { type: "button", onclick: () => openConversation([{ role: "user", content }]) }, content);

function doctor(seen) {
  return [
    el("h3", {}, seen.policy_set),
    note(seen.findings.length ? "warn" : "good", `${count(seen.findings.length, "finding")} from ${count(seen.case_count, "conversation")}`),
    seen.findings.map((one) => el("article", { class: "side" },
      el("header", {}, el("strong", {}, words(one.kind)), one.routes.map((route) => el("code", {}, route)), el("span", { class: "number" }, `${one.evidence_count} of ${one.case_count}`)),
      el("ul", { class: "cases" }, one.conversations.map((shown) => el("li", {}, openButton(shown.text), el("span", {},
        shown.expected && [el("span", { class: "quiet" }, "expected"), " ", el("ins", {}, shown.expected), " "], el("span", { class: "quiet" }, "won by"), " ", el("del", {}, shown.winner))))))),
    seen.proposals.length ? table(["better wording", "routes", "right before", "right after"], seen.proposals.map((one) => [one.wording, one.routes.join(", "), `${one.right_before} of ${one.case_count}`, `${one.right_after} of ${one.case_count}`])) : null,
    seen.untested.length ? note("", `Too few conversations to judge ${seen.untested.join(", ")}.`) : null,
  ];
}

function impact(report) {
  const share = (one) => [one.share == null ? "–" : percent(one.share), one.interval && el("small", {}, ` ${percent(one.interval[0])} to ${percent(one.interval[1])}`)];
  const figure = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  const moves = (what, rows) => rows.length > 0 && table([what, "becomes", "turns", "share"], rows.map((one) => [one.before, one.after, one.count, el("span", {}, share(one))]));
  const { price } = report;
  return [
    el("h3", {}, report.subject),
    el("dl", { class: "figures" }, figure("turns", report.turn_count), figure("change route", share(report.changed_route)), figure("change model", share(report.changed_model)),
      price && figure("price", `${price.before.toPrecision(4)} → ${price.after.toPrecision(4)} ${price.currency}`)),
    Object.entries(report.unknown).map(([why, number]) => note("warn", `Cannot be said for ${count(number, "turn")}: ${why}`)),
    moves("route", report.routes), moves("first model", report.models),
    report.telling.length ? [el("h3", {}, "Most telling changes"), el("ul", { class: "cases" }, report.telling.map((one) => el("li", {}, one.text ? openButton(one.text) : el("code", {}, one.id),
      el("span", {}, el("del", {}, `${one.before.route}, ${one.before.model}`), " → ", el("ins", {}, `${one.after.route}, ${one.after.model}`), ` ${percent(one.before.confidence)} → ${percent(one.after.confidence)}`))))] : null,
  ];
}
