// The curve of Pass@1 over omega: a step function with its band, or points joined by lines.

/** Where an omega lies on the axis, from 0 to 1. */
function across(x) {
  const [first, last] = [steps.omega_lo[0], lastOmega()];
  return last > first ? (x - first) / (last - first) : 0.5;
}

const percent = (rate) => `${(rate * 100).toFixed(1)}%`;

function drawCurve() {
  const { omega_lo: lo, omega_hi: hi, ci_low: low, ci_high: high } = steps;
  const rates = steps.n_passed.map((passed, i) => passed / steps.n_tasks[i]);
  const bottom = Math.max(0, Math.min(...low) - 0.005),
    top = Math.min(1, Math.max(...high) + 0.005);
  const x = (value) => (1000 * across(value)).toFixed(2);
  const y = (rate) => (100 - (100 * (rate - bottom)) / (top - bottom)).toFixed(2);
  const line = (values) =>
    // a step function, or points joined by lines; a gap lifts the pen
    values
      .map((rate, i) => {
        const pen = i && (!isInterval || hi[i - 1] === lo[i]) ? "L" : "M";
        return `${pen}${x(lo[i])} ${y(rate)}${isInterval ? `H${x(hi[i])}` : ""}`;
      })
      .join("");
  const corner = (i, ends) => `${x(lo[i])} ${y(ends[i])}`;
  const band = lo
    .map((_, i) => {
      if (isInterval) return `M${corner(i, low)}H${x(hi[i])}V${y(high[i])}H${x(lo[i])}Z`;
      return i ? `M${corner(i - 1, low)}L${corner(i, low)}L${corner(i, high)}L${corner(i - 1, high)}Z` : "";
    })
    .join("");
  const plain = steps.baseline_pass_at_1.find((rate) => rate !== null);
  const [bandPath, plainPath, ratePath, dotsPath] = $("curve").querySelectorAll("path");
  bandPath.setAttribute("d", band);
  plainPath.setAttribute("d", plain === undefined ? "" : `M0 ${y(plain)}H1000`);
  $("plain-rate").textContent = plain === undefined ? "" : `plain ${percent(plain)}`;
  $("plain-rate").style.top = plain === undefined ? "0" : `${y(plain)}%`;
  ratePath.setAttribute("d", line(rates));
  dotsPath.setAttribute("d", isInterval ? "" : rates.map((rate, i) => `M${x(lo[i])} ${y(rate)}h0`).join(""));
  $("high").textContent = `Pass@1 ${percent(top)}`;
  $("low").textContent = percent(bottom);
  $("first").textContent = lo[0];
  $("last").textContent = lastOmega();
  const [least, most] = [Math.min(...rates), Math.max(...rates)].map(percent);
  $("curve-title").textContent = `Pass@1 over omega: from ${least} to ${most}`;
}
