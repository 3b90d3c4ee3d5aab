// The theme: as the system has it, light, or dark. The choice is kept in this browser.

import { say } from "./dom.js";

const KEY = "greenroom-theme";
const THEMES = [["system", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];

function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is turned off
  }
}

function keep(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    return; // it holds for as long as the page does
  }
}

export function startTheme(button) {
  let place = Math.max(0, THEMES.findIndex(([name]) => name === kept()));
  const put = () => {
    const [name, sign, text] = THEMES[place];
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    say(document.getElementById("theme-sign"), sign);
    say(document.getElementById("theme-text"), `Theme: ${text}`);
    button.title = `Theme: ${text}`;
  };
  button.addEventListener("click", () => {
    place = (place + 1) % THEMES.length;
    keep(THEMES[place][0]);
    put();
  });
  put();
}
