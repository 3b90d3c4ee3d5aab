// Logins, and the pace of requests under the rate limits of model servers.

import { el, keyed, say, show } from "./dom.js";
import { counted, interval } from "./format.js";
import { empty, facts, heading, putFact, putSince, since } from "./parts.js";
import { loginText } from "./processes.js";
import { now, rows, store } from "./store.js";

export function limitsView() {
  const logins = el("ul", { class: "cards logins" });
  const list = el("ul", { class: "cards paces" });
  const none = empty("No rate limit is known", "Once a model server refuses requests (429), all conversations of the account share one pace, which is shown here.");
  const root = el("div", { class: "view" }, heading("Limits"), list, none, el("h2", { class: "section", text: "Logins" }), logins);
  function update() {
    const found = rows("paces");
    const known = rows("instances").filter((row) => row.mode);
    show(none, found.length === 0 && store.isLoaded);
    show(list, found.length > 0);
    keyed(list, found, (row) => row.rowKey, pace, updatePace);
    show(logins.previousElementSibling, known.length > 0);
    keyed(logins, known, (row) => row.rowKey, login, updateLogin);
  }
  return { root, update, title: "Limits" };
}

function pace() {
  const parts = {
    name: el("h2"),
    rate: el("p", { class: "value" }),
    hold: el("p", { class: "cause" }),
    facts: facts(["Waiting", "Refused", "Instance"]),
    since: since(),
  };
  const made = el("li", { class: "card" }, parts.name, parts.rate, parts.hold, parts.facts, el("p", { class: "note" }, parts.since));
  made.parts = parts;
  return made;
}

function updatePace(made, row) {
  const { parts } = made;
  const wait = row.freeAt === null ? 0 : row.freeAt - now();
  say(parts.name, `Server and account ${row.key.slice(0, 8)}`);
  say(parts.rate, `a request every ${interval(row.interval)}`);
  say(parts.hold, wait >= 1 ? `No request for another ${interval(wait)}, as the server has asked` : "Requests are sent");
  putFact(parts.facts, "Waiting", counted(row.waiting, "request"));
  putFact(parts.facts, "Refused", counted(row.refusals, "time"));
  putFact(parts.facts, "Instance", String(row.instance));
  putSince(parts.since, row.refusedAt, "Last refused ", " ago");
}

function login() {
  const parts = { name: el("h3"), text: el("p") };
  const made = el("li", { class: "card" }, parts.name, parts.text);
  made.parts = parts;
  return made;
}

function updateLogin(made, row) {
  say(made.parts.name, `Instance ${row.pid}`);
  say(made.parts.text, loginText(row));
}
