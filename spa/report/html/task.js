// One task of the explorer: where its text changes, the prompt with its anchor, two programs side by side.

const { hljs, python, diffArrays, diffWordsWithSpace } = libraries;
hljs.registerLanguage("python", python);
let isUnfolded = false; // the docstring that both programs have

function showTask() {
  const { task, place, change } = selected;
  $("name").textContent = task.id;
  $("change").textContent = change;
  $("change").className = `badge ${change}`;
  showStrip(task, place);
  const now = place < 0 ? null : [task.text[place], task.outcome[place]];
  const programs = [task.plain, now].map((line) => line && series.texts[line[0]]);
  for (const [side, line] of [
    ["plain", task.plain],
    ["spa", now],
  ]) {
    const verdict = $(`${side}-verdict`);
    verdict.className = statusOf(line?.[1]);
    verdict.textContent = line ? `${MARKS[verdict.className]} ${verdictText(line[1])}` : "no text here";
  }
  showPrograms(...programs.map((program) => (program ?? "").replace(/\r\n?/g, "\n")));
  $("differs").textContent = differenceText(programs, task.token[place] ?? null);
}

function differenceText(programs, token) {
  if (programs.includes(null)) return "";
  if (token === null) return "the same text as plain";
  const [plain, spa] = programs;
  if (plain === spa) return `the same program; the texts part at token ${token + 1}`;
  let at = 0;
  while (plain[at] === spa[at]) at++;
  const lines = spa.slice(0, at).split("\n");
  const where = `line ${lines.length}, column ${lines.at(-1).length + 1}`;
  return `the texts part at token ${token + 1}; the programs at ${where}`;
}

// ---- two programs ----

function showPrograms(...programs) {
  const [before, after] = programs.map(highlighted);
  const rows = aligned(...programs.map((program) => program.split("\n")));
  const folded = docstring(programs[0], rows);
  const body = rows.map(([i, j, differs]) => {
    const marks = differs && i >= 0 && j >= 0 ? changes(textOf(before[i]), textOf(after[j])) : [[], []];
    const row = element("tr", { className: differs ? "differs" : "" });
    row.append(...cells("plain", before, i, marks[0]), ...cells("spa", after, j, marks[1]));
    return row;
  });
  if (folded) body.splice(folded[0], 0, folding(body.slice(...folded)));
  $("lines").replaceChildren(...body);
  const first = $("lines").querySelector(".differs");
  $("programs").scrollTop = first ? first.offsetTop - $("programs").clientHeight / 3 : 0;
}

/** Code -> for each line its pieces: [text, class]. */
function highlighted(code) {
  const { value } = hljs.highlight(code, { language: "python" }); // escaped, but for the spans around tokens
  const lines = [[]];
  const walk = (node, kind) => {
    for (const child of node.childNodes) {
      if (child.nodeType !== Node.TEXT_NODE) walk(child, child.className);
      else
        child.data.split("\n").forEach((part, number) => {
          if (number) lines.push([]);
          if (part) lines.at(-1).push([part, kind]);
        });
    }
  };
  walk(element("template", { innerHTML: value }).content, "");
  return lines;
}

const textOf = (pieces) => pieces.map(([text]) => text).join("");

/** Rows of two columns of lines: [place in one or -1, place in the other or -1, whether they differ]. */
function aligned(one, other) {
  const rows = [];
  let [i, j] = [0, 0];
  let waiting = 0; // lines of one alone, which stand beside the lines of the other that follow
  for (const { count, added, removed } of diffArrays(one, other)) {
    if (removed) waiting = count;
    for (let k = 0; k < count; k++) {
      if (removed) rows.push([i++, -1, true]);
      else if (!added) rows.push([i++, j++, false]);
      else if (k < waiting) rows[rows.length - waiting + k][1] = j++;
      else rows.push([-1, j++, true]);
    }
    if (!removed) waiting = 0;
  }
  return rows;
}

/** Where two lines differ: half-open ranges of characters of each. */
function changes(one, other) {
  const ranges = [[], []];
  const at = [0, 0];
  for (const { value, added, removed } of diffWordsWithSpace(one, other)) {
    const sides = removed ? [0] : added ? [1] : [0, 1];
    if (sides.length === 1) ranges[sides[0]].push([at[sides[0]], at[sides[0]] + value.length]);
    for (const side of sides) at[side] += value.length;
  }
  return ranges;
}

function cells(side, lines, place, marks) {
  const code = element("td", { className: `code ${side}` });
  if (place < 0) code.classList.add("absent");
  else code.append(...spans(lines[place], marks));
  return [element("td", { className: `number ${side}`, textContent: place < 0 ? "" : place + 1 }), code];
}

/** A line's pieces, cut where a marked range begins or ends. */
function spans(pieces, marks) {
  const made = [];
  let at = 0;
  for (const [text, kind] of pieces) {
    const inside = marks.flat().filter((place) => place > at && place < at + text.length);
    const cuts = [at, ...inside, at + text.length];
    for (let k = 0; k + 1 < cuts.length; k++) {
      const isMarked = marks.some(([from, to]) => from <= cuts[k] && cuts[k] < to);
      const part = text.slice(cuts[k] - at, cuts[k + 1] - at);
      made.push(element(isMarked ? "mark" : "span", { className: kind, textContent: part }));
    }
    at += text.length;
  }
  return made;
}

/** The rows of the first docstring but its first line, where both programs have it and it is long; else null. */
function docstring(program, rows) {
  const found = /("""|''')[^]*?\1/.exec(program);
  if (!found) return null;
  const first = program.slice(0, found.index).split("\n").length; // the line below the quotes
  const length = found[0].split("\n").length - 1;
  const from = rows.findIndex(([i]) => i === first);
  const chosen = rows.slice(from, from + length);
  const isCommon = chosen.length === length && chosen.every(([i, , differs], k) => i === first + k && !differs);
  return length > 3 && isCommon ? [from, from + length] : null;
}

/** A row with a button that folds these rows. */
function folding(rows) {
  const button = element("button", { type: "button", id: "fold" });
  const show = () => {
    for (const row of rows) row.hidden = !isUnfolded;
    button.textContent = `${isUnfolded ? "▾ fold" : "▸ unfold"} ${rows.length} lines of the common docstring`;
    button.setAttribute("aria-expanded", isUnfolded);
  };
  button.addEventListener("click", () => {
    isUnfolded = !isUnfolded;
    show();
  });
  show();
  const row = element("tr", { className: "folding" });
  row.append(element("td", { colSpan: 4 }));
  row.firstChild.append(button);
  return row;
}

// ---- the prompt and the strip of texts ----

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
