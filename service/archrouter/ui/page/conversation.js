// The conversation: turns with roles, oldest first.

import { $, el } from "./dom.js";
import { changed, on, state } from "./store.js";

const ROLES = ["user", "assistant", "system", "tool"];

export function startConversation() {
  $("add").addEventListener("click", () => {
    const before = state.messages.at(-1)?.role;
    state.messages.push({ role: before === "user" ? "assistant" : "user", content: "" });
    replaced();
    focusLatestTurn();
  });
  $("clear").addEventListener("click", () => {
    state.messages = [{ role: "user", content: "" }];
    replaced();
    focusLatestTurn();
  });
  on("messages", (how) => how === "replaced" && show());
  show();
}

export function focusLatestTurn() {
  $("turns").querySelector("li:last-child textarea")?.focus();
}

const replaced = () => changed("messages", "replaced");

function show() {
  $("turns").replaceChildren(...state.messages.map(turn));
}

function turn(message, index) {
  const named = `turn ${index + 1}`;
  const role = el("select", { "aria-label": `Role of ${named}` }, ROLES.map((one) => el("option", { selected: one === message.role }, one)));
  role.addEventListener("change", () => ((message.role = role.value), changed("messages")));
  const text = el("textarea", { rows: 1, "aria-label": `Text of ${named}`, placeholder: index ? "" : "What would a user say?" });
  text.value = message.content;
  text.addEventListener("input", () => ((message.content = text.value), changed("messages")));
  const remove = el("button", { type: "button", "aria-label": `Remove ${named}`, title: `Remove ${named}` }, "×");
  remove.addEventListener("click", () => {
    state.messages.splice(index, 1);
    replaced();
    (document.querySelector(`#turns li:nth-child(${Math.min(index + 1, state.messages.length)}) textarea`) ?? $("add")).focus();
  });
  return el("li", {}, role, text, remove);
}
