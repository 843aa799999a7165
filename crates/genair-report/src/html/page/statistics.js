// Means over seeds, and the paired t-test of two runs over their users. The same numbers as
// genair-report's `statistics`, which are checked against SciPy's; so are these, in the browser's test.

/** Mean and standard deviation of the sample (n - 1); the latter NaN for a single value. */
function summarise(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n, mean, std: n > 1 ? Math.sqrt(squares / (n - 1)) : NaN };
}

/** Of a target's rank, from 0; `k` is the cut-off. */
function gain(metric, rank, k) {
  if (rank >= k) return 0;
  if (metric === "hr") return 1;
  return metric === "ndcg" ? 1 / Math.log2(rank + 2) : 1 / (rank + 1);
}

/** Two-sided, of b against a: mean difference, its 95 % interval, t, p and Cohen's d_z. */
function pairedTest(a, b) {
  const { n, mean, std } = summarise(Array.from(a, (value, at) => b[at] - value));
  const error = std / Math.sqrt(n);
  const t = mean === 0 ? 0 : mean / error;
  const half = error === 0 ? 0 : criticalT(n - 1) * error;
  return { n, mean, t, p: twoSided(t, n - 1), interval: [mean - half, mean + half], effect: mean === 0 ? 0 : mean / std };
}

/** Chance of a t at least as far from 0 under Student's distribution. */
function twoSided(t, degrees) {
  if (!Number.isFinite(t)) return 0;
  return incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5);
}

/** The t that bounds the central 95 %: bisection, since `twoSided` falls. */
function criticalT(degrees) {
  let [low, high] = [0, 1e3];
  for (let step = 0; step < 200 && high - low > 1e-14 * high; step += 1) {
    const middle = (low + high) / 2;
    if (twoSided(middle, degrees) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Regularised I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8) in Lentz's form. */
function incompleteBeta(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast on one side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  const tiny = 1e-300;
  let [f, c, d] = [1, 1, 0];
  for (let step = 0; step < 10_000; step += 1) {
    const m = step >> 1;
    let numerator = 1;
    if (step > 0) {
      numerator = step % 2 === 0
        ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
        : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    }
    d = 1 + numerator * d;
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    c = 1 + numerator / c;
    if (Math.abs(c) < tiny) c = tiny;
    f *= c * d;
    if (Math.abs(1 - c * d) < 1e-15) break;
  }
  return front * (f - 1);
}

/** log Γ of a positive number: Stirling's series, after shifting small ones up. */
function logGamma(x) {
  let shift = 0;
  while (x < 15) {
    shift += Math.log(x);
    x += 1;
  }
  const z = 1 / (x * x);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - (z * 691) / 360360))))) / x;
  return (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + series - shift;
}
