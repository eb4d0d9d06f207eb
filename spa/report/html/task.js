// One task of the explorer: where its text changes, the prompt with its anchor, two programs side by side.

function showTask() {
  const { task, place, change } = selected;
  $("name").textContent = task.id;
  $("change").textContent = change;
  $("change").className = `badge ${change}`;
  showStrip(task, place);
  const now = place < 0 ? null : [task.text[place], task.outcome[place]];
  const programs = [task.plain, now].map((line) => line && series.texts[line[0]]);
  const at = programs.includes(null) ? -1 : firstDifference(...programs);
  for (const [side, line, program] of [
    ["plain", task.plain, programs[0]],
    ["spa", now, programs[1]],
  ]) {
    const verdict = $(`${side}-verdict`);
    verdict.className = statusOf(line?.[1]);
    verdict.textContent = line ? `${MARKS[verdict.className]} ${verdictText(line[1])}` : "no text here";
    showProgram($(side), program ?? "", at);
  }
  const token = task.token[place] ?? null;
  $("differs").textContent = differenceText(programs, at, token);
}

function differenceText(programs, at, token) {
  if (programs.includes(null)) return "";
  if (token === null) return "the same text as plain";
  if (at < 0) return `the same program; the texts part at token ${token + 1}`;
  const lines = programs[1].slice(0, at).split("\n");
  const where = `line ${lines.length}, column ${lines.at(-1).length + 1}`;
  return `the texts part at token ${token + 1}; the programs at ${where}`;
}

/** The place of the first character at which two texts differ, or -1; never within a surrogate pair. */
function firstDifference(one, other) {
  if (one === other) return -1;
  let at = 0;
  while (one[at] === other[at]) at++;
  return at > 0 && /[\uD800-\uDBFF]/.test(one[at - 1]) ? at - 1 : at;
}

/** The program, with the word, blank or sign marked in which it begins to differ. */
function showProgram(pre, program, at) {
  if (at < 0) {
    pre.textContent = program;
    return;
  }
  const [word] = program.slice(at).match(/^(\w+|\s+|[^])/u) ?? ["⟨end⟩"];
  const marked = element("mark", { textContent: word.replace(/^\n/, "↵\n") });
  pre.replaceChildren(program.slice(0, at), marked, program.slice(at + word.length));
  pre.scrollTop = marked.offsetTop - pre.clientHeight / 3;
}

/** Spans count code points. */
function showPrompt(prompt, spans) {
  const points = Array.from(prompt);
  const parts = [];
  let end = 0;
  for (const [start, stop] of spans) {
    parts.push(points.slice(end, start).join(""), element("mark", { textContent: points.slice(start, stop).join("") }));
    end = stop;
  }
  $("prompt").replaceChildren(...parts, points.slice(end).join(""));
  $("prompt").scrollTop = ($("prompt").querySelector("mark")?.offsetTop ?? 0) - 40;
  $("anchored").textContent = spans.length
    ? ", the anchored text highlighted"
    : " (without an anchor: decoded plainly)";
}

function showStrip(task, place) {
  const pieces = task.lo.map((lo, i) => {
    const piece = element("div", { className: statusOf(task.outcome[i]), title: `ω from ${lo}` });
    const width = isInterval ? across(endOf(task, i)) - across(lo) : 0;
    piece.style.left = isInterval ? `${100 * across(lo)}%` : `calc(${100 * across(lo)}% - 6px)`;
    piece.style.width = isInterval ? `${100 * width}%` : "12px";
    piece.classList.toggle("here", i === place);
    piece.addEventListener("click", () => moveTo(lo));
    return piece;
  });
  $("strip").replaceChildren(...pieces);
  $("earlier").disabled = nextText(task, place, -1) === undefined;
  $("later").disabled = nextText(task, place, 1) === undefined;
  const count = new Set(task.text).size;
  $("texts").textContent = count === 1 ? "one program at every ω" : `${count} programs over ω`;
}

/** The omega at which the next line with another text begins, in a direction. */
function nextText(task, place, direction) {
  for (let i = place + direction; i >= 0 && i < task.lo.length; i += direction)
    if (place < 0 || task.text[i] !== task.text[place]) return task.lo[i];
  return undefined;
}
