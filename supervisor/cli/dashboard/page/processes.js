// The instances, each with its clients and the tree of its processes.

import { el, keyed, say, show } from "./dom.js";
import { age, counted, percent, sentence, shortId, size } from "./format.js";
import { mayOrder, orderButton } from "./orders.js";
import { chip, conversationOf, empty, facts, heading, pathOf, putFact, putSince, putState, roleText, since, titleOf } from "./parts.js";
import { now, rows, store } from "./store.js";

const REPLIES = { __proto__: null, silent: "does not answer", shut: "does not listen", refused: "refuses to tell", unreadable: "is of another version" };

export function processesView() {
  const list = el("div", { class: "instances" });
  const none = empty("No instance is running", "Processes appear here as soon as an instance runs.");
  const root = el("div", { class: "view" }, heading("Processes"), list, none);
  function update() {
    const found = rows("instances").sort((one, other) => one.startedAt - other.startedAt);
    show(none, found.length === 0 && store.isLoaded);
    keyed(list, found, (row) => row.rowKey, section, updateSection);
  }
  return { root, update, title: "Processes" };
}

function section(row) {
  const target = () => ({ instance: row.pid, id: "", label: `Instance ${row.pid}` });
  const parts = {
    name: el("h2"),
    since: since(),
    stop: orderButton("stop", target),
    facts: facts(["State", "Home", "Version", "Processes are made by", "Login", "Open calls"]),
    clients: el("ul", { class: "clients" }),
    tree: el("ul", { class: "tree" }),
    limits: el("ul", { class: "hints" }),
  };
  const made = el(
    "section",
    { class: "card instance" },
    el("div", { class: "head" }, parts.name, parts.stop),
    el("p", { class: "when" }, parts.since),
    parts.facts,
    el("h3", { text: "Clients" }),
    parts.clients,
    el("h3", { text: "Processes" }),
    parts.tree,
    parts.limits,
  );
  made.parts = parts;
  return made;
}

function updateSection(made, row) {
  const { parts } = made;
  say(parts.name, `Instance ${row.pid}`);
  putSince(parts.since, row.startedAt, "Up for ");
  show(parts.stop, mayOrder());
  putFact(parts.facts, "State", row.reply === "report" ? null : `It ${REPLIES[row.reply] ?? row.reply}${row.refusal ? `: ${row.refusal}` : ""}`);
  putFact(parts.facts, "Home", row.home);
  putFact(parts.facts, "Version", row.version);
  putFact(parts.facts, "Processes are made by", row.engine);
  putFact(parts.facts, "Login", loginText(row));
  putFact(parts.facts, "Open calls", row.openCalls === undefined || row.openCalls === null ? null : String(row.openCalls));
  const own = (name) => rows(name).filter((one) => one.instance === row.pid);
  const clients = own("clients");
  show(parts.clients.previousElementSibling, clients.length > 0);
  keyed(parts.clients, clients, (one) => one.rowKey, client, updateClient);
  keyed(parts.tree, inTree(own("processes")), (one) => one.rowKey, process, updateProcess);
  show(parts.limits, (row.sandboxLimits ?? []).length > 0);
  keyed(parts.limits, row.sandboxLimits ?? [], (text) => text, () => el("li"), (item, text) => say(item, `Sandbox: ${text}`));
}

export function loginText(row) {
  if (!row.mode) return null;
  const state = row.credential.toLowerCase().replaceAll("_", " ");
  const left = row.expiresAt === null ? "" : row.expiresAt > now() ? `, ${age(row.expiresAt - now())} left` : `, expired ${age(now() - row.expiresAt)} ago`;
  return `${row.mode}, ${state}${left}${row.plan ? `, plan ${row.plan}` : ""}`;
}

function client(row) {
  const target = () => ({ instance: row.instance, id: row.id, label: `${row.name} ${row.version}` });
  const parts = { text: el("span"), since: since(), buttons: el("span", { class: "buttons" }, orderButton("interrupt-client", target), orderButton("disconnect", target)) };
  const made = el("li", {}, el("span", { class: "text" }, parts.text, parts.since), parts.buttons);
  made.parts = parts;
  return made;
}

function updateClient(made, row) {
  const told = [`${row.name} ${row.version}`.trim()];
  if (row.pid !== null) told.push(`process ${row.pid}`);
  if (row.openCalls) told.push(`${counted(row.openCalls, "call")} open`);
  if (row.unread) told.push(`${size(row.unread)} unread`);
  say(made.parts.text, told.join(", "));
  putSince(made.parts.since, row.connectedAt, ", for ");
  show(made.parts.buttons, mayOrder() && row.id !== "");
}

// Return the processes, each below its parent and with its depth.
function inTree(all) {
  const pids = new Set(all.map((one) => one.pid));
  const below = new Map();
  for (const one of all) {
    const parent = one.node === null && pids.has(one.parent) ? one.parent : null;
    below.set(parent, [...(below.get(parent) ?? []), one]);
  }
  const found = [];
  const walk = (parent, depth) => {
    for (const one of below.get(parent) ?? []) {
      found.push({ ...one, depth });
      if (one.pid !== null && one.node === null && depth < 8) walk(one.pid, depth + 1);
    }
  };
  walk(null, 0);
  return found;
}

function process() {
  const parts = {
    role: el("span", { class: "role" }),
    link: el("a"),
    command: el("code"),
    level: el("span", { class: "unseen" }),
    chip: chip(),
    pid: el("span", { class: "pid" }),
    cpu: el("span", { class: "figure" }),
    memory: el("span", { class: "figure" }),
    more: el("span", { class: "note" }),
  };
  const made = el("li", {}, el("span", { class: "name" }, parts.level, parts.role, parts.link, parts.command), parts.pid, parts.chip, parts.cpu, parts.memory, parts.more);
  made.parts = parts;
  return made;
}

function updateProcess(made, row) {
  const { parts } = made;
  const conversation = conversationOf(row.instance, row.conversation);
  if (made.dataset.depth !== String(row.depth)) made.dataset.depth = row.depth;
  say(parts.level, row.depth ? `level ${row.depth + 1}: ` : "");
  const isSpare = row.role === "worker" && !row.conversation;
  const isCommand = row.role === "command";
  const isNamed = Boolean(row.conversation) && !isCommand; // a command is below what it belongs to, but under the zygote
  show(parts.role, !isCommand);
  show(parts.command, isCommand);
  say(parts.role, sentence(isSpare ? "spare worker" : roleText(row.role)) + (isNamed ? " of " : ""));
  if (isCommand) {
    say(parts.command, row.text);
    if (parts.command.title !== row.text) parts.command.title = row.text;
  }
  show(parts.link, isNamed);
  if (isNamed) {
    say(parts.link, conversation ? titleOf(conversation) : shortId(row.conversation));
    parts.link.setAttribute("href", pathOf({ instance: row.instance, id: row.conversation }));
  }
  putState(parts.chip, row.state ?? "gone");
  say(parts.pid, row.pid === null ? "" : String(row.pid));
  say(parts.cpu, row.cpu === null || row.cpu === undefined ? "–" : percent(row.cpu));
  say(parts.memory, row.memory === null ? "–" : size(row.memory));
  const told = [];
  if (row.node) told.push(`on ${row.node}`);
  if (row.commands) told.push(`${counted(row.commands, "process", "processes")} of commands${row.commandsCpu ? `, ${percent(row.commandsCpu)}` : ""}`);
  if (isCommand && row.conversation) told.push(`of ${conversation ? titleOf(conversation) : shortId(row.conversation)}`);
  if (row.restarts) told.push(counted(row.restarts, "recent death"));
  say(parts.more, told.join(", "));
}
