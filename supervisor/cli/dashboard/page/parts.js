// Parts that several views have.

import { el, say, show } from "./dom.js";
import { age, clock, shortId, words } from "./format.js";
import { inline } from "./prose.js";
import { now, store } from "./store.js";

const STATES = {
  __proto__: null, // texts of others are looked up here
  running: ["●", "on"],
  starting: ["◔", "on"],
  parking: ["◔", "off"],
  hosting: ["●", "on"],
  ready: ["○", "off"],
  idle: ["○", "off"],
  new: ["○", "off"],
  parked: ["–", "off"],
  closed: ["–", "off"],
  crashed: ["✕", "bad"],
  failed: ["✕", "bad"],
  given_up: ["✕", "bad"],
  stopped: ["✕", "bad"],
  "tracing-stop": ["✕", "bad"],
  zombie: ["✕", "bad"],
  dead: ["✕", "bad"],
  gone: ["✕", "bad"],
  lost: ["✕", "bad"],
  away: ["◔", "warn"],
  draining: ["◔", "warn"],
  restarting: ["◔", "warn"],
  asks: ["?", "warn"],
};

// A state is said in words; sign and colour repeat it.
export function chip() {
  const sign = el("span", { class: "sign", "aria-hidden": "true" });
  const text = el("span");
  const made = el("span", { class: "chip" }, sign, text);
  made.parts = { sign, text };
  return made;
}

export function putState(made, state, text = words(state)) {
  const [sign, tone] = STATES[state] ?? ["○", "off"];
  if (made.dataset.tone !== tone) made.dataset.tone = tone;
  if (made.dataset.state !== state) made.dataset.state = state;
  say(made.parts.sign, sign);
  say(made.parts.text, text);
}

// A span of time that counts by itself until the row is told anew.
export function since() {
  return el("span", { class: "since" });
}

export function putSince(made, at, before = "", after = "") {
  made.since = at === null || at === undefined ? null : { at, before, after };
  tick(made);
}

function tick(made) {
  say(made, made.since ? `${made.since.before}${age(now() - made.since.at)}${made.since.after}` : "");
}

export function tickAll() {
  for (const made of document.querySelectorAll(".since")) if (made.since !== undefined) tick(made);
}

export function moment() {
  const made = el("time", {}, since());
  made.parts = { since: made.firstElementChild };
  return made;
}

export function putMoment(made, at) {
  const iso = new Date(at * 1000).toISOString();
  if (made.dateTime !== iso) {
    made.dateTime = iso;
    made.title = new Date(at * 1000).toLocaleString();
  }
  putSince(made.parts.since, at, "", ` ago, ${clock(at)}`);
}

// Name and value pairs. `put` shows those that have a value.
export function facts(names) {
  const made = el("dl", { class: "facts" });
  made.parts = {};
  for (const name of names) {
    const value = el("dd");
    const pair = el("div", {}, el("dt", { text: name }), value);
    made.parts[name] = { pair, value };
    made.append(pair);
  }
  return made;
}

export function putFact(made, name, value) {
  const { pair, value: place } = made.parts[name];
  show(pair, value !== null && value !== undefined && value !== "");
  say(place, value ?? "");
}

export const pathOf = (row) => `#/conversation/${row.instance}/${encodeURIComponent(row.id)}`;

export function titleOf(row) {
  return row.title || `Conversation ${shortId(row.id)}`;
}

export function conversationOf(instance, id) {
  return id === null || id === undefined ? undefined : store.tables.conversations.get(`${instance}/${id}`);
}

export function empty(title, text) {
  return el("div", { class: "empty" }, el("p", { class: "big", text: title }), el("p", {}, ...inline(text)));
}

export function heading(text) {
  return el("h1", { tabindex: "-1", text });
}

const ROLES = { __proto__: null, fork_server: "fork server", supervisor: "supervisor", broker: "auth broker", worker: "worker", zygote: "zygote" };

export const roleText = (role) => ROLES[role] ?? words(role);
