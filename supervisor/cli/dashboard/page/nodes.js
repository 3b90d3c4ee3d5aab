// Other machines that run workers.

import { el, keyed, say, show } from "./dom.js";
import { size } from "./format.js";
import { mayOrder, orderButton } from "./orders.js";
import { chip, empty, facts, heading, putFact, putSince, putState, since } from "./parts.js";
import { rows, store } from "./store.js";

export function nodesView() {
  const list = el("ul", { class: "cards nodes" });
  const none = empty("No node has joined", "A node is another machine that runs workers for a host; `greenroom node` joins it.");
  const root = el("div", { class: "view" }, heading("Nodes"), list, none);
  function update() {
    const found = rows("nodes");
    show(none, found.length === 0 && store.isLoaded);
    show(list, found.length > 0);
    keyed(list, found, (row) => row.rowKey, card, updateCard);
  }
  return { root, update, title: "Nodes" };
}

function card(row) {
  const target = () => ({ instance: row.instance, id: row.name, label: `Node ${row.name}` });
  const parts = {
    name: el("h2"),
    chip: chip(),
    since: since(),
    drain: orderButton("drain", target),
    meter: el("progress", { class: "room", max: "1" }),
    facts: facts(["Workers", "Load a core", "Memory of its processes", "Free memory", "Round trip", "Version", "Instance"]),
  };
  const made = el(
    "li",
    { class: "card" },
    el("div", { class: "head" }, parts.name, parts.drain),
    el("p", { class: "standing" }, parts.chip, parts.since),
    parts.meter,
    parts.facts,
  );
  made.parts = parts;
  return made;
}

function updateCard(made, row) {
  const { parts } = made;
  say(parts.name, row.name);
  putState(parts.chip, row.state);
  putSince(parts.since, row.state === "ready" ? null : row.heardAt, "last heard of ", " ago");
  show(parts.drain, mayOrder() && row.state === "ready");
  parts.meter.value = row.capacity ? Math.min(1, row.workers / row.capacity) : 0;
  parts.meter.setAttribute("aria-label", `${row.workers} of ${row.capacity} workers`);
  putFact(parts.facts, "Workers", `${row.workers} of ${row.capacity}`);
  putFact(parts.facts, "Load a core", row.load === null ? null : row.load.toFixed(2));
  putFact(parts.facts, "Memory of its processes", row.memory === null ? null : size(row.memory));
  putFact(parts.facts, "Free memory", row.free === null ? null : size(row.free));
  putFact(parts.facts, "Round trip", row.roundTrip === null ? null : `${(row.roundTrip * 1000).toFixed(1)} ms`);
  putFact(parts.facts, "Version", row.version);
  putFact(parts.facts, "Instance", String(row.instance));
}
