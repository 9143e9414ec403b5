// Elements, the service behind the page, and work that only the latest question deserves. Text is only ever text.

export const $ = (id) => document.getElementById(id);

/** Makes an element. `on…` listens, `vars` sets custom properties, the rest are attributes; null children are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, to] of Object.entries(value)) element.style.setProperty(`--${key}`, to);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  fill(element, ...children);
  return element;
}

/** Replaces what an element holds by children, lists of them in any depth, and text. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
}

export class Refused extends Error {
  constructor({ message, away = false, findings = [] }) {
    super(message);
    Object.assign(this, { away, findings });
  }
}

/** Asks the page's server; with a body by POST. Raises Refused, `away` when nobody answers. */
export async function ask(path, body, signal) {
  const sent = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { ...sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused({ message: "The page's own server has ended: start archrouter ui again.", away: true });
  }
  const isText = response.headers.get("Content-Type").startsWith("text/plain");
  const answer = isText ? await response.text() : await response.json();
  if (!response.ok) throw new Refused(answer.error);
  return answer;
}

/** Lets only the latest question count: waits until typing pauses, and gives up what is still being asked before. */
export function latest(work, pause = 250) {
  let timer, controller;
  return (wait = pause) => {
    clearTimeout(timer);
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    timer = setTimeout(() => work(signal).catch((error) => error.name === "AbortError" || Promise.reject(error)), wait);
  };
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

export function note(kind, ...children) {
  return el("p", { class: `note ${kind}` }, ...children);
}

export function table(head, rows, attributes = {}) {
  const cells = (tag, row) => row.map((cell) => el(tag, tag === "th" ? { scope: "col" } : {}, cell));
  const body = rows.map((row) => el("tr", {}, cells("td", row)));
  const made = el("table", attributes, el("thead", {}, el("tr", {}, cells("th", head))), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": attributes["aria-label"] ?? head[0] }, made);
}
