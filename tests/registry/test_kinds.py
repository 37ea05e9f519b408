"""What kind of model lies in a directory: its type, what it needs, and what is in the way."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlxhub.core.config import parse_config
from mlxhub.core.described import Kind, describe, kind_of
from mlxhub.core.memory import Checkpoint, Use
from mlxhub.core.model_type import ModelType
from mlxhub.demo import model_directory
from mlxhub.registry.checkpoint_size import read_checkpoint
from mlxhub.registry.inference import infer_type
from mlxhub.registry.intake import check_model
from mlxhub.registry.refused import IntakeRefused
from tests.models.images import make_z_image
from tests.models.minilm import minilm
from tests.models.reranker import make_reranker
from tests.models.speech import make_soprano
from tests.models.vision import cached_vision_model
from tests.models.whisper import make_whisper

CACHE = Path(__file__).parents[2] / ".cache"
USE = Use(None, 8, 2048, None, slow_halves=True, kept_entries=16, kept_bytes=1)
BUILDERS = {
    "text": (lambda _: model_directory(), Kind.TEXT, ModelType.LM),
    "vision": (lambda _: cached_vision_model(CACHE), Kind.VISION, ModelType.MULTIMODAL),
    "sentences": (lambda _: minilm(), Kind.EMBEDDING, ModelType.EMBEDDINGS),
    "ranking": (make_reranker, Kind.RANKING, ModelType.EMBEDDINGS),
    "hearing": (make_whisper, Kind.SPEECH, ModelType.WHISPER),
    "speaking": (make_soprano, Kind.SPEECH, ModelType.WHISPER),
    "pipeline": (make_z_image, Kind.IMAGE, ModelType.IMAGE_GENERATION),
}


@pytest.mark.parametrize("what", BUILDERS)
def test_each_kind_is_told_by_its_files_and_may_be_loaded(what: str, tmp_path: Path) -> None:
    build, kind, model_type = BUILDERS[what]
    directory = build(tmp_path / "qwen-or-whatever")
    assert infer_type(str(directory)) is model_type
    check_model(directory, model_type)
    found = read_checkpoint(directory)
    assert kind_of(found) is kind
    described = describe(found, USE)
    weights = sum(file.stat().st_size for file in directory.rglob("*.safetensors"))
    assert described.needed_bytes > weights
    assert (described.context_length is None) == (kind in (Kind.SPEECH, Kind.IMAGE))


def test_a_text_model_that_sentence_transformers_made_makes_vectors() -> None:
    config = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}
    assert kind_of(Checkpoint(config, {})) is Kind.TEXT
    assert kind_of(Checkpoint(config, {}, frozenset({"1_Pooling/config.json"}))) is Kind.EMBEDDING


def test_what_is_not_there_tells_nothing(tmp_path: Path) -> None:
    assert infer_type(str(tmp_path / "none")) is None
    assert infer_type("org/none", tmp_path) is None
    (tmp_path / "empty").mkdir()
    assert infer_type(str(tmp_path / "empty")) is None
    assert infer_type("builtin:demo") is ModelType.LM


def test_a_pipeline_is_checked_in_all_its_parts(tmp_path: Path) -> None:
    pipeline = make_z_image(tmp_path / "zimage")
    (pipeline / "transformer" / "code.py").write_text("raise SystemExit")
    with pytest.raises(IntakeRefused, match=r"transformer/code.py would be run as code"):
        check_model(pipeline, ModelType.IMAGE_GENERATION)
    (pipeline / "transformer" / "code.py").unlink()
    config = next((pipeline / "transformer").glob("config.json"))
    config.write_text(config.read_text().rstrip().removesuffix("}") + ', "num_layers": 100000000}')
    with pytest.raises(IntakeRefused, match=r"transformer/config\.json: 'num_layers' is over 10000"):
        check_model(pipeline, ModelType.IMAGE_GENERATION)


def test_the_wrong_type_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(IntakeRefused, match=r"no config\.json"):
        check_model(make_z_image(tmp_path / "zimage"), ModelType.LM)
    sentences = tmp_path / "sentences"
    shutil.copytree(minilm(), sentences)
    with pytest.raises(IntakeRefused, match='"bert", which the installed mlx-lm does not know'):
        check_model(sentences, ModelType.LM)


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlx_vlm", "mlx_audio"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from importlib import util
found = util.find_spec
util.find_spec = lambda name, package=None: None if name in ("mlx_vlm", "mlx_audio") else found(name, package)
"""


def test_without_the_libraries_it_says_how_to_get_them_and_text_is_loaded_all_the_same() -> None:
    program = WITHOUT + (
        "from mlxhub.registry.extras import check_libraries\n"
        "from mlxhub.core.model_type import ModelType\n"
        "check_libraries(ModelType.LM); check_libraries(ModelType.COMMAND)\n"
        "for each in ('multimodal', 'embeddings', 'whisper', 'image-generation', 'image-edit'):\n"
        "    try: check_libraries(ModelType(each))\n"
        "    except Exception as refused: print(refused)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("models of type multimodal need libraries that are not installed.")
    assert all("scripts/install --vision" in line for line in lines)


def test_a_hub_with_such_a_model_warns_at_install(tmp_path: Path) -> None:
    """What `mlxhub install`, `status` and `config validate` show."""
    program = WITHOUT + (
        "import os\n"
        "from pathlib import Path\n"
        "from mlxhub.cli.local_hub import find_machine\n"
        "from mlxhub.fleet.libraries import lacking_libraries\n"
        "from mlxhub.files.hub_yaml import read_hub_yaml\n"
        "machine = find_machine(None)\n"
        "print(*lacking_libraries(read_hub_yaml(machine.paths.config), machine), sep='\\n')\n"
    )
    (tmp_path / "hub.yaml").write_text(
        "models:\n"
        "  - {name: demo, model_path: 'builtin:demo'}\n"
        f"  - {{name: unsaid, model_path: '{minilm()}'}}\n"
        "  - {name: ears, model_path: org/whisper, model_type: whisper}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"MLXHUB_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    told = sorted(done.stdout.splitlines())
    assert [line.partition(":")[0] for line in told] == ['model "ears"', 'model "unsaid"']
    assert "its type, embeddings, needs libraries" in told[1]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{name: a}", '"model_path" is missing of model "a"'),
        ("{name: a, model_type: command}", 'command of model "a": say what is to be run'),
        ("{name: a, command: [x]}", "one of its parts must be {port}"),
        ("{name: a, model_type: lm, model_path: p, command: [x, '{port}']}", "for models of type command"),
        ("{name: a, command: [x, '{port}'], health_path: health}", "health_path of model"),
    ],
)
def test_faults_of_commands_and_paths(entry: str, fault: str) -> None:
    with pytest.raises(Exception, match=r"hub\.yaml:2: ") as refused:
        parse_config(f"models:\n  - {entry}\n")
    assert fault in str(refused.value)


def test_a_command_needs_no_path_and_no_type() -> None:
    config = parse_config("models:\n  - {name: a, command: [llama-server, --port, '{port}']}\n")
    assert config.models[0].command == ("llama-server", "--port", "{port}")
    assert config.models[0].model_path is None
