// The posterior over routes: bars grouped by domain, thresholds as marks; for two decisions side by side with what changed.

import { el, percent } from "./dom.js";

/** Draws sides of {name, policySet, decision}: the routes of the last one in their order, then those only the first has. */
export function posterior(sides) {
  const routes = new Map([...sides].reverse().flatMap(({ policySet }) => policySet.routes.map((one) => [one.id, one])));
  for (const route of sides.at(-1).policySet.routes) routes.set(route.id, route);
  const groups = Map.groupBy(routes.values(), (one) => one.domain);
  const views = sides.map(view);
  const letters = sides.length > 1 ? [...sides.map((side) => el("th", { scope: "col" }, side.name)), el("th", { scope: "col" }, "B − A")] : [];
  return el("div", { class: "posterior" },
    el("table", {},
      el("caption", {}, "Probability of each route"),
      letters.length ? el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "route"), letters)) : "",
      [...groups].map(([domain, members]) => el("tbody", {}, domain && heading(domain, members, views), members.map((one) => row(label(one), one.id, views)))),
      el("tbody", {}, row("no match", "", views))),
    el("p", { class: "quiet" }, legend(views)));
}

function view({ policySet, decision }) {
  const shares = new Map(decision.candidates.map((one) => [one.routeId, one.probability]));
  const thresholds = new Map(policySet.routes.map((one) => [one.id, one.minConfidence ?? policySet.minConfidence]));
  const domains = new Map(policySet.routes.filter((one) => !one.action).map((one) => [one.domain, thresholds.get(one.id)]));
  return { shares, thresholds, domains, chosen: decision.routeId, leads: decision.candidates[0]?.routeId };
}

/** Names a route within its domain: by what its id adds to the domain, where the id was derived. */
function label({ id, domain, action }) {
  if (!domain || (id !== domain && id !== `${domain}_${action}`)) return id;
  return action || "the whole domain";
}

function heading(domain, members, views) {
  const sums = views.map(({ shares }) => members.reduce((sum, one) => sum + (shares.get(one.id) ?? 0), 0));
  const cells = sums.map((sum, index) => el("td", {}, bar(sum, views[index].domains.get(domain), "sum")));
  return el("tr", { class: "domain" }, el("th", { scope: "rowgroup" }, domain), cells, change(sums));
}

function row(name, id, views) {
  const shares = views.map((one) => one.shares.get(id));
  const cells = views.map((one, index) => el("td", {}, shares[index] == null ? el("span", { class: "quiet" }, "not here") : bar(shares[index], one.thresholds.get(id), id === one.leads && "leads")));
  const isChosen = views.at(-1).chosen === id && id;
  return el("tr", { class: isChosen ? "chosen" : false }, el("th", { scope: "row", title: id || "no route fits" }, name), cells, change(shares));
}

function bar(share, threshold, kind) {
  const mark = threshold > 0 && el("i", { class: "mark", vars: { at: `${100 * threshold}%` }, title: `threshold ${percent(threshold)}` });
  return el("span", { class: `bar ${kind || ""}` },
    el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "fill", vars: { to: `${100 * share}%` } }), mark),
    el("span", { class: "number" }, percent(share)));
}

function change(shares) {
  if (shares.length < 2) return "";
  if (shares.some((one) => one == null)) return el("td", {}, "");
  const points = 100 * (shares[1] - shares[0]), text = `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(1)}`;
  return el("td", { class: `number ${Math.abs(points) < 0.5 ? "quiet" : ""}` }, text);
}

function legend(views) {
  const known = new Set(views.flatMap((one) => [...one.thresholds.values()]).filter((one) => one > 0));
  const mark = el("i", { class: "mark shown", "aria-hidden": "true" });
  if (!known.size) return "The policy set has no threshold: the service's own applies.";
  return [mark, known.size === 1 ? `threshold ${percent([...known][0])}` : "threshold of the route", "; the thin bar beside a domain is the sum of its routes."];
}
