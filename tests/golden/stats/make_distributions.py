"""Writes distributions.f32 (float32 values, one distribution after the other) and distributions.json (their moments and
percentiles by numpy and scipy, in double precision). Run in this folder: python3 make_distributions.py"""
import json

import numpy as np
from scipy import stats

n = 1536
rng = np.random.default_rng(2603)
normal = rng.standard_normal(n)
gelu = normal * stats.norm.cdf(normal)
outlier = normal.copy()
outlier[700] = 1e6
zeros_then_huge = np.zeros(n)
zeros_then_huge[n // 2:] = 3e7 * rng.standard_normal(n // 2)
distributions = {
    "normal": normal,
    "lognormal": np.exp(3 * rng.standard_normal(n)),
    "gelu": gelu,
    "one value 1e6 times the rest": outlier,
    "mean 1e4, deviation 1e-3": 1e4 + 1e-3 * rng.standard_normal(n),
    "all zero first, then huge": zeros_then_huge,
    "mixed signs over 12 decades": rng.choice([-1, 1], n) * 10 ** rng.uniform(-6, 6, n),
    "constant": np.full(n, -2.75),
}
percentiles = [0, 0.01, 0.5, 1, 10, 25, 50, 66.6, 90, 99, 99.5, 99.9, 99.99, 100]
expected = []
with open("distributions.f32", "wb") as out:
    for name, values in distributions.items():
        values = values.astype(np.float32)
        out.write(values.tobytes())
        exact = values.astype(np.longdouble)
        d = exact - exact.mean()
        expected.append({
            "name": name,
            "mean": float(exact.mean()),
            "variance": float((d**2).mean()),
            "skewness": float((d**3).mean() / (d**2).mean()**1.5) if d.any() else 0.0,
            "kurtosis": float((d**4).mean() / (d**2).mean()**2) if d.any() else 0.0,
            "percentiles": [float(p) for p in np.percentile(values.astype(np.float64), percentiles)],
        })
with open("distributions.json", "w") as out:
    json.dump({"n": n, "percentiles": percentiles, "distributions": expected}, out, indent=1)
    out.write("\n")
