// What tests ask of a page.

const TEXT_SIZES = 4.5; // contrast that texts need at least (WCAG 2.2, 1.4.3)

const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const known = new Map();

function channels(color) {
  if (!known.has(color)) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    known.set(color, [...context.getImageData(0, 0, 1, 1).data]);
  }
  return known.get(color);
}

function luminance([red, green, blue]) {
  const linear = (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function ground(element) {
  for (let one = element; one !== null; one = one.parentElement) {
    const color = channels(getComputedStyle(one).backgroundColor);
    if (color[3] === 255) return color;
  }
  return channels(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "black" : "white");
}

function isSeen(element) {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
}

// Return the texts that are seen and have too little contrast, with it.
window.faintTexts = () => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !isSeen(element) || element.closest("[disabled], noscript, script, style")) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < TEXT_SIZES) faint.push([text.slice(0, 40), contrast.toFixed(2)]);
  }
  return faint;
};

function isClipped(element) {
  for (let one = element.parentElement; one !== document.body; one = one.parentElement) {
    if (getComputedStyle(one).overflowX !== "visible") return true;
  }
  return false;
}

// Return what reaches beyond the page, but for what an element around it clips.
window.overflowing = () => {
  const width = document.documentElement.clientWidth;
  const found = document.documentElement.scrollWidth > width ? ["the page"] : [];
  for (const element of document.body.querySelectorAll("*")) {
    if (!isSeen(element) || element.closest("nav, svg, pre, .unseen, .skip")) continue;
    const box = element.getBoundingClientRect();
    if ((box.right > width + 1 || box.left < -1) && !isClipped(element)) found.push(`${element.tagName}.${element.className}: ${box.left} to ${box.right}`);
  }
  return found;
};

// Return what a reader of the screen would miss.
window.nameless = () => {
  const found = [];
  for (const element of document.querySelectorAll("a, button, input, section, dialog, progress")) {
    if (!element.checkVisibility()) continue;
    const labelled = element.labels?.length ? [...element.labels].map((label) => label.textContent).join("") : "";
    const byId = (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("");
    const name = element.getAttribute("aria-label") || byId || labelled || (element.matches("section") ? element.querySelector("h2, h3")?.textContent : element.textContent);
    if (!name?.trim()) found.push(element.outerHTML.slice(0, 80));
  }
  const levels = [...document.querySelectorAll("main h1, main h2, main h3, main h4")].filter(isSeen).map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.push(`${levels.filter((level) => level === 1).length} headings of the first level`);
  levels.forEach((level, place) => place && level > levels[place - 1] + 1 && found.push(`a heading of level ${level} below one of level ${levels[place - 1]}`));
  return found;
};
