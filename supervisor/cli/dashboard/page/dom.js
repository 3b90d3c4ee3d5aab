// Makes and updates elements. Texts are only ever set as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

// Return an element. `facts` are attributes, but for `class`, `text`, `on` (listeners by event) and `data`.
export function el(tag, facts = {}, ...children) {
  const made = document.createElement(tag);
  set(made, facts);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, facts = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function set(element, facts) {
  for (const [name, value] of Object.entries(facts)) {
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
}

// Set a text if it is another one, so that selections and readers are left in peace.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

// Make the children of a parent those of these items, in order. Each keeps its element as long as its key is there.
export function keyed(parent, items, keyOf, create, update) {
  const had = parent.made ?? new Map();
  const made = new Map();
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  for (const item of items) {
    const key = keyOf(item);
    const element = had.get(key) ?? create(item);
    update(element, item);
    made.set(key, element);
  }
  for (const [key, element] of had) if (!made.has(key)) element.remove();
  let place = parent.firstElementChild;
  for (const element of made.values()) {
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  parent.made = made;
  if (focused !== null && focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true }); // moving an element takes the focus away
  }
}
