"""A picture model that paints noise: what is tested is how a picture is asked for, waited for and sent."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_vlm.models.z_image.config import ZImageTextEncoderConfig, ZImageTransformerConfig, ZImageVAEConfig
from mlx_vlm.models.z_image.text_encoder import ZImageTextEncoder
from mlx_vlm.models.z_image.transformer import ZImageTransformer
from mlx_vlm.models.z_image.vae import ZImageVAE

from mlxhub.demo import model_directory

SEED = 22
# Four blocks of channels make a latent an eighth as wide, which the pipeline takes for granted; a block's
# channels are normalised in 32 groups.
_VAE = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1, "latent_channels": 16}
_WIDTH = 32
_TRANSFORMER = {
    "dim": _WIDTH,
    "n_heads": 2,
    "n_kv_heads": 2,
    "intermediate_size": 64,
    "in_channels": 16,
    "cap_feat_dim": _WIDTH,
    "n_layers": 1,
    "n_refiner_layers": 1,
    "all_patch_size": [2],
    "all_f_patch_size": [1],
    "axes_dims": [4, 6, 6],
}
_TEXT_ENCODER = {
    "vocab_size": 640,
    "hidden_size": _WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 64,
    "max_position_embeddings": 2048,
}


def make_z_image(directory: Path) -> Path:
    """Laid out as Diffusers do; mlx-vlm takes a directory named for another kind, "qwen-1", for that."""
    directory.mkdir(parents=True, exist_ok=True)
    index = {
        "_class_name": "ZImagePipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3Model"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "ZImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    _write_json(directory / "model_index.json", index)
    mx.random.seed(SEED)
    _write_component(
        directory / "transformer",
        ZImageTransformer(ZImageTransformerConfig.from_dict(_TRANSFORMER)),
        {"_class_name": "ZImageTransformer2DModel", **_TRANSFORMER},
    )
    _write_component(
        directory / "text_encoder",
        ZImageTextEncoder(ZImageTextEncoderConfig.from_dict(_TEXT_ENCODER)),
        {"model_type": "qwen3", **_TEXT_ENCODER},
    )
    _write_component(
        directory / "vae",
        ZImageVAE(ZImageVAEConfig.from_dict(_VAE)),
        {"_class_name": "AutoencoderKL", **_VAE},
    )
    (directory / "scheduler").mkdir(exist_ok=True)
    # A shift of 3 is how mlx-vlm tells the fast variant, which needs no guidance.
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    _write_json(directory / "scheduler" / "scheduler_config.json", scheduler)
    (directory / "tokenizer").mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(model_directory() / name, directory / "tokenizer" / name)
    return directory


def _write_component(directory: Path, module: nn.Module, config: dict[str, Any]) -> None:
    directory.mkdir(exist_ok=True)
    weights = dict(tree_flatten(module.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    # Unless it reads whose layout this is, mlx-vlm turns the convolutions around as it does PyTorch's.
    index = {
        "metadata": {"mlx_vlm_format": "z_image"},
        "weight_map": dict.fromkeys(weights, "model.safetensors"),
    }
    _write_json(directory / "model.safetensors.index.json", index)
    _write_json(directory / "config.json", config)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
