#!/usr/bin/env python3
"""Runs the snippets of docs/reading-the-data.md on the demo.

    run_snippets.py OUTLIERLAB               the program makes a small activation file and results first
    run_snippets.py ACTIVATIONS.h5 RESULTS   files of `outlierlab capture` and `outlierlab run --out`

Snippets whose program or module is not installed are named and left out. Exit code 0: all others ran; 1: one failed;
77: none ran.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "reading-the-data.md"


def succeeds(command):
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def missing(language, code):
    """What a snippet needs and this machine lacks, or None."""
    if language == "python":
        for module in re.findall(r"^(?:import|from) (\w+)", code, re.M):
            if not succeeds([sys.executable, "-c", f"import {module}"]):
                return f"Python's {module}"
    if language == "r":
        if shutil.which("Rscript") is None:
            return "R"
        for package in re.findall(r"library\((\w+)\)", code):
            if not succeeds(["Rscript", "-e", f"library({package})"]):
                return f"R's {package}"
    if language == "gnuplot":
        for program in ["gnuplot"] + (["h5dump"] if "h5dump" in code else []):
            if shutil.which(program) is None:
                return program
    return None


def run(language, code, folder):
    picture = folder / "picture.png"
    picture.unlink(missing_ok=True)
    if language == "python":
        command = [sys.executable, "-c", code]
    elif language == "r":
        command = ["Rscript", "-e", f'png("{picture.name}")\n{code}\ninvisible(dev.off())']
    else:
        command = ["gnuplot", "-e", f"set terminal png; set output '{picture.name}'", "-"]
    result = subprocess.run(
        command, cwd=folder, input=code if language == "gnuplot" else None, capture_output=True, text=True
    )
    # gnuplot goes on after "no valid points" and the like, with a word on stderr.
    complaint = result.stderr.strip() if language == "gnuplot" else ""
    if result.returncode != 0 or complaint:
        return result.stderr
    if language == "python" and not result.stdout.strip():
        return "printed nothing"
    if language != "python" and not (picture.exists() and picture.stat().st_size > 0):
        return "drew nothing"
    return None


def make_inputs(outlierlab, folder):
    demo = ["--model", "demo-planted"]
    for command in (
        ["capture", *demo, "--calibration-size", "16", "--out", "activations.h5"],
        ["run", "peg", *demo, "--calibration-size", "16", "--limit", "16", "--out", "results"],
    ):
        result = subprocess.run([Path(outlierlab).resolve(), *command], cwd=folder, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{' '.join(command)}: {result.stderr}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    snippets = re.findall(r"^```(python|r|gnuplot)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    ran = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if len(sys.argv) == 2:
            make_inputs(sys.argv[1], folder)
        else:
            os.symlink(Path(sys.argv[1]).resolve(), folder / "activations.h5")
            os.symlink(Path(sys.argv[2]).resolve(), folder / "results")
        for number, (language, code) in enumerate(snippets, 1):
            lacking = missing(language, code)
            if lacking:
                print(f"snippet {number} ({language}): left out, needs {lacking}")
                continue
            error = run(language, code, folder)
            ran += 1
            failed += error is not None
            print(f"snippet {number} ({language}): {error or 'ok'}")
    sys.exit(1 if failed else 0 if ran else 77)


if __name__ == "__main__":
    main()
