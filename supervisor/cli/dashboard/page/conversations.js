// All conversations: what each is doing, and what it takes.

import { curve, draw } from "./curve.js";
import { el, keyed, say, show } from "./dom.js";
import { age, amount, counted, percent, sentence, shortId, size } from "./format.js";
import { chip, empty, heading, pathOf, putSince, putState, since, titleOf } from "./parts.js";
import { now, rows, store, total } from "./store.js";

const FEW = 6; // conversations below which there is nothing to search
const CPU_FLOOR = 20; // percent of a processor that reach the top of a curve at least
const GROUPS = [["asks"], ["running", "starting"], ["crashed", "failed"], ["new", "idle", "parking"], ["parked", "closed"]];
const ACTIVE = new Set(["running", "starting"]);
const IN_TROUBLE = new Set(["crashed", "failed"]);

export function conversationsView() {
  const filter = { text: "", which: "all" };
  const parts = { stats: stats(), tools: null, list: el("tbody"), left: el("p", { class: "more" }) };
  const none = empty("No instance is running", "Clients start one by themselves, and `greenroom serve` starts a host. This page shows it as soon as it runs.");
  const quiet = empty("No conversation yet", "A conversation begins with the first call of a client.");
  const unmatched = empty("No conversation fits", "Change the words or the choice above.");
  parts.tools = tools(filter, () => update());
  const table = el(
    "table",
    { class: "conversations" },
    el("caption", { class: "unseen", text: "Conversations" }),
    el("thead", {}, el("tr", {}, ...["Conversation", "State", "CPU", "Memory", "Tokens"].map((text) => el("th", { scope: "col", text })))),
    parts.list,
  );
  const root = el("div", { class: "view" }, heading("Conversations"), parts.stats, parts.tools, table, parts.left, none, quiet, unmatched);

  function update() {
    const all = rows("conversations");
    const found = all.filter((row) => fits(row, filter)).sort(inOrder);
    updateStats(parts.stats, all);
    show(none, store.tables.instances.size === 0);
    show(quiet, store.tables.instances.size > 0 && all.length === 0);
    show(unmatched, all.length > 0 && found.length === 0);
    show(parts.stats, store.tables.instances.size > 0);
    show(parts.tools, all.length >= FEW);
    show(table, found.length > 0);
    keyed(parts.list, found, (row) => row.rowKey, line, updateLine);
    const left = rows("instances").reduce((sum, one) => sum + (one.leftOut ?? 0), 0);
    show(parts.left, left > 0);
    say(parts.left, `${counted(left, "conversation")} more at rest ${left === 1 ? "is" : "are"} not listed; greenroom sessions lists all.`);
  }

  return { root, update, title: "Conversations", focusFilter: () => parts.tools.parts.text.focus() };
}

// The figures on top

function stats() {
  const made = el("div", { class: "stats" });
  made.parts = {};
  for (const [name, text] of [["running", "Running"], ["cpu", "CPU"], ["memory", "Memory"], ["tokens", "Tokens"], ["deaths", "Deaths"]]) {
    const value = el("p", { class: "value" });
    const more = el("p", { class: "note" });
    const drawn = name === "cpu" || name === "memory" ? curve() : null;
    made.parts[name] = { value, more, drawn };
    made.append(el("section", { class: `stat ${name}`, "aria-label": text }, el("h2", { text }), value, more, drawn));
  }
  return made;
}

function updateStats(made, all) {
  const { running, cpu, memory, tokens, deaths } = made.parts;
  const known = total();
  const curves = store.curves.totals.get("all");
  const waiting = all.filter((row) => row.asks > 0).length;
  const queued = all.reduce((sum, row) => sum + row.queued, 0);
  const counts = rows("instances").reduce((sum, one) => sum + (one.known ?? 0), 0);
  say(running.value, String(all.filter((row) => ACTIVE.has(row.state)).length));
  const notes = [`of ${counted(Math.max(counts, all.length), "conversation")}`];
  if (waiting) notes.push(`${waiting} ${waiting === 1 ? "waits" : "wait"} for the user`);
  if (queued) notes.push(`${counted(queued, "turn")} queued`);
  say(running.more, notes.join(", "));
  say(cpu.value, known.cpu === null ? "–" : percent(known.cpu));
  say(cpu.more, "of one processor");
  draw(cpu.drawn, curves?.cpu, CPU_FLOOR);
  say(memory.value, size(known.memory));
  say(memory.more, `in ${counted(known.processes, "process", "processes")}`);
  draw(memory.drawn, curves?.memory, 1);
  say(tokens.value, amount(all.reduce((sum, row) => sum + (row.tokens ?? 0), 0)));
  say(tokens.more, costs(all));
  const dead = rows("deaths");
  const last = Math.max(...dead.map((row) => row.at));
  say(deaths.value, String(dead.length));
  say(deaths.more, dead.length ? `the last ${age(now() - last)} ago` : "of late");
}

function costs(all) {
  const sums = new Map();
  for (const row of all) {
    for (const text of row.cost) {
      const [value, currency] = text.split(" ");
      sums.set(currency, (sums.get(currency) ?? 0) + Number(value));
    }
  }
  const more = all.some((row) => row.unpriced) ? " or more" : "";
  const texts = [...sums].map(([currency, sum]) => `${sum.toFixed(2)} ${currency}${more}`);
  return texts.join(", ") || "of those listed";
}

// Searching

function tools(filter, onChange) {
  const text = el("input", {
    type: "search",
    id: "filter",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Title, directory, model or id",
    on: { input: () => ((filter.text = text.value.trim().toLowerCase()), onChange()) },
  });
  const choices = [["all", "All"], ["active", "Active"], ["trouble", "In trouble"]].map(([value, label]) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "radio", name: "which", value, checked: value === "all", on: { change: () => ((filter.which = value), onChange()) } }),
      el("span", { text: label }),
    ),
  );
  const made = el(
    "form",
    { class: "finder", role: "search", on: { submit: (event) => event.preventDefault() } },
    el("label", { class: "unseen", for: "filter", text: "Find conversations" }),
    text,
    el("fieldset", {}, el("legend", { class: "unseen", text: "Which" }), ...choices),
  );
  made.parts = { text };
  return made;
}

function fits(row, filter) {
  if (filter.which === "active" && !ACTIVE.has(row.state) && !row.asks) return false;
  if (filter.which === "trouble" && !IN_TROUBLE.has(row.state) && !row.broken && !row.deaths) return false;
  const told = [row.title, row.directory, row.model, row.id, row.doing, row.node];
  return !filter.text || told.some((text) => text && text.toLowerCase().includes(filter.text));
}

function rank(row) {
  if (row.broken) return 0;
  const name = row.asks ? "asks" : row.state;
  const found = GROUPS.findIndex((group) => group.includes(name));
  return found < 0 ? GROUPS.length : found;
}

function inOrder(one, other) {
  const latest = (row) => row.turnSince ?? row.idleSince ?? 0;
  return rank(one) - rank(other) || latest(other) - latest(one) || (one.id < other.id ? -1 : 1);
}

// A line of the table

function line() {
  const parts = {
    link: el("a"),
    where: el("span", { class: "where" }),
    chip: chip(),
    since: since(),
    doing: el("span", { class: "doing" }),
    cpu: el("span", { class: "figure" }),
    cpuCurve: curve(),
    memory: el("span", { class: "figure" }),
    memoryCurve: curve(),
    tokens: el("span", { class: "figure" }),
  };
  const made = el(
    "tr",
    {},
    el("th", { scope: "row" }, parts.link, parts.where),
    el("td", { class: "state" }, el("span", { class: "now" }, parts.chip, parts.since), parts.doing),
    el("td", { class: "measure", data: { label: "CPU" } }, parts.cpuCurve, parts.cpu),
    el("td", { class: "measure", data: { label: "Memory" } }, parts.memoryCurve, parts.memory),
    el("td", { class: "measure tokens", data: { label: "Tokens" } }, parts.tokens),
  );
  made.parts = parts;
  return made;
}

function updateLine(made, row) {
  const { parts } = made;
  const curves = store.curves.conversations.get(row.rowKey);
  say(parts.link, titleOf(row));
  if (parts.link.getAttribute("href") !== pathOf(row)) parts.link.setAttribute("href", pathOf(row));
  say(parts.where, [shortId(row.id), row.model, row.directory].filter(Boolean).join(" · "));
  putStanding(parts.chip, row);
  putSince(parts.since, row.turnSince ?? row.idleSince);
  say(parts.doing, doing(row));
  say(parts.cpu, row.cpu === null ? "–" : percent(row.cpu));
  draw(parts.cpuCurve, curves?.cpu, CPU_FLOOR);
  say(parts.memory, row.memory === null ? "–" : size(row.memory));
  draw(parts.memoryCurve, curves?.memory, 1);
  say(parts.tokens, row.tokens === null ? "–" : amount(row.tokens));
}

// Show how a conversation stands: what the kernel sees of its process comes first, then what it waits for.
export function putStanding(made, row) {
  if (row.broken) putState(made, row.broken);
  else if (row.asks) putState(made, "asks", "asks the user");
  else putState(made, row.state);
}

export function doing(row) {
  const told = [];
  if (row.interrupted) told.push("interrupted");
  if (row.doing) told.push(row.doing);
  if (row.queued) told.push(`${counted(row.queued, "turn")} queued`);
  if (row.deaths) told.push(`${counted(row.deaths, "recent death")}`);
  if (row.node) told.push(`on ${row.node}`);
  return sentence(told.join(", "));
}

