#!/usr/bin/env python3
"""Times outlierlab's float evaluation against PyTorch's on the same model, task, batches and threads.

    python3 bench/pytorch.py --outlierlab build/release/outlierlab --model DIR --data DIR [--limit 1000]

Needs torch and transformers (PyPI). PyTorch runs the Hugging Face model in float32 twice: with the same
length-sorted batches, padded to the longest of each batch, and as the usual script has it, in file order and padded
to 128. Contenders take turns; the figures are medians, the ratios medians over pairs. The accuracies of both sides
are compared before any time is printed: they may differ by one example. Each of outlierlab's passes is the first of a
process, PyTorch's run in a warm one.
"""
import argparse
import csv
import json
import os
import statistics
import subprocess
import tempfile
import time


def read_dev(folder, limit):
    with open(os.path.join(folder, "dev.tsv"), encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    return rows[:limit] if limit else rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlierlab", default="build/release/outlierlab")
    parser.add_argument("--model", required=True, help="Hugging Face folder of a QNLI classifier")
    parser.add_argument("--data", required=True, help="folder with QNLI's dev.tsv")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(args.model).eval()
    rows = read_dev(args.data, args.limit)
    encoded = [tokenizer(r["question"], r["sentence"], truncation="longest_first", max_length=128) for r in rows]
    by_length = sorted(range(len(rows)), key=lambda i: (len(encoded[i]["input_ids"]), i))
    step = args.batch_size
    sorted_batches = [by_length[i:i + step] for i in range(0, len(rows), step)]
    plain_batches = [list(range(i, min(i + step, len(rows)))) for i in range(0, len(rows), step)]

    def collate(batch, width):
        padded = tokenizer.pad([encoded[i] for i in batch], padding="longest" if width is None else "max_length",
                               max_length=width, return_tensors="pt")
        return {k: padded[k] for k in ("input_ids", "token_type_ids", "attention_mask")}

    inputs_sorted = [collate(b, None) for b in sorted_batches]
    inputs_plain = [collate(b, 128) for b in plain_batches]
    labels = {name: i for i, name in model.config.id2label.items()}

    @torch.no_grad()
    def torch_pass(inputs, batches):
        predicted = [0] * len(rows)
        start = time.perf_counter()
        for x, batch in zip(inputs, batches):
            for i, p in zip(batch, model(**x).logits.argmax(-1).tolist()):
                predicted[i] = p
        return time.perf_counter() - start, predicted

    def ours():
        with tempfile.TemporaryDirectory() as scratch:
            out = os.path.join(scratch, "eval.json")
            subprocess.run([args.outlierlab, "eval", "--model", args.model, "--task", "qnli", "--data", args.data,
                            "--scheme", "fp32", "--limit", str(args.limit), "--threads", str(args.threads),
                            "--batch-size", str(step), "--json", out], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            with open(out) as f:
                return json.load(f)

    _, predicted = torch_pass(inputs_sorted, sorted_batches)
    torch_pass(inputs_plain, plain_batches)
    accuracy = 100 * sum(p == labels[r["label"]] for p, r in zip(predicted, rows)) / len(rows)
    found = ours()
    if abs(found["accuracy"] - accuracy) > 100.5 / len(rows):
        raise SystemExit(f"accuracies disagree: PyTorch {accuracy:.3f} %, outlierlab {found['accuracy']:.3f} %")

    seconds = {"PyTorch, sorted": [], "PyTorch, padded to 128": [], "outlierlab": []}
    for _ in range(args.repeats):
        seconds["PyTorch, sorted"].append(torch_pass(inputs_sorted, sorted_batches)[0])
        seconds["outlierlab"].append(ours()["seconds"])
        seconds["PyTorch, padded to 128"].append(torch_pass(inputs_plain, plain_batches)[0])

    print(f"{len(rows)} examples, {args.threads} threads, batches of {step}, torch {torch.__version__}, "
          f"{args.repeats} repeats; accuracy {found['accuracy']:.2f} % and {accuracy:.2f} %")
    print(f"{'':<26}{'examples/s':>12}{'outlierlab is faster by':>26}")
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, seconds["outlierlab"]))
        print(f"{name:<26}{len(rows) / statistics.median(times):>12.1f}{ratio:>26.2f}")


if __name__ == "__main__":
    main()
