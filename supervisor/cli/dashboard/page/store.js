// What is known of the instances: tables of rows by key, as the server tells them, and the samples of curves.

const KEPT = 60;
const SAMPLED = ["conversations", "totals"];
const NAMES = ["instances", "conversations", "processes", "deaths", "paces", "nodes", "clients", "totals"];

export const store = {
  tables: Object.fromEntries(NAMES.map((name) => [name, new Map()])),
  curves: Object.fromEntries(SAMPLED.map((name) => [name, new Map()])),
  control: false,
  isLoaded: false,
  ahead: 0, // seconds by which the clock of the server is ahead of the one here
};

export const rows = (name) => [...store.tables[name].values()];
export const now = () => Date.now() / 1000 + store.ahead;
export const total = () => store.tables.totals.get("all") ?? { cpu: null, memory: 0, processes: 0 };

// Take what the server has told. The first news after a connection are all that is known.
export function take(news) {
  if ("control" in news) {
    for (const name of NAMES) store.tables[name].clear();
    store.control = news.control;
    for (const name of SAMPLED) store.curves[name] = new Map(Object.entries(news.curves[name] ?? {}));
  }
  for (const [name, changed] of Object.entries(news.changes)) merge(store.tables[name], changed);
  if (!("control" in news)) SAMPLED.forEach(sample);
  store.ahead = news.at - Date.now() / 1000;
  store.isLoaded = true;
}

function merge(table, changed) {
  for (const [key, row] of Object.entries(changed)) {
    if (row === null) table.delete(key);
    else table.set(key, { ...row, rowKey: key });
  }
}

function sample(name) {
  const curves = store.curves[name];
  for (const key of curves.keys()) if (!store.tables[name].has(key)) curves.delete(key);
  for (const [key, row] of store.tables[name]) {
    if (row.cpu === null && row.memory === null) {
      curves.delete(key);
      continue;
    }
    const kept = curves.get(key) ?? { cpu: [], memory: [] };
    curves.set(key, { cpu: [...kept.cpu, row.cpu].slice(-KEPT), memory: [...kept.memory, row.memory].slice(-KEPT) });
  }
}
