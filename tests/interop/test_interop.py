#!/usr/bin/env python3
"""Exported models load in transformers and in TransformerLens without custom code and say the same; models that
transformers wrote are imported and say the same.

usage: test_interop.py HOPSCOPE WORKDIR

Trains small models of every exportable kind with the program, exports them, and compares logits on 1,000 queries: largest
difference below 1e-4 and the same top token on all. Prints one line a check and "N passed, N failed" at the end.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import traceback

# before the imports that read them: no network, no bars, no advice
os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")

import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig,
                          LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM)

PROGRAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
QUERIES, BOUND = 1000, 1e-4

EXPERIMENT = """
data: {entities: 60, relations: 10, out_degree: 5, phi: 3, end_token: true}
model: {n_embd: 48, init_std: 0.1}
train: {steps: 40, batch: 64, threads: 2}
"""
# name: settings; None marks settings that must be refused with a clear sentence
CASES = {
    "gpt2": [],
    "gpt2_untied": ["model.tied=false"],
    "gpt2_shared": ["model.passes=3"],
    "gpt2_share_mlp": ["model.share_mlp=true", "model.passes=2"],
    "llama": ["model.kind=llama", "model.tied=false"],
    "llama_shared": ["model.kind=llama", "model.passes=2", "model.rope_theta=500"],
    "llama_qk_norm": ["model.kind=llama", "model.qk_norm=true"],
}
REFUSED = {
    "trm": ["model.kind=trm", "model.round_up=16", "train.steps=2"],
    "re_embed": ["model.passes=2", "model.re_embed=true", "train.steps=2"],
    "inject": ["model.passes=2", "model.inject=true", "train.steps=2"],
    "memory": ["model.memory_inner=32", "train.steps=2"],
}


def call(*arguments, fails=False):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert (done.returncode != 0) == fails, f"exit code {done.returncode}: {done.stderr}"
    return done.stderr


def fresh(file):
    """The path of a file that is not there: the program refuses to write over one."""
    file.unlink(missing_ok=True)
    return file


def train(name, settings):
    run = WORK / "runs" / name
    call("run", WORK / "experiment.yaml", "-q", "-o", run, *[x for s in settings for x in ("--set", s)])
    return run


def newest(run):
    return run / "checkpoints" / ((run / "checkpoints" / "latest").read_text().strip() + ".safetensors")


def our_logits(model, ids):
    (WORK / "ids.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in ids.tolist()))
    call("logits", model, "--ids", WORK / "ids.txt", "-o", fresh(WORK / "logits.safetensors"))
    logits = load_file(WORK / "logits.safetensors")["logits"]
    return logits.view(ids.shape[0], ids.shape[1], -1)


def compare(what, ours, theirs):
    difference = (ours - theirs).abs().max().item()
    same = (ours.argmax(-1) == theirs.argmax(-1)).all().item()
    spread = ours.std(-1).mean().item()
    assert spread > 0.05, f"{what}: logits are flat, nothing is tested"
    assert difference < BOUND and same, f"{what}: largest difference {difference:.3g}, same top token: {same}"
    print(f"     {what}: largest difference {difference:.2g}, same top token on {ours.shape[0] * ours.shape[1]} rows")


def queries(vocab, positions):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(vocab, (QUERIES, min(positions, 4)), generator=generator)


# ---------------------------------------------------------------- export

def check_export(name):
    run = train(name, CASES[name])
    folder = WORK / "hf" / name
    call("export", run, "--hf", folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    config = json.loads((folder / "config.json").read_text())
    ids = queries(config["vocab_size"], 4)
    ours = our_logits(newest(run), ids)
    with torch.no_grad():
        theirs = model(input_ids=ids).logits
    compare("transformers", ours, theirs)
    compare("read back", our_logits(folder, ids), theirs)
    return folder, ids, ours


def check_tokenizer(folder, ids):
    names = json.loads((folder / "vocab.json").read_text())
    by_id = {i: n for n, i in names.items()}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row in ids[:200].tolist():
        text = "".join(by_id[i] for i in row)
        assert tokenizer(text)["input_ids"] == row, text
        assert tokenizer.decode(row) == text, tokenizer.decode(row)
    assert tokenizer.eos_token_id == names["</a>"]
    unknown = tokenizer("<e_0><nobody>")["input_ids"]
    assert unknown == [names["<e_0>"], len(names)], "an unknown name must fall outside the model"


def check_lens(folder, ids, ours):
    from transformer_lens.model_bridge import TransformerBridge

    lens = TransformerBridge.boot_transformers(str(folder), device="cpu")
    with torch.no_grad():
        compare("TransformerLens", ours, lens(ids, return_type="logits"))
        _, cache = lens.run_with_cache(ids[:2])
    layers = json.loads((folder / "config.json").read_text())
    layers = layers.get("n_layer", layers.get("num_hidden_layers"))
    assert f"blocks.{layers - 1}.hook_resid_post" in cache, "the unrolled blocks are not all there"


def export_case(name):
    folder, ids, ours = check_export(name)
    check_tokenizer(folder, ids)
    check_lens(folder, ids, ours)


def refused_case(name):
    message = call("export", train(name, REFUSED[name]), "--hf", WORK / "hf" / name, fails=True)
    assert "Hugging Face form" in message, message
    assert not (WORK / "hf" / name / "config.json").exists()


def names_with_spaces():
    """A graph of natural names: a tab separates tokens in the exported tokenizer."""
    graph = WORK / "names.tsv"
    people = [f"Ada {i} of Löwen" for i in range(40)]
    with graph.open("w") as f:
        for i, p in enumerate(people):
            for r in range(3):
                f.write(f"{p}\trelated by {r}\t{people[(7 * i + 11 * r + 3) % 40]}\n")
    run = WORK / "runs" / "names"
    call("run", WORK / "experiment.yaml", "-q", "-o", run, "--set", f"graph.path={graph}", "--set", "data.phi=0",
         "--set", "train.steps=2", "--set", "data.ood_fraction=0.1")
    call("export", run, "--hf", WORK / "hf" / "names")
    tokenizer = AutoTokenizer.from_pretrained(WORK / "hf" / "names")
    vocab = json.loads((WORK / "hf" / "names" / "vocab.json").read_text())
    text = "Ada 3 of Löwen\trelated by 1\trelated by 2"
    want = [vocab[n] for n in text.split("\t")]
    assert tokenizer(text)["input_ids"] == want
    assert tokenizer(text.replace("\t", "\n") + "\n")["input_ids"] == want


# ---------------------------------------------------------------- import

def gpt2(**change):
    settings = dict(vocab_size=97, n_positions=16, n_embd=36, n_layer=3, n_head=4, n_inner=50, initializer_range=0.3)
    return GPT2LMHeadModel(GPT2Config(**{**settings, **change}))


def llama(kind=LlamaForCausalLM, config=LlamaConfig, **change):
    settings = dict(vocab_size=97, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=6,
                    num_key_value_heads=6, max_position_embeddings=32, initializer_range=0.2, rms_norm_eps=1e-6)
    return kind(config(**{**settings, **change}))


def imports():
    """name: (model, saving options, dtype)"""
    return {
        "gpt2": (gpt2(), {}, torch.float32),
        "gpt2 untied": (gpt2(tie_word_embeddings=False), {}, torch.float32),
        "gpt2 in shards": (gpt2(n_layer=4), {"max_shard_size": "30KB"}, torch.float32),
        "gpt2 bfloat16": (gpt2(), {}, torch.bfloat16),
        "gpt2 float16 in shards": (gpt2(), {"max_shard_size": "20KB"}, torch.float16),
        "llama": (llama(), {}, torch.float32),
        "llama tied": (llama(tie_word_embeddings=True), {}, torch.float32),
        "llama grouped heads": (llama(num_key_value_heads=2), {}, torch.float32),
        "llama bfloat16": (llama(num_key_value_heads=1), {"max_shard_size": "40KB"}, torch.bfloat16),
        "llama theta": (llama(rope_parameters={"rope_type": "default", "rope_theta": 700.0}), {}, torch.float32),
        "qwen3": (llama(Qwen3ForCausalLM, Qwen3Config, head_dim=8), {}, torch.float32),
    }


def import_case(name, model, options, dtype):
    folder = WORK / "theirs" / name.replace(" ", "_")
    model.to(dtype).save_pretrained(folder, **options)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()  # the file's values, in float32
    if "shards" in name:
        assert (folder / "model.safetensors.index.json").exists()
    file = WORK / "imported.safetensors"
    call("import", folder, "-o", fresh(file))
    ids = queries(model.config.vocab_size, 4)
    with torch.no_grad():
        theirs = model(input_ids=ids).logits
    compare("imported", our_logits(file, ids), theirs)


def base_names():
    """GPT2Model without a head saves names without a prefix; old files hold attn.bias buffers."""
    folder = WORK / "theirs" / "bare"
    model = gpt2().eval()
    model.transformer.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    assert "wte.weight" in weights
    for i in range(3):
        weights[f"h.{i}.attn.bias"] = torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16).bool()
        weights[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ids = queries(97, 4)
    with torch.no_grad():
        theirs = model(input_ids=ids).logits
    compare("imported", our_logits(folder, ids), theirs)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "experiment.yaml").write_text(EXPERIMENT)
    torch.manual_seed(0)
    checks = [(f"export {n}", export_case, (n,)) for n in CASES]
    checks += [(f"refuse to export {n}", refused_case, (n,)) for n in REFUSED]
    checks += [("export names with spaces", names_with_spaces, ())]
    checks += [(f"import {n}", import_case, (n, *x)) for n, x in imports().items()]
    checks += [("import bare names and old buffers", base_names, ())]
    failed = 0
    for what, function, arguments in checks:
        try:
            function(*arguments)
            print(f"ok   {what}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {what}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
