// One conversation: how it stands, its plan, and its transcript as it grows.

import { curve, draw } from "./curve.js";
import { putStanding, doing } from "./conversations.js";
import { el, keyed, say, show } from "./dom.js";
import { Feed } from "./feed.js";
import { amount, counted, percent, shortId, size, words } from "./format.js";
import { mayOrder, orderButton } from "./orders.js";
import { chip, facts, putFact, putSince, since, titleOf } from "./parts.js";
import { prose } from "./prose.js";
import { rows, store } from "./store.js";

const MOST = 300; // passages, as the server sends of a whole transcript
const TALL = 14; // lines of an output that are shown without being asked for
const NEAR = 120; // pixels from the end within which the page follows what is added
const SPEAKERS = { __proto__: null, user: "You", agent: "Agent", reasoning: "Reasoning", call: "Call", output: "Output" };
const SIGNS = { __proto__: null, completed: "✓", in_progress: "▸", pending: "○" };

export function conversationView(instance, id) {
  const key = `${instance}/${id}`;
  const target = () => ({ instance: Number(instance), id, label: store.tables.conversations.get(key)?.title });
  const parts = {
    title: el("h1", { tabindex: "-1" }),
    chip: chip(),
    since: since(),
    doing: el("span", { class: "doing" }),
    facts: facts(["Tokens", "Cost", "Model", "Directory", "Process", "Commands", "Node", "Conversation", "Instance"]),
    cpu: el("span", { class: "figure" }),
    cpuCurve: curve(),
    memory: el("span", { class: "figure" }),
    memoryCurve: curve(),
    interrupt: orderButton("interrupt", target),
    kill: orderButton("kill", target),
    death: el("a", { class: "notice", href: "#/deaths" }),
  };
  const buttons = el("div", { class: "buttons" }, parts.interrupt, parts.kill);
  const gone = el("p", { class: "notice", text: "No running instance knows this conversation any more." });
  const measures = el(
    "div",
    { class: "measures" },
    el("div", {}, el("span", { class: "label", text: "CPU" }), parts.cpuCurve, parts.cpu),
    el("div", {}, el("span", { class: "label", text: "Memory" }), parts.memoryCurve, parts.memory),
  );
  const script = transcript();
  const root = el(
    "div",
    { class: "view conversation" },
    el("p", { class: "back" }, el("a", { href: "#/", text: "← All conversations" })),
    el("div", { class: "head" }, parts.title, buttons),
    el("p", { class: "standing" }, parts.chip, parts.since, parts.doing),
    gone,
    parts.death,
    el("div", { class: "columns" }, el("aside", { class: "side" }, script.plan, measures, parts.facts), script.root),
  );
  const address = `/transcript?instance=${instance}&conversation=${encodeURIComponent(id)}`;
  const feed = new Feed(address, script.take, script.told);

  function update() {
    const row = store.tables.conversations.get(key);
    show(gone, row === undefined && store.isLoaded);
    show(buttons, row !== undefined && mayOrder());
    say(parts.title, row === undefined ? `Conversation ${shortId(id)}` : titleOf(row));
    const death = rows("deaths").filter((one) => one.conversation === id && String(one.instance) === String(instance)).sort((one, other) => other.at - one.at)[0];
    show(parts.death, death !== undefined);
    if (death !== undefined) say(parts.death, `Its process died: ${death.cause}${death.doing ? `, while ${death.doing}` : ""}. See its last words.`);
    if (row === undefined) return;
    const curves = store.curves.conversations.get(key);
    putStanding(parts.chip, row);
    putSince(parts.since, row.turnSince ?? row.idleSince);
    say(parts.doing, doing(row));
    parts.interrupt.disabled = row.turnSince === null;
    parts.kill.disabled = row.pid === null && row.node === null;
    show(measures, row.pid !== null);
    say(parts.cpu, row.cpu === null ? "–" : percent(row.cpu));
    draw(parts.cpuCurve, curves?.cpu, 20);
    say(parts.memory, row.memory === null ? "–" : size(row.memory));
    draw(parts.memoryCurve, curves?.memory, 1);
    putFact(parts.facts, "Tokens", row.tokens === null ? null : amount(row.tokens));
    putFact(parts.facts, "Cost", row.cost.length ? `${row.cost.join(", ")}${row.unpriced ? " or more" : ""}` : null);
    putFact(parts.facts, "Model", row.model);
    putFact(parts.facts, "Directory", row.directory);
    putFact(parts.facts, "Process", row.pid === null ? null : `${row.pid}, ${counted(row.incarnation, "process", "processes")} so far`);
    putFact(parts.facts, "Commands", commandsText(row));
    putFact(parts.facts, "Node", row.node);
    putFact(parts.facts, "Conversation", row.id);
    putFact(parts.facts, "Instance", String(row.instance));
  }

  function close() {
    feed.close();
    script.close();
  }

  return { root, update, title: () => parts.title.textContent, close };
}

function commandsText(row) {
  if (!row.commands) return null;
  const told = [counted(row.commands, "process", "processes")];
  if (row.commandsCpu !== null) told.push(percent(row.commandsCpu));
  if (row.commandsMemory !== null) told.push(size(row.commandsMemory));
  return told.join(", ");
}

// The plan and the transcript

function transcript() {
  const list = el("ol", { class: "passages" });
  const written = el("ol", { class: "passages live", "aria-label": "Being written" });
  const live = new Map(); // the passages in it, by id
  const steps = el("ol", { class: "steps" });
  const plan = el("section", { class: "plan", "aria-label": "Plan", hidden: true }, el("h2", { text: "Plan" }), steps);
  const left = el("p", { class: "more", hidden: true });
  const fault = el("p", { class: "notice", hidden: true });
  const waiting = el("p", { class: "waiting", text: "Reading the session file" });
  const jump = el("button", { type: "button", class: "jump", hidden: true });
  const root = el("section", { class: "transcript", "aria-label": "Transcript" }, el("h2", { text: "Transcript" }), fault, left, list, written, waiting, jump);
  let turn = 0;
  jump.addEventListener("click", () => toEnd());

  const isNearEnd = () => window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR;
  const toEnd = () => {
    window.scrollTo({ top: document.documentElement.scrollHeight });
    show(jump, false);
  };
  const ending = new AbortController();
  window.addEventListener("scroll", () => isNearEnd() && show(jump, false), { passive: true, signal: ending.signal });

  const isEmpty = () => list.childElementCount + written.childElementCount === 0;

  function take(told) {
    const follows = isNearEnd() && !isEmpty();
    if (told.is_first) {
      written.replaceChildren();
      live.clear();
    }
    if (told.growth !== null) putGrowth(told.growth);
    if (told.live !== null) putLive(told.live);
    show(waiting, isEmpty() && !told.growth?.fault);
    say(waiting, "Nothing is written yet");
    if (follows && !told.growth?.is_whole) toEnd();
    else if (told.growth?.entries.length) show(jump, !isNearEnd());
  }

  function putGrowth(growth) {
    if (growth.is_whole) {
      list.replaceChildren();
      turn = 0;
      show(fault, Boolean(growth.fault));
      say(fault, growth.fault ? `The transcript cannot be read: ${growth.fault}.` : "");
      show(left, growth.left_out > 0);
      say(left, `${counted(growth.left_out, "earlier passage")} ${growth.left_out === 1 ? "is" : "are"} left out; greenroom sessions show has all.`);
    }
    for (const [number, speaker, text] of growth.entries) {
      if (number !== turn && number > 0) list.append(el("li", { class: "turn" }, el("h3", { text: `Turn ${number}` })));
      turn = number;
      list.append(passage(speaker, text));
    }
    while (list.childElementCount > 2 * MOST) list.firstElementChild.remove();
    if (growth.plan !== null) putPlan(growth.plan);
    if (growth.entries.length > 0) say(jump, growth.is_whole ? "↓ To the end" : "↓ New passages");
  }

  // What is written at the moment: it moves into the list once the session file has it.
  function putLive({ passages, over, plan: steps }) {
    for (const id of over) {
      live.get(id)?.element.remove();
      live.delete(id);
    }
    for (const [id, speaker, text, isMore] of passages) {
      const one = live.get(id) ?? { element: livePassage(speaker), text: "" };
      one.text = isMore ? one.text + text : text;
      putText(one.element, speaker, one.text);
      if (!live.has(id)) written.append(one.element);
      live.set(id, one);
    }
    if (steps !== null) putPlan(steps);
  }

  function putPlan(told) {
    show(plan, told.length > 0);
    keyed(steps, told.map(([text, status], place) => ({ text, status, place })), (step) => step.place, step, updateStep);
  }

  const told = (state) => {
    if (state === "refused") {
      show(fault, true);
      say(fault, "The transcript is not shown: its instance has ended, or too many pages are open.");
    }
  };
  return { root, plan, take, told, close: () => ending.abort() };
}

function step() {
  const made = el("li", {}, el("span", { class: "sign", "aria-hidden": "true" }), el("span", { class: "unseen" }), el("span", { class: "text" }));
  return made;
}

function updateStep(made, { text, status }) {
  const [sign, said, place] = made.children;
  if (made.dataset.status !== status) made.dataset.status = status;
  say(sign, SIGNS[status] ?? "○");
  say(said, `${words(status)}: `);
  say(place, text);
}

function livePassage(speaker) {
  const doing = speaker === "output" ? "comes in" : "is being written";
  return el("li", { class: `passage ${speaker}` }, el("h4", {}, SPEAKERS[speaker] ?? speaker, el("span", { class: "unseen", text: ` ${doing}` })));
}

function putText(made, speaker, text) {
  if (speaker !== "output") {
    const head = made.firstElementChild;
    made.replaceChildren(head, prose(text));
    return;
  }
  const place = made.querySelector("pre") ?? made.appendChild(el("pre", { tabindex: "0" }));
  say(place, text);
  place.scrollTop = place.scrollHeight;
}

function passage(speaker, text) {
  const made = el("li", { class: `passage ${speaker}` }, el("h4", { text: SPEAKERS[speaker] ?? speaker }));
  const lines = text.split("\n").length;
  if (speaker === "call") made.append(el("pre", { tabindex: "0" }, el("code", { text })));
  else if (speaker === "output" && lines > TALL) made.append(folded(`Output, ${lines} lines`, el("pre", { tabindex: "0", text })));
  else if (speaker === "output") made.append(el("pre", { tabindex: "0", text }));
  else made.append(prose(text));
  return made;
}

function folded(summary, content) {
  return el("details", {}, el("summary", { text: summary }), content);
}

