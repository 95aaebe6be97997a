"""Writes `fixtures/tokenizers`: how transformers fills prompts up, for the files that folders have beside a tokenizer.

Needs transformers 5, and the pipelines of `make_sd_fixtures.py`.

    python make_tokenizer_fixtures.py
"""

import json
import shutil
import tempfile
from pathlib import Path

import transformers

FIXTURES = Path(__file__).parent / "fixtures"
VOCABULARY = FIXTURES / "pipelines" / "sd" / "tokenizer"
PROMPTS = ["a <cat-toy> at dusk!", "harbour"]
LENGTH = 16
END = "<|endoftext|>"
CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


def token(content, **flags):
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": content, **plain, **flags}


def padding(content, ids):
    """The entry of a `tokenizer.json`."""
    return {
        "strategy": {"Fixed": LENGTH}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": ids[content], "pad_type_id": 0, "pad_token": content,
    }


def case(name, whole, class_name, in_whole, files):
    """`in_whole`, if there is a `tokenizer.json`, is its padding; `files` are the others in the folder."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if in_whole is None:
            for file in ("vocab.json", "merges.txt"):
                shutil.copy(VOCABULARY / file, folder)
        else:
            (folder / "tokenizer.json").write_text(json.dumps({**whole, "padding": in_whole or None}))
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        tokenizer = getattr(transformers, class_name).from_pretrained(folder)
        encoded = tokenizer(PROMPTS, padding="max_length", max_length=LENGTH, truncation=True)
    return {
        "name": name, "class": class_name, "whole": in_whole is not None, "padding": in_whole or None,
        "files": files, "input_ids": encoded.input_ids,
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        transformers.CLIPTokenizer.from_pretrained(VOCABULARY).save_pretrained(folder)
        whole = json.loads((Path(folder) / "tokenizer.json").read_text())
    ids = whole["model"]["vocab"]
    bang = padding("!", ids)
    toy = {"content": "<cat-toy>", "id": len(ids)}
    decoder = {str(toy["id"]): token(toy["content"], special=False)}
    ends = {str(ids[END]): token(END, special=True, normalized=True)}
    clip, fast = "CLIPTokenizer", "PreTrainedTokenizerFast"
    # Name, class, padding of `tokenizer.json` (None: there is none, False: it has none), other files.
    cases = [
        ("no other file", clip, None, {}),
        ("configuration", clip, None, {CONFIG: {"pad_token": "!"}}),
        ("object", clip, None, {CONFIG: {"pad_token": {"__type": "AddedToken", **token("!", normalized=True)}}}),
        ("map before configuration", clip, None, {CONFIG: {"pad_token": END}, MAP: {"pad_token": "!"}}),
        ("map alone", clip, None, {MAP: {"pad_token": token("!")}}),
        ("map with the end", clip, None, {CONFIG: {"pad_token": "!"}, MAP: {"pad_token": END}}),
        ("map without padding", clip, None, {CONFIG: {"pad_token": "!"}, MAP: {"eos_token": END}}),
        (
            "decoder before map", clip, None,
            {CONFIG: {"pad_token": END, "added_tokens_decoder": ends}, MAP: {"pad_token": "!"}},
        ),
        (
            "decoder and configuration", clip, None,
            {CONFIG: {"pad_token": "!", "added_tokens_decoder": ends}, MAP: {"pad_token": END}},
        ),
        ("empty decoder", clip, None, {CONFIG: {"pad_token": END, "added_tokens_decoder": {}}, MAP: {"pad_token": "!"}}),
        ("decoder with a token", clip, None, {CONFIG: {"pad_token": END, "added_tokens_decoder": {**ends, **decoder}}}),
        ("added token", clip, None, {CONFIG: {"pad_token": "!"}, ADDED: {toy["content"]: toy["id"]}}),
        ("left", clip, None, {CONFIG: {"pad_token": "!", "padding_side": "left"}}),
        ("tokenizer.json alone", clip, False, {}),
        ("padding of tokenizer.json, which CLIP's class knows better", clip, bang, {}),
        ("padding of tokenizer.json", fast, bang, {}),
        ("configuration before tokenizer.json", fast, bang, {CONFIG: {"pad_token": END}}),
        ("map before tokenizer.json", fast, bang, {MAP: {"pad_token": END}}),
    ]
    folder = FIXTURES / "tokenizers"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False) + "\n")
    records = [case(name, whole, class_name, in_whole, files) for name, class_name, in_whole, files in cases]
    text = json.dumps({"prompts": PROMPTS, "length": LENGTH, "cases": records}, separators=(",", ":"))
    (folder / "padding.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
