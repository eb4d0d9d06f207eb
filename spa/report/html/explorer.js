// Picking a series, moving over omega, the list of tasks, and the events.

const FILTERS = {
  All: () => true,
  Fixed: (row) => row.change === "fixed",
  Broken: (row) => row.change === "broken",
  "Other text": (row) => row.differs,
  Passes: (row) => row.status === "pass",
  Fails: (row) => row.status !== "pass" && row.status !== "unknown",
  "Verdict varies with ω": (row) => row.varies,
  "No anchor": (row) => !row.task.spans.length,
};

// ---- picking a series ----

/** Offer in each selection what fits those before it, keeping what is picked where it is there. */
function offer(picked) {
  let left = INDEX;
  for (const field of FIELDS) {
    const select = $("pick").elements[field];
    const values = [...new Set(left.map((each) => each[field]))];
    const kept = values.includes(picked[field]) ? picked[field] : values[0];
    select.replaceChildren(...values.map((value) => new Option(value, value, false, value === kept)));
    select.parentElement.hidden = values.length < 2 && field === "run";
    left = left.filter((each) => each[field] === kept);
  }
  return left[0];
}

let prompts; // of all series
let picks = 0;

/** Show an entry at an omega and a task, or where it was, or where most tasks are fixed. */
async function pick(picked, wanted = {}) {
  entry = offer(picked);
  const number = ++picks;
  $("status").textContent = "Reading the data…";
  prompts ??= unpack("prompts");
  let contents, texts;
  try {
    [contents, texts] = await Promise.all([unpack(`series-${entry.series}`), prompts]);
  } catch (error) {
    $("status").textContent = `The data could not be read (${error.message}); this needs a browser of 2023 or newer.`;
    return;
  }
  if (number !== picks) return; // another was picked meanwhile
  [series, column, steps] = [contents, entry.column, contents.steps[entry.column]];
  isInterval = steps.omega_lo.some((lo, i) => lo < steps.omega_hi[i]);
  $("keys").replaceChildren(
    ...entry.keys.flatMap((key, i) => [i ? ", " : "", element("a", { href: `#run-${key}`, textContent: key })]),
  );
  makeRows(texts);
  drawCurve();
  const range = $("omega");
  [range.min, range.max] = [steps.omega_lo[0], lastOmega()];
  $("over-omega").hidden = $("moves").hidden = !entry.several;
  $("view").hidden = false;
  $("status").textContent = "";
  const id = wanted.task ?? selected?.task.id;
  selected = undefined;
  moveTo(wanted.omega ?? omega ?? mostFixed());
  select(rows.find((row) => row.task.id === id) ?? rows.find((row) => row.change) ?? rows[0]);
}

/** The first omega at which most tasks are fixed. */
function mostFixed() {
  return steps.omega_lo[steps.fixed.indexOf(Math.max(...steps.fixed))];
}

// ---- the address ----

let writing;

/** Write what is shown into the address, once it stays for a moment. */
function remember() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const state = { run: entry.keys[0], reading: entry.run, benchmark: entry.benchmark };
    const same = INDEX.filter((each) => each.keys[0] === state.run && each.benchmark === state.benchmark);
    if (same.length < 2) delete state.reading;
    Object.assign(state, { omega: Number(omega.toFixed(6)), task: selected.task.id });
    history.replaceState(null, "", `#explorer?${new URLSearchParams(state)}`);
  }, 400);
}

/** Show what the address says, if it says something of the explorer. */
function recall() {
  if (!location.hash.startsWith("#explorer?")) return false;
  const state = new URLSearchParams(location.hash.slice("#explorer?".length));
  const found = INDEX.find(
    (each) =>
      each.keys.includes(state.get("run")) &&
      each.benchmark === state.get("benchmark") &&
      (each.run === state.get("reading") || !state.has("reading")),
  );
  if (!found) return false;
  pick(found, { omega: Number(state.get("omega")) || 0, task: state.get("task") ?? undefined });
  $("explorer").scrollIntoView();
  return true;
}

function makeRows(texts) {
  rows = series.tasks.map((task, place) => {
    const known = task.outcome.map(statusOf).filter((status) => status !== "unknown");
    const plain = statusOf(task.plain?.[1]);
    const item = element("li", { id: `task-${place}`, role: "option" });
    const [label, change, before, arrow, now] = Array.from({ length: 5 }, () => element("span"));
    item.append(label, change, before, arrow, now);
    [label.textContent, arrow.textContent] = [task.id, "→"];
    mark(before, plain);
    item.addEventListener("click", () => select(row));
    const prompt = texts[task.prompt];
    const row = {
      task,
      item,
      plain,
      prompt,
      now,
      flip: change,
      place: undefined,
      varies: new Set(known.map((status) => status === "pass")).size > 1,
      words: `${task.id}\n${prompt}\n${task.plain ? series.texts[task.plain[0]] : ""}`.toLowerCase(),
    };
    return row;
  });
  $("tasks").replaceChildren(...rows.map((row) => row.item));
}

// ---- moving over omega ----

/** The place of the step that holds an omega; of single omegas, of the nearest. */
function stepAt(x) {
  const place = Math.max(0, lastUpTo(steps.omega_lo, x));
  const next = steps.omega_lo[place + 1];
  return !isInterval && next - x < x - steps.omega_lo[place] ? place + 1 : place;
}

function moveTo(value) {
  const x = Math.min(Math.max(value, steps.omega_lo[0]), lastOmega());
  const step = stepAt(x);
  omega = isInterval ? x : steps.omega_lo[step];
  $("omega").value = omega;
  if (document.activeElement !== $("exact")) $("exact").value = Number(omega.toFixed(9));
  $("marker").style.left = `${100 * across(omega)}%`;
  $("back").disabled = omega === steps.omega_lo[0];
  $("forth").disabled = step === steps.omega_lo.length - 1;
  const text = readingAt(omega);
  $("reading").textContent = text;
  $("omega").setAttribute("aria-valuetext", text);
  $("spa-title").textContent = `SPA, ω = ${Number(omega.toFixed(6))}`;
  updateRows();
}

function readingAt(x) {
  const step = stepAt(x);
  const at = (name) => steps[name][step];
  const [lo, hi] = [at("omega_lo"), at("omega_hi")];
  if (isInterval && (x > hi || (x === hi && hi !== lastOmega()))) return `ω = ${x.toPrecision(4)}: no verdict here`;
  const last = hi === lastOmega() ? "≤" : "<";
  const where = isInterval ? `${lo.toFixed(4)} ≤ ω ${last} ${hi.toFixed(4)}` : `ω = ${lo}`;
  const [passed, tasks] = [at("n_passed"), at("n_tasks")];
  const interval = `95% CI ${percent(at("ci_low"))} to ${percent(at("ci_high"))}`;
  const rate = `${where}: Pass@1 ${percent(passed / tasks)} (${passed} of ${tasks}, ${interval})`;
  if (at("delta") === null) return `${rate}; no plain run to compare with`;
  const flips = `fixed ${at("fixed")}, broken ${at("broken")}, p = ${at("p_value").toFixed(3)}`;
  const delta = `${signed(at("delta"))} points, ${signed(at("delta_low"))} to ${signed(at("delta_high"))}`;
  return `${rate}; plain ${percent(at("baseline_pass_at_1"))} (${delta}), ${flips}`;
}

/** To the next or previous omega at which Pass@1's set of tasks changes; `by` counts steps. */
function stepBy(by) {
  const step = stepAt(omega);
  const back = by < 0 && omega > steps.omega_lo[step] ? step + 1 : step; // first to this step's own beginning
  moveTo(steps.omega_lo[Math.min(Math.max(back + by, 0), steps.omega_lo.length - 1)]);
}

// ---- the list ----

/** Bring every row up to date with omega; touches only what changes. */
function updateRows() {
  for (const row of rows) {
    const place = lineAt(row.task, omega);
    if (place === row.place) continue;
    row.place = place;
    row.text = place < 0 ? undefined : row.task.text[place];
    row.differs = place >= 0 && row.task.plain !== null && row.text !== row.task.plain[0];
    const status = statusOf(row.task.outcome[place]);
    const known = status !== "unknown" && row.plain !== "unknown" && (status === "pass") !== (row.plain === "pass");
    row.change = !known ? "" : status === "pass" ? "fixed" : "broken";
    row.flip.textContent = row.flip.className = row.change;
    if (status !== row.status) mark(row.now, status);
    row.status = status;
    row.item.ariaLabel = `${row.task.id}: plain ${row.plain}, now ${status}${row.change && `, ${row.change}`}`;
    if (row === selected) showTask();
  }
  filterRows();
}

function filterRows() {
  const wanted = $("search").value.trim().toLowerCase();
  const found = rows.filter(
    (row) =>
      !wanted || row.words.includes(wanted) || (row.differs && series.texts[row.text].toLowerCase().includes(wanted)),
  );
  const chosen = $("filters").querySelector(":checked").value;
  for (const [name, keeps] of Object.entries(FILTERS)) counters[name].textContent = found.filter(keeps).length;
  const shown = new Set(found.filter(FILTERS[chosen]));
  for (const row of rows) if (row.item.hidden === shown.has(row)) row.item.hidden = !row.item.hidden;
  $("none").hidden = shown.size > 0;
}

function select(row) {
  if (!row) return;
  selected?.item.setAttribute("aria-selected", "false");
  selected = row;
  row.item.setAttribute("aria-selected", "true");
  $("tasks").setAttribute("aria-activedescendant", row.item.id);
  const [list, top] = [$("tasks"), row.item.offsetTop];
  list.scrollTop = Math.min(Math.max(list.scrollTop, top + row.item.offsetHeight - list.clientHeight), top);
  showPrompt(row.prompt, row.task.spans);
  showTask();
}

/** The visible row that many places further on. */
function selectBy(by) {
  const visible = rows.filter((row) => !row.item.hidden);
  const here = visible.indexOf(selected);
  select(visible[Math.min(Math.max(here + by, 0), visible.length - 1)]);
}

// ---- events ----

const STEPS_OF_KEYS = {
  ArrowRight: 1,
  ArrowUp: 1,
  ArrowLeft: -1,
  ArrowDown: -1,
  PageUp: 10,
  PageDown: -10,
  Home: -Infinity,
  End: Infinity,
};
const ROWS_OF_KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

function onKeys(id, moves, act) {
  $(id).addEventListener("keydown", (event) => {
    if (!(event.key in moves)) return;
    event.preventDefault();
    act(moves[event.key]);
  });
}

const counters = {};
for (const name of Object.keys(FILTERS)) {
  const label = element("label");
  counters[name] = element("b");
  label.append(element("input", { type: "radio", name: "show", value: name }), `${name} `, counters[name]);
  $("filters").append(label);
}
$("filters").querySelector("input").checked = true;
for (const kind of ["click", "input", "change", "keydown"]) $("view").addEventListener(kind, remember);
$("pick").addEventListener("change", () => pick(Object.fromEntries(new FormData($("pick")))));
$("plot").addEventListener("pointermove", hover);
$("plot").addEventListener("pointerdown", (event) => moveTo(omegaAt(event)));
$("plot").addEventListener("pointerleave", leave);
$("omega").addEventListener("input", () => moveTo(Number($("omega").value)));
$("exact").addEventListener("input", () => {
  if ($("exact").value) moveTo(Number($("exact").value)); // empty, too, where it is no number
});
$("exact").addEventListener("blur", () => moveTo(omega)); // shows what was taken of a number out of range
$("back").addEventListener("click", () => stepBy(-1));
$("forth").addEventListener("click", () => stepBy(1));
$("earlier").addEventListener("click", () => moveTo(nextText(selected.task, selected.place, -1)));
$("later").addEventListener("click", () => moveTo(nextText(selected.task, selected.place, 1)));
$("search").addEventListener("input", filterRows);
$("filters").addEventListener("change", filterRows);
onKeys("omega", STEPS_OF_KEYS, stepBy);
onKeys("tasks", ROWS_OF_KEYS, selectBy);

window.addEventListener("hashchange", recall);
if (!recall()) pick(INDEX[START]);
