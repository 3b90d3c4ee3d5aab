// Texts of agents, with the little of Markdown that makes them easy to read: fences, headings, code and bold.
// Everything is put into the page as text.

import { el } from "./dom.js";

const FENCE = /^\s{0,3}(`{3,}|~{3,})/;
const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*)/;

export function prose(text) {
  const made = el("div", { class: "prose" });
  let lines = [];
  let fence = null;
  const flush = () => {
    const joined = lines.join("\n").replace(/^\n+|\n+$/g, "");
    if (fence !== null) made.append(el("pre", { tabindex: "0" }, el("code", { text: joined })));
    else if (joined) made.append(...joined.split(/\n{2,}/).map((part) => el("p", {}, ...inline(part))));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = line.match(FENCE)?.[1];
    if (mark && (fence === null || (line.trim() === mark && mark[0] === fence[0] && mark.length >= fence.length))) {
      flush();
      fence = fence === null ? mark : null;
    } else if (fence === null && /^#{1,6} /.test(line)) {
      flush();
      made.append(el("p", { class: "headline" }, ...inline(line.replace(/^#+ /, ""))));
    } else lines.push(line);
  }
  if (lines.length || fence !== null) flush();
  return made;
}

// Return a line of text as nodes, with code and bold.
export function inline(text) {
  return text.split(INLINE).filter(Boolean).map((part) => {
    if (/^`[^`]+`$/.test(part)) return el("code", { text: part.slice(1, -1) });
    return /^\*\*[^*]+\*\*$/.test(part) ? el("strong", { text: part.slice(2, -2) }) : part;
  });
}
