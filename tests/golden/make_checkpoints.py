"""Writes checkpoints/: a tiny BERT as transformers saves it, and what transformers computes with it.

    python3 make_checkpoints.py      (torch, transformers, safetensors)

classifier/   BertForSequenceClassification, F32, with dev logits in expected.json
mlm/          BertForMaskedLM, BF16, in two shards, with logits of the widened weights in expected.json
encoder/      BertModel with old names (gamma, beta, position_ids), F16
"""
import json
import pathlib

import safetensors.torch
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

torch.manual_seed(7)
root = pathlib.Path(__file__).parent / "checkpoints"
sizes = dict(vocab_size=32, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
             max_position_embeddings=16, initializer_range=0.5)
ids = [[2, 7, 8, 9, 3], [2, 30, 31, 5, 6, 7, 3, 11, 12, 3]]
types = [[0] * 5, [0] * 7 + [1] * 3]


def run(model):
    model = model.float().eval()
    with torch.no_grad():
        return [model(torch.tensor([i]), token_type_ids=torch.tensor([t])).logits[0].tolist()
                for i, t in zip(ids, types)]


def randomize(model):
    """LayerNorms and biases with values of their own, so that mixed-up names show."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def save_expected(folder, logits):
    text = json.dumps({"ids": ids, "types": types, "logits": logits})
    (folder / "expected.json").write_text(text + "\n")


labels = dict(id2label={0: "entailment", 1: "not_entailment"}, label2id={"entailment": 0, "not_entailment": 1})
model = randomize(BertForSequenceClassification(BertConfig(**sizes, **labels)))
model.save_pretrained(root / "classifier")
save_expected(root / "classifier", run(model))

model = randomize(BertForMaskedLM(BertConfig(**sizes))).to(torch.bfloat16)
model.save_pretrained(root / "mlm", max_shard_size="4KB")
save_expected(root / "mlm", run(model))

model = randomize(BertModel(BertConfig(**sizes))).to(torch.float16)
folder = root / "encoder"
folder.mkdir(exist_ok=True)
tensors = {}
for name, tensor in model.state_dict().items():
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    tensors[name] = tensor.contiguous()
tensors["embeddings.position_ids"] = torch.arange(16).unsqueeze(0)
safetensors.torch.save_file(tensors, folder / "model.safetensors")
model.config.architectures = ["BertModel"]
model.config.save_pretrained(folder)
