"""Writes inference.json: reference values of scipy for the tests of src/report/inference.h."""

import json
import pathlib

import numpy as np
from scipy import stats
from scipy.special import log_softmax

wilson = []
for k, n in [(0, 10), (10, 10), (1, 10), (45, 100), (4898, 5463), (2968, 5463), (1, 1), (123456, 1000000)]:
    interval = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    wilson.append([k, n, interval.low, interval.high])

mcnemar = []
for b, c in [(0, 0), (0, 1), (0, 6), (3, 3), (3, 9), (10, 25), (40, 41), (5, 120), (300, 350), (1000, 1200),
             (49000, 50000), (2, 900), (0, 1100)]:
    p = stats.binomtest(min(b, c), b + c).pvalue if b + c else 1.0
    mcnemar.append([b, c, p])

student = []
for values in [[1.0, 2.0], [54.1, 53.2, 55.0], [1.0, 2.0, 3.0, 4.0], [3.5, 3.5, 3.5],
               [float(v) for v in range(30)], [float(v * v % 17) for v in range(101)]]:
    mean, sem = np.mean(values), stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, mean, sem) if sem > 0 else (mean, mean)
    student.append({"values": values, "mean": mean, "sd": np.std(values, ddof=1), "low": low, "high": high})

p = np.array([[2.0, -1.0], [0.5, 0.25], [80.0, -80.0], [1000.0, 1001.0]], dtype=np.float32)
q = np.array([[1.5, -0.5], [-0.5, 0.75], [79.0, -60.0], [1001.0, 1000.0]], dtype=np.float32)
lp, lq = log_softmax(p.astype(float), axis=1), log_softmax(q.astype(float), axis=1)
kl = float((np.exp(lp) * (lp - lq)).sum(axis=1).mean())

out = {"wilson": wilson, "mcnemar": mcnemar, "student": student,
       "kl": {"reference": p.ravel().tolist(), "other": q.ravel().tolist(), "columns": 2, "value": kl}}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
