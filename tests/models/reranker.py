"""A reranker whose scores mean nothing, but differ: what is tested is how they are asked for and sorted."""

import json
import string
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_vlm.models.bert import ModelConfig, SequenceClassificationModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SEED = 23
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_reranker(directory: Path) -> Path:
    """Named and laid out as PyTorch's BERT saves it, because that is what a download holds."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": _write_tokenizer(directory),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "pad_token_id": 0,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "dtype": "float32",
    }
    _write_json(directory / "config.json", config)
    mx.random.seed(SEED)
    model = SequenceClassificationModel(ModelConfig.from_dict(dict(config)))
    # Larger than a new model's, so that two documents' scores differ in more than their last digits.
    model.classifier.weight = mx.random.normal(model.classifier.weight.shape)
    weights = {
        name if name.startswith("classifier.") else f"bert.{name}": value
        for name, value in tree_flatten(model.parameters())
    }
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "pt"})
    return directory


def _write_tokenizer(directory: Path) -> int:
    """Letter by letter: no English word is unknown, so texts that differ get scores that differ."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = [*_MARKS, *characters, *(f"##{character}" for character in characters)]
    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(mark, ids[mark]) for mark in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(_MARKS))
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    marks = dict(zip(names, _MARKS, strict=True))
    _write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512, **marks},
    )
    return len(vocabulary)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
