// Orders to an instance: each says what it will do, is confirmed, and is answered on the page.

import { el, say } from "./dom.js";
import { shortId } from "./format.js";
import { store } from "./store.js";

const SECONDS = 8;

const ORDERS = {
  interrupt: {
    button: "Interrupt",
    title: "Interrupt the turn?",
    text: "The running turn is ended, and its call is answered as aborted. The next turn that waits begins. What it has done so far stays.",
    go: "Interrupt the turn",
  },
  kill: {
    button: "Kill",
    title: "Kill the process?",
    text: "The process of this conversation is killed. Its running call fails with worker_crashed, commands that it runs are ended, and its next message starts another process and restores the conversation.",
    go: "Kill the process",
  },
  stop: {
    button: "Stop the instance",
    title: "Stop the instance?",
    text: "The instance ends as if its client had left: open calls are answered, workers save, and all its processes end. Conversations can be continued from their session files.",
    go: "Stop the instance",
  },
  "interrupt-client": {
    button: "Interrupt its turns",
    title: "Interrupt all turns of the client?",
    text: "All turns of this client are ended, those that run and those that wait.",
    go: "Interrupt its turns",
  },
  disconnect: {
    button: "Disconnect",
    title: "Disconnect the client?",
    text: "The client is treated as one that has left: its calls are cancelled, and its conversations stay.",
    go: "Disconnect the client",
  },
  drain: {
    button: "Drain",
    title: "Let the node leave?",
    text: "Nothing is started on the node any more, and it leaves once the turns on it have ended.",
    go: "Drain the node",
  },
};

// Return the button of an order. `target` returns its instance, the id or name that it is about, and what people call that.
export function orderButton(order, target) {
  const texts = ORDERS[order];
  return el("button", {
    type: "button",
    class: order.startsWith("interrupt") ? "order" : "order danger",
    text: texts.button,
    data: { order },
    on: { click: () => confirm(order, target()) },
  });
}

export const mayOrder = () => store.control;

function confirm(order, target) {
  const dialog = document.getElementById("confirm");
  say(document.getElementById("confirm-title"), ORDERS[order].title);
  say(document.getElementById("confirm-text"), ORDERS[order].text);
  say(document.getElementById("confirm-target"), target.label || shortId(target.id));
  say(document.getElementById("confirm-go"), ORDERS[order].go);
  dialog.returnValue = "cancel";
  dialog.onclose = () => {
    if (dialog.returnValue === "go") send(order, target);
  };
  dialog.showModal();
}

async function send(order, target) {
  try {
    const answer = await fetch("/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Greenroom-Order": "confirmed" },
      body: JSON.stringify({ order, instance: target.instance, target: target.id }),
    });
    const isJson = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
    tell(isJson ? (await answer.json()).text : (await answer.text()).trim(), answer.ok);
  } catch {
    tell("The dashboard does not answer.", false);
  }
}

// Show a short message for a while.
export function tell(text, isWell = true) {
  const toast = el("p", { class: isWell ? "toast" : "toast bad" }, el("span", { class: "mark", "aria-hidden": "true", text: isWell ? "✓" : "✕" }), el("span", { text }));
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), SECONDS * 1000);
}
