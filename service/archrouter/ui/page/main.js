// The frame: tabs, keys, colour scheme, and how the service is.

import { startCompare, toggleKept } from "./compare.js";
import { focusLatestTurn, startConversation } from "./conversation.js";
import { route, startDecision } from "./decision.js";
import { $, ask } from "./dom.js";
import { offer, startEditor } from "./editor.js";
import { offerReports, startReports } from "./reports.js";
import { changed, on, state } from "./store.js";
import { offerSuites, run, startSuite } from "./suite.js";

const TABS = ["conversation", "suite", "reports"];
const SCHEMES = ["auto", "light", "dark"];
const ASK_AGAIN_MS = 2000, LOOK_AGAIN_MS = 15000;
const NO_INLINE = "This service takes no policy sets with requests: texts are checked but not routed. Start it with --policies-inline-enabled.";

startEditor();
startConversation();
startDecision();
startCompare();
startSuite();
startReports();

// Tabs

function choose(tab, focuses) {
  state.tab = tab;
  changed("tab");
  if (focuses) $(`tab-${tab}`).focus();
}

on("tab", () => {
  for (const name of TABS) {
    const isOpen = name === state.tab;
    $(name).hidden = !isOpen;
    $(`tab-${name}`).setAttribute("aria-selected", String(isOpen));
    $(`tab-${name}`).tabIndex = isOpen ? 0 : -1;
  }
});
for (const [index, name] of TABS.entries()) {
  $(`tab-${name}`).addEventListener("click", () => choose(name));
  $(`tab-${name}`).addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) choose(TABS[(index + step + TABS.length) % TABS.length], true);
  });
}
changed("tab");

// Colour scheme

function dress(scheme) {
  document.documentElement.dataset.scheme = scheme;
  $("scheme").textContent = `Scheme: ${scheme}`;
  localStorage.setItem("archrouter-scheme", scheme);
}
const nextScheme = () => dress(SCHEMES[(SCHEMES.indexOf(document.documentElement.dataset.scheme) + 1) % SCHEMES.length]);
dress(localStorage.getItem("archrouter-scheme") ?? "auto");
$("scheme").addEventListener("click", nextScheme);

// Keys

const help = () => $("keys").showModal();
const KEYS = { "?": help, e: () => $("policy").focus(), m: () => (choose("conversation"), focusLatestTurn()), k: toggleKept, s: nextScheme };
for (const [index, name] of TABS.entries()) KEYS[index + 1] = () => choose(name, true);
$("help").addEventListener("click", help);
$("single-keys").checked = localStorage.getItem("archrouter-keys") !== "off";
$("single-keys").addEventListener("change", ({ target }) => localStorage.setItem("archrouter-keys", target.checked ? "on" : "off"));
document.addEventListener("keydown", (event) => {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  if (key === "Enter" && (ctrlKey || metaKey)) return state.tab === "suite" ? run(0) : route(0);
  if (key === "Escape" && target.matches("textarea")) return target.blur();
  // A field of a dialog that has just been closed keeps the focus until the next frame.
  const writes = (target.matches("textarea, input, select") && target.checkVisibility()) || $("keys").open;
  if (writes || ctrlKey || metaKey || altKey || !$("single-keys").checked || !KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
});

// The service

let isAway = false, timer;

async function look() {
  clearTimeout(timer);
  try {
    const { target, info, sets } = await ask("/api/service");
    const tier = info.tier.replace("TIER_", "").toLowerCase();
    say("good", `${target} · ${tier} · model ${info.modelVersion.replace("sha256:", "").slice(0, 8)} · ${info.version}`);
    banner(info.inlinePoliciesEnabled ? "" : NO_INLINE);
    if (isAway !== false || !$("open").options.length) await offerAll(sets);
    if (isAway) changed("back");
    isAway = false;
  } catch (error) {
    trouble(error);
  }
  timer = setTimeout(look, isAway ? ASK_AGAIN_MS : LOOK_AGAIN_MS);
}

async function offerAll(sets) {
  const { files, suites, reports } = await ask("/api/names");
  offerSuites(suites);
  offerReports(reports);
  offer(sets, files);
}

function trouble(error) {
  if (!error.away) return banner(error.message);
  if (!isAway) timer = setTimeout(look, ASK_AGAIN_MS, clearTimeout(timer));
  isAway = true;
  say("bad", "the service is away");
  banner(`The service does not answer, and is asked again every ${ASK_AGAIN_MS / 1000} seconds. ${error.message}`);
}

function say(kind, text) {
  $("service").className = kind;
  $("service").lastElementChild.textContent = text;
}

function banner(text) {
  $("banner").hidden = !text;
  $("banner").textContent = text;
}

on("trouble", (error) => error.away && trouble(error));
if (state.text) changed("text");
look();
