// What the page knows: kept for the time of a tab, so that loading it again loses nothing.

const NAME = "archrouter-workbench";
const saved = JSON.parse(sessionStorage.getItem(NAME) ?? "{}");

export const state = {
  text: saved.text ?? "", // the policy set as it stands, B where there is an A
  kept: saved.kept ?? null, // A: {text, policySet}
  messages: saved.messages ?? [{ role: "user", content: "" }],
  suite: saved.suite ?? "",
  tab: saved.tab ?? "conversation",
  checked: null, // what the service says of the text
};

const events = new EventTarget();
export const on = (name, act) => events.addEventListener(name, ({ detail }) => act(detail));

/** Tells the others: "text", "checked", "messages", "kept", "tab", "suite", "opened" (a file), "back" (the service), "trouble" (with it). */
export function changed(name, detail) {
  const { checked, ...kept } = state;
  sessionStorage.setItem(NAME, JSON.stringify(kept));
  events.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Shows a conversation that was found elsewhere, in a suite or a report. */
export function openConversation(messages) {
  state.messages = messages.map(({ role, content }) => ({ role, content }));
  changed("messages", "replaced");
  state.tab = "conversation";
  changed("tab");
}
