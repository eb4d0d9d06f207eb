// What the explorer knows, and how it reads its data, whose form `explorer.py` states.

const $ = (id) => document.getElementById(id);
const { entries: INDEX, start: START } = JSON.parse($("index").textContent);
const FIELDS = ["model", "benchmark", "anchor", "mask", "method", "run"];
const MARKS = { pass: "✓", fail: "✗", timeout: "✗ time", unknown: "–" };
let series; // what `unpack` gives of the picked series
let column; // the picked benchmark's place in series.steps and in an outcome's statuses
let steps; // of the picked benchmark
let rows; // a row of the list for each task: the task, what it shows now, its element
let isInterval;
let omega;
let selected; // a row
let entry; // of INDEX, what is picked

/** JSON from a script element that holds it zlib-compressed, in base64. */
async function unpack(id) {
  const text = atob($(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/** The last place whose value is at most x, or -1; values ascend. */
function lastUpTo(values, x) {
  let low = 0,
    high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const endOf = (task, place) => task.hi[place] ?? task.lo[place + 1];
const lastOmega = () => steps.omega_hi.at(-1);

/** The place of a task's line at an omega, or -1. Lines are half-open; the interval's last one is closed. */
function lineAt(task, x) {
  const place = lastUpTo(task.lo, x);
  if (place < 0) return -1;
  const end = endOf(task, place);
  return x < end || (x === end && (task.lo[place] === end || end === lastOmega())) ? place : -1;
}

const statusOf = (outcome) => (outcome === undefined ? null : series.outcomes[outcome].statuses[column]) ?? "unknown";

/** What the tests say, in words. */
function verdictText(outcome) {
  const { base_status: base, plus_status: plus, reason, finish_reason: finish } = series.outcomes[outcome];
  if (finish === "budget") return "given up (budget)";
  if (!base) return "not scored";
  const parts = [`base tests: ${base}`];
  if (plus) parts.push(`plus tests: ${plus}`);
  const why = reason && reason !== "passed" ? ` (${reason.replaceAll("_", " ")})` : "";
  return `${parts.join(", ")}${why}; text ended by ${finish}`;
}

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

function mark(span, status) {
  span.className = status;
  span.textContent = MARKS[status];
}
