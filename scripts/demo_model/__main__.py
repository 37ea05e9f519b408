"""Train the built-in demo model and check the saved files; --check only checks."""

import argparse
import sys
import time

from demo_model.tokenizer import save_tokenizer, train_tokenizer, with_template
from demo_model.train import save_model, train_model
from demo_model.verify import count_golden

from mlxhub.demo import model_directory

SEED = 20
STEPS = 2000


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/train-demo-model", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only ask the saved model the golden questions")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"training steps ({STEPS} for the shipped model)"
    )
    options = parser.parse_args()
    directory = model_directory()
    if not options.check:
        started = time.monotonic()
        merges = train_tokenizer(SEED)
        tokenizer = with_template(merges, directory)
        model = train_model(tokenizer, options.steps, SEED)
        # Saved together and last: old weights with new tokens answer nonsense.
        save_tokenizer(merges, directory)
        save_model(model, tokenizer, directory)
        print(f"trained in {time.monotonic() - started:.0f} s")
    return 0 if count_golden(directory) else 1


if __name__ == "__main__":
    sys.exit(main())
