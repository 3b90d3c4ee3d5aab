// Figures as people read them, in the form in which `greenroom status` shows them.

const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]];

export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [large, name, small, rest] of UNITS) {
    if (whole >= large) {
      return `${Math.floor(whole / large)}${name}${String(Math.floor((whole % large) / small)).padStart(2, "0")}${rest}`;
    }
  }
  return `${whole}s`;
}

function scaled(count, units) {
  for (const [unit, name] of units) {
    if (Math.abs(count) >= unit) {
      const value = count / unit;
      return `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1)}${name}`;
    }
  }
  return String(count);
}

export const size = (count) => scaled(count, [[2 ** 40, " TiB"], [2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"]]);
export const amount = (count) => scaled(count, [[1e9, "G"], [1e6, "M"], [1e3, "k"]]);
export const percent = (value) => `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1)} %`;
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
export const shortId = (id) => id.slice(-12);
export const words = (text) => text.replaceAll("_", " ").toLowerCase();
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function interval(seconds) {
  if (seconds >= 10) return `${seconds.toFixed(0)} s`;
  return seconds >= 1 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds * 1000)} ms`;
}

// A moment in seconds since the epoch, as the clock on the wall shows it.
export function clock(at) {
  const date = new Date(at * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return isToday ? time : `${date.toLocaleDateString([], { month: "short", day: "numeric" })}, ${time}`;
}
