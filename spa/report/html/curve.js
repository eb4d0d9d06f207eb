// The curve over omega: SPA less plain decoding in points, or Pass@1 (%) where there is no plain run, with its band.

/** Where an omega lies on the axis, from 0 to 1. */
function across(x) {
  const [first, last] = [steps.omega_lo[0], lastOmega()];
  return last > first ? (x - first) / (last - first) : 0.5;
}

const percent = (rate) => `${(rate * 100).toFixed(1)}%`;
const signed = (delta) => `${delta > 0 ? "+" : ""}${(delta * 100).toFixed(1)}`;

/** Round numbers within a range, about as many as asked for. */
function ticks(from, to, about) {
  const least = (to - from || 1) / about;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= least * 0.999);
  const first = Math.ceil(from / step - 1e-9);
  const count = Math.floor(to / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

function drawCurve() {
  const { omega_lo: lo, omega_hi: hi } = steps;
  const paired = steps.delta.every((delta) => delta !== null);
  const of = (values) => values.map((value) => value * 100);
  const rates = of(paired ? steps.delta : steps.n_passed.map((passed, i) => passed / steps.n_tasks[i]));
  const [low, high] = (paired ? [steps.delta_low, steps.delta_high] : [steps.ci_low, steps.ci_high]).map(of);
  const bottom = Math.min(...low) - 0.5,
    top = Math.max(...high) + 0.5;
  const x = (value) => (1000 * across(value)).toFixed(2);
  const down = (value) => (100 * (top - value)) / (top - bottom);
  const y = (value) => down(value).toFixed(2);
  const line = (values) =>
    // a step function, or points joined by lines; a gap lifts the pen
    values
      .map((value, i) => {
        const pen = i && (!isInterval || hi[i - 1] === lo[i]) ? "L" : "M";
        return `${pen}${x(lo[i])} ${y(value)}${isInterval ? `H${x(hi[i])}` : ""}`;
      })
      .join("");
  const corner = (i, ends) => `${x(lo[i])} ${y(ends[i])}`;
  const band = lo
    .map((_, i) => {
      if (isInterval) return `M${corner(i, low)}H${x(hi[i])}V${y(high[i])}H${x(lo[i])}Z`;
      return i ? `M${corner(i - 1, low)}L${corner(i, low)}L${corner(i, high)}L${corner(i - 1, high)}Z` : "";
    })
    .join("");
  const marks = ticks(bottom, top, 5);
  for (const [name, path] of Object.entries({
    grid: marks.map((value) => `M0 ${y(value)}H1000`).join(""),
    band,
    zero: paired ? `M0 ${y(0)}H1000` : "",
    rate: line(rates),
    dots: isInterval ? "" : rates.map((rate, i) => `M${x(lo[i])} ${y(rate)}h0`).join(""),
  }))
    $("curve").querySelector(`.${name}`).setAttribute("d", path);
  const tick = (text, side, place) => {
    const label = element("span", { textContent: text });
    label.style[side] = `${place}%`;
    return label;
  };
  $("levels").replaceChildren(...marks.map((value) => tick(value, "top", down(value))));
  const omegas = ticks(lo[0], lastOmega(), innerWidth < 600 ? 4 : 10);
  $("omegas").replaceChildren(...omegas.map((value) => tick(value, "left", 100 * across(value))));
  $("quantity").textContent = paired ? "SPA − plain (points)" : "Pass@1 (%)";
  const [least, most] = [Math.min(...rates), Math.max(...rates)].map((rate) => rate.toFixed(1));
  $("curve-title").textContent = `${$("quantity").textContent} over omega: from ${least} to ${most}`;
}

/** The omega below a pointer. */
function omegaAt(event) {
  const { left, width } = $("plot").getBoundingClientRect();
  const part = Math.min(Math.max((event.clientX - left) / width, 0), 1);
  return steps.omega_lo[0] + part * (lastOmega() - steps.omega_lo[0]);
}

function hover(event) {
  if (event.buttons & 1) moveTo(omegaAt(event));
  const value = omegaAt(event);
  $("hover").hidden = false;
  $("hover").style.left = `${100 * across(isInterval ? value : steps.omega_lo[stepAt(value)])}%`;
  showTip(readingAt(value), event.clientX + 12, $("plot").getBoundingClientRect().bottom + 4);
}

function leave() {
  $("hover").hidden = true;
  hideTip();
}
