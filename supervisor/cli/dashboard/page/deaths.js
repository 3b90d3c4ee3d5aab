// How processes died, and what they said last.

import { el, keyed, say, show } from "./dom.js";
import { sentence, shortId, size } from "./format.js";
import { conversationOf, empty, facts, heading, moment, pathOf, putFact, putMoment, roleText, titleOf } from "./parts.js";
import { rows, store } from "./store.js";

export function deathsView() {
  const list = el("ol", { class: "cards deaths" });
  const none = empty("No process has died", "Deaths that nobody asked for appear here, each with what the process logged last.");
  const root = el("div", { class: "view" }, heading("Deaths"), list, none);
  function update() {
    const found = rows("deaths").sort((one, other) => other.at - one.at);
    show(none, found.length === 0 && store.isLoaded);
    show(list, found.length > 0);
    keyed(list, found, (row) => row.rowKey, card, updateCard);
  }
  return { root, update, title: "Deaths" };
}

function card() {
  const parts = {
    link: el("a"),
    name: el("span"),
    when: moment(),
    cause: el("p", { class: "cause" }),
    doing: el("p"),
    facts: facts(["Process", "Largest memory", "Node", "Instance"]),
    words: el("pre", { tabindex: "0", "aria-label": "Last words" }),
    silence: el("p", { class: "silence", text: "It had logged nothing." }),
  };
  const made = el(
    "li",
    { class: "card" },
    el("h2", {}, parts.link, parts.name),
    el("p", { class: "when" }, parts.when),
    parts.cause,
    parts.doing,
    parts.facts,
    el("div", { class: "words" }, el("h3", { text: "Last words" }), parts.words, parts.silence),
  );
  made.parts = parts;
  return made;
}

function updateCard(made, row) {
  const { parts } = made;
  const conversation = conversationOf(row.instance, row.conversation);
  show(parts.link, conversation !== undefined);
  show(parts.name, conversation === undefined);
  if (conversation !== undefined) {
    parts.link.setAttribute("href", pathOf(conversation));
    say(parts.link, titleOf(conversation));
  } else if (row.conversation) say(parts.name, `Conversation ${shortId(row.conversation)}`);
  else say(parts.name, sentence(row.process.startsWith("w-") ? "spare worker" : roleText(row.process)));
  putMoment(parts.when, row.at);
  say(parts.cause, sentence(row.cause));
  show(parts.doing, Boolean(row.doing));
  say(parts.doing, row.doing ? `While ${row.doing}` : "");
  putFact(parts.facts, "Process", row.pid ? String(row.pid) : null);
  putFact(parts.facts, "Largest memory", row.memory === null ? null : size(row.memory));
  putFact(parts.facts, "Node", row.node);
  putFact(parts.facts, "Instance", String(row.instance));
  say(parts.words, row.words.join("\n"));
  show(parts.words, row.words.length > 0);
  show(parts.silence, row.words.length === 0);
}
