"""Writes quant_grid.txt: grids and round trips in numpy's float32, the reference of tests/quant/grid_test.cpp.

Lines (floats as hexadecimal bit patterns):
    grid affine|symmetric BITS LO HI SCALE ZERO QMIN QMAX     then its values:
    value V Q ROUND_TRIP
    matrix BITS ROWS COLS                                     affine per column, then ROWS * COLS values as above, by row

Run: python3 quant_reference.py
"""
import os

import numpy as np

np.seterr(all="ignore")
f32 = np.float32
BOUND = f32(2.0) ** f32(126)


def bits_of(v):
    return format(int(np.array([v], dtype=f32).view(np.uint32)[0]), "08x")


def normal_or_zero(scale):
    return scale if scale >= np.finfo(f32).tiny else f32(0)


def affine(lo, hi, bits):
    lo = min(max(f32(lo), -BOUND), f32(0))
    hi = max(min(f32(hi), BOUND), f32(0))
    qmax = 2**bits - 1
    scale = normal_or_zero(f32(f32(hi - lo) / f32(qmax)))
    zero = int(np.clip(np.rint(f32(-lo / scale)), 0, qmax)) if scale > 0 else 0
    return scale, zero, 0, qmax


def symmetric(absmax, bits):
    qmax = 2 ** (bits - 1) - 1
    return normal_or_zero(f32(min(abs(f32(absmax)), BOUND) / f32(qmax))), 0, -qmax, qmax


def quantize(v, grid):
    scale, zero, qmin, qmax = grid
    if not scale > 0:
        return zero
    return int(np.clip(float(np.rint(f32(f32(v) / scale))) + zero, qmin, qmax))


def round_trip(v, grid):
    return f32(grid[0] * f32(quantize(v, grid) - grid[1]))


def values_of(grid, rng):
    scale, zero, qmin, qmax = grid
    steps = [-1, -0.5, 0, 0.5, 1, 1.5, 2.5, qmin - zero, qmax - zero, qmin - zero - 0.5, qmax - zero + 0.5]
    values = [f32(s) * scale for s in steps] + [f32(-0.0), f32(1e-45), f32(3e38), f32(-3e38)]
    span = float(scale) * (qmax - qmin) if scale > 0 else 1.0
    values += [f32(v) for v in rng.uniform(-1, 1, 6) * min(span, 1e38)]
    return values


def main():
    rng = np.random.default_rng(7)
    lines = []
    ranges = [(-1, 1), (-0.17, 5.5), (0, 1), (2, 3), (-3, -2), (0, 0), (4, 4), (-7, -7), (0, 1e-45), (0, 1e-43),
              (-2e-44, 3e-43), (-1e-39, 2e-39), (-1e30, 2e30), (-3.4e38, 3.4e38), (-0.1, 60)]
    for index, (lo, hi) in enumerate(ranges):
        for bits in (2, 3, 4, 8, 16) if index else range(2, 17):
            for kind in ("affine", "symmetric"):
                lo32, hi32 = f32(lo), f32(hi)
                grid = affine(lo32, hi32, bits) if kind == "affine" else symmetric(max(abs(lo32), abs(hi32)), bits)
                head = [bits_of(lo32), bits_of(hi32), bits_of(grid[0])] + [str(x) for x in grid[1:]]
                lines.append(f"grid {kind} {bits} " + " ".join(head))
                for v in values_of(grid, rng):
                    lines.append(f"value {bits_of(v)} {quantize(v, grid)} {bits_of(round_trip(v, grid))}")
    for bits in (4, 8):
        m = (rng.standard_normal((5, 19)) * np.logspace(-3, 3, 19)).astype(f32)
        m[:, 3] = 0
        m[:, 4] = 2.5
        grids = [affine(c.min(), c.max(), bits) for c in m.T]
        lines.append(f"matrix {bits} 5 19")
        for row in m:
            for v, grid in zip(row, grids):
                lines.append(f"value {bits_of(v)} {quantize(v, grid)} {bits_of(round_trip(v, grid))}")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quant_grid.txt")
    with open(path, "w") as out:
        out.write("\n".join(lines) + "\n")


main()
