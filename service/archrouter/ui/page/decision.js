// What the service decides for the conversation: by the text as it stands, and beside it by A where one is kept.

import { $, ask, el, fill, latest, note, percent } from "./dom.js";
import { differences } from "./compare.js";
import { posterior } from "./posterior.js";
import { changed, on, state } from "./store.js";

const place = $("decision");
const OUTCOMES = { MATCHED: "good", DOMAIN_FALLBACK: "accent", LOW_CONFIDENCE: "warn", NO_MATCH: "plain" };

export function startDecision() {
  for (const name of ["checked", "messages", "kept"]) on(name, () => route());
  on("text", () => place.classList.add("stale"));
  on("back", () => route());
  route(0);
}

export const route = latest(async (signal) => {
  if (!state.messages.some((one) => one.role === "user" && one.content.trim()))
    return show(note("", "Type what a user would say: the decision appears here as you type."));
  if (!state.checked) return;
  if (!state.checked.valid) return show(note("warn", "Decisions wait until the errors of the policy set are corrected."));
  place.classList.add("stale");
  place.setAttribute("aria-busy", "true");
  try {
    const sides = [...(state.kept ? [{ name: "A", ...state.kept }] : []), { name: "B", text: state.text, policySet: state.checked.policySet }];
    const bodies = sides.map(({ text }) => ask("/api/route", { text, messages: state.messages }, signal));
    const decisions = await Promise.all(bodies);
    sides.forEach((side, index) => (side.decision = decisions[index]));
    show(
      el("div", { class: "sides" }, sides.map((side) => summary(side, sides.length > 1))),
      sides.length > 1 && differences(...sides),
      posterior(sides),
    );
  } catch (error) {
    if (error.name === "AbortError") throw error;
    show(note("bad", error.message));
    changed("trouble", error);
  }
});

function show(...children) {
  place.classList.remove("stale");
  place.removeAttribute("aria-busy");
  fill(place, ...children);
}

const plain = (name, prefix) => name.replace(prefix, "");
const short = (digest) => digest.replace("sha256:", "").slice(0, 8);
const milliseconds = (duration) => `${(1000 * parseFloat(duration ?? "0")).toFixed(1)}`;
const breakable = (name) => name.split("_").flatMap((part, index) => (index ? ["_", el("wbr"), part] : [part]));

function summary({ name, decision }, isOneOfTwo) {
  const outcome = plain(decision.outcome, "OUTCOME_"), { timing } = decision;
  const rows = [
    ["models", decision.models.map((one, index) => el("code", { class: index ? "quiet" : "" }, one.model))],
    ["reasons", decision.reasons.map((one) => el("code", {}, breakable(plain(one, "DECISION_REASON_"))))],
    ["time", `${milliseconds(timing.totalDuration)} ms (reading ${milliseconds(timing.tokenizeDuration)}, waiting ${milliseconds(timing.queueDuration)}, model ${milliseconds(timing.inferenceDuration)})`],
    ["decided by", el("span", { title: `model ${decision.modelVersion}, revision ${decision.policySetRevision}` },
      plain(decision.tier, "TIER_").toLowerCase(), " ", el("code", {}, short(decision.modelVersion)), " · revision ", el("code", {}, short(decision.policySetRevision)))],
  ];
  return el("article", { class: "side", "aria-label": isOneOfTwo ? `Decision by ${name}` : "Decision" },
    el("header", {},
      isOneOfTwo && el("b", { class: "letter" }, name),
      el("strong", {}, decision.routeId || "no route"),
      el("span", { class: `chip ${OUTCOMES[outcome] ?? "plain"}` }, outcome),
      el("span", { class: "number" }, percent(decision.confidence))),
    el("dl", {}, rows.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)))),
    decision.warnings.map((one) => note("warn", one.message)));
}
