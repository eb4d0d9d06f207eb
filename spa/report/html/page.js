// The page around the explorer: explanations of headings, and links into what is folded.

const tip = document.getElementById("tip");
let term; // the heading that is explained

/** Show the explanation of the heading under the pointer or the focus. */
function explain(event) {
  term = event.target.closest?.("[data-help]");
  tip.hidden = !term;
  if (!term) return;
  term.setAttribute("aria-describedby", "tip");
  below();
}

function below() {
  const { left, bottom } = term.getBoundingClientRect();
  showTip(term.dataset.help, left, bottom + 4);
}

/** Show a text at a place, or as near to it as the window allows. */
function showTip(text, left, top) {
  [tip.textContent, tip.hidden] = [text, false];
  const x = Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8));
  const y = Math.min(top, innerHeight - tip.offsetHeight - 4);
  Object.assign(tip.style, { left: `${x}px`, top: `${y}px` });
}

function hideTip() {
  [tip.hidden, term] = [true, undefined];
}

document.addEventListener("pointerover", explain);
document.addEventListener("focusin", explain);
document.addEventListener("scroll", () => (term ? below() : hideTip()), { capture: true, passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});

/** Unfold what the address points into. */
function unfold() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView();
}

window.addEventListener("hashchange", unfold);
unfold();
