#!/usr/bin/env python3
"""Times the usual ways to run a BERT classifier on a CPU, side by side in one run.

    bench/peers/peers.py --data DIR --outlierlab build/release/outlierlab --csv results/minilm-qnli-qnli/peers.csv

DIR holds minilm-qnli/ (a Hugging Face folder) and qnli/ (GLUE's TSV files). Missing packages (requirements.txt) are installed
into the virtual environment --venv. Each contender is a process of its own, which waits on a pipe between its passes; every
repeat gives each of them one pass, so that a change of the machine's speed hits all alike. Same examples, same length-sorted
batches, same threads for all; tokenization is outside the timing. Peers pad a batch to its longest example.
"""
import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = ["torch-fp32", "torch-fp32-pad128", "torch-bf16", "torch-int8-dynamic", "ort-fp32", "ort-int8-dynamic",
         "ort-int8-static", "ct2-fp32", "ct2-int8"]
# What serves a peer less well, for comparison: run where --only names it.
VARIANTS = ["torch-fp32-eager", "ort-fp32-sdpa", "ort-int8-dynamic-sdpa", "ort-int8-dynamic-tensor", "ort-int8-static-all"]
OURS = {"outlierlab-fp32": ["--scheme", "fp32"],
        "outlierlab-bf16": ["--scheme", "fp32", "--engine", "int8", "--precision", "bfloat16"]}
for scheme in ["w8a8", "w8a8-token", "w8a8-token-linear", "w8a8-token-linear-mse", "llm-int8", "peg-6-permuted",
               "mp-xhy-16"]:
    OURS["outlierlab-int8-" + scheme] = ["--scheme", scheme, "--engine", "int8"]
REFERENCE = "torch-fp32"
# Examples on which ours are held against their scheme in double precision, which takes minutes for all.
CHECKED = 1000
CALIBRATION_EXAMPLES = 256


# ---- data -------------------------------------------------------------------------------------------------------------

def read_pairs(path):
    """(question, sentence, label) of GLUE's QNLI; the file is unquoted TSV with a header."""
    pairs = []
    with open(path, encoding="utf-8") as file:
        columns = file.readline().rstrip("\n").split("\t")
        for line in file:
            fields = dict(zip(columns, line.rstrip("\n").split("\t")))
            pairs.append((fields["question"], fields["sentence"], fields["label"]))
    return pairs


def length_sorted_batches(lengths, size):
    """Positions of the examples, shortest first (ties by position), cut into batches."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    return [order[i:i + size] for i in range(0, len(order), size)]


def prepare(arguments, folder):
    """Tokenizes once; workers read the result."""
    from transformers import AutoTokenizer
    model = model_of(arguments)
    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        names = json.load(file)["id2label"]
    label_ids = {name: int(i) for i, name in names.items()}
    splits = {}
    for split, files, limit in (("dev", ["dev.tsv"], arguments.limit),
                                ("train", ["train.tsv", "train-10k.tsv"], CALIBRATION_EXAMPLES)):
        path = next((p for p in (os.path.join(arguments.data, "qnli", f) for f in files) if os.path.exists(p)), None)
        if path is None:
            sys.exit(f"peers: {arguments.data}/qnli: expected {' or '.join(files)}, found neither")
        whole = read_pairs(path)
        pairs = whole[:limit] if limit else whole
        encoded = tokenizer([p[0] for p in pairs], [p[1] for p in pairs], truncation="longest_first",
                            max_length=arguments.max_length)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        splits[split] = {"size": len(whole), "ids": encoded["input_ids"], "types": encoded["token_type_ids"],
                         "labels": [label_ids[p[2]] for p in pairs],
                         "batches": length_sorted_batches(lengths, arguments.batch_size)}
    check_ids(model, splits["dev"], tokenizer)
    with open(os.path.join(folder, "data.json"), "w", encoding="utf-8") as file:
        json.dump({"model": model, "splits": splits}, file)
    return splits["dev"]


def model_of(arguments):
    return arguments.model or os.path.join(arguments.data, "minilm-qnli")


def name_of(arguments):
    return os.path.basename(os.path.normpath(model_of(arguments)))


def write_task(arguments, folder):
    """QNLI for the suite, cut at the same length."""
    path = os.path.join(folder, "qnli.ini")
    with open(path, "w", encoding="utf-8") as file:
        file.write("[task]\nname = qnli\ntext = question, sentence\nlabel = label\nlabels = entailment, not_entailment\n"
                   "train = train.tsv, train-10k.tsv\ndev = dev.tsv\n"
                   f"max_length = {arguments.max_length}\n")
    return path


def check_ids(model, split, tokenizer):
    unknown = sum(ids.count(tokenizer.unk_token_id) for ids in split["ids"])
    total = sum(len(ids) for ids in split["ids"])
    if unknown > total / 100:
        sys.exit(f"peers: {model}: expected a vocabulary that knows the words, found {unknown} unknown of {total} pieces")


# ---- contenders: each returns a function from a padded batch to logits ----------------------------------------------------

def padded(split, batch, width=None):
    import numpy as np
    width = width or max(len(split["ids"][i]) for i in batch)
    ids, types, mask = (np.zeros((len(batch), width), dtype=np.int64) for _ in range(3))
    for row, i in enumerate(batch):
        n = len(split["ids"][i])
        ids[row, :n], types[row, :n], mask[row, :n] = split["ids"][i], split["types"][i], 1
    return ids, types, mask


def load_torch(model, threads, attention):
    import torch
    from transformers import AutoModelForSequenceClassification
    torch.set_num_threads(threads)
    return AutoModelForSequenceClassification.from_pretrained(model, attn_implementation=attention).eval()


def torch_contender(name, model, threads):
    import torch
    network = load_torch(model, threads, "eager" if name.endswith("-eager") else "sdpa")
    if name == "torch-int8-dynamic":
        network = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)
    half = name == "torch-bf16"

    def run(ids, types, mask):
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            out = network(input_ids=torch.from_numpy(ids), token_type_ids=torch.from_numpy(types),
                          attention_mask=torch.from_numpy(mask))
        return out.logits.float().numpy()
    return run


def ort_contender(name, model, threads, data, folder):
    import onnxruntime as ort
    import torch
    attention = "sdpa" if name.endswith("-sdpa") else "eager"  # of eager's graph it fuses more
    path = os.path.join(folder, attention + ".onnx")
    if not os.path.exists(path):
        network = load_torch(model, threads, attention)
        network.config.return_dict = False
        example = tuple(torch.from_numpy(a) for a in padded(data["splits"]["dev"], [0, 1]))
        axes = {n: {0: "batch", 1: "length"} for n in ("input_ids", "token_type_ids", "attention_mask")}

        class Wrapped(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network.requires_grad_(False)  # the exporter takes no other tensors as constants

            def forward(self, input_ids, token_type_ids, attention_mask):
                return self.network(input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=attention_mask)[0]
        torch.onnx.export(Wrapped(), example, path, input_names=list(axes), output_names=["logits"],
                          dynamic_axes={**axes, "logits": {0: "batch"}}, opset_version=17, dynamo=False)
    if "int8" in name:
        from onnxruntime import quantization as q
        target = os.path.join(folder, name + ".onnx")
        if "dynamic" in name:
            q.quantize_dynamic(path, target, weight_type=q.QuantType.QInt8, per_channel=not name.endswith("-tensor"))
        else:
            from onnxruntime.quantization.shape_inference import quant_pre_process
            ready = os.path.join(folder, "ready.onnx")
            quant_pre_process(path, ready, skip_symbolic_shape=True)

            class Reader(q.CalibrationDataReader):
                def __init__(self):
                    self.batches = iter(data["splits"]["train"]["batches"])

                def get_next(self):
                    batch = next(self.batches, None)
                    return None if batch is None else feed(*padded(data["splits"]["train"], batch))
            # The products alone: the sum with the attention mask has the lowest float in its range.
            q.quantize_static(ready, target, Reader(), quant_format=q.QuantFormat.QDQ, weight_type=q.QuantType.QInt8,
                              op_types_to_quantize=None if name.endswith("-all") else ["MatMul", "Gemm"], per_channel=True)
        path = target
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda ids, types, mask: session.run(None, feed(ids, types, mask))[0]


def feed(ids, types, mask):
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}


def ct2_contender(name, model, threads, folder):
    import ctranslate2
    import numpy as np
    from transformers import AutoTokenizer
    network = load_torch(model, 1, "sdpa")
    converted = os.path.join(folder, "ct2")
    if not os.path.exists(converted):
        encoder = os.path.join(folder, "encoder")
        network.bert.save_pretrained(encoder)
        AutoTokenizer.from_pretrained(model).save_pretrained(encoder)
        ctranslate2.converters.TransformersConverter(encoder).convert(converted)
    weight, bias = (p.detach().numpy() for p in (network.classifier.weight, network.classifier.bias))
    del network
    encoder = ctranslate2.Encoder(converted, device="cpu", inter_threads=1, intra_threads=threads,
                                  compute_type="int8" if name == "ct2-int8" else "float32")

    def run(ids, types, mask):
        lengths = mask.sum(axis=1)
        out = encoder.forward_batch([row[:n].tolist() for row, n in zip(ids, lengths)],
                                    token_type_ids=[row[:n].tolist() for row, n in zip(types, lengths)])
        return np.asarray(out.pooler_output) @ weight.T + bias
    return run


def worker(name, folder, threads):
    """Loads one contender, then serves passes: a line on stdin, a line of JSON on stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    with open(os.path.join(folder, "data.json"), encoding="utf-8") as file:
        data = json.load(file)
    split = data["splits"]["dev"]
    if name.startswith("torch"):
        run = torch_contender(name, data["model"], threads)
    elif name.startswith("ort"):
        run = ort_contender(name, data["model"], threads, data, folder)
    else:
        run = ct2_contender(name, data["model"], threads, folder)
    batches = [padded(split, batch, 128 if name.endswith("pad128") else None) for batch in split["batches"]]
    answers.write('"ready"\n')
    answers.flush()
    for _ in sys.stdin:
        start = time.perf_counter()
        logits = [run(*batch) for batch in batches]
        seconds = time.perf_counter() - start
        predicted = [0] * len(split["ids"])
        for batch, part in zip(split["batches"], logits):
            for i, row in zip(batch, part):
                predicted[i] = int(row.argmax())
        answers.write(json.dumps({"seconds": seconds, "predicted": predicted}) + "\n")
        answers.flush()


# ---- running them side by side ------------------------------------------------------------------------------------------

class Peer:
    def __init__(self, name, arguments, folder, labels):
        self.name, self.labels = name, labels
        environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads), TOKENIZERS_PARALLELISM="false",
                           HF_HUB_OFFLINE="1")
        self.log = open(os.path.join(folder, name + ".log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [python_of(arguments.venv), os.path.abspath(__file__), "--worker", name, "--folder", folder, "--threads",
             str(arguments.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = [l for l in self.log.read().splitlines() if l.strip()]
            raise RuntimeError(lines[-1] if lines else "no message")
        return json.loads(line)

    def run(self):
        self.process.stdin.write("pass\n")
        self.process.stdin.flush()
        result = self.answer()
        right = sum(p == l for p, l in zip(result["predicted"], self.labels))
        return result["seconds"], 100.0 * right / len(self.labels)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    def __init__(self, name, arguments, folder):
        self.name = name
        self.json = os.path.join(folder, name + ".json")
        self.command = [arguments.outlierlab, "eval", "--model", arguments.model or "minilm-qnli", "--task",
                        write_task(arguments, folder), "--data", os.path.join(arguments.data, "qnli"),
                        "--threads", str(arguments.threads), "--batch-size", str(arguments.batch_size),
                        "--no-reference", "--json", self.json, *OURS[name]]
        self.limit = arguments.limit
        self.environment = dict(os.environ, OUTLIERLAB_DATA=arguments.data)

    def check(self):
        """Fails unless the engine agrees with its scheme on the first examples."""
        self.evaluate("--check", "--limit", str(min(self.limit, CHECKED)))

    def run(self):
        return self.evaluate("--limit", str(self.limit))

    def evaluate(self, *more):
        done = subprocess.run([*self.command, *more], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise RuntimeError(said[-1] if said else "it does not agree with its scheme")
        with open(self.json, encoding="utf-8") as file:
            result = json.load(file)
        if "seconds" not in result:
            raise RuntimeError("it does not agree with its scheme")
        return result["seconds"], result["accuracy"]

    def close(self):
        pass


def ratios_to(reference, own):
    """Speed relative to the reference, repeat by repeat: median, lowest, highest."""
    ratios = [r / o for r, o in zip(reference, own)]
    return statistics.median(ratios), min(ratios), max(ratios)


def paired_ratios(seconds):
    """The peer's time over ours, which is our speed over the peer's: [(ours, peer, (median, lowest, highest))]."""
    ours = [name for name in seconds if name in OURS]
    return [(own, peer, ratios_to(seconds[peer], seconds[own]))
            for own in ours for peer in seconds if peer not in OURS]


def print_paired(seconds):
    print("\n{:<28} {:<28} {:>24}".format("the peer's time over", "ours", "median [lowest, highest]"))
    for own, peer, (middle, low, high) in paired_ratios(seconds):
        print(f"{peer:<28} {own:<28} {f'{middle:.2f} [{low:.2f}, {high:.2f}]':>24}")


def rows_of(seconds, accuracy, examples, model="minilm-qnli"):
    rows = []

    def row(variant, metric, estimate, low="", high=""):
        rows.append(["peers", model, "qnli", variant, "", "", metric, f"{estimate:.10g}",
                     low and f"{low:.10g}", high and f"{high:.10g}", examples, 0])
    for name, all_seconds in seconds.items():
        rates = [examples / s for s in all_seconds]
        row(name, "throughput_examples", statistics.median(rates), min(rates), max(rates))
        row(name, "speedup", *ratios_to(seconds[REFERENCE], all_seconds))
        row(name, "accuracy", accuracy[name])
    return rows


def python_of(venv):
    return os.path.join(venv, "bin", "python")


def ensure_venv(venv):
    if not os.path.exists(python_of(venv)):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    probe = "import torch, transformers, onnx, onnxruntime, ctranslate2"
    if subprocess.run([python_of(venv), "-c", probe], capture_output=True).returncode != 0:
        subprocess.run([python_of(venv), "-m", "pip", "install", "--quiet", "-r",
                        os.path.join(HERE, "requirements.txt")], check=True)


def git(*arguments):
    """What git prints for this checkout; nothing outside one."""
    return subprocess.run(["git", "-C", HERE, *arguments], capture_output=True, text=True).stdout.strip()


def provenance(arguments, split_examples, skipped, seconds):
    listed = subprocess.run([python_of(arguments.venv), "-m", "pip", "list", "--format=json"], capture_output=True, text=True)
    wanted = ("torch", "transformers", "onnx", "onnxruntime", "ctranslate2", "numpy")
    versions = {p["name"]: p["version"] for p in json.loads(listed.stdout) if p["name"] in wanted}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((l.split(":", 1)[1].strip() for l in file if l.startswith("model name")), platform.processor())
    revision = git("rev-parse", "--short=12", "HEAD")
    if git("status", "--porcelain", "--", ":/src", ":/bench/peers", ":/CMakeLists.txt", ":/cmake"):
        revision += "-dirty"
    return {"command": " ".join(["bench/peers/peers.py"] + sys.argv[1:]), "threads": arguments.threads, "cpu": cpu,
            "model": name_of(arguments), "max_length": arguments.max_length, "batch_size": arguments.batch_size,
            "examples": arguments.limit,
            "split_examples": split_examples, "repeats": arguments.repeats, "versions": versions, "revision": revision,
            "not_run": skipped, "seconds": seconds}


def measure(arguments, folder):
    dev = prepare(arguments, folder)
    arguments.limit = len(dev["ids"])
    contenders, skipped = [], {}
    for name in arguments.only or PEERS + (list(OURS) if arguments.outlierlab else []):
        try:
            made = Ours(name, arguments, folder) if name in OURS else Peer(name, arguments, folder, dev["labels"])
            # Ours are timed only if they agree with what they replace. The others warm up.
            if name in OURS and name != "outlierlab-fp32":
                made.check()
            else:
                made.run()
            contenders.append(made)
        except (RuntimeError, OSError) as error:
            skipped[name] = str(error)
            print(f"{name}: not run: {error}", file=sys.stderr)
    seconds, accuracy = {c.name: [] for c in contenders}, {}
    if REFERENCE not in seconds:
        sys.exit(f"peers: expected {REFERENCE} to run, since the others are given relative to it")
    for _ in range(arguments.repeats):
        for contender in contenders:
            elapsed, accuracy[contender.name] = contender.run()
            seconds[contender.name].append(elapsed)
    for contender in contenders:
        contender.close()
    return dev["size"], seconds, accuracy, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OUTLIERLAB_DATA"))
    parser.add_argument("--outlierlab", help="the built program; without it only the peers run")
    parser.add_argument("--venv", default=os.path.join(HERE, "..", "..", "build", "peers-venv"))
    parser.add_argument("--model", help="a Hugging Face folder of BERT for QNLI; without it, the data's minilm-qnli")
    parser.add_argument("--max-length", type=int, default=128, help="tokens at which pairs are cut")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int, default=1000, help="first examples of the dev set; 0: all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PEERS + VARIANTS + list(OURS))
    parser.add_argument("--csv", help="rows in the suite's format; provenance beside it as JSON")
    parser.add_argument("--paired", metavar="JSON", help="prints the paired ratios of a run that is there, and ends")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker, arguments.folder, arguments.threads)
    if arguments.paired:
        with open(arguments.paired, encoding="utf-8") as file:
            seconds = json.load(file).get("seconds")
        if not seconds:
            parser.error(f"{arguments.paired}: expected a member seconds, as --csv writes it, found none")
        return print_paired(seconds)
    if not arguments.data or not os.path.isdir(arguments.data):
        parser.error("--data (or OUTLIERLAB_DATA): expected the folder of the data and models, found none")
    ensure_venv(arguments.venv)
    if os.path.realpath(sys.prefix) != os.path.realpath(arguments.venv):
        os.execv(python_of(arguments.venv), [python_of(arguments.venv), os.path.abspath(__file__), *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        split_examples, seconds, accuracy, skipped = measure(arguments, folder)
    print(f"{'contender':<28} {'examples/s':>10}  {'relative to ' + REFERENCE:>24}  {'accuracy':>8}")
    for name, all_seconds in seconds.items():
        middle, low, high = ratios_to(seconds[REFERENCE], all_seconds)
        print(f"{name:<28} {arguments.limit / statistics.median(all_seconds):>10.1f}  "
              f"{f'{middle:.2f} [{low:.2f}, {high:.2f}]':>24}  {accuracy[name]:>8.2f}")
    print_paired(seconds)
    if arguments.csv:
        temporary = arguments.csv + ".tmp"
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow("experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed".split(","))
            writer.writerows(rows_of(seconds, accuracy, arguments.limit, name_of(arguments)))
        os.replace(temporary, arguments.csv)
        beside = os.path.splitext(arguments.csv)[0] + ".json"
        with open(beside + ".tmp", "w", encoding="utf-8") as file:
            json.dump(provenance(arguments, split_examples, skipped, seconds), file, indent=2)
            file.write("\n")
        os.replace(beside + ".tmp", beside)


if __name__ == "__main__":
    main()
