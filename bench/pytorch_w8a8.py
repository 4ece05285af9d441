#!/usr/bin/env python3
"""An independent W8A8 in PyTorch, to check outlierlab's figure against.

    python3 bench/pytorch_w8a8.py --outlierlab build/release/outlierlab --model DIR --data DIR [--limit 400]

The conventions of docs/design.md, section 5, written down a second time with plain tensor operations: symmetric
min-max weights per tensor (embeddings and classifier too), asymmetric static min-max activations per tensor at every
site, ranges from the float network over the first 256 training examples, padding ignored. Prints accuracy and KL of
both programs; exits with 1 if accuracies differ by more than the tolerance or KL by more than 10 %. A value that lies within float
rounding of a boundary between two levels may fall to either side, so a few predictions may differ.

Needs torch and transformers (PyPI).
"""
import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Bert:
    """The forward pass with every activation passed through site(name, value, valid)."""

    def __init__(self, model, quantize_weights):
        config = model.config
        self.heads, self.layers, self.eps = config.num_attention_heads, config.num_hidden_layers, config.layer_norm_eps
        self.w = {k.removeprefix("bert."): v.detach().clone() for k, v in model.state_dict().items()}
        if quantize_weights:
            for name, w in self.w.items():
                if w.dim() == 2 and w.is_floating_point():
                    scale = w.abs().max() / 127
                    self.w[name] = torch.clamp(torch.round(w / scale), -127, 127) * scale

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], self.eps)

    def logits(self, ids, types, mask, site):
        w, (n, t) = self.w, ids.shape
        tokens = mask.bool()
        pairs = (tokens[:, None, :, None] & tokens[:, None, None, :]).expand(n, self.heads, t, t)
        split = lambda v: v.view(n, t, self.heads, -1).transpose(1, 2)
        e = "embeddings."
        x = w[e + "word_embeddings.weight"][ids] + w[e + "token_type_embeddings.weight"][types]
        x = site("embeddings.sum", x + w[e + "position_embeddings.weight"][:t], tokens)
        x = site("embeddings.norm", self.norm(e + "LayerNorm", x), tokens)
        for i in range(self.layers):
            p, s = f"encoder.layer.{i}.", f"layer.{i}."
            q, k, v = (site(s + part, self.linear(p + "attention.self." + part, x), tokens)
                       for part in ("query", "key", "value"))
            scores = site(s + "scores", split(q) @ split(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // self.heads), pairs)
            probs = site(s + "probs", scores.masked_fill(~tokens[:, None, None, :], -math.inf).softmax(-1), pairs)
            probs = probs * tokens[:, None, None, :]
            context = site(s + "context", (probs @ split(v)).transpose(1, 2).reshape(n, t, -1), tokens)
            a = site(s + "attention_output", self.linear(p + "attention.output.dense", context), tokens)
            a = site(s + "attention_residual", a + x, tokens)
            a = site(s + "ffn_input", self.norm(p + "attention.output.LayerNorm", a), tokens)
            h = site(s + "ffn_hidden", F.gelu(self.linear(p + "intermediate.dense", a)), tokens)
            h = site(s + "ffn_output", self.linear(p + "output.dense", h), tokens)
            y = site(s + "ffn_residual", a + h, tokens)
            x = site(s + "output", self.norm(p + "output.LayerNorm", y), tokens)
        pooled = site("pooler", torch.tanh(self.linear("pooler.dense", x[:, 0])), None)
        return self.linear("classifier", pooled)


def read(folder, names, limit):
    path = next(p for p in (os.path.join(folder, n) for n in names) if os.path.exists(p))
    with open(path, encoding="utf-8") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))[:limit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlierlab", default="build/release/outlierlab")
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=1.0, help="percentage points of accuracy")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(args.model).eval()
    labels = {name: i for i, name in model.config.id2label.items()}

    def batches(rows):
        encoded = [tokenizer(r["question"], r["sentence"], truncation="longest_first", max_length=128) for r in rows]
        order = sorted(range(len(rows)), key=lambda i: len(encoded[i]["input_ids"]))
        for i in range(0, len(order), 32):
            chosen = order[i:i + 32]
            x = tokenizer.pad([encoded[j] for j in chosen], return_tensors="pt")
            yield chosen, (x["input_ids"], x["token_type_ids"], x["attention_mask"])

    ranges = {}

    def observe(name, v, valid):
        values = v if valid is None else v[valid]
        lo, hi = ranges.get(name, (math.inf, -math.inf))
        ranges[name] = (min(lo, values.min().item()), max(hi, values.max().item()))
        return v

    def fake_quantize(name, v, valid):
        lo, hi = (torch.tensor(b, dtype=torch.float32) for b in ranges[name])
        lo, hi = lo.clamp(max=0), hi.clamp(min=0)
        scale = (hi - lo) / 255
        zero = torch.round(-lo / scale)
        return scale * (torch.clamp(torch.round(v / scale) + zero, 0, 255) - zero)

    @torch.no_grad()
    def run(network, rows, site):
        out = torch.empty(len(rows), 2)
        for chosen, inputs in batches(rows):
            out[chosen] = network.logits(*inputs, site)
        return out

    dev = read(args.data, ["dev.tsv"], args.limit)
    run(Bert(model, False), read(args.data, ["train.tsv", "train-10k.tsv"], 256), observe)
    reference = run(Bert(model, False), dev, lambda name, v, valid: v)
    quantized = run(Bert(model, True), dev, fake_quantize)
    gold = torch.tensor([labels[r["label"]] for r in dev])
    accuracy = lambda z: 100 * (z.argmax(-1) == gold).float().mean().item()
    p, q = reference.double().log_softmax(-1), quantized.double().log_softmax(-1)
    theirs = {"fp32": (accuracy(reference), 0.0), "w8a8": (accuracy(quantized), (p.exp() * (p - q)).sum(-1).mean().item())}

    worst = worst_kl = 0.0
    print(f"{'':<6}{'PyTorch':>20}{'outlierlab':>20}   ({len(dev)} examples: accuracy %, KL nats)")
    for scheme, (their_accuracy, their_kl) in theirs.items():
        with tempfile.TemporaryDirectory() as scratch:
            out = os.path.join(scratch, "eval.json")
            subprocess.run([args.outlierlab, "eval", "--model", args.model, "--task", "qnli", "--data", args.data, "--scheme",
                            scheme, "--limit", str(args.limit), "--threads", str(args.threads), "--json", out], check=True,
                           stdout=subprocess.DEVNULL)
            with open(out) as f:
                ours = json.load(f)
        print(f"{scheme:<6}{their_accuracy:>11.2f}{their_kl:>9.4f}{ours['accuracy']:>11.2f}{ours['kl']:>9.4f}")
        worst = max(worst, abs(their_accuracy - ours["accuracy"]))
        worst_kl = max(worst_kl, abs(their_kl - ours["kl"]) / max(their_kl, 0.01))
    if worst > args.tolerance or worst_kl > 0.1:
        sys.exit(f"disagreement: {worst:.2f} points of accuracy, {100 * worst_kl:.0f} % of KL")


if __name__ == "__main__":
    main()
