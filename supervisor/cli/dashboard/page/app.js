// The page: which view is shown, and what the server tells.

import { conversationsView } from "./conversations.js";
import { conversationView } from "./conversation.js";
import { deathsView } from "./deaths.js";
import { el, keyed, say, show } from "./dom.js";
import { Feed } from "./feed.js";
import { counted, sentence } from "./format.js";
import { limitsView } from "./limits.js";
import { nodesView } from "./nodes.js";
import { tickAll } from "./parts.js";
import { processesView } from "./processes.js";
import { rows, store, take } from "./store.js";
import { startTheme } from "./theme.js";

const LINKS = {
  connecting: "Connecting",
  live: "Live",
  paused: "Paused",
  lost: "Not connected; trying again",
  refused: "Ended; open a new address",
};
const VIEWS = { __proto__: null, "": conversationsView, deaths: deathsView, processes: processesView, limits: limitsView, nodes: nodesView };
const main = document.getElementById("main");
let view = null;
let dead = null; // how many deaths were known

function route() {
  const [name, instance, id] = location.hash.replace(/^#\/?/, "").split("/");
  view?.close?.();
  view = name === "conversation" && instance && id ? conversationView(instance, decodeURIComponent(id)) : (VIEWS[name] ?? conversationsView)();
  main.replaceChildren(view.root);
  for (const link of document.querySelectorAll("nav a")) {
    const isHere = link.dataset.view === (name || "conversations") || (name === "conversation" && link.dataset.view === "conversations");
    if (isHere) {
      link.setAttribute("aria-current", name === "conversation" ? "true" : "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  update();
}

function update() {
  view.update();
  const title = typeof view.title === "function" ? view.title() : view.title;
  document.title = `${title} · Greenroom`;
  for (const place of document.querySelectorAll("[data-count]")) {
    const count = rows(place.dataset.count).filter((row) => row.role !== "command").length;
    show(place, count > 0);
    say(place, String(count));
  }
  show(document.getElementById("mode"), store.control);
  updateTroubles();
  announceDeaths();
  const pids = rows("instances").map((row) => row.pid);
  const what = store.control ? "This dashboard may give orders." : "This dashboard only shows; greenroom dashboard --control can give orders.";
  say(document.getElementById("foot"), `${counted(pids.length, "instance")}${pids.length ? ` (${pids.join(", ")})` : ""}. ${what} Nothing on this page comes from another host.`);
  main.dataset.loaded = String(store.isLoaded);
}

function updateTroubles() {
  const found = rows("instances").flatMap((row) => row.troubles.map((trouble) => ({ key: `${row.pid} ${trouble.text}`, text: `${sentence(trouble.text)}.`, pid: row.pid })));
  const several = store.tables.instances.size > 1;
  const make = () => el("p", { class: "trouble" }, el("span", { class: "mark", "aria-hidden": "true", text: "!" }), el("span"));
  keyed(document.getElementById("troubles"), found, (one) => one.key, make, (made, one) => say(made.lastElementChild, several ? `Instance ${one.pid}: ${one.text}` : one.text));
}

// Deaths are rare and matter, so they are said aloud; what changes all the time is not.
function announceDeaths() {
  if (!store.isLoaded) return;
  const count = rows("deaths").length;
  if (dead !== null && count > dead) say(document.getElementById("announcer"), `${counted(count - dead, "process has", "processes have")} died.`);
  dead = count;
}

function onLink(state) {
  const link = document.getElementById("link");
  if (link.dataset.state === state) return;
  const wasLost = link.dataset.state === "lost";
  link.dataset.state = state;
  say(document.getElementById("link-text"), LINKS[state]);
  if (state === "lost" || state === "refused" || (state === "live" && wasLost)) say(document.getElementById("announcer"), LINKS[state]);
}

startTheme(document.getElementById("theme"));
window.addEventListener("hashchange", () => {
  route();
  main.querySelector("h1")?.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && view.focusFilter) {
    event.preventDefault();
    view.focusFilter();
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
route();
new Feed("/events", (news) => {
  take(news);
  update();
}, onLink);
setInterval(() => {
  if (!document.hidden) tickAll();
}, 1000);
